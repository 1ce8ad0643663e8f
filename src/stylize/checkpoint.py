"""A run under way, in a file: all that it needs to go on to the same bits.

Written whole or not at all. The file begins with a line that says what it is, and one with the
SHA-256 of the rest, which is torch's own format, read without running code from it.
"""

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import output
from .errors import CheckpointError
from .job import Job
from .losses import Losses
from .minimize import State
from .recipe import Recipe

_HEAD = b"stylize checkpoint 1\n"


@dataclass(frozen=True)
class Checkpoint:
    """Where a run was.

    Attributes:
        recipe: of the run, as of its end.
        scale: which of the job's scales, from 0.
        coarser: the picture that this scale starts from, 1 x 3 x H x W; None for the first.
        state: of the optimisation at this scale; None for its start.
        losses: after each evaluation until then, over all scales.
        seconds: of wall time until then.
    """

    recipe: Recipe
    scale: int
    coarser: Tensor | None
    state: State | None
    losses: tuple[Losses, ...]
    seconds: float

    def iteration(self, job: Job) -> int:
        """The number of the last evaluation that is in it, as in `Step`."""
        before = sum(scale.iterations for scale in job.scales[: self.scale])
        return before + (self.state.done if self.state else 0)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it, in the place of an older one.

        Raises:
            OutputError: it cannot be written.
        """
        buffer = io.BytesIO()
        state = {**vars(self.state), "losses": asdict(self.state.losses)} if self.state else None
        held = {
            "recipe": self.recipe.text(),
            "scale": self.scale,
            "coarser": self.coarser,
            "state": state,
            "losses": [list(asdict(losses).values()) for losses in self.losses],
            "seconds": self.seconds,
        }
        torch.save(held, buffer)
        data = buffer.getvalue()
        digest = hashlib.sha256(data).hexdigest().encode()
        output.write(path, b"".join((_HEAD, digest, b"\n", data)))

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], recipe: Recipe, device: torch.device
    ) -> "Checkpoint":
        """Read one that was saved by a run of this recipe.

        Args:
            path: of the file.
            recipe: of the run that is to go on.
            device: where its tensors go.

        Raises:
            CheckpointError: it cannot be read, is damaged, or is of another run.
        """
        name = os.fspath(path)
        try:
            head, digest, data = _parts(Path(path).read_bytes())
        except OSError as error:
            raise CheckpointError(f"{name}: cannot be read ({error.strerror})") from error
        if head != _HEAD:
            raise CheckpointError(f"{name}: is no checkpoint of this version of stylize")
        if hashlib.sha256(data).hexdigest().encode() != digest:
            raise CheckpointError(f"{name}: is damaged")
        try:
            held = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
            if held["recipe"] != recipe.text():
                raise CheckpointError(f"{name}: is of a run with other inputs, options or versions")
            losses = tuple(Losses(*each) for each in held["losses"])
            state = _state(held["state"])
            return cls(recipe, held["scale"], held["coarser"], state, losses, held["seconds"])
        except CheckpointError:
            raise
        except Exception as error:  # whatever has our head and its own digest, and is not ours
            raise CheckpointError(f"{name}: is damaged ({error})") from error


def _parts(data: bytes) -> Sequence[bytes]:
    """Head, digest, and the rest."""
    start = len(_HEAD) + 64
    return data[: len(_HEAD)], data[len(_HEAD) : start], data[start + 1 :]


def _state(held: Mapping[str, Any] | None) -> State | None:
    if held is None:
        return None
    return State(**{**held, "losses": Losses(**held["losses"])})
