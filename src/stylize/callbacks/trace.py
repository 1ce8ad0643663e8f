"""A run in numbers: one line of JSON for each evaluation of the network."""

import contextlib
import json
import os
import time
from math import isfinite
from typing import IO, TYPE_CHECKING

from .. import files
from ..errors import OptionError

if TYPE_CHECKING:
    from ..transfer.step import Step


#: How every trace begins.
BEGINNING = '{"iteration": '


def check_path(path: str | os.PathLike[str]) -> None:
    """Check, before the work, that a trace can be written.

    Raises:
        OptionError: the name is that of a table.
        OutputError: it cannot be written there.
    """
    name = os.fspath(path)
    if name.lower().endswith((".csv", ".tsv", ".xlsx")):
        raise OptionError(
            f"--trace {name}: its lines are JSON; give a name as in run.jsonl, which"
            " pandas.read_json(..., lines=True) reads"
        )
    files.check_writable(path)


class Trace:
    """Writes the numbers of each step as a line of JSON, which is in the file at once.

    Used as a context, which closes the file. When a run resumes from a checkpoint, so does its
    trace: the lines of the earlier iterations stay.

    Args:
        path: of the file. An existing file is replaced, unless the run resumes.

    Raises:
        OutputError: the parent folder does not exist, the path is a folder, or may not be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self.file: IO[str] | None = None
        self.last = self.elapsed = 0.0
        files.check_writable(path)

    def __enter__(self) -> "Trace":
        self.last = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        if self.file:
            with contextlib.suppress(OSError):  # of a line whose failure was reported already
                self.file.close()
        self.file = None

    def __call__(self, step: "Step") -> None:
        """Write a line.

        Raises:
            OptionError: it would replace one of the run's inputs.
            OutputError: it cannot be written.
        """
        now = time.perf_counter()
        seconds, self.last = now - self.last, now
        with files.output_errors(self.path):
            if self.file is None:
                files.check_not_input(self.path, step.inputs)
                self._open(step.iteration)
            assert self.file
            self.elapsed += seconds
            line = {
                "iteration": step.iteration,
                "width": step.scale.width,
                "height": step.scale.height,
                "seconds": round(seconds, 4),
                "elapsed": round(self.elapsed, 4),
                "step": step.step_length,
                **{name: _number(value) for name, value in step.tried.as_dict().items()},
                "best": step.losses.total,
            }
            self.file.write(f"{json.dumps(line)}\n")
            self.file.flush()

    def _open(self, iteration: int) -> None:
        """Open the file; where the run resumes at `iteration`, keep the lines before it."""
        earlier: list[str] = []
        if iteration > 1 and os.path.exists(self.path):
            with open(self.path, encoding="utf-8", errors="replace") as file:
                for text in file:
                    try:
                        line = json.loads(text)
                        if not (line["iteration"] < iteration and text.endswith("\n")):
                            break
                        self.elapsed = float(line["elapsed"])
                    except (ValueError, KeyError, TypeError, RecursionError):
                        break  # the line was cut short, or is not from a trace
                    earlier.append(text)
        # Not written under another name first: the file is there to be read while it grows.
        self.file = open(self.path, "w", encoding="utf-8")  # noqa: SIM115
        self.file.writelines(earlier)


def _number(value: float) -> float | None:
    """JSON has no infinity."""
    return value if isfinite(value) else None
