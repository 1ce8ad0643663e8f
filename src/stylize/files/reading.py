"""Open files for reading, and tell whether two are the same or one has changed."""

import errno
import functools
import hashlib
import os
import stat
from contextlib import suppress
from io import BufferedReader


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


def stat_key(path: str | os.PathLike[str]) -> tuple[object, ...]:
    """Return the modification time, size, inode and mode of a file; empty if there is no file.

    The key changes when the file changes, as far as these four values show it.
    """
    try:
        status = os.stat(path)
        return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode
    except (OSError, ValueError):
        return ()
