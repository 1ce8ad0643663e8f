"""A run in numbers, a line for each evaluation of the network. A callback on `Step`. No torch."""

import contextlib
import json
import os
import time
from dataclasses import asdict
from math import isfinite
from typing import IO, TYPE_CHECKING

from .. import files as writing

if TYPE_CHECKING:
    from ..transfer.step import Step


class Trace:
    """Writes what each step found, as a line of JSON that is in the file at once.

    Used as a context, which closes the file. A run that goes on from a checkpoint goes on here too:
    the lines until then stay.

    Args:
        path: of the file; what is there is replaced, unless the run goes on.

    Raises:
        OutputError: missing folder, a folder by that name, or no permission.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self.file: IO[str] | None = None
        self.last = self.elapsed = 0.0
        writing.writable(path)

    def __enter__(self) -> "Trace":
        self.last = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        if self.file:
            with contextlib.suppress(OSError):  # of a line that was told not to be written
                self.file.close()
        self.file = None

    def __call__(self, step: "Step") -> None:
        """Write a line.

        Raises:
            OutputError: it cannot be written.
        """
        now = time.perf_counter()
        took, self.last = now - self.last, now
        with writing.told(self.path):
            if self.file is None:
                self._open(step.iteration)
            assert self.file
            self.elapsed += took
            line = {
                "iteration": step.iteration,
                "width": step.scale.width,
                "height": step.scale.height,
                "seconds": round(took, 4),
                "elapsed": round(self.elapsed, 4),
                "step": step.step,
                **{name: _number(value) for name, value in asdict(step.tried).items()},
                "best": step.losses.total,
            }
            self.file.write(f"{json.dumps(line)}\n")
            self.file.flush()

    def _open(self, iteration: int) -> None:
        """Keep what an earlier run wrote before this iteration, if it did not begin with it."""
        kept: list[str] = []
        if iteration > 1 and os.path.exists(self.path):
            with open(self.path, encoding="utf-8", errors="replace") as file:
                for text in file:
                    try:
                        line = json.loads(text)
                        if not (line["iteration"] < iteration and text.endswith("\n")):
                            break
                        self.elapsed = float(line["elapsed"])
                    except (ValueError, KeyError, TypeError):
                        break  # cut short, or not ours
                    kept.append(text)
        # Not by way of another name: it is there to be looked at while it grows.
        self.file = open(self.path, "w", encoding="utf-8")  # noqa: SIM115
        self.file.writelines(kept)


def _number(value: float) -> float | None:
    """JSON knows no infinity."""
    return value if isfinite(value) else None
