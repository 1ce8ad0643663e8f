"""The connection to a Ray cluster: whether one can do what was asked for, and how to reach it."""

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

from ..errors import DeviceError, OptionError
from .arguments import Arguments
from .terminal import SIGNALS

log = logging.getLogger("stylize")

#: Seconds for the first answer of a cluster's address.
CONNECT = 10.0


def check(arguments: Arguments, several: bool) -> None:
    """Check, before any work, that a cluster can do what was asked for.

    Args:
        arguments: with a `cluster`.
        several: whether they ask for more than one picture.

    Raises:
        OptionError: it cannot.
        DeviceError: Ray is not installed.
    """
    address = arguments.cluster or ""
    if address != "auto" and not _is_address(address):
        raise OptionError(f"--cluster {address}: give auto, or HOST:PORT of a Ray cluster's head")
    if not several:
        raise OptionError("--cluster: is for folders; for one picture, give a folder as OUTPUT")
    refused = {
        "--jobs": arguments.jobs > 1,
        "--snapshot-every": arguments.snapshot_every is not None,
        "--timelapse": arguments.timelapse is not None,
        "--trace": arguments.trace is not None,
        "--checkpoint": arguments.checkpoint is not None,
    }
    for option, given in refused.items():
        if given:
            reason = {
                "--jobs": "the cluster decides how many pictures are painted at once",
            }.get(option, "only the finished picture comes back from the cluster")
            raise OptionError(f"{option}: cannot be used with --cluster: {reason}")
    if ":" in arguments.options.device:
        kind = arguments.options.device.partition(":")[0]
        raise OptionError(
            f"--device {arguments.options.device}: on a cluster, Ray gives each worker a GPU of its"
            f" own; give {kind}"
        )
    _check_installed()


def _check_installed() -> None:
    found = False
    with contextlib.suppress(ImportError, ValueError):
        found = importlib.util.find_spec("ray") is not None
    if not found:
        raise DeviceError('--cluster: needs Ray; run pip install "neural-stylize[cluster]"')


class Connection(NamedTuple):
    """A connection to a cluster.

    Attributes:
        ray: the module.
        ended_here: whether the connection is to be ended by whoever asked for it.
        alone: whether it is a cluster of this machine, started for this run.
    """

    ray: Any
    ended_here: bool = True
    alone: bool = False


def connect(address: str, threads: int) -> Connection:
    """Connect to a cluster, or start one on this machine.

    Raises:
        DeviceError: there is no cluster, or Ray is not installed.
    """
    _check_installed()
    # Ray would send statistics to its makers, and print advice on later versions.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        return Connection(ray, ended_here=False)
    place = f"--cluster {address}"
    named = os.environ.get("RAY_ADDRESS", "auto")
    if address == "auto" and named != "auto":
        address, place = named, f"RAY_ADDRESS={named}"
        if address != "local" and not _is_address(address):
            raise DeviceError(f"{place}: give HOST:PORT of a Ray cluster's head, or unset it")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    with _signal_handlers_kept():
        try:
            if address not in ("auto", "local"):
                _check_answer(address, place)
                ray.init(address=address, **quiet)
                return Connection(ray)
            if address == "auto" and not _left_by_a_crash():
                with contextlib.suppress(ConnectionError):
                    ray.init(address="auto", **quiet)
                    return Connection(ray)
            processors = max(_processors(), threads)
            ray.init(address="local", num_cpus=processors, include_dashboard=False, **quiet)
            return Connection(ray, alone=True)
        except DeviceError:
            raise
        except Exception as error:
            if "ersion mismatch" in str(error):
                reason = "; ".join(" ".join(str(error).split()).split(": ", 1))
                raise DeviceError(
                    f"{place}: {reason}; install the same versions on all machines"
                ) from error
            raise DeviceError(f"{place}: cannot be used ({first_line(error)})") from error


@contextlib.contextmanager
def no_text_on_stdout() -> Iterator[None]:
    """Keep Ray's messages about lost machines, which it prints, from standard output.

    The command itself writes bytes there, below the stream of text (`terminal.write_stdout`).
    """
    if sys.stdout is None:
        yield
        return
    stream: Any = _BytesAlone(sys.stdout.buffer)
    with contextlib.redirect_stdout(stream):
        yield


class _BytesAlone:
    """A standard output whose text goes to the log."""

    def __init__(self, buffer: IO[bytes]) -> None:
        self.buffer = buffer

    def write(self, text: str) -> int:
        """Log a text."""
        if text.strip():
            log.info("%s", text.strip())
        return len(text)

    def flush(self) -> None:
        """See `io.IOBase`."""
        self.buffer.flush()

    def fileno(self) -> int:
        """See `io.IOBase`."""
        return self.buffer.fileno()

    def isatty(self) -> bool:
        """See `io.IOBase`."""
        return self.buffer.isatty()


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and "://" not in text


def _processors() -> int:
    """How many processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _left_by_a_crash() -> bool:
    """Whether the address that Ray has noted on this machine is that of a cluster that is gone."""
    with contextlib.suppress(ImportError, TypeError, OSError):  # no public function tells it
        from ray._private.utils import read_ray_address

        if noted := read_ray_address():
            try:
                _check_answer(noted, "")
            except (DeviceError, ValueError):
                return True
    return False


def _check_answer(address: str, place: str) -> None:
    """Find out in seconds whether anybody answers; Ray itself would try for a minute.

    Args:
        address: HOST:PORT.
        place: where it was given, for the message.

    Raises:
        DeviceError: nobody does.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DeviceError(
            f"{place}: does not answer ({reason}); ray start --head prints the address"
        ) from error


@contextlib.contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Undo what Ray does to signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def first_line(error: BaseException) -> str:
    """The first line of one of Ray's messages, which have many."""
    lines: Sequence[str] = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
