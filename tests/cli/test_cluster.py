"""The executor on a Ray cluster: three nodes on this machine, one of which may be killed."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from click.testing import CliRunner
from conftest import ROOT, files_in, statuses
from test_folders_process import REPORTING_COMMAND, wait_for

from stylize import files
from stylize.callbacks.progress import FolderBars
from stylize.cli import cluster as module
from stylize.cli.cluster import LATER, Cluster, Finished, Shared
from stylize.cli.main import command
from stylize.cli.workers import Report, WorkerDied
from stylize.errors import DeviceError
from stylize.images.picture import load_picture
from stylize.network import weights
from stylize.transfer.step import CHECKPOINT_HEAD

ray = pytest.importorskip("ray", reason="needs the extra cluster")
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="Ray has clusters of nodes on Linux alone"),
    # Ray leaves files and sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


#: From here, nodes import this module and the package.
PATHS = os.pathsep.join(str(ROOT / folder) for folder in ("tests/cli", "tests", "src"))


class Nodes:
    """A head and two more nodes, with a processor each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as Machines

        self.machines: Any = Machines()
        self.head = self._add(include_dashboard=False)
        self.others = [self._add() for _ in range(2)]
        self.address: str = self.machines.address

    def _add(self, **more: Any) -> Any:
        return self.machines.add_node(num_cpus=1, object_store_memory=10**9, **more)

    def kill_one(self) -> None:
        self.machines.remove_node(self.others.pop(), allow_graceful=False)

    def restore(self) -> None:
        while len(self.others) < 2:
            self.others.append(self._add())


@pytest.fixture(scope="module")
def started() -> Iterator[Nodes]:
    # Not pytest's own folder: the paths of Ray's sockets would be too long.
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", PATHS)
        nodes = Nodes()
        yield nodes
        ray.shutdown()
        nodes.machines.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def nodes(started: Nodes) -> Nodes:
    started.restore()
    return started


class Work:
    """Squares numbers; a string or a tuple as a task asks for something else."""

    def __init__(self, number: int, workers: int, threads: int) -> None:
        self.made = number, workers, threads

    def __call__(self, task: Any, report: Report) -> Any:
        match task:
            case int():
                report(f"squaring {task}")
                return task**2
            case bytes():
                return task[::-1]
            case "made":
                return self.made
            case "log":
                logging.getLogger("stylize").warning("logged in %d", 7)
            case "fail":
                raise ValueError("the work failed")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case ["die once", path]:
                if not os.path.exists(path):
                    Path(path).touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                return "done"
            case "wait":
                while not report("waiting"):
                    time.sleep(0.01)
                return "stopped"
            case Shared():
                return task.get()


@pytest.fixture
def executor(nodes: Nodes) -> Iterator[Cluster]:
    executor = Cluster(Work, nodes.address, threads=1)
    yield executor
    executor.close()


def ignore(number: int, message: object) -> None:
    """Receive a message and do nothing."""


def test_tasks_are_done_once_and_messages_arrive(
    executor: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    messages: list[Any] = []
    results = executor.run(enumerate(range(20)), lambda *message: messages.append(message))
    assert dict(results) == {n: n**2 for n in range(20)}
    assert sorted(messages) == [(n, f"squaring {n}") for n in range(20)]
    shared = executor.share(b"in the object store")
    tasks = [shared, "made", "log", LATER, Finished("without a worker")]
    found = dict(executor.run(enumerate(tasks), ignore))
    assert found.keys() == {0, 1, 2, 4}
    assert (found[0], found[4]) == (b"in the object store", "without a worker")
    assert found[1][1:] == (1, 1), "one worker on its machine, with one thread"
    assert "logged in 7" in caplog.messages
    with pytest.raises(ValueError, match="the work failed"):
        list(executor.run([(0, "fail"), (1, 1)], ignore))


@pytest.mark.slow
def test_a_worker_that_dies_costs_its_task_a_second_try(executor: Cluster, tmp_path: Path) -> None:
    tasks = ["die", ["die once", str(tmp_path / "died")], 2, 3]
    found = dict(executor.run(enumerate(tasks), ignore))
    assert found == {0: WorkerDied(cause="two workers died"), 1: "done", 2: 4, 3: 9}


@pytest.mark.slow
@pytest.mark.parametrize("count", [10_000])
def test_memory_stays_flat_and_tasks_are_taken_one_by_one(count: int) -> None:
    """In a process of its own, which does not know the cluster of the other tests."""
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    environment = {name: value for name, value in os.environ.items() if name[:4] != "RAY_"}
    subprocess.run(
        [sys.executable, "-c", f"import test_cluster; test_cluster.check_memory({count})"],
        env={**environment, "PYTHONPATH": PATHS, "RAY_TMPDIR": folder},
        check=True,
    )
    shutil.rmtree(folder)


def check_memory(count: int) -> None:
    """Each task has 300 kB there and 300 kB back, as from a painter that only copies."""
    executor = Cluster(Work, "local", threads=1)
    done, most_ahead, sizes = 0, 0, []

    def tasks() -> Iterator[tuple[int, bytes]]:
        nonlocal most_ahead
        for number in range(count):
            most_ahead = max(most_ahead, number - done)
            yield number, number.to_bytes(4, "big") + bytes(300_000)

    for number, result in executor.run(tasks(), ignore):
        assert result[-4:] == number.to_bytes(4, "big")[::-1]
        done += 1
        if done % 500 == 0:  # the object store, which processes share, does not count
            sizes.append(psutil.Process().memory_full_info().uss)
    assert done == count
    assert most_ahead <= 4
    assert sizes[-1] - sizes[0] < 50e6, "500 results have 150 MB"
    executor.close()


def test_other_versions_are_refused(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    find_versions, worker = module.portable()
    here = {**find_versions(), "torch": "1.0"}
    monkeypatch.setattr(module, "portable", lambda: (lambda: here, worker))
    executor = Cluster(Work, nodes.address)
    with pytest.raises(DeviceError, match=r"has torch \S+ instead of 1\.0; install the same"):
        list(executor.run([(0, 1)], ignore))
    executor.close()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["versions", "start"])
def test_a_machine_that_cannot_help_is_given_nothing_to_do(
    fault: str, nodes: Nodes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It has other versions, or no worker can be started there."""
    other = nodes.others[0].node_id
    find_versions, worker = module.portable()

    class Worker(worker):  # type: ignore[misc, valid-type]
        def machine(self) -> tuple[str, str, dict[str, str]]:
            node, name, versions = super().machine()
            wrong = fault == "versions" and node == other
            return node, name, {**versions, "torch": "1.0"} if wrong else versions

        def start(self, settings: bytes, number: int) -> None:
            if fault == "start" and self.machine()[0] == other:
                raise OSError("no space")
            super().start(settings, number)

    monkeypatch.setattr(module, "portable", lambda: (find_versions, Worker))
    executor = Cluster(Where, nodes.address, threads=1)
    wait = iter([0.2] * 60)  # longer than all workers need to start
    found = dict(executor.run(enumerate(wait), ignore))
    assert len(found) == 60
    assert other not in found.values()
    said = {"versions": "instead of", "start": "can start no workers"}[fault]
    assert sum(said in message for message in caplog.messages) == 1
    executor.close()


class Where:
    """Waits, and says on which machine."""

    def __init__(self, number: int, workers: int, threads: int) -> None:
        self.machine: str = ray.get_runtime_context().get_node_id()

    def __call__(self, seconds: float, report: Report) -> str:
        time.sleep(seconds)
        return self.machine


ARGS = ["photos", "styles", "--json", "-s", "32", "--threads", "1", "-n", "40"]
NAMES = [f"{letter}-x.png" for letter in "abcdefghijkl"]


@pytest.fixture(scope="module")
def expected(
    started: Nodes, tmp_path_factory: pytest.TempPathFactory, photo: str, painting: str
) -> Iterator[dict[str, bytes]]:
    """The results of this process, in a folder that becomes the current one."""
    folder = tmp_path_factory.mktemp("folder")
    for name, source in (("photos", photo), ("styles", painting)):
        (folder / name).mkdir()
        image = load_picture(source).image
        for number, letter in enumerate("abcdefghijkl" if name == "photos" else "x"):
            image.resize((60 + number, 48)).save(folder / name / f"{letter}.png")
    (folder / "reporting_command.py").write_text(REPORTING_COMMAND)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert set(statuses(run("here").stdout).values()) == {"done"}
        yield {name: Path("here", name).read_bytes() for name in NAMES}


def run(out: str, *more: str, code: int = 0) -> Any:
    result = CliRunner().invoke(command, [*ARGS, "-o", out, *more])
    assert result.exit_code == code, result.output
    return result


@pytest.mark.slow
def test_a_node_is_killed_and_all_pictures_are_the_same(
    expected: dict[str, bytes], nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve pictures on three nodes."""
    show, seen = FolderBars.step, set()

    def kill_at_the_fourth(bars: FolderBars, number: int, step: Any) -> None:
        seen.add(number)
        if len(seen) == 4 and len(nodes.others) == 2:
            nodes.kill_one()
        show(bars, number, step)

    monkeypatch.setattr(FolderBars, "step", kill_at_the_fourth)
    result = run("killed", "--cluster", nodes.address)
    assert statuses(result.stdout) == dict.fromkeys(NAMES, "done")
    assert len(nodes.others) == 1
    assert files_in("killed") == NAMES
    assert {name: Path("killed", name).read_bytes() for name in NAMES} == expected
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_bad_and_locked_pictures_do_not_stop_the_others(
    expected: dict[str, bytes], nodes: Nodes
) -> None:
    """Another run paints b. c is damaged, and d is up to date."""
    shutil.copytree("photos", "some")
    for letter in "efghijkl":
        os.remove(f"some/{letter}.png")
    Path("some/c.png").write_bytes(Path("some/c.png").read_bytes()[:500])
    os.makedirs("mixed")
    for name in ("b-x.png", "d-x.png"):
        Path("mixed", name).write_bytes(expected[name])
    begun, end = threading.Event(), threading.Event()

    def other_run() -> None:
        with files.lock("mixed/b-x.png"):
            begun.set()
            end.wait(30)

    other = threading.Thread(target=other_run)
    other.start()
    begun.wait()
    threading.Timer(8, end.set).start()
    more = [*ARGS[1:], "-o", "mixed", "--cluster", nodes.address]
    result = CliRunner().invoke(command, ["some", *more])
    other.join()
    assert result.exit_code == 123, result.output
    assert statuses(result.stdout) == {
        **{"a-x.png": "done", "b-x.png": "skipped", "c-x.png": "failed", "d-x.png": "skipped"}
    }
    assert "c.png: damaged or cut short" in result.stderr
    assert "waiting for another run, which locked pictures: 1" in result.stderr
    assert Path("mixed/a-x.png").read_bytes() == expected["a-x.png"]
    assert files_in("mixed") == ["a-x.png", "b-x.png", "d-x.png"]


@pytest.mark.slow
@pytest.mark.usefixtures("expected")
def test_the_start_picture_travels_too(nodes: Nodes) -> None:
    shutil.copytree("photos", "two", ignore=lambda *_: [f"{n}.png" for n in "cdefghijkl"])
    args = ["two", *ARGS[1:], "--init", "photos/c.png", "-n", "5"]
    for out, more in (("there", ["--cluster", nodes.address]), ("near", [])):
        assert CliRunner().invoke(command, [*args, "-o", out, *more]).exit_code == 0
    for name in ("a-x.png", "b-x.png"):
        assert Path("there", name).read_bytes() == Path("near", name).read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("expected")
def test_trials_with_a_mask_and_a_file_of_weights(nodes: Nodes, oxford: weights.Weights) -> None:
    """The page, the sheet and all pictures are those of a run without a cluster."""
    torch.save(oxford.state, "weights.pth")
    load_picture("photos/a.png").image.convert("L").save("mask.png")
    args = ["photos/a.png", "styles/x.png", "--mask", "mask.png", "--weights", "weights.pth"]
    args += ["--try", "style-weight=0.3,1", "-s", "32", "-n", "5", "--threads", "1"]
    for out, more in (("near", []), ("far", ["--cluster", nodes.address])):
        names = ["-o", f"{out}.png", "--report", f"{out}.html"]
        if more:
            os.mkdir("far-trials")
            stale = f"far-trials/{os.listdir('near-trials')[0]}.checkpoint"
            Path(stale).write_bytes(CHECKPOINT_HEAD)
        result = CliRunner().invoke(command, [*args, *names, *more])
        assert result.exit_code == 0, result.output
        assert Path(f"{out}.html").read_text().count("<dialog") == 1
    assert files_in("far-trials") == files_in("near-trials")
    for name in files_in("near-trials"):
        assert Path("far-trials", name).read_bytes() == Path("near-trials", name).read_bytes()
    assert Path("far.png").read_bytes() == Path("near.png").read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("expected")
def test_ctrl_c_keeps_the_pictures_and_leaves_no_workers(nodes: Nodes) -> None:
    args = [*ARGS, "-o", "stopped", "-n", "99999", "-s", "60", "--optimizer", "adam"]
    with subprocess.Popen(
        [sys.executable, "reporting_command.py", *args, "--cluster", nodes.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait_for(process, "step 1 3")
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    by_name = statuses(out)
    assert "b-x.png" in by_name
    assert set(by_name.values()) == {"interrupted"}
    assert files_in("stopped") == sorted(by_name)
    assert "run the same command again to resume" in err
    assert "Traceback" not in err
    ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.CRITICAL)
    deadline = time.monotonic() + 20
    while ray.available_resources().get("CPU", 0) < 3:
        assert time.monotonic() < deadline, ray.available_resources()
        time.sleep(0.2)
    ray.shutdown()


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ("--cluster auto --jobs 2", 2, "--jobs: cannot be used with --cluster"),
        ("--cluster auto --snapshot-every 5", 2, "--snapshot-every: cannot be used"),
        ("--cluster auto --timelapse a.webp", 2, "--timelapse: cannot be used"),
        ("--cluster auto --trace a.jsonl", 2, "--trace: cannot be used"),
        ("--cluster auto --checkpoint a", 2, "--checkpoint: cannot be used"),
        ("--cluster auto --device cuda:1", 2, "give cuda"),
        ("--cluster here", 2, "give auto, or HOST:PORT"),
        ("--cluster :6379", 2, "give auto, or HOST:PORT"),
        ("--cluster ray://host:10001", 2, "give auto, or HOST:PORT"),
        ("--cluster 127.0.0.1:1", 6, "--cluster 127.0.0.1:1: does not answer (Connection refused)"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused(
    given: str, code: int, message: str, run_on_folders: Any
) -> None:
    result = run_on_folders("photos", "styles", "-o", "out", *given.split())
    assert result.exit_code == code
    assert message in result.stderr
    assert not Path("out").exists()


def test_a_cluster_that_a_variable_names_is_not_replaced_by_another(
    run_on_folders: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address, message in {
        "127.0.0.1:1": "does not answer (Connection refused)",
        "ray://host:10001": "give HOST:PORT of a Ray cluster's head",
    }.items():
        monkeypatch.setenv("RAY_ADDRESS", address)
        result = run_on_folders("photos", "styles", "-o", "out", "--cluster", "auto")
        assert result.exit_code == 6
        assert f"RAY_ADDRESS={address}: {message}" in result.stderr


@pytest.mark.slow
def test_a_gpu_that_no_machine_has_is_not_waited_for() -> None:
    with pytest.raises(DeviceError, match="--device cuda: Ray finds no GPU on this machine"):
        Cluster(Work, "local", "cuda")
    ray.shutdown()


def test_one_picture_needs_no_cluster(run_on_folders: Any) -> None:
    result = run_on_folders("photos/a.png", "styles/x.png", "-o", "a.png", "--cluster", "auto")
    assert result.exit_code == 2
    assert "--cluster: is for folders" in result.stderr


def test_without_ray_its_extra_is_named(
    run_on_folders: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run_on_folders("photos", "styles", "-o", "out", "--cluster", "auto")
    assert result.exit_code == 6
    assert result.stderr == (
        'stylize: --cluster: needs Ray; run pip install "neural-stylize[cluster]"\n'
    )


def test_a_dry_run_asks_no_cluster(run_on_folders: Any) -> None:
    args = ["photos", "styles", "-o", "out", "--cluster", "nowhere:1", "--dry-run"]
    result = run_on_folders(*args)
    assert result.exit_code == 0
    assert result.stdout.count("planned") == 5
    assert "no estimate" in result.stdout
