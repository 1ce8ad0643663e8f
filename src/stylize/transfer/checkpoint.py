"""A run in progress, in a file: all that it needs to resume with a bit-identical result.

The file is written whole or not at all, and streamed, because memory may be short. It has four
lines: the format's name, the SHA-256 of the rest, the recipe, and numbers as JSON. Then come the
losses and the pictures, as bare numbers one after another.

Whoever can write to the folder may have forged it, with a valid digest. So nothing in it is taken
as it is. What the pictures are follows from the job: their sizes and types are not even written in
the file. Every number is checked, and the length of the file, before anything large is read.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BufferedReader
from math import isfinite
from typing import IO, Any, Self

import torch
from torch import Tensor

from .. import files
from ..errors import CheckpointError, DeviceError
from ..settings.recipe import Recipe
from .device import memory_errors
from .job import Job
from .optimize import OPTIMIZERS, PATIENCE, State, Stored
from .step import CHECKPOINT_HEAD, Losses
from .terms import TERMS

_HEAD = CHECKPOINT_HEAD + b"4\n"
#: Bytes of the line with the SHA-256.
_DIGEST = 65
#: The most bytes of a recipe, and of the line of numbers, which has a few kilobytes.
_LONGEST_RECIPE, _LONGEST_NUMBERS = 2**20, 2**16
#: The names of the losses: those of all terms, of which several may share one, and the total.
_LOSSES = [*dict.fromkeys(term.name for term in TERMS), "total"]
#: How many numbers are written of each evaluation: the losses, iteration, width, height, seconds.
_COLUMNS = len(_LOSSES) + 4
#: The most seconds that a run can have taken: three centuries.
_MOST_SECONDS = 1e10


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
        losses = torch.tensor([_row(losses) for losses in self.losses], dtype=torch.float64)
        with files.open_atomic(path, untyped) as file:
            file.write(_HEAD)
            rest = _HashingWriter(file)
            file.write(rest.line())  # a placeholder of the same length
            rest.write(self.recipe.text().encode() + b"\n")
            rest.write(json.dumps(self._numbers()).encode() + b"\n")
            rest.write(_bytes_of(losses))
            for picture in self._pictures():
                rest.write(_bytes_of(picture.detach().cpu().contiguous()))
            file.seek(len(_HEAD))
            file.write(rest.line())

    def _numbers(self) -> dict[str, Any]:
        """All but the recipe, the losses and the pictures, as JSON can hold it."""
        state = self.state
        return {
            "byteorder": sys.byteorder,
            "evaluations": len(self.losses),
            "scale": self.scale,
            "seconds": float(self.seconds),
            "state": state
            and {
                "done": state.done,
                "losses": _values(state.losses),
                "loss": float(state.loss),
                "lowest": [float(loss) for loss in state.lowest],
                "numbers": [float(number) for number in state.numbers],
            },
        }

    def _pictures(self) -> Iterator[Tensor]:
        if self.coarser is not None:
            yield self.coarser
        if self.state:
            yield self.state.image
            yield from self.state.pictures

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], recipe: Recipe, job: Job, device: torch.device
    ) -> Self:
        """Read a checkpoint that a run with this recipe saved.

        Args:
            path: of the file.
            recipe: of the run that is to resume.
            job: of that run.
            device: where its tensors go.

        Raises:
            CheckpointError: it cannot be read, is damaged or forged, or belongs to another run.
            DeviceError: there is no memory for it.
        """
        name = os.fspath(path)
        memory = memory_errors(f"{name}: not enough memory to resume from it")
        try:
            with files.open_regular(path) as file, memory:
                return cls._read(file, recipe, job, device, os.path.abspath(path))
        except CheckpointError as error:
            raise CheckpointError(f"{name}: {error}") from error
        except DeviceError:
            raise
        except OSError as error:
            raise CheckpointError(f"{name}: cannot be read ({error.strerror})") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CheckpointError(f"{name}: is damaged") from error

    @classmethod
    def _read(
        cls, file: BufferedReader, recipe: Recipe, job: Job, device: torch.device, path: str
    ) -> Self:
        """Read a checkpoint, and check all of it.

        Raises:
            CheckpointError: as in `load`. The message lacks the file's name.
            ValueError, KeyError, TypeError, RecursionError: it is damaged or forged.
        """
        if file.read(len(_HEAD)) != _HEAD:
            raise CheckpointError("is not a checkpoint of this version of stylize")
        digest = file.read(_DIGEST)
        found = file.readline(_LONGEST_RECIPE)
        if not found.endswith(b"\n"):
            raise ValueError("it ends too early")
        if found.decode().rstrip() != recipe.text():
            raise CheckpointError("belongs to a run with other inputs, options or versions")
        numbers = json.loads(file.readline(_LONGEST_NUMBERS))
        plan = _Plan.of(numbers, job)
        start, end = file.tell(), os.fstat(file.fileno()).st_size
        if end - start != 8 * plan.evaluations * _COLUMNS + sum(map(_size_of, plan.pictures)):
            raise ValueError("it has another length")
        file.seek(len(_HEAD) + _DIGEST)
        if digest != f"{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode():
            raise ValueError("it was changed")
        file.seek(start)
        values = _read_tensor(file, (plan.evaluations, _COLUMNS), Stored(torch.float64))
        losses = tuple(map(_losses_of_row, values.tolist()))
        # One after another, so that those that go to a GPU are in memory once.
        pictures = [_read_tensor(file, *picture).to(device) for picture in plan.pictures]
        coarser = pictures.pop(0) if plan.coarser else None
        state = None
        if plan.state:
            state = State(
                plan.done,
                pictures[0],
                _losses_of(plan.state["losses"]),
                plan.state["loss"],
                tuple(plan.state["lowest"]),
                tuple(plan.state["numbers"]),
                tuple(pictures[1:]),
            )
        return cls(recipe, plan.scale, coarser, state, losses, plan.seconds, path)


@dataclass(frozen=True)
class _Plan:
    """The numbers of a checkpoint, checked, and what follows from them.

    Attributes:
        scale, seconds: as in `Checkpoint`.
        evaluations: how many losses there are.
        coarser: whether there is a coarser picture.
        done: as in `State`; 0 without a state.
        state: the numbers of the state, as in the file; None without one.
        pictures: shape and kind of each picture, in order.
    """

    scale: int
    seconds: float
    evaluations: int
    coarser: bool
    done: int
    state: dict[str, Any] | None
    pictures: list[tuple[tuple[int, ...], Stored]]

    @classmethod
    def of(cls, numbers: dict[str, Any], job: Job) -> Self:
        """Check the numbers of a file against the job.

        Raises:
            ValueError, KeyError, TypeError: no run of this job has such numbers.
        """
        if numbers["byteorder"] != sys.byteorder:
            raise ValueError("it was written on another kind of machine")
        (seconds,) = _floats([numbers["seconds"]], 1)
        if not 0 <= seconds <= _MOST_SECONDS:
            raise ValueError("its time is out of range")
        number = _whole(numbers["scale"], 0, len(job.scales) - 1)
        scale, earlier = job.scales[number], job.scales[:number]
        state, done = numbers["state"], 0
        pictures: list[tuple[tuple[int, ...], Stored]] = []
        smaller = job.smaller.size if job.smaller else None
        coarser = earlier[-1].size if earlier else smaller
        if coarser:
            pictures.append((_shape(coarser), Stored(torch.float32)))
        if state is not None:
            done = _whole(state["done"], 0, scale.iterations)
            _floats([state["loss"]], 1)
            _floats(state["losses"], len(_LOSSES), len(_LOSSES))
            _floats(state["lowest"], PATIENCE + 1)
            own = _floats(state["numbers"], _LONGEST_NUMBERS)
            optimizer = OPTIMIZERS[job.options.optimizer]
            kinds = [Stored(torch.float32), *optimizer.layout(done, own, scale.pixels)]
            pictures += [(_shape(scale.size), kind) for kind in kinds]
        # A scale may have ended before its last iteration, but not before its first.
        before = sum(scale.iterations for scale in earlier)
        evaluations = _whole(numbers["evaluations"], number + done, before + done)
        return cls(number, seconds, evaluations, bool(coarser), done, state, pictures)


def _whole(value: Any, low: int, high: int) -> int:
    """Check a whole number.

    Raises:
        ValueError: it is none, or out of range.
    """
    if type(value) is not int or not low <= value <= high:
        raise ValueError("not a whole number in range")
    return value


def _floats(values: Any, most: int, least: int = 0) -> list[float]:
    """Check a list of finite floats.

    Raises:
        ValueError: it is none, or has too many or too few.
    """
    if not isinstance(values, list) or not least <= len(values) <= most:
        raise ValueError("not a list of the right length")
    if not all(type(value) is float and isfinite(value) for value in values):
        raise ValueError("not finite numbers")
    return values


def _shape(size: tuple[int, int]) -> tuple[int, ...]:
    width, height = size
    return 1, 3, height, width


def _size_of(picture: tuple[tuple[int, ...], Stored]) -> int:
    """The bytes of a picture in the file."""
    shape, kind = picture
    return torch.Size(shape).numel() * kind.dtype.itemsize


def _bytes_of(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous tensor on the CPU, not copied."""
    values: Any = tensor.flatten().view(torch.uint8).numpy()
    return memoryview(values)


def _read_tensor(file: BufferedReader, shape: Sequence[int], kind: Stored) -> Tensor:
    """Read a tensor, and check its numbers.

    Raises:
        ValueError: a number is not finite, or below the least; or the file is cut short.
    """
    tensor = torch.empty(*shape, dtype=kind.dtype)
    data = _bytes_of(tensor)
    if file.readinto(data) != len(data):
        raise ValueError("it is cut short")
    if tensor.numel():
        low, high = (float(bound) for bound in tensor.aminmax())  # not finite if any number is not
        if not (isfinite(low) and isfinite(high) and low >= kind.least):
            raise ValueError("a number is out of range")
    return tensor


def read_recipe_text(path: str | os.PathLike[str]) -> str:
    """The text of the recipe that a checkpoint carries; "" if there is none."""
    try:
        with files.open_regular(path) as file:
            if file.read(len(_HEAD)) != _HEAD:
                return ""
            file.read(_DIGEST)
            return file.readline(_LONGEST_RECIPE).decode(errors="replace").rstrip()
    except OSError:
        return ""


def read_size(path: str | os.PathLike[str]) -> int | str | None:
    """The `--size` of the run that a checkpoint belongs to; None if it is not known."""
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        size: int | str = json.loads(read_recipe_text(path))["options"]["size"]
        return size
    return None


class _HashingWriter:
    """Writes to a file, and takes the SHA-256 of what it writes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.hash = file, hashlib.sha256()

    def write(self, data: bytes | memoryview) -> int:
        self.hash.update(data)
        return self.file.write(data)

    def line(self) -> bytes:
        """The digest of what was written so far, as a line; always of the same length."""
        return f"{self.hash.hexdigest()}\n".encode()


def _values(losses: Losses) -> list[float]:
    values = losses.as_dict()
    return [float(values[name]) for name in _LOSSES]


def _losses_of(values: Sequence[float]) -> Losses:
    return Losses(dict(zip(_LOSSES[:-1], values[:-1], strict=True)), values[-1])


def _row(losses: Losses) -> list[float]:
    return [*_values(losses), losses.iteration, *losses.size, losses.seconds]


def _losses_of_row(row: Sequence[float]) -> Losses:
    *values, iteration, width, height, seconds = row
    size = int(width), int(height)
    return replace(_losses_of(values), iteration=int(iteration), size=size, seconds=seconds)
