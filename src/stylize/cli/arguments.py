"""What was typed: `Arguments`, whose fields are the command's options beside those for painting.

Each option is named once, as a field; `parameters` declares it to click.
"""

from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import click

from ..callbacks.film import SIDES
from ..settings import guesses
from ..settings.options import FORMATS, Options
from ..settings.recipe import Recipe
from .combinations import Trial
from .naming import FIELDS

#: The values of `--existing`: what to do with a file that exists at the output path.
EXISTING = ("auto", "update", "replace", "skip", "fail")
#: The values of `--pair`: each content image with each style, or the first with the first etc.
PAIRINGS = ("all", "zip")
_SUFFIXES = " ".join(suffixes[0] for suffixes in FORMATS.values())
#: The type is for the shell's completion only; whether a file exists is seen when it is opened.
#: Several paths in an environment variable are separated as in PATH.
PATH = click.Path(allow_dash=True, readable=False)


class Choice(click.Choice[str]):
    """One of a few words; a wrong one is answered with the one that is spelled most like it."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """See `click.Choice`."""
        message = super().get_invalid_choice_message(value, ctx)
        closest = guesses.closest(str(value), self.choices)
        return f"{message} Did you mean {closest!r}?" if closest else message


class FiniteRange(click.FloatRange):
    """A number in a range; also without an upper limit, neither infinity nor "nan" is in it."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See `click.FloatRange`."""
        number: float = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def _option(help: str, *, default: Any, shown: str = "", **declared: Any) -> Any:
    """Make a field that is an option of the command.

    Args:
        help: text for `--help` and the manual.
        default: of the field and the option.
        shown: how `--help` words the default; "" where the help says it.
        **declared: what click is told: `names` for the short forms, and the rest as it is.
    """
    help += f"  [default: {shown}]" if shown else ""
    return field(default=default, metadata={"help": help, **declared})


@dataclass(frozen=True)
class Arguments:
    """What the command was asked to do, and the one home of its defaults beside `Options`.

    `stylize --help` explains the fields that are not listed here: options of the same names.

    Attributes:
        content: path of the content image or of a folder of them, or "-" for standard input.
        styles: paths of style images or of folders of them; one may be "-".
        options: how to paint.
        recipe: of the picture that `--recipe` names; None without `--recipe`.
        settings_files: the files that `--recipe` and `--config` read.
        trials: the combinations of `--try`; none without it.
    """

    content: str
    styles: tuple[str, ...]
    output: str = field(
        metadata={
            "help": f"Where to write the result (required): {_SUFFIXES}; '-' is standard output."
            " For several pictures: a folder, created if it does not exist, or a pattern with"
            f" {' '.join(f'{{{field}}}' for field in FIELDS)} in it.",
            "names": ["-o"],
            "type": PATH,
        }
    )
    options: Options
    recipe: Recipe | None = None
    settings_files: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()
    existing: str = _option(
        "What to do when OUTPUT exists already: 'update' paints it again if it is incomplete, or"
        " if an input or an option has changed. A file that stylize did not make is replaced only"
        " with 'replace'.",
        default="auto",
        shown="update for folders, else replace what stylize made",
        type=Choice(EXISTING),
    )
    format: str = _option(
        "Format where no file name says it: on standard output ('-o -'), and in a folder.",
        default="png",
        shown="png",
        type=Choice(list(FORMATS)),
    )
    snapshot_every: int | None = _option(
        "Write the picture so far every N iterations, into a folder beside OUTPUT: out-snapshots"
        " for out.png.",
        default=None,
        shown="never",
        metavar="N",
        type=click.IntRange(1),
    )
    timelapse: str | None = _option(
        f"Write a film of how the picture grew: {' '.join(SIDES)}.",
        default=None,
        shown="none",
        metavar="PATH",
        type=PATH,
    )
    trace: str | None = _option(
        "Write a line of JSON for each iteration: size, seconds, step, losses.",
        default=None,
        shown="none",
        metavar="PATH",
        type=PATH,
    )
    report: str | None = _option(
        "Write a page that shows photos, paintings, results and losses, and is written anew while"
        " the run goes on. It is one file, and opens in any browser.",
        default=None,
        shown="none",
        metavar="PAGE.html",
        type=PATH,
    )
    checkpoint: str | None = _option(
        "Where a run saves what it needs to resume after an interruption; deleted when the picture"
        " is done.",
        default=None,
        shown="OUTPUT.checkpoint",
        metavar="PATH",
        type=PATH,
    )
    checkpoint_every: float = _option(
        "Time from one checkpoint to the next; a shorter run saves none.",
        default=60.0,
        shown="60",
        metavar="SECONDS",
        type=FiniteRange(0.1),
    )
    resume: bool = _option(
        "Resume an interrupted run of the same picture.", default=True, shown="resume"
    )
    recursive: bool = _option(
        "Search the subfolders of a folder too, and give the results the same subfolders.",
        default=False,
    )
    pair: str = _option(
        "With folders: 'all' paints every photo in every style, 'zip' the first in the first and"
        " so on.",
        default="all",
        shown="all",
        type=Choice(PAIRINGS),
    )
    pairs: str | None = _option(
        "Paint the pairs in this file, or in standard input ('-'), instead of CONTENT and STYLE:"
        " a photo and a painting on each line, with a tab between them.",
        default=None,
        shown="none",
        metavar="LIST",
        type=PATH,
        allow_from_autoenv=False,
    )
    jobs: int = _option(
        "Paint N pictures at once, in processes that share the processor; with several GPUs, each"
        " takes one.",
        default=1,
        shown="1",
        names=["-j"],
        metavar="N",
        type=click.IntRange(1, 256),
    )
    cluster: str | None = _option(
        "Paint folders on the machines of a Ray cluster: HOST:PORT, or 'auto' for the cluster that"
        " this machine belongs to, else one on this machine alone.",
        default=None,
        shown="none",
        metavar="ADDRESS",
    )
    fail_fast: bool = _option("Start no more pictures once one has failed.", default=False)
    dry_run: bool = _option(
        "Print what would be done, with an estimate of time and memory, and exit.",
        default=False,
        is_flag=True,
        allow_from_autoenv=False,
    )
    json: bool = _option("Print a line of JSON for each picture on standard output.", default=False)
    quiet: bool = _option("Print nothing but errors.", default=False, names=["-q"])
