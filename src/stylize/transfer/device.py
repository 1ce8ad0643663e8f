"""The machine that computes: which device, in which precision, with how many threads."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import DeviceError
from . import memory as cost
from . import memory as room


def pick(wanted: str) -> torch.device:
    """The device asked for, or the best there is.

    Raises:
        DeviceError: it is not there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of a missing driver when merely asked
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = torch.backends.mps.is_available()
    if wanted == "auto":
        return torch.device("cuda" if gpus else "mps" if mps else "cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise DeviceError(f"--device {wanted}: torch sees {gpus} CUDA devices here; try cpu")
    if device.type == "mps" and not mps:
        raise DeviceError(f"--device {wanted}: torch sees no Apple GPU here; try cpu")
    return device


def dtype(precision: str, device: torch.device) -> torch.dtype:
    """What the network computes in: `"auto"` takes bfloat16 where it is native, hence faster."""
    if precision != "auto":
        return torch.float32 if precision == "float32" else torch.bfloat16
    native = False
    if device.type == "cpu":
        can = torch.cpu.get_capabilities()
        native = bool(can.get("avx512_bf16") or can.get("amx_bf16"))
    elif device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere
    return torch.bfloat16 if native else torch.float32


def name(dtype: torch.dtype) -> str:
    """As `--precision` has it."""
    return str(dtype).removeprefix("torch.")


def measure_anew(device: torch.device) -> None:
    """Let `peak` begin again."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak(device: torch.device) -> int | None:
    """The most memory in use on a CUDA device since `measure_anew`, in bytes; None for others."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def free(device: torch.device, networks: int = 1) -> float:
    """Bytes that can be had for what `cost.Memory` foresees.

    Args:
        device: where the network is, or will be.
        networks: how many processes will have one in the machine's memory; what they, libraries
            included, do not hold yet is not free.
    """
    cost.give_back()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        left, _ = torch.cuda.mem_get_info(device)
        return float(left)
    # An Apple GPU shares the machine's memory.
    return room.free() - max(0, networks * cost.BASE_BYTES - room.held())


@contextmanager
def memory_told(told: str) -> Iterator[None]:
    """Turn the several ways in which memory runs out into one error.

    Args:
        told: what is said then.

    Raises:
        DeviceError: it did.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # CUDA has a class for it; the CPU's allocator and MPS only have words.
        words = (
            "out of memory",
            "not enough memory",
            "can't allocate memory",
            "could not create a primitive",  # oneDNN's way to say it
        )
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and not any(
            word in str(error) for word in words
        ):
            raise
        raise DeviceError(told) from error


@contextmanager
def threads(wanted: int) -> Iterator[None]:
    """Use as many threads as asked for, 0 being torch's own number, which is put back."""
    before = torch.get_num_threads()
    # Set even when unchanged: from then on MKL keeps to that number instead of choosing by the
    # load of the machine, and the same run gives the same bits.
    torch.set_num_threads(wanted or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
