"""What is said about an error, in one line, and the code with which the command exits."""

import os
import traceback

import click

from ..errors import (
    DeviceError,
    ExitCode,
    OptionError,
    OutputError,
    StylizeError,
    is_out_of_memory,
    shortened,
    shown,
)
from ..settings import config
from . import mistakes, parameters

#: The most characters of what click says about a value, which may come from a file.
_LONGEST_REASON = 300
#: How the names of the variables begin that a library reads.
_VARIABLES = {"tqdm": ("TQDM_",), "torch": ("TORCH", "PYTORCH_")}


def describe(error: Exception) -> tuple[int, str]:
    """The exit code for an error, and its message."""
    if isinstance(error, StylizeError):
        return error.exit_code, str(error)
    if isinstance(error, click.NoSuchOption):
        return error.exit_code, f"{mistakes.no_such_option(error)} (see stylize --help)"
    if isinstance(error, click.ClickException):
        reason = shortened(error.format_message(), _LONGEST_REASON)
        message = f"{_place(error)}{reason} (see stylize --help)"
        return error.exit_code, message
    if isinstance(error, FileNotFoundError) and not _current_folder_exists():
        return OutputError.exit_code, "the current folder was deleted; change to another one"
    if isinstance(error, click.Abort):  # what click makes of Ctrl-C
        return ExitCode.INTERRUPTED, "interrupted before there was a picture"
    if cause := cause_outside(error):
        return cause.exit_code, str(cause)
    return ExitCode.BUG, bug(error, "--debug")


def bug(error: Exception, shown_by: str) -> str:
    """The message for an error that nobody foresaw; an option shows its traceback."""
    return f"a bug: {error!r}; please report it, with what {shown_by} prints"


def cause_outside(error: Exception) -> StylizeError | None:
    """What an error of a library means if it is no bug: want of memory, or a faulty variable.

    Libraries read some variables when they are imported, and their errors tell the value, not the
    name.
    """
    if is_out_of_memory(error):
        return DeviceError("not enough memory")
    modules = [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)]
    library = modules[-1].partition(".")[0] if modules else ""
    for name, value in os.environ.items():
        if name.startswith(_VARIABLES.get(library, ())) and value and value in str(error):
            return OptionError(
                f"{name}={shown(value)}: {library} does not accept it; correct or unset it"
            )
    return None


def _current_folder_exists() -> bool:
    try:
        return bool(os.getcwd())
    except OSError:
        return False


def _place(error: click.ClickException) -> str:
    """The file or variable that an invalid value comes from, where it was not typed."""
    if not isinstance(error, click.BadParameter) or not (error.ctx and error.param):
        return ""
    place = parameters.origin(error.ctx, error.param.name or "")
    return "" if place in (config.COMMAND_LINE, config.DEFAULT) else f"{place}: "
