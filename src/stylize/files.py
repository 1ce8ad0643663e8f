"""What can be known of picture files without their pixels. No torch."""

import contextlib
import functools
import hashlib
import os
import stat
import warnings
from pathlib import Path

from PIL import ExifTags, Image

from . import images

#: What the names of pictures end in. Of HEIC nothing can be read here, but a folder of such photos
#: is not to be passed over in silence.
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".avif", ".bmp", ".gif"),
    *(".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".heic", ".heif"),
)


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Whether a file is meant to be a picture, by its name; a link may lead nowhere."""
    if Path(path).suffix.lower() not in SUFFIXES:
        return False
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # no pipe, which would be waited for
    except OSError:
        return True


def digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of an ordinary file, in hex, as in `Picture`; "" if it cannot be read."""
    try:
        found = os.stat(path)
        return _digest(os.fspath(path), found.st_mtime_ns, found.st_size, found.st_mode)
    except (OSError, ValueError):
        return ""


@functools.lru_cache(maxsize=10_000)
def _digest(path: str, _time: int, _size: int, mode: int) -> str:
    if not stat.S_ISREG(mode):
        return ""  # a pipe can be read only once
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def size_of(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Width and height of an upright picture, from its first bytes if they tell.

    Raises:
        PictureError: as `images.load`.
        DeviceError: as `images.load`.
    """
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("error")
        with Image.open(path) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
            width, height = image.size
            return (height, width) if turned else (width, height)
    return images.load(path).size  # of a kind that others read; and if not, this says why
