"""Bars, and the word about a long run by a fake clock. Ctrl-C is tested in cli/test_main.py."""

import io
import logging
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from stylize.callbacks import progress
from stylize.callbacks.progress import Bar, Forecast
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
    told: bool = False,
) -> None:
    """Let a forecast see a run of so many seconds, in proportion to the pixels evaluated.

    Each evaluation takes `launching` seconds more.
    """
    scales = tuple(plan_scales((side, side * 3 // 4), iterations, "normal", "auto", 16))
    pace = seconds / sum(scale.work for scale in scales)
    clock = SimpleNamespace(now=first)
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    forecast = Forecast(lambda: "no GPU found, 2 threads, float32", told, "a smaller --size")
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
    minutes = round(5 * Forecast.PATIENCE / 60)
    assert record.getMessage() == (
        f"this will take about {minutes} minutes (no GPU found, 2 threads, float32); a smaller"
        " --size takes less, and Ctrl-C keeps the picture so far"
    )


def test_beside_a_bar_there_is_no_second_forecast(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch(monkeypatch, 5 * Forecast.PATIENCE, told=True)
    (record,) = caplog.records
    assert record.getMessage().startswith("this will take long (no GPU found, ")
    assert "minutes" not in record.getMessage()


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


def shown(
    monkeypatch: pytest.MonkeyPatch, columns: int, name: str = "out.png", first: int = 1
) -> str:
    """What a bar of a run at three sizes shows first on a terminal of so many columns."""
    scales = tuple(plan_scales((512, 384), 60, "normal", "auto", 16))
    losses = Losses({"content": 1, "style": 2}, 3)
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda _: (columns, 24))
    nothing: Any = None
    with Bar(name) as bar:
        for iteration in range(first, first + 2):
            rest = [losses, losses, 1.0, nothing, nothing, nothing]
            bar(Step(iteration, 60, scales[-1 if first > 1 else 0], scales, *rest))
    return terminal.getvalue().rstrip().split("\r")[-1]


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("name", ["out.png", "a-photo-with-a-long-name.png"])
def test_a_bar_shows_name_share_and_time_left_on_one_line(
    columns: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = shown(monkeypatch, columns, name)
    assert len(line) <= columns
    assert line.startswith(name[:8])
    assert "%|" in line
    assert line.endswith(" left")
    assert "content" not in line
    assert "512x" not in line


def test_losses_are_for_verbose_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "stylize"):
        line = shown(monkeypatch, 120)
    assert line.startswith("out.png 128x96 2/60 ")
    assert line.endswith(" left, content 1, style 2")


def test_the_bar_of_a_resumed_run_does_not_start_at_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    def share(line: str) -> int:
        return int(line.split("%")[0].split()[-1])

    assert share(shown(monkeypatch, 80)) <= 1
    assert share(shown(monkeypatch, 80, first=55)) > 60
