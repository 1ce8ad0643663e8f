"""Every way in which a run can fail, and the exit code that the command ends with.

A file of others may hold values of any length; `shown` makes a part of a message of them.
"""

import errno
import re
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """What the `stylize` command exits with."""

    DONE = 0
    #: A bug in stylize: an error that no class below stands for.
    BUG = 1
    USAGE = 2
    INPUT = 3
    OUTPUT = 4
    WEIGHTS = 5
    DEVICE = 6
    OPTIMIZATION = 7
    #: Some of several pictures failed. xargs exits with the same number then.
    SOME_FAILED = 123
    #: Ctrl-C and SIGTERM, with the numbers that a shell gives them: 128 plus the signal's. SIGHUP,
    #: when the terminal is closed, counts as SIGTERM.
    INTERRUPTED = 130
    TERMINATED = 143


class StylizeError(Exception):
    """The base of all errors that stylize raises on purpose.

    The message is one line: it names the file or option and says what to do.

    Attributes:
        exit_code: what the `stylize` command exits with after this error.
    """

    exit_code = ExitCode.BUG


class OptionError(StylizeError):
    """An option is out of range, or two options contradict each other."""

    exit_code = ExitCode.USAGE


class PictureError(StylizeError):
    """An input picture cannot be read, or is too small for the network."""

    exit_code = ExitCode.INPUT


class CheckpointError(StylizeError):
    """A checkpoint cannot be read, or belongs to another run."""

    exit_code = ExitCode.INPUT


class OutputError(StylizeError):
    """A result cannot be written where it should go."""

    exit_code = ExitCode.OUTPUT


class WeightsError(StylizeError):
    """The network's weights are missing, corrupted, or not those of a VGG-19."""

    exit_code = ExitCode.WEIGHTS


class DeviceError(StylizeError):
    """The device does not exist, or has too little memory."""

    exit_code = ExitCode.DEVICE


class OptimizationError(StylizeError):
    """The loss is not a finite number, so that nothing can be minimised."""

    exit_code = ExitCode.OPTIMIZATION


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that there is no memory left, be it to load a library."""
    if isinstance(error, ImportError):
        return "failed to map segment" in str(error) or "annot allocate memory" in str(error)
    return isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM


def shown(value: Any) -> str:
    """Return a text of at most 83 characters that shows any value in a message."""
    try:
        return shortened(repr(value))
    except Exception:  # for example a number with more digits than Python writes
        return f"this {type(value).__name__}"


def shortened(text: str, most: int = 80) -> str:
    """Return a text, or where it is longer, its start and three dots."""
    return text if len(text) <= most else f"{text[:most]}..."


def not_found(path: Any, kind: str = "file") -> str:
    """The reason why a picture cannot be read that is not there."""
    address = re.match("[a-z]+://", str(path))
    return "is a web address; download the picture first" if address else f"no such {kind}"
