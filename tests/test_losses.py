"""The objective against the paper's formulas, written out as loops in double precision."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from stylize import images, weights
from stylize.losses import (
    Objective,
    Targets,
    content_loss,
    gram,
    mean_gram,
    style_loss,
    total_variation,
)
from stylize.vgg import Vgg19

STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def features(channels: int, height: int, width: int) -> Tensor:
    return torch.rand(1, channels, height, width, dtype=torch.float64)


def naive_gram(maps: Tensor) -> list[list[float]]:
    """G_ij = sum_k F_ik F_jk (eq. 3)."""
    flat = maps[0].flatten(1).tolist()
    return [[math.fsum(a * b for a, b in zip(x, y, strict=True)) for y in flat] for x in flat]


def naive_style_loss(maps: Tensor, painting: Tensor) -> float:
    """1/(4 N^2) sum_ij (G_ij / M_x - A_ij / M_a)^2."""
    n, m_x, m_a = maps.shape[1], maps[0, 0].numel(), painting[0, 0].numel()
    g, a = naive_gram(maps), naive_gram(painting)
    return math.fsum((g[i][j] / m_x - a[i][j] / m_a) ** 2 for i in range(n) for j in range(n)) / (
        4 * n**2
    )


def naive_content_loss(maps: Tensor, photo: Tensor) -> float:
    """1/2 sum_ij (F_ij - P_ij)^2 (eq. 1)."""
    pairs = zip(maps.flatten().tolist(), photo.flatten().tolist(), strict=True)
    return math.fsum((f - p) ** 2 for f, p in pairs) / 2


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 6), st.integers(1, 7), st.integers(1, 7), st.integers(1, 7))
def test_against_naive_loops(n: int, h: int, w: int, other: int) -> None:
    f, p, a = features(n, h, w), features(n, h, w), features(n, other, w)
    expected = torch.tensor(naive_gram(f), dtype=torch.float64)
    torch.testing.assert_close(gram(f), expected, rtol=1e-13, atol=0)
    assert content_loss(f, p).item() == pytest.approx(naive_content_loss(f, p), rel=1e-12)
    assert style_loss(f, mean_gram(a)).item() == pytest.approx(naive_style_loss(f, a), rel=1e-12)


def test_style_loss_is_the_papers_where_the_sizes_agree() -> None:
    f, a = features(5, 4, 6), features(5, 4, 6)
    n, m = 5, 24
    paper = (gram(f) - gram(a)).square().sum() / (4 * n**2 * m**2)
    torch.testing.assert_close(style_loss(f, mean_gram(a)), paper, rtol=1e-13, atol=0)


def test_gram_knows_no_arrangement() -> None:
    f = features(4, 5, 6)
    shuffled = f.flatten(2)[:, :, torch.randperm(30)].view(1, 4, 6, 5)
    torch.testing.assert_close(gram(shuffled), gram(f))
    assert torch.equal(gram(f), gram(f).T)
    assert torch.linalg.eigvalsh(gram(f)).min() > -1e-12


def test_grams_own_gradient() -> None:
    f = features(3, 2, 4).requires_grad_()
    assert torch.autograd.gradcheck(gram, f)
    # Also where what comes down is not symmetric.
    slope = torch.rand(3, 3, dtype=torch.float64)
    (ours,) = torch.autograd.grad((gram(f) * slope).sum(), f)
    flat = f[0].flatten(1)
    (theirs,) = torch.autograd.grad(((flat @ flat.T) * slope).sum(), f)
    torch.testing.assert_close(ours, theirs)


def test_gram_and_content_add_up_over_tiles() -> None:
    f, p = features(3, 4, 8), features(3, 4, 8)
    left, right = f[..., :3], f[..., 3:]
    torch.testing.assert_close(gram(left) + gram(right), gram(f))
    parts = content_loss(left, p[..., :3]) + content_loss(right, p[..., 3:])
    torch.testing.assert_close(parts, content_loss(f, p))


def test_total_variation() -> None:
    image = torch.tensor([[0.0, 1.0], [0.0, 0.5]], dtype=torch.float64).expand(1, 3, 2, 2)
    down, right = 0.5**2, 1 + 0.5**2
    assert total_variation(image).item() == pytest.approx(3 * 255**2 * (down + right))
    assert total_variation(torch.full((1, 3, 5, 4), 0.3)).item() == 0


@pytest.fixture(scope="module")
def vgg64(oxford: weights.Weights) -> Vgg19:
    return Vgg19(oxford, "avg").double()


def objective_of(
    vgg: Vgg19, photo: Tensor, painting: Tensor, alpha: float, beta: float, tv: float = 0.0
) -> Objective:
    content_layers = {"relu4_2": 1.0, "relu3_1": 0.5}
    style_layers = {**dict.fromkeys(STYLE, 1.0), "relu4_1": 3.0}
    with torch.no_grad():
        style = {name: mean_gram(f) for name, f in vgg(painting, style_layers).items()}
        targets = Targets(vgg(photo, content_layers), style)
    return Objective(
        vgg,
        targets,
        content_layers=content_layers,
        style_layers=style_layers,
        alpha=alpha,
        beta=beta,
        tv_weight=tv,
    )


def test_total_loss_on_the_real_network(vgg64: Vgg19, photo: str, painting: str) -> None:
    """Every term and their sum, on VGG-19's own features, against the formulas of the paper."""
    photo_x = images.to_tensor(Image.open(photo), (32, 24)).double()
    painting_x = images.to_tensor(Image.open(painting), (28, 20)).double()
    x = torch.rand(1, 3, 24, 32, dtype=torch.float64)
    objective = objective_of(vgg64, photo_x, painting_x, alpha=2.0, beta=50.0, tv=3.0)
    f, p = vgg64(x, (*STYLE, "relu4_2")), vgg64(photo_x, ("relu3_1", "relu4_2"))
    a = vgg64(painting_x, STYLE)
    # w_l = 1 / (active layers), times the factor.
    content = 0.5 / 2 * naive_content_loss(f["relu3_1"], p["relu3_1"])
    content += 1 / 2 * naive_content_loss(f["relu4_2"], p["relu4_2"])
    factors = [1, 1, 1, 3, 1]
    style = 0.0
    for name, factor in zip(STYLE, factors, strict=True):
        # The naive loop over 512 x 512 x positions takes minutes; the Gram matrices' own loop
        # is tested above.
        g = torch.einsum("ihw,jhw->ij", f[name][0], f[name][0]) / f[name][0, 0].numel()
        t = torch.einsum("ihw,jhw->ij", a[name][0], a[name][0]) / a[name][0, 0].numel()
        style += factor / 5 * ((g - t) ** 2).sum().item() / (4 * g.shape[0] ** 2)
    losses = objective.losses(objective(x))
    assert losses.content == pytest.approx(content, rel=1e-10)
    assert losses.style == pytest.approx(style, rel=1e-10)
    assert losses.tv == pytest.approx(total_variation(x).item(), rel=1e-10)
    total = 2 * content + 50 * style + 3 * losses.tv
    assert losses.total == pytest.approx(total, rel=1e-10)
    assert objective(x)["total"].item() == pytest.approx(total / 50, rel=1e-10)


def test_photo_and_painting_are_at_zero_loss(vgg64: Vgg19) -> None:
    x = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    terms = objective_of(vgg64, x, x, 1.0, 1.0)(x)
    assert terms["total"].item() == 0
    assert objective_of(vgg64, x, x, 1.0, 1.0)(x * 0.9)["total"].item() > 0


@pytest.mark.parametrize(("alpha", "beta", "tv"), [(1, 0, 0), (0, 1, 0), (1, 1e-3, 0.1)])
def test_gradient(vgg64: Vgg19, alpha: float, beta: float, tv: float) -> None:
    """gradcheck compares with finite differences; so small that it stays on one side of ReLUs."""
    photo, painting, x = torch.rand(3, 1, 3, 16, 16, dtype=torch.float64)
    objective = objective_of(vgg64, photo, painting, alpha, beta, tv)
    scale = objective(x)["total"].item()

    def total(values: Tensor) -> Tensor:
        # All pixels would be 1536 evaluations: a direction for each of 12 pixels instead.
        full = x.flatten().index_add(0, torch.arange(0, 768, 64), values - x.flatten()[::64])
        return objective(full.view_as(x))["total"] / scale

    start = x.flatten()[::64].clone().requires_grad_()
    assert torch.autograd.gradcheck(total, start, eps=1e-6, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("weight", [1e-30, 1e-6, 1.0, 1e30])
def test_weights_of_any_size_keep_float32_in_range(
    vgg: Vgg19, weight: float, gradient: Callable[[int, int], Image.Image]
) -> None:
    photo = images.to_tensor(gradient(32, 32), (32, 32))
    objective = objective_of(vgg, photo, photo.flip(1), weight, weight * 1e3)
    x = torch.rand(1, 3, 32, 32).requires_grad_()
    terms = objective(x)
    (slope,) = torch.autograd.grad(terms["total"], x)
    assert slope.isfinite().all()
    assert 1 < torch.linalg.vector_norm(slope).item() < 1e15
    assert math.isfinite(objective.losses(terms).total)
