"""The command's standard streams and signals.

The picture goes to standard output, and log messages go to stderr, each on one line.
"""

import contextlib
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from ..errors import ExitCode, OutputError, PictureError

if TYPE_CHECKING:
    from types import FrameType

log = logging.getLogger("stylize")


def byte_stream(name: str, stream: Any) -> IO[bytes]:
    """Return the byte stream below a standard stream.

    Args:
        name: The name of the stream in error messages: "standard input" or "standard output".
        stream: `sys.stdin` or `sys.stdout`.

    Raises:
        PictureError: Standard input is closed.
        OutputError: Another stream is closed.
    """
    if stream is None:  # Python's value for a stream that the shell has closed: <&-
        error = PictureError if name == "standard input" else OutputError
        raise error(f"{name}: is closed")
    buffer: IO[bytes] = stream.buffer
    return buffer


class _OneLine(logging.Formatter):
    """Formats a record as one line without control characters, whatever a file is called."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))


def one_line(text: str) -> str:
    """Escape unprintable characters, so that they neither break a line nor control a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def traceback_of(error: BaseException) -> str:
    """The traceback of an error, each line of which is as `one_line` makes it."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(map(one_line, lines))


@contextlib.contextmanager
def log_to_stderr(quiet: bool, verbose: bool) -> Iterator[None]:
    """Show the library's log on stderr, and suppress Python's warnings.

    Args:
        quiet: Show only errors.
        verbose: Show information as well as warnings and errors, unless `quiet`.
    """
    # If stderr is closed, tqdm and logging would use standard output, which the picture needs.
    shown = sys.stderr is not None
    from tqdm.contrib.logging import logging_redirect_tqdm  # it fails if a variable is faulty

    handler = logging.StreamHandler(sys.stderr) if shown else logging.NullHandler()
    handler.setFormatter(_OneLine("stylize: %(message)s"))
    log.addHandler(handler)
    level = log.level
    log.setLevel(logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING)
    try:
        redirected = logging_redirect_tqdm([log]) if shown else contextlib.nullcontext()
        with warnings.catch_warnings(), redirected:
            warnings.simplefilter("ignore")
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def print_text(text: str) -> None:
    """Print text in UTF-8, which TOML and JSON require, whatever the terminal's encoding."""
    write_stdout(f"{text.rstrip()}\n".encode("utf-8", "backslashreplace"))


def write_stdout(data: bytes) -> None:
    """Write bytes to standard output.

    Raises:
        OutputError: Standard output is closed or cannot be written.
    """
    stdout = byte_stream("standard output", sys.stdout)
    try:
        stdout.write(data)
        stdout.flush()
    except OSError as error:
        # Python flushes the stream again when it exits, and would print its own error message.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(f"standard output: cannot be written ({error.strerror})") from error


#: Signals that end a run without a picture: from a supervisor, and from a terminal that is closed.
_ENDING = (signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else []))
#: Signals that stop a run. Terminals and supervisors send them to all processes of a command.
SIGNALS = (signal.SIGINT, *_ENDING)


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop, and has stopped in good order.

    Attributes:
        exit_code: `ExitCode.INTERRUPTED` or `ExitCode.TERMINATED`.
    """

    def __init__(self, exit_code: ExitCode) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@contextlib.contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """In the block SIGTERM and SIGHUP raise `Interrupted`, as Ctrl-C does `KeyboardInterrupt`."""

    def interrupt(number: int, frame: "FrameType | None") -> None:
        raise Interrupted(ExitCode.TERMINATED)

    with contextlib.ExitStack() as restored:
        for number in _ENDING:
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:
                signal.signal(number, interrupt)
                restored.callback(signal.signal, number, before or signal.SIG_DFL)
        yield


class StopOnSignal:
    """Lets the first of `SIGNALS` stop the run after the current evaluation.

    The second signal ends the process at once, and so does the first one before the object has been
    called, when there is no picture yet.

    Attributes:
        exit_code: `ExitCode.DONE` until a signal comes, then `INTERRUPTED` or `TERMINATED`.
    """

    def __init__(self) -> None:
        self.exit_code = ExitCode.DONE
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopOnSignal":
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            if handler is not None:
                signal.signal(number, handler)

    def __call__(self) -> ExitCode:
        """Return `exit_code`. From the first call on, signals stop the run in good order."""
        if not self._handlers:
            for number in SIGNALS:
                self._handlers[number] = signal.getsignal(number)
                # A shell starts background commands with Ctrl-C ignored, and it must stay so.
                if self._handlers[number] is not signal.SIG_IGN:
                    signal.signal(number, self._on_signal)
        return self.exit_code

    def _on_signal(self, number: int, frame: "FrameType | None") -> None:
        interrupted = number == signal.SIGINT
        self.exit_code = ExitCode.INTERRUPTED if interrupted else ExitCode.TERMINATED
        # The system's own handler ends the process even during a convolution.
        for other in self._handlers:
            signal.signal(other, signal.SIG_DFL)
        if interrupted:
            log.warning("stopping; Ctrl-C again leaves at once, without a picture")
