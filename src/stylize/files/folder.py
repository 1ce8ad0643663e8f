"""The folder of a file that is to be written, and the names in it.

A folder may be shared with other users, who can rename, remove and link what is in it, at any
moment. What is created here is therefore opened once, and then written through its descriptor;
names are looked up in a folder that is held open; and a symbolic link is followed only where the
user typed its name: the functions are told how many of a path's last parts are `untyped`.
"""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import OutputError

#: The names of all temporary files and lock files begin with this. None of them outlives its run,
#: unless the run is killed.
PREFIX = ".stylize-"
#: Flags that create a file, and fail where there is one, or a link.
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_CREATE |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
#: Flags that open a folder to look up names in it, on Linux also one that may not be listed.
_LOOK_UP = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_LOOK_UP |= getattr(os, "O_PATH", os.O_RDONLY)
#: Whether names can be looked up in an open folder; not on Windows.
HOLDS_FOLDERS = os.open in os.supports_dir_fd


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


def temporary_prefix(name: str) -> str:
    """Return the prefix of the temporary files and the lock file for the file called `name`."""
    return PREFIX + hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


@dataclass(frozen=True)
class Folder:
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
def held_folder(path: str | os.PathLike[str], untyped: int) -> Iterator[Folder]:
    """Hold the folder of a file open.

    Raises:
        OutputError: it is a link, and the user did not type its name.
    """
    target = real_target(path, untyped)
    own = [target.parents[number] for number in reversed(range(untyped - 1))]
    for folder in own:
        if folder.is_symlink():
            raise OutputError(f"{os.fspath(path)}: {folder} is a link; remove it")
    if not HOLDS_FOLDERS:
        yield Folder(os.fspath(target.parent), None, target.name)
        return
    with ExitStack() as stack:
        typed, descriptor = target.parents[len(own)], None
        for step in (os.fspath(typed), *(folder.name for folder in own)):
            descriptor = os.open(step, _LOOK_UP, dir_fd=descriptor)
            stack.callback(os.close, descriptor)
        yield Folder("", descriptor, target.name)


@contextmanager
def temporary_file(folder: Folder) -> Iterator[tuple[str, IO[bytes]]]:
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
