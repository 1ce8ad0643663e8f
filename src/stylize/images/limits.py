"""How much a picture may cost to read: its pixels, bytes and scans, known before it is decoded.

The number of pixels is Pillow's limit. Messages have no names of files in them.
"""

import math
import re
from collections.abc import Sequence

from PIL import Image
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    STRIPBYTECOUNTS,
    STRIPOFFSETS,
    TILEBYTECOUNTS,
    TILELENGTH,
    TILEOFFSETS,
    TILEWIDTH,
    TiffImageFile,
)

from ..errors import PictureError

#: A JPEG has at most so many scans; programs write about ten.
MOST_SCANS = 50
#: A marker in a JPEG: 255 and its kind. Among the bits of a scan 255 is followed by 0, or by one of
#: eight kinds that mean nothing here.
_JPEG_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
#: Kinds of markers that no length follows.
_JPEG_MARKERS_ALONE = (0x01, 0xD8)
#: The number of the compression of a TIFF whose parts are JPEGs.
JPEG_IN_TIFF = 7


def most_pixels() -> float:
    """The most pixels that a picture may have: Pillow's limit of 89 megapixels, if it is set."""
    return Image.MAX_IMAGE_PIXELS or math.inf


def check_pixels(width: int, height: int) -> None:
    """Raise `Image.DecompressionBombError` above `most_pixels`, where Pillow would only warn."""
    if width * height > most_pixels():
        raise Image.DecompressionBombError


def most_bytes() -> float:
    """The most bytes that a file may have, and that the samples of a picture may take.

    They are those of a picture of Pillow's limit, with four channels of 16 bits.
    """
    return 8 * most_pixels()


def check_cost(image: Image.Image, data: bytes) -> None:
    """Check that a picture takes no more to decode than its size in pixels makes one expect.

    Args:
        image: the picture, of which only the header has been read.
        data: the file.

    Raises:
        PictureError: it has far too many scans, or tiles that are far larger than itself.
        ValueError: the file is damaged.
    """
    if image.format in ("JPEG", "MPO"):
        check_jpegs(data, [(0, len(data))])
    if not isinstance(image, TiffImageFile):
        return
    tags = image.tag_v2
    across, down = tags.get(TILEWIDTH, 0), tags.get(TILELENGTH, 0)
    if not all(isinstance(side, int) for side in (across, down)):
        raise ValueError("its header is damaged")
    if across and down:
        tiles = math.ceil(image.width / across) * math.ceil(image.height / down)
        bits = max(tags.get(BITSPERSAMPLE, [1]))
        check_bytes(tiles * across * down * len(image.getbands()) * bits / 8)
    if tags.get(COMPRESSION) == JPEG_IN_TIFF:
        starts, sizes = (
            tags.get(tile) or tags.get(strip) or ()
            for tile, strip in (
                (TILEOFFSETS, STRIPOFFSETS),
                (TILEBYTECOUNTS, STRIPBYTECOUNTS),
            )
        )
        check_jpegs(data, list(zip(starts, sizes, strict=True)))


def check_bytes(needed: float) -> None:
    """Raise `PictureError` if samples take more than `most_bytes`."""
    if needed > most_bytes():
        raise PictureError(
            f"would take more than {most_bytes() / 1e6:.0f} MB to decode; save it with at most 16"
            " bits a channel, and without large tiles"
        )


def check_jpegs(data: bytes, parts: Sequence[tuple[int, int]]) -> None:
    """Check that JPEGs have no more scans than programs write: each takes time for all pixels.

    Args:
        data: the file.
        parts: start and length of each JPEG in it.

    Raises:
        PictureError: one has far more.
        ValueError: the parts overlap.
    """
    if sum(size for _, size in parts) > len(data):
        raise ValueError("parts of the picture overlap")
    for start, size in parts:
        scans, place = 0, start
        while marker := _JPEG_MARKER.search(data, place, start + size):
            kind, place = marker[1][0], marker.end()
            if kind == _JPEG_END:
                break
            if kind not in _JPEG_MARKERS_ALONE:
                place += int.from_bytes(data[place : place + 2], "big")
            scans += kind == _JPEG_SCAN
            if scans > MOST_SCANS:
                raise PictureError(f"a JPEG of more than {MOST_SCANS} scans; save it again first")
