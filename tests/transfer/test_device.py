"""Which device computes, in what precision, with how many threads; with GPUs that are not there."""

import logging

import pytest
import torch
from conftest import pretend_gpus

from stylize import DeviceError, Stylizer
from stylize.transfer import device


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_the_gpu_that_torch_can_use_is_taken(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, kind, 1)
    for requested in ("auto", kind):
        assert device.pick_device(requested).type == kind
    assert device.pick_device("cpu").type == "cpu"
    for other in {"cuda", "mps", "xpu"} - {kind}:
        with pytest.raises(DeviceError, match=f"torch sees 0 {other} devices here; try cpu"):
            device.pick_device(other)


def test_one_of_several_gpus_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, "cuda", 2)
    assert device.pick_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match="--device cuda:2: torch sees 2 cuda devices"):
        device.pick_device("cuda:2")


def test_without_a_gpu_the_processor_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, "cuda", 0)
    assert device.pick_device("auto").type == "cpu"
    for requested in ("cuda", "cuda:0", "mps", "xpu"):
        with pytest.raises(DeviceError, match=f"--device {requested}: torch sees 0"):
            device.pick_device(requested)


@pytest.mark.parametrize(
    ("gpus", "command", "platform", "expected"),
    [
        (0, "nvidia-smi", "linux", "an NVIDIA GPU"),
        (0, "", "darwin", "an Apple GPU"),
        (0, "", "linux", None),
        (1, "nvidia-smi", "linux", None),
    ],
)
def test_a_gpu_that_torch_cannot_use_is_noticed(
    gpus: int, command: str, platform: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_gpus(monkeypatch, "cuda", gpus)
    monkeypatch.setattr(device.shutil, "which", lambda name: name == command)
    monkeypatch.setattr(device.os.path, "exists", lambda path: False)
    monkeypatch.setattr(device.sys, "platform", platform)
    monkeypatch.setattr(device.platform, "machine", lambda: "arm64")
    note = device.unused_gpu()
    assert (note is None) == (expected is None)
    if note and expected:
        assert note.startswith(f"there is {expected} here, but torch {torch.__version__} cannot")


def test_the_log_says_which_device_computes_and_in_what_precision(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "stylize"):
        Stylizer(device="cpu", precision="float32")
    assert "VGG-19 (auto weights) on cpu in float32" in caplog.messages
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda each: f"Card {each.index}")
    assert device.describe(torch.device("cuda:1")) == "cuda:1 (Card 1)"
    assert device.describe(torch.device("mps")) == "mps"


def test_auto_precision_is_bfloat16_where_the_hardware_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu, cuda, mps, xpu = map(torch.device, ("cpu", "cuda", "mps", "xpu"))
    for each in (cpu, cuda, mps, xpu):
        assert device.network_dtype("float32", each) == torch.float32
        assert device.network_dtype("bfloat16", each) == torch.bfloat16
    for capabilities, dtype in (
        ({}, torch.float32),
        ({"avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda result=capabilities: result)
        assert device.network_dtype("auto", cpu) == dtype
    for version, dtype in (
        ((7, 5), torch.float32),
        ((8, 0), torch.bfloat16),
        ((9, 0), torch.bfloat16),
    ):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, v=version: v)
        assert device.network_dtype("auto", cuda) == dtype
    assert device.network_dtype("auto", mps) == torch.float32
    for native, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.xpu, "is_bf16_supported", lambda native=native, **_: native)
        assert device.network_dtype("auto", xpu) == dtype


def test_on_a_gpu_float32_is_not_shortened_and_sums_are_added_in_one_order() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32
    with device.reproducible():
        assert (cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32) == (False, True, False)
    assert (cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32) == before


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_memory_of_a_gpu_is_its_own(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device(kind)
    reset: list[torch.device] = []
    monkeypatch.setattr(torch.accelerator, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda _: (3, 80))
    monkeypatch.setattr(torch.accelerator, "max_memory_allocated", lambda _: 7)
    monkeypatch.setattr(torch.accelerator, "reset_peak_memory_stats", reset.append)
    device.reset_peak_memory(gpu)
    assert (device.free_memory(gpu), device.peak_memory(gpu), reset) == (3, 7, [gpu])
    for other in ("cpu", "mps"):
        device.reset_peak_memory(torch.device(other))
        assert device.peak_memory(torch.device(other)) is None
    assert reset == [gpu]


def test_workers_share_gpus_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, "xpu", 2)
    for requested in ("auto", "xpu"):
        devices = [device.device_of_worker(requested, number) for number in range(3)]
        assert devices == ["xpu:0", "xpu:1", "xpu:0"]
    for requested in ("cpu", "cuda", "xpu:1"):
        assert device.device_of_worker(requested, 1) == requested
    pretend_gpus(monkeypatch, "xpu", 1)
    assert device.device_of_worker("auto", 1) == "auto"
    threads: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    for workers in (1, 2, 3, 9):
        device.share_threads(workers)
    assert threads == [4, 2, 1, 1]
