"""What is said about a mistake on the command line, and about every error: one line, and a code."""

import itertools
import logging
import os
import re
import traceback
from collections.abc import Iterable, Sequence

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
from ..settings.guesses import is_option, option_meant
from . import parameters
from .arguments import Arguments

log = logging.getLogger(__name__)

_EXAMPLE = "stylize photo.jpg painting.jpg -o out.jpg"
#: The most characters of what click says about a value, which may come from a file.
_LONGEST_REASON = 300
#: How the names of the variables begin that a library reads.
_VARIABLES = {"tqdm": ("TQDM_",), "torch": ("TORCH", "PYTORCH_")}


def check_complete(
    content: str | None, styles: Sequence[str], output: str | None, pairs: str | None
) -> None:
    """Check that photo, painting and result are named.

    Raises:
        OptionError: one of them is missing; the message says what to type.
    """
    if pairs and content:
        raise OptionError(f"--pairs: its file names photos and paintings; leave {content} out")
    needed = {
        "a photo": content or pairs,
        "a painting": styles or pairs,
        "a name for the result (-o)": output,
    }
    missing = [what for what, given in needed.items() if not given]
    if missing:
        *most, last = missing
        names = f"{', '.join(most)} and {last}" if most else last
        raise OptionError(f"give {names}, as in {_EXAMPLE} (stylize --help tells more)")


def check_wildcard(arguments: Arguments, several: bool) -> None:
    """Check that no shell has turned photos/*.jpg into one photo and many paintings.

    Several STYLEs may lie beside CONTENT. But where some do and others do not, as in `stylize
    photos/*.jpg painting.jpg`, those beside it are hardly meant as paintings.

    Args:
        arguments: of the command.
        several: whether several pictures are painted.

    Raises:
        OptionError: some do.
    """
    content, styles, options = arguments.content, arguments.styles, arguments.options
    numbered = options.mask or options.blend not in (None, "equal")  # one for each STYLE
    if len(styles) < 2 or numbered or not content or os.path.isdir(content):
        return
    folder = os.path.dirname(os.path.abspath(content))
    beside = [path for path in styles if os.path.dirname(os.path.abspath(path)) == folder]
    if not beside:
        return
    example = f"stylize {os.path.dirname(content) or '.'} painting.jpg -o painted/"
    if len(beside) < len(styles):
        raise OptionError(
            f"{beside[0]}: would be a painting, because only the first name, {content}, is the"
            f" photo; for many photos name their folder, as in {example}"
        )
    if several or options.blend:  # otherwise several STYLEs are refused in any case
        log.warning(
            "only %s is the photo, the other %d pictures beside it are paintings; for many photos"
            " name their folder, as in %s",
            content,
            len(beside),
            example,
        )


def describe(error: Exception) -> tuple[int, str]:
    """The exit code for an error, and its message."""
    if isinstance(error, StylizeError):
        return error.exit_code, str(error)
    if isinstance(error, click.NoSuchOption):
        return error.exit_code, f"{_no_such_option(error)} (see stylize --help)"
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


def check_dashes(context: click.Context, typed: Iterable[str]) -> None:
    """Check that no long option has a single dash: `-size 300` would be `-s` with the value "ize".

    Args:
        context: of the command.
        typed: the arguments.

    Raises:
        NoSuchOption: one has.
    """
    names = _long_names(context)
    for argument in itertools.takewhile(lambda argument: argument != "--", typed):
        name = argument.partition("=")[0]
        if re.fullmatch("-[a-z][a-z-]+", name) and is_option(name, names):
            raise click.NoSuchOption(name, ctx=context)


def _no_such_option(error: click.NoSuchOption) -> str:
    """What to type instead, where that can be guessed."""
    meant = option_meant(error.option_name, _long_names(error.ctx) if error.ctx else ())
    return f"no option {error.option_name}" + (f"; did you mean {meant}?" if meant else "")


def _long_names(context: click.Context) -> set[str]:
    """The names of all options that have two dashes, with underscores."""
    params = context.command.params
    flags = (flag for param in params for flag in (*param.opts, *param.secondary_opts))
    return {flag.lstrip("-").replace("-", "_") for flag in flags if flag.startswith("--")}


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
