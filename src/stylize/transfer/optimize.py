"""The optimisers that move the pixels of one picture at one scale: a guarded L-BFGS, and Adam.

The paper says gradient descent; its authors later found L-BFGS best (Gatys et al., CVPR 2016).

An optimiser is an object. `step()` makes one evaluation of the network, which is where the time
goes, so that whoever drives it can show, count and stop. `state()` says from where it can resume.
A new optimiser is one subclass of `Optimizer` and one line in `OPTIMIZERS`.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..errors import OptimizationError
from ..settings.options import Options
from . import memory, strips
from .losses import PARTS
from .step import Losses

GREY_LEVEL = 1 / 255

#: The first step, along the bare gradient, moves no value by more than this.
FIRST_STEP = 10 * GREY_LEVEL
#: Nor does any later step move a value by more than this: a full step can otherwise end where every
#: ReLU is dead, the gradient zero and the loss constant for ever.
LONGEST_STEP = 30 * GREY_LEVEL
#: Sufficient decrease (Nocedal & Wright, eq. 3.6a), and the factor for a step that fails it.
DECREASE, SHRINK = 1e-4, 0.35
#: Trial steps along one direction before the stored pairs are dropped.
TRIALS = 6
#: Trial steps along the bare gradient before the picture counts as a minimum: the last of them is
#: below 1e-9 of a grey level, which float32 cannot add to a pixel any more.
GRADIENT_TRIALS = 24
#: A pair is stored if its curvature is above this share of the squared change of the gradient.
LEAST_CURVATURE = 1e-10
#: L-BFGS ends where the lowest loss fell by less than this share in so many evaluations.
LEAST_FALL, PATIENCE = 1e-3, 20
#: Pairs that L-BFGS stores, for small and for large pictures. More than 20 gained nothing; each
#: takes 24 bytes a pixel (12 from `strips.LARGE` on), which matters where pictures are large.
HISTORY, HISTORY_OF_LARGE = 20, 6


class Function(Protocol):
    """What is minimised: an `Objective`, or anything that has these methods."""

    unit: float

    def evaluate(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers for `losses`, still on the device; and the gradient of L_total / unit."""
        ...

    def losses(self, values: Sequence[float]) -> Losses:
        """The losses of the picture that was evaluated."""
        ...


def history(pixels: int) -> int:
    """The number of pairs that L-BFGS stores for a picture of so many pixels."""
    return HISTORY if pixels < memory.LARGE else HISTORY_OF_LARGE


class Best(NamedTuple):
    """The best picture so far, 1 x 3 x H x W; its losses; and L_total / unit of it."""

    image: Tensor
    losses: Losses
    loss: float


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of the objective.

    Attributes:
        image: the picture that was evaluated, 1 x 3 x H x W.
        step_length: how far it lies along the search direction, 1 being the full quasi-Newton step;
            for Adam the learning rate; 0 at the start.
        losses: of that picture.
        loss: L_total / unit, which is what is minimised.
        gradient: of `loss`, 1 x 3 x H x W.
        finite: whether loss and gradient are finite numbers.
        flat: whether the gradient is zero.
        measured: the further numbers that were asked for.
        best: the best picture so far, which may be this one.
    """

    image: Tensor
    step_length: float
    losses: Losses
    loss: float
    gradient: Tensor
    finite: bool
    flat: bool
    measured: Sequence[float]
    best: Best


@dataclass(frozen=True)
class State:
    """The state from which a minimisation can resume, with a result that is bit-identical.

    Attributes:
        done: number of evaluations made until this state.
        image, losses, loss: the best picture until then, as in `Best`.
        lowest: the lowest loss after each of the last evaluations.
        numbers, pictures: what the optimiser itself needs; see its `layout`. A number may be a
            scalar that is still on the device.
    """

    done: int
    image: Tensor
    losses: Losses
    loss: float
    lowest: tuple[float, ...]
    numbers: tuple[float | Tensor, ...]
    pictures: tuple[Tensor, ...]


class Stored(NamedTuple):
    """What a picture of a `State` must be: its type, and the least value that it may have."""

    dtype: torch.dtype
    least: float = -inf


class Optimizer(ABC):
    """Minimises an objective over the pixels of one picture.

    Args:
        objective: what to minimise, with its `unit`.
        start: the picture to start from, 1 x 3 x H x W; it is not written to.
        options: how to paint.
        state: the state to resume from instead of `start`.

    Attributes:
        done: number of evaluations made so far. A trial step that is rejected counts, because it
            takes as long as any other.
        best: the picture with the lowest loss so far; None before the first evaluation.
        ended: whether there is nothing left to gain.
    """

    #: Evaluations in a row without a finite loss after which the optimiser gives up.
    MOST_FAILURES = 1
    #: Whether to end where the lowest loss hardly falls any more.
    ENDS_EARLY = False

    def __init__(
        self, objective: Function, start: Tensor, options: Options, state: State | None = None
    ) -> None:
        self.objective, self.options = objective, options
        self.done = state.done if state else 0
        self.best = Best(state.image, state.losses, state.loss) if state else None
        self.lowest = deque(state.lowest if state else (), maxlen=PATIENCE + 1)
        self.failures = 0
        self.ended = False
        self.prepare(state.image if state else start, state)

    def step(self) -> Evaluation | None:
        """Make one evaluation.

        Returns:
            The evaluation; None where there is nothing left to gain.

        Raises:
            OptimizationError: the loss is not a finite number: for the start, for any picture that
                Adam reaches, or for all that L-BFGS tries along one direction.
        """
        if self.ended:
            return None
        evaluation = self.advance()
        if self.ENDS_EARLY:
            self.lowest.append(evaluation.best.loss)
            fall = self.lowest[0] - self.lowest[-1]
            if len(self.lowest) > PATIENCE and fall < LEAST_FALL * self.lowest[0]:
                self.ended = True
        return evaluation

    def evaluate(
        self,
        image: Tensor,
        step_length: Tensor,
        measure: Callable[[Tensor], Sequence[Tensor]] = lambda gradient: (),
    ) -> Evaluation:
        """Evaluate the objective at a picture, and note whether it is the best one so far.

        Args:
            image: 1 x 3 x H x W.
            step_length: as in `Evaluation`, a scalar.
            measure: further scalars, as a function of the gradient.
        """
        values, gradient = self.objective.evaluate(image)
        steepest = gradient.abs().max()  # not finite where any value is not
        scalars = torch.stack([step_length, steepest, *measure(gradient)])
        # All are fetched at once: at each transfer a GPU is waited for.
        numbers: list[float] = torch.cat((values, scalars)).tolist()
        losses = self.objective.losses(numbers[: len(values)])
        length, slope, *measured = numbers[len(values) :]
        loss = losses.total / self.objective.unit
        finite = isfinite(loss) and isfinite(slope)
        flat = slope == 0
        self.done += 1
        self.failures = 0 if finite else self.failures + 1
        if finite and (self.best is None or loss < self.best.loss):
            self.best = Best(image, losses, loss)
        # No step is long, and the last one tried is tiny: another one would fail as well.
        if self.best is None or self.failures == self.MOST_FAILURES:
            raise OptimizationError(
                "the loss is not a finite number; check that --weights names a trained VGG-19 in"
                " the right convention, or try --precision float32 or --device cpu"
            )
        return Evaluation(image, length, losses, loss, gradient, finite, flat, measured, self.best)

    def snapshot(
        self, done: int, numbers: Sequence[float | Tensor], pictures: Sequence[Tensor]
    ) -> State | None:
        """The state after `done` evaluations, given what the method itself needs.

        None before the first evaluation.
        """
        if not self.best:
            return None
        return State(done, *self.best, tuple(self.lowest), tuple(numbers), tuple(pictures))

    @abstractmethod
    def prepare(self, image: Tensor, state: State | None) -> None:
        """Set up the method: at a start picture, or from the state of an earlier run."""

    @abstractmethod
    def advance(self) -> Evaluation:
        """One evaluation by the method; at a minimum it sets `ended`."""

    @abstractmethod
    def state(self) -> State | None:
        """The latest state from which a run can resume; None if that is the start."""

    @staticmethod
    @abstractmethod
    def layout(done: int, numbers: Sequence[float], pixels: int) -> list[Stored]:
        """What the pictures of a state are, before they are read from a file.

        Args:
            done: as in `State`.
            numbers: as in `State`; finite.
            pixels: of the picture that is painted.

        Raises:
            ValueError: no state has these numbers.
        """

    @staticmethod
    @abstractmethod
    def stored_pictures(pixels: int) -> int:
        """How many float32 pictures of so many pixels the method stores, for the memory model."""


#: Of an accepted step of L-BFGS: how the picture changed, how its gradient changed, and the dot
#: product of the two (s, y and s^T y of the literature).
Pair = tuple[Tensor, Tensor, Tensor]


class LBFGS(Optimizer):
    """L-BFGS (Nocedal & Wright, algorithms 7.4 and 7.5) with guards.

    Compared with torch.optim.LBFGS: no step is so long that it kills the ReLUs, none is taken that
    does not lower the loss, and a direction that leads nowhere costs the stored pairs, not the run.
    """

    MOST_FAILURES = TRIALS
    ENDS_EARLY = True

    def prepare(self, image: Tensor, state: State | None) -> None:
        """See `Optimizer.prepare`."""
        pixels = image.shape[2] * image.shape[3]
        self.pairs: deque[Pair] = deque(maxlen=history(pixels))
        self.stored_type = _stored_type(pixels)
        self.image = image
        self.gradient: Tensor | None = None
        self.direction: Tensor | None = None
        self.length = image.new_zeros(())
        self.trials_left = 0
        self.resume_from: State | None = None
        if state:
            loss, *numbers = state.numbers
            self.loss = float(loss)
            self.image, self.gradient, *stored = state.pictures
            products = (torch.as_tensor(number).to(self.gradient) for number in numbers)
            self.pairs.extend(zip(stored[::2], stored[1::2], products, strict=True))

    def advance(self) -> Evaluation:
        """Evaluate the start, or the next trial step along the search direction."""
        if self.gradient is None:
            start = self.evaluate(self.image, self.image.new_zeros(()))
            self.loss, self.gradient, self.ended = start.loss, start.gradient, start.flat
            return start
        if self.direction is None:
            self.choose_direction(self.gradient)
        assert self.direction is not None
        before, gradient, direction = self.image, self.gradient, self.direction
        image = before.addcmul(direction, self.length)
        pair: list[Pair] = []

        def measure(trial_gradient: Tensor) -> list[Tensor]:
            change, difference = image - before, trial_gradient - gradient
            if self.stored_type:
                change, difference = change.to(self.stored_type), difference.to(self.stored_type)
            product = _dot(change, difference)
            pair.append((change, difference, product))
            return [_dot(gradient, direction), product, _dot(difference, difference)]

        trial = self.evaluate(image, self.length, measure)
        slope, curvature, square = trial.measured
        if not -inf < slope < 0:  # not a direction of descent
            self.drop_direction()
        elif trial.finite and trial.loss <= self.loss + DECREASE * trial.step_length * slope:
            self.accept(trial)
            # A pair without positive curvature would make later directions ascend.
            if curvature > LEAST_CURVATURE * square:
                self.pairs.extend(pair)
        else:
            self.length = self.length * SHRINK
            self.trials_left -= 1
            if not self.trials_left:
                self.drop_direction()
        return trial

    def choose_direction(self, gradient: Tensor) -> None:
        """A direction, and how far along it the first trial step goes."""
        numbers: list[float | Tensor] = [self.loss, *(product for *_, product in self.pairs)]
        pictures = [self.image, gradient]
        for change, difference, _ in self.pairs:
            pictures += [change, difference]
        self.resume_from = self.snapshot(self.done, numbers, pictures)
        self.direction = _two_loop(gradient, self.pairs)
        largest = self.direction.abs().max()
        bound = LONGEST_STEP if self.pairs else FIRST_STEP
        self.length = bound / largest
        if self.pairs:
            self.length = self.length.clamp(max=1)
        self.trials_left = TRIALS if self.pairs else GRADIENT_TRIALS

    def accept(self, trial: Evaluation) -> None:
        """Move to a trial picture. A minimum ends the run."""
        self.direction = None
        self.image, self.loss, self.gradient = trial.image, trial.loss, trial.gradient
        self.ended = trial.flat

    def drop_direction(self) -> None:
        """Drop the pairs and with them the direction; end if there are none.

        Then not even the gradient leads down, as far as float32 can tell.
        """
        self.direction = None
        self.ended = not self.pairs
        self.pairs.clear()

    def state(self) -> State | None:
        """As of the last choice of a direction; trial steps since then are made again."""
        return self.resume_from

    @staticmethod
    def layout(done: int, numbers: Sequence[float], pixels: int) -> list[Stored]:
        """Picture and gradient, and two for each pair.

        The numbers are the loss, and each pair's product, which is above 0.
        """
        pairs = len(numbers) - 1
        if not (0 <= pairs <= history(pixels) and all(product > 0 for product in numbers[1:])):
            raise ValueError("not the numbers of L-BFGS")
        return [Stored(torch.float32)] * 2 + [Stored(_stored_type(pixels) or torch.float32)] * (
            2 * pairs
        )

    @staticmethod
    def stored_pictures(pixels: int) -> int:
        """Two for each pair; a large picture's have 16 bits a value instead of 32."""
        return (1 if pixels >= strips.LARGE else 2) * history(pixels)


def _stored_type(pixels: int) -> torch.dtype | None:
    """The type of the stored pairs; None for that of the pictures."""
    return torch.bfloat16 if pixels >= strips.LARGE else None


def _two_loop(gradient: Tensor, pairs: deque[Pair]) -> Tensor:
    """The direction -H g, H being the inverse Hessian that the stored pairs suggest."""
    direction = -gradient
    shares: list[Tensor] = []
    for change, gradient_change, product in reversed(pairs):
        shares.append(_dot(change, direction) / product)
        direction.addcmul_(gradient_change, shares[-1], value=-1)
    if pairs:
        _, gradient_change, product = pairs[-1]
        direction *= product / _dot(gradient_change, gradient_change)
    for change, gradient_change, product in pairs:
        share = shares.pop() - _dot(gradient_change, direction) / product
        direction.addcmul_(change, share)
    return direction


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """The dot product of two pictures, a scalar on their device."""
    a, b = a.flatten(), b.flatten()
    if a.dtype == b.dtype != torch.bfloat16:
        return torch.dot(a, b)
    parts = zip(a.chunk(PARTS), b.chunk(PARTS), strict=True)
    return torch.stack([torch.dot(x.float(), y.float()) for x, y in parts]).sum()


class Adam(Optimizer):
    """Adam (arXiv:1412.6980) at a fixed learning rate.

    It has no line search, so that the loss may rise in between and fall lower afterwards.
    """

    #: torch's names for the two moments.
    MOMENTS = ("exp_avg", "exp_avg_sq")

    def prepare(self, image: Tensor, state: State | None) -> None:
        """See `Optimizer.prepare`."""
        image, *moments = state.pictures if state else (image,)
        self.image = image.clone().requires_grad_()
        self.adam = torch.optim.Adam([self.image], lr=self.options.learning_rate)
        if moments:
            copies = (moment.clone() for moment in moments)
            steps = torch.tensor(float(self.done))  # each evaluation but the first follows a step
            self.adam.state[self.image] = {
                "step": steps,
                **dict(zip(self.MOMENTS, copies, strict=True)),
            }

    def advance(self) -> Evaluation:
        """Move the picture by the gradient of the last evaluation, if any, and evaluate it."""
        if self.image.grad is not None:
            self.adam.step()
        rate = self.options.learning_rate if self.adam.state[self.image] else 0.0
        evaluation = self.evaluate(self.image.detach().clone(), self.image.new_full((), rate))
        self.image.grad = evaluation.gradient
        return evaluation

    def state(self) -> State | None:
        """As of before the last evaluation, which is made again.

        Adam works in place, so that its tensors are copied.
        """
        moments = self.adam.state[self.image]  # empty before the first step
        copies = [moments[name].clone() for name in self.MOMENTS if moments]
        return self.snapshot(self.done - 1, (), [self.image.detach().clone(), *copies])

    @staticmethod
    def layout(done: int, numbers: Sequence[float], pixels: int) -> list[Stored]:
        """The picture, and after the first step the two moments, of which one is of squares."""
        if numbers:
            raise ValueError("Adam has no numbers")
        picture, squares = Stored(torch.float32), Stored(torch.float32, least=0)
        return [picture, picture, squares] if done else [picture]

    @staticmethod
    def stored_pictures(pixels: int) -> int:
        """Two moments and the picture, and a copy of each for a checkpoint."""
        return 6


#: By the values of `--optimizer`.
OPTIMIZERS: dict[str, type[Optimizer]] = {"lbfgs": LBFGS, "adam": Adam}
