"""The one command. It parses, builds `Options`, calls the API, and turns errors into exit codes.

torch is not imported before the arguments and the pictures are known to be good.
"""

import contextlib
import ctypes
import logging
import os
import stat
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import IO, Any

import click
from tqdm.contrib.logging import logging_redirect_tqdm

from . import images
from . import output as output_file
from .errors import DeviceError, OptionError, OutputError, PictureError, StylizeError
from .images import Source
from .job import Job
from .layers import LAYERS
from .options import FORMATS, LARGE, PRESETS, Options, flag, weights_path
from .progress import Bar, Forecast, StopOnInterrupt

INTERRUPTED = 130

#: For the shell's completion alone; what a path leads to is seen when it is opened.
PATH = click.Path(allow_dash=True, readable=False)

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
                click.echo(_one_line(f"stylize: {message}"), err=True)
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
        return error.exit_code, f"{error.format_message()} (stylize --help tells more)"
    if isinstance(error, MemoryError):
        return DeviceError.exit_code, "not enough memory"
    if isinstance(error, click.Abort):  # Ctrl-C, as click has it
        return INTERRUPTED, "interrupted before there was a picture"
    return 1, f"a bug: {error!r}; please report it, with what --debug prints"


def _painting_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Every field of `Options` as a command line option, without a value of its own."""
    for option in reversed(fields(Options)):
        said = option.metadata
        names = [flag(option.name)] + ([said["short"]] if said["short"] else [])
        default = option.default
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        # Long lists of layers are broken at their blanks.
        shown = said["shown"] or shown.replace(",", ", ")
        function = click.option(
            *names,
            type=click.Choice(said["choices"]) if said["choices"] else str,
            metavar=said["metavar"] or None,
            # No default for click: what was not given stays None, and a preset can fill it.
            help=f"{said['help']}  [default: {shown}]",
        )(function)
    return function


def _list_layers(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo("\n".join(LAYERS))
        context.exit()


@click.command(
    "stylize",
    cls=_Command,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.argument("content", type=PATH)
@click.argument("styles", metavar="STYLE...", type=PATH, nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=PATH,
    required=True,
    help=f"Where the result goes: {' '.join(s[0] for s in FORMATS.values())};"
    " '-' is standard output.",
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    help="A set of options; those given beside it win. 'paper' is arXiv:1508.06576."
    "  [default: none]",
)
@_painting_options
@click.option(
    "--list-layers",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_layers,
    help="Print the names of VGG-19's layers and exit.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Say what is being done.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="neural-stylize", message="%(prog)s %(version)s")
def command(
    content: str,
    styles: tuple[str, ...],
    output: str,
    preset: str | None,
    quiet: bool,
    verbose: bool,
    debug: bool,
    **given: str | None,
) -> int:
    """Paint the photo CONTENT in the style of the painting STYLE.

    '-' as CONTENT or STYLE reads a picture from standard input.

    Exit codes: 0 done, 2 usage, 3 unreadable or unsuitable picture, 4 output cannot be written,
    5 weights, 6 device or memory, 7 optimisation failed, 130 interrupted, 1 a bug.
    """
    options = Options.from_preset(preset, **{k: v for k, v in given.items() if v is not None})
    options.shares(len(styles))  # refuses several STYLEs without --blend before all else
    with _notes(quiet, verbose):
        return _paint(content, styles, output, options, quiet)


def _paint(
    content: str, styles: tuple[str, ...], output: str, options: Options, quiet: bool
) -> int:
    _check_paths([content, *styles], output, options)
    there = output != "-" and os.path.lexists(output) and not os.path.isdir(output)
    if there and options.existing == "fail":
        raise OutputError(f"{output}: is there already (--existing fail)")
    if there and options.existing == "skip":
        log.warning("%s: is there already, skipped", output)
        return 0
    if output != "-":
        output_file.check_output(output)
    job = Job.prepare(options, _source(content), [_source(style) for style in styles])
    format = options.format if output == "-" else output_file.format_of(output)
    output_file.check_format(format, job.size)

    if job.size[0] * job.size[1] < LARGE:
        _keep_memory()
    from .stylizer import Step, Stylizer  # and with it, torch

    forecast = Forecast()
    with StopOnInterrupt() as stop:
        # Standard output is the picture's alone, should a library be in the mood to print.
        with Bar(hidden=quiet) as bar, contextlib.redirect_stdout(sys.stderr):

            def on_step(step: Step) -> bool:
                bar(step)
                forecast(step)
                return stop(step)

            result = Stylizer(options).paint(job, on_step)
        if output == "-":
            _write_stdout(output_file.encode(result.image, format, options.jpeg_quality))
        else:
            result.save(output)
    name = "standard output" if output == "-" else output
    log.info("%s: %d x %d pixels in %.1f s", name, *result.image.size, result.seconds)
    if result.complete:
        return 0
    log.warning("interrupted; %s holds the picture so far", name)
    return INTERRUPTED


def _keep_memory() -> None:
    """Have glibc keep what it frees: 6 % of a run goes into fetching the same pages again.

    By default each large tensor is mapped from the system and given back, and every page of it is
    cleared by the kernel when next touched. Here the process is our own, so this may be chosen.
    What is kept is never quite the right size, though: where memory is what limits, it is not done.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another libc
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(-4, 0)  # M_MMAP_MAX: map nothing
            mallopt(-1, -1)  # M_TRIM_THRESHOLD: give nothing back


def _source(path: str) -> Source:
    if path != "-":
        return path
    return images.load(_stream("standard input", sys.stdin), "standard input")


def _check_paths(inputs: list[str], output: str, options: Options) -> None:
    if inputs.count("-") > 1:
        raise OptionError("only one picture can come from standard input")
    if options.init == "-":
        raise OptionError("--init: cannot come from standard input; name a file")
    if output == "-" and _stream("standard output", sys.stdout) and sys.stdout.isatty():
        raise OptionError("-o -: standard output is a terminal; pipe it, or name a file")
    for path in [*inputs, options.init, weights_path(options.weights)[0]]:
        if _same_file(_identity(path, sys.stdin), _identity(output, sys.stdout)):
            raise OptionError(f"-o {output}: is an input too; name another file")


def _identity(path: str, standard: Any) -> os.stat_result | None:
    """Which file that is, through links of both kinds; None where there is none."""
    try:
        return os.fstat(standard.fileno()) if path == "-" else os.stat(path)
    except (OSError, ValueError, AttributeError):
        return None


def _same_file(one: os.stat_result | None, other: os.stat_result | None) -> bool:
    return bool(one and other and stat.S_ISREG(one.st_mode) and os.path.samestat(one, other))


def _stream(name: str, stream: Any) -> IO[bytes]:
    """The bytes of a standard stream."""
    if stream is None:  # as Python has it where the shell closed it: <&-
        error = PictureError if name == "standard input" else OutputError
        raise error(f"{name}: is closed")
    buffer: IO[bytes] = stream.buffer
    return buffer


class _OneLine(logging.Formatter):
    """Whatever a file is called, it breaks no line and sends no command to the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return _one_line(super().format(record))


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextlib.contextmanager
def _notes(quiet: bool, verbose: bool) -> Iterator[None]:
    """Show the library's log on stderr, and of Python's warnings nothing."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("stylize: %(message)s"))
    log.addHandler(handler)
    level = log.level
    log.setLevel(logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING)
    try:
        with warnings.catch_warnings(), logging_redirect_tqdm([log]):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _write_stdout(data: bytes) -> None:
    stdout = _stream("standard output", sys.stdout)
    try:
        stdout.write(data)
        stdout.flush()
    except OSError as error:
        # Python flushes once more as it ends, and would complain in words of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(f"standard output: cannot be written ({error.strerror})") from error
