"""Opening picture files by their content, never by their names, and only the formats in a list.

What cannot be opened gets a message that says what it is, and what to do.
"""

import functools
import re
from contextlib import suppress
from typing import IO, Any

from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ..errors import PictureError
from ..settings.options import READABLE

#: What is refused by name: what a file has among its first bytes, what it is, and what to do.
_REFUSED = (
    (rb"^%PDF", "a PDF, not a picture; save the page as PNG first, at the size it shall have"),
    (rb"^%!PS|^\xc5\xd0\xd3\xc6", "PostScript, not a picture; save it as PNG first"),
    (rb"^\s*<(?s:.*)<svg|^\s*<svg", "a drawing (SVG), not a picture; export it as PNG first"),
    (rb"^\xff\x0a|^\0\0\0\x0cJXL ", "JPEG XL, which stylize cannot read; save it as JPEG or PNG"),
    (rb"^....ftyp(qt  |isom|mp4|M4V|avc1)", "a film, not a picture; save one frame as a picture"),
    (rb"^8BPS", "a Photoshop file, which stylize cannot read; save it as PNG or TIFF first"),
)
#: How many of the first bytes are searched for them.
_BEGINNING = 1024

#: How the files of cameras begin that have formats of their own.
_RAW_BEGINNING = re.compile(
    rb"....ftypcrx |FUJIFILMCCD-RAW|II(RO|RS|U\0)|MMOR|FOVb|\0MRM", re.DOTALL
)
_TIFF_BEGINNING = re.compile(rb"II\*\0|MM\0\*")
#: Tags and values in TIFF, which most raw photos are.
_NEW_SUBFILE_TYPE, _PHOTOMETRIC, _SUBFILES, _DNG_VERSION = 254, 262, 330, 50706
_REDUCED, _COLOUR_FILTERS = 1, 32803


def open_picture(file: IO[bytes]) -> Image.Image:
    """Open a picture by its header, as `Image.open` does.

    Raises:
        PictureError: the file is no picture, or a raw photo, of which Pillow might read only the
            thumbnail. The message lacks the picture's name.
        UnidentifiedImageError: the file is not known at all.
        Exception: any other error of Pillow's readers.
    """
    _register_heif()
    if is_raw(file):
        raise PictureError("is a raw photo")
    try:
        return Image.open(file, formats=READABLE)
    except UnidentifiedImageError:
        file.seek(0)
        beginning = file.read(_BEGINNING)
        if not beginning:
            raise PictureError("not a picture but an empty file") from None
        for pattern, advice in _REFUSED:
            if re.search(pattern, beginning, re.DOTALL):
                raise PictureError(f"is {advice}") from None
        if re.fullmatch(rb"[\t\n\r -~]+", beginning) and not beginning.lstrip().startswith(b"<"):
            raise PictureError("not a picture but a text") from None
        raise


@functools.cache
def _register_heif() -> None:
    import pillow_heif  # takes a while to load, for which --help need not wait

    pillow_heif.register_heif_opener()


def is_raw(file: IO[bytes]) -> bool:
    """Return whether a file is a raw photo: what a camera's sensor saw, before it is a picture."""
    file.seek(0)
    beginning = file.read(16)
    if _TIFF_BEGINNING.match(beginning) and beginning[8:10] != b"CR":
        with suppress(Exception):  # a damaged TIFF: another reader says so
            return _is_raw_tiff(file, beginning)
        return False
    return beginning[8:10] == b"CR" or bool(_RAW_BEGINNING.match(beginning))


def _is_raw_tiff(file: IO[bytes], beginning: bytes) -> bool:
    tags: Any = ImageFileDirectory_v2(beginning[:8])
    file.seek(tags.next)
    tags.load(file)
    is_thumbnail = bool(tags.get(_NEW_SUBFILE_TYPE, 0) & _REDUCED) and _SUBFILES in tags
    return _DNG_VERSION in tags or is_thumbnail or tags.get(_PHOTOMETRIC) == _COLOUR_FILTERS
