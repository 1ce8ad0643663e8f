"""The forecast by a clock that is ours. The bar and Ctrl-C are seen in test_cli.py."""

from types import SimpleNamespace
from typing import Any

import pytest

from stylize.callbacks import progress
from stylize.callbacks.progress import Forecast, Seen
from stylize.transfer.losses import Losses
from stylize.transfer.scales import plan_scales
from stylize.transfer.stylizer import Step


def watch(
    monkeypatch: pytest.MonkeyPatch, seconds: float, iterations: int = 60, first: float = 0.0
) -> None:
    """A run of so many seconds, evaluations taking as long as their pixels are many."""
    scales = tuple(plan_scales((512, 384), iterations, "normal", "auto", 16))
    pace = seconds / sum(scale.work for scale in scales)
    clock = SimpleNamespace(now=first)
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    forecast = Forecast()
    done = 0
    nothing: Any = None
    for scale in scales:
        for _ in range(scale.iterations):
            done += 1
            clock.now += pace * scale.width * scale.height
            losses = Losses(1, 1, 0, 0, 2)
            step = Step(done, iterations, scale, scales, losses, losses, 1.0, nothing, nothing)
            forecast(Seen.of(step))
    assert clock.now == pytest.approx(first + seconds)


@pytest.mark.parametrize("first", [0.0, 1000.0])
def test_a_long_run_is_announced_once(
    first: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And what the first evaluation takes besides is not thought to go on."""
    watch(monkeypatch, 5 * Forecast.PATIENCE, first=first)
    (record,) = caplog.records
    assert f"about {round(5 * Forecast.PATIENCE / 60)} minutes" in record.getMessage()


@pytest.mark.parametrize("iterations", [1, Forecast.TIMED, Forecast.TIMED + 1, 60])
def test_a_short_run_is_not_talked_about(
    iterations: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch(monkeypatch, 0.9 * Forecast.PATIENCE, iterations)
    assert not caplog.records


def test_nothing_left_is_nothing_to_announce(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch(monkeypatch, 1e6, Forecast.TIMED)
    assert not caplog.records
