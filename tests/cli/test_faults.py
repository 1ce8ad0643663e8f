"""What goes wrong during a run: memory, disk, power, and losses that are not numbers.

Signals, kills and unusable checkpoints are in transfer/test_checkpoint.py. Together these tests
show the manual's table of faults, row by row.
"""

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import files_in
from PIL import Image

import stylize.transfer.stylizer as module
from stylize import DeviceError, OptimizationError, Stylizer, files, stylize
from stylize.callbacks.autosave import Autosave
from stylize.images import encode
from stylize.network.vgg import Vgg19
from stylize.settings import recipe
from stylize.transfer import checkpoint, device, memory
from stylize.transfer.checkpoint import Checkpoint
from stylize.transfer.job import Job
from stylize.transfer.step import Step

Activations = dict[str, torch.Tensor]


@pytest.fixture
def at_evaluation(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Any], Callable[[], None]]:
    """Calls a function at every evaluation of the network from the given one on, from 1.

    The result undoes that.
    """

    def arrange(first: int, function: Callable[[Activations], object]) -> Callable[[], None]:
        record, count = Vgg19.record, itertools.count(1)

        def record_and_call(self: Vgg19, *args: Any) -> Activations:
            activations = record(self, *args)
            if next(count) >= first:
                function(activations)
            return activations

        monkeypatch.setattr(Vgg19, "record", record_and_call)
        return lambda: monkeypatch.setattr(Vgg19, "record", record)

    return arrange


def raises(error: Exception) -> Callable[[Activations], None]:
    def function(_: Activations) -> None:
        raise error

    return function


def fill_with_nan(activations: Activations) -> None:
    for features in activations.values():
        features.fill_(torch.nan)


def uninterrupted(small: Any) -> bytes:
    """The picture of a run that nothing happens to; it is deleted again."""
    assert small().exit_code == 0
    data = Path("out.png").read_bytes()
    Path("out.png").unlink()
    return data


@pytest.mark.fault("out of memory after all")
@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"
        ),
        RuntimeError("could not create a primitive"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_run_that_is_out_of_memory_can_be_resumed(
    error: Exception, small: Any, at_evaluation: Any
) -> None:
    expected = uninterrupted(small)
    undo = at_evaluation(20, raises(error))
    result = small()
    assert result.exit_code == 6
    assert result.stderr.count("\n") == 1
    assert "40 x 33 pixels; --size 28 takes half of it" in result.stderr
    assert "out.png.checkpoint holds the run so far" in result.stderr
    assert not Path("out.png").exists()
    undo()
    assert "resuming at iteration" in small().stderr
    assert Path("out.png").read_bytes() == expected


@pytest.mark.fault("too large for the memory")
def test_a_picture_that_is_too_large_for_the_memory_is_refused_before_the_work(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names a size that fits, and so does a dry run."""
    args = ("-n", "2", "--precision", "float32")
    monkeypatch.setattr(device, "free_memory", lambda *_: 2.1e7)
    result = small(*args, "-s", "144")
    assert result.exit_code == 6
    assert "144 x 120 pixels needs 0.0" in result.stderr
    assert "0.02 GB free; --size " in result.stderr
    side = int(result.stderr.split("--size ")[1].split()[0])
    assert small(*args, "-s", str(side)).exit_code == 0
    with Image.open("out.png") as image:
        assert max(image.size) == side
    planned = small(*args, "-s", "144", "--dry-run")
    assert planned.exit_code == 6
    assert f"--size {side} fits" in planned.stdout
    assert f"--size {side} fits" in planned.stderr


def test_fit_takes_the_largest_size_that_fits(
    photo: str, painting: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """At most the photo's size. The recipe records the size that was taken."""
    stylizer = Stylizer(size="fit", iterations=1, precision="float32")
    tall = Image.new("RGB", (100, 150), "teal")
    own = stylizer(tall, painting)
    assert own.pixels.shape == (150, 100, 3)
    assert own.options.size == "original"
    shallow = {"style_layers": "relu1_1", "content_layers": "relu1_1"}
    assert stylizer(tall.resize((10, 12)), painting, **shallow).pixels.shape == (12, 10, 3)
    monkeypatch.setattr(device, "free_memory", lambda *_: 3.5e7)
    result = stylizer(tall, painting)
    side = result.pixels.shape[0]
    assert 64 <= side < 150
    assert result.options.size == side
    result.save(tmp_path / "a.png")
    assert recipe.read_recipe(tmp_path / "a.png").options["size"] == side
    with pytest.raises(DeviceError, match=f"--size {side} fits"):
        stylizer(tall, painting, size="original")
    monkeypatch.setattr(device, "free_memory", lambda *_: 1e6)
    with pytest.raises(DeviceError, match="not even a small one"):
        stylizer(tall, painting)


def test_a_run_with_fit_resumes_in_the_size_that_it_had(
    small: Any, interrupted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free memory is never quite the same: it decides the size only where nothing else does."""
    Image.open("photo.png").resize((144, 120)).save("photo.png")
    args = ("-s", "fit", "-n", "8", "--precision", "float32")
    monkeypatch.setattr(device, "free_memory", lambda *_: 2.10e7)
    assert small(*args).exit_code == 0
    expected = Path("out.png").read_bytes()

    interrupted(6, *args)
    monkeypatch.setattr(device, "free_memory", lambda *_: 2.19e7)
    result = small(*args)
    assert "resuming at iteration" in result.stderr
    assert Path("out.png").read_bytes() == expected
    # A size that no longer fits is replaced by a smaller one, and the run starts over.
    interrupted(6, *args)
    monkeypatch.setattr(device, "free_memory", lambda *_: 1.48e7)
    assert "renamed it to out.png.checkpoint.unused, started over" in small(*args).stderr
    with Image.open("out.png") as image:
        assert max(image.size) < 72
    assert "is up to date" in small(*args, "--existing", "update").stderr
    monkeypatch.setattr(device, "free_memory", lambda *_: 2.1e7)
    assert small("-s", "70", "-n", "8", "--precision", "float32").exit_code == 0
    updated = small(*args, "--existing", "update")
    assert "is up to date" not in updated.stderr, "a size that was given does not count as fitted"


@pytest.mark.fault("disk full, or folder gone, for the picture")
def test_a_picture_that_cannot_be_written_is_saved_elsewhere(
    small: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = uninterrupted(small)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    Path("temporary").mkdir()
    Path("gone").mkdir()

    def delete_folder(autosave: Autosave, step: Step) -> None:
        if step.iteration == 25:
            shutil.rmtree("gone")

    monkeypatch.setattr(Autosave, "__call__", delete_folder)
    result = small("-o", "gone/out.png")
    assert result.exit_code == 4
    assert result.stderr.count("\n") == 1
    place = Path(result.stderr.rstrip().split("the picture is saved as ")[1])
    assert place.name == "out.png"
    assert place.is_relative_to(tmp_path / "temporary")
    assert place.read_bytes() == expected


def disk_full(*_: Any) -> Any:
    raise OSError(28, "No space left on device")


def test_a_picture_that_fits_nowhere_is_reported_and_leaves_no_folders(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.writing, "_open_atomic", disk_full)
    folders = [Path("home").absolute(), Path("current").absolute()]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(Path, "home", lambda: folders[0])
    monkeypatch.setattr(Path, "cwd", lambda: folders[1])
    result = small()
    assert result.exit_code == 4
    reason = "cannot be written (No space left on device); and it could not be saved elsewhere"
    assert reason in result.stderr
    assert not any(os.listdir(folder) for folder in folders)


def test_without_a_temporary_folder_the_home_folder_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_folder() -> str:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(tempfile, "gettempdir", no_folder)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    place = files.save_elsewhere(b"picture", "folder/out.jpg")
    assert place is not None
    assert Path(place).parent.parent == tmp_path
    assert Path(place).name == "out.jpg"
    assert Path(place).read_bytes() == b"picture"


def test_a_picture_is_saved_elsewhere_although_the_current_folder_was_deleted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def deleted() -> Path:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "cwd", deleted)
    monkeypatch.setattr(Path, "home", deleted)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = files.save_elsewhere(b"picture", "out.jpg")
    assert place is not None
    assert Path(place).read_bytes() == b"picture"


@pytest.mark.fault("power loss")
def test_a_file_gets_its_name_only_when_it_is_on_the_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """First its bytes are on the disk, then it gets its name, then the folder is on the disk."""
    calls: list[str] = []
    sync, replace = os.fsync, os.replace

    def record_fsync(number: int) -> None:
        kind = "folder" if os.path.isdir(f"/proc/self/fd/{number}") else "file"
        name = "with" if (tmp_path / "a").exists() else "without"
        calls.append(f"fsync of the {kind} {name} the name")
        sync(number)

    def record_replace(*args: Any, **folders: Any) -> None:
        calls.append("replace")
        replace(*args, **folders)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    files.write(tmp_path / "a", b"data")
    if os.path.isdir("/proc/self/fd"):
        assert calls == [
            "fsync of the file without the name",
            "replace",
            "fsync of the folder with the name",
        ]


@pytest.mark.fault("a loss that is no number")
def test_the_picture_before_a_loss_that_is_not_a_number_is_written(
    small: Any, at_evaluation: Any
) -> None:
    at_evaluation(20, fill_with_nan)
    result = small(
        "--checkpoint-every", "0.1", "--style-layers", "relu1_1", "--content-weight", "0"
    )
    assert result.exit_code == 7
    assert result.stderr.count("\n") == 1
    assert "out.png: ended before iteration" in result.stderr
    assert "is not a finite number" in result.stderr
    assert "the file holds the picture before that" in result.stderr
    assert not recipe.read_recipe("out.png").complete
    assert files_in(".") == ["out.png", "painting.png", "photo.png"], "no checkpoint is left"


def test_a_first_loss_that_is_not_a_number_leaves_no_picture(
    small: Any, at_evaluation: Any
) -> None:
    at_evaluation(1, fill_with_nan)
    result = small()
    assert result.exit_code == 7
    assert result.stderr.count("\n") == 1
    assert not Path("out.png").exists()


def test_a_first_loss_that_is_not_a_number_is_an_error_in_python(
    photo: str, painting: str, at_evaluation: Any
) -> None:
    at_evaluation(1, fill_with_nan)
    with pytest.raises(OptimizationError, match="not a finite number"):
        stylize(photo, painting, size=32)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_loss_that_is_not_a_number_at_the_second_scale_gives_the_first_scale_enlarged(
    optimizer: str, photo: str, painting: str, at_evaluation: Any
) -> None:
    """The run ends at the first evaluation of that scale; no other one is tried."""
    options: dict[str, Any] = {"size": 48, "scales": 2, "iterations": 20, "optimizer": optimizer}
    unharmed = stylize(photo, painting, **options)
    evaluations: list[str] = []

    def fill_with_infinity(activations: Activations) -> None:
        evaluations.append("one")
        activations["relu1_1"].fill_(torch.inf)

    at_evaluation(14, fill_with_infinity)
    result = stylize(photo, painting, **options)
    assert "ended before iteration 14 of 20: the loss is not a finite number" in result.fault
    assert not result.complete
    assert len(result.losses) == 13
    assert evaluations == ["one"]
    assert result.pixels.shape == unharmed.pixels.shape
    assert np.isfinite(result.pixels).all()


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")], ids=str
)
def test_too_little_memory_for_a_checkpoint_or_for_encoding(
    error: Exception, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without memory for a checkpoint the run goes on. If encoding fails, a checkpoint is saved.

    If there is too little memory to load that checkpoint, it stays for the next run.
    """
    expected = uninterrupted(small)

    def fail(*_: Any) -> Any:
        raise error

    def save_always(autosave: Autosave, step: Step) -> None:
        autosave.latest = step
        autosave.save()

    with monkeypatch.context() as patch:
        patch.setattr(Autosave, "__call__", save_always)
        patch.setattr(Checkpoint, "save", fail)
        result = small()
        assert result.exit_code == 0
        assert result.stderr.count("the run continues without a checkpoint") == 1
        assert Path("out.png").read_bytes() == expected
    Path("out.png").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(encode, "encode", fail)
        result = small()
        assert result.exit_code == 6
        assert "to encode the picture; out.png.checkpoint holds the run so far" in result.stderr
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_read_tensor", fail)
        result = small()
        assert result.exit_code == 6
        assert "out.png.checkpoint: not enough memory to resume from it" in result.stderr
    assert "resuming at iteration" in small().stderr
    assert Path("out.png").read_bytes() == expected


def test_free_memory_is_compared_once_when_a_run_resumes(
    small: Any, interrupted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the checkpoint was loaded, some of what the run needs is no longer free."""
    fit = module.Stylizer.fit_to_memory
    jobs: list[Job] = []

    def record_and_fit(self: module.Stylizer, job: Job) -> Job:
        jobs.append(job)
        return fit(self, job)

    interrupted(20)
    monkeypatch.setattr(module.Stylizer, "fit_to_memory", record_and_fit)
    assert "resuming" in small().stderr
    assert len(jobs) == 1


def test_only_errors_for_want_of_memory_become_a_device_error() -> None:
    with pytest.raises(RuntimeError, match="shapes"), device.memory_errors("out of memory"):
        raise RuntimeError("shapes do not match")
    with pytest.raises(DeviceError, match="out of memory"), device.memory_errors("out of memory"):
        raise MemoryError


def test_memory_for_networks_that_are_not_loaded_yet_is_not_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "free", lambda: 10e9)
    cpu = torch.device("cpu")
    monkeypatch.setattr(memory, "resident", lambda: 2e9)
    assert device.free_memory(cpu) == 10e9
    monkeypatch.setattr(memory, "resident", lambda: 0.5e9)
    assert device.free_memory(cpu) == pytest.approx(10e9 - memory.BASE_BYTES + 0.5e9)
    assert device.free_memory(cpu, 4) == pytest.approx(10e9 - 4 * memory.BASE_BYTES + 0.5e9)


def test_a_worker_uses_only_its_part_of_the_memory(
    photo: str, painting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CUDA device it uses what is free there."""
    monkeypatch.setattr(memory, "_share", memory._share)  # is restored after the test
    monkeypatch.setattr(memory, "free", lambda: 10 * (memory.BASE_BYTES + 1e8))
    stylizer = Stylizer(size=512, precision="float32")
    job = Job.prepare(stylizer.options, photo, [painting])
    assert stylizer.fit_to_memory(job) is job
    memory.share_among(10)
    with pytest.raises(DeviceError, match=r"0\.10 GB free"):
        stylizer.fit_to_memory(job)
    monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda _: (1e9, 8e9))
    stylizer.device = torch.device("cuda")
    assert stylizer.fit_to_memory(job) is job
