"""How much memory there is, where containers limit it."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from stylize.transfer import memory as room

GB = 10**9


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The control groups of a machine with 8 GB free; /proc/self/cgroup is `tmp_path/mine`."""
    monkeypatch.setattr(room, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(room, "MINE", tmp_path / "mine")
    free = SimpleNamespace(available=8 * GB)
    monkeypatch.setattr(room.psutil, "virtual_memory", lambda: free)
    return tmp_path


def group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{text}\n")


def test_no_groups(system: Path) -> None:
    assert room.free() == 8 * GB


def test_no_limits(system: Path) -> None:
    (system / "mine").write_text("0::/user/me\n")
    group(system / "cgroup" / "user" / "me", memory_max="max", memory_current=GB)
    assert room.free() == 8 * GB


def test_a_limit_of_version_2(system: Path) -> None:
    (system / "mine").write_text("0::/\n")
    group(
        system / "cgroup",
        memory_max=4 * GB,
        memory_current=3 * GB,
        memory_stat=f"anon 5\ninactive_file {GB // 2}\nactive_file {GB // 2}\n",
    )
    assert room.free() == 2 * GB, "files that can be read again are no use of memory"


def test_the_limit_of_a_group_around(system: Path) -> None:
    (system / "mine").write_text("0::/outer/inner\n")
    group(system / "cgroup" / "outer", memory_max=2 * GB, memory_current=GB)
    group(system / "cgroup" / "outer" / "inner", memory_max=6 * GB, memory_current=GB)
    assert room.free() == GB


def test_version_1_in_a_container(system: Path) -> None:
    """Where the path is one outside."""
    (system / "mine").write_text("5:devices:/\n4:cpu,memory:/docker/abc\n0::/\n")
    files = {
        "memory.limit_in_bytes": 3 * GB,
        "memory.usage_in_bytes": 2 * GB,
        "memory.stat": f"total_inactive_file {GB // 2}",
    }
    folder = system / "cgroup" / "memory"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(str(text))
    assert room.free() == 3 * GB // 2


def test_never_less_than_nothing(system: Path) -> None:
    (system / "mine").write_text("0::/\n")
    group(system / "cgroup", memory_max=GB, memory_current=2 * GB)
    assert room.free() == 0


def test_held() -> None:
    assert 50e6 < room.held() < 50e9
