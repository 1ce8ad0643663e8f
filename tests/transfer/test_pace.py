"""How fast the machine paints, by a clock of our own."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from stylize import Options
from stylize.transfer import pace
from stylize.transfer.result import Result
from stylize.transfer.scales import FIXED_COST
from stylize.transfer.step import Step
from stylize.transfer.stylizer import Stylizer


@pytest.mark.parametrize(("seconds", "evaluations"), [(0.2, 4), (3.0, 2)])
def test_a_small_picture_is_painted_for_half_a_second(
    seconds: float, evaluations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And two evaluations at least. The first one is not counted."""
    clock = SimpleNamespace(now=100.0, calls=0)

    def perf_counter() -> float:
        clock.calls += 1
        clock.now += seconds
        return float(clock.now)

    monkeypatch.setattr(pace, "time", SimpleNamespace(perf_counter=perf_counter))
    monkeypatch.setattr(pace, "SIZE", 48)
    measured = pace.measure(Options(device="cpu", size=4000, mask=()), 1)
    assert measured.work == pytest.approx(seconds / (48 * 32 + FIXED_COST))
    assert measured.picture >= 0
    assert clock.calls == evaluations + 2, "and two calls for the rest"


def test_what_a_picture_takes_beside_its_iterations_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(now=0.0, evaluations=0)
    monkeypatch.setattr(pace, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(pace, "SIZE", 48)
    encode, steps = Result.encode, Stylizer.steps

    def slow_encode(result: Result, format: str) -> bytes:
        clock.now += 7
        return encode(result, format)

    def slow_steps(*args: Any) -> Iterator[Step]:
        for step in steps(*args):
            clock.now += 2
            clock.evaluations += 1
            yield step

    monkeypatch.setattr(Result, "encode", slow_encode)
    monkeypatch.setattr(Stylizer, "steps", slow_steps)
    assert pace.measure(Options(device="cpu"), 1).picture == pytest.approx(7)
    assert clock.evaluations == 3, "two for the pace, and one for the rest"
