"""Where tasks are worked on: here, one after the other, or in processes of their own. No torch.

An executor knows nothing of pictures. Tasks, messages and results can be pickled, and workers share
nothing but the file system, so that an engine for many machines can take an executor's place.
"""

import contextlib
import logging
import multiprocessing
import os
import queue
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from ..errors import DeviceError
from .terminal import SIGNALS, Ended, StopOnSignal

Task = TypeVar("Task")
Result = TypeVar("Result")
Task_ = TypeVar("Task_", contravariant=True)
Result_ = TypeVar("Result_", covariant=True)

#: Says how a task goes on, with anything that can be pickled. What it gets back is 0, or, if the
#: task should end early, what the command is to exit with.
Tell = Callable[[object], int]
#: Hears what was said of the task of that number.
Hear = Callable[[int, object], None]

log = logging.getLogger("stylize")


class Work(Protocol[Task_, Result_]):
    """Does a task. An exception ends all of the run."""

    def __call__(self, task: Task_, tell: Tell) -> Result_:
        """Do it."""
        ...


class Lost(NamedTuple):
    """The result of a task whose worker died.

    Attributes:
        code: its exit code; negative, the signal that ended it.
    """

    code: int | None


class Executor(Protocol[Task_, Result_]):
    """Works on tasks."""

    def run(
        self, tasks: Iterable[tuple[int, Task_]], hear: Hear
    ) -> Iterator[tuple[int, Result_ | Lost]]:
        """Work on numbered tasks, and yield each result when it is there, with its number.

        A task is taken from the iterable only when a worker is free for it. After Ctrl-C no more
        are taken, and those under way are asked to end early; a second one leaves at once.
        So too after SIGTERM.

        Raises:
            Ended: in that case, when the last result has been yielded.
        """
        ...

    def close(self) -> None:
        """Let the workers go."""
        ...


class Serial(Generic[Task, Result]):
    """One task after the other, in this process.

    Args:
        make: makes what does the work, for worker 0 of 1.
    """

    def __init__(self, make: Callable[[int, int], Work[Task, Result]]) -> None:
        self.work = make(0, 1)

    def run(
        self, tasks: Iterable[tuple[int, Task]], hear: Hear
    ) -> Iterator[tuple[int, Result | Lost]]:
        """See `Executor`."""
        for number, task in tasks:
            with StopOnSignal() as stop:

                def tell(message: object, number: int = number) -> int:
                    hear(number, message)
                    return stop()

                result = self.work(task, tell)
            yield number, result
            if stop.asked:
                raise Ended(stop.asked)

    def close(self) -> None:
        """See `Executor`."""


class Processes(Generic[Task, Result]):
    """Several tasks at once, each in a process that is kept for the next one.

    The standard library's pool is given up as a whole when one of its processes dies, as they do
    where memory runs out; here that costs the task which it was at, and another takes its place.
    A worker ends by itself when its connection closes, however this process ends.

    Args:
        make: makes what does the work, in the worker; given its number and how many there are.
        workers: how many.
    """

    def __init__(self, make: Callable[[int, int], Work[Task, Result]], workers: int) -> None:
        self.make = make
        self.workers: list[_Worker | None] = [None] * workers

    def run(
        self, tasks: Iterable[tuple[int, Task]], hear: Hear
    ) -> Iterator[tuple[int, Result | Lost]]:
        """See `Executor`."""
        waiting = iter(tasks)
        more = True
        with StopOnSignal() as stop:
            while True:
                told = stop()
                for place, worker in enumerate(self.workers):
                    if more and not told and not (worker and worker.task is not None):
                        more = self._give(place, next(waiting, None))
                busy = {w.connection: w for w in self.workers if w and w.task is not None}
                if not busy and told:
                    raise Ended(told)
                if not busy:
                    return
                if told:
                    for worker in busy.values():
                        worker.stop(told)
                # With a limit, because Python sees Ctrl-C only when it is back.
                for connection in wait(list(busy), timeout=0.3):
                    worker = busy[connection]  # type: ignore[index]
                    number, message = worker.task or 0, worker.receive()
                    if isinstance(message, _Heard):
                        hear(number, message.said)
                    elif isinstance(message, logging.LogRecord):
                        log.handle(message)
                    elif isinstance(message, _Done):
                        worker.task = None
                        yield number, message.result
                    elif isinstance(message, BaseException):
                        raise message
                    else:
                        self.workers[self.workers.index(worker)] = None
                        yield number, worker.lost()

    def _give(self, place: int, task: tuple[int, Task] | None) -> bool:
        """Hand out a task; whether there was one."""
        if task is None:
            return False
        worker = self.workers[place]
        if worker is None:
            try:
                worker = self.workers[place] = _Worker(self.make, place, len(self.workers))
            except OSError as error:
                told = f"--jobs {len(self.workers)}: no process more can be had ({error.strerror})"
                raise DeviceError(f"{told}; give fewer") from error
        worker.give(*task)
        return True

    def close(self) -> None:
        """See `Executor`."""
        for worker in self.workers:
            if worker:
                worker.connection.close()
        for worker in self.workers:
            if worker:
                worker.process.join(5)
                worker.process.kill()
                worker.process.join()
        self.workers = [None] * len(self.workers)


class _Heard(NamedTuple):
    said: object


class _Done(NamedTuple):
    result: Any


class _Worker:
    """A process, as seen from outside."""

    def __init__(self, make: Callable[[int, int], Any], number: int, workers: int) -> None:
        # Not forked: torch's threads, and CUDA, do not survive that.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        level = log.getEffectiveLevel()
        self.process = context.Process(target=_serve, args=(theirs, make, number, workers, level))
        # The worker ignores them from its first moment on; while it starts, so do we.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
        try:
            self.process.start()
        finally:
            for signal_, handler in before.items():
                signal.signal(signal_, handler or signal.SIG_DFL)
        theirs.close()
        self.task: int | None = None
        self.stopped = False

    def give(self, number: int, task: object) -> None:
        self.task = number
        with contextlib.suppress(OSError):  # it is dead, which is seen when it is listened to
            self.connection.send(task)

    def receive(self) -> Any:
        """What it says; None if it is dead."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return None

    def stop(self, code: int) -> None:
        if not self.stopped:
            self.stopped = True
            with contextlib.suppress(OSError):
                self.connection.send(_Stop(code))

    def lost(self) -> Lost:
        self.process.join(5)
        return Lost(self.process.exitcode)


class _Stop(NamedTuple):
    """Sent instead of a task: the one under way is to end early."""

    code: int


def _serve(
    connection: Connection, make: Callable[[int, int], Any], number: int, workers: int, level: int
) -> None:
    """What a worker does."""
    for ours in SIGNALS:  # it waits for `_Stop`
        signal.signal(ours, signal.SIG_IGN)
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    stop = 0

    def listen() -> None:
        nonlocal stop
        with contextlib.suppress(EOFError, OSError):
            while True:
                message = connection.recv()
                if isinstance(message, _Stop):
                    stop = message.code
                else:
                    tasks.put(message)
        os._exit(0)  # whoever is to have the result is gone

    threading.Thread(target=listen, daemon=True).start()
    log.addHandler(_Sent(connection))
    log.setLevel(level)
    warnings.simplefilter("ignore")

    def tell(message: object) -> int:
        connection.send(_Heard(message))
        return stop

    try:
        work = make(number, workers)
        while True:
            connection.send(_Done(work(tasks.get(), tell)))
    except BaseException as error:
        with contextlib.suppress(Exception):
            connection.send(error)


class _Sent(logging.Handler):
    """Sends what is logged to the process that started this one."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args, record.exc_info = record.getMessage(), (), None
        with contextlib.suppress(OSError):
            self.connection.send(record)
