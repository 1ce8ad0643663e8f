"""Files: written whole or not at all, locked, hashed. No torch."""

import contextlib
import functools
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import filelock

from .errors import OutputError

#: What the names of files begin with that are gone when a run has ended.
MARK = ".stylize-"


def writable(path: str | os.PathLike[str]) -> None:
    """Find out, without leaving a trace, whether a file of any kind can be written at `path`.

    Raises:
        OutputError: missing parent folder, a folder by that name, or no permission.
    """
    name = os.fspath(path)
    with told(path):
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise OutputError(f"{name}: is a folder; give a file name")
        if not target.parent.is_dir():
            raise OutputError(f"{name}: no folder {target.parent}; make it first")
        if target.exists() and not target.is_file():
            raise OutputError(f"{name}: is no ordinary file; '-o -' writes to a pipe")
        if target.exists() and not os.access(target, os.W_OK):
            raise OutputError(f"{name}: is there already, and write-protected")
        with aside(target):
            pass


def nearest_folder(path: str | os.PathLike[str]) -> Path:
    """A folder, or where it is not there, the one in which it can be made.

    Raises:
        OutputError: what is there is no folder.
    """
    real = Path(os.path.realpath(path))
    there = next(place for place in (real, *real.parents) if place.exists())
    if not there.is_dir():
        raise OutputError(f"{os.fspath(path)}: {there} is no folder; give another name")
    return there


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file, whole or not at all; a link is followed, what is there is replaced.

    Raises:
        OutputError: it cannot be written.
    """

    def move_in() -> None:
        with _replaced(path) as file:
            file.write(data)

    with told(path):
        try:
            move_in()
        except FileNotFoundError:
            # A run that had the lock of that name took ours for what a killed one had left.
            move_in()


@contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """As `write`, for what is not in memory as a whole: a file that gets its name in the end.

    Raises:
        OutputError: it cannot be written.
    """
    with told(path), _replaced(path) as file:
        yield file


@contextmanager
def _replaced(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    target = Path(os.path.realpath(path))  # through a link, not over it
    with aside(target) as part:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or, after a power cut, the name could be there alone
        if target.exists():
            shutil.copymode(target, part)
        os.replace(part, target)
    with suppress(OSError):  # as on Windows, which opens no folders
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # or the name could be the old file's still
        finally:
            os.close(folder)


def rescue(data: bytes, name: str) -> str | None:
    """Keep what could not be written where it was meant to go.

    Args:
        data: of the file.
        name: of the file that was meant.

    Returns:
        Where it is now; None if there is no place for it anywhere.
    """
    for place in (tempfile.gettempdir, Path.home, Path.cwd):
        with suppress(OSError, RuntimeError):  # no home is a RuntimeError
            path = Path(tempfile.mkdtemp(prefix="stylize-", dir=place())) / os.path.basename(name)
            with suppress(OutputError):
                write(path, data)
                return str(path)
            path.parent.rmdir()
    return None


def mark(name: str) -> str:
    """What the names of files begin with that belong to the making of the file of that name."""
    return MARK + hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def sweep(path: str | os.PathLike[str]) -> None:
    """Clear away what killed runs left of the making of this file."""
    target = Path(os.path.realpath(path))
    for part in target.parent.glob(f"{mark(target.name)}-*.part"):
        part.unlink(missing_ok=True)


@contextmanager
def aside(target: Path) -> Iterator[Path]:
    """A new, empty file beside `target`, gone afterwards unless moved; no picture by its suffix."""
    part = target.parent / f"{mark(target.name)}-{secrets.token_hex(8)}.part"
    try:
        # Not by tempfile: its files are private, and the result should get the usual rights.
        part.open("xb").close()
        yield part
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def told(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say which file it was that the system would not write.

    Raises:
        OutputError: for any error of the system in the block.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{os.fspath(path)}: cannot be written ({reason})") from error


class BusyError(Exception):
    """Another run is at that file."""


@contextmanager
def held(path: str | os.PathLike[str], wait: Callable[[], bool] | None = None) -> Iterator[None]:
    """Keep other runs from a file, and clear away what a killed one left of it.

    The lock is the operating system's, on a file of its own beside the target: it ends with the
    process, however that ends, and a lock file that was left behind locks nothing.

    Args:
        path: the file that is to be written.
        wait: asked twice a second whether to go on waiting for another run; None not to wait.

    Raises:
        BusyError: another run is at it.
        OutputError: no lock file can be made there.
    """
    target = Path(os.path.realpath(path))
    # For all who can write in that folder: else another's would be in the way for good.
    name = target.parent / f"{mark(target.name)}.lock"
    lock: filelock.BaseFileLock = filelock.FileLock(name, mode=0o666)
    with told(path):
        while not lock.is_locked:
            try:
                lock.acquire(timeout=0 if wait is None else 0.5)
            except filelock.Timeout:
                if wait is None or not wait():
                    raise BusyError("another run is at it") from None
    try:
        with told(path):
            sweep(target)
        yield
    finally:
        # While it is held: who waits for it sees that it has no name any more, and makes another.
        # Not so where the file system has no locks, and filelock goes by whether the file is there.
        if not isinstance(lock, filelock.SoftFileLock):
            with contextlib.suppress(OSError):
                os.unlink(lock.lock_file)
        lock.release()


def traces(folder: str | os.PathLike[str]) -> set[str]:
    """The `mark` of each file in a folder at which a run is, or was when it was killed."""
    with contextlib.suppress(OSError):
        names = os.listdir(folder)
        return {name[: len(mark(""))] for name in names if name.startswith(MARK)}
    return set()


def stamp(path: str | os.PathLike[str]) -> tuple[object, ...]:
    """Changes when the file does, as far as its time and size tell; empty if it is not there."""
    try:
        found = os.stat(path)
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode
    except (OSError, ValueError):
        return ()


def digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of an ordinary file, in hex, as in `Picture`; "" if it cannot be read."""
    with contextlib.suppress(OSError):
        if os.path.isfile(path):  # a pipe can be read only once
            return _digest(os.fspath(path), stamp(path))
    return ""


@functools.lru_cache(maxsize=10_000)
def _digest(path: str, _stamp: object) -> str:
    return sha256(path)


def sha256(path: str | os.PathLike[str]) -> str:
    """Of any file, in hex.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return sha256_of_rest(file)


def sha256_of_rest(file: IO[bytes]) -> str:
    """Of what an open file holds from here on, in hex."""
    found = hashlib.sha256()
    while block := file.read(1 << 20):
        found.update(block)
    return found.hexdigest()
