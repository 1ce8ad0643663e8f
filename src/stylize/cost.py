"""What a picture costs in time and memory, foreseen and measured. No torch."""

import contextlib
import ctypes
import sys
from collections.abc import Sequence
from typing import NamedTuple

from .options import LARGE
from .pyramid import Scale

#: Fitted to runs of 128 to 1448 pixels square on two cores (AVX512-BF16), by precision: seconds of
#: one core for a pixel evaluated, and bytes a pixel of the result at their peak.
CORE_SECONDS = {"bfloat16": 4.1e-6, "float32": 7.8e-6}
BYTES = {"bfloat16": 900, "float32": 1550}
#: Pictures below `LARGE` take more, because freed memory is kept for speed.
BYTES_KEPT = {"bfloat16": 1600, "float32": 2350}
#: Libraries, network, and what reading a photo takes; and the seconds until they are there.
BASE_BYTES, START_SECONDS = 0.88e9, 4.0


class Cost(NamedTuple):
    """What a picture takes.

    Attributes:
        seconds: of wall time, once the network is there.
        memory: of the process at its peak, in bytes.
    """

    seconds: float
    memory: float


def foreseen(scales: Sequence[Scale], precision: str, threads: int) -> Cost:
    """An estimate for a processor like the one it was fitted to; others differ by some factor.

    Args:
        scales: of the run, coarse to fine.
        precision: of the network, "float32" or "bfloat16".
        threads: of the run.
    """
    seconds = sum(scale.work for scale in scales) * CORE_SECONDS[precision] / threads
    pixels = scales[-1].width * scales[-1].height
    each = (BYTES_KEPT if pixels < LARGE else BYTES)[precision]
    return Cost(seconds, BASE_BYTES + each * pixels)


def keep_memory(pixels: int) -> None:
    """Have glibc keep what it frees, for small pictures: 6 % of a run goes into fetching it again.

    By default each large tensor is mapped from the system and given back, and every page of it is
    cleared by the kernel when next touched. In a process of our own this may be chosen.
    What is kept is never quite the right size, though: where memory is what limits, it is not done.

    Args:
        pixels: of the picture that comes next.
    """
    # M_MMAP_MAX and M_TRIM_THRESHOLD: map nothing, give nothing back; or glibc's own values.
    mapped, trimmed = (0, -1) if pixels < LARGE else (65536, 128 * 1024)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another libc
            libc = ctypes.CDLL(None)
            libc.mallopt(-4, mapped)
            libc.mallopt(-1, trimmed)
            if trimmed > 0:
                libc.malloc_trim(0)


def measure_anew() -> None:
    """Let `peak` begin again, where the system can: on Linux."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")


def peak() -> int | None:
    """The most memory that this process held since `measure_anew`, or since its start, in bytes.

    None where the system does not tell.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open("/proc/self/status") as status:
            lines = [line for line in status if line.startswith("VmHWM:")]
        return int(lines[0].split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
