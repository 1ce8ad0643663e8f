"""The warning of a long run, by a fake clock. Bars and Ctrl-C are tested in cli/test_main.py."""

from types import SimpleNamespace
from typing import Any

import pytest

from stylize.callbacks import progress
from stylize.callbacks.progress import Forecast
from stylize.transfer.scales import plan_scales
from stylize.transfer.step import Losses, Step


def watch(
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    iterations: int = 60,
    first: float = 0.0,
    side: int = 512,
    device: str = "cpu",
    launching: float = 0.0,
) -> None:
    """Let a forecast see a run of so many seconds, in proportion to the pixels evaluated.

    Each evaluation takes `launching` seconds more.
    """
    scales = tuple(plan_scales((side, side * 3 // 4), iterations, "normal", "auto", 16))
    pace = seconds / sum(scale.work for scale in scales)
    clock = SimpleNamespace(now=first)
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    forecast = Forecast()
    done = 0
    nothing: Any = None
    image: Any = SimpleNamespace(device=SimpleNamespace(type=device))
    for scale in scales:
        for _ in range(scale.iterations):
            done += 1
            clock.now += pace * scale.cost + launching
            losses = Losses({"content": 1, "style": 1}, 2)
            rest = [losses, losses, 1.0, image, nothing, nothing]
            forecast(Step(done, iterations, scale, scales, *rest))
    assert clock.now == pytest.approx(first + seconds + launching * done)


@pytest.mark.parametrize("first", [0.0, 1000.0])
def test_a_long_run_is_announced_once(
    first: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Extra time that the first evaluation takes does not count for the others."""
    watch(monkeypatch, 5 * Forecast.PATIENCE, first=first)
    (record,) = caplog.records
    assert f"about {round(5 * Forecast.PATIENCE / 60)} minutes" in record.getMessage()


@pytest.mark.parametrize("iterations", [1, Forecast.TIMED, Forecast.TIMED + 1, 60])
def test_a_short_run_is_not_announced(
    iterations: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch(monkeypatch, 0.9 * Forecast.PATIENCE, iterations)
    assert not caplog.records


def test_a_run_that_is_nearly_done_is_not_announced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch(monkeypatch, 1e6, Forecast.TIMED)
    assert not caplog.records


@pytest.mark.parametrize(("seconds", "announced"), [(0.9, 0), (5, 1)])
def test_on_a_gpu_small_scales_say_nothing(
    seconds: float,
    announced: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    launching = 0.01 * Forecast.PATIENCE / 60
    seconds *= Forecast.PATIENCE
    watch(monkeypatch, seconds, side=8000, device="cuda", launching=launching)
    assert len(caplog.records) == announced
    caplog.clear()
    watch(monkeypatch, seconds, side=8000, device="cpu", launching=launching)
    assert len(caplog.records) == 1
