"""Many pictures by the command: what is left to do, who does it, and how each picture went.

torch is not imported before there is something to paint.
"""

import contextlib
import functools
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence

from .. import files
from ..callbacks.progress import FolderBars, bars_hidden
from ..errors import DeviceError, ExitCode, OutputError, PictureError, StylizeError
from ..images import probe
from ..transfer import job
from ..transfer.scales import Scale
from ..transfer.step import Step
from . import report, terminal, workers
from .arguments import Arguments
from .cluster import Cluster
from .existing import reason_to_skip
from .folders import list_tasks
from .page import Page, check_page
from .painter import Assignment, Painter
from .remote import Courier, RemotePainter
from .report import Row
from .task import Outcome, Status, Task
from .terminal import Interrupted
from .workers import Executor, WorkerDied

log = logging.getLogger(__name__)


def run_batch(arguments: Arguments) -> ExitCode:
    """The command for folders.

    Raises:
        StylizeError: one of its subclasses, for an error that concerns all pictures.
    """
    check_page(arguments, new_folder=True)
    tasks, unreadable = list_tasks(arguments)
    rows = unreadable_rows(arguments, unreadable)
    return run_tasks(arguments, tasks, Page(arguments, tasks), rows)


def run_tasks(
    arguments: Arguments,
    tasks: Sequence[Task],
    page: Page,
    unreadable: Sequence[Row] = (),
    at_end: Callable[[Sequence[Row]], object] = lambda rows: None,
) -> ExitCode:
    """Paint several pictures, and say how each went.

    Args:
        arguments: of the command.
        tasks: the pictures.
        page: that shows them.
        unreadable: what failed before there were tasks.
        at_end: called with all rows, unless the run was ended early.

    Raises:
        StylizeError: one of its subclasses, for an error that concerns all pictures.
    """
    rows = list(unreadable)
    page.open()
    started = time.perf_counter()
    for row in rows:
        _report(arguments, row)
        page.fail(row)
    total = not_started = len(tasks)
    if rows and arguments.fail_fast:
        tasks = []
    error: KeyboardInterrupt | StylizeError | None = None
    try:
        with (
            terminal.interrupted_by_sigterm(),
            contextlib.closing(paint_all(arguments, tasks, page)) as painted,
        ):
            for row in painted:
                not_started -= 1
                rows.append(row)
                _report(arguments, row, f"{total - not_started}/{total}  ")
    except (KeyboardInterrupt, StylizeError) as raised:
        error = raised
    except BaseException:  # a bug
        page.close(quietly=True)
        raise
    seconds = report.duration(time.perf_counter() - started)
    shown = f"; {arguments.report} shows them" if arguments.report else ""
    log.warning("%s; %s%s", report.total(rows, not_started), seconds, shown)
    try:
        if not error:
            at_end(rows)
    except OutputError as unwritten:
        error = unwritten
    try:
        page.close()
    except OutputError as unwritten:
        error = error or unwritten
    if isinstance(error, StylizeError):
        raise error
    if error:
        code = error.exit_code if isinstance(error, Interrupted) else ExitCode.INTERRUPTED
        log.warning("%s; run the same command again to resume", code.name.lower())
        return code
    return exit_code(rows)


def unreadable_rows(arguments: Arguments, unreadable: Sequence[tuple[str, str]]) -> list[Row]:
    """A failed row for each folder that could not be read, given its path and the reason."""
    return [
        (
            Task(folder, (), "", arguments),
            Outcome.failed(PictureError(f"{folder}: cannot be read ({reason})")),
        )
        for folder, reason in unreadable
    ]


def exit_code(rows: Sequence[Row]) -> ExitCode:
    """The exit code after all pictures of a folder."""
    failed = any(_went_wrong(outcome) for _, outcome in rows)
    return ExitCode.SOME_FAILED if failed else ExitCode.DONE


def _went_wrong(outcome: Outcome) -> bool:
    """Whether a picture failed, or something that was to be written besides."""
    return outcome.status is Status.FAILED or (
        outcome.status is Status.DONE and outcome.exit_code > 0
    )


def _report(arguments: Arguments, row: Row, number: str = "") -> None:
    """Report at once how a picture went, after its number."""
    if arguments.json:
        terminal.print_text(report.as_json(*row))
    level = logging.WARNING
    if _went_wrong(row[1]):
        level = logging.ERROR
    elif row[1].status is Status.SKIPPED:  # there may be thousands; the total counts them
        level = logging.INFO
    log.log(level, "%s%s", number, report.line(*row))


def paint_all(
    arguments: Arguments, tasks: Sequence[Task], page: Page
) -> Generator[Row, None, None]:
    """Paint all pictures, and yield each with its outcome as soon as that is known."""
    waiting: dict[int, Task] = {}
    pending = functools.cache(files.pending_prefixes)
    for number, task in enumerate(tasks):
        outcome = outcome_without_painting(task, pending)
        if not outcome:
            waiting[number] = task
            continue
        page.finish(number, outcome)
        yield task, outcome
        if outcome.status is Status.FAILED and arguments.fail_fast:
            return
    if not waiting:
        return
    hidden = bars_hidden(arguments.quiet)
    work = [_work(t) if not hidden and n in waiting else 0 for n, t in enumerate(tasks)]
    executor = _executor(arguments)
    stopped = False

    def next_tasks(patient: bool) -> Iterator[tuple[int, Assignment]]:
        for number, task in list(waiting.items()):
            if stopped:
                return
            yield number, Assignment(task, patient)

    names = [os.path.basename(task.output) for task in tasks]
    with FolderBars(names, work, len(tasks) - len(waiting), hidden) as bars:

        def on_message(number: int, message: object) -> None:
            if isinstance(message, Step):
                bars.step(number, message)
                page.step(number, message)

        try:
            # Pictures that another run is painting come last; most of them are done by then.
            for patient in (False, True):
                if patient and waiting and not stopped:
                    log.warning("waiting for another run, which locked pictures: %d", len(waiting))
                for number, result in executor.run(next_tasks(patient), on_message):
                    outcome = _died(result) if isinstance(result, WorkerDied) else result
                    if not outcome:
                        continue
                    bars.finish(number)
                    page.finish(number, outcome)
                    stopped |= outcome.status is Status.FAILED and arguments.fail_fast
                    yield waiting.pop(number), outcome
        finally:
            executor.close()


def _executor(arguments: Arguments) -> Executor[Assignment, Outcome | None]:
    options, jobs = arguments.options, arguments.jobs
    if arguments.cluster is not None:
        cluster = Cluster(RemotePainter, arguments.cluster, options.device, options.threads)
        return Courier(cluster)
    # Several processes also for one picture: its bytes depend on the threads that it gets.
    return workers.Processes(Painter, jobs) if jobs > 1 else workers.Serial(Painter)


def outcome_without_painting(task: Task, pending: Callable[[str], set[str]]) -> Outcome | None:
    """The outcome where there is nothing to paint; None otherwise. Nothing is written.

    Args:
        task: what to paint.
        pending: `files.pending_prefixes`, which may remember the folders that it has listed.
    """
    target = files.real_target(task.output, task.untyped)
    if files.temporary_prefix(target.name) in pending(os.fspath(target.parent)):
        return None  # another run is painting it, or left files that must be cleaned up
    try:
        reason = reason_to_skip(task)
    except StylizeError as error:
        return Outcome.failed(error)
    return Outcome(Status.SKIPPED, reason) if reason else None


def scales_of(task: Task) -> tuple[Scale, ...]:
    """The scales at which a task would be painted.

    Raises:
        PictureError: it cannot be painted, as far as can be seen without reading the pictures.
        DeviceError: there is no memory to look at them.
    """
    for style in task.styles:
        probe.picture_size(style)
    return job.scales_for(task.options, probe.picture_size(task.content), task.content)


def _work(task: Task) -> int:
    """What is to be done for a task; 0 if it cannot be painted."""
    try:
        return sum(scale.work for scale in scales_of(task))
    except StylizeError:
        return 0


def _died(worker: WorkerDied) -> Outcome:
    code = worker.exit_code
    signal_or_code = f"signal {-code}" if code and code < 0 else f"exit code {code}"
    cause = worker.cause or f"its worker died ({signal_or_code})"
    return Outcome.failed(DeviceError(f"{cause}, perhaps for want of memory"))
