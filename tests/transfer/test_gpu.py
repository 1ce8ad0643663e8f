"""On a GPU the numbers are those of the CPU. Skipped where there is none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylize import Stylizer
from stylize.network import weights
from stylize.network.vgg import Vgg19
from stylize.transfer import strips
from stylize.transfer.job import Job
from stylize.transfer.objective import Objective
from stylize.transfer.start import start_image
from stylize.transfer.targets import find_targets


@pytest.fixture(params=["cuda", "mps"])
def device(request: pytest.FixtureRequest) -> str:
    available = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if not available[request.param]():
        pytest.skip(f"no {request.param} here")
    return str(request.param)


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "balanced"},
        {"objective": "paper"},
        {"mask": "HALF", "color": "match"},
        {"init": "style", "color": "match"},
    ],
)
def test_losses_and_gradient_are_those_of_the_cpu(
    device: str,
    changes: dict[str, str],
    photo: str,
    painting: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    half = Image.linear_gradient("L")
    half.save(tmp_path / "half.png")
    changes = {k: str(tmp_path / "half.png") if v == "HALF" else v for k, v in changes.items()}
    results = {}
    for name in ("cpu", device):
        stylizer = Stylizer(size=64, device=name, precision="float32", tv_weight=1, **changes)
        job = Job.prepare(stylizer.options, photo, [painting])
        targets = find_targets(stylizer.vgg, stylizer.cache, job, job.size)
        losses, gradient = Objective.build(targets)(start_image(job, job.size).to(stylizer.device))
        results[name] = losses, gradient.cpu()
    cpu, gpu = results["cpu"], results[device]
    assert gpu[0].total == pytest.approx(cpu[0].total, rel=1e-3)
    assert torch.linalg.vector_norm(gpu[1] - cpu[1]) < 1e-2 * torch.linalg.vector_norm(cpu[1])


@pytest.mark.parametrize("precision", ["auto", "float32"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_loss_falls(
    device: str, precision: str, optimizer: str, photo: str, painting: str
) -> None:
    stylizer = Stylizer(size=96, device=device, precision=precision, optimizer=optimizer)
    losses = stylizer(photo, painting, iterations=20, scales=1).losses
    assert losses[-1].total < 0.7 * losses[0].total


def test_masks_transparency_and_colour_modes_work_together(
    device: str, photo: str, painting: str, tmp_path: Path
) -> None:
    Image.linear_gradient("L").save(tmp_path / "half.png")
    cut = Image.open(photo).convert("RGBA")
    cut.putalpha(Image.linear_gradient("L").resize(cut.size))
    for color in ("content", "match"):
        result = Stylizer(size=96, device=device, mask=tmp_path / "half.png", color=color)(
            cut, cut.rotate(90), init="style", iterations=12, on_step=lambda s: s.picture() is None
        )
        assert result.pixels.shape == (64, 96, 4)
        assert np.isfinite(result.pixels).all()
        assert result.recipe is not None
        assert result.recipe.device == device


def test_the_gradient_for_an_odd_size_is_that_of_the_cpu(device: str) -> None:
    gradients = {}
    for name in ("cpu", device):
        vgg = Vgg19(weights.load("oxford"), "avg", name)
        x = torch.rand(1, 3, 37, 53, generator=torch.Generator().manual_seed(0)).to(name)
        gradient = vgg.backward(vgg.record(x, ["relu3_1"]), lambda _, f, g: g.add_(f))
        gradients[name] = gradient.cpu()
    tolerance = 1e-2 * gradients["cpu"].std()
    assert torch.allclose(gradients["cpu"], gradients[device], rtol=1e-2, atol=tolerance)


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_strips_give_the_value_and_gradient_of_the_whole(
    device: str, precision: str, photo: str, painting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strips, "LEAST_ROWS", 32)
    monkeypatch.setattr(strips, "STRIP_PIXELS", 1000)
    stylizer = Stylizer(size=256, device=device, precision=precision)
    job = Job.prepare(stylizer.options, photo, [painting])
    image = start_image(job, job.size).to(stylizer.device)
    results = []
    for large, very_large in ((10**9, 10**9), (1, 10**9), (1, 1)):
        monkeypatch.setattr(strips, "LARGE", large)
        monkeypatch.setattr(strips, "VERY_LARGE", very_large)
        targets = find_targets(stylizer.vgg, stylizer.cache, job, job.size)
        results.append(Objective.build(targets)(image))
    whole, whole_gradient = results[0]
    tolerance = 0.02 if stylizer.vgg.dtype == torch.bfloat16 else 1e-3
    for losses, gradient in results[1:]:
        assert losses.total == pytest.approx(whole.total, rel=tolerance)
        difference = torch.linalg.vector_norm(gradient - whole_gradient)
        assert difference < 2 * tolerance * torch.linalg.vector_norm(whole_gradient)


def test_two_runs_give_the_same_bytes(device: str, photo: str, painting: str) -> None:
    first, second = (
        Stylizer(size=96, device=device)(photo, painting, iterations=30) for _ in range(2)
    )
    assert np.array_equal(first.pixels, second.pixels)
