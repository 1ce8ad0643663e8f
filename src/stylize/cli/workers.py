"""Executors, which do numbered tasks: one after the other, or several at once in processes.

An executor knows nothing of pictures. Tasks, messages and results can be pickled, and workers share
nothing but the file system, so an engine for many machines can replace an executor.
"""

import contextlib
import functools
import logging.handlers
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import Connection, wait
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol, TypeVar

from ..errors import DeviceError
from .terminal import SIGNALS, Interrupted, StopOnSignal

Task = TypeVar("Task", contravariant=True)
Result = TypeVar("Result", covariant=True)


class WorkerDied(NamedTuple):
    """The result of a task whose worker died.

    Attributes:
        exit_code: of its process (negative: a signal), if known.
        cause: in words, where there is no exit code.
    """

    exit_code: int | None = None
    cause: str = ""


#: Sends a message about a task; returns 0, or the exit code with which the task should stop early.
Report = Callable[[object], int]
#: Receives the number of a task and a message about it.
OnMessage = Callable[[int, object], None]
#: Does a task. An exception ends the whole run.
Work = Callable[[Task, Report], Result]
#: Makes what does the work, for a worker's number and the number of workers.
Make = Callable[[int, int], Work[Task, Result]]
Tasks = Iterable[tuple[int, Task]]
Results = Iterator[tuple[int, Result | WorkerDied]]

log = logging.getLogger("stylize")
_context = get_context("spawn")  # Not "fork", which torch's threads and CUDA do not survive.


class Executor(Protocol[Task, Result]):
    """Does tasks."""

    def run(self, tasks: Tasks[Task], on_message: OnMessage) -> Results[Result]:
        """Do numbered tasks, and yield each result with its number as soon as there is one.

        A task is taken from the iterable only when a worker is free for it. After Ctrl-C or SIGTERM
        no more tasks are taken, and the running ones are asked to stop early. A second signal ends
        this process at once.

        Raises:
            Interrupted: After a signal, when the last result has been yielded.
            DeviceError: No process can be started.
        """
        ...

    def close(self) -> None:
        """End the workers, even in the middle of a task."""
        ...


class Serial(Executor[Task, Result]):
    """Does one task after the other, in this process."""

    def __init__(self, make: Make[Task, Result]) -> None:
        self._work = make(0, 1)

    def run(self, tasks: Tasks[Task], on_message: OnMessage) -> Results[Result]:
        """See `Executor`."""
        for number, task in tasks:
            with StopOnSignal() as stop:
                result = self._work(task, functools.partial(_report_here, on_message, number, stop))
            yield number, result
            if stop.exit_code:
                raise Interrupted(stop.exit_code)

    def close(self) -> None:
        """See `Executor`."""


def _report_here(on_message: OnMessage, number: int, stop: StopOnSignal, message: object) -> int:
    on_message(number, message)
    return stop()


class Processes(Executor[Task, Result]):
    """Does several tasks at once, in processes that are kept for later tasks and runs.

    A process that dies, perhaps for want of memory, loses only its task. The next task gets a new
    process with the same number. No process outlives this one.
    """

    def __init__(self, make: Make[Task, Result], workers: int) -> None:
        # What every report returns. It has no lock, because a process may die that holds it.
        self._stop = _context.RawValue("i", 0)
        self._slots = [_Slot(make, number, workers, self._stop) for number in range(workers)]

    def run(self, tasks: Tasks[Task], on_message: OnMessage) -> Results[Result]:
        """See `Executor`."""
        waiting = iter(tasks)
        with StopOnSignal() as stop:
            while True:
                self._stop.value = stop()
                for slot in self._slots:
                    if not slot.future and not stop.exit_code and (pair := next(waiting, None)):
                        self._submit(slot, *pair)
                busy = [slot for slot in self._slots if slot.future]
                if not busy:
                    break
                # The futures come first: once a task has ended, its pipe holds all that it sent.
                ended = [slot for slot in busy if slot.future and slot.future.done()]
                # With a limit, because Python handles signals only after the call.
                ready = wait([slot.pipe for slot in busy], timeout=0 if ended else 0.3)
                for slot in [slot for slot in busy if slot.pipe in ready or slot in ended]:
                    match slot.receive():
                        case "message", content:
                            on_message(slot.number, content)
                        case "log", record:
                            log.handle(record)
                        case _, result:
                            yield slot.number, slot.finish(result)
            if stop.exit_code:
                raise Interrupted(stop.exit_code)

    def _submit(self, slot: "_Slot", number: int, task: Any) -> None:
        try:
            slot.submit(number, task)
        except (OSError, RuntimeError) as error:  # no process, or no thread that watches it
            reason = f"no more processes can be started ({getattr(error, 'strerror', error)})"
            raise DeviceError(f"--jobs {len(self._slots)}: {reason}; give fewer") from error

    def close(self) -> None:
        """See `Executor`."""
        for slot in self._slots:
            slot.close()


class _Slot:
    """A place for one worker process, which is started for the first task.

    Each slot has a pool of one process, because a pool breaks as a whole when a process dies. The
    pool reports this, and passes on exceptions. Messages and results come through a pipe instead,
    because `ProcessPoolExecutor` hangs when a process dies while it is sending a large result.

    Attributes:
        future: The current task, which has the result None; or None if the slot is free.
        number: The number of the current task.
        pipe: The end of the pipe that is read. No other process shares it.
    """

    def __init__(self, *args: Any) -> None:
        self._args = args
        self._pool: ProcessPoolExecutor | None = None
        self.future: Future[None] | None = None

    def submit(self, number: int, task: Any) -> None:
        """Begin a task."""
        try:
            self.future = (self._pool or self._start()).submit(_do_task, task)
            self.number = number
        except BrokenProcessPool:  # The process died while it had no task.
            self.close()
            self.submit(number, task)

    def _start(self) -> ProcessPoolExecutor:
        others = active_children()
        self.pipe, writer = _context.Pipe(duplex=False)
        args = (*self._args, writer, log.getEffectiveLevel())
        with writer, contextlib.ExitStack() as restored:
            for number in SIGNALS:  # A new process inherits that they are ignored.
                handler = signal.signal(number, signal.SIG_IGN)
                restored.callback(signal.signal, number, handler or signal.SIG_DFL)
            if "PYTHONWARNINGS" not in os.environ:
                # After a second Ctrl-C, multiprocessing's resource tracker would print one.
                os.environ["PYTHONWARNINGS"] = "ignore"
                restored.callback(os.environ.pop, "PYTHONWARNINGS")
            pool = ProcessPoolExecutor(1, _context, _start_worker, args)
            pool.submit(os.getpid)  # The first call, of whatever function, starts the process.
        self._process = next((p for p in active_children() if p not in others), None)
        self._pool = pool
        return pool

    def receive(self) -> Any:
        """Return a kind, and a message, log record or result (None if there is none any more)."""
        try:
            return self.pipe.recv() if self.pipe.poll() else ("result", None)
        except (EOFError, OSError):
            return "result", None

    def finish(self, result: Any) -> Any:
        """Return the result, or `WorkerDied`, or raise the exception that ended the task."""
        future, self.future = self.future, None
        try:
            if future:
                future.result()
        except BrokenProcessPool:
            self.close()
            return WorkerDied(self._process.exitcode if self._process else None)
        return result

    def close(self) -> None:
        """Kill the process, if there is one."""
        if self._pool:
            if self._process:
                self._process.kill()
            self._pool.shutdown()
            self.pipe.close()
        self._pool = self.future = None


# The worker's side. These are set in a worker process only.
_make_work: Callable[[], Work[Any, Any]]
_stop: Any
_pipe: Connection


def _start_worker(
    make: Make[Any, Any], number: int, workers: int, stop: Any, pipe: Connection, level: int
) -> None:
    global _make_work, _stop, _pipe
    _make_work, _stop, _pipe = functools.cache(lambda: make(number, workers)), stop, pipe
    for ignored in SIGNALS:  # Windows does not inherit this.
        signal.signal(ignored, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    sender: Any = SimpleNamespace(put_nowait=lambda record: pipe.send(("log", record)))
    log.addHandler(logging.handlers.QueueHandler(sender))
    log.setLevel(level)
    logging.raiseExceptions = False  # It could not log only because the parent has died.
    warnings.simplefilter("ignore")


def _exit_with_parent() -> None:
    """Exit, even in the middle of a task, when the parent dies. A pool alone does not do this."""
    if parent := parent_process():
        wait([parent.sentinel])
    os._exit(1)


def _report(message: object) -> int:
    _pipe.send(("message", message))
    return int(_stop.value)


def _do_task(task: Any) -> None:
    try:
        _pipe.send(("result", _make_work()(task, _report)))
    except BaseException:  # The pool passes it on.
        _pipe.send(("result", None))
        raise
