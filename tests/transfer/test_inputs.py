"""In Python, too, nothing is written over what a run reads."""

import io
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stylize import OptionError, Result, Stylizer, Timelapse, files
from stylize.callbacks.film import Snapshots
from stylize.callbacks.trace import Trace
from stylize.transfer.checkpoint import Checkpoint
from stylize.transfer.job import Job
from stylize.transfer.step import Step

FAST: dict[str, Any] = {
    "content_layers": "relu1_1",
    "style_layers": "relu1_1",
    "iterations": 2,
    "scales": 1,
}
PICTURES = ("photo.png", "painting.png", "mask.png", "start.png", "small.png")


@pytest.fixture(autouse=True)
def _pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in PICTURES:
        Image.linear_gradient("L").resize((32, 32)).convert("RGB").save(name)


def absolute(*names: str) -> tuple[str, ...]:
    return tuple(sorted(os.path.abspath(name) for name in names))


def test_a_job_knows_all_files_that_are_read(stylizer: Stylizer) -> None:
    options = stylizer.options.replace(**FAST, size=32, mask=("mask.png",), init="start.png")
    job = Job.prepare(options, "photo.png", ["painting.png"])
    assert job.inputs == absolute("photo.png", "painting.png", "mask.png", "start.png")
    options = stylizer.options.replace(size=64, enlarge="small.png", weights="vgg.pth:caffe")
    job = Job.prepare(options, "photo.png", ["painting.png"])
    assert job.inputs == absolute("photo.png", "painting.png", "small.png", "vgg.pth")


@pytest.mark.parametrize(
    "open_picture",
    [str, Path, io.FileIO, Image.open],
    ids=["str", "Path", "file", "PIL"],
)
def test_inputs_are_known_however_they_are_opened(
    open_picture: Callable[[str], Any], stylizer: Stylizer
) -> None:
    source = open_picture("photo.png")
    job = Job.prepare(stylizer.options.replace(**FAST), source, [Image.new("RGB", (32, 32))])
    assert job.inputs == absolute("photo.png")
    if hasattr(source, "close"):
        source.close()


@pytest.fixture
def resumed(stylizer: Stylizer) -> Result:
    """A result whose inputs are photo.png, painting.png and run.checkpoint."""
    job = Job.prepare(stylizer.options.replace(**FAST, size=32), "photo.png", ["painting.png"])

    def save(step: Step) -> None:
        step.checkpoint().save("run.checkpoint")

    stylizer.paint(job, [save])
    checkpoint = Checkpoint.load("run.checkpoint", stylizer.recipe(job), job, stylizer.device)
    return stylizer.paint(job, checkpoint=checkpoint)


def test_a_result_is_not_saved_over_an_input(
    resumed: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under any name of the file, from any folder."""
    os.link("painting.png", "hard.png")
    Path("run.checkpoint").rename("run.png")
    Path("run.checkpoint").hardlink_to("run.png")
    names = ["photo.png", "painting.png", "./photo.png", "hard.png", "run.png"]
    if sys.platform != "win32":
        Path("link.png").symlink_to("photo.png")
        names.append("link.png")
    before = {name: Path(name).read_bytes() for name in names}
    (tmp_path / "other").mkdir()
    monkeypatch.chdir("other")
    for name in names:
        with pytest.raises(OptionError, match=f"{name}: is an input too; choose another name$"):
            resumed.save(f"../{name}")
    monkeypatch.chdir("..")
    assert before == {name: Path(name).read_bytes() for name in names}
    resumed.save("out.png")
    resumed.save("out.png")


@pytest.mark.parametrize("kind", ["film", "trace", "snapshot"])
def test_nothing_that_watches_a_run_writes_over_an_input(
    kind: str, stylizer: Stylizer, tmp_path: Path
) -> None:
    watchers: dict[str, tuple[str, Callable[[], Any]]] = {
        "film": ("film.webp", lambda: Timelapse("film.webp")),
        "trace": ("photo.png", lambda: Trace("photo.png")),
        "snapshot": (
            "000001.png",
            lambda: Snapshots(".", 1, lambda _, path: files.write(path, b"new")),
        ),
    }
    content, make = watchers[kind]
    if content != "photo.png":
        shutil.copy("photo.png", content)
    before = Path(content).read_bytes()
    with pytest.raises(OptionError, match=f"{content}: is an input too"):
        stylizer(content, "painting.png", on_step=make(), **FAST, size=32)
    assert Path(content).read_bytes() == before
