"""What the tests share: the real network, and small pictures."""

import json
import logging
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image, PngImagePlugin
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d, pad, relu

import stylize.transfer.stylizer as module
from stylize import Options
from stylize.callbacks.autosave import Keeper
from stylize.cli.main import command
from stylize.images import picture as images
from stylize.network import weights
from stylize.network.names import LAYERS
from stylize.network.vgg import Vgg19
from stylize.settings.recipe import KEY, Recipe
from stylize.transfer.job import Job
from stylize.transfer.losses import Losses
from stylize.transfer.scales import plan

ROOT = Path(__file__).parent.parent

# Tests run in several processes at once (pytest-xdist), which share the processor, and so do the
# commands that they start: with all threads in each, they would wait for one another.
if _workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    _threads = max(1, (os.cpu_count() or 1) // int(_workers))
    os.environ["OMP_NUM_THREADS"] = str(_threads)
    torch.set_num_threads(_threads)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What was logged may hold names that are no UTF-8, which cannot be sent between processes."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


def naive_taps(numbers: weights.Weights, pooling: str, image: Tensor) -> dict[str, Tensor]:
    """Every activation of the original VGG-19 in plain torch, with autograd, in the image's dtype.

    Zeros beyond the border of each layer but the first, where the border is repeated.
    """
    tensors = [tensor.to(image.dtype) for tensor in numbers.state.values()]
    mean = torch.tensor([103.939, 116.779, 123.68], dtype=image.dtype).view(1, 3, 1, 1)
    x = pad(image.flip(1) * 255 - mean, (1, 1, 1, 1), "replicate")
    taps: dict[str, Tensor] = {}
    for place, name in enumerate(LAYERS):
        if place and name.endswith("_1"):
            x = avg_pool2d(x, 2) if pooling == "avg" else max_pool2d(x, 2)
        x = relu(conv2d(x, *tensors[2 * place : 2 * place + 2], padding=1 if place else 0))
        taps[name] = x
    return taps


@pytest.fixture(scope="session")
def oxford() -> weights.Weights:
    return weights.load("oxford")


@pytest.fixture(scope="session")
def vgg(oxford: weights.Weights) -> Vgg19:
    return Vgg19(oxford, "avg")


@pytest.fixture(scope="session")
def photo() -> str:
    return str(ROOT / "contents" / "chelsea.jpg")


@pytest.fixture(scope="session")
def painting() -> str:
    return str(ROOT / "styles" / "great-wave.jpg")


@pytest.fixture(autouse=True)
def _rescued(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept elsewhere is kept where pytest clears it away."""
    place = str(tmp_path_factory.getbasetemp())
    monkeypatch.setenv("TMPDIR", place)
    monkeypatch.setattr(tempfile, "tempdir", place)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def gradient() -> Callable[[int, int], Image.Image]:
    """Makes an RGB picture without symmetry: red grows to the right, green downward."""

    def make(width: int, height: int) -> Image.Image:
        red = Image.linear_gradient("L").rotate(90).resize((width, height))
        green = Image.linear_gradient("L").resize((width, height))
        return Image.merge("RGB", (red, green, Image.new("L", (width, height), 40)))

    return make


GREEN = (10, 200, 30)


class Painter:
    """Stands for `Stylizer`: takes note of what it is asked, and paints all green."""

    FIXED = module.Stylizer.FIXED
    calls: list["Painter"] = []  # noqa: RUF012
    #: The names of all that was painted, photo and paintings.
    painted: list[list[str]] = []  # noqa: RUF012
    iterations = 4

    def __init__(self, options: Options) -> None:
        self.options = options
        self.device = torch.device("cpu")
        Painter.calls.append(self)

    def paint(self, job: Job, on_step: Any, since: Any = None) -> module.Result:
        self.names = [picture.name for picture in (job.content, *job.paintings)]
        Painter.painted.append(self.names)
        size = job.size
        scales = tuple(plan(size, self.iterations, "normal", "auto", 16))
        complete = True
        losses = Losses(1.0, 2.0, 0.0, 0.0, 3.0)
        for iteration in range(1, self.iterations + 1):
            image = torch.rand(1, 3, size[1], size[0])
            step = module.Step(
                iteration, self.iterations, scales[-1], scales, losses, losses, 1.0, image, job
            )
            if self.at_step(iteration) or on_step(step):
                complete = False
                break
        pixels = np.full((size[1], size[0], 3), np.array(GREEN) / 255)
        recipe = self.recipe(job, complete)
        return module.Result(pixels, (losses,) * iteration, self.options, 0.5, complete, recipe)

    def fitted(self, job: Job, share: float | None = None) -> Job:
        return job

    def recipe(self, job: Job, complete: bool = True) -> Recipe:
        facts = {"torch": "2", "device": "cpu", "precision": "float32", "digests": job.digests}
        return Recipe.of(job.options, complete=complete, **facts)

    def at_step(self, iteration: int) -> None:
        """For a test to put something in."""


def statuses(stdout: str) -> dict[str, str]:
    """What became of each result, by its name, out of lines of JSON."""
    rows = [json.loads(line) for line in stdout.splitlines()]
    return {os.path.basename(row["output"]): row["status"] for row in rows}


@pytest.fixture
def close(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Closes a folder, so that it cannot be looked into; root could, whatever its rights."""
    scandir = os.scandir

    def close(folder: str) -> None:
        def refused(path: str) -> Any:
            if path == folder:
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refused)

    return close


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Painter]]:
    monkeypatch.setattr(module, "Stylizer", Painter)
    monkeypatch.setattr(Painter, "calls", [])
    monkeypatch.setattr(Painter, "painted", [])
    yield Painter
    assert not logging.getLogger("stylize").handlers, "the log is left as it was found"


@pytest.fixture
def small(tmp_path: Path, photo: str, painting: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command with the network, 30 iterations on small pictures."""
    monkeypatch.chdir(tmp_path)
    for name, source in (("photo.png", photo), ("painting.png", painting)):
        images.load(source).image.resize((48, 40)).save(name)

    def run(*args: str) -> Result:
        how = ["photo.png", "painting.png", "-n", "30", "-s", "40", "-o", "out.png"]
        return CliRunner().invoke(command, [*how, *args])

    return run


@pytest.fixture
def interrupted(small: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Breaks off the run of `small` at an iteration, with a checkpoint from each until then."""

    def interrupted(iteration: int, *args: str) -> None:
        def stopped(keeper: Keeper, step: module.Step) -> None:
            keeper.save(step)
            if step.iteration == iteration:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Keeper, "__call__", stopped)
            assert small(*args).exit_code == 130

    return interrupted


@pytest.fixture
def run(tmp_path: Path, photo: str, painting: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def run(*args: str, stdin: bytes | None = None, env: Any = None) -> Result:
        named = {"PHOTO": photo, "PAINTING": painting}
        return CliRunner().invoke(command, [named.get(a, a) for a in args], input=stdin, env=env)

    return run


GIVEN = {
    "size": ("300", 300),
    "effort": ("draft", "draft"),
    "iterations": ("7", 7),
    "content_weight": ("2", 2.0),
    "style_weight": ("1e4", 1e4),
    "content_layers": ("conv3_1", "relu3_1"),
    "style_layers": ("relu1_1,conv2_1:0.5", "relu1_1,relu2_1:0.5"),
    "blend": ("equal", "equal"),
    "style_scale": ("0.5", 0.5),
    "tv_weight": ("3", 3.0),
    "objective": ("paper", "paper"),
    "network": ("normalized", "normalized"),
    "pooling": ("max", "max"),
    "optimizer": ("adam", "adam"),
    "learning_rate": ("0.1", 0.1),
    "color": ("match", "match"),
    "mask": ("mask.png", ("mask.png",)),
    "init": ("content", "content"),
    "scales": ("2", 2),
    "seed": ("9", 9),
    "device": ("cpu", "cpu"),
    "precision": ("float32", "float32"),
    "threads": ("2", 2),
    "weights": ("oxford", "oxford"),
    "background": ("black", "#000000"),
    "depth": ("16", 16),
    "keep_exif": ("", True),
    "existing": ("fail", "fail"),
    "jpeg_quality": ("80", 80),
    "format": ("webp", "webp"),
}


def save_with_recipe(path: str, options: Options) -> None:
    """A PNG as if painted with these options."""
    held = Recipe.of(options, torch="", device="", precision="", complete=True, digests={})
    text = PngImagePlugin.PngInfo()
    text.add_text(KEY, held.text())
    Image.new("RGB", (1, 1)).save(path, pnginfo=text)
