"""Pictures in, `Result` out: the module that puts network, objective and optimisation together."""

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import interpolate

from . import images, output, pyramid, weights
from .errors import DeviceError, OptionError
from .images import Source
from .job import Job
from .losses import Losses, Objective, Targets, mean_gram
from .minimize import minimize
from .normalized import normalized
from .options import Options, flag
from .pyramid import Scale
from .vgg import Vgg19

log = logging.getLogger(__name__)

#: Deviation of the white noise about mid grey. The paper's start is white noise of no stated
#: amplitude; strong noise (uniform over [0, 1]) is still seen as grain in the result.
NOISE = 0.1


@dataclass(frozen=True)
class Step:
    """The state of a run after one evaluation of the network.

    Attributes:
        iteration: 1 to `iterations`, over all scales; where a scale ends early, the
            numbers of the rest of its share are skipped.
        iterations: planned in all.
        scale: the size being painted.
        scales: all of them, coarse to fine.
        losses: of the best picture so far at this scale.
        image: that picture, 1 x 3 x H x W in [0, 1] or a little beyond, on the run's device; to be
            read, not written to.
    """

    iteration: int
    iterations: int
    scale: Scale
    scales: tuple[Scale, ...]
    losses: Losses
    image: Tensor

    @property
    def work_left(self) -> int:
        """Pixels still to be evaluated if no scale ends early; proportional to the time left."""
        place = self.scales.index(self.scale)
        until = sum(scale.iterations for scale in self.scales[: place + 1])
        here = (until - self.iteration) * self.scale.width * self.scale.height
        return here + sum(scale.work for scale in self.scales[place + 1 :])


#: Sees every step; a true return value ends the run after it.
OnStep = Callable[[Step], object]


@dataclass(frozen=True)
class Result:
    """A painted picture.

    Attributes:
        image: PIL image of mode RGB.
        losses: after each evaluation of the network, those of the best picture so far at its
            scale; a finer scale starts again higher.
        options: what it was painted with.
        seconds: wall time of the run.
        complete: False where `on_step` ended the run before its last iteration.
    """

    image: Image.Image
    losses: tuple[Losses, ...]
    options: Options
    seconds: float
    complete: bool

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture, whole or not at all, in the format of the path's suffix.

        Raises:
            OutputError: unknown suffix, or the file cannot be written.
        """
        output.check_output(path, self.image.size)
        output.save(self.image, path, self.options.jpeg_quality)


def stylize(
    content: Source,
    *styles: Source,
    preset: str | None = None,
    on_step: OnStep | None = None,
    **options: Any,
) -> Result:
    """Paint a photo in the style of a painting.

    Args:
        content: the photo: a path, an open binary file, a PIL image or an array.
        *styles: the painting; several are mixed as the option `blend` says.
        preset: a named set of options.
        on_step: called with a `Step` after each evaluation; a true return value ends the run.
        **options: fields of `Options`, as in `size=512`; they overrule the preset.

    Raises:
        StylizeError: one of its children, which names the file or option at fault.
    """
    job = Job.prepare(Options.from_preset(preset, **options), content, styles)
    return Stylizer(job.options).paint(job, on_step)


class Stylizer:
    """The network, kept for many pictures.

    Args:
        options: how to paint. Instead, or to overrule some of them:
        preset: a named set of options.
        **given: fields of `Options`.

    Raises:
        OptionError: a value is out of range.
        WeightsError: the weights cannot be had.
        DeviceError: there is no such device.
    """

    #: What the network is made from, and so cannot change from picture to picture.
    FIXED = ("weights", "network", "pooling", "device", "precision")

    def __init__(
        self, options: Options | None = None, *, preset: str | None = None, **given: Any
    ) -> None:
        if options is None:
            self.options = Options.from_preset(preset, **given)
        elif preset is None:
            self.options = options.but(**given)
        else:
            raise OptionError("give either options or a preset, not both")
        self.device = _device(self.options.device)
        with _memory_told():
            numbers = weights.load(self.options.weights)
            if self.options.network == "normalized":
                numbers = normalized(numbers, self.options.pooling)
            dtype = _dtype(self.options.precision, self.device)
            self.vgg = Vgg19(numbers, self.options.pooling, self.device, dtype)
        log.info("VGG-19 (%s weights) on %s in %s", self.options.weights, self.device, dtype)

    def __call__(
        self, content: Source, *styles: Source, on_step: OnStep | None = None, **changes: Any
    ) -> Result:
        """Paint one picture.

        Args:
            content: the photo, as in `stylize`.
            *styles: the painting, or several.
            on_step: sees every `Step`; a true return value ends the run.
            **changes: fields of `Options` that differ for this picture; not those in `FIXED`.

        Raises:
            StylizeError: one of its children.
        """
        return self.paint(Job.prepare(self.options.but(**changes), content, styles), on_step)

    def paint(self, job: Job, on_step: OnStep | None = None) -> Result:
        """Paint what has been prepared.

        Args:
            job: pictures and options.
            on_step: sees every `Step`; a true return value ends the run.

        Raises:
            StylizeError: one of its children.
        """
        for name in self.FIXED:
            if getattr(job.options, name) != getattr(self.options, name):
                raise OptionError(f"{flag(name)}: is fixed for a Stylizer; make another one")
        started = time.perf_counter()
        history: list[Losses] = []
        complete = True
        # Total variation and Adam need what inference mode forbids.
        with torch.inference_mode(False), torch.no_grad(), _threads(job.options):
            for step in self._steps(job):
                history.append(step.losses)
                if on_step is not None and on_step(step):
                    complete = step.iteration == step.iterations
                    break
            with _memory_told(job):
                # A run stopped at a coarse scale still gives a picture of the size asked for.
                image = images.to_image(_enlarged(step.image, job.size))
        seconds = time.perf_counter() - started
        return Result(image, tuple(history), job.options, seconds, complete)

    def _steps(self, job: Job) -> Iterator[Step]:
        """Every evaluation of a run, coarse to fine."""
        image: Tensor | None = None
        planned = 0
        total = sum(scale.iterations for scale in job.scales)
        with _memory_told(job):
            for scale in job.scales:
                size = (scale.width, scale.height)
                objective = self.objective(job, size)
                image = self.start(job, size) if image is None else _enlarged(image, size)
                evaluations = minimize(objective, image, scale.iterations, job.options.optimizer)
                iteration = planned
                for iteration, evaluation in enumerate(evaluations, start=planned + 1):
                    image = evaluation.image
                    yield Step(iteration, total, scale, job.scales, evaluation.losses, image)
                planned += scale.iterations
                if iteration < planned:
                    log.info("%d x %d: nothing left to gain after iteration %d", *size, iteration)

    @torch.no_grad()
    def objective(self, job: Job, size: tuple[int, int]) -> Objective:
        """What to minimise at one size: the photo's features, the blend of the Gram matrices.

        Args:
            job: pictures and options.
            size: (width, height) of the picture at this scale.
        """
        grams: dict[str, Tensor] = {}
        for painting, share in zip(job.paintings, job.shares, strict=True):
            shown = pyramid.style_size(
                painting.image.size, size, job.options.style_scale, job.smallest
            )
            features = self.vgg(self._tensor(painting.image, shown), job.style_layers)
            for layer, maps in features.items():
                grams[layer] = grams.get(layer, 0) + share * mean_gram(maps)
        content = self.vgg(self._tensor(job.content.image, size), job.content_layers)
        return Objective(
            self.vgg,
            Targets(content, grams),
            content_layers=job.content_layers,
            style_layers=job.style_layers,
            alpha=job.options.content_weight,
            beta=job.options.style_weight,
            tv_weight=job.options.tv_weight,
            balanced=job.options.objective == "balanced",
        )

    def start(self, job: Job, size: tuple[int, int]) -> Tensor:
        """The first picture, 1 x 3 x H x W: noise, or one that is cropped to fill the size."""
        if job.start is not None:
            return self._tensor(ImageOps.fit(job.start, size, Image.Resampling.LANCZOS), size)
        # Drawn on the CPU, so that a seed means the same noise on every device.
        generator = torch.Generator("cpu").manual_seed(job.options.seed)
        shape = (1, 3, size[1], size[0])
        noise = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
        return (0.5 + NOISE * noise).to(self.device)

    def _tensor(self, image: Image.Image, size: tuple[int, int]) -> Tensor:
        return images.to_tensor(image, size).to(self.device)


def _enlarged(image: Tensor, size: tuple[int, int]) -> Tensor:
    """A 1 x 3 x H x W picture at another (width, height)."""
    height, width = image.shape[2:]
    if (width, height) == size:
        return image
    return interpolate(image, size[::-1], mode="bicubic", align_corners=False)


def _device(wanted: str) -> torch.device:
    """The device asked for, or the best there is.

    Raises:
        DeviceError: it is not there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of a missing driver when merely asked
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = torch.backends.mps.is_available()
    if wanted == "auto":
        return torch.device("cuda" if gpus else "mps" if mps else "cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise DeviceError(f"--device {wanted}: torch sees {gpus} CUDA devices here; try cpu")
    if device.type == "mps" and not mps:
        raise DeviceError(f"--device {wanted}: torch sees no Apple GPU here; try cpu")
    return device


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    """What the network computes in: `"auto"` takes bfloat16 where it is native, hence faster."""
    if precision != "auto":
        return torch.float32 if precision == "float32" else torch.bfloat16
    native = False
    if device.type == "cpu":
        can = torch.cpu.get_capabilities()
        native = bool(can.get("avx512_bf16") or can.get("amx_bf16"))
    elif device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere
    return torch.bfloat16 if native else torch.float32


@contextmanager
def _memory_told(job: Job | None = None) -> Iterator[None]:
    """Turn the several ways in which memory runs out into one error.

    Raises:
        DeviceError: it did; for a job, with the size that was too much.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # CUDA has a class for it; the CPU's allocator and MPS only have words.
        words = (
            "out of memory",
            "not enough memory",
            "can't allocate memory",
            "could not create a primitive",  # oneDNN's way to say it
        )
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and not any(
            word in str(error) for word in words
        ):
            raise
        if job is None:
            raise DeviceError("not enough memory for the network; try --device cpu") from error
        width, height = job.size
        raise DeviceError(
            f"not enough memory for a result of {width} x {height} pixels; give a smaller --size"
        ) from error


@contextmanager
def _threads(options: Options) -> Iterator[None]:
    """Use as many threads as asked for, and put torch's own number back."""
    before = torch.get_num_threads()
    # Set even when unchanged: from then on MKL keeps to that number instead of choosing by the
    # load of the machine, and the same run gives the same bits.
    torch.set_num_threads(options.threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
