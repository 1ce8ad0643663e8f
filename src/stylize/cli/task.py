"""What was asked for, and which files it may touch. No torch."""

import contextlib
import os
import stat
import sys
from dataclasses import dataclass
from typing import Any

from ..callbacks.autosave import EVERY
from ..errors import OptionError
from ..network.names import weights_path
from ..settings.options import Options, flag
from ..settings.recipe import Recipe
from . import terminal as console


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        content: path of the photo, or "-" for standard input.
        styles: paths of the paintings; one of them may be "-" instead.
        output: where the result goes, or "-" for standard output.
        options: how to paint.
        recipe: to be painted after, if any.
        read: other files that were read, and are not to be written over.
        snapshot_every: iterations between two snapshots; None for none.
        timelapse: where the film goes; None for none.
        trace: where the run's numbers go; None for nowhere.
        checkpoint: where the run is kept; None for a file beside the output.
        checkpoint_every: seconds from one checkpoint to the next.
        resume: whether to go on where an earlier run was.
    """

    content: str
    styles: tuple[str, ...]
    output: str
    options: Options
    recipe: Recipe | None = None
    read: tuple[str, ...] = ()
    snapshot_every: int | None = None
    timelapse: str | None = None
    trace: str | None = None
    checkpoint: str | None = None
    checkpoint_every: float = EVERY
    resume: bool = True

    @property
    def kept(self) -> str | None:
        """The file of the checkpoint; None if there is no place for one."""
        return self.checkpoint or (f"{self.output}.checkpoint" if self.output != "-" else None)

    @property
    def snapshots(self) -> str:
        """The folder of the snapshots."""
        return f"{os.path.splitext(self.output)[0]}-snapshots"

    @property
    def inputs(self) -> list[str]:
        """Every file that is read, with "-" for standard input."""
        weights, _ = weights_path(self.options.weights)
        options = self.options
        return [self.content, *self.styles, *self.read, options.init, *options.mask, weights]


def check(request: Request) -> None:
    """See that nothing that is read would be written over, and that standard streams will do.

    Raises:
        OptionError: otherwise.
    """
    target, options = request.output, request.options
    inputs = [request.content, *request.styles]
    if inputs.count("-") > 1:
        raise OptionError("only one picture can come from standard input")
    for name, paths in (("init", (options.init,)), ("mask", options.mask)):
        if "-" in paths:
            raise OptionError(f"{flag(name)}: cannot come from standard input; name a file")
    if target == "-" and console.stream("standard output", sys.stdout) and sys.stdout.isatty():
        raise OptionError("-o -: standard output is a terminal; pipe it, or name a file")
    if target == "-" and request.snapshot_every:
        raise OptionError("--snapshot-every: its folder is named after OUTPUT; name a file")
    inputs = request.inputs
    others = {
        "--timelapse": request.timelapse,
        "--trace": request.trace,
        "--checkpoint": request.kept,
    }
    if request.trace == "-":
        raise OptionError("--trace -: standard output is not for it; name a file")
    written = {"-o": target} | {name: path for name, path in others.items() if path}
    for name, path in written.items():
        if any(_same_file(path, other) for other in inputs):
            raise OptionError(f"{name} {path}: is an input too; name another file")
    for name, other in others.items():
        if other and _same_place(other, target):
            raise OptionError(f"{name} {other}: is OUTPUT too; name another file")
        if other and any(_same_place(other, path) for n, path in written.items() if n != name):
            raise OptionError(f"{name} {other}: is named twice; name another file")
    if request.snapshot_every:
        folders = [os.path.dirname(os.path.realpath(path)) for path in (*inputs, *written.values())]
        if os.path.realpath(request.snapshots) in folders:
            raise OptionError(f"--snapshot-every: other files lie in {request.snapshots}")
        with contextlib.suppress(OSError):  # there is no such folder yet
            for entry in os.scandir(request.snapshots):
                if any(_same_file(entry.path, other) for other in inputs):
                    raise OptionError(f"--snapshot-every: {entry.path} leads to an input")


def _same_place(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _same_file(written: str, read: str) -> bool:
    """Whether both are the same file, through links of both kinds."""
    one, other = _identity(written, sys.stdout), _identity(read, sys.stdin)
    return bool(one and other and stat.S_ISREG(one.st_mode) and os.path.samestat(one, other))


def _identity(path: str, standard: Any) -> os.stat_result | None:
    """Which file that is; None where there is none."""
    try:
        return os.fstat(standard.fileno()) if path == "-" else os.stat(path)
    except (OSError, ValueError, AttributeError):
        return None
