"""What goes wrong in the midst of a run: memory, disk, power, numbers that are none.

Signals, kills and checkpoints that will not do are in test_checkpoint.py. Together they show the
README's table of faults, row by row.
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
from PIL import Image

from stylize import DeviceError, OptimizationError, Stylizer, stylize
from stylize import files as writing
from stylize.callbacks.autosave import Keeper
from stylize.images import encode as output
from stylize.network.vgg import Vgg19
from stylize.settings import recipe
from stylize.transfer import device
from stylize.transfer import memory as room
from stylize.transfer.checkpoint import Checkpoint
from stylize.transfer.job import Job
from stylize.transfer.step import Step

Activations = dict[str, torch.Tensor]


@pytest.fixture
def at_evaluation(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Any], Callable[[], None]]:
    """Has something happen at every evaluation of the network from one on, counted from 1.

    Gives what takes it back.
    """

    def arrange(first: int, happen: Callable[[Activations], object]) -> Callable[[], None]:
        record, count = Vgg19.record, itertools.count(1)

        def recorded(self: Vgg19, image: Any, layers: Any) -> Activations:
            found = record(self, image, layers)
            if next(count) >= first:
                happen(found)
            return found

        monkeypatch.setattr(Vgg19, "record", recorded)
        return lambda: monkeypatch.setattr(Vgg19, "record", record)

    return arrange


def raises(error: Exception) -> Callable[[Activations], None]:
    def happen(_: Activations) -> None:
        raise error

    return happen


def no_numbers(activations: Activations) -> None:
    for features in activations.values():
        features.fill_(torch.nan)


def unbroken(small: Any) -> bytes:
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
def test_memory_that_runs_out(error: Exception, small: Any, at_evaluation: Any) -> None:
    whole = unbroken(small)
    take_back = at_evaluation(20, raises(error))
    result = small()
    assert result.exit_code == 6
    assert result.stderr.count("\n") == 1
    assert "40 x 33 pixels; --size 28 takes half of it" in result.stderr
    assert "out.png.checkpoint holds the run so far" in result.stderr
    assert not Path("out.png").exists()
    take_back()
    assert "goes on after iteration" in small().stderr
    assert Path("out.png").read_bytes() == whole


@pytest.mark.fault("too large for the memory")
def test_memory_that_will_not_do(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told before the work, with a size that does; `fit` takes it, and goes on in it."""
    how = ("-n", "2", "--precision", "float32")
    monkeypatch.setattr(device, "free", lambda *_: 1.2e7)
    result = small(*how, "-s", "144")
    assert result.exit_code == 6
    assert "144 x 120 pixels needs 0.0" in result.stderr
    assert "0.01 are free; --size " in result.stderr
    side = int(result.stderr.split("--size ")[1].split()[0])
    assert small(*how, "-s", str(side)).exit_code == 0
    with Image.open("out.png") as image:
        assert max(image.size) == side
    planned = small(*how, "-s", "144", "--dry-run")
    assert planned.exit_code == 6
    assert f"--size {side} fits" in planned.stdout
    assert f"--size {side} fits" in planned.stderr


def test_fit(photo: str, painting: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The photo's own size, or the largest there is memory for; which the recipe then says."""
    stylizer = Stylizer(size="fit", iterations=1, precision="float32")
    tall = Image.new("RGB", (100, 150), "teal")
    own = stylizer(tall, painting)
    assert own.pixels.shape == (150, 100, 3)
    assert own.options.size == "original"
    shallow = {"style_layers": "relu1_1", "content_layers": "relu1_1"}
    assert stylizer(tall.resize((10, 12)), painting, **shallow).pixels.shape == (12, 10, 3)
    monkeypatch.setattr(device, "free", lambda *_: 2e7)
    result = stylizer(tall, painting)
    side = result.pixels.shape[0]
    assert 64 <= side < 150
    assert result.options.size == side
    result.save(tmp_path / "a.png")
    assert recipe.read(tmp_path / "a.png").options["size"] == side
    with pytest.raises(DeviceError, match=f"--size {side} fits"):
        stylizer(tall, painting, size="original")
    monkeypatch.setattr(device, "free", lambda *_: 1e6)
    with pytest.raises(DeviceError, match="not even a small one"):
        stylizer(tall, painting)


def test_fit_goes_on_in_the_size_that_it_had(
    small: Any, interrupted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free memory is never quite the same: it decides the size only where nothing else does."""
    Image.open("photo.png").resize((144, 120)).save("photo.png")
    how = ("-s", "fit", "-n", "8", "--precision", "float32")
    monkeypatch.setattr(device, "free", lambda *_: 1.20e7)
    assert small(*how).exit_code == 0
    whole = Path("out.png").read_bytes()

    interrupted(6, *how)
    monkeypatch.setattr(device, "free", lambda *_: 1.25e7)
    result = small(*how)
    assert "goes on after iteration" in result.stderr
    assert Path("out.png").read_bytes() == whole
    # What does not fit any more is begun afresh, smaller.
    interrupted(6, *how)
    monkeypatch.setattr(device, "free", lambda *_: 0.85e7)
    assert "set aside" in small(*how).stderr
    with Image.open("out.png") as image:
        assert max(image.size) < 72
    assert "is up to date" in small(*how, "--existing", "update").stderr
    monkeypatch.setattr(device, "free", lambda *_: 1.2e7)
    assert small("-s", "70", "-n", "8", "--precision", "float32").exit_code == 0
    assert "is up to date" not in small(*how, "--existing", "update").stderr, "no draft will do"


@pytest.mark.fault("disk full, or folder gone, for the picture")
def test_a_picture_that_cannot_be_written_is_kept_elsewhere(
    small: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = unbroken(small)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    Path("temporary").mkdir()
    Path("gone").mkdir()

    def gone(keeper: Keeper, step: Step) -> None:
        if step.iteration == 25:
            shutil.rmtree("gone")

    monkeypatch.setattr(Keeper, "__call__", gone)
    result = small("-o", "gone/out.png")
    assert result.exit_code == 4
    assert result.stderr.count("\n") == 1
    place = Path(result.stderr.rstrip().split("the picture is kept as ")[1])
    assert place.name == "out.png"
    assert place.is_relative_to(tmp_path / "temporary")
    assert place.read_bytes() == whole


def full(path: Any) -> Any:
    raise OSError(28, "No space left on device")


def test_where_there_is_room_nowhere(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_replaced", full)
    homes = [Path("home").absolute(), Path("here").absolute()]
    for home in homes:
        home.mkdir()
    monkeypatch.setattr(Path, "home", lambda: homes[0])
    monkeypatch.setattr(Path, "cwd", lambda: homes[1])
    result = small()
    assert result.exit_code == 4
    assert "out.png: cannot be written (No space left on device); nor is there" in result.stderr
    assert not any(os.listdir(home) for home in homes)


def test_the_next_place_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_place() -> str:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(tempfile, "gettempdir", no_place)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    place = writing.rescue(b"picture", "folder/out.jpg")
    assert place is not None
    assert Path(place).parent.parent == tmp_path
    assert Path(place).name == "out.jpg"
    assert Path(place).read_bytes() == b"picture"


@pytest.mark.fault("power loss")
def test_a_file_has_its_name_only_when_it_is_on_the_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its bytes first, then the name, then the folder with the name in it."""
    done: list[str] = []
    sync, move = os.fsync, os.replace

    def fsync(number: int) -> None:
        kind = "folder" if os.path.isdir(f"/proc/self/fd/{number}") else "file"
        done.append(f"{kind} synced, {'there' if (tmp_path / 'a').exists() else 'not there'}")
        sync(number)

    def replace(*args: Any) -> None:
        done.append("named")
        move(*args)

    monkeypatch.setattr(writing.os, "fsync", fsync)
    monkeypatch.setattr(writing.os, "replace", replace)
    writing.write(tmp_path / "a", b"data")
    if os.path.isdir("/proc/self/fd"):
        assert done == ["file synced, not there", "named", "folder synced, there"]


@pytest.mark.fault("a loss that is no number")
def test_the_picture_before_it_is_kept(small: Any, at_evaluation: Any) -> None:
    at_evaluation(20, no_numbers)
    result = small(
        "--checkpoint-every", "0.1", "--style-layers", "relu1_1", "--content-weight", "0"
    )
    assert result.exit_code == 7
    assert result.stderr.count("\n") == 1
    assert "out.png: ended before iteration" in result.stderr
    assert "is not a finite number" in result.stderr
    assert "it holds the picture before that" in result.stderr
    assert not recipe.read("out.png").complete
    assert sorted(path.name for path in Path().iterdir()) == [
        "out.png",
        "painting.png",
        "photo.png",
    ]


def test_no_picture_before_it(small: Any, at_evaluation: Any) -> None:
    at_evaluation(1, no_numbers)
    result = small()
    assert result.exit_code == 7
    assert result.stderr.count("\n") == 1
    assert not Path("out.png").exists()


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_at_the_next_size(optimizer: str, photo: str, painting: str, at_evaluation: Any) -> None:
    """What was painted before is enlarged; at the first evaluation there, and at once."""
    how: dict[str, Any] = {"size": 48, "scales": 2, "iterations": 20, "optimizer": optimizer}
    coarse = stylize(photo, painting, **how)
    asked: list[str] = []

    def infinite(activations: Activations) -> None:
        asked.append("once")
        activations["relu1_1"].fill_(torch.inf)

    at_evaluation(12, infinite)
    result = stylize(photo, painting, **how)
    assert "ended before iteration 12 of 20: the loss is not a finite number" in result.fault
    assert not result.complete
    assert len(result.losses) == 11
    assert asked == ["once"]
    assert result.pixels.shape == coarse.pixels.shape
    assert np.isfinite(result.pixels).all()


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")], ids=str
)
def test_memory_that_runs_out_beside_the_run(
    error: Exception, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a checkpoint: told, and painted on. To encode the picture: a checkpoint is kept."""
    whole = unbroken(small)

    def fail(*_: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "__call__", Keeper.save)
        patch.setattr(Checkpoint, "save", fail)
        result = small()
        assert result.exit_code == 0
        assert result.stderr.count("the run goes on without a checkpoint") == 1
        assert Path("out.png").read_bytes() == whole
    Path("out.png").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(output, "encode", fail)
        result = small()
        assert result.exit_code == 6
        assert "to encode the picture; out.png.checkpoint holds the run so far" in result.stderr
    with monkeypatch.context() as patch:
        load = torch.load
        patch.setattr(
            torch, "load", lambda f, **k: fail() if "checkpoint" in str(f) else load(f, **k)
        )
        result = small()
        assert result.exit_code == 6
        assert "out.png.checkpoint: not enough memory to go on from it" in result.stderr
    assert "goes on after iteration" in small().stderr
    assert Path("out.png").read_bytes() == whole


def test_a_run_that_goes_on_is_not_measured_anew(
    small: Any, interrupted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of what it needs is in memory already, by then."""
    fitted, asked = Stylizer.fitted, []

    def counted(self: Stylizer, job: Job, share: float | None = None) -> Job:
        asked.append(job)
        return fitted(self, job, share)

    interrupted(20)
    monkeypatch.setattr(Stylizer, "fitted", counted)
    assert "goes on" in small().stderr
    assert len(asked) == 1


def test_where_the_current_folder_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def gone() -> Path:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "cwd", gone)
    monkeypatch.setattr(Path, "home", gone)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = writing.rescue(b"picture", "out.jpg")
    assert place is not None
    assert Path(place).read_bytes() == b"picture"


def test_an_error_that_is_no_want_of_memory_stays_itself() -> None:
    with pytest.raises(RuntimeError, match="shapes"), device.memory_told("it ran out"):
        raise RuntimeError("shapes do not match")
    with pytest.raises(DeviceError, match="it ran out"), device.memory_told("it ran out"):
        raise MemoryError


def test_what_is_free_is_without_the_network_that_is_to_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "free", lambda: 10e9)
    cpu = torch.device("cpu")
    monkeypatch.setattr(room, "held", lambda: 2e9)
    assert device.free(cpu) == 10e9
    monkeypatch.setattr(room, "held", lambda: 0.5e9)
    assert device.free(cpu) == pytest.approx(10e9 - 0.36e9)
    assert device.free(cpu, 4) == pytest.approx(10e9 - 4 * 0.86e9 + 0.5e9)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (3, 80))
    assert device.free(torch.device("cuda")) == 3


def test_a_share_is_kept_to(photo: str, painting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several workers, each has its part of what was free before any had begun."""
    monkeypatch.setattr(device, "free", lambda *_: 1e9)
    stylizer = Stylizer(size=512, precision="float32")
    job = Job.prepare(stylizer.options, photo, [painting])
    assert stylizer.fitted(job) is job
    with pytest.raises(DeviceError, match=r"and 0\.10 are free"):
        stylizer.fitted(job, 1e8)
    stylizer.device = torch.device("cuda")
    assert stylizer.fitted(job, 1e8) is job


def test_not_a_number_raises_where_there_is_nothing_to_show(
    photo: str, painting: str, at_evaluation: Any
) -> None:
    at_evaluation(1, no_numbers)
    with pytest.raises(OptimizationError, match="not a finite number"):
        stylize(photo, painting, size=32)
