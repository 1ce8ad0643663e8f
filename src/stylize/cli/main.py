"""The command: parses what was typed into `Arguments`, runs it, turns errors into exit codes.

torch is not imported before the arguments and the pictures have been checked.
"""

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from ..callbacks.film import SIDES
from ..errors import (
    DeviceError,
    ExitCode,
    OptionError,
    OutputError,
    StylizeError,
    shortened,
)
from ..network.names import LAYERS
from ..settings import config
from ..settings.options import FORMATS, WORDS, Options
from ..settings.presets import PRESETS, PURPOSES
from ..settings.recipe import read_recipe, show_recipe
from . import parameters, terminal
from .combinations import combine
from .naming import FIELDS
from .parameters import PATH, command_line_option, settable
from .task import EXISTING, PAIRINGS, Arguments

#: Options that belong to a picture's size: they are not taken over when it is enlarged.
OF_ONE_SIZE = ("size", "iterations", "scales")
#: Rounds of a loop, well under a millisecond in all, in which OpenMP's threads wait for work before
#: they sleep. By default they wait for milliseconds, and keep a processor from NNPACK's threads, or
#: from other programs on a busy machine.
SPINS = 20_000

#: The most characters of what click says about a value, which may come from a file.
_LONGEST_REASON = 300

log = logging.getLogger("stylize")


class _Command(click.Command):
    """A command that ends every failure in one line on stderr and its exit code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        try:
            sys.exit(super().main(args, *rest, **{**extra, "standalone_mode": False}))
        except Exception as error:
            if "--debug" in (sys.argv[1:] if args is None else args):
                traceback.print_exc()
            code, message = _describe(error)
            with contextlib.suppress(OSError):
                click.echo(terminal.one_line(f"stylize: {message}"), err=True)
            sys.exit(code)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except KeyboardInterrupt as error:  # click would print an empty line first
            raise click.Abort from error


def _describe(error: Exception) -> tuple[int, str]:
    """The exit code for an error, and its message."""
    if isinstance(error, StylizeError):
        return error.exit_code, str(error)
    if isinstance(error, click.ClickException):
        reason = shortened(error.format_message(), _LONGEST_REASON)
        message = f"{_place(error)}{reason} (see stylize --help)"
        return error.exit_code, message
    if isinstance(error, FileNotFoundError) and not _current_folder_exists():
        return OutputError.exit_code, "the current folder was deleted; change to another one"
    if isinstance(error, MemoryError):
        return DeviceError.exit_code, "not enough memory"
    if isinstance(error, click.Abort):  # what click makes of Ctrl-C
        return ExitCode.INTERRUPTED, "interrupted before there was a picture"
    return ExitCode.BUG, f"a bug: {error!r}; please report it, with what --debug prints"


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


def _list_layers(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        terminal.print_text("\n".join(LAYERS))
        context.exit()


def _show_recipe(context: click.Context, _: click.Parameter, path: str | None) -> None:
    if path is not None and not context.resilient_parsing:
        terminal.print_text(show_recipe(path))
        context.exit()


def _read_config(context: click.Context, _: click.Parameter, path: str | None) -> str | None:
    if path and not context.resilient_parsing:
        context.default_map = config.read_file(path, settable(context.command) - {"config"})
    return path


@click.command(
    "stylize",
    cls=_Command,
    context_settings={"auto_envvar_prefix": config.PREFIX, "max_content_width": 100},
)
# The required arguments are checked in `_require`, because some flags work without them.
@click.argument("content", metavar="CONTENT", type=PATH, required=False)
@click.argument("styles", metavar="STYLE...", type=PATH, nargs=-1)
@click.option(
    "-o",
    "--output",
    type=PATH,
    help=f"Where to write the result (required): {' '.join(s[0] for s in FORMATS.values())};"
    " '-' is standard output. For several pictures: a folder, created if it does not exist, or a"
    f" pattern with {' '.join(f'{{{field}}}' for field in FIELDS)} in it.",
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    help="A set of options; other options that are given win over it. "
    + "; ".join(f"'{name}': {purpose}" for name, purpose in PURPOSES.items())
    + ".  [default: none]",
)
@click.option(
    "--config",
    metavar="FILE",
    type=PATH,
    is_eager=True,
    callback=_read_config,
    help="Read options from this TOML file, as in style-weight = 2. Environment variables, as in"
    " STYLIZE_STYLE_WEIGHT=2, and options on the command line win.  [default: none]",
)
@command_line_option(
    "--recipe",
    metavar="PATH",
    type=PATH,
    help="Paint with the options of this picture, which stylize made. Options on the command line"
    " win.  [default: none]",
)
@command_line_option(
    "--try",
    "trials",
    metavar="NAME=VALUE,...",
    multiple=True,
    help="Paint with each of these values, small unless --size is given, and lay the pictures out"
    " on one sheet, OUTPUT: --try style-weight=0.3,1,3. Given twice, all combinations are"
    " painted. NAME may also be 'preset'.  [default: none]",
)
@parameters.painting_options
@click.option(
    "--existing",
    type=click.Choice(EXISTING),
    default=Arguments.existing,
    help="What to do when OUTPUT exists already: 'update' paints it again if it is incomplete, or"
    " if an input or an option has changed.  [default: update for folders, else replace]",
)
@click.option(
    "--format",
    type=click.Choice(list(FORMATS)),
    default=Arguments.format,
    help="Format where no file name says it: on standard output ('-o -'), and in a folder."
    f"  [default: {Arguments.format}]",
)
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
    "--report",
    metavar="PAGE.html",
    type=PATH,
    help="Write a page that shows photos, paintings, results and losses, and is written anew while"
    " the run goes on. It is one file, and opens in any browser.  [default: none]",
)
@click.option(
    "--checkpoint",
    metavar="PATH",
    type=PATH,
    help="Where a run saves what it needs to resume after an interruption; deleted when the picture"
    " is done.  [default: OUTPUT.checkpoint]",
)
@click.option(
    "--checkpoint-every",
    metavar="SECONDS",
    type=click.FloatRange(0.1),
    default=Arguments.checkpoint_every,
    help="Time from one checkpoint to the next; a shorter run saves none."
    f"  [default: {Arguments.checkpoint_every:g}]",
)
@click.option(
    "--resume/--no-resume",
    default=Arguments.resume,
    help="Resume an interrupted run of the same picture.  [default: resume]",
)
@click.option(
    "--recursive/--no-recursive",
    help="Search the subfolders of a folder too, and give the results the same subfolders.",
)
@click.option(
    "--pair",
    type=click.Choice(PAIRINGS),
    default=Arguments.pair,
    help="With folders: 'all' paints every photo in every style, 'zip' the first in the first and"
    f" so on.  [default: {Arguments.pair}]",
)
@click.option(
    "--jobs",
    "-j",
    metavar="N",
    type=click.IntRange(1, 256),
    default=Arguments.jobs,
    help="Paint N pictures at once, in processes that share the processor; with several GPUs"
    f", each takes one.  [default: {Arguments.jobs}]",
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Paint folders on the machines of a Ray cluster: HOST:PORT, or 'auto' for the cluster that"
    " this machine belongs to, else one on this machine alone.  [default: none]",
)
@click.option(
    "--fail-fast/--no-fail-fast",
    help="Start no more pictures once one has failed.",
)
@command_line_option(
    "--dry-run",
    is_flag=True,
    help="Print what would be done, with an estimate of time and memory, and exit.",
)
@click.option(
    "--json/--no-json",
    help="Print a line of JSON for each picture on standard output.",
)
@command_line_option(
    "--print-config",
    is_flag=True,
    help="Print the options that would be used, and where each comes from, and exit. The output is"
    " a file for --config.",
)
@command_line_option(
    "--show-recipe",
    metavar="PATH",
    type=PATH,
    is_eager=True,
    expose_value=False,
    callback=_show_recipe,
    help="Print how this picture, which stylize made, was painted, and exit.",
)
@command_line_option(
    "--list-layers",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_layers,
    help="Print the names of VGG-19's layers and exit.",
)
@click.option("-q", "--quiet/--no-quiet", help="Print nothing but errors.")
@click.option("-v", "--verbose/--no-verbose", help="Print what is being done.")
@command_line_option("--debug", is_flag=True, help="Print the traceback of an error.")
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
    trials: tuple[str, ...],
    existing: str,
    format: str,
    print_config: bool,
    snapshot_every: int | None,
    timelapse: str | None,
    trace: str | None,
    report: str | None,
    checkpoint: str | None,
    checkpoint_every: float,
    resume: bool,
    recursive: bool,
    pair: str,
    jobs: int,
    cluster: str | None,
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
    # Read when torch is loaded, which is later; workers inherit it.
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
    if not print_config:
        _require(context, "content", "styles", "output")
    source = "--recipe"
    if not recipe and (recipe := _typed_enlarge(context)):
        source, context.params["recipe"] = "--enlarge", recipe
    recorded = read_recipe(recipe) if recipe else None
    values = recorded.option_values() if recorded else {}
    if source == "--enlarge":
        values = {name: value for name, value in values.items() if name not in OF_ONE_SIZE}
    options, origins = parameters.options_given(context, values)
    if recorded:
        typed = [name for name, origin in origins.items() if origin == config.COMMAND_LINE]
        recorded.check_files_named(options, typed, source)

    def options_with(preset: str | None) -> Options:
        if preset is None:
            return options
        if parameters.origin(context, "preset") == config.COMMAND_LINE:
            raise OptionError("--preset: leave it out with --try preset")
        return parameters.options_given(context, values, preset)[0]

    size_given = origins["size"] != config.DEFAULT
    with terminal.log_to_stderr(quiet, verbose):
        for warning in config.unknown_variables(os.environ, settable(context.command)):
            log.warning("%s", warning)
        if print_config:
            terminal.print_text(parameters.as_toml(context, options, origins))
            return ExitCode.DONE
        return run_command(
            Arguments(
                content,
                styles,
                output,
                options,
                recipe=recorded,
                trials=combine(trials, options_with, size_given) if trials else (),
                settings_files=tuple(filter(None, (recipe, context.params["config"]))),
                existing=existing,
                format=format,
                snapshot_every=snapshot_every,
                timelapse=timelapse,
                trace=trace,
                report=report,
                checkpoint=checkpoint,
                checkpoint_every=checkpoint_every,
                resume=resume,
                recursive=recursive,
                pair=pair,
                jobs=jobs,
                cluster=cluster,
                fail_fast=fail_fast,
                dry_run=dry_run,
                json=json,
                quiet=quiet,
            )
        )


def run_command(arguments: Arguments) -> ExitCode:
    """Do what was asked for: paint one picture or a folder of them, or say what would be done.

    Returns:
        The exit code: DONE, SOME_FAILED of several pictures, INTERRUPTED or TERMINATED.

    Raises:
        StylizeError: one of its subclasses.
    """
    # Imported here, because --help and the shell's completion need not wait for them.
    from . import connection
    from .batch import run_batch
    from .dry_run import run_dry
    from .folders import is_batch
    from .single import run_single
    from .trials import run_trials

    if arguments.json and arguments.output == "-":
        raise OptionError("--json: standard output is taken by the picture (-o -)")
    if arguments.cluster is not None:
        connection.check(arguments, bool(arguments.trials) or is_batch(arguments))
    if arguments.dry_run:
        return run_dry(arguments)
    if arguments.trials:
        return run_trials(arguments)
    if is_batch(arguments):
        return run_batch(arguments)
    return run_single(arguments)


def _typed_enlarge(context: click.Context) -> str | None:
    """The picture that `--enlarge` names on the command line, from which options are taken.

    Raises:
        OptionError: it would have to come from standard input.
    """
    path: str = context.params["enlarge"]
    if context.get_parameter_source("enlarge") != click.core.ParameterSource.COMMANDLINE:
        return None
    if path == "-":
        raise OptionError("--enlarge: cannot come from standard input; name a file")
    return None if path in WORDS["enlarge"] else path


def _require(context: click.Context, *names: str) -> None:
    for param in context.command.params:
        if param.name in names and context.params[param.name] in (None, ()):
            raise click.MissingParameter(ctx=context, param=param)
