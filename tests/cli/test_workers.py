"""Tasks that have nothing to do with pictures, here and in processes, which die now and then."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stylize.cli.terminal import Ended
from stylize.cli.workers import Executor, Lost, Processes, Serial, Tell

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")


class Work:
    """Squares numbers; what else it does stands in the task."""

    def __init__(self, number: int, workers: int) -> None:
        self.place = number, workers

    def __call__(self, task: Any, tell: Tell) -> Any:
        match task:
            case int():
                tell(f"at {task}")
                return task**2
            case "place":
                return self.place
            case "process":
                time.sleep(0.2)  # so that another one is free before this one
                return os.getpid()
            case "log":
                logging.getLogger("stylize").warning("said in %d", 7)
                return None
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "fail":
                raise ValueError("of all")
            case "wait":
                started = time.monotonic()
                while not tell("waiting"):
                    assert time.monotonic() < started + 30
                    time.sleep(0.01)
                return "stopped"


@pytest.fixture(params=["serial", "processes"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor[Any, Any]]:
    made: Any = Serial(Work) if request.param == "serial" else Processes(Work, 2)
    yield made
    made.close()


@pytest.fixture
def processes() -> Iterator[Processes[Any, Any]]:
    made: Processes[Any, Any] = Processes(Work, 2)
    yield made
    made.close()


def nothing(number: int, message: object) -> None:
    """Does not listen."""


def test_every_task_once_and_all_that_is_said(executor: Executor[Any, Any]) -> None:
    heard: list[tuple[int, object]] = []
    results = executor.run(enumerate(range(20)), lambda *said: heard.append(said))
    assert dict(results) == {n: n**2 for n in range(20)}
    assert sorted(heard) == [(n, f"at {n}") for n in range(20)]
    assert dict(executor.run([(5, 3)], nothing)) == {5: 9}, "and can be used again"


def test_tasks_are_taken_when_there_is_a_worker(executor: Executor[Any, Any]) -> None:
    """So that it is not too late to think better of it."""
    taken: list[int] = []

    def tasks() -> Iterator[tuple[int, int]]:
        for n in range(9):
            taken.append(n)
            yield n, n

    results = executor.run(tasks(), nothing)
    next(results)
    assert len(taken) <= 3


def test_the_log_comes_through(
    executor: Executor[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    list(executor.run([(0, "log")], nothing))
    assert [record.getMessage() for record in caplog.records] == ["said in 7"]


def test_an_exception_ends_all(executor: Executor[Any, Any]) -> None:
    with pytest.raises(ValueError, match="of all"):
        list(executor.run([(0, "fail"), (1, 1)], nothing))


def test_workers_are_kept_and_know_their_place(processes: Processes[Any, Any]) -> None:
    found = [set(dict(processes.run(enumerate(["process"] * 4), nothing)).values()) for _ in "ab"]
    assert found[0] == found[1]
    assert len(found[0]) == 2
    assert os.getpid() not in found[0]
    assert dict(processes.run([(0, "place")], nothing)) == {0: (0, 2)}
    assert dict(Serial(Work).run([(0, "place")], nothing)) == {0: (0, 1)}


@POSIX
def test_a_worker_that_dies_costs_its_task(processes: Processes[Any, Any]) -> None:
    results = dict(processes.run([(0, 3), (1, "die"), (2, 4), (3, "die"), (4, 5)], nothing))
    died = Lost(-signal.SIGKILL)
    assert results == {0: 9, 1: died, 2: 16, 3: died, 4: 25}


@POSIX
@pytest.mark.parametrize("make", [Serial, lambda work: Processes(work, 2)])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm(
    number: signal.Signals, code: int, make: Callable[[Any], Executor[Any, Any]]
) -> None:
    """Those under way are asked to end, no more are begun, and then it is raised."""
    executor = make(Work)
    before = signal.getsignal(number)
    heard: list[int] = []

    def press(task: int, message: object) -> None:
        heard.append(task)
        if heard.count(0) == 2 and task == 0:  # at the first, Ctrl-C may still be Python's own
            signal.raise_signal(number)

    results = {}

    def go() -> None:
        for number, result in executor.run([(0, "wait"), (1, "wait"), (2, 9)], press):
            results[number] = result

    with pytest.raises(Ended) as ended:
        go()
    assert ended.value.code == code
    assert results in ({0: "stopped"}, {0: "stopped", 1: "stopped"})
    assert signal.getsignal(number) is before
    executor.close()


#: Two workers at tasks without end, their numbers told on stdout.
ENDLESS = """
import os, time
from stylize.executors import Processes

class Work:
    def __init__(self, number, workers):
        pass
    def __call__(self, task, tell):
        while True:
            tell(os.getpid())
            time.sleep(0.01)

if __name__ == "__main__":
    list(Processes(Work, 2).run([(0, 0), (1, 1)], lambda n, said: print(said, flush=True)))
"""


@POSIX
def test_workers_end_with_the_parent(tmp_path: Any) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS)
    with subprocess.Popen([sys.executable, "endless.py"], cwd=tmp_path, stdout=-1) as process:
        assert process.stdout is not None
        workers: set[int] = set()
        while len(workers) < 2:
            workers.add(int(process.stdout.readline()))
        process.kill()
        process.communicate(timeout=20)  # to its end: all who could write to it are gone
        assert process.returncode == -signal.SIGKILL
