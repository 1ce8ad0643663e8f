"""Runs that are broken off and go on, to the same bits; and checkpoints that will not do."""

import itertools
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stylize import Stylizer
from stylize import files as writing
from stylize.callbacks import autosave as keeper
from stylize.callbacks.autosave import Keeper
from stylize.errors import CheckpointError
from stylize.transfer import checkpoint
from stylize.transfer.checkpoint import Checkpoint
from stylize.transfer.job import Job
from stylize.transfer.step import Step

#: In these, scales have 15 and 13 iterations.
HOW: dict[str, Any] = {"size": 48, "scales": 2, "iterations": 28, "device": "cpu", "threads": 1}


def broken_off(at: int, path: Path, stylizer: Stylizer, job: Job) -> None:
    def watch(step: Step) -> bool:
        if step.iteration >= at:
            assert step.checkpoint is not None
            step.checkpoint().save(path)
        return step.iteration >= at

    assert not stylizer.paint(job, watch).complete


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "float32"},
        {"precision": "bfloat16"},
        {"precision": "float32", "optimizer": "adam"},
        {"precision": "bfloat16", "optimizer": "adam"},
        {"init": "content", "objective": "paper", "style_weight": 1000.0},
        {"tv_weight": 1.0, "scales": 1},
    ],
    ids=str,
)
def test_a_run_that_goes_on_is_one_unbroken_run(
    changes: dict[str, Any], tmp_path: Path, photo: str, painting: str
) -> None:
    """Broken off at the first step, within and between scales, and while it goes on again."""
    stylizer = Stylizer(**{**HOW, **changes})
    job = Job.prepare(stylizer.options, photo, [painting])
    whole = stylizer.paint(job)
    path = tmp_path / "a.checkpoint"
    for at in (1, 16, 27):
        broken_off(at, path, stylizer, job)
        since = Checkpoint.load(path, stylizer.recipe(job), stylizer.device)
        assert at - 4 <= since.iteration(job) <= at
        went_on = stylizer.paint(job, since=since)
        assert np.array_equal(went_on.pixels, whole.pixels), at
        assert went_on.losses == whole.losses
        assert went_on.complete


def test_broken_off_again_and_again(tmp_path: Path, photo: str, painting: str) -> None:
    stylizer = Stylizer(**HOW)
    job = Job.prepare(stylizer.options, photo, [painting])
    path = tmp_path / "a.checkpoint"
    since: Checkpoint | None = None
    for at in (5, 12, 16, 23):

        def watch(step: Step, at: int = at) -> bool:
            if step.iteration >= at and step.checkpoint:
                step.checkpoint().save(path)
            return step.iteration >= at

        stylizer.paint(job, watch, since)
        since = Checkpoint.load(path, stylizer.recipe(job), stylizer.device)
    assert np.array_equal(stylizer.paint(job, since=since).pixels, stylizer.paint(job).pixels)


def test_what_is_refused(tmp_path: Path, photo: str, painting: str) -> None:
    stylizer = Stylizer(**HOW)
    job = Job.prepare(stylizer.options, photo, [painting])
    path = tmp_path / "a.checkpoint"
    broken_off(8, path, stylizer, job)
    whole = path.read_bytes()
    recipe = stylizer.recipe(job)

    def load() -> Checkpoint:
        return Checkpoint.load(path, recipe, stylizer.device)

    for damaged in (whole[:-1], whole[:90], whole[:-500] + bytes(500), whole + b"x"):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="is damaged"):
            load()
    for foreign in (b"", b"Dear diary", whole.replace(b"checkpoint 2", b"checkpoint 1", 1)):
        path.write_bytes(foreign)
        with pytest.raises(CheckpointError, match="no checkpoint of this version"):
            load()
    path.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        load()
    path.write_bytes(whole)
    for other in (
        Job.prepare(stylizer.options.but(seed=1), photo, [painting]),
        Job.prepare(stylizer.options, painting, [photo]),
    ):
        with pytest.raises(CheckpointError, match="other inputs, options or versions"):
            Checkpoint.load(path, stylizer.recipe(other), stylizer.device)
    assert load().iteration(job) <= 8


def stop_at(
    iteration: int, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """Have a signal come at an iteration; gives what takes it back."""
    seen = Keeper.__call__

    def told(self: Keeper, step: Step) -> None:
        if step.iteration == iteration:
            signal.raise_signal(number)
        seen(self, step)

    monkeypatch.setattr(Keeper, "__call__", told)
    return lambda: monkeypatch.setattr(Keeper, "__call__", seen)


@pytest.mark.fault("Ctrl-C")
@pytest.mark.fault("SIGTERM")
@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_goes_on(
    number: signal.Signals, code: int, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert small().exit_code == 0
    unbroken = Path("out.png").read_bytes()
    Path("out.png").unlink()
    undo = stop_at(17, number, monkeypatch)
    assert small().exit_code == code
    undo()
    assert Path("out.png").exists() == (code == 130), "the picture so far, or none"
    assert Path("out.png.checkpoint").is_file()
    again = small()
    assert again.exit_code == 0
    assert "out.png.checkpoint: goes on after iteration 1" in again.stderr
    assert Path("out.png").read_bytes() == unbroken
    assert not Path("out.png.checkpoint").exists()
    assert small().stderr == ""


@pytest.mark.fault("a corrupted checkpoint")
def test_what_cannot_be_gone_on_from_is_set_aside(small: Any) -> None:
    Path("out.png.checkpoint").write_text("Dear diary")
    result = small()
    assert result.exit_code == 0
    assert "is no checkpoint of this version of stylize; set aside as" in result.stderr
    assert Path("out.png.checkpoint.unused").read_text() == "Dear diary"
    assert not Path("out.png.checkpoint").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_no_resume_and_a_place_of_ones_own(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    undo = stop_at(17, signal.SIGTERM, monkeypatch)
    assert small("--checkpoint", "kept").exit_code == 143
    undo()
    assert Path("kept").is_file()
    afresh = small("--checkpoint", "kept", "--no-resume")
    assert (afresh.exit_code, afresh.stderr) == (0, "")
    assert not Path("kept").exists()
    for path in ("out.png", "photo.png"):
        assert small("--checkpoint", path).exit_code == 2
    refused = small("painting.png", "-o", "folder/", "--checkpoint", "kept")
    assert (refused.exit_code, "each has its own" in refused.stderr) == (2, True)


def test_written_now_and_then(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock; a short run has none."""
    clock = [0.0]
    saved: list[float] = []

    class Clock:
        @staticmethod
        def monotonic() -> float:
            clock[0] += 3.5
            return clock[0]

    save = Keeper.save

    def noted(self: Keeper, step: Step) -> None:
        saved.append(clock[0])
        save(self, step)
        assert Path("out.png.checkpoint").is_file()

    monkeypatch.setattr(keeper, "time", Clock)
    monkeypatch.setattr(Keeper, "save", noted)
    assert small("--checkpoint-every", "20").exit_code == 0
    assert 3 <= len(saved) <= 6
    assert not Path("out.png.checkpoint").exists()
    saved.clear()
    assert small("--checkpoint-every", "1000").exit_code == 0
    assert not saved


@pytest.mark.fault("disk full, for a checkpoint")
def test_a_full_disk_costs_the_checkpoint_alone(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = checkpoint._Hashed.write, itertools.count()

    def full(file: Any, data: bytes) -> int:
        if next(calls) > 5:  # in the midst of torch's part
            raise OSError(28, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(checkpoint._Hashed, "write", full)
    monkeypatch.setattr(keeper, "time", type("Clock", (), {"monotonic": lambda: 0.0}))
    monkeypatch.setattr(Keeper, "__call__", Keeper.save)
    result = small()
    assert result.exit_code == 0
    told = "cannot be written (No space left on device); the run goes on without a checkpoint"
    assert result.stderr.count(told) == 1
    assert Path("out.png").is_file()


@pytest.mark.fault("kill -9")
@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed otherwise there")
def test_killed(small: Any) -> None:
    """With a checkpoint at each step, and what was left of the making of one."""
    assert small().exit_code == 0
    unbroken = Path("out.png").read_bytes()
    Path("out.png").unlink()
    code = (
        "import os, sys; from stylize.cli.main import command\n"
        "from stylize.callbacks.autosave import Keeper\n"
        "Keeper.__call__ = lambda self, step: (self.save(step),"
        " os.kill(os.getpid(), 9) if step.iteration == 20 else None)\n"
        "command(sys.argv[1:])"
    )
    how = ["photo.png", "painting.png", "-n", "30", "-s", "40", "-o", "out.png"]
    killed = subprocess.run([sys.executable, "-c", code, *how], check=False)
    assert killed.returncode == -9
    Path(f"{writing.mark('out.png.checkpoint')}-0.part").touch()
    assert "goes on after iteration" in small().stderr
    assert Path("out.png").read_bytes() == unbroken
    assert sorted(path.name for path in Path().iterdir()) == [
        "out.png",
        "painting.png",
        "photo.png",
    ]


def test_tensors_come_back_as_they_were(tmp_path: Path, photo: str, painting: str) -> None:
    """In float32, with their strides, on the device asked for."""
    stylizer = Stylizer(**HOW)
    job = Job.prepare(stylizer.options, photo, [painting])
    kept: list[Checkpoint] = []

    def watch(step: Step) -> bool:
        if step.iteration == 12 and step.checkpoint:
            kept.append(step.checkpoint())
        return step.iteration == 12

    stylizer.paint(job, watch)
    kept[0].save(tmp_path / "a")
    found = Checkpoint.load(tmp_path / "a", stylizer.recipe(job), torch.device("cpu"))
    assert found.losses == kept[0].losses
    assert found.state is not None
    assert kept[0].state is not None
    ours, theirs = found.state.method, kept[0].state.method
    assert len(ours["memory"]) == len(theirs["memory"]) > 3
    pairs = zip(
        [ours["image"], *itertools.chain(*ours["memory"])],
        [theirs["image"], *itertools.chain(*theirs["memory"])],
        strict=True,
    )
    for one, other in pairs:
        assert one.dtype == torch.float32
        assert one.stride() == other.stride()
        assert torch.equal(one, other)
