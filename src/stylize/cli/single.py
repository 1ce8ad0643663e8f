"""One picture by the command: what is there already, who watches, where it goes.

torch is not imported before the pictures are known to be good.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import files
from .. import files as writing
from ..callbacks.autosave import Keeper
from ..callbacks.film import Snapshots, Timelapse
from ..callbacks.trace import Trace
from ..errors import DeviceError, OptimizationError, OutputError, StylizeError
from ..images import encode as output
from ..images import picture as images
from ..images.picture import Picture
from ..settings.options import FORMATS, Options
from ..settings.recipe import Recipe
from ..transfer import memory as cost
from ..transfer import memory as room
from ..transfer.job import Job
from . import terminal as console
from .existing import ready
from .task import Request
from .terminal import TERMINATED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..transfer.step import Step
    from ..transfer.stylizer import Stylizer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a picture went.

    Attributes:
        status: "done", "skipped" (what is there will do), "interrupted" (the picture so far is
            kept), "failed", or, in a plan alone, "planned".
        reason: why it is not done.
        code: what the command exits with if it is the only picture.
        size: (width, height) of the result, if known.
        iterations: evaluations of the network.
        seconds: wall time of the painting.
        losses: of the result, by the names of `Losses`.
        memory: the most that the process held meanwhile, in bytes; None where the system does not
            tell. In a plan, this and `seconds` are estimates.
        device_memory: the same on a CUDA device.
    """

    status: str
    reason: str = ""
    code: int = 0
    size: tuple[int, int] | None = None
    iterations: int | None = None
    seconds: float | None = None
    losses: dict[str, float] | None = None
    memory: int | None = None
    device_memory: int | None = None

    @classmethod
    def failed(cls, error: StylizeError) -> "Outcome":
        """Of a picture that cannot be had."""
        return cls("failed", str(error), error.exit_code)


class Studio:
    """What is kept from one picture to the next: the network, and the pictures last read.

    Args:
        number: of this worker, from 0.
        workers: how many share the machine: its processor, and its CUDA devices if it has more.
    """

    def __init__(self, number: int = 0, workers: int = 1) -> None:
        self.number, self.workers = number, workers
        self.made: Stylizer | None = None
        #: Why there is no network, and so will be no picture.
        self.fault: StylizeError | None = None
        self.kept: dict[tuple[object, ...], Picture] = {}
        #: Of the memory that is free before any of them has the network.
        self.share = room.free() / workers - cost.BASE_BYTES if workers > 1 else None

    def paintings(self, paths: Sequence[str]) -> list[Picture]:
        """Those of a request; kept for the next one, unless the file changes."""
        keys = [(path, *files.stamp(path)) for path in paths]
        self.kept = {
            key: self.kept[key] if key in self.kept else _load(path, "style picture")
            for key, path in zip(keys, paths, strict=True)
        }
        return [self.kept[key] for key in keys]

    def painter(self, options: Options) -> "Stylizer":
        """The network for these options; `options.device` may be one of several."""
        import torch

        from ..transfer.stylizer import Stylizer

        if self.workers > 1 and not self.made:
            torch.set_num_threads(max(1, torch.get_num_threads() // self.workers))
        if self.workers > 1 and options.device in ("auto", "cuda"):
            devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
            if devices > 1:
                options = options.but(device=f"cuda:{self.number % devices}")
        if not self.made or any(
            getattr(self.made.options, name) != getattr(options, name) for name in Stylizer.FIXED
        ):
            try:
                self.made = Stylizer(options)
            except StylizeError as error:
                self.fault = error
                raise
        return self.made


def _load(path: str, name: str) -> Picture:
    source = console.stream("standard input", sys.stdin) if path == "-" else path
    return images.load(source, "standard input" if path == "-" else name)


def paint(request: Request, studio: Studio, watch: Callable[["Step"], int]) -> Outcome:
    """Paint one picture, and write it, unless what is there will do.

    Args:
        request: what was asked for.
        studio: kept from one picture to the next.
        watch: sees every step, and gives 0; or, to end the run, what the command is to exit with:
            `interrupt.INTERRUPTED`, and the picture so far is kept, or `TERMINATED`.

    Returns:
        "done", "skipped" or "interrupted".

    Raises:
        StylizeError: one of its children.
    """
    target, options = request.output, request.options
    reason = ready(request)
    if reason:
        return Outcome("skipped", reason)
    film = Timelapse(request.timelapse, options.background) if request.timelapse else None
    trace = Trace(request.trace) if request.trace else None
    photo = _load(request.content, "content picture")
    job = Job.prepare(options, photo, studio.paintings(request.styles))
    format = options.format if target == "-" else output.format_of(target)
    if options.size != "fit":  # else its size is not known yet
        output.check_format(format, job.size, options.depth)

    cost.measure_anew()
    # The film is written last, so that no fault of its costs the picture.
    with film or contextlib.nullcontext():
        # Standard output is the picture's alone, should a library be in the mood to print.
        with contextlib.redirect_stdout(sys.stderr):
            painter = studio.painter(options)  # and with it, torch
            from ..transfer import device

            device.measure_anew(painter.device)
            job = replace(job, options=options.but(device=painter.options.device))
            keeper = Keeper(request.kept, request.checkpoint_every) if request.kept else None
            if keeper and request.resume:
                job = keeper.sized(painter, job, studio.share)
            job = painter.fitted(job, studio.share)
            output.check_format(format, job.size, options.depth)
            cost.keep_memory(job.size[0] * job.size[1])
            if request.recipe:
                for departure in request.recipe.departures(painter.recipe(job)):
                    log.warning("--recipe: %s", departure)
            extras = [_Extra(extra) for extra in (film, trace) if extra]
            if request.snapshot_every:
                recipe = painter.recipe(job, complete=False)
                extras.append(_Extra(_snapshots(request, recipe, job.content.exif)))
            latest: Step | None = None
            ended = 0

            def on_step(step: "Step") -> int:
                nonlocal ended, latest
                latest = step
                for see in extras:
                    see(step)
                if keeper:
                    keeper(step)
                ended = watch(step)
                if ended and keeper:
                    keeper.save(step)
                return ended

            try:
                with trace or contextlib.nullcontext():
                    result = painter.paint(
                        job,
                        on_step,
                        # By no name of ours, which would keep it in memory.
                        keeper.latest(painter, job, request.resume) if keeper else None,
                    )
                broken_off = ended == TERMINATED and not result.complete
                if broken_off and keeper and keeper.there:
                    told = f"{keeper.path} holds the run so far"
                    return Outcome("interrupted", told, TERMINATED, job.size)
                with device.memory_told("not enough memory to encode the picture"):
                    data = result.encode(format)
            except DeviceError as error:
                if keeper and latest and keeper.save(latest):
                    raise DeviceError(f"{error}; {keeper.path} holds the run so far") from error
                raise
        _deliver(data, target, format)
        if keeper and (result.complete or result.fault):
            keeper.forget()
    name = "standard output" if target == "-" else target
    if result.fault:
        raise OptimizationError(f"{name}: {result.fault}; it holds the picture before that")
    for extra in extras:
        if extra.fault:
            raise OutputError(f"{extra.fault}; the picture itself is done") from extra.fault
    log.info("%s: %d x %d pixels in %.1f s", name, *job.size, result.seconds)
    if not result.complete:
        log.warning("interrupted; %s holds the picture so far", name)
    return Outcome(
        status="done" if result.complete else "interrupted",
        reason="" if result.complete else "holds the picture so far",
        code=0 if result.complete else ended,
        size=job.size,
        iterations=len(result.losses),
        seconds=result.seconds,
        losses=asdict(result.losses[-1]),
        memory=cost.peak(),
        device_memory=device.peak(painter.device),
    )


def _deliver(data: bytes, target: str, format: str) -> None:
    """Write the result where it was asked for; or else where it can be found.

    Raises:
        OutputError: it could not be written there; the message says where it is now.
    """
    try:
        if target == "-":
            console.write_stdout(data)
        else:
            writing.write(target, data)
    except OutputError as error:
        name = f"out{FORMATS[format][0]}" if target == "-" else target
        place = writing.rescue(data, name)
        kept = f"the picture is kept as {place}" if place else "nor is there room for it elsewhere"
        raise OutputError(f"{error}; {kept}") from error


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
