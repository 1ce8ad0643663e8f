"""Mistakes on the command line, and what is to be typed instead."""

import itertools
import logging
import os
import re
from collections.abc import Iterable, Sequence

import click

from ..errors import OptionError, PictureError, not_found
from ..settings.guesses import is_option, option_meant
from ..settings.options import FORMATS
from ..settings.printing import UNITS
from .arguments import Arguments

log = logging.getLogger(__name__)

_EXAMPLE = "stylize photo.jpg painting.jpg -o out.jpg"


def check_complete(
    content: str | None,
    styles: Sequence[str],
    output: str | None,
    pairs: str | None,
    size: str | None,
) -> None:
    """Check that photo, painting and result are named.

    Args:
        content: as typed, like the others.
        styles: the paintings.
        output: the result.
        pairs: the list of pairs that is given instead of photo and paintings.
        size: in other programs, `-s` is the painting.

    Raises:
        OptionError: one of them is missing; the message says what to type.
    """
    if pairs and content:
        raise OptionError(f"--pairs: its file names photos and paintings; leave {content} out")
    if content and not styles and size and os.path.isfile(size):
        raise OptionError(
            f"-s is the size; a painting needs no option, as in stylize {content} {size} -o out.jpg"
        )
    if not output and len(styles) > 1 and not os.path.exists(styles[-1]):
        *paintings, last = styles
        if last.endswith(tuple(itertools.chain(*FORMATS.values()))):
            words = " ".join(["stylize", str(content), *paintings, "-o", last])
            raise OptionError(f"put -o before the name of the result, as in {words}")
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


def check_words(arguments: Arguments) -> None:
    """Check that several paintings for one picture are paintings, and are meant together.

    Args:
        arguments: of the command, for one picture.

    Raises:
        PictureError: there is no such file; the message guesses what the word belongs to.
        OptionError: nothing says how to use them together.
    """
    words = [arguments.content, *arguments.styles]
    if len(words) < 3:
        return  # the file that is missing was meant
    for number, word in enumerate(words):
        if word != "-" and not os.path.lexists(word):
            hint = _name_with_spaces(words, number)
            if word.lower() in (*UNITS, "px", "%"):
                hint = f"; write the size without a space, as in -s 20{word}"
            elif "=" in word:
                hint = f"; put --try before it, as in --try {word}"
            raise PictureError(f"{word}: {not_found(word)}{hint}")
    tried = [trial.options for trial in arguments.trials] or [arguments.options]
    if not all(options.combines_styles for options in tried):
        raise OptionError(
            f"{len(words) - 1} paintings for one picture: --blend equal mixes them, a --mask for"
            " each uses them side by side, and with a folder as OUTPUT, as in -o painted/, each"
            " gives a picture of its own; only the first name is the photo: for many photos name"
            " their folder (photos, not photos/*.jpg)"
        )


def _name_with_spaces(words: Sequence[str], missing: int) -> str:
    """What to say where a word and its neighbours are the name of a file; else ""."""
    for start in range(missing + 1):
        for end in range(missing + 1, len(words) + 1):
            name = " ".join(words[start:end])
            if end - start > 1 and os.path.isfile(name):
                return f'; a name with spaces needs quotes: "{name}"'
    return ""


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
    if not several or len(styles) < 2 or numbered or not content or os.path.isdir(content):
        return  # for one picture, several STYLEs without --blend are refused in any case
    folder = os.path.dirname(os.path.abspath(content))
    beside = [path for path in styles if os.path.dirname(os.path.abspath(path)) == folder]
    if not beside:
        return
    example = f"stylize {os.path.dirname(content) or '.'} painting.jpg -o painted/"
    if len(beside) < len(styles):
        raise OptionError(
            f"{beside[0]}: would be a painting, because only the first name, {content}, is the"
            f" photo; for many photos name their folder, as in {example}; if it is a painting, put"
            " it into the other paintings' folder"
        )
    log.warning(
        "only %s is the photo, the other %d pictures beside it are paintings; for many photos name"
        " their folder, as in %s",
        content,
        len(beside),
        example,
    )


def check_options(context: click.Context, typed: Iterable[str]) -> None:
    """Check for what click would take for an odd value of an option.

    `-size 300` would be `-s` with the value "ize", `-o=a.png` a file called "=a.png", and
    `--timelapse -s 300` a film called "-s".

    Args:
        context: of the command.
        typed: the arguments.

    Raises:
        NoSuchOption: a long option has a single dash.
        OptionError: an option has no value, or an equals sign where none belongs; or a file's name
            begins with a dash.
    """
    names, flags = _long_names(context), _flags(context)
    words = [*itertools.takewhile(lambda argument: argument != "--", typed), ""]
    for word, following in itertools.pairwise(words):
        name, equals, value = word.partition("=")
        if re.fullmatch("-[a-z][a-z_-]+", name) and is_option(name, names):
            raise click.NoSuchOption(name, ctx=context)
        if re.match("-[^-]", word) and name not in flags and os.path.isfile(word):
            raise OptionError(f"{word}: a name that begins with a dash is written ./{word}")
        option = flags.get(name)
        if not option or option.is_flag:
            continue
        if equals and not name.startswith("--"):
            raise OptionError(f"{word}: write {name} {value}")
        if not equals and following.partition("=")[0] in flags:
            raise OptionError(f"{name} needs a value before {following}")


def no_such_option(error: click.NoSuchOption) -> str:
    """What to type instead, where that can be guessed."""
    meant = option_meant(error.option_name, _long_names(error.ctx) if error.ctx else ())
    return f"no option {error.option_name}" + (f"; did you mean {meant}?" if meant else "")


def _long_names(context: click.Context) -> set[str]:
    """The names of all options that have two dashes, with underscores."""
    flags = _flags(context)
    return {flag.lstrip("-").replace("-", "_") for flag in flags if flag.startswith("--")}


def _flags(context: click.Context) -> dict[str, click.Option]:
    """All options, short and long, as they are typed."""
    params = [param for param in context.command.params if isinstance(param, click.Option)]
    return {flag: param for param in params for flag in (*param.opts, *param.secondary_opts)}
