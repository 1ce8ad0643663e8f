"""A run under way, in a file: all that it needs to go on to the same bits.

Written whole or not at all, and not gathered in memory before, which may be short. The file begins
with a line that says what it is, one with the SHA-256 of the rest, and one with the recipe; what
follows is torch's own format, read without running code from it.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any, cast

import torch
from torch import Tensor

from .. import files
from .. import files as writing
from ..errors import CheckpointError, DeviceError
from ..settings.recipe import Recipe
from .device import memory_told
from .job import Job
from .losses import Losses
from .optimize import State

_HEAD = b"stylize checkpoint 2\n"


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
        state = {**vars(self.state), "losses": asdict(self.state.losses)} if self.state else None
        held = {
            "scale": self.scale,
            "coarser": self.coarser,
            "state": state,
            "losses": [list(asdict(losses).values()) for losses in self.losses],
            "seconds": self.seconds,
        }
        with writing.replaced(path) as file:
            file.write(_HEAD)
            rest = _Hashed(file)
            file.write(rest.line())  # its place, until it is known
            rest.write(self.recipe.text().encode() + b"\n")
            try:
                torch.save(held, cast("IO[bytes]", rest))
            except RuntimeError as error:  # torch's own word for a disk that is full
                raise (error.__context__ or error) from error
            file.seek(len(_HEAD))
            file.write(rest.line())

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
            DeviceError: there is no memory for it.
        """
        name = os.fspath(path)
        try:
            with open(path, "rb") as file:
                if file.read(len(_HEAD)) != _HEAD:
                    raise CheckpointError(f"{name}: is no checkpoint of this version of stylize")
                digest = file.readline()
                start = file.tell()
                if digest.decode(errors="replace") != f"{files.sha256_of_rest(file)}\n":
                    raise CheckpointError(f"{name}: is damaged")
                file.seek(start)
                if file.readline().decode().rstrip() != recipe.text():
                    told = "is of a run with other inputs, options or versions"
                    raise CheckpointError(f"{name}: {told}")
                with memory_told(f"{name}: not enough memory to go on from it"):
                    held = torch.load(file, map_location=device, weights_only=True)
            losses = tuple(Losses(*each) for each in held["losses"])
            state = _state(held["state"])
            return cls(recipe, held["scale"], held["coarser"], state, losses, held["seconds"])
        except (CheckpointError, DeviceError):
            raise
        except OSError as error:
            raise CheckpointError(f"{name}: cannot be read ({error.strerror})") from error
        except Exception as error:  # whatever has our head and its own digest, and is not ours
            raise CheckpointError(f"{name}: is damaged ({error})") from error


def recipe(path: str | os.PathLike[str]) -> str:
    """The recipe of the run that a checkpoint is of, as text; "" if there is none."""
    try:
        with open(path, "rb") as file:
            lines = [file.readline(2**20) for _ in range(3)]
    except OSError:
        return ""
    return lines[2].decode(errors="replace").rstrip() if lines[0] == _HEAD else ""


def size(path: str | os.PathLike[str]) -> int | str | None:
    """The `--size` of that run; None if it is not known."""
    try:
        found: int | str = json.loads(recipe(path))["options"]["size"]
    except (ValueError, KeyError, TypeError):
        return None
    return found


class _Hashed:
    """What is written to a file is hashed on its way."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.hash = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()

    def line(self) -> bytes:
        """The digest until now; always as long."""
        return f"{self.hash.hexdigest()}\n".encode()


def _state(held: Mapping[str, Any] | None) -> State | None:
    if held is None:
        return None
    return State(**{**held, "losses": Losses(**held["losses"])})
