"""What is shared by workers and by pictures: threads, memory, CUDA devices, the network."""

import logging

import pytest
import torch
from conftest import Painter, pretend_gpus

from stylize import Options
from stylize.cli.resources import Inputs, Resources
from stylize.transfer import device, memory

pytestmark = pytest.mark.usefixtures("painter")


@pytest.fixture(autouse=True)
def _whole_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the test, this process has all of the memory again."""
    monkeypatch.setattr(memory, "_share", memory._share)


@pytest.mark.parametrize(
    ("requested", "devices", "expected"),
    [
        ("auto", 2, ["cuda:0", "cuda:1", "cuda:0"]),
        ("cuda", 3, ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda:1", 3, ["cuda:1"] * 3),
        ("auto", 1, ["auto"] * 3),
        ("auto", 0, ["auto"] * 3),
        ("cpu", 2, ["cpu"] * 3),
    ],
)
def test_each_worker_has_its_own_cuda_device(
    requested: str, devices: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_gpus(monkeypatch, "cuda", devices)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    options = Options(device=requested)
    used = [Resources(number, 3).stylizer(options, Inputs()).options.device for number in range(3)]
    assert used == expected
    assert Resources().stylizer(options, Inputs()).options.device == requested, (
        "a single worker chooses"
    )


def test_workers_divide_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = 8

    def set_threads(number: int) -> None:
        nonlocal threads
        threads = number

    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch, "set_num_threads", set_threads)
    Resources().stylizer(Options(), Inputs())
    assert threads == 8
    resources = Resources(1, 3)
    for _ in range(2):
        resources.stylizer(Options(), Inputs())
        assert threads == 2
    Resources(0, 20).stylizer(Options(), Inputs())
    assert threads == 1


def test_workers_divide_the_memory_that_was_free_before_they_loaded_a_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "free", lambda: 100e9)
    Resources(0, 4)
    assert memory.available() == 100e9 / 4 - memory.BASE_BYTES


def test_the_network_stays_loaded_while_its_options_are_the_same() -> None:
    resources = Resources()
    first = resources.stylizer(Options(seed=1), Inputs())
    assert resources.stylizer(Options(seed=2), Inputs()) is first
    assert resources.stylizer(Options(pooling="max"), Inputs()) is not first
    assert len(Painter.calls) == 2


def test_one_worker_says_that_a_gpu_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(device, "unused_gpu", lambda: "there is a GPU here")
    for number in (0, 1):
        Resources(number, 2).stylizer(Options(), Inputs())
    Resources().stylizer(Options(device="cpu"), Inputs())
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == ["there is a GPU here"]
