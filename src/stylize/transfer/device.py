"""The device that computes: its choice, its precision, its threads, its free memory."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import DeviceError
from . import memory


def pick_device(requested: str) -> torch.device:
    """The device that was asked for, or the best one there is.

    Args:
        requested: a value of `--device`.

    Raises:
        DeviceError: there is no such device.
    """
    gpus = cuda_devices()
    mps = torch.backends.mps.is_available()
    if requested == "auto":
        return torch.device("cuda" if gpus else "mps" if mps else "cpu")
    device = torch.device(requested)
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise DeviceError(f"--device {requested}: torch sees {gpus} CUDA devices here; try cpu")
    if device.type == "mps" and not mps:
        raise DeviceError(f"--device {requested}: torch sees no Apple GPU here; try cpu")
    return device


def cuda_devices() -> int:
    """How many CUDA devices there are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of a missing driver when merely asked
        return torch.cuda.device_count() if torch.cuda.is_available() else 0


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


def device_of_worker(requested: str, number: int) -> str:
    """The value of `--device` for one of several workers: with several CUDA devices, one for each.

    Args:
        requested: the value that was given.
        number: of the worker, from 0.
    """
    if requested in ("auto", "cuda") and (gpus := cuda_devices()) > 1:
        return f"cuda:{number % gpus}"
    return requested


def free_memory(device: torch.device, processes: int = 1) -> float:
    """Bytes on a device that can be used for what `memory.Need` counts.

    Args:
        device: where the network is or will be.
        processes: how many processes will have a network in the machine's memory.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
        left, _ = torch.cuda.mem_get_info(device)
        return float(left)
    # An Apple GPU shares the machine's memory.
    return memory.available(processes)


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement for `peak_memory`."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """The most bytes in use on a CUDA device since `reset_peak_memory`; None for other devices."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


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
