"""Attack our files in a shared folder as another user, and count the foreign files that change.

    sudo python tests/benchmarks/races.py

Root writes, and a second process, which has become the user "nobody", puts symbolic links to a file
of root's in the place of everything that it finds in the folder or can foretell, as fast as it can:
temporary files, locks, checkpoints, snapshots and their folder, results in a folder. Only names
that a user types are left alone, because links in their place are followed. The folder is once
sticky, like /tmp, and once open to all in every way. The first user's file must never change.
"""

import contextlib
import logging
import mmap
import os
import pwd
import shutil
import signal
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
from PIL import Image

from stylize import OutputError, files
from stylize.cli.main import command

CONTENT = b"precious"
#: What the user types; all other names in the folder are attacked.
TYPED = ("out.png", "film.gif", "run.jsonl")
SNAPSHOTS = "out-snapshots"
#: A command of a second, which saves checkpoints.
FAST = (
    "-n 30 -s 32 --scales 1 --content-layers relu2_2 --style-layers relu1_1,relu2_1 -q"
    " --threads 1 --checkpoint-every 0.1"
)


class Victim:
    """A folder that belongs to root, with files that have the names of snapshots and results."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.changes = folder, 0
        folder.mkdir(mode=0o755)
        self.restore()

    @property
    def file(self) -> Path:
        """Where the links lead."""
        return self.folder / "000001.png"

    def restore(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        self.file.write_bytes(CONTENT)
        self.file.chmod(0o600)

    def check(self) -> None:
        """Count a change, and undo it."""
        status = os.lstat(self.file) if self.file.exists() else None
        good = (
            status is not None
            and (status.st_mode, status.st_uid) == (0o100600, 0)
            and self.file.read_bytes() == CONTENT
            and os.listdir(self.folder) == [self.file.name]
        )
        if not good:
            self.changes += 1
            self.restore()


def attack(shared: Path, victim: Victim, foretold: list[str], planted: mmap.mmap) -> None:
    """Plant links until killed."""
    count = 0
    os.chdir(shared)
    while True:
        with contextlib.suppress(OSError):
            found = os.listdir(".")
        for name in {*found, *foretold} - set(TYPED):
            target = victim.folder if name == SNAPSHOTS else victim.file
            with contextlib.suppress(OSError):  # in a sticky folder, of what is root's
                if os.path.islink(name):
                    continue
                if os.path.isdir(name):
                    os.rename(name, f".old-{count}")
                elif os.path.lexists(name):
                    os.unlink(name)
                os.symlink(target, name)
                count += 1
                planted[:8] = struct.pack("q", count)


@contextlib.contextmanager
def attacked(shared: Path, victim: Victim, foretold: list[str]) -> Iterator[mmap.mmap]:
    """Have another user attack a folder; gives a number of links planted so far."""
    planted = mmap.mmap(-1, 8)
    child = os.fork()
    if child == 0:
        try:
            nobody = pwd.getpwnam("nobody")
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            attack(shared, victim, foretold, planted)
        finally:
            os._exit(1)
    try:
        yield planted
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def clear(shared: Path) -> None:
    """Remove what is in the folder, as root can; the attacker may add to it meanwhile."""
    for path in shared.iterdir():
        with contextlib.suppress(OSError):
            path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)


def write_many(shared: Path, victim: Victim, times: int) -> int:
    """Write files of all kinds by `files`; gives how many were refused."""
    refused = 0
    for number in range(times):
        name, untyped = (
            ("out.png", 0),
            ("out.png.checkpoint", 1),
            (f"{SNAPSHOTS}/000001.png", 2),
        )[number % 3]
        try:
            with files.lock(shared / name, lambda: True, untyped):
                files.make_parent(shared / name, untyped)
                files.write(shared / name, b"ours", untyped)
        except OutputError:
            refused += 1
        victim.check()
        if number % 10 == 0:
            clear(shared)
    return refused


def run_commands(shared: Path, victim: Victim, times: int, inputs: Path) -> Counter[int]:
    """Run whole commands by turns; counts their exit codes."""
    out = str(shared / "out.png")
    single = ["-o", out, "--timelapse", f"{shared}/film.gif", "--trace", f"{shared}/run.jsonl"]
    kinds = [
        single,
        ["-o", out, "--snapshot-every", "1"],
        ["-o", f"{shared}/", "--existing", "replace"],
    ]
    codes = Counter[int]()
    for number in range(times):
        clear(shared)
        args = [f"{inputs}/photo.png", f"{inputs}/painting.png", *FAST.split()]
        try:
            command.main([*args, *kinds[number % len(kinds)]])
        except SystemExit as end:
            codes[int(end.code or 0)] += 1
        victim.check()
    return codes


@click.command()
@click.option("--writes", default=10_000, show_default=True, help="Calls of files.write.")
@click.option("--commands", default=20, show_default=True, help="Whole commands.")
def main(writes: int, commands: int) -> None:
    """Attack our files as another user, and count the foreign files that change."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise click.ClickException("needs root, who alone can become another user")
    logging.getLogger("stylize.files").disabled = True  # notes on locks that cannot be used
    changes = 0
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        root.chmod(0o755)
        tempfile.tempdir = temporary  # where pictures are saved that cannot be written
        inputs = root / "inputs"
        inputs.mkdir()
        for name in ("photo.png", "painting.png"):
            Image.linear_gradient("L").resize((40, 32)).convert("RGB").save(inputs / name)
        for mode, kind in ((0o1777, "sticky"), (0o777, "open to all")):
            shared, victim = root / kind.split()[0], Victim(root / f"root's, {kind}")
            shared.mkdir()
            shared.chmod(mode)
            results = ["out.png.checkpoint", "photo-painting.png", "photo-painting.png.checkpoint"]
            foretold = [*results, SNAPSHOTS, "out.png.checkpoint.unused"]
            locks = ("out.png", "out.png.checkpoint", "photo-painting.png")
            foretold += [f"{files.temporary_prefix(name)}.lock" for name in locks]
            with attacked(shared, victim, foretold) as planted:
                refused = write_many(shared, victim, writes)
                at_writes = struct.unpack("q", planted[:8])[0]
                print(f"{kind}: {writes} writes, {refused} refused, {at_writes} links planted")
                codes = dict(run_commands(shared, victim, commands, inputs))
                links = struct.unpack("q", planted[:8])[0] - at_writes
                print(f"{kind}: {commands} commands, exit codes {codes}, {links} links planted")
            print(f"{kind}: foreign files changed: {victim.changes}", flush=True)
            changes += victim.changes
    sys.exit(1 if changes else 0)


if __name__ == "__main__":
    main()
