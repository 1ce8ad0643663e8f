"""How fast the machine paints, by a clock of our own."""

from types import SimpleNamespace

import pytest

from stylize import Options
from stylize.transfer import pace
from stylize.transfer.scales import FIXED_COST


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
    assert measured == pytest.approx(seconds / (48 * 32 + FIXED_COST))
    assert clock.calls == evaluations
