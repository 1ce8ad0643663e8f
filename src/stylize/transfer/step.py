"""What a callback sees after each evaluation of the network. No torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from .scales import Scale

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


class Signal(Enum):
    """What a callback can tell a run."""

    STOP = "stop"


#: A callback that returns this ends the run after the present step.
STOP = Signal.STOP


@dataclass(frozen=True, repr=False)
class Losses:
    """The value of the objective at one picture, and where in a run that was.

    Losses of different sizes cannot be compared with one another.

    Attributes:
        terms: the value of each term before its weight, by the names in `terms.TERMS`.
        total: L_total, the weighted sum of all terms.
        iteration: of the run, from 1; 0 outside a run.
        size: width and height of the picture, in pixels; (0, 0) outside a run.
        seconds: from the start of the run to the end of that iteration.
    """

    terms: Mapping[str, float]
    total: float
    iteration: int = 0
    size: tuple[int, int] = (0, 0)
    seconds: float = field(default=0.0, compare=False)

    def __repr__(self) -> str:
        terms = ", ".join(f"{name} {value:.3g}" for name, value in self.as_dict().items())
        place = f" at {self.size[0]} x {self.size[1]}, iteration {self.iteration}"
        return f"<Losses{place if self.iteration else ''}: {terms}>"

    @property
    def content(self) -> float:
        """L_content (eq. 1), before alpha; relative to the photo's energy if `balanced`."""
        return self.terms["content"]

    @property
    def style(self) -> float:
        """L_style (eq. 5), before beta; relative, and with means, if `balanced`."""
        return self.terms["style"]

    @property
    def tv(self) -> float:
        """The total variation, before its weight."""
        return self.terms["tv"]

    @property
    def gamut(self) -> float:
        """The penalty for values outside [0, 1]; 0 in the paper's objective."""
        return self.terms["gamut"]

    def as_dict(self) -> dict[str, float]:
        """All terms by name, and "total"."""
        return {**self.terms, "total": self.total}


#: What the checkpoints of all versions of stylize begin with.
CHECKPOINT_HEAD = b"stylize checkpoint "


class Saveable(Protocol):
    """What a callback can do with the state of a run, which is a `Checkpoint`."""

    def save(self, path: str, untyped: int = 0) -> None:
        """Write it to a file, from which a run can resume.

        Args:
            path: of the file.
            untyped: as in `files.write`.

        Raises:
            OutputError: the file cannot be written.
        """


def _no_picture() -> NoReturn:
    raise RuntimeError("this step came from another process, without its picture and state")


@dataclass(frozen=True, eq=False, repr=False)
class Step:
    """The state of a run after one evaluation of the network.

    Attributes:
        iteration: 1 to `iterations`, counted over all scales. Where a scale ends early, the numbers
            of its remaining iterations are skipped.
        iterations: planned in all.
        scale: the scale that is being painted.
        scales: all scales, coarse to fine.
        losses: of the best picture so far at this scale.
        tried: losses of the picture that was evaluated: the best one, or one that was rejected.
        step_length: how far that picture lies along the search direction, 1 being the full
            quasi-Newton step; for Adam the learning rate. 0 at the start of a scale.
        image: the best picture so far, 1 x 3 x H x W in [0, 1] or slightly outside, on the run's
            device. Do not write to it.
        picture: gives that picture as it would look if the run ended here: float32 in [0, 1],
            H x W x 3, or H x W x 4 where the content image is transparent, in the result's size.
        checkpoint: gives the state of the run, from which `Stylizer.paint` can resume. Call it
            before the callback returns.
        inputs: absolute paths of the files that the run reads. Do not write to them.
    """

    iteration: int
    iterations: int
    scale: Scale
    scales: tuple[Scale, ...]
    losses: Losses
    tried: Losses
    step_length: float
    image: "Tensor"
    picture: "Callable[[], NDArray[Any]]"
    checkpoint: Callable[[], Saveable]
    inputs: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"<Step {self.iteration} of {self.iterations}:"
            f" {self.scale.width} x {self.scale.height} pixels, loss {self.losses.total:.3g}>"
        )

    @property
    def work_left(self) -> int:
        """What is left to do if no scale ends early, in the unit of `Scale.cost`."""
        place = self.scales.index(self.scale)
        until = sum(scale.iterations for scale in self.scales[: place + 1])
        here = (until - self.iteration) * self.scale.cost
        return here + sum(scale.work for scale in self.scales[place + 1 :])

    def without_picture(self) -> "Step":
        """The numbers without picture and state: small enough to be sent to another process."""
        none: Any = None  # a tensor would make the other process import torch
        return replace(self, image=none, picture=_no_picture, checkpoint=_no_picture)


#: Sees every step. By returning `STOP` it ends the run after that step; nothing else that it
#: returns has an effect.
Callback = Callable[[Step], Signal | None]
