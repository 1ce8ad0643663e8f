"""The one command. It parses, builds `Options`, calls the API, and turns errors into exit codes.

torch is not imported before the arguments and the pictures are known to be good.
"""

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from ..callbacks.autosave import EVERY
from ..callbacks.film import SIDES
from ..errors import DeviceError, OutputError, StylizeError
from ..network.names import LAYERS
from ..settings import config
from ..settings import recipe as recipe_file
from ..settings.options import FORMATS
from ..settings.presets import PRESETS, PURPOSES
from . import parameters
from . import terminal as console
from .folders import FIELDS, PAIRINGS
from .order import JOBS, Order
from .parameters import PATH, settable, typed_option
from .terminal import INTERRUPTED

log = logging.getLogger("stylize")


class _Command(click.Command):
    """A command that ends every failure in one line on stderr and its exit code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        try:
            sys.exit(super().main(args, *rest, **{**extra, "standalone_mode": False}))
        except Exception as error:
            if "--debug" in (sys.argv[1:] if args is None else args):
                traceback.print_exc()
            code, message = _told(error)
            with contextlib.suppress(OSError):
                click.echo(console.one_line(f"stylize: {message}"), err=True)
            sys.exit(code)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except KeyboardInterrupt as error:  # click would print an empty line first
            raise click.Abort from error


def _told(error: Exception) -> tuple[int, str]:
    """The exit code that an error ends in, and what is said of it."""
    if isinstance(error, StylizeError):
        return error.exit_code, str(error)
    if isinstance(error, click.ClickException):
        message = f"{_place(error)}{error.format_message()} (stylize --help tells more)"
        return error.exit_code, message
    if isinstance(error, FileNotFoundError) and not _is_somewhere():
        return OutputError.exit_code, "the current folder is gone; change to another one"
    if isinstance(error, MemoryError):
        return DeviceError.exit_code, "not enough memory"
    if isinstance(error, click.Abort):  # Ctrl-C, as click has it
        return INTERRUPTED, "interrupted before there was a picture"
    return 1, f"a bug: {error!r}; please report it, with what --debug prints"


def _is_somewhere() -> bool:
    try:
        return bool(os.getcwd())
    except OSError:
        return False


def _place(error: click.ClickException) -> str:
    """The file or variable that a refused value is from, where it was not typed."""
    if not isinstance(error, click.BadParameter) or not (error.ctx and error.param):
        return ""
    place = parameters.origin(error.ctx, error.param.name or "")
    return "" if place in (config.COMMAND_LINE, config.DEFAULT) else f"{place}: "


def _list_layers(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        console.print_text("\n".join(LAYERS))
        context.exit()


def _show_recipe(context: click.Context, _: click.Parameter, path: str | None) -> None:
    if path is not None and not context.resilient_parsing:
        console.print_text(recipe_file.show(path))
        context.exit()


def _read_config(context: click.Context, _: click.Parameter, path: str | None) -> str | None:
    if path and not context.resilient_parsing:
        context.default_map = config.read(path, settable(context.command) - {"config"})
    return path


@click.command(
    "stylize",
    cls=_Command,
    context_settings={"auto_envvar_prefix": config.PREFIX, "max_content_width": 100},
)
# What is required is asked for in `_require`: some flags can do without.
@click.argument("content", metavar="CONTENT", type=PATH, required=False)
@click.argument("styles", metavar="STYLE...", type=PATH, nargs=-1)
@click.option(
    "-o",
    "--output",
    type=PATH,
    help=f"Where the result goes (required): {' '.join(s[0] for s in FORMATS.values())};"
    " '-' is standard output. For several: a folder, made if need be, or a pattern with"
    f" {' '.join(f'{{{field}}}' for field in FIELDS)} in it.",
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    help="A set of options; those given beside it win. "
    + "; ".join(f"'{name}': {purpose}" for name, purpose in PURPOSES.items())
    + ".  [default: none]",
)
@click.option(
    "--config",
    metavar="FILE",
    type=PATH,
    is_eager=True,
    callback=_read_config,
    help="Read options from this TOML file, as in style-weight = 2. Variables, as in"
    " STYLIZE_STYLE_WEIGHT=2, and what is typed win.  [default: none]",
)
@typed_option(
    "--recipe",
    metavar="PATH",
    type=PATH,
    help="Paint with the options of this picture, which stylize made. What is typed wins."
    "  [default: none]",
)
@parameters.painting_options
@click.option(
    "--snapshot-every",
    metavar="N",
    type=click.IntRange(1),
    help="Write the picture so far every N iterations, into a folder beside OUTPUT: out-snapshots"
    " for out.png.  [default: never]",
)
@click.option(
    "--timelapse",
    metavar="PATH",
    type=PATH,
    help=f"Write a film of how the picture grew: {' '.join(SIDES)}.  [default: none]",
)
@click.option(
    "--trace",
    metavar="PATH",
    type=PATH,
    help="Write a line of JSON for each iteration: size, seconds, step, losses.  [default: none]",
)
@click.option(
    "--checkpoint",
    metavar="PATH",
    type=PATH,
    help="Where a run keeps what it needs to go on after it was broken off; removed when the"
    " picture is done.  [default: OUTPUT.checkpoint]",
)
@click.option(
    "--checkpoint-every",
    metavar="SECONDS",
    type=click.FloatRange(0.1),
    default=EVERY,
    help=f"Time from one checkpoint to the next; a shorter run has none.  [default: {EVERY:g}]",
)
@click.option(
    "--resume/--no-resume",
    default=True,
    help="Go on where a run of the same picture was broken off.  [default: resume]",
)
@click.option(
    "--recursive/--no-recursive",
    help="Look into the folders in a folder too, and lay the results out likewise.",
)
@click.option(
    "--pair",
    type=click.Choice(PAIRINGS),
    default=PAIRINGS[0],
    help="Of folders: 'all' paints every photo after every painting, 'zip' the first after the"
    f" first and so on.  [default: {PAIRINGS[0]}]",
)
@click.option(
    "--jobs",
    "-j",
    metavar="N",
    type=click.IntRange(1, 256),
    default=JOBS,
    help="Paint N pictures at once, in processes that share the processor; with several CUDA"
    f" devices, one for each.  [default: {JOBS}]",
)
@click.option(
    "--fail-fast/--no-fail-fast",
    help="Begin no more pictures once one has failed.",
)
@typed_option(
    "--dry-run",
    is_flag=True,
    help="Print what would be done, with an estimate of time and memory, and exit.",
)
@click.option(
    "--json/--no-json",
    help="Print a line of JSON for each picture on standard output.",
)
@typed_option(
    "--print-config",
    is_flag=True,
    help="Print the options that would be taken, and where each is from, and exit. What is"
    " printed is a file for --config.",
)
@typed_option(
    "--show-recipe",
    metavar="PATH",
    type=PATH,
    is_eager=True,
    expose_value=False,
    callback=_show_recipe,
    help="Print what this picture, which stylize made, was painted with, and exit.",
)
@typed_option(
    "--list-layers",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_layers,
    help="Print the names of VGG-19's layers and exit.",
)
@click.option("-q", "--quiet/--no-quiet", help="Say nothing but errors.")
@click.option("-v", "--verbose/--no-verbose", help="Say what is being done.")
@typed_option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(
    package_name="neural-stylize", message="%(prog)s %(version)s", allow_from_autoenv=False
)
@click.help_option("-h", "--help", allow_from_autoenv=False)
@click.pass_context
def command(
    context: click.Context,
    /,
    content: str,
    styles: tuple[str, ...],
    output: str,
    recipe: str | None,
    print_config: bool,
    snapshot_every: int | None,
    timelapse: str | None,
    trace: str | None,
    checkpoint: str | None,
    checkpoint_every: float,
    resume: bool,
    recursive: bool,
    pair: str,
    jobs: int,
    fail_fast: bool,
    dry_run: bool,
    json: bool,
    quiet: bool,
    verbose: bool,
    **_: Any,
) -> int:
    """Paint the photo CONTENT in the style of the painting STYLE.

    Both may be folders. '-' as CONTENT or STYLE reads a picture from standard input.

    Exit codes: 0 done, 2 usage, 3 unreadable or unsuitable picture, 4 output cannot be written,
    5 weights, 6 device or memory, 7 optimisation failed, 123 some of several pictures failed,
    130 interrupted, 143 terminated, 1 a bug.
    """
    if not print_config:
        _require(context, "content", "styles", "output")
    held = recipe_file.read(recipe) if recipe else None
    options, origins = parameters.options_given(context, held.given() if held else {})
    if held:
        typed = [name for name, origin in origins.items() if origin == config.COMMAND_LINE]
        held.check(options, typed)
    with console.notes(quiet, verbose):
        for warning in config.unknown(os.environ, settable(context.command)):
            log.warning("%s", warning)
        if print_config:
            console.print_text(parameters.as_toml(context, options, origins))
            return 0
        from .perform import perform  # which --help and the shell's completion need not wait for

        return perform(
            Order(
                content,
                styles,
                output,
                options,
                recipe=held,
                read=tuple(path for path in (recipe, context.params["config"]) if path),
                snapshot_every=snapshot_every,
                timelapse=timelapse,
                trace=trace,
                checkpoint=checkpoint,
                checkpoint_every=checkpoint_every,
                resume=resume,
                recursive=recursive,
                pair=pair,
                jobs=jobs,
                fail_fast=fail_fast,
                dry_run=dry_run,
                json=json,
                quiet=quiet,
            )
        )


def _require(context: click.Context, *names: str) -> None:
    for param in context.command.params:
        if param.name in names and context.params[param.name] in (None, ()):
            raise click.MissingParameter(ctx=context, param=param)
