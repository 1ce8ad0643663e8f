"""`--dry-run`: what a command would do, and what it would take in time and memory.

torch is imported only where there is something to paint, to see on which device.
"""

import contextlib
import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from .. import files
from ..errors import (
    DeviceError,
    ExitCode,
    OptionError,
    OutputError,
    PictureError,
    StylizeError,
    WeightsError,
)
from ..images import encode
from ..images.picture import load_mask, load_picture
from ..settings.options import Options
from ..settings.recipe import parse
from ..transfer import memory
from ..transfer.scales import Scale
from . import report, terminal
from .arguments import Arguments
from .batch import exit_code, outcome_without_painting, scales_of, unreadable_rows
from .existing import foreseen_recipe, input_digests
from .folders import is_batch, list_tasks
from .page import check_page
from .report import Row
from .single import check
from .task import Outcome, Status, Task
from .trials import list_trials

if TYPE_CHECKING:
    from ..transfer.pace import Pace

#: Seconds until the network is loaded.
START_SECONDS = 4.0


def run_dry(arguments: Arguments) -> ExitCode:
    """Print what a command would do.

    Raises:
        StylizeError: one of its subclasses, as the command would raise it.
    """
    check_page(arguments, new_folder=True)
    if not arguments.trials and not is_batch(arguments):
        return _dry_single(arguments)
    tasks, unreadable = (list_trials(arguments), []) if arguments.trials else list_tasks(arguments)
    planned, total = plan(arguments, tasks)
    rows = [*unreadable_rows(arguments, unreadable), *planned]
    _print(arguments, rows, total)
    return exit_code(rows)


def _dry_single(arguments: Arguments) -> ExitCode:
    if "-" in (arguments.content, *arguments.styles):
        raise OptionError("--dry-run: does not read standard input; name a file")
    task = Task(arguments.content, arguments.styles, arguments.output, arguments)
    if not check(task):  # errors are reported as they would be without --dry-run
        scales_of(task)
        if refusal := _refusal(arguments.options):
            raise refusal
    rows, total = plan(replace(arguments, jobs=1), [task])
    _print(arguments, rows, total)
    for _, outcome in rows:
        if outcome.status is Status.FAILED:
            raise DeviceError(outcome.reason)
    return ExitCode.DONE


def _print(arguments: Arguments, rows: Sequence[Row], total: Sequence[str]) -> None:
    if arguments.json:
        lines = [report.as_json(*row) for row in rows]
    else:
        lines = [*report.table(rows), report.total(rows), *total]
    terminal.print_text("\n".join(map(terminal.one_line, lines)))


def plan(arguments: Arguments, tasks: Sequence[Task]) -> tuple[list[Row], list[str]]:
    """Look at all pictures, and paint none.

    Returns:
        For each task an outcome: PLANNED, with an estimate where it would be painted on the CPU,
        SKIPPED or FAILED; and a line, if any, on what all of them would take.

    Raises:
        DeviceError: there is no such device.
    """
    refusal = _refusal(arguments.options) if not arguments.trials else None
    rows: list[Row] = []
    scales: dict[int, tuple[Scale, ...]] = {}
    pending = functools.cache(files.pending_prefixes)
    for number, task in enumerate(tasks):
        outcome = outcome_without_painting(task, pending)
        if not outcome:
            try:
                if refusal:
                    raise refusal
                task.options.style_shares(len(task.styles))
                found = scales_of(task)
                if task.output != "-":
                    format, depth = encode.format_of(task.output), task.options.depth
                    encode.check_format(format, found[-1].size, depth)
                    encode.check_recipe(format, foreseen_recipe(task))
                    folder = files.nearest_existing_folder(os.path.dirname(task.output) or ".")
                    if not os.access(folder, os.W_OK):
                        raise OutputError(f"{task.output}: {folder} cannot be written to")
                scales[number] = found
                outcome = Outcome(Status.PLANNED)
            except StylizeError as error:
                outcome = Outcome.failed(error)
        rows.append((task, outcome))
    if not scales:
        return rows, []
    if arguments.cluster is not None:
        return rows, ["on a cluster, for which --dry-run has no estimate"]
    machine = Machine.find(arguments)
    at_once = min(arguments.jobs, len(scales))
    for number in scales:
        task, _ = rows[number]
        rows[number] = task, _estimate(task, scales[number], machine)
    planned = [outcome for _, outcome in rows if outcome.status is Status.PLANNED]
    if not planned:
        return rows, []
    where = f"on {machine.device} in {machine.precision}, {machine.threads} threads a picture"
    if machine.pace is None:
        return rows, [where]
    seconds = sum(outcome.seconds or 0 for outcome in planned)
    most = max(outcome.memory or 0 for outcome in planned)
    time = report.duration(START_SECONDS + seconds / at_once)
    return rows, [f"about {time} and {at_once * most / 1e9:.1f} GB {where}"]


@dataclass(frozen=True)
class Machine:
    """What would paint.

    Attributes:
        device: kind of device.
        precision: of the network.
        threads: for each picture.
        memory: bytes for each picture.
        pace: how long painting takes, as measured; None where that is no CPU.
    """

    device: str
    precision: str
    threads: int
    memory: float
    pace: "Pace | None"

    @classmethod
    def find(cls, arguments: Arguments) -> "Machine":
        """The machine that these arguments would paint on.

        Raises:
            DeviceError: there is no such device.
        """
        from ..transfer import device, pace

        options, jobs = arguments.options, arguments.jobs
        found = device.pick_device(options.device)
        precision = device.precision_name(device.network_dtype(options.precision, found))
        threads = options.threads or max(1, device.thread_count() // jobs)
        free = device.free_memory(found, jobs)
        # Workers share the machine's memory; on a GPU each takes what there is.
        share = free if found.type in device.GPUS_WITH_MEMORY else free / jobs
        # A small picture says little about a GPU, which is hardly busy with it.
        measured = pace.measure(options, threads) if found.type == "cpu" else None
        return cls(found.type, precision, threads, share, measured)


def _resumes(task: Task) -> str:
    """A word on the checkpoint from which the task would resume; "" if there is none.

    Only its recipe is read, so that nobody knows how much is left.
    """
    from ..transfer.checkpoint import read_recipe_text

    path = task.checkpoint
    if path and task.arguments.resume and (text := read_recipe_text(path)):
        with contextlib.suppress(PictureError):
            recorded = parse(text, path)
            same_version = recorded.stylize == version("neural-stylize")
            options = replace(recorded, complete=True)  # that of the picture it is on the way to
            format = encode.format_of(task.output) if task.output != "-" else task.arguments.format
            if same_version and options.matches(task.options, input_digests(task), format):
                return f"resumes from {path}, with less left than this"
    return ""


def _refusal(options: Options) -> StylizeError | None:
    """Why no picture can be painted with these options: a mask that is none, and the like.

    The photos are not decoded, which would take long; of these only the heads are read.
    """
    try:
        for path, inverted in zip(options.mask_files, options.masks_inverted, strict=True):
            load_mask(path, inverted=inverted)
        for path in options.pictures_named.values():
            load_picture(path)
        weights = options.weights_file
        if weights and not os.path.isfile(weights):
            raise WeightsError(f"{weights}: no such file; give auto, oxford or torchvision")
    except StylizeError as error:
        return error
    return None


def _estimate(task: Task, scales: tuple[Scale, ...], machine: Machine) -> Outcome:
    """The outcome if a task is painted on a machine."""
    from ..transfer.stylizer import need_of

    options = task.options
    size = scales[-1].size
    need = need_of(options, machine.precision, size)
    try:
        side = memory.fitting_side(size, options.size == "fit", need, machine.memory)
        if side < max(size):
            smaller = replace(task.arguments, options=options.replace(size=side))
            scales = scales_of(replace(task, arguments=smaller))
    except StylizeError as error:
        return Outcome.failed(error)
    planned = Outcome(
        Status.PLANNED,
        _resumes(task),
        device=machine.device,
        precision=machine.precision,
        size=scales[-1].size,
        iterations=sum(scale.iterations for scale in scales),
    )
    if machine.pace is None:
        return planned
    return replace(
        planned,
        seconds=machine.pace.picture + machine.pace.work * sum(scale.work for scale in scales),
        memory=round(memory.BASE_BYTES) + need(scales[-1].pixels),
    )
