"""The optimisers on functions whose minimum is known, and on the real network where they break."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

import stylize.transfer.optimize as module
from stylize import OptimizationError
from stylize.images import picture as images
from stylize.network.vgg import Vgg19
from stylize.transfer import memory as cost
from stylize.transfer.losses import Losses, Objective, Region, Targets, mean_gram
from stylize.transfer.memory import HISTORY, HISTORY_OF_LARGE
from stylize.transfer.optimize import (
    FIRST_STEP,
    LEAST_FALL,
    LONGEST_STEP,
    PATIENCE,
    TRIALS,
    Evaluation,
    minimize,
)


class Function:
    """Any function of a picture in the place of the objective; keeps what was asked of it."""

    unit = 1.0

    def __init__(self, function: Any) -> None:
        self.function = function
        self.asked: list[Tensor] = []

    def __call__(self, image: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        self.asked.append(image.detach().clone())
        with torch.enable_grad():
            at = image.detach().requires_grad_()
            total = self.function(at)
            (gradient,) = torch.autograd.grad(total, at)
        return {"total": total.detach()}, gradient

    def losses(self, terms: dict[str, Tensor]) -> Losses:
        total = terms["total"].item()
        return Losses(total, 0, 0, 0, total)


def run(function: Any, start: Tensor, iterations: int = 100, optimizer: str = "lbfgs") -> Any:
    objective = Function(function)
    return list(minimize(objective, start, iterations, optimizer)), objective  # type: ignore[arg-type]


start = torch.full((1, 3, 2, 2), 0.5)
goal = torch.linspace(0, 1, 12).view(1, 3, 2, 2)
stiffness = torch.logspace(0, 4, 12).view(1, 3, 2, 2)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_finds_the_minimum_of_a_stiff_bowl(optimizer: str) -> None:
    evaluations, _ = run(lambda x: (stiffness * (x - goal).square()).sum(), start, 400, optimizer)
    assert (evaluations[-1].image - goal).abs().max() < 0.01
    totals = [evaluation.losses.total for evaluation in evaluations]
    assert totals == sorted(totals, reverse=True), "the best so far never gets worse"


def test_lbfgs_walks_rosenbrocks_valley() -> None:
    def rosenbrock(x: Tensor) -> Tensor:
        flat = x.flatten()
        a, b = flat[::2], flat[1::2]
        return (100 * (b - a.square()).square() + (1 - a).square()).sum()

    evaluations, _ = run(rosenbrock, torch.zeros(1, 3, 2, 2), 300)
    assert (evaluations[-1].image - 1).abs().max() < 1e-3
    assert len(evaluations) < 300, "it ends by itself where nothing is left to gain"


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_lbfgs_ends_where_the_loss_hardly_falls(share: float) -> None:
    """The minimum is so far off that `PATIENCE` steps gain `share` times the least fall."""
    far = 2 * LONGEST_STEP * PATIENCE / (LEAST_FALL * share)
    evaluations, _ = run(lambda x: (x - far).square().sum(), start.double(), 3 * PATIENCE)
    assert len(evaluations) == (PATIENCE + 1 if share < 1 else 3 * PATIENCE)


@pytest.mark.parametrize(("size", "kept"), [(2, HISTORY), (3, HISTORY_OF_LARGE)])
def test_a_large_picture_remembers_less(
    size: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    two_loop = module._two_loop

    def watched(gradient: Tensor, memory: Any) -> Tensor:
        seen.append(len(memory))
        return two_loop(gradient, memory)

    monkeypatch.setattr(module, "_two_loop", watched)
    monkeypatch.setattr(cost, "LARGE", 9)
    run(
        lambda x: (1 + x.square()).log().sum() * 1e3 + (x.flatten() ** 4).cumsum(0).sum(),
        torch.linspace(1, 40, 3 * size**2).view(1, 3, size, size),
        4 * HISTORY,
    )
    assert max(seen) == kept


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("iterations", [1, 2, 7])
def test_counts_evaluations(optimizer: str, iterations: int) -> None:
    before = start.clone()
    evaluations, objective = run(
        lambda x: (x - goal).square().sum().cosh(), start, iterations, optimizer
    )
    assert len(evaluations) == len(objective.asked) == iterations
    assert torch.equal(start, before), "the start is left as it is"


def test_first_and_later_steps_are_bounded() -> None:
    _, objective = run(lambda x: (1e6 * (x - goal).square()).sum(), start, 60)
    jumps = [(b - objective.asked[0]).abs().max().item() for b in objective.asked[1:2]]
    assert jumps[0] == pytest.approx(FIRST_STEP, rel=1e-5)
    _, objective = run(lambda x: (x - 1000).square().sum(), start, 60)
    moves = zip(objective.asked, objective.asked[1:], strict=False)
    longest = max((b - a).abs().max().item() for a, b in moves)
    assert longest <= LONGEST_STEP * 1.01


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_cliff_of_nan_is_not_stepped_over(optimizer: str) -> None:
    # Finite only left of 0.8, and falling towards it.
    def cliff(x: Tensor) -> Tensor:
        return -torch.log(0.8 - x).neg().sum()

    objective = Function(cliff)
    evaluations: list[Evaluation] = []
    found = minimize(objective, torch.full((1, 3, 2, 2), 0.5), 200, optimizer)  # type: ignore[arg-type]
    with pytest.raises(OptimizationError, match="not a finite number"):
        evaluations.extend(found)  # one by one
    assert math.isfinite(evaluations[-1].losses.total)
    assert evaluations[-1].image.isfinite().all()
    assert evaluations[-1].image.max() < 0.8
    assert evaluations[-1].losses.total < evaluations[0].losses.total
    given_up = 1 if optimizer == "adam" else TRIALS
    assert len(objective.asked) == len(evaluations) + 1
    assert not any(math.isfinite(cliff(x)) for x in objective.asked[-given_up:]), "at once"


def test_a_step_that_is_not_finite_is_made_shorter() -> None:
    """Where the minimum lies right before the cliff."""

    def basin(x: Tensor) -> Tensor:
        return (x - 0.79).square().sum() + 0 * torch.log(0.8 - x).sum()

    evaluations, objective = run(basin, torch.full((1, 3, 2, 2), 0.78), 200)
    assert any(x.max() > 0.8 for x in objective.asked)
    assert (evaluations[-1].image - 0.79).abs().max() < 1e-3


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_start_that_is_not_finite_is_an_error(optimizer: str, value: float) -> None:
    with pytest.raises(OptimizationError, match="not a finite number"):
        run(lambda x: (x * value).sum(), start, 10, optimizer)


def test_a_start_close_to_the_minimum_gets_closer() -> None:
    near = start + 1e-5 * goal
    evaluations, _ = run(lambda x: (stiffness * (x - start).square()).sum(), near, 200)
    assert (evaluations[-1].image - start).abs().max() < 1e-6
    assert len(evaluations) < 200


def test_nothing_to_do_at_the_minimum() -> None:
    evaluations, _ = run(lambda x: (x - start).square().sum(), start, 50)
    assert len(evaluations) == 1


def test_a_lying_gradient_ends_the_run_instead_of_the_picture() -> None:
    class Liar(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.sum()

        @staticmethod
        def backward(ctx: Any, slope: Tensor) -> Tensor:  # type: ignore[override]
            return -slope.expand(1, 3, 2, 2)

    evaluations, _ = run(Liar.apply, start, 50)
    assert len(evaluations) < 50
    assert torch.equal(evaluations[-1].image, start)


@settings(deadline=None, max_examples=12)
@given(
    st.floats(-6, 6),
    st.floats(-6, 6),
    st.sampled_from(["lbfgs", "adam"]),
    st.integers(0, 99),
    st.integers(24, 48),
    st.sampled_from([0.02, 0.1, 0.5]),
    st.booleans(),
)
def test_never_stuck_and_never_a_nan_on_the_real_network(
    vgg: Vgg19,
    photo: str,
    painting: str,
    alpha: float,
    beta: float,
    optimizer: str,
    seed: int,
    side: int,
    noise: float,
    balanced: bool,
) -> None:
    """The case that kills torch.optim.LBFGS: every ReLU dead, the loss constant for ever."""
    style_layers = dict.fromkeys(("relu1_1", "relu3_1", "relu5_1"), 1.0)
    content_layers = {"relu4_2": 1.0}
    painted = vgg(images.to_tensor(Image.open(painting), (40, 30)), style_layers)
    targets = Targets(
        vgg(images.to_tensor(Image.open(photo), (side, 24)), content_layers),
        [Region({name: mean_gram(maps) for name, maps in painted.items()})],
    )
    objective = Objective(
        vgg,
        targets,
        content_layers=content_layers,
        style_layers=style_layers,
        alpha=10**alpha,
        beta=10**beta,
        tv_weight=0,
        balanced=balanced,
    )
    generator = torch.Generator().manual_seed(seed)
    image = 0.5 + noise * torch.randn(1, 3, 24, side, generator=generator)
    totals = [e.losses.total for e in minimize(objective, image, 25, optimizer)]
    assert all(math.isfinite(total) for total in totals)
    assert totals[-1] < 0.5 * totals[0]
    assert len(set(totals[-12:])) > 1, "it still moves"
