"""What needs a GPU: the same numbers as on the CPU. Skipped where there is none."""

import pytest
import torch

from stylize import Stylizer, weights
from stylize.job import Job
from stylize.vgg import Vgg19


@pytest.fixture(params=["cuda", "mps"])
def device(request: pytest.FixtureRequest) -> str:
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if not there[request.param]():
        pytest.skip(f"no {request.param} here")
    return str(request.param)


@pytest.mark.parametrize("objective", ["balanced", "paper"])
def test_losses_and_gradient_are_the_cpus(
    device: str, objective: str, photo: str, painting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    found = {}
    for name in ("cpu", device):
        stylizer = Stylizer(
            size=64, device=name, precision="float32", objective=objective, tv_weight=1
        )
        job = Job.prepare(stylizer.options, photo, [painting])
        evaluate = stylizer.objective(job, job.size)
        terms, gradient = evaluate(stylizer.start(job, job.size))
        found[name] = evaluate.losses(terms), gradient.cpu()
    cpu, gpu = found["cpu"], found[device]
    assert gpu[0].total == pytest.approx(cpu[0].total, rel=1e-3)
    assert torch.linalg.vector_norm(gpu[1] - cpu[1]) < 1e-2 * torch.linalg.vector_norm(cpu[1])


@pytest.mark.parametrize("precision", ["auto", "float32"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_paints(device: str, precision: str, optimizer: str, photo: str, painting: str) -> None:
    paint = Stylizer(size=96, device=device, precision=precision, optimizer=optimizer)
    losses = paint(photo, painting, iterations=20, scales=1).losses
    assert losses[-1].total < 0.7 * losses[0].total


def test_unpooling_an_odd_size(device: str) -> None:
    found = {}
    for name in ("cpu", device):
        vgg = Vgg19(weights.load("oxford"), "avg", name)
        x = torch.rand(1, 3, 37, 53, generator=torch.Generator().manual_seed(0)).to(name)
        gradient = vgg.backward(vgg.record(x, ["relu3_1"]), lambda _, f, g: g.add_(f))
        found[name] = gradient.cpu()
    assert torch.allclose(found["cpu"], found[device], rtol=1e-2, atol=1e-2 * found["cpu"].std())
