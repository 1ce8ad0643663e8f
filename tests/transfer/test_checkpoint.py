"""Interrupted runs that resume to the same bits, the file format, and unusable checkpoints."""

import copy
import hashlib
import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stylize import STOP, Stylizer, files
from stylize.callbacks import autosave
from stylize.callbacks.autosave import Autosave
from stylize.errors import CheckpointError
from stylize.transfer import checkpoint
from stylize.transfer.checkpoint import Checkpoint
from stylize.transfer.job import Job
from stylize.transfer.optimize import OPTIMIZERS
from stylize.transfer.step import Losses, Step

#: Shallow layers take less time, and allow pictures of fewer pixels.
SHALLOW = {"content_layers": "relu2_2", "style_layers": "relu1_1,relu2_1,relu3_1"}
#: The same for the command.
SHALLOW_OPTIONS = ("--content-layers", "relu2_2", "--style-layers", "relu1_1,relu2_1,relu3_1")
#: Two scales, which have 15 and 13 iterations.
SETTINGS: dict[str, Any] = {"size": 32, "scales": 2, "iterations": 28, "threads": 1, **SHALLOW}


@cache
def bfloat16_stylizer() -> Stylizer:
    return Stylizer(device="cpu", precision="bfloat16")


@pytest.fixture
def job(stylizer: Stylizer, photo: str, painting: str) -> Job:
    return Job.prepare(stylizer.options.replace(**SETTINGS), photo, [painting])


def interrupt_run(at: int, stylizer: Stylizer, job: Job, since: Any = None) -> Checkpoint:
    """Stop a run at an iteration, or the next one; gives the checkpoint of that step."""
    checkpoints: list[Checkpoint] = []

    def stop(step: Step) -> object:
        if step.iteration < at:
            return None
        checkpoints.append(step.checkpoint())
        return STOP

    assert not stylizer.paint(job, [stop], since).complete
    return checkpoints[0]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("at", [15, 28])
def test_a_run_resumes_from_the_last_step_of_a_scale(
    at: int, optimizer: str, stylizer: Stylizer, photo: str, painting: str
) -> None:
    """As after a power cut between the last step and the file. At least one evaluation is left."""
    options = stylizer.options.replace(**SETTINGS, optimizer=optimizer)
    job = Job.prepare(options, photo, [painting])
    checkpoints: list[Checkpoint] = []

    def save(step: Step) -> None:
        if step.iteration == at:
            checkpoints.append(step.checkpoint())

    whole = stylizer.paint(job, [save])
    resumed = stylizer.paint(job, [], checkpoints[0])
    assert np.array_equal(resumed.pixels, whole.pixels)
    assert resumed.losses == whole.losses
    assert resumed.complete


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
def test_a_resumed_run_gives_the_bits_of_an_unbroken_run(
    changes: dict[str, Any], stylizer: Stylizer, tmp_path: Path, photo: str, painting: str
) -> None:
    """Interrupted at the first step, within a scale, and between scales."""
    if changes.get("precision") == "bfloat16":
        stylizer = bfloat16_stylizer()
    options = stylizer.options.replace(**{**SETTINGS, **changes})
    job = Job.prepare(options, photo, [painting])
    unbroken = stylizer.paint(job)
    path = tmp_path / "a.checkpoint"
    for at in (1, 16, 27):
        interrupt_run(at, stylizer, job).save(path)
        loaded = Checkpoint.load(path, stylizer.recipe(job), job, stylizer.device)
        assert at - 4 <= loaded.iteration(job) <= at
        resumed = stylizer.paint(job, checkpoint=loaded)
        assert np.array_equal(resumed.pixels, unbroken.pixels), at
        assert resumed.losses == unbroken.losses
        assert resumed.complete


def test_a_run_can_be_interrupted_and_resumed_repeatedly(
    stylizer: Stylizer, job: Job, tmp_path: Path
) -> None:
    path = tmp_path / "a.checkpoint"
    loaded: Checkpoint | None = None
    for at in (5, 12, 16, 23):
        interrupt_run(at, stylizer, job, loaded).save(path)
        loaded = Checkpoint.load(path, stylizer.recipe(job), job, stylizer.device)
    resumed = stylizer.paint(job, checkpoint=loaded)
    assert np.array_equal(resumed.pixels, stylizer.paint(job).pixels)


def test_a_damaged_foreign_or_missing_checkpoint_is_refused(
    stylizer: Stylizer, job: Job, tmp_path: Path, photo: str, painting: str
) -> None:
    path = tmp_path / "a.checkpoint"
    interrupt_run(8, stylizer, job).save(path)
    data = path.read_bytes()
    recipe = stylizer.recipe(job)

    def load() -> Checkpoint:
        return Checkpoint.load(path, recipe, job, stylizer.device)

    for damaged in (data[:-1], data[:90], data[:-500] + bytes(500), data + b"x"):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="is damaged"):
            load()
    for foreign in (b"", b"Dear diary", data.replace(b"checkpoint 4", b"checkpoint 3", 1)):
        path.write_bytes(foreign)
        with pytest.raises(CheckpointError, match="is not a checkpoint of this version"):
            load()
    path.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        load()
    path.write_bytes(data)
    for other in (
        Job.prepare(job.options.replace(seed=1), photo, [painting]),
        Job.prepare(job.options, painting, [photo]),
    ):
        with pytest.raises(CheckpointError, match="belongs to a run with other inputs, options"):
            Checkpoint.load(path, stylizer.recipe(other), other, stylizer.device)
    assert load().iteration(job) <= 8


def test_tensors_are_loaded_as_they_were_saved(
    stylizer: Stylizer, job: Job, tmp_path: Path
) -> None:
    """In float32, with their strides, on the device asked for."""
    saved = interrupt_run(12, stylizer, job)
    saved.save(tmp_path / "a")
    loaded = Checkpoint.load(tmp_path / "a", stylizer.recipe(job), job, torch.device("cpu"))
    assert loaded.losses == saved.losses
    assert loaded.state is not None
    assert saved.state is not None
    assert loaded.state.numbers == tuple(map(float, saved.state.numbers))
    pictures = loaded.state.pictures, saved.state.pictures
    assert len(pictures[0]) == len(pictures[1]) > 2 * 3
    for one, other in zip(*pictures, strict=True):
        assert one.dtype == torch.float32
        assert one.stride() == other.stride()
        assert torch.equal(one, other)


# The format of the file, to which keys may be added: other versions resume from it


def write_by_hand(path: Path, recipe: str, numbers: Any, arrays: Sequence[Tensor]) -> None:
    """A checkpoint as version 0.1.0 of stylize writes it. The numbers may also be text."""
    text = numbers if isinstance(numbers, str) else json.dumps(numbers)
    rest = f"{recipe}\n{text}\n".encode()
    rest += b"".join(bytes(array.flatten().view(torch.uint8).tolist()) for array in arrays)
    digest = hashlib.sha256(rest).hexdigest().encode()
    path.write_bytes(b"stylize checkpoint 4\n" + digest + b"\n" + rest)


def content_by_hand(checkpoint: Checkpoint) -> tuple[dict[str, Any], list[Tensor]]:
    """Every key of the format, written out, with the values of a checkpoint; and its arrays."""

    def values(losses: Losses) -> list[float]:
        return [losses.content, losses.style, losses.tv, losses.gamut, losses.total]

    state = checkpoint.state
    numbers: dict[str, Any] = {
        "byteorder": sys.byteorder,
        "evaluations": len(checkpoint.losses),
        "scale": checkpoint.scale,
        "seconds": checkpoint.seconds,
        "state": None,
    }
    rows = [[*values(each), each.iteration, *each.size, each.seconds] for each in checkpoint.losses]
    arrays = [torch.tensor(rows, dtype=torch.float64)]
    if checkpoint.coarser is not None:
        arrays.append(checkpoint.coarser)
    if state:
        numbers["state"] = {
            "done": state.done,
            "losses": values(state.losses),
            "loss": state.loss,
            "lowest": list(state.lowest),
            "numbers": [float(number) for number in state.numbers],
        }
        arrays += [state.image, *state.pictures]
    return numbers, arrays


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("at", [1, 8, 21])
def test_the_format_of_a_checkpoint_is_that_of_version_0_1(
    optimizer: str, at: int, stylizer: Stylizer, tmp_path: Path, photo: str, painting: str
) -> None:
    """Written by stylize it has exactly these bytes, and written by hand a run resumes from it."""
    options = stylizer.options.replace(**SETTINGS, optimizer=optimizer)
    job = Job.prepare(options, photo, [painting])
    recipe = stylizer.recipe(job)
    unbroken = stylizer.paint(job)
    saved = interrupt_run(at, stylizer, job)
    assert (saved.coarser is None) == (at < 15)
    assert (saved.state is None) == (at == 1 and optimizer == "lbfgs"), "none before a direction"
    saved.save(tmp_path / "by stylize")
    write_by_hand(tmp_path / "by hand", recipe.text(), *content_by_hand(saved))
    assert (tmp_path / "by hand").read_bytes() == (tmp_path / "by stylize").read_bytes()
    loaded = Checkpoint.load(tmp_path / "by hand", recipe, job, stylizer.device)
    assert loaded.iteration(job) == saved.iteration(job)
    assert loaded.losses == saved.losses
    resumed = stylizer.paint(job, checkpoint=loaded)
    assert np.array_equal(resumed.pixels, unbroken.pixels)
    assert resumed.losses == unbroken.losses
    seconds = [losses.seconds for losses in resumed.losses]
    assert seconds == sorted(seconds)
    assert checkpoint.read_recipe_text(tmp_path / "by hand") == recipe.text()
    assert checkpoint.read_size(tmp_path / "by hand") == 32


# Forged files, with a valid digest and the recipe of the run


def _nan(arrays: list[Tensor], number: int) -> None:
    arrays[number].view(-1)[-1] = torch.nan


#: What is changed in the numbers of a checkpoint and in its arrays: the losses, the coarser
#: picture, the best one, and for L-BFGS the present one, its gradient and the pairs.
FORGERIES: dict[str, Callable[[dict[str, Any], list[Tensor]], Any]] = {
    "no scale": lambda numbers, _: numbers.pop("scale"),
    "a scale that is none": lambda numbers, _: numbers.update(scale=2),
    "a negative scale": lambda numbers, _: numbers.update(scale=-1),
    "a scale with a fraction": lambda numbers, _: numbers.update(scale=1.0),
    "a scale that is a truth value": lambda numbers, _: numbers.update(scale=True),
    "a scale that is a text": lambda numbers, _: numbers.update(scale="1"),
    "another scale": lambda numbers, _: numbers.update(scale=0),
    "too many evaluations": lambda numbers, _: numbers.update(evaluations=10**9),
    "too few evaluations": lambda numbers, _: numbers.update(evaluations=0),
    "negative evaluations": lambda numbers, _: numbers.update(evaluations=-1),
    "negative seconds": lambda numbers, _: numbers.update(seconds=-1.0),
    "endless seconds": lambda numbers, _: numbers.update(seconds=float("inf")),
    "too many seconds": lambda numbers, _: numbers.update(seconds=1e300),
    "seconds that are a list": lambda numbers, _: numbers.update(seconds=[1.0]),
    "another byte order": lambda numbers, _: numbers.update(byteorder="middle"),
    "a state that is a text": lambda numbers, _: numbers.update(state="done"),
    "a state that is a list": lambda numbers, _: numbers.update(state=[1]),
    "an empty state": lambda numbers, _: numbers.update(state={}),
    "no state": lambda numbers, _: numbers.update(state=None),
    "too much done": lambda numbers, _: numbers["state"].update(done=14),
    "negatively done": lambda numbers, _: numbers["state"].update(done=-3),
    "done without a number": lambda numbers, _: numbers["state"].update(done=float("nan")),
    "a loss that is no number": lambda numbers, _: numbers["state"].update(loss=float("nan")),
    "a loss that is a text": lambda numbers, _: numbers["state"].update(loss="0"),
    "one loss too few": lambda numbers, _: numbers["state"]["losses"].pop(),
    "one loss too many": lambda numbers, _: numbers["state"]["losses"].append(0.0),
    "losses by name": lambda numbers, _: numbers["state"].update(losses={"total": 1.0}),
    "too many lowest losses": lambda numbers, _: numbers["state"].update(lowest=[1.0] * 22),
    "a lowest loss too high": lambda numbers, _: numbers["state"].update(lowest=[float("inf")]),
    "no numbers of the method": lambda numbers, _: numbers["state"].update(numbers=[]),
    "one pair less": lambda numbers, _: numbers["state"]["numbers"].pop(),
    "a pair that curves wrongly": lambda numbers, _: numbers["state"]["numbers"].append(-1.0),
    "too many pairs": lambda numbers, _: numbers["state"].update(numbers=[1.0] * 5000),
    "a loss list that is no number": lambda _, arrays: _nan(arrays, 0),
    "a coarser picture that is no number": lambda _, arrays: _nan(arrays, 1),
    "a best picture that is no number": lambda _, arrays: _nan(arrays, 2),
    "a gradient that is no number": lambda _, arrays: _nan(arrays, 4),
    "an endless pair": lambda _, arrays: arrays[-1].view(-1)[0].fill_(torch.inf),
    "one picture less": lambda _, arrays: arrays.pop(),
    "one picture more": lambda _, arrays: arrays.append(arrays[-1]),
    "a line more": lambda _, arrays: arrays.append(torch.zeros(1)),
}
#: Texts in the place of the numbers.
FORGED_TEXTS = {
    "not JSON": "scale 1",
    "nothing": "",
    "a list": "[1, 2]",
    "a number": "7",
    "null": "null",
    "deep lists": "[" * 60_000,
    "deep objects": '{"state":' * 7_000,
    "a number of many digits": '{"byteorder": "little", "seconds": 1.0, "scale": ' + "1" * 5000,
    "a line without an end": " " * 2**17,
}


@pytest.fixture(scope="module")
def forgeable(
    stylizer: Stylizer, photo: str, painting: str
) -> tuple[Job, dict[str, Any], list[Tensor]]:
    job = Job.prepare(stylizer.options.replace(**SETTINGS), photo, [painting])
    return job, *content_by_hand(interrupt_run(24, stylizer, job))


@pytest.mark.parametrize("forgery", [*FORGERIES, *FORGED_TEXTS])
def test_a_forged_checkpoint_counts_as_damaged(
    forgery: str, forgeable: Any, stylizer: Stylizer, tmp_path: Path
) -> None:
    job, numbers, arrays = copy.deepcopy(forgeable)
    recipe, path = stylizer.recipe(job), tmp_path / "a.checkpoint"
    write_by_hand(path, recipe.text(), numbers, arrays)
    assert len(Checkpoint.load(path, recipe, job, stylizer.device).losses) > 15, "it is good"
    if forgery in FORGERIES:
        FORGERIES[forgery](numbers, arrays)
    write_by_hand(path, recipe.text(), FORGED_TEXTS.get(forgery, numbers), arrays)
    with pytest.raises(CheckpointError, match=r"a\.checkpoint: is damaged$"):
        Checkpoint.load(path, recipe, job, stylizer.device)


@pytest.mark.parametrize("done", [0, 7])
def test_a_forged_checkpoint_of_adam_counts_as_damaged(
    done: int, stylizer: Stylizer, tmp_path: Path, photo: str, painting: str
) -> None:
    options = stylizer.options.replace(**SETTINGS, optimizer="adam")
    job = Job.prepare(options, photo, [painting])
    recipe, path = stylizer.recipe(job), tmp_path / "a.checkpoint"
    numbers, arrays = content_by_hand(interrupt_run(8, stylizer, job))
    write_by_hand(path, recipe.text(), numbers, arrays)
    assert Checkpoint.load(path, recipe, job, stylizer.device).iteration(job) == 7
    if done == 0:  # it would have no moments
        numbers["state"]["done"] = 0
    else:
        arrays[-1].view(-1)[0] = -1.0  # a sum of squares
    write_by_hand(path, recipe.text(), numbers, arrays)
    with pytest.raises(CheckpointError, match="is damaged"):
        Checkpoint.load(path, recipe, job, stylizer.device)


@pytest.mark.parametrize("start", [b"", b"stylize checkpoint 4\n", b"stylize checkpoint 4\n%b\n"])
def test_a_huge_checkpoint_takes_neither_memory_nor_time(
    start: bytes, job: Job, stylizer: Stylizer, tmp_path: Path
) -> None:
    """Half a terabyte without the end of a line: nobody could read it all."""
    path = tmp_path / "a.checkpoint"
    with path.open("wb") as file:
        file.write(start % (b"0" * 64) if b"%" in start else start)
        try:
            file.truncate(2**39)
        except OSError:
            pytest.skip("this file system has no files with holes")
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=r"is damaged|is not a checkpoint"):
        Checkpoint.load(path, stylizer.recipe(job), job, stylizer.device)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


@pytest.mark.usefixtures("_never_waits")
@pytest.mark.parametrize("args", [(), ("--size", "fit")], ids=str)
@pytest.mark.parametrize("kind", ["pipe", "deep recipe", "old pickle"])
def test_the_command_sets_a_hostile_checkpoint_aside(
    kind: str, args: tuple[str, ...], small: Any, tmp_path: Path
) -> None:
    path = Path("out.png.checkpoint")
    if kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("this system has no named pipes")
        os.mkfifo(path)  # nobody ever writes to it
    elif kind == "deep recipe":
        write_by_hand(path, "[" * 200_000, {}, [])
    else:
        path.write_bytes(b"stylize checkpoint 3\n" + pickle.dumps(print))
    result = small("-n", "2", *SHALLOW_OPTIONS, *args)
    assert result.exit_code == 0, result.stderr
    assert "renamed it to" in result.stderr
    assert Path("out.png").is_file()


# The command


def raise_signal_at(
    iteration: int, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """Have a signal arrive at an iteration; gives a function that undoes this."""
    original = Autosave.__call__

    def call(self: Autosave, step: Step) -> None:
        if step.iteration == iteration:
            signal.raise_signal(number)
        original(self, step)

    monkeypatch.setattr(Autosave, "__call__", call)
    return lambda: monkeypatch.setattr(Autosave, "__call__", original)


@pytest.mark.fault("Ctrl-C")
@pytest.mark.fault("SIGTERM, or SIGHUP (the terminal is closed)")
@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent differently there")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 143)])
def test_an_interrupted_command_resumes(
    name: str, code: int, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert small(*SHALLOW_OPTIONS).exit_code == 0
    unbroken = Path("out.png").read_bytes()
    Path("out.png").unlink()
    undo = raise_signal_at(17, signal.Signals[name], monkeypatch)
    assert small(*SHALLOW_OPTIONS).exit_code == code
    undo()
    assert Path("out.png").exists() == (code == 130), "Ctrl-C writes the picture so far"
    assert Path("out.png.checkpoint").is_file()
    again = small(*SHALLOW_OPTIONS)
    assert again.exit_code == 0
    assert "out.png.checkpoint: resuming at iteration 18 of 30" in again.stderr
    assert Path("out.png").read_bytes() == unbroken
    assert not Path("out.png.checkpoint").exists()
    assert small(*SHALLOW_OPTIONS).stderr.startswith("stylize: wrote out.png (")


@pytest.mark.fault("a corrupted checkpoint")
def test_an_unusable_checkpoint_is_renamed_and_reported(small: Any) -> None:
    Path("out.png.checkpoint").write_text("Dear diary")
    result = small("-n", "3")
    assert result.exit_code == 0
    assert "is not a checkpoint of this version of stylize; renamed it to" in result.stderr
    assert "deleted" not in result.stderr, "it is not ours"
    assert Path("out.png.checkpoint.unused").read_text() == "Dear diary"
    assert not Path("out.png.checkpoint").exists()


def test_every_checkpoint_begins_as_autosave_expects(
    stylizer: Stylizer, job: Job, tmp_path: Path
) -> None:
    assert not autosave.is_checkpoint(tmp_path / "a")
    interrupt_run(1, stylizer, job).save(tmp_path / "a")
    assert autosave.is_checkpoint(tmp_path / "a")


@pytest.mark.fault("a corrupted checkpoint")
@pytest.mark.parametrize("args", [(), ("--checkpoint", "out.png.checkpoint")], ids=str)
def test_checkpoints_that_were_set_aside_go_when_the_picture_is_done(
    args: tuple[str, ...], small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of earlier runs. Until then nothing is replaced, and what is not ours stays."""
    head = "stylize checkpoint 4\n"
    Path("out.png.checkpoint").write_text(f"{head}damaged")
    Path("out.png.checkpoint.unused").write_text("Dear diary")
    Path("out.png.checkpoint.unused-2").write_text(f"{head}older")
    with monkeypatch.context() as patch:
        undo = raise_signal_at(1, signal.SIGTERM, patch)
        result = small(*args, "-n", "3")
        undo()
    assert result.exit_code == 143
    assert "out.png.checkpoint: is damaged; renamed it to out.png.checkpoint.unused-3" in (
        result.stderr
    )
    assert "started over; it is deleted when the picture is done" in result.stderr
    assert Path("out.png.checkpoint.unused").read_text() == "Dear diary"
    assert Path("out.png.checkpoint.unused-2").read_text() == f"{head}older"
    assert Path("out.png.checkpoint.unused-3").read_text() == f"{head}damaged"
    assert small(*args, "-n", "3").exit_code == 0
    assert sorted(path.name for path in Path().glob("*.checkpoint*")) == [
        "out.png.checkpoint.unused"
    ]


@pytest.mark.usefixtures("painter")
@pytest.mark.parametrize(
    ("kind", "code", "advice"),
    [
        ("folder", 4, "is a folder; give a file name"),
        ("foreign", 2, "is not a checkpoint of stylize; name another file"),
        ("link", 2, "is not a checkpoint of stylize; name another file"),
        ("nowhere", 4, "there is no folder"),
    ],
)
@pytest.mark.parametrize("args", [(), ("--dry-run",)], ids=str)
def test_a_named_checkpoint_that_is_none_is_refused_before_the_work(
    args: tuple[str, ...], kind: str, code: int, advice: str, small: Any
) -> None:
    if kind == "folder":
        Path("mine").mkdir()
        Path("mine/file").write_text("Dear diary")
    elif kind != "nowhere":
        Path("mine").write_text("Dear diary")
    name = {"link": "link", "nowhere": "no/where"}.get(kind, "mine")
    if kind == "link":
        if sys.platform == "win32":
            pytest.skip("links need a privilege on Windows")
        Path("link").symlink_to("mine")
    before = sorted(Path().rglob("*"))
    result = small("--checkpoint", name, *args)
    assert result.exit_code == code
    assert f"--checkpoint {name}: {advice}" in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(Path().rglob("*")) == before, "nothing was painted or renamed"


def test_an_empty_file_may_be_named_for_a_checkpoint(small: Any) -> None:
    Path("empty").touch()
    result = small("--checkpoint", "empty", "-n", "1")
    assert result.exit_code == 0
    assert result.stderr.startswith("stylize: wrote out.png (")
    assert not Path("empty.unused").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent differently there")
def test_no_resume_and_a_named_checkpoint(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    named = ("--checkpoint", "saved", *SHALLOW_OPTIONS)
    undo = raise_signal_at(17, signal.SIGTERM, monkeypatch)
    assert small(*named).exit_code == 143
    undo()
    assert Path("saved").is_file()
    started_over = small(*named, "--no-resume")
    assert started_over.exit_code == 0
    assert started_over.stderr.startswith("stylize: wrote out.png (")
    assert not Path("saved").exists()
    for path in ("out.png", "photo.png"):
        assert small("--checkpoint", path).exit_code == 2
    refused = small("painting.png", "-o", "folder/", "--checkpoint", "saved")
    assert (refused.exit_code, "each has its own" in refused.stderr) == (2, True)


def test_checkpoints_are_saved_at_intervals(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock; a short run has none."""
    now = [0.0]
    saved: list[float] = []

    class Clock:
        @staticmethod
        def monotonic() -> float:
            now[0] += 3.5
            return now[0]

    save = Autosave.save

    def recorded_save(self: Autosave) -> bool:
        saved.append(now[0])
        result = save(self)
        assert Path("out.png.checkpoint").is_file()
        return result

    monkeypatch.setattr(autosave, "time", Clock)
    monkeypatch.setattr(autosave, "PARTS", 1)  # saving takes 3.5 seconds by this clock
    monkeypatch.setattr(Autosave, "save", recorded_save)
    assert small("--checkpoint-every", "20", *SHALLOW_OPTIONS).exit_code == 0
    assert 3 <= len(saved) <= 6
    assert not Path("out.png.checkpoint").exists()
    saved.clear()
    assert small("--checkpoint-every", "1000", *SHALLOW_OPTIONS).exit_code == 0
    assert not saved


def save_every_step(self: Autosave, step: Step) -> None:
    self.latest = step
    self.save()


@pytest.mark.fault("disk full, for a checkpoint")
def test_a_full_disk_costs_the_checkpoint_and_not_the_picture(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = checkpoint._HashingWriter.write, itertools.count()

    def raise_disk_full(file: Any, data: bytes) -> int:
        if next(calls) > 5:  # while torch writes its part
            raise OSError(28, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(checkpoint._HashingWriter, "write", raise_disk_full)
    monkeypatch.setattr(autosave, "time", type("Clock", (), {"monotonic": lambda: 0.0}))
    monkeypatch.setattr(Autosave, "__call__", save_every_step)
    result = small(*SHALLOW_OPTIONS)
    assert result.exit_code == 0
    message = "cannot be written (No space left on device); the run continues without a checkpoint"
    assert result.stderr.count(message) == 1
    assert Path("out.png").is_file()


@pytest.mark.fault("kill -9")
@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed differently there")
def test_a_killed_run_resumes(small: Any) -> None:
    """With a checkpoint at each step, and the remains of one that was being written."""
    assert small(*SHALLOW_OPTIONS).exit_code == 0
    unbroken = Path("out.png").read_bytes()
    Path("out.png").unlink()
    code = (
        "import os, sys; from stylize.cli.main import command\n"
        "from stylize.callbacks.autosave import Autosave\n"
        "def call(self, step):\n"
        "    self.latest = step\n"
        "    self.save()\n"
        "    if step.iteration == 20: os.kill(os.getpid(), 9)\n"
        "Autosave.__call__ = call\n"
        "command(sys.argv[1:])"
    )
    arguments = ["photo.png", "painting.png", "-n", "30", "-s", "40", "-o", "out.png"]
    command = [sys.executable, "-c", code, *arguments, *SHALLOW_OPTIONS]
    assert subprocess.run(command, check=False).returncode == -9
    Path(f"{files.temporary_prefix('out.png.checkpoint')}-0.part").touch()
    assert "resuming at iteration" in small(*SHALLOW_OPTIONS).stderr
    assert Path("out.png").read_bytes() == unbroken
    assert sorted(path.name for path in Path().iterdir()) == [
        "out.png",
        "painting.png",
        "photo.png",
    ]
