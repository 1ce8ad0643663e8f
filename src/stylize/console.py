"""The command's standard streams: the picture goes out, notes go to stderr, each on one line."""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import IO, Any

from tqdm.contrib.logging import logging_redirect_tqdm

from .errors import OutputError, PictureError

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
