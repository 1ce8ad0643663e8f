"""What is seen of a run, after each evaluation of the network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .checkpoint import Checkpoint
from .finish import finished
from .job import Job
from .losses import Losses
from .scales import Scale

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
        tried: of the picture evaluated, which is that one or was turned down.
        step: how far it was along the direction that L-BFGS had chosen, 1 being all of it; for
            Adam, its rate. 0 at the start of a scale.
        image: that picture, 1 x 3 x H x W in [0, 1] or a little beyond, on the run's device; to be
            read, not written to.
        job: what is painted.
        checkpoint: gives where the run is, for `Stylizer.paint` to go on from; to be asked
            while the step is watched, not later.
    """

    iteration: int
    iterations: int
    scale: Scale
    scales: tuple[Scale, ...]
    losses: Losses
    tried: Losses
    step: float
    image: Tensor
    job: Job
    checkpoint: Callable[[], Checkpoint] | None = None

    def picture(self) -> "NDArray[Any]":
        """That picture as it would be if the run ended here, in the size of the result.

        Returns:
            float32 in [0, 1], H x W x 3, or H x W x 4 where the photo is transparent.
        """
        return finished(self.image, self.job)

    @property
    def work_left(self) -> int:
        """Pixels still to be evaluated if no scale ends early; proportional to the time left."""
        place = self.scales.index(self.scale)
        until = sum(scale.iterations for scale in self.scales[: place + 1])
        here = (until - self.iteration) * self.scale.width * self.scale.height
        return here + sum(scale.work for scale in self.scales[place + 1 :])


#: Sees every step; a true return value ends the run after it.
OnStep = Callable[[Step], object]
