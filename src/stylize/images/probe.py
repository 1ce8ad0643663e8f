"""Facts about picture files that need no pixels, where that is possible."""

import contextlib
import functools
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import ExifTags, Image

from ..errors import PictureError
from ..files import open_regular, stat_key
from ..silence import warnings_silenced
from .limits import check_pixels, most_pixels
from .opening import open_picture
from .picture import load_picture

#: Suffixes of raw photos, and of all pictures.
RAW_SUFFIXES = (
    *(".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"),
)
SUFFIXES = (
    *RAW_SUFFIXES,
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".avif", ".bmp", ".gif"),
    *(".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".heic", ".heif", ".hif"),
)


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Return whether a file's name says that it is a picture; a broken link counts as a file."""
    if Path(path).suffix.lower() not in SUFFIXES:
        return False
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # not a pipe, at which a reader would wait
    except OSError:
        return True


def without_raw_twins(names: Sequence[str]) -> list[str]:
    """Return the names of pictures in a folder, without raw photos beside the camera's own JPEG.

    Args:
        names: of pictures; those of one photo differ in the suffix alone.
    """
    parts = [os.path.splitext(name.lower()) for name in names]
    developed = {stem for stem, suffix in parts if suffix not in RAW_SUFFIXES}
    return [
        name
        for name, (stem, suffix) in zip(names, parts, strict=True)
        if suffix not in RAW_SUFFIXES or stem not in developed
    ]


def picture_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return width and height of the upright picture, from the file's first bytes if possible.

    Raises:
        PictureError: as in `load_picture`.
        DeviceError: as in `load_picture`.
    """
    return _cached_size(os.fspath(path), stat_key(path))


@functools.lru_cache(maxsize=10_000)
def _cached_size(path: str, _stat_key: object) -> tuple[int, int]:
    """Return `picture_size` of a file; `_stat_key` changes when the file does."""
    with contextlib.suppress(Exception), _header(path) as image:
        check_pixels(*image.size)  # if it is too large, `load_picture` below tells the user
        is_turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        width, height = image.size
        return (height, width) if is_turned else (width, height)
    # Pillow cannot read the file. Another library can, or `load_picture` raises the error.
    return load_picture(path).size


def is_complete(path: str | os.PathLike[str]) -> bool:
    """Return whether a picture can be read to its last pixel.

    A picture above Pillow's limit, which `load_picture` does not read, counts as complete.
    """
    with contextlib.suppress(Exception), _header(path) as image:
        if image.width * image.height > most_pixels():
            return True
    try:
        load_picture(path)
        return True
    except PictureError:
        return False


@contextlib.contextmanager
def _header(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """Open a picture without reading its pixels, so that Pillow need not warn of their number."""
    with warnings_silenced(), open_regular(path) as file, open_picture(file) as image:
        yield image
