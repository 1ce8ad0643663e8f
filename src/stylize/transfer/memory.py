"""What a picture costs in time and memory, foreseen and measured. No torch."""

import contextlib
import ctypes
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from ..errors import DeviceError
from ..network.names import LAYERS, values_a_pixel
from ..settings.options import LARGE
from .scales import Scale

#: L-BFGS: pairs kept, by the size of the picture alone. More than 20 gained nothing; each costs
#: 24 bytes a pixel, which tells where pictures are large.
HISTORY, HISTORY_OF_LARGE = 20, 6

#: Fitted to runs of 128 to 2048 pixels on two cores (AVX512-BF16): seconds of one core for a pixel
#: evaluated, by precision, and the seconds until the network is there.
CORE_SECONDS = {"bfloat16": 4.1e-6, "float32": 7.8e-6}
START_SECONDS = 4.0
#: Likewise, in bytes: libraries, network and what reading a photo takes; and for each pixel, the
#: pictures that are neither activations nor L-BFGS's.
BASE_BYTES, OTHER_BYTES = 0.86e9, 112
#: What memory that is kept for speed adds to pictures below `LARGE`.
KEPT = 1.1
#: What `--size fit` takes of the memory that is free, because it is an estimate; and pixels that
#: the longer side of anything worth painting has.
MARGIN, SMALLEST = 0.9, 64
#: Bytes of a value.
_WIDTHS = {"bfloat16": 2, "float32": 4}


def history(pixels: int) -> int:
    """Pairs that L-BFGS remembers for a picture of that many pixels."""
    return HISTORY if pixels < LARGE else HISTORY_OF_LARGE


@dataclass(frozen=True)
class Memory:
    """What a run needs beside libraries and network, which `BASE_BYTES` stands for.

    Nothing is estimated here but `OTHER_BYTES` and `KEPT`: the activations of all layers down to
    the deepest, as `Vgg19.backward` needs them, one more for its gradient, the photo's features,
    and two pictures for each pair of L-BFGS. `tests/benchmarks/memory.py` measures.

    Attributes:
        precision: of the network, "float32" or "bfloat16".
        content_layers, style_layers: in use.
        optimizer: as in `Options`.
    """

    precision: str
    content_layers: Collection[str]
    style_layers: Collection[str]
    optimizer: str

    def __call__(self, pixels: int) -> int:
        """Bytes at the peak, for a result of that many pixels."""
        return round(pixels * self._each(pixels))

    def most(self, room: float, pixels: int) -> int:
        """Pixels of the largest result, of that many at most, that needs `room` bytes or fewer."""
        large = int(room / self._each(LARGE))
        if min(large, pixels) >= LARGE:
            return min(large, pixels)
        return min(int(room / self._each(1)), LARGE - 1, pixels)

    def _each(self, pixels: int) -> float:
        deepest = max(LAYERS.index(layer) for layer in (*self.content_layers, *self.style_layers))
        kept = [*LAYERS[: deepest + 1], LAYERS[deepest], *self.content_layers]
        values = sum(map(values_a_pixel, kept))
        # Adam has two means, and both are copied, with the picture, for a checkpoint.
        pairs = history(pixels) if self.optimizer == "lbfgs" else 3
        each = values * _WIDTHS[self.precision] + 24 * pairs + OTHER_BYTES
        return each * KEPT if pixels < LARGE else each


def fitted(size: tuple[int, int], smaller: bool, need: Memory, room: float) -> int:
    """The longer side at which there is memory for a result.

    Args:
        size: (width, height) that is wanted.
        smaller: whether it may be smaller than that.
        need: of the run.
        room: bytes that can be had.

    Raises:
        DeviceError: there is no memory for it; the message says for what there is.
    """
    pixels = size[0] * size[1]
    if need(pixels) <= (MARGIN if smaller else 1) * room:
        return max(size)
    side = int(max(size) * (need.most(MARGIN * room, pixels) / pixels) ** 0.5)
    if smaller and side >= SMALLEST:
        return side
    told = f"needs {need(pixels) / 1e9:.2f} GB of memory beyond the network's"
    instead = f"--size {side} fits" if side >= SMALLEST else "not even a small one fits here now"
    raise DeviceError(
        f"a result of {size[0]} x {size[1]} pixels {told}, and {max(0, room) / 1e9:.2f} are free;"
        f" {instead}"
    )


def seconds(scales: Sequence[Scale], precision: str, threads: int) -> float:
    """Of wall time, once the network is there; other processors differ by some factor.

    Args:
        scales: of the run, coarse to fine.
        precision: of the network, "float32" or "bfloat16".
        threads: of the run.
    """
    return sum(scale.work for scale in scales) * CORE_SECONDS[precision] / threads


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
        give_back()


def give_back() -> None:
    """Have glibc return what it keeps and nobody uses, so that the system counts it as free."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


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


#: Where Linux shows the control groups, which containers and services are limited by.
CGROUPS = Path("/sys/fs/cgroup")
#: And where it says which this process is in.
MINE = Path("/proc/self/cgroup")


def free() -> int:
    """Bytes that this process can have beside what it holds, without anything being swapped out."""
    return max(0, min([psutil.virtual_memory().available, *_left_in_groups()]))


def held() -> int:
    """Bytes that this process holds now."""
    return int(psutil.Process().memory_info().rss)


def _left_in_groups() -> Iterator[int]:
    """What each control group that this process is in leaves it; none where there are no limits.

    A group of version 2 is limited by those around it as well. What it counts as used includes
    files that were read and can be read again: these do not count here.
    """
    with contextlib.suppress(OSError):
        for line in MINE.read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if not kinds:
                names = ("memory.max", "memory.current")
                place = CGROUPS / path.strip("/")
                around = [p for p in (place, *place.parents) if p.is_relative_to(CGROUPS)]
            elif "memory" in kinds.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
                # In a container the path is that of the machine outside, and is not there.
                around = [CGROUPS / "memory" / path.strip("/"), CGROUPS / "memory"]
            else:
                continue
            for group in around:
                with contextlib.suppress(OSError, ValueError):  # no such file; "max" is no number
                    limit, used = (int((group / name).read_text()) for name in names)
                    yield limit - used + _files(group / "memory.stat")


def _files(statistics: Path) -> int:
    """Bytes of files that a group has read."""
    found = 0
    with contextlib.suppress(OSError):
        words = statistics.read_text().split()
        counters = dict(zip(words[::2], map(int, words[1::2]), strict=True))
        for kind in ("inactive_file", "active_file"):  # of groups within as well, in version 1
            found += counters.get(f"total_{kind}", counters.get(kind, 0))
    return found
