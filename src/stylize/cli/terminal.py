"""The command's standard streams: the picture goes out, notes go to stderr, each on one line."""

import contextlib
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from tqdm.contrib.logging import logging_redirect_tqdm

from ..errors import OutputError, PictureError

if TYPE_CHECKING:
    from types import FrameType

log = logging.getLogger("stylize")


def stream(name: str, stream: Any) -> IO[bytes]:
    """The bytes of a standard stream."""
    if stream is None:  # as Python has it where the shell closed it: <&-
        error = PictureError if name == "standard input" else OutputError
        raise error(f"{name}: is closed")
    buffer: IO[bytes] = stream.buffer
    return buffer


class _OneLine(logging.Formatter):
    """Whatever a file is called, it breaks no line and sends no command to the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))


def one_line(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextlib.contextmanager
def notes(quiet: bool, verbose: bool) -> Iterator[None]:
    """Show the library's log on stderr, and of Python's warnings nothing."""
    # Where stderr is closed, tqdm and logging would take standard output, which is the picture's.
    shown = sys.stderr is not None
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
    """In UTF-8, which TOML and JSON are, whatever the terminal's encoding."""
    write_stdout(f"{text.rstrip()}\n".encode("utf-8", "backslashreplace"))


def write_stdout(data: bytes) -> None:
    stdout = stream("standard output", sys.stdout)
    try:
        stdout.write(data)
        stdout.flush()
    except OSError as error:
        # Python flushes once more as it ends, and would complain in words of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(f"standard output: cannot be written ({error.strerror})") from error


#: What the command exits with after Ctrl-C and after SIGTERM, as a shell has it.
INTERRUPTED, TERMINATED = 130, 143
#: Terminals and supervisors send them to all processes of a command.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Ended(KeyboardInterrupt):
    """It was asked to end, and has done so in good order.

    Attributes:
        code: `INTERRUPTED` or `TERMINATED`.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class StopOnSignal:
    """Lets the first Ctrl-C or SIGTERM end the run after the evaluation under way.

    The second leaves at once, as does the first while there is no picture yet.
    """

    def __init__(self) -> None:
        #: 0, or what the command is to exit with.
        self.asked = 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "StopOnSignal":
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            if handler is not None:
                signal.signal(number, handler)

    def __call__(self) -> int:
        """`asked`. From the first call on, signals end the run in good order."""
        if not self.before:
            for number in SIGNALS:
                self.before[number] = signal.getsignal(number)
                # A shell that runs the command in the background lets it ignore Ctrl-C: so be it.
                if self.before[number] is not signal.SIG_IGN:
                    signal.signal(number, self._signalled)
        return self.asked

    def _signalled(self, number: int, frame: "FrameType | None") -> None:
        self.asked = INTERRUPTED if number == signal.SIGINT else TERMINATED
        # The system's own handler ends the process even in the midst of a convolution.
        for other in self.before:
            signal.signal(other, signal.SIG_DFL)
        if self.asked == INTERRUPTED:
            log.warning("stopping; Ctrl-C again leaves at once, without a picture")
