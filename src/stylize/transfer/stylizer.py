"""Pictures in, `Result` out: the module that puts network, objective and optimisation together."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import OptimizationError, OptionError
from ..images import picture as images
from ..images.picture import Picture, Source
from ..network import weights
from ..network.normalized import normalized
from ..network.vgg import Vgg19
from ..settings.options import LARGE, Options, flag
from ..settings.recipe import Recipe
from . import device
from . import memory as cost
from .checkpoint import Checkpoint
from .finish import enlarged
from .job import Job
from .losses import Losses
from .optimize import State, minimize
from .result import Result
from .step import OnStep, Step
from .targets import Styles, matched, objective

log = logging.getLogger(__name__)

#: Deviation of the white noise about mid grey. The paper's start is white noise of no stated
#: amplitude; strong noise (uniform over [0, 1]) is still seen as grain in the result.
NOISE = 0.1


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
    stylizer = Stylizer(job.options)
    return stylizer.paint(stylizer.fitted(job), on_step)


class Stylizer:
    """The network, kept for many pictures, and what it saw of the paintings.

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
        self.device = device.pick(self.options.device)
        with device.memory_told("not enough memory for the network; try --device cpu"):
            numbers = weights.load(self.options.weights)
            if self.options.network == "normalized":
                numbers = normalized(numbers, self.options.pooling)
            dtype = device.dtype(self.options.precision, self.device)
            self.vgg = Vgg19(numbers, self.options.pooling, self.device, dtype)
        self.styles = Styles(self.vgg)
        self.digest = numbers.digest
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
        job = Job.prepare(self.options.but(**changes), content, styles)
        return self.paint(self.fitted(job), on_step)

    def paint(
        self, job: Job, on_step: OnStep | None = None, since: Checkpoint | None = None
    ) -> Result:
        """Paint what has been prepared.

        Args:
            job: pictures and options; as `fitted` gives it, or memory may not suffice.
            on_step: sees every `Step`; a true return value ends the run.
            since: where to go on; the result is the same to the last bit as of one unbroken run.

        Raises:
            StylizeError: one of its children.
        """
        for name in self.FIXED:
            if getattr(job.options, name) != getattr(self.options, name):
                raise OptionError(f"{flag(name)}: is fixed for a Stylizer; make another one")
        started = time.perf_counter()
        before = since.seconds if since else 0.0
        history: list[Losses] = list(since.losses) if since else []
        steps = self._steps(job, history, started - before, since)
        del since  # which would be kept in memory throughout
        step: Step | None = None
        complete, fault = True, ""
        # Total variation and Adam need what inference mode forbids.
        threads = device.threads(job.options.threads)
        with torch.inference_mode(False), torch.no_grad(), threads:
            try:
                for step in steps:
                    history.append(step.losses)
                    if on_step is not None and on_step(step):
                        complete = step.iteration == step.iterations
                        break
            except OptimizationError as error:
                if step is None:
                    raise
                place = f"{step.iteration + 1} of {step.iterations}"
                complete, fault = False, f"ended before iteration {place}: {error}"
                log.info("%s", fault)
            assert step is not None  # every scale has an iteration, and each a step or an error
            with device.memory_told(_too_large(job)):
                pixels = step.picture()
        return Result(
            pixels,
            losses=tuple(history),
            options=job.options,
            seconds=before + time.perf_counter() - started,
            complete=complete,
            recipe=self.recipe(job, complete),
            exif=job.content.exif,
            fault=fault,
        )

    def fitted(self, job: Job, share: float | None = None) -> Job:
        """The job, at a size that there is memory for.

        Args:
            job: pictures and options; only with a size of "fit" is another size taken.
            share: bytes of the machine's memory that are this run's; None for all that is free.

        Raises:
            DeviceError: it is too large for the memory, as far as can be foreseen.
        """
        room = device.free(self.device)
        if share is not None and self.device.type != "cuda":
            room = min(room, share)
        need = cost.Memory(
            self.precision, job.content_layers, job.style_layers, job.options.optimizer
        )
        smaller = job.options.size == "fit"
        side = cost.fitted(job.size, smaller, need, room)
        return job.fit(side if side < max(job.size) else "original") if smaller else job

    @property
    def precision(self) -> str:
        """Of the network: "float32" or "bfloat16"."""
        return device.name(self.vgg.dtype)

    def recipe(self, job: Job, complete: bool = True) -> Recipe:
        """What a picture painted here depends on.

        Args:
            job: pictures and options.
            complete: whether the run went on to its last iteration.
        """
        return Recipe.of(
            job.options,
            torch=str(torch.__version__),
            device=self.device.type,
            precision=self.precision,
            complete=complete,
            digests={**job.digests, "weights": self.digest},
            fitted=job.fitted,
        )

    def _steps(
        self, job: Job, history: Sequence[Losses], started: float, since: Checkpoint | None
    ) -> Iterator[Step]:
        """Every evaluation of a run, coarse to fine, from its beginning or a checkpoint."""
        evaluations = self._evaluations(job, history, started, since)
        del since
        with device.memory_told(_too_large(job)):  # errors of who watches are not among its own
            yield from evaluations

    def _evaluations(
        self, job: Job, history: Sequence[Losses], started: float, since: Checkpoint | None
    ) -> Iterator[Step]:
        scales = job.scales
        total = sum(scale.iterations for scale in scales)
        coarser = since.coarser if since else None
        for number in range(since.scale if since else 0, len(scales)):
            scale = scales[number]
            size = scale.size
            planned = sum(scale.iterations for scale in scales[:number])
            state = since.state if since else None
            since = None
            earlier = len(history) - (state.done if state else 0)
            iteration = planned + (state.done if state else 0)
            image = state.image if state else self.start(job, size, coarser)
            aim = objective(self.styles, job, size)
            method, rate = job.options.optimizer, job.options.learning_rate
            evaluations = minimize(aim, image, scale.iterations, method, state, rate)
            del state  # which the first steps leave behind
            for evaluation in evaluations:
                iteration += 1
                image = evaluation.image

                def checkpoint(
                    number: int = number,
                    coarser: Tensor | None = coarser,
                    state: Callable[[], State | None] = evaluation.state,
                    earlier: int = earlier,
                ) -> Checkpoint:
                    latest = state()
                    known = tuple(history[: earlier + (latest.done if latest else 0)])
                    seconds = time.perf_counter() - started
                    return Checkpoint(self.recipe(job), number, coarser, latest, known, seconds)

                yield Step(
                    iteration,
                    total,
                    scale,
                    scales,
                    evaluation.losses,
                    evaluation.tried,
                    evaluation.step,
                    image,
                    job,
                    checkpoint,
                )
                if iteration == planned + 1 and scale.width * scale.height >= LARGE:
                    # By now nobody holds the last scale's: a tenth of what this one needs.
                    cost.give_back()
            if iteration < planned + scale.iterations:
                log.info("%d x %d: nothing left to gain after iteration %d", *size, iteration)
            coarser = image

    def start(self, job: Job, size: tuple[int, int], coarser: Tensor | None = None) -> Tensor:
        """What the optimisation starts from at one size, 1 x 3 x H x W.

        Args:
            job: pictures and options.
            size: (width, height) at this scale.
            coarser: what was painted at the scale before; None at the first.

        Returns:
            At first noise, or the start picture cropped to fill the size. Then the coarser
            picture enlarged, and of a start picture the detail that was too fine for that size.
        """
        if job.start is None:
            return enlarged(coarser, size) if coarser is not None else self._noise(job, size)
        picture = self._shown(job, job.start, size)
        if coarser is None:
            return picture
        before = self._shown(job, job.start, (coarser.shape[3], coarser.shape[2]))
        return enlarged(coarser - before, size) + picture

    def _noise(self, job: Job, size: tuple[int, int]) -> Tensor:
        # Drawn on the CPU, so that a seed means the same noise on every device.
        generator = torch.Generator("cpu").manual_seed(job.options.seed)
        shape = (1, 3, size[1], size[0])
        noise = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
        return (0.5 + NOISE * noise).to(self.device)

    def _shown(self, job: Job, picture: Picture, size: tuple[int, int]) -> Tensor:
        """A start picture at a size (width, height): as the photo is shown if it is the photo."""
        photo = job.content
        middle = picture if picture is photo else images.cropped(picture, size)
        start = images.to_tensor(middle, size).to(self.device)
        if job.options.color == "match" and job.options.init == "style":
            return matched(job, start, images.to_tensor(photo, size).to(self.device))
        return start


def _too_large(job: Job) -> str:
    """What is said where memory ran out in the midst of a run."""
    told = f"not enough memory for a result of {job.size[0]} x {job.size[1]} pixels"
    return f"{told}; --size {int(0.7 * max(job.size))} takes half of it"
