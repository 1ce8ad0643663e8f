"""One picture by the command: what is there already, who watches, where it goes.

torch is not imported before the pictures are known to be good.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import console, cost, files, images, output
from . import recipe as recipe_file
from .errors import OutputError, PictureError, StylizeError
from .film import Snapshots, Timelapse
from .images import Picture
from .interrupt import TERMINATED
from .job import Job
from .keeper import Keeper
from .options import STARTS, WEIGHTS, Options, weights_path
from .recipe import Recipe
from .request import Request, check

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .step import Step
    from .stylizer import Stylizer

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

        from .stylizer import Stylizer

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


def standing(request: Request) -> str:
    """Why what is there already will do; "" where there is something to paint.

    Raises:
        OutputError: it is there, and must not be; or it is to be updated, and was not made here.
    """
    target, existing = request.output, request.options.existing
    if target == "-" or not os.path.lexists(target) or os.path.isdir(target):
        return ""
    if existing == "fail":
        raise OutputError(f"{target}: is there already (--existing fail)")
    if existing == "skip":
        return "is there already"
    if existing == "update" and _up_to_date(request):
        return "is up to date"
    return ""


def _up_to_date(request: Request) -> bool:
    """Whether what is there was painted from the same files with the same options, to the end.

    Neither the versions of stylize and torch count nor the device: a folder is not painted anew
    because two machines share it.
    """
    target, options = request.output, request.options
    digests: dict[str, Any] = {  # "" for what cannot be read, and is like no other
        "content": files.digest(request.content),
        "styles": [files.digest(style) for style in request.styles],
    }
    if options.mask:
        digests["masks"] = [files.digest(mask) for mask in options.mask]
    if options.init not in STARTS:
        digests["init"] = files.digest(options.init)
    if options.weights not in WEIGHTS:
        digests["weights"] = files.digest(weights_path(options.weights)[0])
    try:
        held = recipe_file.read(target)
    except PictureError as error:
        if os.path.isfile(target) and os.path.getsize(target) == 0:
            return False  # nobody's work
        told = f"is there already, and was not made by stylize as far as can be seen ({error})"
        raise OutputError(f"{target}: {told}; --existing replace paints over it") from error
    return held.repeats(options, digests, output.format_of(target)) and files.whole(target)


def ready(request: Request) -> str:
    """As `standing`; and where there is something to paint, see that it can be written.

    Raises:
        StylizeError: one of its children, of all that is wrong before a picture has been read.
    """
    options = request.options
    options.shares(len(request.styles))  # several STYLEs without --blend, before all else
    check(request)
    reason = standing(request)
    if not reason and request.output != "-":
        output.check_output(request.output, depth=options.depth)
    return reason


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
    photo = _load(request.content, "content picture")
    job = Job.prepare(options, photo, studio.paintings(request.styles))
    format = options.format if target == "-" else output.format_of(target)
    output.check_format(format, job.size, options.depth)

    cost.measure_anew()
    cost.keep_memory(job.size[0] * job.size[1])
    # The film is written last, so that no fault of its costs the picture.
    with film or contextlib.nullcontext():
        # Standard output is the picture's alone, should a library be in the mood to print.
        with contextlib.redirect_stdout(sys.stderr):
            painter = studio.painter(options)  # and with it, torch
            from . import device

            device.measure_anew(painter.device)
            job = replace(job, options=options.but(device=painter.options.device))
            if request.recipe:
                for departure in request.recipe.departures(painter.recipe(job)):
                    log.warning("--recipe: %s", departure)
            keeper = Keeper(request.kept, request.checkpoint_every) if request.kept else None
            extras: list[_Extra] = []
            if request.snapshot_every:
                recipe = painter.recipe(job, complete=False)
                extras.append(_Extra(_snapshots(request, recipe, job.content.exif)))
            if film:
                extras.append(_Extra(film))
            watchers: list[Callable[[Step], object]] = [*extras, *([keeper] if keeper else [])]
            ended = 0

            def on_step(step: "Step") -> int:
                nonlocal ended
                for see in watchers:
                    see(step)
                ended = watch(step)
                if ended and keeper:
                    keeper.save(step)
                return ended

            since = keeper.latest(painter, job, request.resume) if keeper else None
            result = painter.paint(job, on_step, since)
        if ended == TERMINATED and not result.complete and keeper and keeper.there:
            told = f"{keeper.path} holds the run so far"
            return Outcome("interrupted", told, TERMINATED, job.size)
        if target == "-":
            console.write_stdout(result.encode(format))
        else:
            result.save(target)
        if keeper and result.complete:
            keeper.forget()
        for extra in extras:
            if extra.fault:
                raise OutputError(f"{extra.fault}; the picture itself is done") from extra.fault
    name = "standard output" if target == "-" else target
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
