"""Write files whole or not at all, lock them against other runs, and compute their digests.

* Writing: `write` and `open_atomic` fill a temporary file beside the target and then rename it, so
  that no reader ever sees half a file. `check_writable` and `nearest_existing_folder` find out
  before the work whether that will succeed, `output_errors` turns the operating system's errors
  into an `OutputError`, and `save_elsewhere` stores a result that could not be written to its
  target. `set_aside` and `remove` are for the files that earlier runs left.
* Locks: `lock` lets one run at a time write a file, and removes the temporary files of killed runs.
  `pending_prefixes` lists which files of a folder are being written.
* Reading: `open_regular` opens nothing at which a reader could wait.
* Digests: `digest` and `sha256` identify a file by its content, `stat_key` by its metadata;
  `file_id` tells whether two names are those of one file.

This module does not import torch, which takes seconds to load.
"""

import errno
import functools
import hashlib
import logging
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO

import filelock

from .errors import OptionError, OutputError

log = logging.getLogger(__name__)

#: The names of all temporary files and lock files begin with this. None of them outlives its run,
#: unless the run is killed.
_PREFIX = ".stylize-"


# Writing whole or not at all
#
# A folder may be shared with other users, who can rename, remove and link what is in it, at any
# moment. What is created here is therefore opened once, and then written through its descriptor;
# names are looked up in a folder that is held open; and a symbolic link is followed only where the
# user typed its name: the functions are told how many of a path's last parts are `untyped`.

#: Flags that create a file, and fail where there is one, or a link.
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_CREATE |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
#: Flags that open a folder to look up names in it, on Linux also one that may not be listed.
_LOOK_UP = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_LOOK_UP |= getattr(os, "O_PATH", os.O_RDONLY)
#: Whether names can be looked up in an open folder; not on Windows.
_HOLDS_FOLDERS = os.open in os.supports_dir_fd
#: So many files can be set aside for one path.
_MOST_ASIDE = 100


def check_writable(path: str | os.PathLike[str], untyped: int = 0) -> None:
    """Check, without leaving a trace, that a file of any kind can be written at `path`.

    Args:
        path: path of the file.
        untyped: as in `write`.

    Raises:
        OutputError: the parent folder is missing, the path is a folder or not a regular file, or
            there is no permission.
    """
    name = os.fspath(path)
    with output_errors(path):
        target = real_target(path, untyped)
        exists = target.exists() and not target.is_symlink()  # such a link is to be replaced
        if exists and target.is_dir():
            raise OutputError(f"{name}: is a folder; give a file name")
        if not target.parent.is_dir():
            raise OutputError(f"{name}: there is no folder {target.parent}; make it first")
        if exists and not target.is_file():
            raise OutputError(f"{name}: is not a regular file; only '-o -' writes to a pipe")
        if exists and not os.access(target, os.W_OK):
            raise OutputError(f"{name}: exists already and is write-protected")
        with temporary_beside(path, untyped):
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


def write(path: str | os.PathLike[str], data: bytes, untyped: int = 0) -> None:
    """Write a file, whole or not at all. An existing file is replaced.

    Args:
        path: path of the file.
        data: its content.
        untyped: how many of the path's last parts the user did not type: 0 for a path that was
            typed as a whole, where symbolic links are followed; 1 for a name of our own in a folder
            that was typed, where a link is replaced like a file; more where the folder is our own
            too, which must not be a link.

    Raises:
        OutputError: the file cannot be written.
    """

    def write_once() -> None:
        with _open_atomic(path, untyped) as file:
            file.write(data)

    with output_errors(path):
        try:
            write_once()
        except FileNotFoundError:
            # Another run, which had locked this path, took the temporary file for one that a killed
            # run had left, and removed it.
            write_once()


@contextmanager
def open_atomic(path: str | os.PathLike[str], untyped: int = 0) -> Iterator[IO[bytes]]:
    """Open a file that gets its name only when the block ends without an error.

    It does the same as `write`, for data that is not in memory as a whole.

    Raises:
        OutputError: the file cannot be written.
    """
    with output_errors(path), _open_atomic(path, untyped) as file:
        yield file


@contextmanager
def _open_atomic(path: str | os.PathLike[str], untyped: int = 0) -> Iterator[IO[bytes]]:
    with _held_folder(path, untyped) as folder, _temporary(folder) as (temporary, file):
        with file:  # Windows renames no open file
            _copy_mode(folder, file)
            yield file
            file.flush()
            # Without this, the name could exist without its data after a power cut.
            os.fsync(file.fileno())
        folder.replace(temporary, folder.target)
        _check_regular(folder)
        folder.sync()


@contextmanager
def temporary_beside(path: str | os.PathLike[str], untyped: int = 0) -> Iterator[IO[bytes]]:
    """Create an empty file in the folder of `path`, and remove it afterwards.

    Its suffix is that of no picture format, so that it is never taken for a picture.
    """
    with _held_folder(path, untyped) as folder, _temporary(folder) as (_, file):
        yield file


def make_parent(path: str | os.PathLike[str], untyped: int = 0) -> None:
    """Make the folder of a file, unless it exists.

    Raises:
        OutputError: it cannot be made, or is a link where the user did not type its name.
    """
    with output_errors(path):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with _held_folder(path, untyped):
            pass


def real_target(path: str | os.PathLike[str], untyped: int = 0) -> Path:
    """Return where a file is written: `path` without links in what the user typed.

    Args:
        path: path of the file.
        untyped: as in `write`.
    """
    if not untyped:
        return Path(os.path.realpath(path))
    typed = Path(path).parents[untyped - 1]
    return Path(os.path.realpath(typed), *Path(path).parts[-untyped:])


@dataclass(frozen=True)
class _Folder:
    """The folder of a file, held open: names in it are its own, whatever is renamed meanwhile.

    Windows cannot open folders; there, its path stands for it.

    Attributes:
        path: of the folder on Windows; "" elsewhere.
        descriptor: of the folder; None on Windows.
        target: the name of the file.
    """

    path: str
    descriptor: int | None
    target: str

    def create(self, name: str, mode: int = 0o666) -> int:
        """Create a file, and return its descriptor; fail where the name is in use."""
        return os.open(self._at(name), _CREATE, mode, dir_fd=self.descriptor)

    def status(self, name: str) -> os.stat_result:
        """What is at a name, even if that is a link."""
        return os.stat(self._at(name), dir_fd=self.descriptor, follow_symlinks=False)

    def replace(self, name: str, new_name: str) -> None:
        """Rename a file."""
        where = self.descriptor
        os.replace(self._at(name), self._at(new_name), src_dir_fd=where, dst_dir_fd=where)

    def remove(self, name: str) -> None:
        """Remove a file."""
        os.unlink(self._at(name), dir_fd=self.descriptor)

    def sync(self) -> None:
        """Have the system write the folder to its disk.

        Without this, a name could still be the old file's after a power cut.
        """
        with suppress(OSError):  # it may not be read; and Windows cannot open it
            readable = os.open(self._at("."), os.O_RDONLY, dir_fd=self.descriptor)
            try:
                os.fsync(readable)
            finally:
                os.close(readable)

    def _at(self, name: str) -> str:
        return os.path.join(self.path, name)


@contextmanager
def _held_folder(path: str | os.PathLike[str], untyped: int) -> Iterator[_Folder]:
    """Hold the folder of a file open.

    Raises:
        OutputError: it is a link, and the user did not type its name.
    """
    target = real_target(path, untyped)
    own = [target.parents[number] for number in reversed(range(untyped - 1))]
    for folder in own:
        if folder.is_symlink():
            raise OutputError(f"{os.fspath(path)}: {folder} is a link; remove it")
    if not _HOLDS_FOLDERS:
        yield _Folder(os.fspath(target.parent), None, target.name)
        return
    with ExitStack() as stack:
        typed, descriptor = target.parents[len(own)], None
        for step in (os.fspath(typed), *(folder.name for folder in own)):
            descriptor = os.open(step, _LOOK_UP, dir_fd=descriptor)
            stack.callback(os.close, descriptor)
        yield _Folder("", descriptor, target.name)


@contextmanager
def _temporary(folder: _Folder) -> Iterator[tuple[str, IO[bytes]]]:
    """Create an empty file, and remove it afterwards unless it was renamed; gives its name too."""
    name = f"{temporary_prefix(folder.target)}-{secrets.token_hex(8)}.part"
    # The tempfile module would make it private, but the result needs the usual permissions.
    descriptor = folder.create(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield name, file
    finally:
        with suppress(FileNotFoundError):
            folder.remove(name)


def _copy_mode(folder: _Folder, file: IO[bytes]) -> None:
    """Give a new file the permissions of the file that it is to replace, if there is one.

    A file that belongs to another user can take permissions away, but give none.
    """
    with suppress(FileNotFoundError):
        old, new = folder.status(folder.target), os.fstat(file.fileno())
        if stat.S_ISREG(old.st_mode) and hasattr(os, "fchmod"):
            allowed = 0o777 if old.st_uid == new.st_uid else new.st_mode & 0o777
            os.fchmod(file.fileno(), old.st_mode & allowed)


def _check_regular(folder: _Folder) -> None:
    """Check that it was not a link that got the name of the file. It would be followed next time.

    Raises:
        OSError: in a folder that other users can write to, one of them exchanged the new file.
    """
    with suppress(FileNotFoundError):
        if stat.S_ISLNK(folder.status(folder.target).st_mode):
            folder.remove(folder.target)
            raise OSError("another user put a link in its place")


def set_aside(path: str | os.PathLike[str], untyped: int = 0) -> str:
    """Rename a file to a free name beside it, which ends in ".unused"; nothing is replaced.

    Returns:
        The new path.

    Raises:
        OSError, OutputError: it cannot be renamed.
    """
    with _held_folder(path, untyped) as folder:
        for new_path in names_aside(path, untyped):
            new_name = os.path.basename(new_path)
            try:
                os.close(folder.create(new_name))  # from now on the name is in use
            except FileExistsError:
                continue
            try:
                folder.replace(folder.target, new_name)
            except OSError:
                folder.remove(new_name)
                raise
            return new_path
    raise OutputError(f"{new_path}: exists already, like all before it; remove them")


def names_aside(path: str | os.PathLike[str], untyped: int = 0) -> Iterator[str]:
    """Yield the paths that `set_aside` tries for a file, whether they are in use or not."""
    name = os.fspath(path) if untyped or not os.path.islink(path) else os.path.realpath(path)
    for number in range(1, _MOST_ASIDE + 1):
        yield f"{name}.unused" if number == 1 else f"{name}.unused-{number}"


def remove(path: str | os.PathLike[str], untyped: int = 0) -> None:
    """Remove a file that is no longer needed. If that fails, it is reported in the log.

    A link is followed only where the user typed it.
    """
    target = real_target(path, untyped)
    try:
        with _held_folder(path, untyped) as folder:
            folder.remove(folder.target)
    except FileNotFoundError:
        pass
    except (OSError, OutputError) as error:
        reason = getattr(error, "strerror", None) or error
        log.warning("%s: is no longer needed, and cannot be removed (%s)", target, reason)


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
                write(path, data, untyped=2)
                return str(path)
            path.parent.rmdir()
    return None


# Locks


class LockedError(Exception):
    """Another run has locked the file."""


@contextmanager
def lock(
    path: str | os.PathLike[str], wait: Callable[[], bool] | None = None, untyped: int = 0
) -> Iterator[None]:
    """Lock a file against other runs, and remove the temporary files that a killed run left for it.

    The lock is the operating system's, on a separate file beside the target. It ends with the
    process, however the process ends, and a lock file that was left behind locks nothing. Something
    else in the place of the lock file, or another user's lock file in a folder like /tmp, is
    reported in the log, and the file is written without a lock.

    Args:
        path: the file to be written.
        wait: called twice a second while another run has the lock; returns whether to go on
            waiting. None means not to wait.
        untyped: as in `write`.

    Raises:
        LockedError: another run has locked the file.
        OutputError: no lock file can be created there.
    """
    with output_errors(path):
        file_lock = _acquire(path, wait, untyped)
    if file_lock is None:
        yield
        return
    try:
        remove_stale_parts(path, untyped)
        yield
    finally:
        # The lock file is removed before the lock is released: a run that waits for it then finds
        # that the file has lost its name, and creates another. This does not work on a file system
        # without locks, where filelock falls back to a lock that is the existence of the file.
        if not isinstance(file_lock, filelock.SoftFileLock):
            with suppress(OSError):
                os.unlink(file_lock.lock_file)
        file_lock.release()


def _acquire(
    path: str | os.PathLike[str], wait: Callable[[], bool] | None, untyped: int
) -> filelock.BaseFileLock | None:
    """Acquire the lock of a file; None if what is in the place of the lock file is no use.

    Raises:
        LockedError: as in `lock`.
        OSError: no lock file can be created there.
    """
    target = real_target(path, untyped)
    lock_path = target.parent / f"{temporary_prefix(target.name)}.lock"
    # Every user may open the lock file. Otherwise one that another user's run left behind would
    # block the target for good. filelock follows no link to it.
    file_lock: filelock.BaseFileLock = filelock.FileLock(lock_path, mode=0o666)
    while not file_lock.is_locked:
        try:
            file_lock.acquire(timeout=0 if wait is None else 0.5)
        except filelock.Timeout:
            if wait is None or not wait():
                raise LockedError("another run is writing this file") from None
        except OSError as error:
            if not os.path.lexists(lock_path):
                raise
            reason = error.strerror or error
            log.warning("%s: cannot be used (%s); going on without a lock", lock_path, reason)
            return None
    return file_lock


def remove_stale_parts(path: str | os.PathLike[str], untyped: int = 0) -> None:
    """Remove the temporary files that killed runs left while they wrote the file `path`.

    What cannot be removed is reported in the log.
    """
    target = real_target(path, untyped)
    for temporary in target.parent.glob(f"{temporary_prefix(target.name)}-*.part"):
        remove(temporary, untyped=1)


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


# Reading


class NotRegularError(OSError):
    """What should be a file is a pipe, a socket or a device."""


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a file for reading; a pipe, socket or device is refused, and not waited for.

    Raises:
        NotRegularError: it is one of these.
        OSError: it cannot be opened.
    """
    # The first look keeps a device from being opened; the file may be another one afterwards.
    _check_is_regular(os.stat(path))
    wait_for_nothing = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, os.O_RDONLY | wait_for_nothing)
    try:
        _check_is_regular(os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_is_regular(status: os.stat_result) -> None:
    """Raise `OSError` for what is not a regular file."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise NotRegularError(errno.EINVAL, "is not a regular file")


# Digests


def digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a regular file in hex, as in `Picture`; "" if it cannot be read.

    The digest is cached, and computed again when the file's `stat_key` has changed.
    """
    with suppress(OSError, ValueError):
        return _cached_sha256(os.fspath(path), stat_key(path))
    return ""


@functools.lru_cache(maxsize=10_000)
def _cached_sha256(path: str, _stat_key: object) -> str:
    return sha256(path)


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a regular file in hex.

    Raises:
        OSError: the file cannot be read.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_id(path: str | os.PathLike[str] | int) -> tuple[int, int] | None:
    """Return what is the same for two names of one regular file, however it is linked.

    Args:
        path: path of the file, or a descriptor.

    Returns:
        The file's device and inode; None if there is no regular file.
    """
    with suppress(OSError, ValueError):
        found = os.stat(path)
        if stat.S_ISREG(found.st_mode):
            return found.st_dev, found.st_ino
    return None


def check_not_input(path: str | os.PathLike[str], inputs: Iterable[str]) -> None:
    """Check that writing a file does not replace one that was read.

    Args:
        path: path of the file to be written.
        inputs: paths of the files that were read.

    Raises:
        OptionError: it is one of them, perhaps by another name.
    """
    found = file_id(path)
    if found and found in map(file_id, inputs):
        raise OptionError(f"{os.fspath(path)}: is an input too; choose another name")


def stat_key(path: str | os.PathLike[str]) -> tuple[object, ...]:
    """Return the modification time, size, inode and mode of a file; empty if there is no file.

    The key changes when the file changes, as far as these four values show it.
    """
    try:
        status = os.stat(path)
        return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode
    except (OSError, ValueError):
        return ()
