"""Memory: what a run is estimated to need, what is free, and how freed memory is treated."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylize import DeviceError
from stylize.transfer import memory, strips
from stylize.transfer.memory import LARGE, MARGIN, Need
from stylize.transfer.optimize import OPTIMIZERS

GB = 10**9


# What painting needs


def need_of(
    precision: str, content: list[str], style: list[str], optimizer: str = "lbfgs"
) -> memory.Need:
    return Need(precision, content, style, OPTIMIZERS[optimizer].stored_pictures)


CONTENT = ["relu2_2", "relu4_2"]
STYLE = [f"relu{block}_1" for block in range(1, 6)]
NEED = {each: need_of(each, CONTENT, STYLE) for each in ("bfloat16", "float32")}


@pytest.mark.parametrize(
    ("precision", "side", "peak"),
    [
        ("bfloat16", 256, 0.79e9),
        ("bfloat16", 512, 1.05e9),
        ("bfloat16", 1024, 1.74e9),
        ("bfloat16", 2000, 2.65e9),
        ("bfloat16", 3464, 3.94e9),  # 4000 x 3000
        ("float32", 256, 1.01e9),
        ("float32", 512, 1.67e9),
        ("float32", 1024, 2.70e9),
    ],
)
def test_the_estimate_is_within_10_percent_of_the_measured_peak(
    precision: str, side: int, peak: float
) -> None:
    """For square pictures. `tests/benchmarks/memory.py` measures it again."""
    estimate = memory.BASE_BYTES + NEED[precision](side**2)
    assert estimate == pytest.approx(peak, rel=0.1)


def test_the_estimate_depends_on_layers_and_optimizer() -> None:
    """For 1448 x 1448 pixels, against measured peaks."""
    shallow = need_of("float32", ["relu2_2"], ["relu1_1", "relu2_1"])
    adam = need_of("bfloat16", CONTENT, STYLE, "adam")
    for need, peak in ((shallow, 3.81e9), (adam, 2.44e9)):
        assert memory.BASE_BYTES + need(1448**2) == pytest.approx(peak, rel=0.06)


def test_a_style_image_that_is_shown_large_counts() -> None:
    """At four times the sides of the result its start needs more than its evaluations do."""
    shown_large = replace(NEED["bfloat16"], style_scale=4.0)
    assert shown_large(16_000_000) == pytest.approx(435 * 16_000_000, rel=0.05)
    assert replace(shown_large, style_scale=2.0)(16_000_000) == NEED["bfloat16"](16_000_000)


@settings(deadline=None)
@given(
    available=st.floats(1e6, 1e12),
    requested=st.integers(1, 10**9),
    precision=st.sampled_from(list(NEED)),
)
def test_most_pixels_is_the_largest_number_that_fits(
    available: float, requested: int, precision: str
) -> None:
    need = NEED[precision]
    most = need.most_pixels(available, requested)
    assert most <= requested
    assert need(most) <= available + 1
    at_a_fall = most in (LARGE - 1, strips.LARGE - 1, strips.VERY_LARGE - 1)
    assert most == requested or need(most + 1) > available or at_a_fall


def test_a_wide_poster_needs_more_than_a_square_one() -> None:
    """Its strips have full width, and 256 rows at least."""
    square = NEED["bfloat16"]
    wide = memory.Need("bfloat16", CONTENT, STYLE, square.stored_pictures, 12.0)
    pixels = 12_000_000
    strip = strips.pixels_at_once(12_000)
    more = wide(pixels) - square(pixels)
    assert more == pytest.approx(372 * 2 * (strip - strips.pixels_at_once(3464)), rel=0.05)
    assert wide(LARGE) == square(LARGE)


def test_a_size_that_does_not_fit_is_reduced_or_refused() -> None:
    need = NEED["bfloat16"]
    available = need(1000 * 1000) / MARGIN
    assert memory.fitting_side((900, 600), False, need, available) == 900
    assert memory.fitting_side((900, 600), True, need, available) == 900
    side = memory.fitting_side((2000, 2000), True, need, available)
    assert side == pytest.approx(1000, abs=1)
    assert need(side * side) <= MARGIN * available
    with pytest.raises(
        DeviceError, match=rf"2000 x 2000 pixels needs 1\.\d+ GB .*--size {side} fits"
    ):
        memory.fitting_side((2000, 2000), False, need, available)
    within_margin = memory.fitting_side((1010, 1010), False, need, available)
    assert within_margin == 1010, "the margin is for --size fit alone"
    # A size slightly above `LARGE` would need less, but it is larger than the requested one.
    scarce = need(LARGE - 1) - 1e6
    assert need(LARGE + 1000) < MARGIN * scarce
    assert 600 < memory.fitting_side((770, 770), True, need, scarce) < 770
    for may_shrink in (True, False):
        with pytest.raises(DeviceError, match="not even a small one fits"):
            memory.fitting_side((2000, 2000), may_shrink, need, 1e6)


# What is free


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 8 GB free and no control groups.

    Its control groups are in `tmp_path/cgroup`; /proc/self/cgroup is `tmp_path/own`.
    """
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "OWN_CGROUPS", tmp_path / "own")
    statistics = SimpleNamespace(available=8 * GB)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: statistics)
    return tmp_path


def make_group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{text}\n")


def test_without_control_groups_all_free_memory_counts(system: Path) -> None:
    assert memory.free() == 8 * GB


def test_a_control_group_without_a_limit_changes_nothing(system: Path) -> None:
    (system / "own").write_text("0::/user/me\n")
    make_group(system / "cgroup" / "user" / "me", memory_max="max", memory_current=GB)
    assert memory.free() == 8 * GB


def test_a_limit_of_cgroup_version_2_counts(system: Path) -> None:
    (system / "own").write_text("0::/\n")
    make_group(
        system / "cgroup",
        memory_max=4 * GB,
        memory_current=3 * GB,
        memory_stat=f"anon 5\ninactive_file {GB // 2}\nactive_file {GB // 2}\n",
    )
    assert memory.free() == 2 * GB, "files that can be read again do not count as used"


def test_the_limit_of_an_outer_group_counts(system: Path) -> None:
    (system / "own").write_text("0::/outer/inner\n")
    make_group(system / "cgroup" / "outer", memory_max=2 * GB, memory_current=GB)
    make_group(system / "cgroup" / "outer" / "inner", memory_max=6 * GB, memory_current=GB)
    assert memory.free() == GB


def test_a_limit_of_cgroup_version_1_counts_in_a_container(system: Path) -> None:
    """There the path is that of the host, and does not exist."""
    (system / "own").write_text("5:devices:/\n4:cpu,memory:/docker/abc\n0::/\n")
    files = {
        "memory.limit_in_bytes": 3 * GB,
        "memory.usage_in_bytes": 2 * GB,
        "memory.stat": f"total_inactive_file {GB // 2}",
    }
    folder = system / "cgroup" / "memory"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(str(text))
    assert memory.free() == 3 * GB // 2


def test_free_memory_is_never_negative(system: Path) -> None:
    (system / "own").write_text("0::/\n")
    make_group(system / "cgroup", memory_max=GB, memory_current=2 * GB)
    assert memory.free() == 0


def test_the_resident_memory_of_this_process_is_plausible() -> None:
    assert 50e6 < memory.resident() < 50e9


def test_what_processes_have_not_loaded_yet_is_not_available(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "BASE_BYTES", GB)
    monkeypatch.setattr(memory, "_share", float("inf"))
    for resident, processes, available in ((0, 1, 7), (GB // 2, 1, 7.5), (2 * GB, 1, 8), (0, 3, 5)):
        monkeypatch.setattr(memory, "resident", lambda resident=resident: resident)
        assert memory.available(processes) == available * GB


def test_each_of_several_processes_has_its_part_of_the_memory(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays the same while the others use theirs, and less is available where less is free."""
    monkeypatch.setattr(memory, "BASE_BYTES", GB)
    monkeypatch.setattr(memory, "_share", float("inf"))
    monkeypatch.setattr(memory, "resident", lambda: 2 * GB)
    memory.share_among(2)
    assert memory.available() == 3 * GB
    (system / "own").write_text("0::/\n")
    make_group(system / "cgroup", memory_max=6 * GB, memory_current=GB)
    assert memory.available() == 3 * GB
    make_group(system / "cgroup", memory_max=6 * GB, memory_current=5 * GB)
    assert memory.available() == GB


# What is freed and what was used


@pytest.mark.parametrize("error", [OSError, AttributeError, None])
def test_glibc_keeps_freed_memory_for_small_pictures(
    error: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only glibc: another libc has no `mallopt`, and other systems are left alone."""
    calls: list[tuple[int, ...]] = []

    def load_library(_: object) -> SimpleNamespace:
        if error is OSError:
            raise error
        names = () if error else ("mallopt", "malloc_trim")
        return SimpleNamespace(**{name: lambda *args: calls.append(args) for name in names})

    monkeypatch.setattr(memory.ctypes, "CDLL", load_library)
    monkeypatch.setattr(memory.sys, "platform", "linux")
    memory.keep_freed_memory(LARGE - 1)
    assert calls == ([] if error else [(-4, 0), (-1, -1)])
    calls.clear()
    memory.keep_freed_memory(LARGE)
    assert calls == ([] if error else [(-4, 65536), (-1, 131072), (0,)])
    calls.clear()
    monkeypatch.setattr(memory.sys, "platform", "win32")
    memory.keep_freed_memory(1)
    assert not calls


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak can be reset on Linux only"
)
def test_the_peak_is_measured_from_the_last_reset() -> None:
    def peak_of(megabytes: int) -> int:
        memory.reset_peak()
        before = memory.peak() or 0
        np.ones(megabytes * 2**20, np.uint8).sum()
        return (memory.peak() or 0) - before

    memory.keep_freed_memory(LARGE)  # freed memory is returned, so that the difference is seen
    assert 150e6 < peak_of(200) < 260e6
    assert peak_of(20) < 60e6, "the peak before the reset does not count"


def test_the_peak_is_measured_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_missing(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("builtins.open", raise_missing)
    memory.reset_peak()
    monkeypatch.setattr(memory.sys, "platform", "win32")
    assert memory.peak() is None
    if sys.platform != "win32":
        monkeypatch.setattr(memory.sys, "platform", "darwin")
        darwin = memory.peak() or 0
        monkeypatch.setattr(memory.sys, "platform", "freebsd")
        assert (memory.peak() or 0) >= darwin * 1024 > 0
