"""How much memory there is to be had: of the machine, and of the container. No torch."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil

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
