"""The device that computes: its choice, its precision, its threads, its free memory."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import DeviceError
from ..silence import warnings_silenced
from . import memory

#: GPUs with memory of their own, as torch names them: NVIDIA's and AMD's (cuda), Intel's (xpu).
#: Apple's (mps) shares the machine's memory.
GPUS_WITH_MEMORY = ("cuda", "xpu")


#: The process that first painted; None before that.
_painter: int | None = None


def check_not_forked() -> None:
    """Check that this process is not a copy of one that has painted.

    A copy made by `os.fork` has none of torch's threads, and would wait for them for ever.

    Raises:
        DeviceError: it is such a copy.
    """
    global _painter
    _painter = _painter or os.getpid()
    if _painter != os.getpid():
        raise DeviceError(
            "a forked process cannot paint once its parent has; start it with"
            ' multiprocessing.get_context("spawn")'
        )


def pick_device(requested: str) -> torch.device:
    """The device that was asked for, or the best one there is.

    Args:
        requested: a value of `--device`.

    Raises:
        DeviceError: there is no such device.
    """
    if requested == "auto":
        return torch.device(accelerator() or "cpu")
    device = torch.device(requested)
    if device.type != "cpu" and (device.index or 0) >= (count := device_count(device.type)):
        raise DeviceError(
            f"--device {requested}: torch sees {count} {device.type} devices here; try cpu"
        )
    return device


def accelerator() -> str | None:
    """The kind of GPU that torch can use here: "cuda", "mps" or "xpu"; None without one.

    A build of torch supports one kind.
    """
    with warnings_silenced():  # torch warns of a missing driver when merely asked
        device = torch.accelerator.current_accelerator(check_available=True)
    return device.type if device else None


def device_count(kind: str) -> int:
    """How many GPUs of a kind there are."""
    return torch.accelerator.device_count() if kind == accelerator() else 0


def unused_gpu() -> str | None:
    """A sentence about a GPU that is here and that torch cannot use; None without a sign of one.

    Only of NVIDIA's and Apple's are the signs certain.
    """
    if accelerator():
        return None
    if shutil.which("nvidia-smi") or os.path.exists("/proc/driver/nvidia/version"):
        maker = "an NVIDIA"
    elif sys.platform == "darwin" and platform.machine() == "arm64":
        maker = "an Apple"
    else:
        return None
    return (
        f"there is {maker} GPU here, but torch {torch.__version__} cannot use it, so the processor"
        " paints; https://pytorch.org/get-started tells which build of torch can"
    )


def describe(device: torch.device) -> str:
    """A device in words: "cpu", or "cuda (NVIDIA H100)"."""
    if device.type not in GPUS_WITH_MEMORY:
        return device.type
    return f"{device} ({torch.get_device_module(device).get_device_name(device)})"


def in_words(device: torch.device, precision: str) -> str:
    """What computes, and on a processor why: "no GPU found, 2 threads, float32"."""
    if device.type != "cpu":
        return f"{describe(device)}, {precision}"
    if accelerator():
        why = "on the processor, as --device says"
    else:
        why = "torch cannot use the GPU" if unused_gpu() else "no GPU found"
    threads = thread_count()
    return f"{why}, {threads} thread{'s' * (threads != 1)}, {precision}"


def network_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type that the network computes in.

    Args:
        precision: a value of `--precision`; `"auto"` takes bfloat16 where the hardware has it, and
            it is therefore faster.
        device: where the network computes.
    """
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    native = False
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        native = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    elif device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere
    elif device.type == "xpu":
        native = torch.xpu.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float32


def precision_name(dtype: torch.dtype) -> str:
    """The type as `--precision` writes it."""
    return str(dtype).removeprefix("torch.")


def thread_count() -> int:
    """How many threads torch uses."""
    return torch.get_num_threads()


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Use a number of threads in a block; afterwards the number is as before.

    Args:
        count: how many; 0 for as many as torch uses now.
    """
    before = torch.get_num_threads()
    # Set even where it does not change: from then on MKL uses that number instead of choosing one
    # by the load of the machine, and the same run gives the same bits.
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def share_threads(workers: int) -> None:
    """From now on, use this process's part of the threads, where several processes share them."""
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))


def fix_threads(count: int) -> None:
    """From now on, use this number of threads."""
    torch.set_num_threads(count)


def device_of_worker(requested: str, number: int) -> str:
    """The value of `--device` for one of several workers: with several GPUs, one for each.

    Args:
        requested: the value that was given.
        number: of the worker, from 0.
    """
    kind = accelerator()
    if kind and requested in ("auto", kind) and (count := device_count(kind)) > 1:
        return f"{kind}:{number % count}"
    return requested


@contextmanager
def reproducible() -> Iterator[None]:
    """On an NVIDIA GPU compute the same bits each time in a block, and float32 in full precision.

    By default cuDNN takes algorithms that add in any order, and rounds float32 to 10 bits (TF32).
    """
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield


def free_memory(device: torch.device, processes: int = 1) -> float:
    """Bytes on a device that can be used for what `memory.Need` counts.

    Args:
        device: where the network is or will be.
        processes: how many processes will have a network in the machine's memory.
    """
    if device.type in GPUS_WITH_MEMORY:
        torch.accelerator.empty_cache()
        left, _ = torch.accelerator.get_memory_info(device)
        return float(left)
    return memory.available(processes)


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement for `peak_memory`."""
    if device.type in GPUS_WITH_MEMORY:
        torch.accelerator.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """The most bytes in use on a GPU since `reset_peak_memory`; None without memory of its own."""
    if device.type not in GPUS_WITH_MEMORY:
        return None
    return int(torch.accelerator.max_memory_allocated(device))


@contextmanager
def memory_errors(message: str) -> Iterator[None]:
    """Turn the several ways in which memory runs out into one error.

    Args:
        message: of that error.

    Raises:
        DeviceError: memory ran out in the block.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # CUDA has an error class; the CPU's and MPS's errors are recognised by their messages.
        phrases = (
            "out of memory",
            "not enough memory",
            "can't allocate memory",
            "could not create a primitive",  # oneDNN
        )
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and not any(
            phrase in str(error) for phrase in phrases
        ):
            raise
        raise DeviceError(message) from error
