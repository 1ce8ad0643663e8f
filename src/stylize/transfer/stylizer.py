"""Jobs in, `Result` out: `Stylizer.steps` is the loop over scales and iterations."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ..errors import OptimizationError, OptionError
from ..network import weights
from ..network.normalized import NETWORKS
from ..network.vgg import Vgg19
from ..settings.options import Options, flag
from ..settings.recipe import Recipe
from . import device, memory
from .checkpoint import Checkpoint
from .finish import finish_picture
from .job import Job, layer_factors
from .objective import Objective
from .optimize import OPTIMIZERS, Optimizer
from .result import Result
from .scales import Scale
from .start import smaller_picture, start_image
from .step import STOP, Callback, Losses, Step
from .targets import StyleCache, find_targets

log = logging.getLogger(__name__)


@dataclass
class Run:
    """A run in progress: what is known of it besides its pictures.

    Attributes:
        job: pictures and options.
        started: when it started, by `time.perf_counter`; earlier where it was resumed.
        losses: of the best picture after each evaluation.
        losses_before: how many of these belong to coarser scales than the present one.
        inputs: absolute paths of the files that the run reads.
    """

    job: Job
    started: float
    losses: list[Losses]
    losses_before: int = 0
    inputs: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """The wall time until now."""
        return time.perf_counter() - self.started


class Stylizer:
    """The network, ready for many pictures, with a cache of the styles that it has seen.

    It paints jobs. Its child in the room `api` is what Python programs use: that one takes pictures
    and named options.

    Args:
        options: how to paint.
        weights_data: the bytes of the file that the option `weights` names, where that file is on
            another machine.

    Raises:
        WeightsError: the weights cannot be loaded.
        DeviceError: there is no such device.
    """

    #: What the network is made from, and so cannot change from picture to picture.
    FIXED = ("weights", "network", "pooling", "device", "precision")

    def __init__(self, options: Options, weights_data: bytes | None = None) -> None:
        device.check_not_forked()
        self.options = options
        self.device = device.pick_device(self.options.device)
        with device.memory_errors("not enough memory for the network; try --device cpu"):
            loaded = weights.load(self.options.weights, weights_data)
            numbers = NETWORKS[self.options.network](loaded, self.options.pooling)
            dtype = device.network_dtype(self.options.precision, self.device)
            self.vgg = Vgg19(numbers, self.options.pooling, self.device, dtype)
        self.cache = StyleCache()
        self.digest = numbers.digest
        where = device.describe(self.device)
        log.info("VGG-19 (%s weights) on %s in %s", self.options.weights, where, self.precision)

    @property
    def precision(self) -> str:
        """The precision of the network: "float32" or "bfloat16"."""
        return device.precision_name(self.vgg.dtype)

    def recipe(self, job: Job, complete: bool = True) -> Recipe:
        """The recipe of a picture that is painted here.

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

    def fit_to_memory(self, job: Job) -> Job:
        """The job at a size for which there is memory.

        Args:
            job: pictures and options. Only with a size of "fit" is a smaller size taken.

        Raises:
            DeviceError: there is too little memory, as far as can be estimated.
        """
        need = need_of(job.options, self.precision, job.size)
        may_shrink = job.options.size == "fit"
        side = memory.fitting_side(job.size, may_shrink, need, device.free_memory(self.device))
        if not may_shrink:
            return job
        return job.with_size(side if side < max(job.size) else "original")

    def paint(
        self,
        job: Job,
        callbacks: Sequence[Callback] = (),
        checkpoint: Checkpoint | None = None,
        *,
        keep_interrupted: bool = False,
    ) -> Result:
        """Paint a job to its end, or until a callback asks to stop.

        Args:
            job: pictures and options, as `fit_to_memory` returns it, or memory may not suffice.
            callbacks: each is called with every `Step`. If one of them returns `STOP`, the run ends
                after that step.
            checkpoint: where to resume. The result is the same to the last bit as that of an
                unbroken run.
            keep_interrupted: whether Ctrl-C ends the run with the picture so far, if there is one.

        Raises:
            StylizeError: one of its subclasses.
            KeyboardInterrupt: after Ctrl-C, where no picture is kept.
        """
        device.check_not_forked()
        for name in self.FIXED:
            if getattr(job.options, name) != getattr(self.options, name):
                raise OptionError(f"{flag(name)}: is fixed for a Stylizer; make another one")
        started = time.perf_counter() - (checkpoint.seconds if checkpoint else 0.0)
        losses, inputs = [], job.inputs
        if checkpoint:
            losses = [*checkpoint.losses]
            inputs += (checkpoint.path,) if checkpoint.path else ()
        run = Run(job, started, losses, inputs=inputs)
        step: Step | None = None
        complete, fault = True, ""
        # The total variation and Adam need what inference mode forbids.
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            device.use_threads(job.options.threads),
            device.reproducible(),
        ):
            try:
                for step in self.steps(run, checkpoint):
                    # Every one is called.
                    if any([callback(step) is STOP for callback in callbacks]):
                        complete = step.iteration == step.iterations
                        break
            except OptimizationError as error:
                if step is None:
                    raise
                place = f"{step.iteration + 1} of {step.iterations}"
                complete, fault = False, f"ended before iteration {place}: {error}"
                log.info("%s", fault)
            except KeyboardInterrupt:
                if step is None or not keep_interrupted:
                    raise
                complete = step.iteration == step.iterations
                place = f"iteration {step.iteration} of {step.iterations}"
                log.warning("interrupted after %s; the result is the picture so far", place)
            assert step is not None  # every scale has an iteration, which gives a step or an error
            with device.memory_errors(_too_large(job)):
                pixels = step.picture()
        return Result(
            pixels,
            losses=tuple(run.losses),
            options=job.options,
            seconds=run.seconds,
            complete=complete,
            recipe=self.recipe(job, complete),
            exif=job.content.exif,
            fault=fault,
            inputs=run.inputs,
        )

    def steps(self, run: "Run", checkpoint: Checkpoint | None = None) -> Iterator[Step]:
        """The loop: scales from coarse to fine, and at each scale the iterations of the optimiser.

        Args:
            run: gets the losses of each evaluation appended.
            checkpoint: where to resume; its losses are in `run`.

        Yields:
            A `Step` after each evaluation of the network.
        """
        job = run.job
        first = checkpoint.scale if checkpoint else 0
        coarser = checkpoint.coarser if checkpoint else smaller_picture(job)
        for number, scale in enumerate(job.scales[first:], first):
            with device.memory_errors(_too_large(job)):
                optimizer = self.make_optimizer(job, scale, coarser, checkpoint)
            run.losses_before = len(run.losses) - optimizer.done
            for iteration in range(optimizer.done + 1, scale.iterations + 1):
                with device.memory_errors(_too_large(job)):
                    evaluation = optimizer.step()
                if evaluation is None:
                    log.info("%d x %d: nothing left to gain", *scale.size)
                    break
                best = evaluation.best
                at = iteration + sum(s.iterations for s in job.scales[:number])
                placed = partial(replace, iteration=at, size=scale.size, seconds=run.seconds)
                run.losses.append(placed(best.losses))
                yield Step(
                    iteration=at,
                    iterations=sum(s.iterations for s in job.scales),
                    scale=scale,
                    scales=job.scales,
                    losses=run.losses[-1],
                    tried=placed(evaluation.losses),
                    step_length=evaluation.step_length,
                    image=best.image,
                    picture=partial(finish_picture, best.image, job),
                    checkpoint=partial(self.make_checkpoint, run, number, coarser, optimizer),
                    inputs=run.inputs,
                )
                if iteration == 1 and scale.pixels >= memory.LARGE:
                    # Nothing refers to the last scale's tensors any more: a tenth of the need.
                    memory.return_freed_memory()
            assert optimizer.best is not None  # every scale has an evaluation
            coarser = optimizer.best.image

    def make_optimizer(
        self, job: Job, scale: Scale, coarser: Tensor | None, checkpoint: Checkpoint | None = None
    ) -> Optimizer:
        """The optimiser for one scale, at its start or at the checkpoint's state.

        Args:
            job: pictures and options.
            scale: one of the job's.
            coarser: the picture painted at the scale before, 1 x 3 x H x W; None at the first.
            checkpoint: its state is handed over, if it still has one.
        """
        state = checkpoint.pop_state() if checkpoint else None
        start = state.image if state else start_image(job, scale.size, coarser).to(self.device)
        objective = Objective.build(find_targets(self.vgg, self.cache, job, scale.size))
        return OPTIMIZERS[job.options.optimizer](objective, start, job.options, state)

    def make_checkpoint(
        self, run: "Run", number: int, coarser: Tensor | None, optimizer: Optimizer
    ) -> Checkpoint:
        """The state of a run.

        Args:
            run: until now.
            number: of the scale, from 0.
            coarser: the picture that this scale started from; None at the first.
            optimizer: of this scale.
        """
        state = optimizer.state()
        losses = run.losses[: run.losses_before + (state.done if state else 0)]
        recipe = self.recipe(run.job)
        return Checkpoint(recipe, number, coarser, state, tuple(losses), run.seconds)


def need_of(options: Options, precision: str, size: tuple[int, int]) -> memory.Need:
    """What painting needs.

    Args:
        options: how to paint.
        precision: of the network, "float32" or "bfloat16".
        size: (width, height) of the result, of which the proportions count.
    """
    return memory.Need(
        precision,
        *layer_factors(options),
        OPTIMIZERS[options.optimizer].stored_pictures,
        proportions=size[0] / size[1],
        style_scale=options.style_scale,
    )


def _too_large(job: Job) -> str:
    """The message for memory that runs out during a run."""
    return (
        f"not enough memory for a result of {job.size[0]} x {job.size[1]} pixels;"
        f" --size {int(0.7 * max(job.size))} takes half of it"
    )
