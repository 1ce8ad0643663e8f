"""The optimisation over the pixels of one picture at one size: a guarded L-BFGS, and Adam.

The paper says gradient descent; its authors' later one (Gatys et al., CVPR 2016) found L-BFGS best.

Both are generators that yield after every evaluation of the network (a forward and a backward
pass, where all of the time goes), so that whoever drives them sees, counts and stops them.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from ..errors import OptimizationError
from ..settings.options import Options
from .losses import Losses, Objective
from .memory import history

GREY_LEVEL = 1 / 255

#: The first step, along the bare gradient, moves no value by more than this.
FIRST_STEP = 10 * GREY_LEVEL
#: Nor does any later one: a full step can otherwise land where every ReLU is dead, the
#: gradient zero and the loss constant for ever.
LONGEST_STEP = 30 * GREY_LEVEL
#: Sufficient decrease (Nocedal & Wright, eq. 3.6a), and what a step that fails it is cut to.
DECREASE, SHRINK = 1e-4, 0.35
#: Steps along one direction before the memory is doubted.
TRIALS = 6
#: And along the bare gradient before it is a minimum: the last of them is below 1e-9 of a grey
#: level, which float32 cannot add to a pixel any more.
LAST_TRIALS = 24
#: A pair is remembered if its curvature is above this share of the gradient's change.
LEAST_CURVATURE = 1e-10
#: L-BFGS ends where the lowest loss fell by less than this share in so many evaluations.
LEAST_FALL, PATIENCE = 1e-3, 20


@dataclass(frozen=True)
class State:
    """From where a minimisation can go on as if it had never stopped, to the last bit.

    Taken where L-BFGS chooses a new direction; the trial steps since then are made again.

    Attributes:
        done: evaluations until then.
        image: the best picture until then, 1 x 3 x H x W.
        losses: that picture's.
        loss: L_total / unit of it.
        lowest: this loss after each of the last evaluations.
        method: what the optimiser knows: tensors, numbers, lists of them.
    """

    done: int
    image: Tensor
    losses: Losses
    loss: float
    lowest: tuple[float, ...]
    method: dict[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation found.

    Attributes:
        image: the best picture so far, 1 x 3 x H x W. Not overwritten later.
        losses: that picture's.
        tried: losses of the picture evaluated, which is the best or was turned down.
        step: how far it was along the direction chosen, 1 being all of it; for Adam, its rate. 0 at
            the start.
        state: gives the latest there is, None before the first; to be asked before the next
            evaluation, and not kept by those who do not ask.
    """

    image: Tensor
    losses: Losses
    tried: Losses
    step: float
    state: Callable[[], State | None]


@dataclass(frozen=True)
class _Point:
    """A picture with its loss (L_total / unit), the gradient of that, and if both are finite.

    `step` is as in `Evaluation`.
    """

    image: Tensor
    step: float
    losses: Losses
    loss: float
    gradient: Tensor
    finite: bool


_Evaluate = Callable[[Tensor, float], _Point]

#: What a method noted, for it to go on; None at the start. And whom it tells, each time anew.
_Known = dict[str, Any] | None
_Note = Callable[[dict[str, Any]], None]

#: Of the best picture: itself, its losses, L_total / unit.
_Best = tuple[Tensor, Losses, float]

#: For each remembered step: how the picture moved, how its gradient turned, their dot product.
_Memory = deque[tuple[Tensor, Tensor, Tensor]]


def minimize(
    objective: Objective,
    image: Tensor,
    iterations: int,
    optimizer: str,
    state: State | None = None,
    learning_rate: float = Options.learning_rate,
) -> Iterator[Evaluation]:
    """Minimise the objective over the pixels of `image`.

    Args:
        objective: callable on 1 x 3 x H x W.
        image: the start; left as it is.
        iterations: evaluations of the network at most. A trial step that is turned down
            counts too, because it costs as much.
        optimizer: `"lbfgs"` or `"adam"`.
        state: where to go on, instead of at `image`; its evaluations count.
        learning_rate: Adam's.

    Yields:
        One `Evaluation` per evaluation of the network. L-BFGS ends early where no step
        lowers the loss any more, or hardly.

    Raises:
        OptimizationError: the loss is not a finite number: of the start, of any picture that Adam
            comes to, or of all that L-BFGS tries along one direction.
    """

    def evaluate(at: Tensor, step: float) -> _Point:
        terms, gradient = objective(at)
        losses = objective.losses(terms)
        loss = losses.total / objective.unit
        finite = isfinite(loss) and bool(gradient.isfinite().all())
        return _Point(at, step, losses, loss, gradient, finite)

    method = _lbfgs if optimizer == "lbfgs" else partial(_adam, learning_rate)
    best: _Best | None = (state.image, state.losses, state.loss) if state else None
    lowest: deque[float] = deque(state.lowest if state else (), maxlen=PATIENCE + 1)
    done = state.done if state else 0

    def note(known: dict[str, Any]) -> None:
        nonlocal state
        if best is not None:
            state = State(done, *best, tuple(lowest), known)

    points = method(evaluate, image, state.method if state else None, note)
    astray = 0
    for point in islice(points, iterations - done):
        done += 1
        astray = 0 if point.finite else astray + 1
        # No step is long, and the last of these was tiny: the reason will not pass.
        if astray and (best is None or optimizer == "adam" or astray == TRIALS):
            raise OptimizationError(
                "the loss is not a finite number; see whether --weights is a trained VGG-19 in the"
                " convention said, or try --precision float32 or --device cpu"
            )
        if best is None or (point.loss < best[2] and point.finite):
            best = point.image, point.losses, point.loss
        yield Evaluation(*best[:2], point.losses, point.step, lambda: state)
        if optimizer == "adam":  # swings past a minimum and comes back lower
            continue
        lowest.append(best[2])
        if len(lowest) == lowest.maxlen and lowest[0] - best[2] < LEAST_FALL * lowest[0]:
            return


def _lbfgs(evaluate: _Evaluate, start: Tensor, known: _Known, note: _Note) -> Iterator[_Point]:
    """L-BFGS (Nocedal & Wright, algorithms 7.4 and 7.5) with guards, one yield per evaluation.

    Against torch.optim.LBFGS: no step is so long that it kills the ReLUs, none is taken that
    does not lower the loss, and a direction that leads nowhere costs the memory, not the run.
    """
    memory: _Memory = deque(maxlen=history(start.shape[2] * start.shape[3]))
    if known is None:
        here = evaluate(start, 0.0)
        yield here
        image, loss, gradient = here.image, here.loss, here.gradient
        del here
    else:
        image, loss, gradient = known["image"], known["loss"], known["gradient"]
        memory.extend(map(tuple, known["memory"]))
        del known
    while True:
        pairs = [list(pair) for pair in memory]
        note({"image": image, "loss": loss, "gradient": gradient, "memory": pairs})
        direction = _two_loop(gradient, memory)
        slope, reach = _numbers(_dot(gradient, direction), direction.abs().max())
        if memory and not (slope < 0 and isfinite(reach)):  # not a descent, or not a number
            memory.clear()
            continue
        if not slope < 0 or not isfinite(reach):
            return  # the gradient is zero: a minimum, or a picture that nothing can move
        step = min(1.0, LONGEST_STEP / reach) if memory else FIRST_STEP / reach
        for _ in range(TRIALS if memory else LAST_TRIALS):
            there = evaluate(image.add(direction, alpha=step), step)
            yield there
            if there.finite and there.loss <= loss + DECREASE * step * slope:
                break
            step *= SHRINK
        else:
            if not memory:
                return  # not even the gradient leads down, as far as float32 can tell
            memory.clear()
            continue
        del direction
        moved, turned = there.image - image, there.gradient - gradient
        image, loss, gradient = there.image, there.loss, there.gradient
        curvature = _dot(moved, turned)
        # A pair without positive curvature would make later directions ascend.
        bent, turn = _numbers(curvature, _dot(turned, turned))
        if bent > LEAST_CURVATURE * turn:
            memory.append((moved, turned, curvature))


def _two_loop(gradient: Tensor, memory: _Memory) -> Tensor:
    """The direction -H g, H being the inverse Hessian that the remembered pairs suggest."""
    direction = -gradient
    shares: list[Tensor] = []
    for moved, turned, curvature in reversed(memory):
        shares.append(_dot(moved, direction) / curvature)
        direction.addcmul_(turned, shares[-1], value=-1)
    if memory:
        _, turned, curvature = memory[-1]
        direction *= curvature / _dot(turned, turned)
    for moved, turned, curvature in memory:
        share = shares.pop() - _dot(turned, direction) / curvature
        direction.addcmul_(moved, share)
    return direction


def _adam(
    rate: float, evaluate: _Evaluate, start: Tensor, known: _Known, note: _Note
) -> Iterator[_Point]:
    """Adam (arXiv:1412.6980) at a fixed rate: no line search, so the loss may rise in between."""
    image = (known["image"] if known else start).clone().requires_grad_()
    adam = torch.optim.Adam([image], lr=rate)
    if known:
        adam.state[image] = {name: value.clone() for name, value in known["adam"].items()}
    while True:
        # In place is how it works, so that what is noted is a copy.
        moments = {name: value.clone() for name, value in adam.state[image].items()}
        note({"image": image.detach().clone(), "adam": moments})
        point = evaluate(image.clone(), rate if moments else 0.0)
        yield point
        image.grad = point.gradient
        adam.step()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """A scalar that stays on its device: to fetch each of them would keep a GPU waiting."""
    return torch.dot(a.flatten(), b.flatten())


def _numbers(*scalars: Tensor) -> list[float]:
    """Fetched together: on a GPU each transfer waits for all the work before it."""
    numbers: list[float] = torch.stack(scalars).tolist()
    return numbers
