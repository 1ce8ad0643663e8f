"""Files on disk: written whole or not at all, locked against other runs, known by their content.

* `writing` fills a temporary file beside the target and then renames it, so that no reader ever
  sees half a file. `check_writable` and `nearest_existing_folder` find out before the work whether
  that will succeed, `output_errors` turns the operating system's errors into an `OutputError`, and
  `save_elsewhere` stores a result that could not be written to its target. `set_aside` and `remove`
  are for the files that earlier runs left.
* `folder` holds a folder open while a file in it is written.
* `locks`: `lock` lets one run at a time write a file, and removes the temporary files of killed
  runs. `pending_prefixes` lists which files of a folder are being written.
* `reading`: `open_regular` opens nothing at which a reader could wait. `digest` and `sha256`
  identify a file by its content, `stat_key` by its metadata; `file_id` tells whether two names are
  those of one file.
"""

from .folder import real_target, temporary_prefix
from .locks import LockedError, lock, pending_prefixes, remove_stale_parts
from .reading import NotRegularError, digest, file_id, open_regular, sha256, stat_key
from .writing import (
    check_not_input,
    check_writable,
    make_parent,
    names_aside,
    nearest_existing_folder,
    open_atomic,
    output_errors,
    remove,
    save_elsewhere,
    set_aside,
    temporary_beside,
    write,
)

__all__ = [
    "LockedError",
    "NotRegularError",
    "check_not_input",
    "check_writable",
    "digest",
    "file_id",
    "lock",
    "make_parent",
    "names_aside",
    "nearest_existing_folder",
    "open_atomic",
    "open_regular",
    "output_errors",
    "pending_prefixes",
    "real_target",
    "remove",
    "remove_stale_parts",
    "save_elsewhere",
    "set_aside",
    "sha256",
    "stat_key",
    "temporary_beside",
    "temporary_prefix",
    "write",
]
