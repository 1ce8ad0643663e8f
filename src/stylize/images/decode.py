"""Decoding a picture's bytes to upright sRGB pixels; alpha and 16 bits are preserved.

Pillow opens every file and reads most. It would reduce 16 bits per channel to 8, so such pictures
are read by libpng (through imagecodecs) and by tifffile. Both, and numpy, are imported only where
they are used. This module does not know the names of files: messages have no name in them.
"""

import io
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, ICCPROFILE, TiffImageFile

from ..errors import PictureError, shortened
from ..silence import warnings_silenced
from . import heif, limits, raw
from .opening import is_raw, open_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tifffile import TiffPage

#: The number of colour channels of each colour space, by littleCMS's name for the space.
_COLOUR_CHANNELS = {"gray": 1, "rgb": 3, "lab": 3, "cmyk": 4}
#: Constants from lcms2.h. Without the last, littleCMS converts 16 bits by a coarse table of colours
#: and errs by up to 20 of 255 levels where colours are saturated.
_RELATIVE_COLORIMETRIC, _BLACK_POINT_COMPENSATION, _NO_OPTIMIZATION = 1, 0x2000, 0x100

_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: Colour space by TIFF's PhotometricInterpretation, for the kinds that can be read here.
_TIFF_COLOUR_SPACES = {0: "gray", 1: "gray", 2: "rgb", 5: "cmyk"}
_WHITE_IS_ZERO = 0  # a PhotometricInterpretation: grey levels are inverted
_PREMULTIPLIED, _STRAIGHT = 1, 2  # the kinds of TIFF's ExtraSamples that are alpha

#: Pixels that are converted at a time.
_BAND = 2**20

#: EXIF tags of the main part that remain true of a resized picture: from ImageDescription to
#: Copyright. The others, of which a TIFF has many, describe how the picture is stored.
_COPIED_TAGS = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432)
#: EXIF tags of the camera's part that become false: width and height, and also the maker's note and
#: the interoperability table, which refer to offsets in the old file.
_DROPPED_CAMERA_TAGS = (40962, 40963, 37500, 40965)
#: The size of a JPEG segment, in which EXIF must fit; no other format has a lower limit.
_LARGEST_EXIF = 65533


@dataclass(frozen=True, eq=False)
class Decoded:
    """The content of a picture file.

    Attributes:
        pixels: H x W x 3, or H x W x 4 with alpha that is not premultiplied; uint8 or uint16.
        exif: the EXIF tags that are still true, as Pillow's `exif=` accepts them; b"" if there are
            none or they are broken.
        remark: what could not be taken into account, as a message to put after the picture's name;
            "" if there is nothing.
    """

    pixels: "NDArray[Any]"
    exif: bytes = b""
    remark: str = ""


def decode(data: bytes, side: int | None = None) -> Decoded:
    """Read the first frame of a file, convert it to sRGB by its colour profile, turn it upright.

    Args:
        data: the file.
        side: pixels that suffice for each side: a large JPEG is then decoded smaller.

    Raises:
        PictureError: the file is of a kind that cannot be read, or would take too much memory or
            time.
        Image.DecompressionBombError: the picture is above Pillow's limit of 89 megapixels. No
            memory of that size was allocated.
        UnidentifiedImageError: the file is not a picture.
        Exception: any other error means that the file is damaged or cut short.
    """
    with warnings_silenced():
        if is_raw(io.BytesIO(data)):
            return Decoded(raw.develop(data))
        try:
            image = open_picture(io.BytesIO(data))
        except Image.DecompressionBombError:
            raise
        except Exception:
            if not data.startswith(_TIFF_SIGNATURES):
                raise
            return _decode_by_tifffile(data)  # Pillow may not know its compression
        with image:
            limits.check_pixels(*image.size)
            limits.check_cost(image, data)
            if side:
                image.draft("RGB", (side, side))
            bits_in_png_header = data[24] if image.format == "PNG" else 0
            if bits_in_png_header == 16:
                return _decode_by_pillow(image, (16, lambda: _png_samples(data)))
            if image.format in ("HEIF", "AVIF"):
                heif.check_whole(data)
                deep = heif.deep_samples(image, data)
                return _decode_by_pillow(image, deep, heif.profile(image, data))
            if isinstance(image, TiffImageFile) and max(image.tag_v2.get(BITSPERSAMPLE, [1])) > 8:
                with suppress(PictureError):  # if tifffile cannot, Pillow may read it in 8 bits
                    return _decode_by_tifffile(data, _exif(image))
            return _decode_by_pillow(image)


def decode_image(image: Image.Image) -> Decoded:
    """Do the same as `decode` for a picture that Pillow has opened or made.

    Raises:
        PictureError: the picture has no pixels.
        Exception: any other error, as in `decode`.
    """
    if not all(image.size):
        raise PictureError("has no pixels")
    with warnings_silenced():
        return _decode_by_pillow(image, profile=heif.profile(image))


def _png_samples(data: bytes) -> "NDArray[Any]":
    """Return the samples of a PNG by libpng, which turns a transparent colour into alpha."""
    import imagecodecs

    samples: NDArray[Any] = imagecodecs.png_decode(data)
    return samples


def _decode_by_pillow(
    image: Image.Image,
    deep: "tuple[int, Callable[[], NDArray[Any]]] | None" = None,
    profile: bytes | None = None,
) -> Decoded:
    """Decode by Pillow.

    Args:
        image: the picture.
        deep: if it has more than 8 bits and Pillow would reduce them: how many, and what reads
            the samples in its place.
        profile: its colour profile, if Pillow does not know it.
    """
    import numpy as np

    # `load` turns a TIFF upright and finds EXIF behind the pixels. It also finds damage before
    # png_decode does, which loses a reference to None in that case.
    image.load()
    if deep:
        bits, read = deep
        samples = scaled(read(), bits)
        space = "gray" if samples.ndim == 2 or samples.shape[2] == 2 else "rgb"
    elif image.mode in ("I", "F"):
        space, samples = "gray", scaled(np.asarray(image))
    elif image.mode.startswith("I;16"):
        space, samples = "gray", np.asarray(image).astype(np.uint16)
    elif image.mode == "LAB":
        space, samples = "lab", np.array(image)
        samples[..., 1:] ^= 0x80  # a and b are signed in Pillow, but unsigned in littleCMS
    elif image.mode == "CMYK":
        space, samples = "cmyk", np.asarray(image)
    else:
        is_grey = image.mode in ("1", "L", "LA", "La")
        mode = ("L" if is_grey else "RGB") + ("A" if image.has_transparency_data else "")
        space, samples = "gray" if is_grey else "rgb", np.asarray(image.convert(mode))
    profile = image.info.get("icc_profile") or profile
    return _to_upright_srgb(samples, space, profile, _orientation(image), _exif(image))


def _decode_by_tifffile(data: bytes, exif: bytes = b"") -> Decoded:
    """Decode a TIFF by tifffile: any depth, byte order, planar configuration and compression.

    Raises:
        PictureError: it is of a kind that cannot be read.
    """
    import numpy as np
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        space = _check_tiff(page, data)
        planes = page.asarray(squeeze=False)[:, 0]  # planes x H x W x channels of a plane
        profile = page.tags.valueof(ICCPROFILE)
        orientation = page.tags.valueof(ExifTags.Base.Orientation)
    values = np.moveaxis(planes, 0, 2).reshape(*planes.shape[1:3], -1)
    colours = scaled(values[..., : _COLOUR_CHANNELS[space]], page.bitspersample)
    highest = np.iinfo(colours.dtype).max
    if page.photometric == _WHITE_IS_ZERO:
        colours = highest - colours
    for channel, kind in enumerate(page.extrasamples, _COLOUR_CHANNELS[space]):
        if kind in (_PREMULTIPLIED, _STRAIGHT):
            alpha = scaled(values[..., channel : channel + 1], page.bitspersample)
            if kind == _PREMULTIPLIED:
                colours = _in_bands(_without_alpha, colours, alpha)
            colours = np.concatenate([colours, alpha], axis=2)
            break
    return _to_upright_srgb(colours, space, profile, orientation, exif)


def _without_alpha(colours: "NDArray[Any]", alpha: "NDArray[Any]") -> "NDArray[Any]":
    """Divide premultiplied colours by their alpha."""
    import numpy as np

    highest = np.iinfo(colours.dtype).max
    opacity = np.maximum(alpha, 1) / np.float32(highest)
    straight: NDArray[Any] = np.rint(np.minimum(colours / opacity, highest))
    return straight


def _in_bands(
    convert: "Callable[..., NDArray[Any]]",
    *arrays: "NDArray[Any]",
    channels: int | None = None,
    dtype: Any = None,
) -> "NDArray[Any]":
    """Convert arrays a band of pixels at a time, so that what lies between takes little memory.

    Args:
        convert: takes a band of each array, pixels x channels, and returns one of the result.
        *arrays: H x W x channels.
        channels: of the result; by default those of the first array.
        dtype: type of the result; by default that of the first array.
    """
    import numpy as np

    first = arrays[0]
    shape = (*first.shape[:-1], channels or first.shape[-1])
    result = np.empty((math.prod(shape[:-1]), shape[-1]), dtype or first.dtype)
    flat = [array.reshape(len(result), array.shape[-1]) for array in arrays]
    for start in range(0, len(result), _BAND):
        band = slice(start, start + _BAND)
        result[band] = convert(*(array[band] for array in flat))
    return result.reshape(shape)


def _check_tiff(page: "TiffPage", data: bytes) -> str:
    """Check that a page can be read, without allocating memory for its pixels.

    Args:
        page: the page.
        data: the file.

    Returns:
        The colour space of the page.

    Raises:
        PictureError: the page is of a kind that cannot be read, or would take too much memory.
        Image.DecompressionBombError: it is above Pillow's limit.
        ValueError: the file is damaged.
    """
    sizes = [page.imagewidth, page.imagelength, page.samplesperpixel, page.rowsperstrip]
    if not all(isinstance(size, int) for size in [*sizes, page.tilewidth, page.tilelength]):
        # A damaged tag can be a long tuple, and multiplying it would take almost forever.
        raise ValueError("its header is damaged")
    limits.check_pixels(page.imagewidth, page.imagelength)
    space = _TIFF_COLOUR_SPACES.get(page.photometric, "")
    if not (
        space
        and _COLOUR_CHANNELS[space] <= page.samplesperpixel <= 8
        and isinstance(page.bitspersample, int)  # a tuple if the channels differ in depth
        and getattr(page.dtype, "kind", "none") in "buif"
        and page.imagedepth == 1
        and (space != "cmyk" or page.tags.valueof("InkSet", default=1) == 1)
    ):
        kind = getattr(page.photometric, "name", page.photometric)
        raise PictureError(
            f"a TIFF of a kind that cannot be read here ({shortened(str(kind))},"
            f" {page.samplesperpixel} x {shortened(str(page.bitspersample))} bits); convert it to"
            " RGB first"
        )
    assert page.dtype  # of one of the kinds above
    limits.check_bytes(math.prod(page.chunked) * math.prod(page.chunks) * page.dtype.itemsize)
    # tifffile would fill missing parts with black.
    parts = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if len(parts) != math.prod(page.chunked) or not all(
        start > 0 and size > 0 and start + size <= len(data) for start, size in parts
    ):
        raise ValueError("parts of the picture are missing")
    if page.compression == limits.JPEG_IN_TIFF:
        limits.check_jpegs(data, parts)
    return space


def scaled(values: "NDArray[Any]", bits: int = 32) -> "NDArray[Any]":
    """Scale numbers to levels of uint16, or of uint8 if they have no more than 8 bits.

    For unsigned numbers of up to 16 bits, white is the number with all bits set. Wider and signed
    numbers do not define white: it is assumed to be the smallest of 1 (floats only), 255 and 65535
    that is not below the brightest value, or that value itself.

    Args:
        values: any shape; boolean, integer or float.
        bits: how many bits of each number are used.

    Raises:
        ValueError: a value is not a finite number.
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

    def levels(values: "NDArray[Any]") -> "NDArray[Any]":
        # Half-precision floats and short integers could not represent the levels.
        wide = values.astype(np.result_type(values, np.float32))
        result: NDArray[Any] = np.rint(np.clip(wide, 0, white) * (np.iinfo(depth).max / white))
        return result

    return _in_bands(levels, values[..., None], dtype=depth)[..., 0]


def _to_upright_srgb(
    samples: "NDArray[Any]", space: str, profile: Any, orientation: Any, exif: bytes
) -> Decoded:
    """Convert samples to sRGB, and turn the picture upright.

    Args:
        samples: H x W, or H x W x the channels of `space`, with alpha as the last channel if any.
        space: a key of `_COLOUR_CHANNELS`.
        profile: the ICC profile as bytes; anything else means that there is none.
        orientation: the value of the EXIF tag, 1 to 8; anything else means upright.
        exif: as in `Decoded`.
    """
    import numpy as np

    samples = samples.reshape(*samples.shape[:2], -1)
    colours, alpha = np.split(samples, [_COLOUR_CHANNELS[space]], axis=2)
    remark = ""
    try:
        if isinstance(profile, bytes) and profile and space != "lab":  # Lab needs no profile
            colours = _rgb_by_profile(colours, space, profile)
        else:
            colours = _rgb_without_profile(colours, space)
    except (ValueError, RuntimeError) as error:
        reason = error if isinstance(error, ValueError) else "it is damaged"
        remark = f"its colour profile cannot be used ({reason}); its colours are read as sRGB"
        colours = _rgb_without_profile(colours, space)
    pixels = np.concatenate([colours, alpha], axis=2)
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return Decoded(np.ascontiguousarray(pixels), exif, remark)


def _rgb_without_profile(colours: "NDArray[Any]", space: str) -> "NDArray[Any]":
    """Convert colours to RGB by the usual rules for a picture without a colour profile."""
    import numpy as np

    if space == "gray":
        return np.repeat(colours, 3, axis=2)
    if space == "lab":
        return _transform_by_littlecms(colours, space, None)
    if space == "cmyk":  # as Pillow does it
        return _in_bands(_without_inks, colours, channels=3)
    return colours


def _without_inks(inks: "NDArray[Any]") -> "NDArray[Any]":
    """Convert CMYK to RGB: each ink absorbs a share of the remaining light."""
    import numpy as np

    highest = np.iinfo(inks.dtype).max
    light = (highest - inks) / np.float32(highest)
    colours: NDArray[Any] = np.rint(light[:, :3] * light[:, 3:] * highest)
    return colours


def _rgb_by_profile(colours: "NDArray[Any]", space: str, profile: bytes) -> "NDArray[Any]":
    """Convert colours to sRGB by a colour profile.

    Colours stay exactly the same if the profile differs from sRGB by no more than 2 of 255 levels.

    Raises:
        ValueError: the profile is for another colour space.
        RuntimeError: littleCMS cannot use it.
    """
    import numpy as np

    if profile[36:40] != b"acsp":  # the signature of ICC profiles
        raise RuntimeError
    profile_space = {b"GRAY": "gray", b"RGB ": "rgb", b"CMYK": "cmyk"}.get(profile[16:20])
    if (space, profile_space) == ("gray", "rgb"):
        colours, space = _rgb_without_profile(colours, space), "rgb"
    if profile_space != space:
        raise ValueError(f"it is not for {'grey' if space == 'gray' else space.upper()}")
    if space != "cmyk":
        # Compare on a grid of colours with sRGB: profiles of sRGB have many names.
        steps, channels = np.arange(0, 256, 15, dtype=np.uint8), _COLOUR_CHANNELS[space]
        grid = np.stack(np.meshgrid(*[steps] * channels), axis=-1).reshape(1, -1, channels)
        converted = _transform_by_littlecms(grid, space, profile)
        change = converted.astype(int) - _rgb_without_profile(grid, space)
        if abs(change).max() <= 2:
            return _rgb_without_profile(colours, space)
    return _transform_by_littlecms(colours, space, profile)


def _transform_by_littlecms(
    colours: "NDArray[Any]", space: str, profile: bytes | None
) -> "NDArray[Any]":
    """Convert colours from a profile to sRGB, relative to white and black; None is Lab's profile.

    Raises:
        RuntimeError: littleCMS cannot use the profile.
    """
    import imagecodecs

    has_16_bits = colours.dtype.itemsize == 2
    result: NDArray[Any] = imagecodecs.cms_transform(
        colours[..., 0] if space == "gray" else colours,
        profile or imagecodecs.cms_profile("lab2"),
        imagecodecs.cms_profile("srgb"),
        colorspace=space,
        outcolorspace="rgb",
        intent=_RELATIVE_COLORIMETRIC,
        flags=_BLACK_POINT_COMPENSATION | (_NO_OPTIMIZATION if has_16_bits else 0),
    )
    return result


def _orientation(image: Image.Image) -> Any:
    """Return EXIF's orientation; None if there is none or EXIF is broken.

    The tag is read by itself, because `exif_transpose` fails if other tags are broken.
    """
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # broken EXIF is no reason to refuse the picture
        return None


def _exif(image: Image.Image) -> bytes:
    """Return the EXIF tags that remain true, as in `Decoded`; b"" if they are broken or too long.

    The thumbnail is not among them.
    """
    try:
        old, new = image.getexif(), Image.Exif()
        new.update({tag: old[tag] for tag in _COPIED_TAGS if tag in old})
        for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            tags = {
                tag: value
                for tag, value in old.get_ifd(part).items()
                if tag not in _DROPPED_CAMERA_TAGS
            }
            if ExifTags.Base.ColorSpace in tags:
                tags[ExifTags.Base.ColorSpace] = 1  # sRGB, to which the pixels are converted
            if tags:
                new[part] = tags
        data = new.tobytes() if len(new) else b""
        return data if len(data) <= _LARGEST_EXIF else b""
    except Exception:
        return b""
