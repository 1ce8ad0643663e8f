"""What a worker does with one picture of a folder that other runs may share."""

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .. import files
from ..errors import StylizeError
from ..transfer.step import Step
from . import failures
from .resources import Resources
from .single import Watch, paint
from .task import Outcome, Task
from .workers import Report

Done = TypeVar("Done")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assignment:
    """A task for a worker.

    Attributes:
        task: what to paint.
        patient: whether to wait where another run is painting it.
    """

    task: Task
    patient: bool


class NotStartedError(Exception):
    """The run is to end before there is a picture."""


class Painter:
    """Paints pictures and writes them."""

    def __init__(self, number: int, workers: int) -> None:
        self.resources = Resources(number, workers)

    def __call__(self, assignment: Assignment, notify: Report) -> Outcome | None:
        """The outcome of a task; None if another run is painting it, or it was not started."""
        task = assignment.task
        wait = (lambda: not notify(None)) if assignment.patient else None

        def work() -> Outcome:
            files.make_parent(task.output, task.untyped)
            with files.lock(task.output, wait, task.untyped):
                return paint(task, self.resources, watch_for(notify))

        return attempt(work, self.resources)


def watch_for(notify: Report) -> Watch:
    """Sends each step, without its picture, to whoever shows it.

    Args:
        notify: sends it, and says with which exit code the run is to stop.
    """

    def watch(step: Step) -> int:
        code = notify(step.without_picture())
        if code and step.iteration == 1:
            raise NotStartedError  # rather than save noise
        return code

    return watch


def attempt(work: Callable[[], Done], resources: Resources | None = None) -> Done | Outcome | None:
    """Do something for a task, such that its failure concerns no other task.

    Args:
        work: what to do.
        resources: whose `error` concerns all tasks, and is raised.

    Returns:
        What `work` returns, or the outcome of its failure; None if another run is painting the
        picture, or it was not started.
    """
    try:
        return work()
    except (files.LockedError, NotStartedError):
        return None
    except StylizeError as error:
        if resources and error is resources.error:
            raise  # no picture can be painted
        return Outcome.failed(error)
    except Exception as error:
        if cause := failures.cause_outside(error):
            return Outcome.failed(cause)
        log.info("%s", traceback.format_exc())
        return Outcome.failed(StylizeError(failures.bug(error, "--verbose")))
