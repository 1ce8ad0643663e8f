"""The optimisers on functions with a known minimum, and on the real network."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import pytest
import torch
from conftest import make_objective, to_tensor, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

import stylize.transfer.optimize as module
from stylize import OptimizationError, Options, Stylizer
from stylize.network.vgg import Vgg19
from stylize.transfer import memory, strips
from stylize.transfer.features import find_features
from stylize.transfer.job import Job
from stylize.transfer.losses import mean_gram
from stylize.transfer.optimize import (
    FIRST_STEP,
    HISTORY,
    HISTORY_OF_LARGE,
    LEAST_FALL,
    LONGEST_STEP,
    OPTIMIZERS,
    PATIENCE,
    TRIALS,
    Best,
    Optimizer,
)
from stylize.transfer.step import Losses
from stylize.transfer.targets import Region


class Function:
    """A function of a picture in the place of the objective; records where it was evaluated."""

    unit = 1.0

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function
        self.evaluated: list[Tensor] = []

    def evaluate(self, image: Tensor) -> tuple[Tensor, Tensor]:
        self.evaluated.append(image.detach().clone())
        with torch.enable_grad():
            at = image.detach().requires_grad_()
            total = self.function(at)
            (gradient,) = torch.autograd.grad(total, at)
        return total.detach()[None], gradient

    def losses(self, values: Sequence[float]) -> Losses:
        return Losses({"content": values[0]}, values[0])


def best_after_each(optimizer: Optimizer, iterations: int) -> Iterator[Best]:
    """The best picture after each evaluation, until so many have been made."""
    with torch.no_grad():
        while optimizer.done < iterations and optimizer.step():
            assert optimizer.best
            yield optimizer.best


def minimize(
    objective: Any, start: Tensor, iterations: int, optimizer: str = "lbfgs"
) -> Iterator[Best]:
    """The best picture after each evaluation of a new optimiser."""
    return best_after_each(OPTIMIZERS[optimizer](objective, start, Options()), iterations)


def run(
    function: Callable[[Tensor], Tensor],
    start: Tensor,
    iterations: int = 100,
    optimizer: str = "lbfgs",
) -> tuple[list[Best], Function]:
    objective = Function(function)
    return list(minimize(objective, start, iterations, optimizer)), objective


start = torch.full((1, 3, 2, 2), 0.5)
goal = torch.linspace(0, 1, 12).view(1, 3, 2, 2)
stiffness = torch.logspace(0, 4, 12).view(1, 3, 2, 2)


def bowl(x: Tensor) -> Tensor:
    """A quadratic function that is 10 000 times steeper in one direction than in another."""
    return (stiffness * (x - goal).square()).sum()


def rosenbrock(x: Tensor) -> Tensor:
    flat = x.flatten()
    a, b = flat[::2], flat[1::2]
    return (100 * (b - a.square()).square() + (1 - a).square()).sum()


def cliff(x: Tensor) -> Tensor:
    """Finite only left of 0.8, and falling towards it."""
    return -torch.log(0.8 - x).neg().sum()


def basin(x: Tensor) -> Tensor:
    """Finite only left of 0.8, with its minimum right before that."""
    return (x - 0.79).square().sum() + 0 * torch.log(0.8 - x).sum()


def kinks(x: Tensor) -> Tensor:
    """Not smooth, so that the stored pairs mislead."""
    return (stiffness * (x - goal).abs()).sum()


def nearly_flat(share: float) -> Callable[[Tensor], Tensor]:
    """The minimum is so far off that `PATIENCE` steps gain `share` times the least fall."""
    far = 2 * LONGEST_STEP * PATIENCE / (LEAST_FALL * share)
    return lambda x: (x - far).square().sum()


# The table


def test_every_value_of_the_optimizer_option_has_an_optimizer() -> None:
    (option,) = (field for field in fields(Options) if field.name == "optimizer")
    assert tuple(OPTIMIZERS) == option.metadata["choices"]


def test_an_optimizer_without_an_entry_is_an_error(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    """None is used in its place, neither to paint nor to estimate memory."""
    options = unchecked(stylizer.options.replace(size=32), optimizer="sgd")
    job = Job.prepare(options, photo, [painting])
    for use in (stylizer.paint, stylizer.fit_to_memory):
        with pytest.raises(KeyError, match="sgd"):
            use(job)


# Both optimisers


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_minimum_of_a_stiff_bowl_is_found(optimizer: str) -> None:
    evaluations, _ = run(bowl, start, 400, optimizer)
    assert (evaluations[-1].image - goal).abs().max() < 0.01
    totals = [evaluation.losses.total for evaluation in evaluations]
    assert totals == sorted(totals, reverse=True), "the best so far never gets worse"


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("function", [bowl, rosenbrock, basin, kinks, nearly_flat(0.5)])
def test_a_run_resumes_from_every_evaluation_to_the_same_bits(
    function: Callable[[Tensor], Tensor], optimizer: str
) -> None:
    """L-BFGS rejects steps and drops old pairs in the bowl, clears them at kinks, or ends early."""
    iterations = 2 * HISTORY
    options = Options(learning_rate=0.002)  # so small that Adam does not reach the cliff
    x = torch.full((1, 3, 2, 2), 0.78)
    make = OPTIMIZERS[optimizer]
    unbroken = make(Function(function), x, options)
    results, states = [], []
    for best in best_after_each(unbroken, iterations):
        results.append(best)
        states.append(unbroken.state())
    for number, state in enumerate(states):
        assert (state is None) == (optimizer == "lbfgs" and number == 0), "None for the start"
        done = state.done if state else 0
        resumed = make(Function(function), x + 1 if state else x, options, state)
        again = list(best_after_each(resumed, iterations))
        assert resumed.done == unbroken.done
        assert len(again) == len(results) - done
        for one, other in zip(again, results[done:], strict=True):
            assert torch.equal(one.image, other.image)
            assert (one.losses, one.loss) == (other.losses, other.loss)


def test_a_state_is_not_changed_by_the_run_that_goes_on() -> None:
    for optimizer in OPTIMIZERS.values():
        run_on = optimizer(Function(bowl), start, Options())
        steps = best_after_each(run_on, 30)
        for _ in range(9):
            next(steps)
        state = run_on.state()
        assert state is not None
        before = copy.deepcopy(state)
        list(steps)
        assert_same(state.pictures, before.pictures)
        assert_same(state.numbers, before.numbers)
        assert torch.equal(state.image, before.image)
        for name in ("done", "lowest", "losses", "loss"):
            assert getattr(state, name) == getattr(before, name)


def assert_same(one: Any, other: Any) -> None:
    """Compare nested containers of tensors and numbers."""
    assert type(one) is type(other)
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        for first, second in zip(one, other, strict=True):
            assert_same(first, second)
    else:
        assert one == other


# L-BFGS


def test_lbfgs_finds_the_minimum_in_rosenbrocks_valley() -> None:
    evaluations, _ = run(rosenbrock, torch.zeros(1, 3, 2, 2), 300)
    assert (evaluations[-1].image - 1).abs().max() < 1e-3
    assert len(evaluations) < 300, "it ends by itself where nothing is left to gain"


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_lbfgs_ends_where_the_loss_hardly_falls(share: float) -> None:
    evaluations, _ = run(nearly_flat(share), start.double(), 3 * PATIENCE)
    assert len(evaluations) == (PATIENCE + 1 if share < 1 else 3 * PATIENCE)


@pytest.mark.parametrize(("size", "stored"), [(2, HISTORY), (3, HISTORY_OF_LARGE)])
def test_fewer_pairs_are_stored_for_a_large_picture(
    size: int, stored: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    two_loop = module._two_loop

    def watched(gradient: Tensor, pairs: Any) -> Tensor:
        used.append(len(pairs))
        return two_loop(gradient, pairs)

    monkeypatch.setattr(module, "_two_loop", watched)
    monkeypatch.setattr(memory, "LARGE", 9)
    run(
        lambda x: (1 + x.square()).log().sum() * 1e3 + (x.flatten() ** 4).cumsum(0).sum(),
        torch.linspace(1, 40, 3 * size**2).view(1, 3, size, size),
        4 * HISTORY,
    )
    assert max(used) == stored
    assert OPTIMIZERS["lbfgs"].stored_pictures(size**2) == 2 * stored


def test_the_pairs_of_a_poster_have_16_bits_and_it_resumes_to_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(strips, "LARGE", 4)
    unbroken = OPTIMIZERS["lbfgs"](Function(bowl), start, Options())
    results, states = [], []
    for best in best_after_each(unbroken, 60):
        results.append(best)
        states.append(unbroken.state())
    state = states[20]
    assert state is not None
    pairs = zip(state.pictures[2::2], state.pictures[3::2], state.numbers[1:], strict=True)
    for change, difference, product in pairs:
        assert change.dtype == difference.dtype == torch.bfloat16
        exact = (change.double() * difference.double()).sum().item()
        assert float(product) == pytest.approx(exact, rel=1e-5)
    resumed = OPTIMIZERS["lbfgs"](Function(bowl), start, Options(), state)
    for one, other in zip(best_after_each(resumed, 60), results[state.done :], strict=True):
        assert torch.equal(one.image, other.image)
    assert results[-1].loss < 1e-3 * results[0].loss
    assert resumed.stored_pictures(4) == resumed.stored_pictures(3) / 2


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("iterations", [1, 2, 7])
def test_as_many_evaluations_are_made_as_requested(optimizer: str, iterations: int) -> None:
    before = start.clone()
    evaluations, objective = run(
        lambda x: (x - goal).square().sum().cosh(), start, iterations, optimizer
    )
    assert len(evaluations) == len(objective.evaluated) == iterations
    assert torch.equal(start, before), "the start is not written to"


def test_the_first_and_later_steps_are_bounded() -> None:
    _, objective = run(lambda x: (1e6 * (x - goal).square()).sum(), start, 60)
    jumps = [(b - objective.evaluated[0]).abs().max().item() for b in objective.evaluated[1:2]]
    assert jumps[0] == pytest.approx(FIRST_STEP, rel=1e-5)
    _, objective = run(lambda x: (x - 1000).square().sum(), start, 60)
    moves = zip(objective.evaluated, objective.evaluated[1:], strict=False)
    longest = max((b - a).abs().max().item() for a, b in moves)
    assert longest <= LONGEST_STEP * 1.01


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_cliff_of_nan_ends_the_run_before_it(optimizer: str) -> None:
    objective = Function(cliff)
    evaluations: list[Best] = []
    steps = minimize(objective, torch.full((1, 3, 2, 2), 0.5), 200, optimizer)
    with pytest.raises(OptimizationError, match="not a finite number"):
        evaluations.extend(steps)  # one by one
    assert math.isfinite(evaluations[-1].losses.total)
    assert evaluations[-1].image.isfinite().all()
    assert evaluations[-1].image.max() < 0.8
    assert evaluations[-1].losses.total < evaluations[0].losses.total
    failures = 1 if optimizer == "adam" else TRIALS
    assert len(objective.evaluated) == len(evaluations) + 1
    assert not any(math.isfinite(cliff(x)) for x in objective.evaluated[-failures:]), "at once"


def test_a_step_that_is_not_finite_is_shortened() -> None:
    evaluations, objective = run(basin, torch.full((1, 3, 2, 2), 0.78), 200)
    assert any(x.max() > 0.8 for x in objective.evaluated)
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


def test_one_evaluation_is_made_at_the_minimum() -> None:
    evaluations, _ = run(lambda x: (x - start).square().sum(), start, 50)
    assert len(evaluations) == 1


def test_a_wrong_gradient_ends_the_run_and_does_not_spoil_the_picture() -> None:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.sum()

        @staticmethod
        def backward(ctx: Any, slope: Tensor) -> Tensor:  # type: ignore[override]
            return -slope.expand(1, 3, 2, 2)

    evaluations, _ = run(Wrong.apply, start, 50)
    assert len(evaluations) < 50
    assert torch.equal(evaluations[-1].image, start)


@settings(deadline=None, max_examples=8)
@given(
    st.floats(-6, 6),
    st.floats(-6, 6),
    st.sampled_from(["lbfgs", "adam"]),
    st.integers(0, 99),
    st.integers(24, 36),
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
    """Where torch.optim.LBFGS gets stuck: every ReLU dead, the loss constant from then on."""
    style_layers = dict.fromkeys(("relu1_1", "relu3_1", "relu5_1"), 1.0)
    content_layers = {"relu4_2": 1.0}
    style = vgg(to_tensor(Image.open(painting), (40, 30)), style_layers)
    objective = make_objective(
        vgg,
        find_features(vgg, to_tensor(Image.open(photo), (side, 24)), content_layers),
        [Region({name: mean_gram(maps) for name, maps in style.items()})],
        content_layers=content_layers,
        style_layers=style_layers,
        alpha=10**alpha,
        beta=10**beta,
        tv_weight=0,
        balanced=balanced,
    )
    generator = torch.Generator().manual_seed(seed)
    image = 0.5 + noise * torch.randn(1, 3, 24, side, generator=generator)
    totals = [best.losses.total for best in minimize(objective, image, 16, optimizer)]
    assert all(math.isfinite(total) for total in totals)
    assert totals[-1] < 0.5 * totals[0]
    assert len(set(totals[-8:])) > 1, "the loss still changes"


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_numbers_are_fetched_once_for_each_evaluation(
    optimizer: str, stylizer: Stylizer, photo: str, painting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time a GPU would have to be waited for."""
    fetched: list[str] = []
    for name in ("tolist", "item", "__bool__", "__float__", "__int__"):
        method = getattr(Tensor, name)

        def counted(self: Tensor, name: str = name, method: Any = method) -> Any:
            fetched.append(name)
            return method(self)

        monkeypatch.setattr(Tensor, name, counted)
    changes: dict[str, Any] = {"size": 32, "tv_weight": 1, "optimizer": optimizer, "scales": 1}
    after: list[int] = []
    stylizer(photo, painting, on_step=lambda _: after.append(len(fetched)), **changes)
    assert len(after) > 20
    adam = fetched.count("item")  # torch's Adam reads its number of steps, which is on the CPU
    assert after[-1] - after[0] - adam == len(after) - 1
