"""What can be known of picture files without their pixels. No torch."""

import contextlib
import functools
import os
import stat
import warnings
from pathlib import Path

from PIL import ExifTags, Image

from ..errors import PictureError
from ..files import stamp
from . import picture as images

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


def size_of(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Width and height of an upright picture, from its first bytes if they tell.

    Raises:
        PictureError: as `images.load`; or it is a pipe, which could be read only once.
        DeviceError: as `images.load`.
    """
    with contextlib.suppress(OSError, ValueError):
        if stat.S_ISFIFO(os.stat(path).st_mode):
            raise PictureError(f"{os.fspath(path)}: is a pipe; save it to a file first")
    return _size_of(os.fspath(path), stamp(path))


@functools.lru_cache(maxsize=10_000)
def _size_of(path: str, _stamp: object) -> tuple[int, int]:
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            if image.width * image.height > (Image.MAX_IMAGE_PIXELS or 0):
                raise ValueError("too large, as is said below")
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
            width, height = image.size
            return (height, width) if turned else (width, height)
    return images.load(path).size  # of a kind that others read; and if not, this says why


def whole(path: str | os.PathLike[str]) -> bool:
    """Whether a picture is there from its first pixel to its last.

    One above Pillow's limit, which `images.load` does not read, is believed to be.
    """
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            if image.width * image.height > (Image.MAX_IMAGE_PIXELS or 0):
                return True
    try:
        images.load(path)
        return True
    except PictureError:
        return False
