"""One picture by the command: which files it may touch, who watches it grow, where it goes.

torch is not imported before the pictures are known to be good.
"""

import contextlib
import ctypes
import logging
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import console, images, output
from .errors import OptionError, OutputError
from .film import Snapshots, Timelapse
from .images import Source
from .job import Job
from .options import LARGE, Options, flag, weights_path
from .progress import Bar, Forecast, StopOnInterrupt
from .recipe import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .stylizer import Step

INTERRUPTED = 130

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        content: path of the photo, or "-" for standard input.
        styles: paths of the paintings; one of them may be "-" instead.
        output: where the result goes, or "-" for standard output.
        options: how to paint.
        recipe: to be painted after, if any.
        read: other files that were read, and are not to be written over.
        snapshot_every: iterations between two snapshots; None for none.
        timelapse: where the film goes; None for none.
        quiet: show no bar.
    """

    content: str
    styles: tuple[str, ...]
    output: str
    options: Options
    recipe: Recipe | None = None
    read: tuple[str, ...] = ()
    snapshot_every: int | None = None
    timelapse: str | None = None
    quiet: bool = False

    @property
    def snapshots(self) -> str:
        """The folder of the snapshots."""
        return f"{os.path.splitext(self.output)[0]}-snapshots"


def run(request: Request) -> int:
    """Paint one picture, and write it.

    Returns:
        The exit code: 0, or `INTERRUPTED` where Ctrl-C ended it and the picture so far was kept.

    Raises:
        StylizeError: one of its children.
    """
    target, options = request.output, request.options
    options.shares(len(request.styles))  # several STYLEs without --blend, before all else
    _check_paths(request)
    there = target != "-" and os.path.lexists(target) and not os.path.isdir(target)
    if there and options.existing == "fail":
        raise OutputError(f"{target}: is there already (--existing fail)")
    if there and options.existing == "skip":
        log.warning("%s: is there already, skipped", target)
        return 0
    if target != "-":
        output.check_output(target, depth=options.depth)
    film = Timelapse(request.timelapse, options.background) if request.timelapse else None
    job = Job.prepare(options, _source(request.content), [_source(s) for s in request.styles])
    format = options.format if target == "-" else output.format_of(target)
    output.check_format(format, job.size, options.depth)

    if job.size[0] * job.size[1] < LARGE:
        _keep_memory()
    from .stylizer import Stylizer  # and with it, torch

    # The film is written last, so that no fault of its costs the picture.
    with StopOnInterrupt() as stop, film or contextlib.nullcontext():
        # Standard output is the picture's alone, should a library be in the mood to print.
        with Bar(hidden=request.quiet) as bar, contextlib.redirect_stdout(sys.stderr):
            painter = Stylizer(options)
            if request.recipe:
                for departure in request.recipe.departures(painter.recipe(job)):
                    log.warning("--recipe: %s", departure)
            extras: list[_Extra] = []
            if request.snapshot_every:
                recipe = painter.recipe(job, complete=False)
                extras.append(_Extra(_snapshots(request, recipe, job.content.exif)))
            if film:
                extras.append(_Extra(film))
            watchers: list[Callable[[Step], object]] = [bar, Forecast(), *extras, stop]
            # All of them see every step.
            result = painter.paint(job, lambda step: any([watch(step) for watch in watchers]))
        if target == "-":
            console.write_stdout(result.encode(format))
        else:
            result.save(target)
        for extra in extras:
            if extra.fault:
                raise OutputError(f"{extra.fault}; the picture itself is done") from extra.fault
    name = "standard output" if target == "-" else target
    log.info("%s: %d x %d pixels in %.1f s", name, *job.size, result.seconds)
    if result.complete:
        return 0
    log.warning("interrupted; %s holds the picture so far", name)
    return INTERRUPTED


class _Extra:
    """A watcher whose fault costs itself, and not the picture."""

    def __init__(self, watch: Callable[["Step"], object]) -> None:
        self.watch = watch
        self.fault: Exception | None = None

    def __call__(self, step: "Step") -> None:
        if self.fault is None:
            try:
                self.watch(step)
            except Exception as error:
                self.fault = error
                log.warning("%s; the picture goes on without", error)


def _snapshots(request: Request, recipe: Recipe, exif: bytes) -> Snapshots:
    def save(pixels: "NDArray[Any]", path: Path) -> None:
        output.save(pixels, path, request.options, recipe, exif)

    every = request.snapshot_every or 0
    return Snapshots(request.snapshots, every, save, Path(request.output).suffix)


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
    return images.load(console.stream("standard input", sys.stdin), "standard input")


def _check_paths(request: Request) -> None:
    target, options = request.output, request.options
    inputs = [request.content, *request.styles]
    if inputs.count("-") > 1:
        raise OptionError("only one picture can come from standard input")
    for name, paths in (("init", (options.init,)), ("mask", options.mask)):
        if "-" in paths:
            raise OptionError(f"{flag(name)}: cannot come from standard input; name a file")
    if target == "-" and console.stream("standard output", sys.stdout) and sys.stdout.isatty():
        raise OptionError("-o -: standard output is a terminal; pipe it, or name a file")
    if target == "-" and request.snapshot_every:
        raise OptionError("--snapshot-every: its folder is named after OUTPUT; name a file")
    weights, _ = weights_path(options.weights)
    inputs += [*request.read, options.init, *options.mask, weights]
    written = {"-o": target} | ({"--timelapse": request.timelapse} if request.timelapse else {})
    for name, path in written.items():
        if any(_same_file(path, other) for other in inputs):
            raise OptionError(f"{name} {path}: is an input too; name another file")
    if request.timelapse and _same_place(request.timelapse, target):
        raise OptionError(f"--timelapse {request.timelapse}: is OUTPUT too; name another file")
    if request.snapshot_every:
        folders = [os.path.dirname(os.path.realpath(path)) for path in (*inputs, *written.values())]
        if os.path.realpath(request.snapshots) in folders:
            raise OptionError(f"--snapshot-every: other files lie in {request.snapshots}")
        with contextlib.suppress(OSError):  # there is no such folder yet
            for entry in os.scandir(request.snapshots):
                if any(_same_file(entry.path, other) for other in inputs):
                    raise OptionError(f"--snapshot-every: {entry.path} leads to an input")


def _same_place(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _same_file(written: str, read: str) -> bool:
    """Whether both are the same file, through links of both kinds."""
    one, other = _identity(written, sys.stdout), _identity(read, sys.stdin)
    return bool(one and other and stat.S_ISREG(one.st_mode) and os.path.samestat(one, other))


def _identity(path: str, standard: Any) -> os.stat_result | None:
    """Which file that is; None where there is none."""
    try:
        return os.fstat(standard.fileno()) if path == "-" else os.stat(path)
    except (OSError, ValueError, AttributeError):
        return None
