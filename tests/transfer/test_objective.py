"""The objective against its formulas and autograd, on the features of VGG-19 itself."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import make_objective, naive_taps, to_tensor
from PIL import Image
from torch import Tensor

import stylize.transfer.objective as module
from stylize import Options
from stylize.network import weights
from stylize.network.names import LAYERS
from stylize.network.vgg import Vgg19
from stylize.transfer import features, strips
from stylize.transfer.features import Kept, find_features
from stylize.transfer.losses import mean_gram
from stylize.transfer.objective import Objective
from stylize.transfer.targets import Region, Statistics, Targets
from stylize.transfer.terms import (
    OBJECTIVES,
    TERMS,
    ContentTerm,
    GlobalTerm,
    LocalTerm,
    MeanTerm,
    StyleTerm,
)

STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
BALANCED = OBJECTIVES["balanced"]


def test_every_value_of_the_objective_option_has_a_scaling() -> None:
    (option,) = (field for field in fields(Options) if field.name == "objective")
    assert tuple(OBJECTIVES) == option.metadata["choices"]


@pytest.mark.parametrize("kind", TERMS)
def test_an_objective_without_a_scaling_is_an_error(kind: Any) -> None:
    """In every term: none falls back to another objective."""
    options = SimpleNamespace(content_weight=1.0, style_weight=1.0, tv_weight=1.0, objective="sum")
    layers = {"relu1_1": 1.0}
    job: Any = SimpleNamespace(options=options, content_layers=layers, style_layers=layers)
    vgg: Any = None
    targets = Targets(
        vgg,
        job,
        (2, 2),
        {"relu1_1": Kept(torch.ones(1, 64, 2, 2))},
        [Region({"relu1_1": torch.ones(64, 64)}, {"relu1_1": torch.ones(64)})],
    )
    with pytest.raises(KeyError, match="sum"):
        kind.build(targets)
    options.objective = "balanced"
    assert len(kind.build(targets)) == 1


@pytest.fixture(scope="module", params=["avg", "max"])
def vgg64(oxford: weights.Weights, request: pytest.FixtureRequest) -> Vgg19:
    return Vgg19(oxford, request.param, dtype=torch.float64)


CONTENT_FACTORS = {"relu4_2": 1.0, "relu3_1": 0.5}
STYLE_FACTORS = {**dict.fromkeys(STYLE, 1.0), "relu4_1": 3.0}


def objective_of(
    vgg: Vgg19,
    content: Tensor,
    style: Tensor,
    alpha: float,
    beta: float,
    tv: float = 0.0,
    balanced: bool = False,
    guided: bool = False,
) -> Objective:
    regions = [Region(*statistics_of(vgg, style))]
    if guided:
        # The style image in one region, the style of the content image in another.
        first, second = (random_guides(vgg, content, seed) for seed in (3, 4))
        regions = [
            Region(*statistics_of(vgg, style), first, 0.3),
            Region(*statistics_of(vgg, content), second, 0.6),
        ]
    return make_objective(
        vgg,
        find_features(vgg, content, CONTENT_FACTORS),
        regions,
        content_layers=CONTENT_FACTORS if alpha else {},
        style_layers=STYLE_FACTORS if beta else {},
        alpha=alpha,
        beta=beta,
        tv_weight=tv,
        balanced=balanced,
    )


def statistics_of(vgg: Vgg19, image: Tensor) -> Statistics:
    """Of a whole picture; `style_statistics` has its own tests."""
    features = vgg(image, STYLE_FACTORS)
    return Statistics(
        {name: mean_gram(f) for name, f in features.items()},
        {name: f.mean((0, 2, 3)) for name, f in features.items()},
    )


def random_guides(vgg: Vgg19, image: Tensor, seed: int) -> dict[str, Tensor]:
    """Random guides of the size of a picture's features."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(1, 1, *f.shape[2:], dtype=f.dtype, generator=generator)
        for name, f in vgg(image, STYLE_FACTORS).items()
    }


@dataclass(frozen=True)
class Naive:
    """Three pictures and their activations, in plain torch.

    Attributes:
        x, content, style: the pictures; x requires a gradient.
        f, p, a: their activations by layer; f with the graph that leads back to x.
    """

    x: Tensor
    content: Tensor
    style: Tensor
    f: Mapping[str, Tensor]
    p: Mapping[str, Tensor]
    a: Mapping[str, Tensor]


def naive_terms(
    naive: Naive,
    balanced: bool,
    guides: tuple[dict[str, Tensor], dict[str, Tensor]] | None = None,
) -> dict[str, Tensor]:
    """Every term from its formula, with autograd; w_l = 1 / (active layers) times the factor."""
    x, f, p, a = naive.x, naive.f, naive.p, naive.a
    content = style = torch.zeros((), dtype=x.dtype)
    for name, factor in CONTENT_FACTORS.items():
        loss = (f[name] - p[name]).square().sum() / 2
        if balanced:
            loss = (f[name] - p[name]).square().sum() / p[name].square().sum()
        content = content + factor / len(CONTENT_FACTORS) * loss
    for name, factor in STYLE_FACTORS.items():
        # A loop over 512 x 512 x positions would take minutes; test_losses.py has the loops.
        whole = torch.ones_like(f[name][:, :1])
        regions = [(whole, a[name], 1.0)]
        if guides:
            regions = [(guides[0][name], a[name], 0.3), (guides[1][name], p[name], 0.6)]
        for guide, target, share in regions:
            m = guide[0, 0]
            g = torch.einsum("ihw,jhw,hw->ij", f[name][0], f[name][0], m) / m.sum()
            t = torch.einsum("ihw,jhw->ij", target[0], target[0]) / target[0, 0].numel()
            loss = (g - t).square().sum() / (4 * g.shape[0] ** 2)
            if balanced:
                mean = (f[name] * guide).sum((0, 2, 3)) / guide.sum()
                own = target.mean((0, 2, 3))
                loss = BALANCED.style * (g - t).square().sum() / t.square().sum()
                distance = (mean - own).square().sum() / own.square().sum()
                loss = loss + BALANCED.style * BALANCED.means * distance
            style = style + factor / len(STYLE_FACTORS) * share * loss
    down, right = x[:, :, 1:] - x[:, :, :-1], x[..., 1:] - x[..., :-1]
    tv = 255**2 * (down.square().sum() + right.square().sum())
    gamut = torch.zeros((), dtype=x.dtype)
    if balanced:
        tv = BALANCED.smoothness * tv / (255**2 * x.numel())
        gamut = BALANCED.gamut * ((x - 1).relu().square() + (-x).relu().square()).mean()
    return {"content": content, "style": style, "tv": tv, "gamut": gamut}


@pytest.fixture(scope="module")
def pictures(photo: str, painting: str) -> tuple[Tensor, Tensor, Tensor]:
    """Of odd sizes, with values outside [0, 1], so that no term is 0."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(1, 3, 21, 37, dtype=torch.float64, generator=generator) * 1.6 - 0.3
    return (
        x,
        to_tensor(Image.open(photo), (37, 21)).double(),
        to_tensor(Image.open(painting), (35, 17)).double(),
    )


@pytest.fixture(scope="module")
def naive(oxford: weights.Weights, vgg64: Vgg19, pictures: tuple[Tensor, Tensor, Tensor]) -> Naive:
    """Computed once for all tests of a kind of pooling."""
    state = {name: tensor.double() for name, tensor in oxford.state.items()}
    weights64 = replace(oxford, state=state)
    x = pictures[0].clone().requires_grad_()
    _, content, style = pictures
    taps = [naive_taps(weights64, vgg64.pooling, image) for image in (x, content, style)]
    return Naive(x, content, style, *taps)


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
def test_terms_and_gradient_agree_with_the_formulas_and_autograd(
    balanced: bool,
    alpha: float,
    beta: float,
    tv: float,
    guided: bool,
    vgg64: Vgg19,
    naive: Naive,
) -> None:
    """For features of VGG-19, of pictures and of gradients, every term and their sum."""
    content, style = naive.content, naive.style
    objective = objective_of(vgg64, content, style, alpha, beta, tv, balanced, guided)
    losses, gradient = objective(naive.x.detach())
    guides = None
    if guided:
        guides = (random_guides(vgg64, content, 3), random_guides(vgg64, content, 4))
    terms = naive_terms(naive, balanced, guides)
    for name, weight in (("tv", tv), ("content", alpha), ("style", beta)):
        if not weight:
            terms[name] = terms[name] * 0
    assert set(losses.terms) == set(terms)
    for name, term in terms.items():
        assert losses.terms[name] == pytest.approx(term.item(), rel=1e-9), name
    total = alpha * terms["content"] + beta * terms["style"] + tv * terms["tv"]
    total = total + max(alpha, beta, tv) * terms["gamut"]
    assert losses.total == pytest.approx(total.item(), rel=1e-9)
    assert losses.gamut == pytest.approx(terms["gamut"].item(), rel=1e-9)
    assert (losses.gamut > 0) == balanced
    (expected,) = torch.autograd.grad(total / objective.unit, naive.x, retain_graph=True)
    largest = expected.abs().max().item()
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-9 * largest)


def evaluate_in_strips(
    objective: Objective, x: Tensor, rows: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, Tensor]:
    with monkeypatch.context() as patch:
        patch.setattr(module, "segments", lambda layers, _: cut(layers, rows))
        return objective(x)


def cut(layers: Iterable[str], rows: int) -> list[strips.Segment]:
    depth = max(map(LAYERS.index, layers)) + 1
    return strips.cut(LAYERS[:depth], rows)


@pytest.mark.parametrize(
    ("rows", "size", "guided"), [(8, (45, 23), False), (16, (66, 21), True), (40, (83, 18), True)]
)
def test_in_strips_value_and_gradient_are_those_of_the_whole(
    rows: int,
    size: tuple[int, int],
    guided: bool,
    vgg64: Vgg19,
    photo: str,
    painting: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For odd sizes, with guides, and with the total variation."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, *size, dtype=torch.float64, generator=generator) * 1.6 - 0.3
    content = to_tensor(Image.open(photo), size[::-1]).double()
    style = to_tensor(Image.open(painting), (35, 17)).double()
    objective = objective_of(vgg64, content, style, 1.0, 2.0, 0.1, balanced=True, guided=guided)
    whole, gradient = objective(x)
    losses, in_strips = evaluate_in_strips(objective, x, rows, monkeypatch)
    assert losses.as_dict() == pytest.approx(whole.as_dict(), rel=1e-12)
    assert (in_strips - gradient).norm() < 1e-12 * gradient.norm()
    monkeypatch.setattr(features, "segments", lambda layers, _: cut(layers, rows))
    monkeypatch.setattr(features, "VERY_LARGE", 0)
    objective = objective_of(vgg64, content, style, 1.0, 2.0, 0.1, balanced=True, guided=guided)
    losses, in_strips = evaluate_in_strips(objective, x, rows, monkeypatch)
    assert losses.as_dict() == pytest.approx(whole.as_dict(), rel=1e-12)
    assert (in_strips - gradient).norm() < 1e-12 * gradient.norm()


@pytest.mark.parametrize("layers", [("relu4_2", "relu2_2"), ("relu3_4",), ("relu1_1", "relu5_2")])
def test_in_strips_the_content_features_are_those_of_the_whole(
    layers: tuple[str, ...], vgg64: Vgg19, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = to_tensor(Image.open(photo), (19, 83)).double()
    whole = vgg64(image, layers)
    monkeypatch.setattr(features, "segments", lambda layers, _: cut(layers, 16))
    kept = find_features(vgg64, image, layers)
    monkeypatch.setattr(features, "VERY_LARGE", 0)
    found = find_features(vgg64, image, layers)
    assert found.keys() == set(layers)
    for layer, maps in found.items():
        expected = whole[layer]
        assert isinstance(maps, Kept) == (layer > "relu4")
        torch.testing.assert_close(kept[layer].rows(slice(None)), expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(
            torch.cat(list(maps.parts()), 2), expected, rtol=1e-12, atol=1e-12
        )
        for rows in (slice(0, 1), slice(1, 3), slice(2, None)):
            torch.testing.assert_close(
                maps.rows(rows), expected[:, :, rows], rtol=1e-12, atol=1e-12
            )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.02)])
@pytest.mark.parametrize("layers", [("relu1_2", "relu3_4"), ("relu2_1", "relu5_4")])
def test_in_strips_the_numbers_agree_within_rounding(
    dtype: torch.dtype,
    tolerance: float,
    layers: tuple[str, ...],
    oxford: weights.Weights,
    photo: str,
    painting: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vgg = Vgg19(oxford, "avg", dtype=dtype)
    content, x = (to_tensor(Image.open(path), (24, 90)) for path in (photo, painting))
    objective = make_objective(
        vgg,
        find_features(vgg, content, layers),
        [Region({name: 2 * mean_gram(f) for name, f in vgg(x, layers).items()})],
        content_layers=dict.fromkeys(layers, 1.0),
        style_layers=dict.fromkeys(layers, 1.0),
        alpha=1.0,
        beta=1.0,
    )
    whole, gradient = objective(x)
    losses, in_strips = evaluate_in_strips(objective, x, 16, monkeypatch)
    assert losses.total == pytest.approx(whole.total, rel=tolerance)
    assert (in_strips - gradient).norm() < tolerance * gradient.norm()


@pytest.mark.parametrize("balanced", [True, False])
def test_the_gradient_agrees_with_finite_differences(
    balanced: bool, vgg64: Vgg19, pictures: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Along random directions; steps so small that few ReLUs change sides."""
    x, content, style = pictures
    objective = objective_of(vgg64, content, style, 1.0, 2.0, 0.1, balanced)

    def total(image: Tensor) -> float:
        return objective(image)[0].total / objective.unit

    _, gradient = objective(x)
    length = gradient.norm().item()
    for _ in range(2):
        direction = torch.randn_like(x)
        direction /= direction.norm()
        slope = (total(x + 1e-6 * direction) - total(x - 1e-6 * direction)) / 2e-6
        assert abs(slope - (gradient * direction).sum().item()) < 1e-5 * length
    uphill = gradient / length
    slope = (total(x + 1e-6 * uphill) - total(x - 1e-6 * uphill)) / 2e-6
    assert slope == pytest.approx(length, rel=1e-5)


@pytest.mark.parametrize("balanced", [True, False])
def test_the_loss_is_zero_where_content_style_and_picture_are_the_same(
    vgg64: Vgg19, balanced: bool
) -> None:
    x = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    objective = objective_of(vgg64, x, x, 1.0, 1.0, balanced=balanced)
    losses, gradient = objective(x)
    assert losses.total == 0
    assert gradient.abs().max() == 0
    assert objective(x * 0.9)[0].total > 0


def test_the_balanced_objective_does_not_depend_on_the_size(
    vgg: Vgg19, photo: str, painting: str
) -> None:
    """For four mirrored copies of all pictures losses are the same; the paper's are four times.

    Not exactly, because they have less border, beyond which the layers see something else.
    """

    def fourfold(x: Tensor) -> Tensor:
        row = torch.cat([x, x.flip(3)], 3)
        return torch.cat([row, row.flip(2)], 2)

    x = torch.rand(1, 3, 64, 80)
    p = to_tensor(Image.open(photo), (80, 64))
    a = to_tensor(Image.open(painting), (80, 64))
    once, four = (
        {
            balanced: objective(pictures[0])[0]
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


def test_features_that_are_all_zero_have_the_loss_that_the_balanced_terms_are_relative_to(
    vgg: Vgg19, photo: str, painting: str
) -> None:
    """1 for content and `TermScaling.style` for style, times the layer's part."""
    p = to_tensor(Image.open(photo), (32, 24))
    a = to_tensor(Image.open(painting), (32, 24))
    objective = objective_of(vgg, p, a, 1.0, 1.0, balanced=True)
    shares = {(ContentTerm, name): f / len(CONTENT_FACTORS) for name, f in CONTENT_FACTORS.items()}
    for layer, factor in STYLE_FACTORS.items():
        shares[StyleTerm, layer] = BALANCED.style * factor / len(STYLE_FACTORS)
        shares[MeanTerm, layer] = BALANCED.means * shares[StyleTerm, layer]
    for term in objective.terms:
        if isinstance(term, (LocalTerm, GlobalTerm)):
            zeros = torch.zeros_like(vgg(p, [term.layer])[term.layer])
            everywhere = slice(None)
            if isinstance(term, LocalTerm):
                value = term.evaluate(zeros, zeros.clone(), everywhere, 1.0).item()
            else:
                value = term.value(term.sums(zeros, everywhere)).item()
            assert value == pytest.approx(shares.pop((type(term), term.layer)), rel=1e-5)
    assert not shares


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_target_that_is_all_zero_gives_finite_numbers(
    oxford: weights.Weights, dtype: torch.dtype
) -> None:
    vgg = Vgg19(oxford, "avg", dtype=dtype)
    x = torch.rand(1, 3, 24, 24)
    taps = vgg(x, ["relu2_1", "relu4_2"])
    objective = make_objective(
        vgg,
        {"relu4_2": Kept(torch.zeros_like(taps["relu4_2"]))},
        [Region({"relu2_1": torch.zeros(128, 128)}, {"relu2_1": torch.zeros(128)})],
        content_layers={"relu4_2": 1.0},
        style_layers={"relu2_1": 1.0},
        alpha=1.0,
        beta=1.0,
        tv_weight=0.0,
        balanced=True,
    )
    losses, gradient = objective(x)
    assert 0 < losses.content < math.inf
    assert 0 < losses.style < math.inf
    assert gradient.isfinite().all()


@pytest.mark.parametrize("balanced", [True, False])
def test_bfloat16_is_close_to_float32(
    balanced: bool, oxford: weights.Weights, photo: str, painting: str
) -> None:
    p = to_tensor(Image.open(photo), (64, 48))
    a = to_tensor(Image.open(painting), (64, 48))
    x = torch.rand(1, 3, 48, 64)
    (losses32, gradient32), (losses16, gradient16) = (
        objective_of(Vgg19(oxford, "avg", dtype=dtype), p, a, 1.0, 1.0, 0.0, balanced)(x)
        for dtype in (torch.float32, torch.bfloat16)
    )
    for name, value in losses16.terms.items():
        assert value == pytest.approx(losses32.terms[name], rel=0.02), name
    assert gradient16.dtype == torch.float32
    assert (gradient16 - gradient32).norm() < 0.1 * gradient32.norm()


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("weight", [1e-30, 1e-6, 1.0, 1e30])
def test_weights_of_any_size_keep_float32_in_range(
    vgg: Vgg19, weight: float, balanced: bool, gradient: Callable[[int, int], Image.Image]
) -> None:
    content = to_tensor(gradient(32, 32), (32, 32))
    objective = objective_of(vgg, content, content.flip(1), weight, weight * 1e3, balanced=balanced)
    x = torch.rand(1, 3, 32, 32)
    losses, slope = objective(x)
    assert slope.isfinite().all()
    steepest = torch.linalg.vector_norm(slope).item()
    assert (1e-6 if balanced else 1) < steepest < 1e15
    assert math.isfinite(losses.total)
