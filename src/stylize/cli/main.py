"""The command: parses what was typed into `Arguments`, runs it, turns errors into exit codes.

torch is not imported before the arguments and the pictures have been checked.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from importlib.metadata import version
from typing import Any

import click
import cloup

from ..errors import ExitCode, OptionError
from ..network.names import LAYERS
from ..settings import config
from ..settings.options import WORDS, Options
from ..settings.presets import PRESETS, PURPOSES
from ..settings.recipe import read_recipe, show_recipe
from . import failures, mistakes, parameters, startup, terminal
from .arguments import PATH, Arguments, Choice
from .combinations import combine
from .groups import in_groups
from .parameters import command_line_option, settable

#: Options that belong to a picture's size: they are not taken over when it is enlarged.
OF_ONE_SIZE = ("size", "iterations", "scales")

#: At the end of `--help`; click does not wrap what follows \b.
EPILOG = """Exit codes: 0 done, 2 usage, 3 unreadable or unsuitable picture, 4 output cannot be
written, 5 weights, 6 device or memory, 7 optimisation failed, 123 some of several pictures failed,
130 interrupted, 143 terminated, 1 a bug.

\b
Examples:
  stylize photo.jpg painting.jpg -o out.jpg
  stylize photo.jpg painting.jpg -o quick.jpg --size 256 --effort draft
  stylize photo.jpg painting.jpg -o hint.jpg --strength 0.3
  stylize photo.jpg painting.jpg -o sheet.png --try style-scale=0.5,1,2
  stylize photo.jpg one.jpg two.jpg -o both.png --blend 0.7,0.3
  stylize photos paintings -o painted/
"""

log = logging.getLogger("stylize")


class _Command(cloup.Command):
    """A command that ends every failure in one line on stderr and its exit code."""

    def __init__(self, *args: Any, params: Sequence[click.Parameter], **declared: Any) -> None:
        super().__init__(*args, params=in_groups(params), **declared)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """See `click.Command`."""
        options, *arguments = super().collect_usage_pieces(ctx)
        return [*arguments, "-o OUTPUT", options]

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        try:
            sys.exit(super().main(args, *rest, **{**extra, "standalone_mode": False}))
        except Exception as error:
            code, message = failures.describe(error)
            with contextlib.suppress(OSError):
                if "--debug" in (sys.argv[1:] if args is None else args):
                    click.echo(terminal.traceback_of(error), err=True)
                click.echo(terminal.one_line(f"stylize: {message}"), err=True)
            sys.exit(code)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """See `click.Command`."""
        with _ctrl_c_aborts():
            return super().make_context(*args, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Command`."""
        mistakes.check_options(ctx, args)
        return super().parse_args(ctx, args)

    def invoke(self, context: click.Context) -> Any:
        """See `click.Command`."""
        with _ctrl_c_aborts():
            return super().invoke(context)


@contextlib.contextmanager
def _ctrl_c_aborts() -> Iterator[None]:
    """Raise what click itself raises after Ctrl-C, but without its empty line."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise click.Abort from error


def _printing(text: Callable[[click.Context, Any], str]) -> Callable[..., None]:
    """The callback of an option that prints a text instead of painting.

    Args:
        text: makes the text from the context and the option's value.
    """

    def callback(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value not in (None, False) and not context.resilient_parsing:
            terminal.print_text(text(context, value))
            context.exit()

    return callback


def _read_config(context: click.Context, _: click.Parameter, path: str | None) -> str | None:
    if path and not context.resilient_parsing:
        context.default_map = config.read_file(path, settable(context.command) - {"config"})
    return path


@cloup.command(
    "stylize",
    cls=_Command,
    context_settings={"auto_envvar_prefix": config.PREFIX, "max_content_width": 100},
    epilog=EPILOG,
)
# `mistakes.check_complete` checks the required ones, because some flags work without them.
@click.argument("content", metavar="CONTENT", type=PATH, required=False)
@click.argument("styles", metavar="STYLE...", type=PATH, nargs=-1)
@click.option(
    "--preset",
    type=Choice(list(PRESETS)),
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
@parameters.command_options
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
    callback=_printing(lambda _, path: show_recipe(path)),
    help="Print how this picture, which stylize made, was painted, and exit.",
)
@command_line_option(
    "--list-layers",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_printing(lambda *_: "\n".join(LAYERS)),
    help="Print the names of VGG-19's layers and exit.",
)
@click.option("-v", "--verbose/--no-verbose", help="Print what is being done.")
@command_line_option("--debug", is_flag=True, help="Print the traceback of an error.")
@command_line_option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_printing(lambda *_: f"stylize {version('neural-stylize')}"),
    help="Print the version and exit.",
)
@click.help_option(
    "-h",
    "--help",
    allow_from_autoenv=False,
    callback=_printing(lambda context, _: context.get_help()),
    help="Print this text and exit.",
)
@click.pass_context
def command(context: click.Context, /, **typed: Any) -> int:
    """Paint the photo CONTENT in the style of the painting STYLE.

    Both may be folders, or '-' for a picture from standard input. The result is OUTPUT.
    """
    if typed["verbose"] or typed["debug"]:
        startup.show_libraries()
    if not typed["print_config"]:
        needed = ("content", "styles", "output", "pairs", "size")
        mistakes.check_complete(*(typed[name] for name in needed))
    recipe, source = typed["recipe"], "--recipe"
    if not recipe and (recipe := _typed_enlarge(context)):
        source, context.params["recipe"] = "--enlarge", recipe
    recorded = read_recipe(recipe) if recipe else None
    values = recorded.option_values() if recorded else {}
    if source == "--enlarge":
        values = {name: value for name, value in values.items() if name not in OF_ONE_SIZE}
    options, origins = parameters.options_given(context, values)
    if recorded:
        named = [name for name, origin in origins.items() if origin == config.COMMAND_LINE]
        recorded.check_files_named(options, named, source)

    def options_with(preset: str | None) -> Options:
        if preset is None:
            return options
        if parameters.origin(context, "preset") == config.COMMAND_LINE:
            raise OptionError("--preset: leave it out with --try preset")
        return parameters.options_given(context, values, preset)[0]

    trials, size_given = typed["trials"], origins["size"] != config.DEFAULT
    with terminal.log_to_stderr(typed["quiet"], typed["verbose"]):
        for warning in config.unknown_variables(os.environ, settable(context.command)):
            log.warning("%s", warning)
        if typed["print_config"]:
            terminal.print_text(parameters.as_toml(context, options, origins))
            return ExitCode.DONE
        found = {
            "options": options,
            "recipe": recorded,
            "trials": combine(trials, options_with, size_given) if trials else (),
            "settings_files": tuple(filter(None, (recipe, typed["config"], typed["pairs"]))),
            "content": typed["content"] or "",
        }
        names = {field.name for field in fields(Arguments)}
        as_typed = {name: value for name, value in typed.items() if name in names}
        return run_command(Arguments(**{**as_typed, **found}))


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

    if arguments.pairs and arguments.trials:
        raise OptionError("--pairs: leave it out with --try, which is for one picture")
    if arguments.json and arguments.output == "-":
        raise OptionError("--json: standard output is taken by the picture (-o -)")
    several = is_batch(arguments)
    if not several:
        mistakes.check_words(arguments)
    mistakes.check_wildcard(arguments, several)
    if arguments.cluster is not None:
        connection.check(arguments, bool(arguments.trials) or several)
    _warn_of_options_without_effect(arguments)
    if arguments.dry_run:
        return run_dry(arguments)
    if arguments.trials:
        return run_trials(arguments)
    if several:
        return run_batch(arguments)
    return run_single(arguments)


def _warn_of_options_without_effect(arguments: Arguments) -> None:
    """With `--try`, an option has none if it has none in any of the pictures."""
    tried = [trial.options for trial in arguments.trials] or [arguments.options]
    one_style = len(arguments.styles) == 1 and not os.path.isdir(arguments.styles[0])
    first, *others = [options.without_effect(one_style) for options in tried]
    for remark in first:
        if all(remark in other for other in others):
            log.warning("%s", remark)


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
