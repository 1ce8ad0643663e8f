"""Files of others in folders that other users can write to: none is changed, removed or followed.

`tests/benchmarks/races.py` has a second user do the same for real, many thousand times.
"""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import filelock
import pytest
from conftest import Painter, files_in

from stylize import OutputError, files
from stylize.callbacks.autosave import Autosave
from stylize.transfer.step import Step

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")

#: A program that writes a file, while at every opening, renaming and change of permissions another
#: user puts links in the place of our temporary files.
ATTACKED_PROGRAM = """
import os, sys
from pathlib import Path
from stylize import StylizeError, files

folder, victim = map(Path, sys.argv[1:])
busy = False

def attack(event, _):
    global busy
    if event in ("open", "os.chmod", "os.rename") and not busy:
        busy = True
        for part in folder.glob(".stylize-*.part"):
            part.unlink()
            part.symlink_to(victim)
        busy = False

sys.addaudithook(attack)
try:
    files.write(folder / "out.png", b"picture")
except StylizeError as error:
    print(error)
"""


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A private file that no run has any business with."""
    path = tmp_path / "elsewhere" / "victim.png"
    path.parent.mkdir()
    path.write_bytes(b"precious")
    path.chmod(0o600)
    return path


def assert_unharmed(victim: Path) -> None:
    assert victim.read_bytes() == b"precious"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o600
    assert os.listdir(victim.parent) == [victim.name]


@pytest.fixture(params=[True, False], ids=["held", "named"])
def _each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are looked up in a folder that is held open, or as on Windows by the folder's path."""
    monkeypatch.setattr(files.folder, "HOLDS_FOLDERS", request.param)


def test_a_link_in_the_place_of_a_temporary_file_is_never_written_through(
    tmp_path: Path, victim: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "out.png").touch()
    (shared / "out.png").chmod(0o666)
    command = [sys.executable, "-c", ATTACKED_PROGRAM, str(shared), str(victim)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert_unharmed(victim)
    assert "out.png: cannot be written (another user put a link in its place)" in result.stdout
    assert not os.listdir(shared), "nor is a link left, which would be followed next time"


@pytest.mark.usefixtures("_each_way")
def test_a_link_is_followed_only_where_its_name_was_typed(tmp_path: Path, victim: Path) -> None:
    link = tmp_path / "link.png"
    link.symlink_to(victim)
    files.write(link, b"new", untyped=1)
    assert not link.is_symlink()
    assert link.read_bytes() == b"new"
    assert_unharmed(victim)
    link.unlink()
    link.symlink_to(victim)
    files.write(link, b"new")
    assert link.is_symlink()
    assert victim.read_bytes() == b"new"


@pytest.mark.usefixtures("_each_way")
def test_a_folder_that_was_not_typed_must_not_be_a_link(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "link").symlink_to(victim.parent)
    for write in (
        lambda path: files.write(path, b"new", untyped=2),
        lambda path: files.make_parent(path, untyped=2),
        lambda path: files.check_writable(path, untyped=2),
    ):
        with pytest.raises(OutputError, match=r"victim\.png: .*link is a link; remove it$"):
            write(tmp_path / "link" / victim.name)
    with pytest.raises(OutputError, match="link is a link"):
        files.set_aside(tmp_path / "link" / victim.name, untyped=2)
    files.remove(tmp_path / "link" / victim.name, untyped=2)
    assert_unharmed(victim)
    files.write(tmp_path / "link" / "other.png", b"new", untyped=1)
    assert (victim.parent / "other.png").read_bytes() == b"new", "the folder was typed"


@pytest.mark.skipif(not files.folder.HOLDS_FOLDERS, reason="this system cannot hold a folder open")
def test_a_folder_that_is_exchanged_for_a_link_meanwhile_is_not_followed(
    tmp_path: Path, victim: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with files.open_atomic(folder / victim.name, untyped=2) as file:
        file.write(b"new")
        folder.rename(tmp_path / "moved")
        folder.symlink_to(victim.parent)
    assert_unharmed(victim)
    assert (tmp_path / "moved" / victim.name).read_bytes() == b"new"


def test_a_file_of_another_user_gives_no_permissions_to_the_one_that_replaces_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.png"
    for mode, expected in ((0o666, 0o644), (0o640, 0o640), (0o4755, 0o644)):
        other = SimpleNamespace(st_mode=stat.S_IFREG | mode, st_uid=os.getuid() + 1)
        monkeypatch.setattr(files.folder.Folder, "status", lambda self, name, found=other: found)
        umask = os.umask(0o022)
        try:
            files.write(path, b"new")
        finally:
            os.umask(umask)
        assert stat.S_IMODE(path.stat().st_mode) == expected


@pytest.mark.usefixtures("_each_way")
def test_nothing_is_replaced_when_a_file_is_set_aside(tmp_path: Path, victim: Path) -> None:
    path = tmp_path / "a.checkpoint"
    (tmp_path / "a.checkpoint.unused").write_text("old")
    (tmp_path / "a.checkpoint.unused-2").symlink_to(victim)
    path.write_text("new")
    assert files.set_aside(path) == f"{path}.unused-3"
    assert Path(f"{path}.unused-3").read_text() == "new"
    assert Path(f"{path}.unused").read_text() == "old"
    assert_unharmed(victim)
    with pytest.raises(FileNotFoundError):
        files.set_aside(path)
    assert not Path(f"{path}.unused-4").exists()
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        files.set_aside(path)
    assert not Path(f"{path}.unused-4").exists()
    for number in range(4, 101):
        Path(f"{path}.unused-{number}").touch()
    with pytest.raises(OutputError, match=r"unused-100: exists already, like all before it"):
        files.set_aside(path)


# The command


def checkpoint_each_step(monkeypatch: pytest.MonkeyPatch, before: Callable[[], object]) -> None:
    """Save a checkpoint at each step, and first do something."""

    def save(self: Autosave, step: Step) -> None:
        before()
        self.latest = step
        self.save()

    monkeypatch.setattr(Autosave, "__call__", save)


def test_a_link_that_appears_at_the_checkpoint_during_a_run_is_replaced(
    small: Any, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("out.png.checkpoint")
    seen: list[bool] = []

    def plant() -> None:
        seen.append(path.exists() and not path.is_symlink())
        path.unlink(missing_ok=True)
        path.symlink_to(victim)

    checkpoint_each_step(monkeypatch, plant)
    assert small("-n", "3").exit_code == 0
    assert seen == [False, True, True]
    assert_unharmed(victim)
    assert not os.path.lexists(path)


def test_a_link_at_the_checkpoint_before_a_run_is_set_aside(small: Any, victim: Path) -> None:
    Path("out.png.checkpoint").symlink_to(victim)
    result = small("-n", "1")
    assert result.exit_code == 0
    assert "out.png.checkpoint: is a link; renamed it to out.png.checkpoint.unused" in result.stderr
    assert_unharmed(victim)


def test_a_named_checkpoint_may_be_a_link(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a broken one. Where it leads, the checkpoint is saved, and deleted at the end."""
    real, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to(real)
    checkpoint_each_step(monkeypatch, lambda: seen.append(real.is_file()))
    seen: list[bool] = []
    result = small("-n", "2", "--checkpoint", "link")
    assert result.exit_code == 0
    assert result.stderr.startswith("stylize: wrote out.png (")
    assert seen == [False, True]
    assert link.is_symlink()
    assert not real.exists()


def test_a_link_at_the_name_of_a_result_in_a_folder_is_replaced(
    run_on_folders: Any, painter: type[Painter], victim: Path
) -> None:
    Path("out").mkdir()
    Path("out/a-x.png").symlink_to(victim)
    result = run_on_folders("photos/a.png", "styles/x.png", "-o", "out/", "--existing", "replace")
    assert result.exit_code == 0
    assert files_in("out") == ["a-x.png"]
    assert not Path("out/a-x.png").is_symlink()
    assert_unharmed(victim)


def test_a_link_at_the_name_of_a_snapshot_is_replaced(
    small: Any, painter: type[Painter], victim: Path
) -> None:
    Path("out-snapshots").mkdir()
    Path("out-snapshots/000002.png").symlink_to(victim)
    assert small("--snapshot-every", "2").exit_code == 0
    assert not Path("out-snapshots/000002.png").is_symlink()
    assert_unharmed(victim)


def test_a_link_in_the_place_of_a_folder_of_our_own_is_refused(
    small: Any, painter: type[Painter], victim: Path
) -> None:
    for folder in ("out-snapshots", "out-trials"):
        Path(folder).symlink_to(victim.parent)
    refused = small("--snapshot-every", "2")
    assert refused.exit_code == 2
    assert "--snapshot-every: out-snapshots is a link; remove it" in refused.stderr
    assert not Path("out.png").exists()
    failed = small("--try", "seed=1,2")
    assert failed.exit_code == 123
    assert failed.stderr.count("out-trials is a link; remove it") >= 2
    assert_unharmed(victim)


# What cannot be removed


@pytest.mark.parametrize("suffix", [".lock", "-0123456789abcdef.part"])
@pytest.mark.parametrize("kind", ["folder", "link", "hard link", "another user's file"])
def test_leftovers_that_cannot_be_used_or_removed_cost_a_note(
    kind: str,
    suffix: str,
    run_on_folders: Any,
    painter: type[Painter],
    victim: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("out").mkdir()
    leftover = Path("out", files.temporary_prefix("a-x.png") + suffix)
    if kind == "folder":
        (leftover / "full").mkdir(parents=True)
    elif kind == "link":
        leftover.symlink_to(victim)
    elif kind == "hard link":
        leftover.hardlink_to(victim)
    else:
        leftover.touch()
        refuse_the_file_of_another_user(leftover.name, monkeypatch)
    result = run_on_folders("photos/a.png", "styles/x.png", "-o", "out/")
    assert result.exit_code == 0
    assert Path("out/a-x.png").is_file()
    assert_unharmed(victim)
    if kind == "hard link" or (kind, suffix[0]) == ("link", "-"):  # which can be removed
        assert files_in("out") == ["a-x.png"]
        assert leftover.name not in result.stderr
    else:
        assert os.path.lexists(leftover)
        done = "going on without a lock" if suffix == ".lock" else "cannot be removed"
        (note,) = [line for line in result.stderr.splitlines() if leftover.name in line]
        assert done in note


def refuse_the_file_of_another_user(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to lock or remove a file, as in a folder like /tmp; the tests may run as root."""

    def refusing(function: Callable[..., Any]) -> Callable[..., Any]:
        def refuse(*args: Any, **kwargs: Any) -> Any:
            if any(str(getattr(arg, "lock_file", arg)).endswith(name) for arg in args):
                raise PermissionError(1, "Operation not permitted")
            return function(*args, **kwargs)

        return refuse

    monkeypatch.setattr(os, "unlink", refusing(os.unlink))
    monkeypatch.setattr(filelock.FileLock, "acquire", refusing(filelock.FileLock.acquire))


def test_a_folder_in_the_place_of_a_checkpoint_costs_the_checkpoint(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("out.png.checkpoint").mkdir()
    Path("out.png.checkpoint/full").touch()
    checkpoint_each_step(monkeypatch, lambda: None)
    result = small("-n", "3")
    assert result.exit_code == 0
    note, _ = result.stderr.splitlines()
    assert note.startswith("stylize: out.png.checkpoint: cannot be read (")
    assert "it cannot be renamed (" in note
    assert note.endswith("started over, without checkpoints")
    assert "unused" not in note
    assert files_in("out.png.checkpoint") == ["full"]
    assert Path("out.png").is_file()


def test_a_checkpoint_that_cannot_be_removed_at_the_end_is_reported(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint_each_step(monkeypatch, lambda: None)
    refuse_the_file_of_another_user("out.png.checkpoint", monkeypatch)
    result = small("-n", "2")
    assert result.exit_code == 0
    assert "out.png.checkpoint: is no longer needed, and cannot be removed (" in result.stderr
