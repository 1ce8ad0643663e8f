"""One picture by the command: `paint` goes from a `Task` to its `Outcome` in named steps.

torch is not imported before the pictures have been read and checked.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import files
from ..callbacks.autosave import Autosave, check_named
from ..callbacks.film import MARK, Snapshots, Timelapse
from ..callbacks.isolated import Isolated
from ..callbacks.progress import Bar, Forecast, bars_hidden
from ..callbacks.trace import BEGINNING, Trace, check_path
from ..errors import (
    DeviceError,
    ExitCode,
    OptimizationError,
    OutputError,
    StylizeError,
)
from ..images import encode
from ..settings.options import FORMATS, Options
from ..transfer import memory
from ..transfer.job import Job
from ..transfer.step import STOP, Signal
from . import report, terminal
from .arguments import Arguments
from .existing import check_replaceable, foreseen_recipe, reason_to_skip
from .page import Page, check_page
from .resources import Inputs, Resources, load
from .task import BesidesPictureError, Outcome, Status, Task, check_overwrites, check_streams
from .terminal import StopOnSignal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..transfer.result import Result
    from ..transfer.step import Step
    from ..transfer.stylizer import Stylizer

log = logging.getLogger(__name__)

#: Sees every step, and says with which exit code the run is to stop; DONE for going on.
Watch = Callable[["Step"], int]


def run_single(arguments: Arguments) -> ExitCode:
    """The command for one picture.

    Raises:
        StylizeError: one of its subclasses.
    """
    task = Task(arguments.content, arguments.styles, arguments.output, arguments)
    page = Page(arguments, [task], single=True)
    try:
        if arguments.report is not None:
            check_overwrites([task])
            check_page(arguments)
            page.open()
        resources, hidden = Resources(), bars_hidden(arguments.quiet)
        with StopOnSignal() as stop, Bar(os.path.basename(_name(task)), hidden) as bar:
            forecast = Forecast(resources.words, not hidden, _cure(task.options))

            def watch(step: "Step") -> int:
                bar(step)
                page.step(0, step)
                code = stop()
                if not code:
                    forecast(step)
                return code

            outcome = paint(task, resources, watch)
    except BaseException as error:
        if isinstance(error, StylizeError):
            page.finish(0, Outcome.failed(error))
            if arguments.json:
                terminal.print_text(report.as_json(task, Outcome.failed(error)))
        page.close(quietly=True)
        raise
    if outcome.status is Status.SKIPPED:
        log.warning("%s: %s, skipped", task.output, outcome.reason)
    if arguments.json:
        terminal.print_text(report.as_json(task, outcome))
    page.finish(0, outcome)
    page.close()
    if outcome.exit_code is ExitCode.TERMINATED:
        log.warning("%s: terminated; %s", _name(task), outcome.reason)
    elif outcome.status is Status.INTERRUPTED:
        saved = task.checkpoint and os.path.exists(task.checkpoint)
        hint = f", and {task.checkpoint} what the same command needs to resume" if saved else ""
        log.warning("interrupted; %s holds the picture so far%s", _name(task), hint)
    elif outcome.status is Status.DONE:
        log.warning("%s", report.written(task, outcome))
    return outcome.exit_code


def _cure(options: Options) -> str:
    """What takes less time than a run with these options."""
    short = options.effort == "draft" or options.iterations != "auto"
    return "a smaller --size" if short else "a smaller --size or --effort draft"


def check(task: Task) -> str:
    """Check all that can be checked before a picture has been read.

    Returns:
        Why the task is to be skipped; "" where the picture is to be painted.

    Raises:
        StylizeError: one of its subclasses.
    """
    task.options.style_shares(len(task.styles))  # several styles without --blend come first
    check_streams(task)
    check_overwrites([task])
    if task.output != "-":
        encode.format_of(task.output)
    if reason := reason_to_skip(task):
        return reason
    if task.output != "-":
        encode.check_output(task.output, depth=task.options.depth, untyped=task.untyped)
    arguments = task.arguments
    if arguments.trace:
        check_path(arguments.trace)
        check_replaceable("--trace", arguments.trace, BEGINNING, arguments.existing)
    check_replaceable("--timelapse", arguments.timelapse, MARK, arguments.existing)
    if arguments.checkpoint:
        check_named(arguments.checkpoint)
    encode.check_recipe(_format(task), foreseen_recipe(task))
    return ""


def paint(task: Task, resources: Resources, watch: Watch) -> Outcome:
    """Paint one picture and write it, unless the existing file is good enough.

    Args:
        task: what to paint.
        resources: kept from one task to the next.
        watch: sees every step. With INTERRUPTED the picture so far is saved, with TERMINATED only
            the checkpoint.

    Returns:
        An outcome whose status is DONE, SKIPPED or INTERRUPTED.

    Raises:
        StylizeError: one of its subclasses.
    """
    if reason := check(task):
        return Outcome(Status.SKIPPED, reason)
    film, trace = _open_film(task), _open_trace(task)
    inputs = Inputs()
    job = read(task, resources, inputs)
    stop = Stop(watch)
    every = task.arguments.checkpoint_every
    autosave = Autosave(task.checkpoint, every, stop.stopping, task.checkpoint_untyped)
    delivered: Painted | None = None
    try:
        with film or contextlib.nullcontext():  # written last, so that its failure costs no picture
            painted = paint_job(task, job, resources, inputs, stop, autosave, film, trace)
            if painted.data is None:
                return painted.outcome
            deliver(task, painted.data)
            delivered = painted
            if painted.ended:
                autosave.delete()
    except OutputError as error:
        if not delivered:
            raise
        delivered = replace(delivered, fault=delivered.fault or error)
    return conclude(delivered)


@dataclass(frozen=True)
class Painted:
    """A picture that is painted, and not written yet. It can be sent to another machine.

    Attributes:
        outcome: of the task, once the picture is written.
        data: the bytes of the file; None where only a checkpoint was saved.
        fault: what went wrong in the run, whose picture is to be written all the same.
        ended: whether there is nothing left to resume.
    """

    outcome: Outcome
    data: bytes | None = None
    fault: StylizeError | None = None
    ended: bool = False


def paint_job(
    task: Task,
    job: Job,
    resources: Resources,
    inputs: Inputs,
    stop: "Stop",
    autosave: Autosave,
    film: Timelapse | None = None,
    trace: Trace | None = None,
) -> Painted:
    """Paint pictures that have been read, and encode the result.

    Args:
        task: what to paint.
        job: its pictures.
        resources: kept from one task to the next.
        inputs: where the weights are.
        stop: sees every step, and may end the run.
        autosave: saves checkpoints.
        film: sees every step.
        trace: sees every step.

    Raises:
        StylizeError: one of its subclasses.
    """
    with contextlib.redirect_stdout(sys.stderr):  # libraries may print; stdout is the picture's
        memory.reset_peak()
        stylizer = resources.stylizer(job.options, inputs)
        job = _fit_to_memory(task, job, stylizer, autosave)
        _warn_of_differences(task, job, stylizer)
        watchers = [Isolated(w) for w in (film, trace, _snapshots(task, job, stylizer)) if w]
        checkpoint = autosave.load(stylizer, job, task.arguments.resume)
        with _saved_if_memory_runs_out(autosave):
            with trace or contextlib.nullcontext():
                result = stylizer.paint(job, [*watchers, stop, autosave], checkpoint)
            if stop.code == ExitCode.TERMINATED and not result.complete and autosave.exists:
                return Painted(_terminated(job, autosave))
            return Painted(
                data=_encode(task, result),
                outcome=_outcome(job, result, stylizer, stop.code),
                fault=_fault(task, result, watchers),
                ended=result.complete or bool(result.fault),
            )


def conclude(painted: Painted) -> Outcome:
    """The outcome of a task whose picture has been written.

    Raises:
        StylizeError: the fault of its run.
    """
    if isinstance(painted.fault, OutputError):
        raise BesidesPictureError(painted.fault, painted.outcome) from painted.fault
    if painted.fault:
        raise painted.fault
    return painted.outcome


class Stop:
    """A callback that asks `watch` at each step whether to stop, and remembers the answer."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.code = ExitCode.DONE

    def __call__(self, step: "Step") -> Signal | None:
        """End the run where there is an exit code with which to stop."""
        self.code = ExitCode(self.watch(step))
        return STOP if self.stopping() else None

    def stopping(self) -> bool:
        """Whether the run ends after the present step."""
        return self.code != ExitCode.DONE


def _open_film(task: Task) -> Timelapse | None:
    path = task.arguments.timelapse
    return Timelapse(path, task.options.background) if path else None


def _open_trace(task: Task) -> Trace | None:
    return Trace(task.arguments.trace) if task.arguments.trace else None


def read(task: Task, resources: Resources, inputs: Inputs) -> Job:
    """Read the pictures, and check them and the format of the result.

    Raises:
        StylizeError: one of its subclasses.
    """
    content = load(task.content, "content picture", inputs)
    styles = resources.styles(task.styles, inputs)
    job = Job.prepare(task.options, content, styles, inputs.picture)
    if task.options.size != "fit":  # otherwise the size is not known yet
        encode.check_format(_format(task), job.size, task.options.depth)
    return job


def _format(task: Task) -> str:
    return task.arguments.format if task.output == "-" else encode.format_of(task.output)


def _fit_to_memory(task: Task, job: Job, stylizer: "Stylizer", autosave: Autosave) -> Job:
    """The job on the stylizer's device, in a size for which there is memory."""
    from ..transfer import device

    device.reset_peak_memory(stylizer.device)
    job = replace(job, options=task.options.replace(device=stylizer.options.device))
    if task.arguments.resume:
        job = autosave.with_checkpoint_size(stylizer, job)
    job = stylizer.fit_to_memory(job)
    encode.check_format(_format(task), job.size, task.options.depth)
    memory.keep_freed_memory(job.size[0] * job.size[1])
    return job


def _warn_of_differences(task: Task, job: Job, stylizer: "Stylizer") -> None:
    """Say why the result will not be the picture that `--recipe` names."""
    arguments = task.arguments
    if arguments.recipe:
        enlarged = task.options.enlarge in arguments.settings_files
        source = "--enlarge" if enlarged else "--recipe"
        for difference in arguments.recipe.differences(stylizer.recipe(job), enlarged):
            log.warning("%s: %s", source, difference)


def _snapshots(task: Task, job: Job, stylizer: "Stylizer") -> Snapshots | None:
    every = task.arguments.snapshot_every
    if every is None:
        return None
    recipe = stylizer.recipe(job, complete=False)

    untyped = max(1, task.untyped) + 1  # their folder is not typed either

    def save(pixels: "NDArray[Any]", path: Path) -> None:
        encode.save(pixels, path, task.options, recipe, job.content.exif, untyped)

    return Snapshots(task.snapshots, every, save, Path(task.output).suffix)


@contextlib.contextmanager
def _saved_if_memory_runs_out(autosave: Autosave) -> Iterator[None]:
    """Save the run where its device fails in the block, and say so in the error's message."""
    try:
        yield
    except DeviceError as error:
        if autosave.save():
            raise DeviceError(f"{error}; {autosave.path} holds the run so far") from error
        raise


def _terminated(job: Job, autosave: Autosave) -> Outcome:
    """The outcome after SIGTERM: there is no picture, but the next run resumes."""
    reason = f"{autosave.path} holds the run so far"
    return Outcome(Status.INTERRUPTED, reason, ExitCode.TERMINATED, job.size)


def _encode(task: Task, result: "Result") -> bytes:
    from ..transfer import device

    with device.memory_errors("not enough memory to encode the picture"):
        try:
            return result.encode(_format(task))
        except OutputError as error:  # what could be found before was checked before
            saved = files.save_elsewhere(result.encode("png"), f"{_name(task)}.png")
            raise OutputError(f"{error}; the picture is saved as {saved}") from error


def deliver(task: Task, data: bytes) -> None:
    """Write the result to its output path; if that fails, to a place where it can be found.

    Raises:
        OutputError: it could not be written there; the message says where it is now.
    """
    try:
        if task.output == "-":
            terminal.write_stdout(data)
        else:
            files.write(task.output, data, task.untyped)
    except OutputError as error:
        name = f"out{FORMATS[_format(task)][0]}" if task.output == "-" else task.output
        place = files.save_elsewhere(data, name)
        rescue = (
            f"the picture is saved as {place}" if place else "and it could not be saved elsewhere"
        )
        raise OutputError(f"{error}; {rescue}") from error


def _fault(task: Task, result: "Result", watchers: Sequence[Isolated]) -> StylizeError | None:
    """What went wrong in a run whose picture is to be written all the same."""
    if result.fault:
        return OptimizationError(
            f"{_name(task)}: {result.fault}; the file holds the picture before that"
        )
    for watcher in watchers:
        if watcher.error:
            fault = OutputError(str(watcher.error))
            fault.__cause__ = watcher.error
            return fault
    return None


def _outcome(job: Job, result: "Result", stylizer: "Stylizer", code: ExitCode) -> Outcome:
    from ..transfer import device

    return Outcome(
        status=Status.DONE if result.complete else Status.INTERRUPTED,
        reason="" if result.complete else "holds the picture so far",
        exit_code=ExitCode.DONE if result.complete else code,
        size=job.size,
        iterations=len(result.losses),
        seconds=result.seconds,
        losses=result.losses[-1].as_dict(),
        memory=memory.peak(),
        device_memory=device.peak_memory(stylizer.device),
        device=stylizer.device.type,
        precision=stylizer.precision,
    )


def _name(task: Task) -> str:
    return "standard output" if task.output == "-" else task.output
