"""What workers share: the processor, and the CUDA devices if there are several."""

from typing import Any

import pytest
import torch
from conftest import Painter

from stylize import Options
from stylize.cli.single import Studio

pytestmark = pytest.mark.usefixtures("painter")


@pytest.mark.parametrize(
    ("wanted", "devices", "expected"),
    [
        ("auto", 2, ["cuda:0", "cuda:1", "cuda:0"]),
        ("cuda", 3, ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda:1", 3, ["cuda:1"] * 3),
        ("auto", 1, ["auto"] * 3),
        ("auto", 0, ["auto"] * 3),
        ("cpu", 2, ["cpu"] * 3),
    ],
)
def test_one_worker_a_device(
    wanted: str, devices: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: devices > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    options = Options(device=wanted)
    made = [Studio(number, 3).painter(options).options.device for number in range(3)]
    assert made == expected
    assert Studio().painter(options).options.device == wanted, "alone, as asked for"


def test_threads_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = 8

    def set_threads(number: int) -> None:
        nonlocal threads
        threads = number

    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch, "set_num_threads", set_threads)
    Studio().painter(Options())
    assert threads == 8
    studio = Studio(1, 3)
    for _ in range(2):
        studio.painter(Options())
        assert threads == 2
    Studio(0, 20).painter(Options())
    assert threads == 1


def test_the_network_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio()
    first: Any = studio.painter(Options(seed=1))
    assert studio.painter(Options(seed=2)) is first
    assert studio.painter(Options(pooling="max")) is not first
    assert len(Painter.calls) == 2
