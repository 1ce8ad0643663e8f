"""A run in progress, in a file: all that it needs to resume with a bit-identical result.

The file is written whole or not at all, and streamed, because memory may be short. It begins with a
line that names the format, a line with the SHA-256 of the rest, and a line with the recipe. What
follows is torch's own format, which is read without running code from it.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import IO, Any, Self, cast

import torch
from torch import Tensor

from .. import files
from ..errors import CheckpointError, DeviceError
from ..settings.recipe import Recipe
from .device import memory_errors
from .job import Job
from .optimize import State
from .step import Losses
from .terms import TERMS

_HEAD = b"stylize checkpoint 3\n"


@dataclass
class Checkpoint:
    """Where a run is.

    Attributes:
        recipe: of the run, as it will be at its end.
        scale: index of the scale in the job's scales.
        coarser: the picture that this scale started from, 1 x 3 x H x W; None for the first one.
        state: of the optimiser at this scale; None for its start.
        losses: after each evaluation until then, over all scales.
        seconds: of wall time until then.
        path: of the file that it was read from, absolute; "" if there was none.
    """

    recipe: Recipe
    scale: int
    coarser: Tensor | None
    state: State | None
    losses: tuple[Losses, ...]
    seconds: float
    path: str = ""

    def iteration(self, job: Job) -> int:
        """The number of the last evaluation that it contains, as in `Step`."""
        before = sum(scale.iterations for scale in job.scales[: self.scale])
        return before + (self.state.done if self.state else 0)

    def pop_state(self) -> State | None:
        """Hand over the optimiser's state, and forget it.

        The optimiser replaces its tensors one by one; whoever still holds the checkpoint must not
        keep the old ones in memory.
        """
        state, self.state = self.state, None
        return state

    def save(self, path: str | os.PathLike[str], untyped: int = 0) -> None:
        """Write it in the place of an older one.

        Args:
            path: of the file.
            untyped: as in `files.write`.

        Raises:
            OutputError: the file cannot be written.
        """
        content = {
            "scale": self.scale,
            "coarser": self.coarser,
            "state": _state_to_dict(self.state),
            "losses": [list(losses.as_dict().values()) for losses in self.losses],
            "seconds": self.seconds,
            "places": [[each.iteration, each.size, each.seconds] for each in self.losses],
        }
        with files.open_atomic(path, untyped) as file:
            file.write(_HEAD)
            rest = _HashingWriter(file)
            file.write(rest.line())  # a placeholder of the same length
            rest.write(self.recipe.text().encode() + b"\n")
            try:
                torch.save(content, cast("IO[bytes]", rest))
            except RuntimeError as error:  # torch's own error for a full disk
                raise (error.__context__ or error) from error
            file.seek(len(_HEAD))
            file.write(rest.line())

    @classmethod
    def load(cls, path: str | os.PathLike[str], recipe: Recipe, device: torch.device) -> Self:
        """Read a checkpoint that a run with this recipe saved.

        Args:
            path: of the file.
            recipe: of the run that is to resume.
            device: where its tensors go.

        Raises:
            CheckpointError: it cannot be read, is damaged, or belongs to another run.
            DeviceError: there is no memory for it.
        """
        name = os.fspath(path)
        try:
            with open(path, "rb") as file:
                if file.read(len(_HEAD)) != _HEAD:
                    raise CheckpointError(f"{name}: is not a checkpoint of this version of stylize")
                digest = file.readline()
                start = file.tell()
                actual = hashlib.file_digest(file, "sha256").hexdigest()
                if digest.decode(errors="replace") != f"{actual}\n":
                    raise CheckpointError(f"{name}: is damaged")
                file.seek(start)
                if file.readline().decode().rstrip() != recipe.text():
                    reason = "belongs to a run with other inputs, options or versions"
                    raise CheckpointError(f"{name}: {reason}")
                with memory_errors(f"{name}: not enough memory to resume from it"):
                    content = torch.load(file, map_location=device, weights_only=True)
            losses = [_losses_from_values(values) for values in content["losses"]]
            # Version 0.1.0 did not write the places.
            for number, (at, size, seconds) in enumerate(content.get("places", ())):
                losses[number] = replace(losses[number], iteration=at, size=size, seconds=seconds)
            state = _state_from_dict(content["state"])
            scale, coarser = content["scale"], content["coarser"]
            seconds = content["seconds"]
            path = os.path.abspath(path)
            return cls(recipe, scale, coarser, state, tuple(losses), seconds, path)
        except (CheckpointError, DeviceError):
            raise
        except OSError as error:
            raise CheckpointError(f"{name}: cannot be read ({error.strerror})") from error
        except Exception as error:  # a file with our first line and a valid digest that is not ours
            raise CheckpointError(f"{name}: is damaged ({error})") from error


def read_recipe_text(path: str | os.PathLike[str]) -> str:
    """The text of the recipe that a checkpoint carries; "" if there is none."""
    try:
        with open(path, "rb") as file:
            lines = [file.readline(2**20) for _ in range(3)]
    except OSError:
        return ""
    return lines[2].decode(errors="replace").rstrip() if lines[0] == _HEAD else ""


def read_size(path: str | os.PathLike[str]) -> int | str | None:
    """The `--size` of the run that a checkpoint belongs to; None if it is not known."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        size: int | str = json.loads(read_recipe_text(path))["options"]["size"]
        return size
    return None


class _HashingWriter:
    """Writes to a file, and takes the SHA-256 of what it writes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.hash = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()

    def line(self) -> bytes:
        """The digest of what was written so far, as a line; always of the same length."""
        return f"{self.hash.hexdigest()}\n".encode()


def _losses_from_values(values: list[float]) -> Losses:
    """The losses out of the values of `Losses.as_dict`."""
    names = dict.fromkeys(kind.name for kind in TERMS)  # several kinds may share a name
    return Losses(dict(zip(names, values[:-1], strict=True)), values[-1])


def _state_to_dict(state: State | None) -> dict[str, Any] | None:
    return {**vars(state), "losses": state.losses.as_dict()} if state else None


def _state_from_dict(content: Mapping[str, Any] | None) -> State | None:
    if content is None:
        return None
    return State(**{**content, "losses": _losses_from_values(list(content["losses"].values()))})
