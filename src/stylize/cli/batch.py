"""Many pictures: what there is left to do, who does it, and what became of each.

torch is not imported before there is something to paint.
"""

import functools
import logging
import os
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .. import files as locks
from .. import files as writing
from ..callbacks.progress import FolderBars, Seen, hidden
from ..errors import DeviceError, StylizeError
from ..images import probe as files
from ..transfer import job
from ..transfer.scales import Scale
from . import workers as executors
from .existing import standing
from .order import Order
from .single import Outcome, Studio, paint
from .task import Request, check
from .workers import Executor, Lost, Tell

if TYPE_CHECKING:
    from ..transfer.step import Step

Row = tuple[Request, Outcome]

log = logging.getLogger(__name__)


def settled(order: Order, requests: Sequence[Request]) -> Generator[Row, None, None]:
    """Each picture as soon as it is known what became of it."""
    waiting: dict[int, Request] = {}
    traces = functools.cache(locks.traces)
    for number, request in enumerate(requests):
        outcome = at_a_glance(request, traces)
        if not outcome:
            waiting[number] = request
            continue
        yield request, outcome
        if outcome.status == "failed" and order.fail_fast:
            return
    if not waiting:
        return
    shown = not hidden(order.quiet)
    work = [_work(request) if shown and n in waiting else 0 for n, request in enumerate(requests)]
    executor: Executor[_Task, Outcome | None]
    if order.jobs > 1:  # also for one picture: its bytes depend on the threads that it gets
        executor = executors.Processes(_Artist, order.jobs)
    else:
        executor = executors.Serial(_Artist)
    ended = False

    def tasks(patient: bool) -> Iterator[tuple[int, _Task]]:
        for number, request in list(waiting.items()):
            if ended:
                return
            yield number, _Task(request, patient)

    with FolderBars(work, hidden=not shown, ended=len(requests) - len(waiting)) as bars:

        def hear(number: int, message: object) -> None:
            if isinstance(message, Seen):
                bars.step(number, message)

        try:
            # Those that another run is at come last; by then they are mostly done.
            for patient in (False, True):
                if patient and waiting and not ended:
                    log.warning("waiting for another run (pictures left to it: %d)", len(waiting))
                for number, result in executor.run(tasks(patient), hear):
                    outcome = _lost(result) if isinstance(result, Lost) else result
                    if not outcome:
                        continue
                    bars.end(number)
                    ended = ended or (outcome.status == "failed" and order.fail_fast)
                    yield waiting.pop(number), outcome
        finally:
            executor.close()


def at_a_glance(request: Request, traces: Callable[[str], set[str]]) -> Outcome | None:
    """What becomes of it, where there is nothing to do; with nothing written.

    Args:
        request: what was asked for.
        traces: `locks.traces`, which may remember the folders that it has looked into.
    """
    folder, name = os.path.split(os.path.realpath(request.output))
    if writing.mark(name) in traces(folder):
        return None  # another run is at it, or left something to be cleared away
    try:
        check(request)
        reason = standing(request)
    except StylizeError as error:
        return Outcome.failed(error)
    return Outcome("skipped", reason) if reason else None


def way(request: Request) -> tuple[Scale, ...]:
    """The sizes at which it would be painted.

    Raises:
        PictureError: it cannot be, as far as can be seen without reading it whole.
        DeviceError: there is no memory to look at it.
    """
    for style in request.styles:
        files.size_of(style)
    return job.way(request.options, files.size_of(request.content), request.content)


def _work(request: Request) -> int:
    """Pixels to be evaluated; 0 for what cannot be painted."""
    try:
        return sum(scale.work for scale in way(request))
    except StylizeError:
        return 0


def _lost(lost: Lost) -> Outcome:
    how = f"signal {-lost.code}" if lost.code and lost.code < 0 else f"exit code {lost.code}"
    return Outcome.failed(DeviceError(f"its worker died ({how}), perhaps for want of memory"))


class _Task(NamedTuple):
    """A picture for a worker, which waits for other runs or does not."""

    request: Request
    patient: bool


class _NotBegun(Exception):  # noqa: N818
    """It is to end before there is a picture."""


class _Artist:
    """Paints pictures in a folder that it may share with others."""

    def __init__(self, number: int, workers: int) -> None:
        self.studio = Studio(number, workers)

    def __call__(self, task: _Task, tell: Tell) -> Outcome | None:
        """What became of it; None if another run is at it, or it was not begun."""
        request = task.request
        wait = (lambda: not tell(None)) if task.patient else None

        def watch(step: "Step") -> int:
            ending = tell(Seen.of(step))
            if ending and step.iteration == 1:
                raise _NotBegun  # rather than show noise
            return ending

        try:
            with writing.told(request.output):
                os.makedirs(os.path.dirname(request.output) or ".", exist_ok=True)
            with locks.held(request.output, wait):
                return paint(request, self.studio, watch)
        except (locks.BusyError, _NotBegun):
            return None
        except StylizeError as error:
            if error is self.studio.fault:
                raise  # no picture will be painted
            return Outcome.failed(error)
        except MemoryError:
            return Outcome.failed(DeviceError("not enough memory"))
        except Exception as error:
            log.info("%s", traceback.format_exc())
            told = f"a bug: {error!r}; please report it, with what --verbose says"
            return Outcome.failed(StylizeError(told))
