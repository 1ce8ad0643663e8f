"""When checkpoints are saved. What is in them is shown in tests/transfer/test_checkpoint.py."""

import itertools
import time
from typing import Any

import pytest

from stylize.callbacks.autosave import PARTS, Autosave


class Clock:
    """A clock that a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(("saving", "pause"), [(1.0, 60.0), (30.0, 30.0 * (PARTS - 1))])
def test_saving_takes_a_small_part_of_the_time(
    saving: float, pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    saved: list[float] = []

    class Checkpoint:
        def save(self, path: str, untyped: int) -> None:
            saved.append(clock.now)
            clock.now += saving

    class Step:
        checkpoint = Checkpoint

    step: Any = Step()
    autosave = Autosave("out.png.checkpoint", 60)
    while len(saved) < 3:
        clock.now += 1
        autosave(step)
    assert [later - earlier for earlier, later in itertools.pairwise(saved)] == [
        pytest.approx(saving + pause, abs=1)
    ] * 2
