"""One run at a time at a file, among all that share its folder. No torch."""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from . import writing


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
    name = target.parent / f"{writing.mark(target.name)}.lock"
    lock: filelock.BaseFileLock = filelock.FileLock(name, mode=0o666)
    with writing.told(path):
        while not lock.is_locked:
            try:
                lock.acquire(timeout=0 if wait is None else 0.5)
            except filelock.Timeout:
                if wait is None or not wait():
                    raise BusyError("another run is at it") from None
    try:
        with writing.told(path):
            writing.sweep(target)
        yield
    finally:
        # While it is held: who waits for it sees that it has no name any more, and makes another.
        # Not so where the file system has no locks, and filelock goes by whether the file is there.
        if not isinstance(lock, filelock.SoftFileLock):
            with contextlib.suppress(OSError):
                os.unlink(lock.lock_file)
        lock.release()


def traces(folder: str | os.PathLike[str]) -> set[str]:
    """The `writing.mark` of each file in a folder at which a run is, or was when it was killed."""
    with contextlib.suppress(OSError):
        names = os.listdir(folder)
        return {name[: len(writing.mark(""))] for name in names if name.startswith(writing.MARK)}
    return set()
