"""Locks: one run at a time writes a file, and what a killed run leaves behind is removed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stylize import OutputError, files

#: A program that locks a file, creates its temporary file, prints "locked" and waits.
LOCKING_PROGRAM = """
import sys
from pathlib import Path
from stylize import files
with files.lock(sys.argv[1]), files.temporary_beside(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def locking_process(path: Path) -> "subprocess.Popen[bytes]":
    """Start another process that has locked `path`."""
    command = [sys.executable, "-c", LOCKING_PROGRAM, str(path)]
    process = subprocess.Popen(command, stdin=-1, stdout=-1)
    assert process.stdout is not None
    assert process.stdout.readline() == b"locked\n"
    return process


def test_a_file_is_locked_once_and_no_trace_of_it_is_left(tmp_path: Path) -> None:
    out = tmp_path / "a\nb*[c].png"
    with files.lock(out):
        assert files.pending_prefixes(tmp_path) == {files.temporary_prefix(out.name)}
        with pytest.raises(files.LockedError), files.lock(out):
            pass
        with files.lock(tmp_path / "other.png"):
            pass
    assert not list(tmp_path.iterdir())
    assert not files.pending_prefixes(tmp_path)


def test_a_lock_of_another_process_is_waited_for(tmp_path: Path) -> None:
    """The temporary file of the other process stays; the lock ends with the process."""
    out = tmp_path / "a.png"
    with locking_process(out) as other:
        before = sorted(tmp_path.iterdir())
        assert len(before) == 2
        calls: list[int] = []

        def wait() -> bool:
            assert sorted(tmp_path.iterdir()) == before
            calls.append(1)
            if len(calls) == 2:
                other.communicate()
            return True

        with pytest.raises(files.LockedError), files.lock(out):
            pass
        with pytest.raises(files.LockedError), files.lock(out, lambda: False):
            pass
        with files.lock(out, wait):
            assert len(calls) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_what_a_killed_run_leaves_locks_nothing_and_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    with locking_process(out) as other:
        other.send_signal(signal.SIGKILL)
    assert len(files.pending_prefixes(tmp_path)) == 1
    assert len(list(tmp_path.iterdir())) == 2
    with files.lock(tmp_path / "b.png"):
        assert len(list(tmp_path.iterdir())) == 3, "the files of other targets stay"
    with files.lock(out):
        assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert not list(tmp_path.iterdir())


def test_a_path_without_a_folder_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match=r"file.a\.png: cannot be written"),
        files.lock(tmp_path / "file" / "a.png"),
    ):
        pass
    assert files.pending_prefixes(tmp_path / "none") == set()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_locking_a_link_locks_the_file_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    os.symlink("real/a.png", tmp_path / "link.png")
    with (
        files.lock(tmp_path / "link.png"),
        pytest.raises(files.LockedError),
        files.lock(tmp_path / "real" / "a.png"),
    ):
        pass
