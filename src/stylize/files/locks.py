"""Lock files against other runs."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import filelock

from .folder import PREFIX, real_target, temporary_prefix
from .writing import output_errors, remove

log = logging.getLogger(__name__)


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
        return {name[:length] for name in names if name.startswith(PREFIX)}
    return set()
