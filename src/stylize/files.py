"""Write files whole or not at all, lock them against other runs, and compute their digests.

* Writing: `write` and `open_atomic` fill a temporary file beside the target and then rename it, so
  that no reader ever sees half a file. `check_writable` and `nearest_existing_folder` find out
  before the work whether that will succeed, `output_errors` turns the operating system's errors
  into an `OutputError`, and `save_elsewhere` stores a result that could not be written to its
  target.
* Locks: `lock` lets one run at a time write a file, and removes the temporary files of killed runs.
  `pending_prefixes` lists which files of a folder are being written.
* Digests: `digest` and `sha256` identify a file by its content, `stat_key` by its metadata.

This module does not import torch, which takes seconds to load.
"""

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

#: The names of all temporary files and lock files begin with this. None of them outlives its run,
#: unless the run is killed.
_PREFIX = ".stylize-"


# Writing whole or not at all


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check, without leaving a trace, that a file of any kind can be written at `path`.

    Raises:
        OutputError: the parent folder is missing, the path is a folder or not a regular file, or
            there is no permission.
    """
    name = os.fspath(path)
    with output_errors(path):
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise OutputError(f"{name}: is a folder; give a file name")
        if not target.parent.is_dir():
            raise OutputError(f"{name}: there is no folder {target.parent}; make it first")
        if target.exists() and not target.is_file():
            raise OutputError(f"{name}: is not a regular file; only '-o -' writes to a pipe")
        if target.exists() and not os.access(target, os.W_OK):
            raise OutputError(f"{name}: exists already and is write-protected")
        with temporary_beside(target):
            pass


def nearest_existing_folder(path: str | os.PathLike[str]) -> Path:
    """Return the folder `path`, or if it does not exist, the nearest parent that does.

    Raises:
        OutputError: the nearest existing path is not a folder.
    """
    real = Path(os.path.realpath(path))
    existing = next(candidate for candidate in (real, *real.parents) if candidate.exists())
    if not existing.is_dir():
        raise OutputError(f"{os.fspath(path)}: {existing} is not a folder; give another name")
    return existing


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file, whole or not at all.

    A symbolic link is followed, and an existing file is replaced.

    Raises:
        OutputError: the file cannot be written.
    """

    def write_once() -> None:
        with _open_atomic(path) as file:
            file.write(data)

    with output_errors(path):
        try:
            write_once()
        except FileNotFoundError:
            # Another run, which had locked this path, took the temporary file for one that a killed
            # run had left, and removed it.
            write_once()


@contextmanager
def open_atomic(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file that gets its name only when the block ends without an error.

    It does the same as `write`, for data that is not in memory as a whole.

    Raises:
        OutputError: the file cannot be written.
    """
    with output_errors(path), _open_atomic(path) as file:
        yield file


@contextmanager
def _open_atomic(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    target = Path(os.path.realpath(path))  # a symbolic link is followed, not replaced
    with temporary_beside(target) as temporary:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            # Without this, the name could exist without its data after a power cut.
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    with suppress(OSError):  # Windows cannot open folders
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            # Without this, the name could still be the old file's after a power cut.
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def temporary_beside(target: Path) -> Iterator[Path]:
    """Create an empty file beside `target`, and remove it afterwards unless it was renamed.

    Its suffix is that of no picture format, so that it is never taken for a picture.
    """
    temporary = target.parent / f"{temporary_prefix(target.name)}-{secrets.token_hex(8)}.part"
    try:
        # The tempfile module would make it private, but the result needs the usual permissions.
        temporary.open("xb").close()
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def temporary_prefix(name: str) -> str:
    """Return the prefix of the temporary files and the lock file for the file called `name`."""
    return _PREFIX + hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


@contextmanager
def output_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the operating system's errors into an `OutputError` that names the file.

    Raises:
        OutputError: the block raised an `OSError`, or a `ValueError` for an impossible path.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{os.fspath(path)}: cannot be written ({reason})") from error


def save_elsewhere(data: bytes, name: str) -> str | None:
    """Store a file that could not be written to its target.

    The system's folder for temporary files, the home folder and the current folder are tried in
    this order.

    Args:
        data: the content of the file.
        name: the path at which it could not be written. Its last part is used again.

    Returns:
        The path of the stored file, or None if no folder can take it.
    """
    for find_folder in (tempfile.gettempdir, Path.home, Path.cwd):
        with suppress(OSError, RuntimeError):  # a missing home folder is a RuntimeError
            parent = tempfile.mkdtemp(prefix="stylize-", dir=find_folder())
            path = Path(parent) / os.path.basename(name)
            with suppress(OutputError):
                write(path, data)
                return str(path)
            path.parent.rmdir()
    return None


# Locks


class LockedError(Exception):
    """Another run has locked the file."""


@contextmanager
def lock(path: str | os.PathLike[str], wait: Callable[[], bool] | None = None) -> Iterator[None]:
    """Lock a file against other runs, and remove the temporary files that a killed run left for it.

    The lock is the operating system's, on a separate file beside the target. It ends with the
    process, however the process ends, and a lock file that was left behind locks nothing.

    Args:
        path: the file to be written. A symbolic link is followed.
        wait: called twice a second while another run has the lock; returns whether to go on
            waiting. None means not to wait.

    Raises:
        LockedError: another run has locked the file.
        OutputError: no lock file can be created there.
    """
    target = Path(os.path.realpath(path))
    lock_path = target.parent / f"{temporary_prefix(target.name)}.lock"
    # Every user may open the lock file. Otherwise one that another user's run left behind would
    # block the target for good.
    file_lock: filelock.BaseFileLock = filelock.FileLock(lock_path, mode=0o666)
    with output_errors(path):
        while not file_lock.is_locked:
            try:
                file_lock.acquire(timeout=0 if wait is None else 0.5)
            except filelock.Timeout:
                if wait is None or not wait():
                    raise LockedError("another run is writing this file") from None
    try:
        with output_errors(path):
            remove_stale_parts(target)
        yield
    finally:
        # The lock file is removed before the lock is released: a run that waits for it then finds
        # that the file has lost its name, and creates another. This does not work on a file system
        # without locks, where filelock falls back to a lock that is the existence of the file.
        if not isinstance(file_lock, filelock.SoftFileLock):
            with suppress(OSError):
                os.unlink(file_lock.lock_file)
        file_lock.release()


def remove_stale_parts(path: str | os.PathLike[str]) -> None:
    """Remove the temporary files that killed runs left while they wrote the file `path`."""
    target = Path(os.path.realpath(path))
    for temporary in target.parent.glob(f"{temporary_prefix(target.name)}-*.part"):
        temporary.unlink(missing_ok=True)


def pending_prefixes(folder: str | os.PathLike[str]) -> set[str]:
    """Return the `temporary_prefix` of each file in a folder that a run is writing.

    Files that a run was writing when it was killed count as well. The result is empty if the folder
    cannot be read.
    """
    with suppress(OSError):
        names = os.listdir(folder)
        length = len(temporary_prefix(""))  # the same for every name
        return {name[:length] for name in names if name.startswith(_PREFIX)}
    return set()


# Digests


def digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a regular file in hex, as in `Picture`; "" if it cannot be read.

    The digest is cached, and computed again when the file's `stat_key` has changed.
    """
    with suppress(OSError):
        if os.path.isfile(path):  # a pipe can be read only once
            return _cached_sha256(os.fspath(path), stat_key(path))
    return ""


@functools.lru_cache(maxsize=10_000)
def _cached_sha256(path: str, _stat_key: object) -> str:
    return sha256(path)


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of any file in hex.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stat_key(path: str | os.PathLike[str]) -> tuple[object, ...]:
    """Return the modification time, size, inode and mode of a file; empty if there is no file.

    The key changes when the file changes, as far as these four values show it.
    """
    try:
        status = os.stat(path)
        return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode
    except (OSError, ValueError):
        return ()
