"""Memory: how much painting needs, how much is free, and what fits. No torch.

On Linux also how freed memory is treated, and the peak that a process reached.
"""

import bisect
import contextlib
import ctypes
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from ..errors import DeviceError
from ..network.names import LAYERS, values_per_pixel
from . import strips

#: Pixels from which saving memory counts for more than speed.
LARGE = 600_000
#: What the libraries, the network and reading a picture take, in bytes. Like the next four it is
#: fitted to runs of 256 to 2048 pixels.
BASE_BYTES = 0.77e9
#: Bytes for each pixel beside what the network and the optimiser store.
OTHER_BYTES = 112
#: Bytes for each pixel of the result and of the style image before the first evaluation of a scale.
START_BYTES, START_STYLE_BYTES = 85, 22
#: Factor for freed memory that is kept for speed, with pictures below `LARGE`.
FREED_FACTOR = 1.05
#: What Winograd's algorithm takes beside that for each pixel, in float32, and at most:
#: `network.convolution` computes large feature maps in strips.
TILE_BYTES, MOST_TILE_BYTES = 1800, 0.32e9
#: Values for each pixel of a strip that computing the content image's features takes.
CONTENT_VALUES = 100
#: Share of the free memory that `--size fit` uses, because the need is an estimate.
MARGIN = 0.9
#: Pixels of the longer side below which no size is suggested.
SMALLEST = 64
#: Bytes of one value.
_WIDTHS = {"bfloat16": 2, "float32": 4}

#: Where Linux shows the control groups, by which containers and services are limited.
CGROUPS = Path("/sys/fs/cgroup")
#: Where Linux says which control groups this process is in.
OWN_CGROUPS = Path("/proc/self/cgroup")

#: The part of the memory that is this process's, in bytes, where several processes share it.
_share = float("inf")


# What painting needs


@dataclass(frozen=True)
class Need:
    """The bytes that painting needs beyond `BASE_BYTES`, as a function of the number of pixels.

    It adds up the activations of all layers down to the deepest, as `Vgg19.backward` needs them, of
    the whole picture or of a strip; that layer once more for its gradient; the features of the
    content image; and what the optimiser stores. The constants above are estimates;
    `tests/benchmarks/memory.py` measures the sum.

    Attributes:
        precision: of the network, "float32" or "bfloat16".
        content_layers, style_layers: in use.
        stored_pictures: `Optimizer.stored_pictures` of the optimiser: how many float32 pictures of
            so many pixels it stores.
        proportions: width of the picture, divided by its height: strips have full width.
        style_scale: the option.
    """

    precision: str
    content_layers: Collection[str]
    style_layers: Collection[str]
    stored_pictures: Callable[[int], int]
    proportions: float = 1.0
    style_scale: float = 1.0

    def __call__(self, pixels: int) -> int:
        """Bytes at the peak, for a result of so many pixels."""
        tiles = min(TILE_BYTES * pixels, MOST_TILE_BYTES) if self.precision == "float32" else 0
        pictures = 3 * 4 * self.stored_pictures(pixels) + OTHER_BYTES  # channels x bytes
        in_network = self._values(pixels) * _WIDTHS[self.precision]
        freed = FREED_FACTOR if pixels < LARGE else 1
        at_start = (START_BYTES + START_STYLE_BYTES * self.style_scale**2) * pixels
        return round(max((pixels * pictures + in_network) * freed + tiles, at_start))

    def most_pixels(self, limit: float, pixels: int) -> int:
        """Pixels of the largest result that needs at most `limit` bytes; no more than `pixels`."""
        # The need grows with the pixels all but steadily, and falls at these.
        falls = [1, LARGE, strips.LARGE, strips.VERY_LARGE]
        for least, end in zip(falls[::-1], [None, *falls[:0:-1]], strict=True):
            sizes = range(least, min(pixels + 1, end or pixels + 1))
            fitting = bisect.bisect_right(sizes, limit, key=self)
            if fitting:
                return sizes[fitting - 1]
        return 0

    def _values(self, pixels: int) -> float:
        """How many values are stored at once: activations, and features of the content image."""
        depth = max(LAYERS.index(layer) for layer in (*self.content_layers, *self.style_layers))
        used = LAYERS[: depth + 1]
        if pixels < strips.LARGE:
            content = sum(map(values_per_pixel, self.content_layers))
            return (content + _activations(used)) * pixels
        width = round((pixels * self.proportions) ** 0.5)
        at_once = min(pixels, strips.pixels_at_once(width))
        shallow, *deeper = strips.cut(used, rows=1)
        if pixels < strips.VERY_LARGE:
            shown = [layer for layer in shallow.layers if layer in self.content_layers]
            kept = float(pixels * sum(map(values_per_pixel, shown)))
            needs = [_activations(shallow.layers) * at_once]
        else:  # features of the content image are computed while activations are there
            kept = 0.0
            needs = [(_activations(shallow.layers) + CONTENT_VALUES) * at_once]
        for segment in deeper:
            # Features of the content image; what the pooling before it gives, half as much as its
            # first layer; and its gradient.
            layers = [layer for layer in segment.layers if layer in self.content_layers]
            kept += pixels * sum(map(values_per_pixel, [*layers, segment.layers[0]]))
            needs.append(_activations(segment.layers) * min(pixels, 4 * at_once))
        return kept + max(needs)


def _activations(layers: Sequence[str]) -> float:
    """Values a pixel: all activations of some layers, and the gradient at the deepest one."""
    return sum(map(values_per_pixel, layers)) + values_per_pixel(layers[-1])


def fitting_side(size: tuple[int, int], may_shrink: bool, need: Need, available: float) -> int:
    """The longer side, in pixels, of a result for which there is memory.

    Args:
        size: (width, height) that is wanted.
        may_shrink: whether a smaller size is acceptable.
        need: of the run.
        available: bytes that can be used.

    Raises:
        DeviceError: there is too little memory; the message says what size would fit.
    """
    pixels = size[0] * size[1]
    if need(pixels) <= (MARGIN if may_shrink else 1) * available:
        return max(size)
    side = int(max(size) * (need.most_pixels(MARGIN * available, pixels) / pixels) ** 0.5)
    if may_shrink and side >= SMALLEST:
        return side
    advice = f"--size {side} fits" if side >= SMALLEST else "not even a small one fits here now"
    raise DeviceError(
        f"a result of {size[0]} x {size[1]} pixels needs {_gigabytes(need(pixels))} of memory"
        f" beyond the network's, {_gigabytes(max(0, available))} free; {advice}"
    )


def _gigabytes(number: float) -> str:
    """Bytes in words, to two digits or the whole number."""
    gigabytes = number / 1e9
    return f"{gigabytes:.{0 if gigabytes >= 9.95 else 1 if gigabytes >= 0.95 else 2}f} GB"


# What is free


def free() -> int:
    """Bytes that this process can still allocate without anything being swapped out."""
    return max(0, min([psutil.virtual_memory().available, *_free_in_cgroups()]))


def resident() -> int:
    """Bytes that this process holds now."""
    return int(psutil.Process().memory_info().rss)


def available(processes: int = 1) -> float:
    """Bytes of free memory that can be used for what `Need` counts.

    Args:
        processes: how many processes will load the libraries and a network. What they have not
            loaded yet is not available.
    """
    return_freed_memory()
    return min(free() - max(0, processes * BASE_BYTES - resident()), _share)


def share_among(processes: int) -> None:
    """From now on, let `available` be at most this process's part of what is free now.

    Each of several processes calls this before any of them has loaded the network.

    Args:
        processes: how many share the memory.
    """
    global _share
    _share = free() / processes - BASE_BYTES


def _free_in_cgroups() -> Iterator[int]:
    """What each control group that this process is in leaves; nothing where there are no limits.

    A group of version 2 is limited by the groups around it as well. What a group counts as used
    includes files that were read and can be read again; these are not counted here.
    """
    with contextlib.suppress(OSError):
        for line in OWN_CGROUPS.read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if not kinds:
                names = ("memory.max", "memory.current")
                inner = CGROUPS / path.strip("/")
                groups = [p for p in (inner, *inner.parents) if p.is_relative_to(CGROUPS)]
            elif "memory" in kinds.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
                # In a container the path is that of the host, and does not exist.
                groups = [CGROUPS / "memory" / path.strip("/"), CGROUPS / "memory"]
            else:
                continue
            for group in groups:
                with contextlib.suppress(OSError, ValueError):  # no such file; "max" is no number
                    limit, used = (int((group / name).read_text()) for name in names)
                    yield limit - used + _file_bytes(group / "memory.stat")


def _file_bytes(statistics: Path) -> int:
    """Bytes of files that a control group has read."""
    total = 0
    with contextlib.suppress(OSError):
        words = statistics.read_text().split()
        counters = dict(zip(words[::2], map(int, words[1::2]), strict=True))
        for kind in ("inactive_file", "active_file"):  # version 1 also has totals with subgroups
            total += counters.get(f"total_{kind}", counters.get(kind, 0))
    return total


# What is freed


def keep_freed_memory(pixels: int) -> None:
    """Let glibc keep what it frees, for small pictures: allocating it again takes 6 % of a run.

    By default each large tensor is mapped from the system and given back, and the kernel clears
    every page of it when it is next touched. A command may choose this for its own process. What is
    kept never has quite the right size, though, so that it is not done for large pictures.

    Args:
        pixels: of the picture that is painted next.
    """
    # M_MMAP_MAX and M_TRIM_THRESHOLD: map nothing and give nothing back, or glibc's own values.
    mapped, trimmed = (0, -1) if pixels < LARGE else (65536, 128 * 1024)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another libc
            libc = ctypes.CDLL(None)
            libc.mallopt(-4, mapped)
            libc.mallopt(-1, trimmed)
    if trimmed > 0:
        return_freed_memory()


def return_freed_memory() -> None:
    """Let glibc return what it keeps and nobody uses, so that the system counts it as free."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


# What was used


def reset_peak() -> None:
    """Start a new measurement for `peak`, where the system can: on Linux."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")


def peak() -> int | None:
    """The most memory that this process used since `reset_peak`, or since its start, in bytes.

    None where the system does not say.
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
