"""One picture of what was typed (`Task`), and how that went (`Outcome`).

A task is small, and can be sent to another process.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ..errors import ExitCode, OptionError, OutputError, StylizeError
from ..files import file_id, real_target
from ..settings.options import Options, flag
from .arguments import Arguments
from .terminal import byte_stream


@dataclass(frozen=True)
class Task:
    """One picture to paint. Nothing has been opened yet.

    Attributes:
        content: path of the content image, or "-" for standard input.
        styles: paths of the style images; one may be "-".
        output: path of the result, or "-" for standard output.
        arguments: of the command that this picture is part of.
        untyped: how many of the last parts of `output` the user did not type, as in `files.write`.
    """

    content: str
    styles: tuple[str, ...]
    output: str
    arguments: Arguments
    untyped: int = 0

    @property
    def options(self) -> Options:
        """How to paint."""
        return self.arguments.options

    @property
    def checkpoint(self) -> str | None:
        """Path of the checkpoint; None for standard output, unless it is given."""
        beside = None if self.output == "-" else f"{self.output}.checkpoint"
        return self.arguments.checkpoint or beside

    @property
    def checkpoint_untyped(self) -> int:
        """How many of the last parts of `checkpoint` the user did not type."""
        return 0 if self.arguments.checkpoint else max(1, self.untyped)

    @property
    def snapshots(self) -> str:
        """Path of the folder for the snapshots."""
        return f"{os.path.splitext(self.output)[0]}-snapshots"

    @property
    def inputs(self) -> list[str]:
        """Every file that is read, with "-" for standard input."""
        options = self.options
        files = [self.content, *self.styles, *self.arguments.settings_files, *options.mask_files]
        files += options.pictures_named.values()
        return files + ([options.weights_file] if options.weights_file else [])

    @property
    def outputs(self) -> dict[str, tuple[str, int]]:
        """Every file that is written, by the option that names it, with "-" for standard output.

        Beside each is how many of the path's last parts the user did not type.
        """
        files = {
            "-o": (self.output, self.untyped),
            "--timelapse": (self.arguments.timelapse, 0),
            "--trace": (self.arguments.trace, 0),
            "--checkpoint": (self.checkpoint, self.checkpoint_untyped),
        }
        return {option: (path, untyped) for option, (path, untyped) in files.items() if path}


class Status(StrEnum):
    """How a picture went. In a table they come in this order: the last lines matter most."""

    SKIPPED = "skipped"
    PLANNED = "planned"
    DONE = "done"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        status: DONE, SKIPPED (the existing file is good), INTERRUPTED (the picture or the run so
            far was saved), FAILED, or, in a dry run only, PLANNED.
        reason: why it is not done, or what could not be written besides the picture.
        exit_code: what the command exits with if this is the only picture.
        size: (width, height) of the result, if known.
        iterations: evaluations of the network.
        seconds: wall time of painting. In a dry run this and `memory` are estimates.
        losses: of the result, by name.
        memory: the most bytes that the process used; None where the system does not say.
        device_memory: the same on a GPU with memory of its own.
        device: kind of device that painted it.
        precision: of the network.
    """

    status: Status
    reason: str = ""
    exit_code: ExitCode = ExitCode.DONE
    size: tuple[int, int] | None = None
    iterations: int | None = None
    seconds: float | None = None
    losses: dict[str, float] | None = None
    memory: int | None = None
    device_memory: int | None = None
    device: str | None = None
    precision: str | None = None

    @property
    def has_picture(self) -> bool:
        """Whether there is a good file at the output path; after SIGTERM there is none."""
        painted = self.status in (Status.DONE, Status.SKIPPED, Status.INTERRUPTED)
        return painted and self.exit_code is not ExitCode.TERMINATED

    @classmethod
    def failed(cls, error: StylizeError) -> "Outcome":
        """The outcome for an error."""
        if isinstance(error, BesidesPictureError):
            return replace(error.outcome, reason=str(error), exit_code=ExitCode(error.exit_code))
        return cls(Status.FAILED, str(error), ExitCode(error.exit_code))


class BesidesPictureError(OutputError):
    """The picture is written, but not all that was to be written besides.

    Attributes:
        outcome: of the picture.
    """

    def __init__(self, error: Exception, outcome: Outcome) -> None:
        super().__init__(f"{error}; the picture itself is {outcome.status}")
        self.outcome = outcome


def check_streams(task: Task) -> None:
    """Check that standard input and output can be used as the task asks.

    Raises:
        OptionError: a stream is used twice, or for what it cannot be used for.
        OutputError: standard output is closed.
    """
    arguments = task.arguments
    if [task.content, *task.styles].count("-") > 1:
        raise OptionError("only one picture can come from standard input")
    named = {**task.options.pictures_named, "mask": "-" if "-" in task.options.mask_files else ""}
    for name, path in named.items():
        if path == "-":
            raise OptionError(f"{flag(name)}: cannot come from standard input; name a file")
    if arguments.trace == "-":
        raise OptionError("--trace -: cannot be written to standard output; name a file")
    if task.output == "-":
        if byte_stream("standard output", sys.stdout) and sys.stdout.isatty():
            raise OptionError("-o -: standard output is a terminal; pipe it, or name a file")
        if arguments.snapshot_every:
            raise OptionError("--snapshot-every: its folder is named after OUTPUT; name a file")


def check_overwrites(tasks: Sequence[Task]) -> None:
    """Check that nothing is written over a file that any task reads or another output takes.

    Files are compared through symbolic and hard links, and through redirected standard streams.

    Raises:
        OptionError: something would be; the message names the option and the file.
    """
    inputs = {path for task in tasks for path in task.inputs}
    input_files = set(filter(None, (_file_id(path, sys.stdin) for path in inputs)))
    written: dict[str, str] = {}
    # One page shows all pictures.
    pages = filter(None, {task.arguments.report for task in tasks})
    for files in [{"--report": (page, 0)} for page in pages] + [task.outputs for task in tasks]:
        for option, (path, untyped) in files.items():
            if _file_id(path, sys.stdout) in input_files:
                raise OptionError(f"{option} {path}: is an input too; choose another name")
            place = path if path == "-" else os.fspath(real_target(path, untyped))
            if place in written:
                if written[place] == option:
                    raise OptionError(f"{option} {path}: two results would have this name")
                other = "OUTPUT" if written[place] == "-o" else written[place]
                raise OptionError(
                    f"{option} {path}: is the file of {other} too; choose another name"
                )
            written[place] = option
    if any(task.arguments.snapshot_every for task in tasks):
        folders = {os.path.dirname(os.path.realpath(path)) for path in (*inputs, *written)}
        for task in tasks:
            if os.path.islink(task.snapshots):
                raise OptionError(
                    f"--snapshot-every: {task.snapshots} is a link; remove it, or choose another"
                    " OUTPUT"
                )
            if os.path.realpath(task.snapshots) in folders:
                raise OptionError(
                    f"--snapshot-every: {task.snapshots} also contains inputs or outputs; choose"
                    " another OUTPUT"
                )
            for path in _files_in(task.snapshots):
                if _file_id(path, None) in input_files:
                    raise OptionError(f"--snapshot-every: {path} is a link to an input")


def _file_id(path: str, standard: Any) -> tuple[int, int] | None:
    """`files.file_id` of a path, or for "-" of the stream that it stands for."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return file_id(standard.fileno() if path == "-" else path)
    return None


def _files_in(folder: str) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        yield from (entry.path for entry in entries)
