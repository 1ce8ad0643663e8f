"""The objective against the formulas, written out as loops in double precision, and autograd."""

import math
from collections.abc import Callable

import pytest
import torch
from conftest import naive_taps
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from stylize.images import picture as images
from stylize.network import weights
from stylize.network.vgg import Vgg19
from stylize.transfer.losses import (
    GAMUT,
    PARTS,
    SMOOTHNESS,
    STYLE_SHARE,
    Objective,
    Region,
    Targets,
    content_loss,
    gram,
    mean_gram,
    style_loss,
    total_variation,
)

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
    style = style_loss(mean_gram(f), mean_gram(a))
    assert style.item() == pytest.approx(naive_style_loss(f, a), rel=1e-12)


def test_style_loss_is_the_papers_where_the_sizes_agree() -> None:
    f, a = features(5, 4, 6), features(5, 4, 6)
    n, m = 5, 24
    paper = (gram(f) - gram(a)).square().sum() / (4 * n**2 * m**2)
    torch.testing.assert_close(style_loss(mean_gram(f), mean_gram(a)), paper, rtol=1e-13, atol=0)


def test_gram_knows_no_arrangement() -> None:
    f = features(4, 5, 6)
    shuffled = f.flatten(2)[:, :, torch.randperm(30)].view(1, 4, 6, 5)
    torch.testing.assert_close(gram(shuffled), gram(f))
    assert torch.equal(gram(f), gram(f).T)
    assert torch.linalg.eigvalsh(gram(f)).min() > -1e-12


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 5), (4, 4), (1, 17), (5, 9), (37, 53)])
def test_gram_of_16_bits_is_summed_in_32(size: tuple[int, int]) -> None:
    """For fewer positions than parts, and for numbers that cannot be cut into parts evenly."""
    assert PARTS > 5
    assert 37 * 53 % PARTS
    f = torch.randn(1, 64, *size).relu().bfloat16()
    ours, exact = gram(f), gram(f.double())
    assert ours.dtype == torch.float32
    assert (ours - exact).norm() < 1e-3 * exact.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_guided_gram_matrix_is_that_of_the_part(dtype: torch.dtype) -> None:
    features = torch.rand(1, 24, 40, 30).to(dtype)
    left = torch.zeros(1, 1, 40, 30)
    left[..., :13] = 1
    part = mean_gram(features[..., :13])
    torch.testing.assert_close(mean_gram(features, left), part, rtol=2e-3, atol=0)
    assert (mean_gram(features, 0.3 * left) - part).abs().max() < 2e-3 * part.abs().max()
    everywhere = mean_gram(features, torch.ones(1, 1, 40, 30))
    torch.testing.assert_close(everywhere, mean_gram(features), rtol=1e-5, atol=1e-6)


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


@pytest.fixture(scope="module", params=["avg", "max"])
def vgg64(oxford: weights.Weights, request: pytest.FixtureRequest) -> Vgg19:
    return Vgg19(oxford, request.param, dtype=torch.float64)


CONTENT_FACTORS = {"relu4_2": 1.0, "relu3_1": 0.5}
STYLE_FACTORS = {**dict.fromkeys(STYLE, 1.0), "relu4_1": 3.0}


def objective_of(
    vgg: Vgg19,
    photo: Tensor,
    painting: Tensor,
    alpha: float,
    beta: float,
    tv: float = 0.0,
    balanced: bool = False,
    guided: bool = False,
) -> Objective:
    grams = {name: mean_gram(f) for name, f in vgg(painting, STYLE_FACTORS).items()}
    regions = [Region(grams)]
    if guided:
        # The painting in one region, the photo's own style in another.
        own = {name: mean_gram(f) for name, f in vgg(photo, STYLE_FACTORS).items()}
        first, second = (guides_like(vgg, photo, seed) for seed in (3, 4))
        regions = [Region(grams, first, 0.3), Region(own, second, 0.6)]
    return Objective(
        vgg,
        Targets(vgg(photo, CONTENT_FACTORS), regions),
        content_layers=CONTENT_FACTORS,
        style_layers=STYLE_FACTORS,
        alpha=alpha,
        beta=beta,
        tv_weight=tv,
        balanced=balanced,
    )


def guides_like(vgg: Vgg19, photo: Tensor, seed: int) -> dict[str, Tensor]:
    """Any guides that fit the features of a picture."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(1, 1, *f.shape[2:], dtype=f.dtype, generator=generator)
        for name, f in vgg(photo, STYLE_FACTORS).items()
    }


def naive_terms(
    numbers: weights.Weights,
    pooling: str,
    pictures: tuple[Tensor, Tensor, Tensor],
    balanced: bool,
    guides: tuple[dict[str, Tensor], dict[str, Tensor]] | None = None,
) -> dict[str, Tensor]:
    """Every term from its formula, with autograd; w_l = 1 / (active layers) times the factor."""
    x, *_ = pictures
    f, p, a = (naive_taps(numbers, pooling, picture) for picture in pictures)
    content = style = torch.zeros((), dtype=x.dtype)
    for name, factor in CONTENT_FACTORS.items():
        loss = (f[name] - p[name]).square().sum() / 2
        if balanced:
            loss = (f[name] - p[name]).square().sum() / p[name].square().sum()
        content = content + factor / len(CONTENT_FACTORS) * loss
    for name, factor in STYLE_FACTORS.items():
        # The naive loop over 512 x 512 x positions takes minutes; the Gram matrices' own loop
        # is tested above.
        whole = torch.ones_like(f[name][:, :1])
        regions = [(whole, a[name], 1.0)]
        if guides:
            regions = [(guides[0][name], a[name], 0.3), (guides[1][name], p[name], 0.6)]
        for guide, wanted, share in regions:
            m = guide[0, 0]
            g = torch.einsum("ihw,jhw,hw->ij", f[name][0], f[name][0], m) / m.sum()
            t = torch.einsum("ihw,jhw->ij", wanted[0], wanted[0]) / wanted[0, 0].numel()
            loss = (g - t).square().sum() / (4 * g.shape[0] ** 2)
            if balanced:
                loss = STYLE_SHARE * (g - t).square().sum() / t.square().sum()
            style = style + factor / len(STYLE_FACTORS) * share * loss
    down, right = x[:, :, 1:] - x[:, :, :-1], x[..., 1:] - x[..., :-1]
    tv = 255**2 * (down.square().sum() + right.square().sum())
    gamut = torch.zeros((), dtype=x.dtype)
    if balanced:
        tv = SMOOTHNESS * tv / (255**2 * x.numel())
        gamut = GAMUT * ((x - 1).relu().square() + (-x).relu().square()).mean()
    return {"content": content, "style": style, "tv": tv, "gamut": gamut}


@pytest.fixture(scope="module")
def pictures(photo: str, painting: str) -> tuple[Tensor, Tensor, Tensor]:
    """Of odd sizes, with values outside [0, 1], so that every term has a part."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(1, 3, 37, 53, dtype=torch.float64, generator=generator) * 1.6 - 0.3
    return (
        x,
        images.to_tensor(Image.open(photo), (53, 37)).double(),
        images.to_tensor(Image.open(painting), (47, 33)).double(),
    )


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize(
    ("alpha", "beta", "tv", "guided"),
    [
        (2.0, 50.0, 3.0, False),
        (1.0, 0.0, 0.0, False),
        (0.0, 1.0, 0.0, False),
        (3.0, 1.0, 0.5, False),
        (1.0, 2.0, 0.0, True),
    ],
)
def test_terms_and_gradient_are_the_formulas_and_autograds(
    balanced: bool,
    alpha: float,
    beta: float,
    tv: float,
    guided: bool,
    vgg64: Vgg19,
    oxford: weights.Weights,
    pictures: tuple[Tensor, Tensor, Tensor],
) -> None:
    """On VGG-19's own features, both of pictures and of gradients, every term and their sum."""
    _, photo, painting = pictures
    x = pictures[0].clone().requires_grad_()
    objective = objective_of(vgg64, photo, painting, alpha, beta, tv, balanced, guided)
    terms, gradient = objective(x)
    guides = (guides_like(vgg64, photo, 3), guides_like(vgg64, photo, 4)) if guided else None
    naive = naive_terms(oxford, vgg64.pooling, (x, photo, painting), balanced, guides)
    if not tv:
        naive["tv"] = naive["tv"] * 0
    assert set(terms) == set(naive)
    for name, term in naive.items():
        assert terms[name].item() == pytest.approx(term.item(), rel=1e-9), name
    total = alpha * naive["content"] + beta * naive["style"] + tv * naive["tv"]
    total = total + max(alpha, beta, tv) * naive["gamut"]
    losses = objective.losses(terms)
    assert losses.total == pytest.approx(total.item(), rel=1e-9)
    assert losses.gamut == pytest.approx(naive["gamut"].item(), rel=1e-9)
    assert (losses.gamut > 0) == balanced
    (theirs,) = torch.autograd.grad(total / objective.unit, x)
    largest = theirs.abs().max().item()
    torch.testing.assert_close(gradient, theirs, rtol=1e-8, atol=1e-9 * largest)


@pytest.mark.parametrize("balanced", [True, False])
def test_gradient_by_finite_differences(
    balanced: bool, vgg64: Vgg19, pictures: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Along random directions; steps so small that few ReLUs change sides."""
    x, photo, painting = pictures
    objective = objective_of(vgg64, photo, painting, 1.0, 2.0, 0.1, balanced)

    def total(image: Tensor) -> float:
        return objective.losses(objective(image)[0]).total / objective.unit

    _, gradient = objective(x)
    length = gradient.norm().item()
    for _ in range(4):
        direction = torch.randn_like(x)
        direction /= direction.norm()
        slope = (total(x + 1e-6 * direction) - total(x - 1e-6 * direction)) / 2e-6
        assert abs(slope - (gradient * direction).sum().item()) < 1e-5 * length
    uphill = gradient / length
    slope = (total(x + 1e-6 * uphill) - total(x - 1e-6 * uphill)) / 2e-6
    assert slope == pytest.approx(length, rel=1e-5)


@pytest.mark.parametrize("balanced", [True, False])
def test_photo_and_painting_are_at_zero_loss(vgg64: Vgg19, balanced: bool) -> None:
    x = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    objective = objective_of(vgg64, x, x, 1.0, 1.0, balanced=balanced)
    terms, gradient = objective(x)
    assert objective.losses(terms).total == 0
    assert gradient.abs().max() == 0
    assert objective.losses(objective(x * 0.9)[0]).total > 0


def test_the_balanced_objective_knows_no_size(vgg: Vgg19, photo: str, painting: str) -> None:
    """Four mirrored copies of all pictures weigh the same; the paper's content four times.

    Roughly: there is less border to them, beyond which deep layers see zeros.
    """

    def fourfold(x: Tensor) -> Tensor:
        row = torch.cat([x, x.flip(3)], 3)
        return torch.cat([row, row.flip(2)], 2)

    x = torch.rand(1, 3, 64, 96)
    p = images.to_tensor(Image.open(photo), (96, 64))
    a = images.to_tensor(Image.open(painting), (96, 64))
    once, four = (
        {
            balanced: objective.losses(objective(pictures[0])[0])
            for balanced in (True, False)
            for objective in [objective_of(vgg, *pictures[1:], 1.0, 1.0, 1.0, balanced)]
        }
        for pictures in ((x, p, a), (fourfold(x), fourfold(p), fourfold(a)))
    )
    assert four[True].content == pytest.approx(once[True].content, rel=0.2)
    assert four[True].style == pytest.approx(once[True].style, rel=0.2)
    assert four[True].tv == pytest.approx(once[True].tv, rel=0.2)
    assert four[False].content == pytest.approx(4 * once[False].content, rel=0.2)
    assert four[False].tv == pytest.approx(4 * once[False].tv, rel=0.2)


def test_no_features_at_all_are_one_whole_loss(vgg: Vgg19, photo: str, painting: str) -> None:
    """What the balanced terms are shares of: 1 for content, `STYLE_SHARE` for style."""
    p = images.to_tensor(Image.open(photo), (32, 24))
    a = images.to_tensor(Image.open(painting), (32, 24))
    objective = objective_of(vgg, p, a, 1.0, 1.0, balanced=True)
    for layer, factor in CONTENT_FACTORS.items():
        content = objective.content[layer]
        share = content.loss(torch.zeros_like(content.target)).item()
        assert share == pytest.approx(factor / len(CONTENT_FACTORS), rel=1e-5)
    for layer, factor in STYLE_FACTORS.items():
        silent = torch.zeros(1, len(objective.style[layer][0].target), 2, 2)
        share = objective.style[layer][0].loss(silent).item()
        assert share == pytest.approx(STYLE_SHARE * factor / len(STYLE_FACTORS), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_silent_target_gives_finite_numbers(oxford: weights.Weights, dtype: torch.dtype) -> None:
    vgg = Vgg19(oxford, "avg", dtype=dtype)
    x = torch.rand(1, 3, 24, 24)
    taps = vgg(x, ["relu2_1", "relu4_2"])
    silent = Targets(
        {"relu4_2": torch.zeros_like(taps["relu4_2"])},
        [Region({"relu2_1": torch.zeros(128, 128)})],
    )
    objective = Objective(
        vgg,
        silent,
        content_layers={"relu4_2": 1.0},
        style_layers={"relu2_1": 1.0},
        alpha=1.0,
        beta=1.0,
        tv_weight=0.0,
        balanced=True,
    )
    terms, gradient = objective(x)
    losses = objective.losses(terms)
    assert 0 < losses.content < math.inf
    assert 0 < losses.style < math.inf
    assert gradient.isfinite().all()


@pytest.mark.parametrize("balanced", [True, False])
def test_bfloat16_is_close_to_float32(
    balanced: bool, oxford: weights.Weights, photo: str, painting: str
) -> None:
    p = images.to_tensor(Image.open(photo), (96, 64))
    a = images.to_tensor(Image.open(painting), (96, 64))
    x = torch.rand(1, 3, 64, 96)
    (long, slope), (short, rough) = (
        objective_of(Vgg19(oxford, "avg", dtype=dtype), p, a, 1.0, 1.0, 0.0, balanced)(x)
        for dtype in (torch.float32, torch.bfloat16)
    )
    for name, term in short.items():
        assert term.dtype == torch.float32
        assert term.item() == pytest.approx(long[name].item(), rel=0.02), name
    assert rough.dtype == torch.float32
    assert (rough - slope).norm() < 0.1 * slope.norm()


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("weight", [1e-30, 1e-6, 1.0, 1e30])
def test_weights_of_any_size_keep_float32_in_range(
    vgg: Vgg19, weight: float, balanced: bool, gradient: Callable[[int, int], Image.Image]
) -> None:
    photo = images.to_tensor(gradient(32, 32), (32, 32))
    objective = objective_of(vgg, photo, photo.flip(1), weight, weight * 1e3, balanced=balanced)
    x = torch.rand(1, 3, 32, 32)
    terms, slope = objective(x)
    assert slope.isfinite().all()
    steepest = torch.linalg.vector_norm(slope).item()
    assert (1e-6 if balanced else 1) < steepest < 1e15
    assert math.isfinite(objective.losses(terms).total)
