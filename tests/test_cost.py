"""Time and memory: foreseen, measured, kept."""

import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from stylize import cost
from stylize.options import LARGE
from stylize.pyramid import plan


@pytest.mark.parametrize("error", [OSError, AttributeError, None])
def test_memory_is_kept_where_the_libc_can(
    error: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, ...]] = []

    def library(_: object) -> SimpleNamespace:
        if error is OSError:
            raise error
        names = () if error else ("mallopt", "malloc_trim")
        return SimpleNamespace(**{name: lambda *args: calls.append(args) for name in names})

    monkeypatch.setattr(cost.ctypes, "CDLL", library)
    monkeypatch.setattr(cost.sys, "platform", "linux")
    cost.keep_memory(LARGE - 1)
    assert calls == ([] if error else [(-4, 0), (-1, -1)])
    calls.clear()
    cost.keep_memory(LARGE)
    assert calls == ([] if error else [(-4, 65536), (-1, 131072), (0,)])
    calls.clear()
    monkeypatch.setattr(cost.sys, "platform", "win32")
    cost.keep_memory(1)
    assert not calls


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak begins anew on Linux alone"
)
def test_the_peak_is_that_of_the_picture() -> None:
    def held(megabytes: int) -> int:
        cost.measure_anew()
        before = cost.peak() or 0
        np.ones(megabytes * 2**20, np.uint8).sum()
        return (cost.peak() or 0) - before

    cost.keep_memory(LARGE)  # what is freed goes back, so that it can be seen
    assert 150e6 < held(200) < 260e6
    assert held(20) < 60e6, "what another one needed before does not count"


def test_the_peak_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_proc(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("builtins.open", no_proc)
    cost.measure_anew()
    monkeypatch.setattr(cost.sys, "platform", "win32")
    assert cost.peak() is None
    if sys.platform != "win32":
        monkeypatch.setattr(cost.sys, "platform", "darwin")
        darwin = cost.peak() or 0
        monkeypatch.setattr(cost.sys, "platform", "freebsd")
        assert (cost.peak() or 0) >= darwin * 1024 > 0


def test_foreseen() -> None:
    """Twice the iterations take twice as long, two threads half; four times the pixels, more."""
    scales = plan((512, 384), 100, "normal", 1, 16)
    once = cost.foreseen(scales, "float32", 1)
    assert cost.foreseen(plan((512, 384), 200, "normal", 1, 16), "float32", 1).seconds == (
        pytest.approx(2 * once.seconds)
    )
    assert cost.foreseen(scales, "float32", 2).seconds == once.seconds / 2
    half = cost.foreseen(scales, "bfloat16", 1)
    assert half.seconds < once.seconds
    assert half.memory < once.memory
    larger = cost.foreseen(plan((2048, 1536), 100, "normal", 1, 16), "float32", 1)
    assert larger.seconds == pytest.approx(16 * once.seconds)
    assert larger.memory > 4 * once.memory
