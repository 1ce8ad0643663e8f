"""The whole way of a picture, with the real network at sizes of a thumbnail."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import stylize.transfer.stylizer as module
from stylize import (
    DeviceError,
    OptionError,
    Options,
    OutputError,
    PictureError,
    Step,
    Stylizer,
    stylize,
)
from stylize.images import picture as images
from stylize.network.vgg import Vgg19
from stylize.settings.options import EFFORTS
from stylize.transfer import device, targets
from stylize.transfer import optimize as minimize
from stylize.transfer.job import Job
from stylize.transfer.losses import gram
from stylize.transfer.targets import Styles, objective


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    """In float32, so that all machines go the same way."""
    return Stylizer(size=64, iterations=30, precision="float32")


def pixels(image: Image.Image) -> Any:
    return np.asarray(image, dtype=float)


def correlation(a: Image.Image, b: Image.Image) -> float:
    """Of the two pictures' luminance, a little blurred."""
    x, y = (pixels(i.convert("L").resize((16, 12), Image.Resampling.BOX)).ravel() for i in (a, b))
    return float(np.corrcoef(x, y)[0, 1])


def style_distance(stylizer: Stylizer, image: Image.Image, painting: Image.Image) -> float:
    """Relative distance of normalised Gram matrices at relu3_1."""
    grams = []
    for picture in (image, painting):
        maps = stylizer.vgg(images.to_tensor(picture, (64, 48)), ["relu3_1"])["relu3_1"]
        grams.append(gram(maps) / maps[0, 0].numel())
    return ((grams[0] - grams[1]).norm() / grams[1].norm()).item()


def test_paints(stylizer: Stylizer, photo: str, painting: str) -> None:
    result = stylizer(photo, painting)
    assert result.image.size == (64, 43)
    assert result.image.mode == "RGB"
    assert result.complete
    assert result.options.size == 64
    assert result.seconds > 0
    assert len(result.losses) == 30
    assert result.losses[-1].total < 0.2 * result.losses[0].total
    last, weights = result.losses[-1], result.options
    total = weights.content_weight * last.content + weights.style_weight * last.style + last.gamut
    assert last.total == pytest.approx(total)
    cat, wave = images.load(photo).image, images.load(painting).image
    as_photo = style_distance(stylizer, cat, wave)
    assert style_distance(stylizer, result.image, wave) < 0.6 * as_photo


def test_the_function_is_the_class(stylizer: Stylizer, photo: str, painting: str) -> None:
    called = stylize(photo, painting, size=48, iterations=4, precision="float32")
    assert called.image == stylizer(photo, painting, size=48, iterations=4).image


@pytest.mark.parametrize("kind", ["path", "PIL", "array", "file"])
def test_kinds_of_input(kind: str, stylizer: Stylizer, photo: str, painting: str) -> None:
    expected = stylizer(photo, painting, size=48, iterations=3).image
    with open(photo, "rb") as file, Image.open(photo) as image:
        source = {"path": Path(photo), "PIL": image, "array": np.asarray(image), "file": file}[kind]
        assert stylizer(source, painting, size=48, iterations=3).image == expected


def test_same_seed_same_bytes(stylizer: Stylizer, photo: str, painting: str) -> None:
    torch.manual_seed(1)  # the global generator has no say
    first = stylizer(photo, painting, iterations=12)
    torch.manual_seed(2)
    assert stylizer(photo, painting, iterations=12).image.tobytes() == first.image.tobytes()
    assert stylizer(photo, painting, iterations=12, seed=1).image != first.image


def test_alpha_0_is_texture_synthesis(stylizer: Stylizer, photo: str, painting: str) -> None:
    cat, wave = images.load(photo).image, images.load(painting).image
    result = stylizer(photo, painting, content_weight=0, iterations=60)
    assert result.losses[-1].content == 0
    assert style_distance(stylizer, result.image, wave) < 0.3
    assert abs(correlation(result.image, cat)) < 0.3
    # Nothing of the photo but its size reaches the result.
    black = Image.new("RGB", cat.size)
    again = stylizer(black, painting, content_weight=0, iterations=60)
    assert again.image == result.image


def test_beta_0_is_content_reconstruction(stylizer: Stylizer, photo: str, painting: str) -> None:
    result = stylizer(photo, painting, style_weight=0, iterations=80)
    assert result.losses[-1].style == 0
    assert result.losses[-1].content < 0.1 * result.losses[0].content
    assert correlation(result.image, images.load(photo).image) > 0.5
    again = stylizer(photo, photo, style_weight=0, iterations=80)
    assert again.image == result.image


@pytest.mark.parametrize(
    ("objective", "weights"),
    [("balanced", (0.02, 1, 50)), ("paper", (1, 30, 1000))],
)
def test_style_weight_moves_the_balance(
    objective: str, weights: tuple[float, ...], stylizer: Stylizer, photo: str, painting: str
) -> None:
    """The paper's content term is a sum over positions: so small a picture takes a small beta."""
    cat = images.load(photo).image
    runs = [stylizer(photo, painting, objective=objective, style_weight=beta) for beta in weights]
    content = [run.losses[-1].content for run in runs]
    style = [run.losses[-1].style for run in runs]
    assert content == sorted(content)
    assert style == sorted(style, reverse=True)
    likeness = [correlation(run.image, cat) for run in runs]
    assert likeness[0] > 0.4, "the photo is plain to see"
    assert likeness == sorted(likeness, reverse=True)


def test_blend_is_the_weighted_mean_of_gram_matrices(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    other = photo.replace("contents/chelsea", "styles/composition-viii")
    few = {"size": 48, "iterations": 3}
    alone = stylizer(photo, painting, **few).image
    assert stylizer(photo, painting, other, blend="1,0", **few).image == alone
    assert stylizer(photo, painting, painting, blend="equal", **few).image == alone
    mixed = stylizer(photo, painting, other, blend="equal", **few)
    swapped = stylizer(photo, other, painting, blend="equal", **few)
    assert np.abs(pixels(mixed.image) - pixels(swapped.image)).mean() < 0.5
    assert mixed.image != alone
    jobs = [
        Job.prepare(Options(size=48, blend=blend), photo, styles)
        for blend, styles in (
            (None, [painting]),
            (None, [other]),
            ("0.7,0.3", [painting, other]),
        )
    ]
    a, b, both = (
        objective(stylizer.styles, job, (48, 32)).style["relu2_1"][0].target for job in jobs
    )
    torch.testing.assert_close(both, 0.7 * a + 0.3 * b)


def test_starts(stylizer: Stylizer, photo: str, painting: str, tmp_path: Path) -> None:
    """Before any step is taken the picture is its start."""
    images.load(painting).image.save(tmp_path / "start.png")
    for init, picture in (
        ("content", photo),
        ("style", painting),
        (str(tmp_path / "start.png"), painting),
    ):
        one = stylizer(photo, painting, init=init, iterations=1, scales=1).image
        expected = images.load(picture).image
        ratio = 64 / 43
        width = min(expected.width, round(expected.height * ratio))
        left = (expected.width - width) // 2
        height = min(expected.height, round(expected.width / ratio))
        top = (expected.height - height) // 2
        crop = expected.crop((left, top, left + width, top + height)).resize((64, 43))
        assert np.abs(pixels(one) - pixels(crop)).mean() < 6, init
    noise = pixels(stylizer(photo, painting, iterations=1, scales=1).image)
    assert abs(noise.mean() - 127.5) < 2
    assert 20 < noise.std() < 30


def test_a_start_from_the_photo_keeps_more_of_it(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    cat = images.load(photo).image
    kept = {
        init: correlation(stylizer(photo, painting, init=init, iterations=20).image, cat)
        for init in ("noise", "content")
    }
    assert kept["content"] > kept["noise"]


def test_steps_are_seen_and_can_stop(stylizer: Stylizer, photo: str, painting: str) -> None:
    steps: list[Step] = []

    def watch(step: Step) -> bool:
        steps.append(step)
        return step.iteration == step.scales[0].iterations + 3

    result = stylizer(photo, painting, size=96, scales=2, iterations=20, on_step=watch)
    coarse = steps[0].scales[0].iterations
    assert not result.complete
    assert [step.iteration for step in steps] == list(range(1, coarse + 4))
    assert {step.iterations for step in steps} == {20}
    assert [step.scale.width for step in steps] == [48] * coarse + [96] * 3
    assert result.losses == tuple(step.losses for step in steps)
    assert steps[-1].image.shape == (1, 3, 64, 96)
    assert np.array_equal(result.pixels, steps[-1].picture()), "the picture as it stands"
    left = [step.work_left for step in steps]
    assert left[0] - left[1] == 48 * 32
    assert left[-1] == (20 - coarse - 3) * 96 * 64


def test_stopped_at_a_coarse_scale_the_picture_still_has_the_size_asked_for(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    result = stylizer(photo, painting, size=96, scales=2, iterations=20, on_step=lambda step: True)
    assert not result.complete
    assert result.image.size == (96, 64)


def test_no_scale_is_coarser_than_the_layers_allow(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    seen: list[int] = []
    stylizer(
        photo,
        painting,
        size=64,
        scales=8,
        iterations=8,
        on_step=lambda s: seen.append(s.scale.width),
    )
    assert sorted(set(seen)) == [32, 64]


def test_layers_of_a_term_without_weight_ask_for_nothing(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    tiny = images.load(photo).image.resize((10, 8))
    with pytest.raises(PictureError, match=r"10 x 8 pixels, but .* at least 16 a side"):
        stylizer(tiny, painting, size="auto")
    result = stylizer(tiny, painting, size="auto", style_weight=0, iterations=2)
    assert result.image.size == (10, 8)
    shallow = stylizer(tiny, painting, size="auto", style_layers="relu1_1,relu2_1", iterations=2)
    assert shallow.image.size == (10, 8)


def test_too_thin_after_resizing(stylizer: Stylizer, painting: str) -> None:
    with pytest.raises(PictureError, match=r"content picture, resized: 64 x 3 pixels"):
        stylizer(np.zeros((20, 400, 3), np.uint8), painting)


def test_a_painting_of_any_proportions(stylizer: Stylizer, photo: str) -> None:
    strip = np.random.default_rng(0).integers(0, 255, (17, 900, 3), dtype=np.uint8)
    assert stylizer(photo, strip, iterations=2).image.size == (64, 43)


def test_tv_weight_smooths(stylizer: Stylizer, photo: str, painting: str) -> None:
    def roughness(weight: float) -> float:
        image = pixels(stylizer(photo, painting, tv_weight=weight).image)
        return float(np.abs(np.diff(image, axis=0)).mean() + np.abs(np.diff(image, axis=1)).mean())

    assert roughness(3000) < 0.7 * roughness(0)


def test_style_scale_sets_the_size_shown(
    stylizer: Stylizer, photo: str, painting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[int, int]] = []
    original = images.to_tensor

    def watched(picture: images.Source, size: tuple[int, int]) -> torch.Tensor:
        shown.append(size)
        return original(picture, size)

    monkeypatch.setattr(images, "to_tensor", watched)
    for scale in (0.5, 1, 2):
        job = Job.prepare(Options(size=96, style_scale=scale), photo, [painting])
        objective(Styles(stylizer.vgg), job, (96, 64))
    paintings = shown[1::2]  # after the photo, at 96 x 64 each time
    assert set(shown[::2]) == {(96, 64)}
    assert [round(w * h / (96 * 64), 1) for w, h in paintings] == [0.2, 1.0, 4.0]


@pytest.mark.parametrize(
    "changes",
    [
        {"pooling": "max"},
        {"optimizer": "adam"},
        {"objective": "paper"},
        {"network": "normalized"},
        {"precision": "bfloat16"},
    ],
)
def test_choices_change_the_picture(
    changes: dict[str, str], stylizer: Stylizer, photo: str, painting: str
) -> None:
    usual = stylizer(photo, painting)
    other = Stylizer(stylizer.options, **changes)(photo, painting)
    assert other.losses[-1].total < 0.5 * other.losses[0].total
    assert other.image != usual.image


@pytest.mark.parametrize(
    ("given", "work"),
    [
        ({"effort": "draft"}, "draft"),
        ({"effort": "best"}, "best"),
        ({}, Options().effort),
        ({"effort": "best", "iterations": 3}, 3),
    ],
)
def test_effort_counts_where_iterations_do_not(
    given: dict[str, Any], work: str | int, stylizer: Stylizer, photo: str, painting: str
) -> None:
    given = {"iterations": "auto", **given}
    steps: list[Step] = []
    stylizer(
        photo, painting, scales=1, on_step=lambda step: bool(steps.append(step)) or True, **given
    )
    assert steps[0].iterations == (EFFORTS[work] if isinstance(work, str) else work)


def test_a_scale_that_ends_early_leaves_its_share_out(
    stylizer: Stylizer, photo: str, painting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minimize, "LEAST_FALL", 1.0)
    monkeypatch.setattr(minimize, "PATIENCE", 3)
    seen: list[tuple[int, int]] = []
    result = stylizer(
        photo,
        painting,
        size=96,
        scales=2,
        iterations=20,
        on_step=lambda step: seen.append((step.scale.width, step.iteration)),
    )
    fine = next(i for width, i in seen if width == 96)
    assert [i for width, i in seen if width == 48] == [1, 2, 3, 4]
    assert [i for width, i in seen if width == 96] == list(range(fine, fine + 4))
    assert fine > 5
    assert len(result.losses) == 8
    assert result.complete


def test_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda, mps = map(torch.device, ("cpu", "cuda", "mps"))
    for each in (cpu, cuda, mps):
        assert device.dtype("float32", each) == torch.float32
        assert device.dtype("bfloat16", each) == torch.bfloat16
    for can, dtype in (
        ({}, torch.float32),
        ({"avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda can=can: can)
        assert device.dtype("auto", cpu) == dtype
    for version, dtype in (
        ((7, 5), torch.float32),
        ((8, 0), torch.bfloat16),
        ((9, 0), torch.bfloat16),
    ):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, v=version: v)
        assert device.dtype("auto", cuda) == dtype
    assert device.dtype("auto", mps) == torch.float32


@pytest.mark.parametrize("changes", [{}, {"preset": "paper"}])
def test_bfloat16_ends_as_low_as_float32(
    changes: dict[str, Any], photo: str, painting: str
) -> None:
    """Seen by the network of float32. In the mean: a run's own way is worth 2 % up or down."""
    options = Options.from_preset(**changes).but(size=64, iterations=40, precision="float32")
    exact = Stylizer(options)
    aim = objective(exact.styles, Job.prepare(options, photo, [painting]), (64, 43))
    sums = []
    for stylizer in (exact, Stylizer(options, precision="bfloat16")):
        totals = []
        for seed in range(3):
            steps: list[Step] = []
            stylizer(photo, painting, seed=seed, on_step=steps.append)
            assert steps[-1].image.dtype == torch.float32
            totals.append(aim.losses(aim(steps[-1].image)[0]).total)
            assert totals[-1] == pytest.approx(steps[-1].losses.total, rel=0.02)
        sums.append(sum(totals))
    assert sums[1] < 1.02 * sums[0]


def test_threads_are_put_back(stylizer: Stylizer, photo: str, painting: str) -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    stylizer(
        photo,
        painting,
        iterations=1,
        threads=1,
        on_step=lambda _: seen.append(torch.get_num_threads()),
    )
    assert seen == [1]
    assert torch.get_num_threads() == before


def test_what_the_network_is_made_of_is_fixed(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    others = {"pooling": "max", "network": "normalized", "precision": "bfloat16"}
    others |= {"weights": "oxford", "device": "cuda"}
    assert set(others) == set(Stylizer.FIXED)
    for name, other in others.items():
        with pytest.raises(OptionError, match=f"--{name}: is fixed"):
            stylizer(photo, painting, **{name: other})
    with pytest.raises(OptionError, match="--device: is fixed"):
        stylizer.paint(Job.prepare(Options(device="cpu"), photo, [painting]))
    with pytest.raises(OptionError, match="either options or a preset"):
        Stylizer(Options(), preset="paper")
    with pytest.raises(OptionError, match="at least one style"):
        stylizer(photo)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device.pick("auto").type == "cpu"
    for wanted in ("cuda", "cuda:0", "mps"):
        with pytest.raises(DeviceError, match=f"--device {wanted}: torch sees"):
            device.pick(wanted)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.pick("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.pick("auto").type == "cuda"
    assert device.pick("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match="torch sees 2 CUDA devices"):
        device.pick("cuda:2")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    ],
)
def test_out_of_memory(
    error: Exception,
    stylizer: Stylizer,
    photo: str,
    painting: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(module, "minimize", fail)
    with pytest.raises(DeviceError, match="not enough memory for a result of 64 x 43 pixels"):
        stylizer(photo, painting)


def test_errors_of_the_callback_pass_through(stylizer: Stylizer, photo: str, painting: str) -> None:
    def fail(_: Step) -> None:
        raise RuntimeError("mine is out of memory")

    with pytest.raises(RuntimeError, match="mine"):
        stylizer(photo, painting, on_step=fail)


@pytest.mark.parametrize("state", [torch.no_grad, torch.inference_mode])
def test_whatever_the_callers_torch_is_set_to(
    state: Any, stylizer: Stylizer, photo: str, painting: str
) -> None:
    expected = stylizer(photo, painting, size=48, iterations=3).image
    with state():
        assert stylizer(photo, painting, size=48, iterations=3).image == expected
    torch.set_default_dtype(torch.float64)
    try:
        again = stylize(photo, painting, size=48, iterations=3, precision="float32")
        assert again.image == expected
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("objective", ["balanced", "paper"])
@pytest.mark.parametrize("layers", ["relu1_1:1e-9", "relu1_1:1e9"])
@pytest.mark.parametrize("weight", [1e-30, 1e30])
def test_extreme_weights_still_paint(
    objective: str, layers: str, weight: float, stylizer: Stylizer, photo: str, painting: str
) -> None:
    """Beside so small a factor the balanced objective's gamut is a wall, and steps are short."""
    result = stylizer(
        photo,
        painting,
        objective=objective,
        style_layers=layers,
        style_weight=weight,
        content_weight=0,
        iterations=10,
    )
    walled = objective == "balanced" and layers.endswith("1e-9")
    assert 0 < result.losses[-1].total < (0.9 if walled else 0.5) * result.losses[0].total


def test_save(stylizer: Stylizer, photo: str, painting: str, tmp_path: Path) -> None:
    result = stylizer(photo, painting, iterations=2)
    result.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as saved:
        assert np.array_equal(np.asarray(saved), np.asarray(result.image))
    small = replace(result, options=result.options.but(jpeg_quality=5))
    result.save(tmp_path / "a.jpg")
    small.save(tmp_path / "b.jpg")
    assert os.path.getsize(tmp_path / "b.jpg") < os.path.getsize(tmp_path / "a.jpg")
    with pytest.raises(OutputError, match="no folder"):
        result.save(tmp_path / "none" / "a.png")


def test_a_painting_is_looked_at_once(
    painting: str, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For all photos of one size; and the pictures are those of a new Stylizer."""
    looked: list[tuple[int, ...]] = []
    mean_grams = targets.mean_grams

    def counted(vgg: Vgg19, image: Tensor, *rest: Any) -> Any:
        looked.append(tuple(image.shape))
        return mean_grams(vgg, image, *rest)

    monkeypatch.setattr(targets, "mean_grams", counted)
    how: dict[str, Any] = {"size": 64, "scales": 2, "iterations": 4, "device": "cpu"}
    kept = Stylizer(**how)
    other = Image.new("RGB", (451, 300), "orange")
    results = [kept(picture, painting) for picture in (photo, other, photo)]
    assert len(looked) == 2, "once a scale"
    looked.clear()
    for picture, result in zip((photo, other), results, strict=False):
        assert np.array_equal(Stylizer(**how)(picture, painting).pixels, result.pixels)
    assert np.array_equal(results[0].pixels, results[2].pixels)
    looked.clear()
    kept(photo, painting, color="match")
    kept(photo, painting, color="match")
    kept(photo, painting, style_layers="relu1_1")
    kept(photo, other)
    assert len(looked) == 8, "matched to a photo, or seen by other layers, it is another"


def test_what_is_kept_of_paintings_is_bounded(vgg: Vgg19) -> None:
    styles = Styles(vgg)
    made: list[int] = []

    def make(number: int) -> dict[str, Tensor]:
        made.append(number)
        return {}

    for number in (*range(Styles.MOST), 0, Styles.MOST, 0, 1):
        styles.of(number, lambda number=number: make(number))  # type: ignore[misc]
    assert made == [*range(Styles.MOST + 1), 1], "the one longest unused goes"
    assert len(styles.kept) == Styles.MOST
