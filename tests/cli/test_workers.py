"""Executors with tasks that have nothing to do with pictures, and workers that sometimes die."""

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stylize.cli.terminal import Interrupted
from stylize.cli.workers import Executor, Processes, Report, Serial, WorkerDied
from stylize.errors import DeviceError, ExitCode

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends signals differently")


class KillsItself:
    """An object that kills its process 10 ms after it has been pickled."""

    def __reduce__(self) -> Any:
        threading.Timer(0.01, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
        return KillsItself, ()


class Work:
    """Squares numbers; a string or a tuple as a task asks for something else."""

    def __init__(self, number: int, workers: int) -> None:
        self.number, self.workers = number, workers

    def __call__(self, task: Any, report: Report) -> Any:
        match task:
            case int():
                report(f"squaring {task}")
                return task**2
            case "number":
                return self.number, self.workers
            case "process":
                time.sleep(0.2)  # so that the other worker is free before this one
                return os.getpid()
            case "log":
                logging.getLogger("stylize").warning("logged in %d", 7)
                return None
            case "die":
                report("dying")
                os.kill(os.getpid(), signal.SIGKILL)
            case "die in a large message":
                report([bytes(100_000_000), KillsItself()])
            case "die in a large result":
                return [bytes(100_000_000), KillsItself()]
            case "fail":
                raise ValueError("the work failed")
            case "return a function":
                return lambda: None
            case "sleep":
                report(os.getpid())
                time.sleep(300)
            case "wait":
                started = time.monotonic()
                while not report("waiting"):
                    assert time.monotonic() < started + 30
                    time.sleep(0.01)
                return "stopped"


class Unmakeable:
    """Work that cannot be made."""

    def __init__(self, number: int, workers: int) -> None:
        raise ValueError(f"worker {number} of {workers} cannot be made")


@pytest.fixture(params=["serial", "processes"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor[Any, Any]]:
    executor: Any = Serial(Work) if request.param == "serial" else Processes(Work, 2)
    yield executor
    executor.close()


@pytest.fixture
def processes() -> Iterator[Processes[Any, Any]]:
    executor: Processes[Any, Any] = Processes(Work, 2)
    yield executor
    executor.close()


def ignore(number: int, message: object) -> None:
    """Receive a message and do nothing."""


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_every_task_is_done_once_and_all_messages_arrive(executor: Executor[Any, Any]) -> None:
    messages: list[tuple[int, object]] = []
    results = executor.run(enumerate(range(20)), lambda *message: messages.append(message))
    assert dict(results) == {n: n**2 for n in range(20)}
    assert sorted(messages) == [(n, f"squaring {n}") for n in range(20)]
    assert dict(executor.run([(5, 3)], ignore)) == {5: 9}, "the executor can be used again"


def test_a_run_without_tasks_yields_nothing(executor: Executor[Any, Any]) -> None:
    assert list(executor.run([], ignore)) == []


def test_a_task_is_taken_only_when_a_worker_is_free(executor: Executor[Any, Any]) -> None:
    """The source of the tasks can still drop those that have not been taken."""
    taken: list[int] = []

    def tasks() -> Iterator[tuple[int, int]]:
        for n in range(9):
            taken.append(n)
            yield n, n

    results = executor.run(tasks(), ignore)
    next(results)
    assert len(taken) <= 3


def test_log_records_arrive(executor: Executor[Any, Any], caplog: pytest.LogCaptureFixture) -> None:
    list(executor.run([(0, "log")], ignore))
    assert [record.getMessage() for record in caplog.records] == ["logged in 7"]


def test_an_exception_ends_the_run(executor: Executor[Any, Any]) -> None:
    with pytest.raises(ValueError, match="the work failed"):
        list(executor.run([(0, "fail"), (1, 1)], ignore))


def test_an_exception_while_the_work_is_made_ends_the_run() -> None:
    processes: Processes[Any, Any] = Processes(Unmakeable, 1)
    with pytest.raises(ValueError, match="worker 0 of 1 cannot be made"):
        list(processes.run([(0, 1)], ignore))
    processes.close()


@pytest.mark.parametrize("task", ["return a function", lambda: None])
def test_what_cannot_be_pickled_is_an_exception(task: Any, processes: Processes[Any, Any]) -> None:
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        list(processes.run([(0, task)], ignore))


def test_workers_are_kept_and_know_their_number(processes: Processes[Any, Any]) -> None:
    first, second = (
        set(dict(processes.run(enumerate(["process"] * 4), ignore)).values()) for _ in range(2)
    )
    assert first == second
    assert len(first) == 2
    assert os.getpid() not in first
    assert dict(processes.run([(0, "number")], ignore)) == {0: (0, 2)}
    assert dict(Serial(Work).run([(0, "number")], ignore)) == {0: (0, 1)}


@POSIX
def test_a_worker_that_dies_loses_only_its_task(processes: Processes[Any, Any]) -> None:
    messages: list[tuple[int, object]] = []
    tasks = [(0, 3), (1, "die"), (2, 4), (3, "die"), (4, 5)]
    results = dict(processes.run(tasks, lambda *message: messages.append(message)))
    died = WorkerDied(-signal.SIGKILL)
    assert results == {0: 9, 1: died, 2: 16, 3: died, 4: 25}
    assert {(1, "dying"), (3, "dying")} < set(messages), "what it sent before is not lost"


@POSIX
def test_a_new_process_has_the_number_of_the_dead_one(processes: Processes[Any, Any]) -> None:
    tasks = [(0, "die"), (1, "wait"), (2, "number")]
    results = {}
    for number, result in processes.run(tasks, ignore):
        results[number] = result
        if number == 2:
            break
    assert results == {0: WorkerDied(-signal.SIGKILL), 2: (0, 2)}


@POSIX
def test_a_worker_that_dies_between_two_tasks_is_replaced(processes: Processes[Any, Any]) -> None:
    dead = dict(processes.run([(0, "process")], ignore))[0]
    os.kill(dead, signal.SIGKILL)
    while is_running(dead):
        time.sleep(0.01)
    assert dict(processes.run([(0, 3), (1, 4)], ignore)) == {0: 9, 1: 16}


@POSIX
@pytest.mark.parametrize("large", ["message", "result"])
def test_death_in_the_middle_of_sending_does_not_hang_the_others(
    large: str, processes: Processes[Any, Any]
) -> None:
    tasks = [(0, f"die in a large {large}"), *((n, n) for n in range(1, 9))]
    results = dict(processes.run(tasks, ignore))
    assert results == {0: WorkerDied(-signal.SIGKILL), **{n: n**2 for n in range(1, 9)}}


@POSIX
def test_closing_ends_workers_in_the_middle_of_a_task(processes: Processes[Any, Any]) -> None:
    workers: list[Any] = []

    class Stop(Exception):  # noqa: N818
        pass

    def on_message(number: int, process: object) -> None:
        workers.append(process)
        if len(workers) == 2:
            raise Stop

    with pytest.raises(Stop):
        list(processes.run([(0, "sleep"), (1, "sleep")], on_message))
    assert all(map(is_running, workers))
    started = time.monotonic()
    processes.close()
    assert time.monotonic() < started + 5
    assert not any(map(is_running, workers))
    assert dict(processes.run([(0, 3)], ignore)) == {0: 9}, "a later run gets new workers"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(24, "Too many open files"), "Too many open files"),
        (RuntimeError("can't start new thread"), "can't start new thread"),
    ],
)
def test_a_process_that_cannot_be_started_is_an_error(
    error: Exception, reason: str, processes: Processes[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", fail)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(DeviceError) as caught:
        list(processes.run([(0, 1)], ignore))
    assert str(caught.value) == f"--jobs 2: no more processes can be started ({reason}); give fewer"
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@POSIX
@pytest.mark.parametrize("make", [Serial, lambda work: Processes(work, 2)])
@pytest.mark.parametrize(
    ("name", "exit_code"),
    [
        ("SIGINT", ExitCode.INTERRUPTED),
        ("SIGTERM", ExitCode.TERMINATED),
        ("SIGHUP", ExitCode.TERMINATED),
    ],
)
def test_a_signal_stops_the_run_early(
    name: str, exit_code: ExitCode, make: Callable[[Any], Executor[Any, Any]]
) -> None:
    """Running tasks are asked to stop, no more are taken, and then `Interrupted` is raised."""
    executor, number = make(Work), signal.Signals[name]
    handler = signal.getsignal(number)
    messages: list[int] = []

    def on_message(task: int, message: object) -> None:
        messages.append(task)
        # At the first message of a serial run, the handler is still Python's own.
        if messages.count(0) == 2 and task == 0:
            signal.raise_signal(number)

    results = {}

    def run() -> None:
        for task, result in executor.run([(0, "wait"), (1, "wait"), (2, 9)], on_message):
            results[task] = result

    with pytest.raises(Interrupted) as caught:
        run()
    assert caught.value.exit_code is exit_code
    assert results in ({0: "stopped"}, {0: "stopped", 1: "stopped"})
    assert signal.getsignal(number) is handler
    assert dict(executor.run([(3, 3)], ignore)) == {3: 9}, "the executor can be used again"
    executor.close()


#: Two workers with tasks that never end. Each line of output is the number of a worker's process
#: and what its report returned before.
ENDLESS = """
import os, time
from stylize.cli.workers import Processes

class Work:
    def __init__(self, number, workers):
        pass
    def __call__(self, task, report):
        stop = 0
        while True:
            stop = report(f"{os.getpid()} {stop}")
            time.sleep(0.01)

if __name__ == "__main__":
    tasks = [(0, 0), (1, 1)]
    list(Processes(Work, 2).run(tasks, lambda n, message: print(message, flush=True)))
"""


@pytest.fixture
def endless(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A program whose two workers are both in the middle of a task."""
    (tmp_path / "endless.py").write_text(ENDLESS)
    with subprocess.Popen(
        [sys.executable, "endless.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait_for_both(process, stop=0)
        yield process


def wait_for_both(process: "subprocess.Popen[str]", stop: int) -> None:
    """Wait until the reports of both workers have returned a value."""
    assert process.stdout is not None
    workers = set()
    while len(workers) < 2:
        worker, returned = process.stdout.readline().split()
        if returned == str(stop):
            workers.add(worker)


@POSIX
def test_workers_end_when_their_parent_is_killed(endless: "subprocess.Popen[str]") -> None:
    endless.kill()
    # This reads until all processes that could write have ended.
    _, stderr = endless.communicate(timeout=20)
    assert endless.returncode == -signal.SIGKILL
    assert stderr == ""


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_all_processes_at_once(
    number: signal.Signals, endless: "subprocess.Popen[str]"
) -> None:
    os.killpg(endless.pid, number)  # A terminal signals all processes of the command.
    wait_for_both(endless, stop=128 + number)
    os.killpg(endless.pid, number)
    _, stderr = endless.communicate(timeout=20)
    assert endless.returncode == -number
    message = "stopping; Ctrl-C again leaves at once, without a picture\n"
    assert stderr == (message if number == signal.SIGINT else "")
