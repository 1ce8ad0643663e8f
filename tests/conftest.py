"""Fixtures and helpers of several test modules: the network, a stand-in for it, the command."""

import copy
import functools
import json
import logging
import os
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from click.testing import Result as CliResult
from PIL import Image, PngImagePlugin
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d, pad, relu

import stylize.transfer.stylizer as module
from stylize import STOP, Options, Stylizer
from stylize.callbacks.autosave import Autosave
from stylize.cli.main import command
from stylize.errors import CheckpointError
from stylize.images.picture import Source, load_picture
from stylize.network import weights
from stylize.network.names import LAYERS
from stylize.network.vgg import Vgg19
from stylize.settings.recipe import KEY, Recipe
from stylize.transfer import pace, tensors
from stylize.transfer.features import Features
from stylize.transfer.finish import finish_picture
from stylize.transfer.job import Job
from stylize.transfer.objective import Objective
from stylize.transfer.result import Result
from stylize.transfer.scales import plan_scales
from stylize.transfer.step import Losses, Step
from stylize.transfer.targets import Region, Targets

ROOT = Path(__file__).parent.parent

# Tests run in several processes at once (pytest-xdist), which share the processor, and so do the
# commands that they start: with all threads in each, they would wait for one another.
if _workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    _threads = max(1, (os.cpu_count() or 1) // int(_workers))
    os.environ["OMP_NUM_THREADS"] = str(_threads)
    torch.set_num_threads(_threads)


def pytest_configure() -> None:
    """Undo what nohup does: commands that the tests start would ignore SIGHUP."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


# A shell starts background commands with Ctrl-C ignored, and so would all commands of the tests be.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape file names that are not UTF-8: such a log cannot be sent between processes."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


def naive_taps(numbers: weights.Weights, pooling: str, image: Tensor) -> dict[str, Tensor]:
    """Every activation of the original VGG-19 in plain torch, with autograd, in the image's dtype.

    Beyond the border the first three layers see its outermost positions repeated, the others zeros.
    """
    tensors = [tensor.to(image.dtype) for tensor in numbers.state.values()]
    mean = torch.tensor([103.939, 116.779, 123.68], dtype=image.dtype).view(1, 3, 1, 1)
    x = image.flip(1) * 255 - mean
    taps: dict[str, Tensor] = {}
    for place, name in enumerate(LAYERS):
        if place and name.endswith("_1"):
            x = avg_pool2d(x, 2) if pooling == "avg" else max_pool2d(x, 2)
        x = pad(x, (1, 1, 1, 1), "replicate" if place < 3 else "constant")
        x = relu(conv2d(x, *tensors[2 * place : 2 * place + 2]))
        taps[name] = x
    return taps


def to_tensor(source: Source, size: tuple[int, int]) -> Tensor:
    """Any picture as 1 x 3 x H x W in a (width, height)."""
    return tensors.to_tensor(load_picture(source), size)


def unchecked(options: Options, **values: Any) -> Options:
    """A copy of options with values that `Options` would refuse."""
    changed = copy.copy(options)
    for name, value in values.items():
        object.__setattr__(changed, name, value)
    return changed


def pretend_gpus(monkeypatch: pytest.MonkeyPatch, kind: str, count: int) -> None:
    """Let torch say that it can use so many GPUs of a kind."""
    found = torch.device(kind) if count else None
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: found)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)


def make_objective(
    vgg: Vgg19,
    content: Mapping[str, Features],
    regions: Sequence[Region],
    *,
    content_layers: Mapping[str, float],
    style_layers: Mapping[str, float],
    alpha: float,
    beta: float,
    tv_weight: float = 0.0,
    balanced: bool = True,
) -> Objective:
    """The objective for targets of any kind, without pictures and without the limits of options."""
    options = SimpleNamespace(
        content_weight=alpha,
        style_weight=beta,
        tv_weight=tv_weight,
        objective="balanced" if balanced else "paper",
    )
    job: Any = SimpleNamespace(
        options=options, content_layers=content_layers, style_layers=style_layers
    )
    return Objective.build(Targets(vgg, job, (0, 0), content, regions))


@pytest.fixture(scope="session")
def oxford() -> weights.Weights:
    return weights.load("oxford")


@pytest.fixture(scope="session")
def vgg(oxford: weights.Weights) -> Vgg19:
    return Vgg19(oxford, "avg")


@pytest.fixture(scope="session")
def stylizer() -> Stylizer:
    """One network for many tests, in float32 on the CPU, so that all machines agree."""
    return Stylizer(size=64, iterations=24, device="cpu", precision="float32")


@pytest.fixture(scope="session")
def stylizer_for(stylizer: Stylizer) -> Callable[..., Stylizer]:
    """Gives a stylizer whose fixed options are changed; each is made once."""

    @functools.cache
    def stylizer_for(**fixed: str) -> Stylizer:
        return Stylizer(stylizer.options, **fixed) if fixed else stylizer

    return stylizer_for


@pytest.fixture(scope="session")
def painted(stylizer: Stylizer, photo: str, painting: str) -> Result:
    """The photo and the painting under the options of `stylizer`."""
    return stylizer(photo, painting)


@pytest.fixture(scope="session")
def photo() -> str:
    return str(ROOT / "contents" / "chelsea.jpg")


@pytest.fixture(scope="session")
def painting() -> str:
    return str(ROOT / "styles" / "great-wave.jpg")


@pytest.fixture(autouse=True)
def _temporary_folder(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results that are saved in the system's temporary folder are deleted by pytest."""
    folder = str(tmp_path_factory.getbasetemp())
    monkeypatch.setenv("TMPDIR", folder)
    monkeypatch.setattr(tempfile, "tempdir", folder)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def _never_waits() -> Iterator[None]:
    """Fails a test that waits for ever, as one does who reads a pipe to which nobody writes."""

    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def fail(*_: object) -> None:
        raise TimeoutError("it waited for something")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


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
    """Stands for `Stylizer`: records what it is asked for, and paints everything green."""

    FIXED = module.Stylizer.FIXED
    calls: list["Painter"] = []  # noqa: RUF012
    #: The names of all that was painted, content image and style images.
    painted: list[list[str]] = []  # noqa: RUF012
    iterations = 4
    precision = "float32"
    #: Seconds for each unit of `Scale.work`, and for each picture.
    pace = pace.Pace(1e-5, 0.25)

    def __init__(self, options: Options) -> None:
        self.options = options
        self.device = torch.device("cpu")
        Painter.calls.append(self)

    def paint(self, job: Job, callbacks: Any = (), checkpoint: Any = None) -> Result:
        self.names = [picture.name for picture in (job.content, *job.styles)]
        Painter.painted.append(self.names)
        size = job.size
        scales = tuple(plan_scales(size, self.iterations, "normal", 1, 16))
        complete = True
        losses = Losses({"content": 1.0, "style": 2.0, "tv": 0.0, "gamut": 0.0}, 3.0)
        for iteration in range(1, self.iterations + 1):
            image = torch.rand(1, 3, size[1], size[0])
            step = Step(
                iteration,
                self.iterations,
                scales[-1],
                scales,
                losses,
                losses,
                1.0,
                image,
                functools.partial(finish_picture, image, job),
                no_checkpoint,
            )
            self.at_step(iteration)
            if any([callback(step) is STOP for callback in callbacks]):
                complete = False
                break
        pixels = np.full((size[1], size[0], 3), np.array(GREEN) / 255)
        recipe = self.recipe(job, complete)
        return Result(pixels, (losses,) * iteration, self.options, 0.5, complete, recipe)

    def fit_to_memory(self, job: Job) -> Job:
        return job

    def recipe(self, job: Job, complete: bool = True) -> Recipe:
        facts = {"torch": "2", "device": "cpu", "precision": "float32", "digests": job.digests}
        return Recipe.of(job.options, complete=complete, **facts)

    def at_step(self, iteration: int) -> None:
        """For a test to replace."""


def no_checkpoint() -> Any:
    raise CheckpointError("the painter of the tests has no state to save")


def statuses(stdout: str) -> dict[str, str]:
    """The status of each result by its file name, from the lines of `--json`."""
    rows = [json.loads(line) for line in stdout.splitlines()]
    return {os.path.basename(row["output"]): row["status"] for row in rows}


def files_in(folder: str) -> list[str]:
    """All files in a folder and its subfolders, also hidden ones, by relative path."""
    paths = (path for path in Path(folder).rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in paths)


@pytest.fixture
def make_unreadable(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a folder unreadable, also for root, who may read any folder whatever its mode."""
    scandir = os.scandir

    def make_unreadable(folder: str) -> None:
        def refuse(path: str) -> Any:
            if path == folder:
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)

    return make_unreadable


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Painter]]:
    """Puts `Painter` in the place of `Stylizer`, and foretells times without a measurement."""
    monkeypatch.setattr(module, "Stylizer", Painter)
    monkeypatch.setattr(pace, "measure", lambda options, threads: Painter.pace)
    monkeypatch.setattr(Painter, "calls", [])
    monkeypatch.setattr(Painter, "painted", [])
    yield Painter
    assert not logging.getLogger("stylize").handlers, "the command removes its log handler"


@pytest.fixture
def small(tmp_path: Path, photo: str, painting: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command with the network, 30 iterations on small pictures."""
    monkeypatch.chdir(tmp_path)
    for name, source in (("photo.png", photo), ("painting.png", painting)):
        load_picture(source).image.resize((48, 40)).save(name)

    def run(*args: str) -> CliResult:
        always = ["photo.png", "painting.png", "-n", "30", "-s", "40", "-o", "out.png"]
        return CliRunner().invoke(command, [*always, *args])

    return run


@pytest.fixture
def interrupted(small: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Interrupts a run of `small` at an iteration, and leaves a checkpoint of that iteration."""

    def interrupted(iteration: int, *args: str) -> None:
        def save_and_stop(autosave: Autosave, step: Step) -> None:
            autosave.latest = step
            autosave.save()
            if step.iteration == iteration:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Autosave, "__call__", save_and_stop)
            assert small(*args).exit_code == 130

    return interrupted


@pytest.fixture
def run(tmp_path: Path, photo: str, painting: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command in an empty folder; PHOTO and PAINTING stand for two paths."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str, stdin: bytes | None = None, env: Any = None) -> CliResult:
        paths = {"PHOTO": photo, "PAINTING": painting}
        return CliRunner().invoke(command, [paths.get(a, a) for a in args], input=stdin, env=env)

    return run


@pytest.fixture
def run_on_folders(run: Any, gradient: Callable[[int, int], Image.Image]) -> Any:
    """`run` in a folder with photos/a.png, photos/b.png, styles/x.png and styles/y.png."""
    for folder, names in (("photos", "ab"), ("styles", "xy")):
        Path(folder).mkdir()
        for number, name in enumerate(names):
            gradient(40 + number, 30).save(f"{folder}/{name}.png")
    return run


#: For each option a text that can be typed, and its value, which is not the default.
GIVEN = {
    "size": ("300", 300),
    "effort": ("draft", "draft"),
    "iterations": ("7", 7),
    "strength": ("0.5", 0.5),
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
    "enlarge": ("small.png", "small.png"),
    "scales": ("2", 2),
    "seed": ("9", 9),
    "device": ("cpu", "cpu"),
    "precision": ("float32", "float32"),
    "threads": ("2", 2),
    "weights": ("oxford", "oxford"),
    "background": ("black", "#000000"),
    "depth": ("16", 16),
    "dpi": ("150", 150),
    "keep_exif": ("", True),
    "jpeg_quality": ("80", 80),
}


def save_with_recipe(path: str, options: Options) -> None:
    """Save a PNG with the recipe of a picture that was painted with these options."""
    recipe = Recipe.of(options, torch="", device="", precision="", complete=True, digests={})
    text = PngImagePlugin.PngInfo()
    text.add_text(KEY, recipe.text())
    Image.new("RGB", (1, 1)).save(path, pnginfo=text)
