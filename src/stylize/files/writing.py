"""Write files whole or not at all, and clear away what earlier runs left."""

import logging
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ..errors import OptionError, OutputError
from .folder import Folder, held_folder, real_target, temporary_file
from .reading import file_id

log = logging.getLogger(__name__)

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
            if target.parent.exists():
                raise OutputError(f"{name}: {target.parent} is not a folder")
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
    with held_folder(path, untyped) as folder, temporary_file(folder) as (temporary, file):
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
    with held_folder(path, untyped) as folder, temporary_file(folder) as (_, file):
        yield file


def make_parent(path: str | os.PathLike[str], untyped: int = 0) -> None:
    """Make the folder of a file, unless it exists.

    Raises:
        OutputError: it cannot be made, or is a link where the user did not type its name.
    """
    with output_errors(path):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with held_folder(path, untyped):
            pass


def _copy_mode(folder: Folder, file: IO[bytes]) -> None:
    """Give a new file the permissions of the file that it is to replace, if there is one.

    A file that belongs to another user can take permissions away, but give none.
    """
    with suppress(FileNotFoundError):
        old, new = folder.status(folder.target), os.fstat(file.fileno())
        if stat.S_ISREG(old.st_mode) and hasattr(os, "fchmod"):
            allowed = 0o777 if old.st_uid == new.st_uid else new.st_mode & 0o777
            os.fchmod(file.fileno(), old.st_mode & allowed)


def _check_regular(folder: Folder) -> None:
    """Check that it was not a link that got the name of the file. It would be followed next time.

    Raises:
        OSError: in a folder that other users can write to, one of them exchanged the new file.
    """
    with suppress(FileNotFoundError):
        if stat.S_ISLNK(folder.status(folder.target).st_mode):
            folder.remove(folder.target)
            raise OSError("another user put a link in its place")


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


def set_aside(path: str | os.PathLike[str], untyped: int = 0) -> str:
    """Rename a file to a free name beside it, which ends in ".unused"; nothing is replaced.

    Returns:
        The new path.

    Raises:
        OSError, OutputError: it cannot be renamed.
    """
    with held_folder(path, untyped) as folder:
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
        with held_folder(path, untyped) as folder:
            folder.remove(folder.target)
    except FileNotFoundError:
        pass
    except (OSError, OutputError) as error:
        reason = getattr(error, "strerror", None) or error
        log.warning("%s: is no longer needed, and cannot be removed (%s)", target, reason)
