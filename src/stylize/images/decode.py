"""A picture's bytes -> its pixels: sRGB, upright, alpha and 16 bits kept. Knows nothing of names.

Pillow opens every file and reads most. It would cut 16 bits a channel down to 8, so these come
from libpng (by imagecodecs) and tifffile. Both, and numpy, are imported only where they are used.
"""

import io
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, ICCPROFILE, TiffImageFile

from ..errors import PictureError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tifffile import TiffPage

#: How many channels of colour there are in each space, by littleCMS's name for it.
_COLOURS = {"gray": 1, "rgb": 3, "lab": 3, "cmyk": 4}
#: From lcms2.h. Unless forbidden, littleCMS takes 16 bits through a coarse table of colours, and
#: errs by up to 20 of 255 levels where they are saturated.
_RELATIVE_COLORIMETRIC, _BLACK_POINT_COMPENSATION, _NO_OPTIMIZATION = 1, 0x2000, 0x100

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: TIFF's PhotometricInterpretation, where it is a space that can be read here.
_PHOTOMETRIC = {0: "gray", 1: "gray", 2: "rgb", 5: "cmyk"}
_WHITE_IS_ZERO = 0
_PREMULTIPLIED, _STRAIGHT = 1, 2  # TIFF's ExtraSamples, where they are alpha

#: EXIF that stays true of a picture that is resized: from description to copyright. The other
#: tags, of which a TIFF has many, are how it is stored.
_KEPT = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432)
#: Of the camera's part, what does not: width, height; and the maker's note and the table of
#: interoperability, which point to places in the old file.
_STALE = (40962, 40963, 37500, 40965)
_JPEG_SEGMENT = 65533  # bytes; no format has less room for EXIF

_TALKERS = ("imagecodecs", "tifffile", "PIL.TiffImagePlugin")


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a picture's bytes hold.

    Attributes:
        pixels: H x W x 3, or x 4 with alpha that is not premultiplied; uint8 or uint16.
        exif: EXIF that is still true, as Pillow's `exif=` takes it; b"" if none or broken.
        remark: what could not be heeded, to be said after the picture's name; "" if nothing.
    """

    pixels: "NDArray[Any]"
    exif: bytes = b""
    remark: str = ""


def decode(data: bytes) -> Decoded:
    """Read a file: its first frame, brought to sRGB by its colour profile, and upright.

    Raises:
        PictureError: a kind of TIFF that cannot be read. The message lacks the picture's name.
        Image.DecompressionBombWarning, Image.DecompressionBombError: above Pillow's limit of
            89 megapixels. Nothing of that size was allocated.
        UnidentifiedImageError: no picture.
        Exception: any other, for a file that is damaged or cut short.
    """
    with _quietly():
        try:
            image = Image.open(io.BytesIO(data))
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise
        except Exception:
            if not data.startswith(_TIFF_STARTS):
                raise
            return _from_tiff(data)  # may be compressed in a way that Pillow does not know
        with image:
            if image.format == "PNG" and data[24] == 16:  # bits, by the header
                return _from_pillow(image, data)
            if isinstance(image, TiffImageFile) and max(image.tag_v2.get(BITSPERSAMPLE, [1])) > 8:
                with suppress(PictureError):  # then in 8 bits, if Pillow can
                    return _from_tiff(data, _exif(image))
            return _from_pillow(image)


def decode_image(image: Image.Image) -> Decoded:
    """The same for a picture that Pillow has opened or made.

    Raises:
        PictureError: no pixels. The message lacks the picture's name.
        Exception: any other, as `decode`.
    """
    if not all(image.size):
        raise PictureError("has no pixels")
    with _quietly():
        return _from_pillow(image)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without warnings of damaged metadata that we do not need; those of bombs are errors."""
    loggers = [logging.getLogger(name) for name in _TALKERS]
    before = [logger.disabled for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for logger in loggers:
            logger.disabled = True
        try:
            yield
        finally:
            for logger, disabled in zip(loggers, before, strict=True):
                logger.disabled = disabled


def _from_pillow(image: Image.Image, deep_png: bytes = b"") -> Decoded:
    """By Pillow, if need be but for the pixels: those of a PNG with 16 bits are libpng's."""
    import imagecodecs
    import numpy as np

    # Turns a TIFF upright; finds EXIF behind the pixels; and damage, before png_decode does,
    # which then loses a reference to None.
    image.load()
    if deep_png:
        samples = imagecodecs.png_decode(deep_png)  # a key colour has become alpha
        space = "gray" if samples.ndim == 2 or samples.shape[2] == 2 else "rgb"
    elif image.mode in ("I", "F"):
        space, samples = "gray", scaled(np.asarray(image))
    elif image.mode.startswith("I;16"):
        space, samples = "gray", np.asarray(image).astype(np.uint16)
    elif image.mode == "LAB":
        space, samples = "lab", np.array(image)
        samples[..., 1:] ^= 0x80  # a and b are signed here, but unsigned in littleCMS
    elif image.mode == "CMYK":
        space, samples = "cmyk", np.asarray(image)
    else:
        grey = image.mode in ("1", "L", "LA", "La")
        mode = ("L" if grey else "RGB") + ("A" if image.has_transparency_data else "")
        space, samples = "gray" if grey else "rgb", np.asarray(image.convert(mode))
    return _finished(
        samples, space, image.info.get("icc_profile"), _orientation(image), _exif(image)
    )


def _from_tiff(data: bytes, exif: bytes = b"") -> Decoded:
    """By tifffile: any depth, byte order, arrangement and compression."""
    import numpy as np
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        space = _check_tiff(page, len(data))
        planes = page.asarray(squeeze=False)[:, 0]  # planes, height, width, channels of each
        profile = page.tags.valueof(ICCPROFILE)
        orientation = page.tags.valueof(ExifTags.Base.Orientation)
    values = np.moveaxis(planes, 0, 2).reshape(*planes.shape[1:3], -1)
    colours = scaled(values[..., : _COLOURS[space]], page.bitspersample)
    top = np.iinfo(colours.dtype).max
    if page.photometric == _WHITE_IS_ZERO:
        colours = top - colours
    for place, kind in enumerate(page.extrasamples, _COLOURS[space]):
        if kind in (_PREMULTIPLIED, _STRAIGHT):
            alpha = scaled(values[..., place : place + 1], page.bitspersample)
            if kind == _PREMULTIPLIED:
                share = np.maximum(alpha, 1) / np.float32(top)
                colours = np.rint(np.minimum(colours / share, top)).astype(colours.dtype)
            colours = np.concatenate([colours, alpha], axis=2)
            break
    return _finished(colours, space, profile, orientation, exif)


def _check_tiff(page: "TiffPage", length: int) -> str:
    """The space of a page's colours if it can be read from so many bytes; allocates nothing."""
    limit = Image.MAX_IMAGE_PIXELS or math.inf
    sizes = [page.imagewidth, page.imagelength, page.samplesperpixel, page.rowsperstrip]
    if not all(isinstance(size, int) for size in [*sizes, page.tilewidth, page.tilelength]):
        raise ValueError("its header is damaged")  # long tuples, that take forever to multiply
    if page.imagewidth * page.imagelength > limit:
        raise Image.DecompressionBombError
    space = _PHOTOMETRIC.get(page.photometric, "")
    if not (
        space
        and _COLOURS[space] <= page.samplesperpixel <= 8
        and isinstance(page.bitspersample, int)  # not of each channel its own
        and getattr(page.dtype, "kind", "none") in "buif"
        and page.imagedepth == 1
        and (space != "cmyk" or page.tags.valueof("InkSet", default=1) == 1)
    ):
        kind = getattr(page.photometric, "name", page.photometric)
        raise PictureError(
            f"a TIFF of a kind that cannot be read here ({kind}, {page.samplesperpixel} x"
            f" {page.bitspersample} bits); convert it to RGB first"
        )
    if math.prod(page.chunks) > 8 * limit:  # one tile of what may be many
        raise Image.DecompressionBombError
    # tifffile would take what is missing for black.
    places = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if len(places) != math.prod(page.chunked) or not all(
        start > 0 and size > 0 and start + size <= length for start, size in places
    ):
        raise ValueError("parts of the picture are missing")
    return space


def scaled(values: "NDArray[Any]", bits: int = 32) -> "NDArray[Any]":
    """Numbers as levels of uint16, or of uint8 if they had no more than 8 bits.

    Up to 16 bits without sign, white is all bits set. Wider numbers do not say what white is: it
    is taken to be the smallest of 1 (floats only), 255 and 65535 that holds the brightest value,
    or that value itself.

    Args:
        values: any shape; boolean, integer or float.
        bits: how many of each number are used.

    Raises:
        ValueError: there are values that are not finite numbers.
    """
    import numpy as np

    white: float
    depth: Any = np.uint8 if bits <= 8 else np.uint16
    if values.dtype.kind in "bu" and bits <= 16:
        white = 2**bits - 1
        if white == np.iinfo(depth).max:
            return values.astype(depth)
    else:
        if not np.isfinite(values).all():
            raise ValueError("holds values that are not finite numbers")
        depth, brightest = np.uint16, float(values.max())
        whites = [1, 255, 65535] if values.dtype.kind == "f" else [255, 65535]
        white = next((white for white in whites if brightest <= white), brightest)
    # Half floats and short integers would not hold the levels.
    wide = values.astype(np.result_type(values, np.float32))
    levels = np.clip(wide, 0, white) * (np.iinfo(depth).max / white)
    found: NDArray[Any] = np.rint(levels).astype(depth)
    return found


def _finished(
    samples: "NDArray[Any]", space: str, profile: Any, orientation: Any, exif: bytes
) -> Decoded:
    """Bring samples (H x W x colours, then alpha if any) to sRGB, and upright."""
    import numpy as np

    samples = samples.reshape(*samples.shape[:2], -1)
    colours, alpha = np.split(samples, [_COLOURS[space]], axis=2)
    remark = ""
    try:
        if isinstance(profile, bytes) and profile and space != "lab":  # Lab needs none
            colours = _managed(colours, space, profile)
        else:
            colours = _plain(colours, space)
    except (ValueError, RuntimeError) as error:
        reason = error if isinstance(error, ValueError) else "it is damaged"
        remark = f"its colour profile cannot be used ({reason}); taken as sRGB"
        colours = _plain(colours, space)
    pixels = np.concatenate([colours, alpha], axis=2)
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return Decoded(np.ascontiguousarray(pixels), exif, remark)


def _plain(colours: "NDArray[Any]", space: str) -> "NDArray[Any]":
    """RGB by what is usual where no profile says it."""
    import numpy as np

    if space == "gray":
        return np.repeat(colours, 3, axis=2)
    if space == "lab":
        return _transformed(colours, space, None)
    if space == "cmyk":  # as Pillow does it: inks that take light away, one after the other
        top = np.iinfo(colours.dtype).max
        light = (top - colours) / np.float32(top)
        colours = np.rint(light[..., :3] * light[..., 3:] * top).astype(colours.dtype)
    return colours


def _managed(colours: "NDArray[Any]", space: str, profile: bytes) -> "NDArray[Any]":
    """RGB by a colour profile.

    Raises:
        ValueError: it is for colours of another kind.
        RuntimeError: littleCMS cannot use it.
    """
    import numpy as np

    if profile[36:40] != b"acsp":
        raise RuntimeError
    meant = {b"GRAY": "gray", b"RGB ": "rgb", b"CMYK": "cmyk"}.get(profile[16:20])
    if (space, meant) == ("gray", "rgb"):
        colours, space = _plain(colours, space), "rgb"
    if meant != space:
        raise ValueError(f"it is not for {'grey' if space == 'gray' else space.upper()}")
    if space != "cmyk":
        steps, count = np.arange(0, 256, 15, dtype=np.uint8), _COLOURS[space]
        grid = np.stack(np.meshgrid(*[steps] * count), axis=-1).reshape(1, -1, count)
        change = _transformed(grid, space, profile).astype(int) - _plain(grid, space)
        if abs(change).max() <= 2:  # sRGB, by whatever name
            return _plain(colours, space)
    return _transformed(colours, space, profile)


def _transformed(colours: "NDArray[Any]", space: str, profile: bytes | None) -> "NDArray[Any]":
    import imagecodecs

    deep = colours.dtype.itemsize == 2
    return imagecodecs.cms_transform(
        colours[..., 0] if space == "gray" else colours,
        profile or imagecodecs.cms_profile("lab2"),
        imagecodecs.cms_profile("srgb"),
        colorspace=space,
        outcolorspace="rgb",
        intent=_RELATIVE_COLORIMETRIC,
        flags=_BLACK_POINT_COMPENSATION | (_NO_OPTIMIZATION if deep else 0),
    )


def _orientation(image: Image.Image) -> Any:
    """Of EXIF. Read by hand: exif_transpose stumbles over other tags that are broken."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # broken EXIF is no reason to refuse the picture
        return None


def _exif(image: Image.Image) -> bytes:
    try:
        old, new = image.getexif(), Image.Exif()
        new.update({tag: old[tag] for tag in _KEPT if tag in old})
        for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            tags = {tag: value for tag, value in old.get_ifd(part).items() if tag not in _STALE}
            if ExifTags.Base.ColorSpace in tags:
                tags[ExifTags.Base.ColorSpace] = 1  # sRGB, which it is by now
            if tags:
                new[part] = tags
        data = new.tobytes() if len(new) else b""
        return data if len(data) <= _JPEG_SEGMENT else b""
    except Exception:
        return b""
