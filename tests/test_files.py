"""One run at a time at a file: what is locked, what is cleared away, what a killed run leaves."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stylize import OutputError
from stylize import files as locks
from stylize import files as writing

#: Holds the lock and half a file, and says so.
HOLDER = """
import sys
from pathlib import Path
from stylize import files as locks, files as writing
with locks.held(sys.argv[1]), writing.aside(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(path: Path) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=-1, stdout=-1)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_one_at_a_time_and_nothing_left(tmp_path: Path) -> None:
    out = tmp_path / "a\nb*[c].png"
    with locks.held(out):
        assert locks.traces(tmp_path) == {writing.mark(out.name)}
        with pytest.raises(locks.BusyError), locks.held(out):
            pass
        with locks.held(tmp_path / "other.png"):
            pass
    assert not list(tmp_path.iterdir())
    assert not locks.traces(tmp_path)


def test_another_process(tmp_path: Path) -> None:
    """Its file in the making is left alone; once it is gone, so is the lock."""
    out = tmp_path / "a.png"
    with holder(out) as other:
        there = sorted(tmp_path.iterdir())
        assert len(there) == 2
        asked: list[int] = []

        def wait() -> bool:
            assert sorted(tmp_path.iterdir()) == there
            asked.append(1)
            if len(asked) == 2:
                other.communicate()
            return True

        with pytest.raises(locks.BusyError), locks.held(out):
            pass
        with pytest.raises(locks.BusyError), locks.held(out, lambda: False):
            pass
        with locks.held(out, wait):
            assert len(asked) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed otherwise there")
def test_what_a_killed_run_leaves_is_no_lock_and_goes(tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    with holder(out) as other:
        other.send_signal(signal.SIGKILL)
    assert len(locks.traces(tmp_path)) == 1
    assert len(list(tmp_path.iterdir())) == 2
    with locks.held(tmp_path / "b.png"):
        assert len(list(tmp_path.iterdir())) == 3, "what belongs to others stays"
    with locks.held(out):
        assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match=r"file.a\.png: cannot be written"),
        locks.held(tmp_path / "file" / "a.png"),
    ):
        pass
    assert locks.traces(tmp_path / "none") == set()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_through_a_link_it_is_the_file_that_is_locked(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    os.symlink("real/a.png", tmp_path / "link.png")
    with (
        locks.held(tmp_path / "link.png"),
        pytest.raises(locks.BusyError),
        locks.held(tmp_path / "real" / "a.png"),
    ):
        pass
