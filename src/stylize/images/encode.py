"""Writing pictures: the output formats, and what each of them can hold."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from PIL import ExifTags, Image, ImageCms, PngImagePlugin, features

from .. import files
from ..errors import OptionError, OutputError
from ..settings.options import FORMATS, Options
from ..settings.recipe import KEY, Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Returns the bytes of a file. The arguments are those of `encode` without `format`; `exif` is b""
#: unless the options ask for EXIF.
Encoder: TypeAlias = Callable[["NDArray[Any]", Options, Recipe | None, bytes], bytes]

#: The largest side in pixels, for each format that has such a limit, by itself or by its library.
_LARGEST_SIDE = {"jpeg": 65500, "webp": 16383, "avif": 32768}
#: The most bytes of an XMP packet, for the format that has such a limit: a segment of a JPEG.
_LONGEST_XMP = {"jpeg": 65504}
#: The TIFF tag that holds an XMP packet.
_TIFF_XMP_TAG = 700


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the format of a path's suffix, a key of `FORMATS`.

    Raises:
        OutputError: no format has that suffix.
    """
    suffix = Path(path).suffix.lower()
    for name, suffixes in FORMATS.items():
        if suffix in suffixes:
            return name
    known = " ".join(s for suffixes in FORMATS.values() for s in suffixes)
    fault = f"unknown suffix {suffix!r}" if suffix else "no suffix"
    film = "; a film is made by --timelapse" if suffix in (".gif", ".mp4") else ""
    raise OutputError(f"{os.fspath(path)}: {fault}; use one of {known}{film}")


def check_output(
    path: str | os.PathLike[str],
    size: tuple[int, int] = (1, 1),
    depth: int = 8,
    untyped: int = 0,
) -> None:
    """Check, before the work, that a picture can be written at `path`.

    Args:
        path: path of the result.
        size: (width, height) of the result, in pixels.
        depth: bits per channel.
        untyped: as in `files.write`.

    Raises:
        OptionError: as in `check_format`.
        OutputError: the suffix is unknown, the parent folder is missing, the path is a folder,
            permission is missing, or the format cannot hold that size.
    """
    check_format(format_of(path), size, depth)
    files.check_writable(path, untyped)


def check_format(format: str, size: tuple[int, int] = (1, 1), depth: int = 8) -> None:
    """Check that a format can be written here, and can hold that size and depth.

    Args:
        format: a key of `FORMATS`.
        size: (width, height) in pixels.
        depth: bits per channel.

    Raises:
        OptionError: 16 bits are requested of a format other than TIFF.
        OutputError: there is no such format, Pillow cannot write it, or the size is too large.
        NotImplementedError: as in `encode`.
    """
    if format not in FORMATS:
        raise OutputError(f"no format {format!r}; give one of {' '.join(FORMATS)}")
    _encoder(format)
    if format in ("webp", "avif") and not features.check(format):
        raise OutputError(f"this Pillow was built without {format}; use .png or .jpg")
    _check_depth(format, depth)
    limit = _LARGEST_SIDE.get(format, max(size))
    if max(size) > limit:
        raise OutputError(f"{format} holds {limit} pixels a side at most; use .png or .tif")


def check_recipe(format: str, recipe: Recipe) -> None:
    """Check, before the work, that a format can hold a recipe: it grows with each STYLE.

    Raises:
        OutputError: it is too long.
    """
    limit = _LONGEST_XMP.get(format)
    if limit and len(recipe.xmp()) > limit:
        raise OutputError(f"{format} cannot hold the recipe of so many pictures; use .png or .tif")


def _check_depth(format: str, depth: int) -> None:
    """Raise `OptionError` for 16 bits in a format other than TIFF."""
    if depth == 16 and format != "tiff":
        raise OptionError(f"--depth 16: {format} is written in 8 bits; name a .tif file")


def encode(
    pixels: "NDArray[Any]",
    format: str,
    options: Options,
    recipe: Recipe | None = None,
    exif: bytes = b"",
) -> bytes:
    """Return the bytes of a picture file; the same picture always gives the same bytes.

    The file has a colour profile of sRGB, its recipe and, if the options ask for it, EXIF.

    Args:
        pixels: H x W x 3, or H x W x 4 with alpha that is not premultiplied; sRGB, floats in
            [0, 1].
        format: a key of `FORMATS`.
        options: quality, depth, background, and whether EXIF is written. JPEG and AVIF store colour
            at full resolution (4:4:4). A JPEG has no transparency: the background shows through.
        recipe: what the picture was painted with, if it is to be in the file.
        exif: EXIF of the content image.

    Raises:
        OptionError: 16 bits are requested of a format other than TIFF.
        OutputError: the format cannot hold the picture.
        NotImplementedError: `ENCODERS` has no entry for the format.
    """
    encoder = _encoder(format)
    _check_depth(format, options.depth)
    try:
        return encoder(pixels, options, recipe, _exif(exif, options))
    except (OSError, ValueError, RuntimeError) as error:
        raise OutputError(f"{format}: cannot hold this picture ({error})") from error


def save(
    pixels: "NDArray[Any]",
    path: str | os.PathLike[str],
    options: Options,
    recipe: Recipe | None = None,
    exif: bytes = b"",
    untyped: int = 0,
) -> None:
    """Write a picture in the format of the path's suffix; the file is complete or not written.

    Args:
        pixels: as in `encode`.
        path: path of the file; an existing file is replaced.
        options: as in `encode`.
        recipe: as in `encode`.
        exif: as in `encode`.
        untyped: as in `files.write`.

    Raises:
        OptionError: as in `encode`.
        OutputError: the suffix is unknown, or the file cannot be written.
    """
    files.write(path, encode(pixels, format_of(path), options, recipe, exif), untyped)


def to_image(pixels: "NDArray[Any]") -> Image.Image:
    """Return floats in [0, 1], H x W x 3 or H x W x 4, as a PIL image of mode RGB or RGBA."""
    import numpy as np

    return Image.fromarray(np.rint(pixels * 255).astype(np.uint8))


def as_png(image: Image.Image) -> bytes:
    """Return an image of mode RGB or RGBA as a PNG with a colour profile of sRGB, and no recipe."""
    return _encode_by_pillow(image, "png", b"")


def lay_over(image: Image.Image, background: Any) -> Image.Image:
    """Return an opaque image of mode RGB: a picture in front of a background.

    Args:
        image: of mode RGB or RGBA.
        background: a colour in any form that Pillow accepts.
    """
    if image.mode == "RGB":
        return image
    ground = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(ground, image).convert("RGB")


def _png(pixels: "NDArray[Any]", options: Options, recipe: Recipe | None, exif: bytes) -> bytes:
    text = PngImagePlugin.PngInfo()
    if recipe:
        text.add_text(KEY, recipe.text())
    return _encode_by_pillow(to_image(pixels), "png", exif, pnginfo=text, **_dpi(options))


def _jpeg(pixels: "NDArray[Any]", options: Options, recipe: Recipe | None, exif: bytes) -> bytes:
    image = lay_over(to_image(pixels), options.background)
    settings = {"quality": options.jpeg_quality, "subsampling": "4:4:4", **_xmp(recipe)}
    return _encode_by_pillow(image, "jpeg", exif, **settings, **_dpi(options))


def _webp(pixels: "NDArray[Any]", options: Options, recipe: Recipe | None, exif: bytes) -> bytes:
    settings = {"quality": options.jpeg_quality, **_xmp(recipe)}
    return _encode_by_pillow(to_image(pixels), "webp", exif, **settings)


def _avif(pixels: "NDArray[Any]", options: Options, recipe: Recipe | None, exif: bytes) -> bytes:
    settings = {"quality": options.jpeg_quality, "subsampling": "4:4:4", **_xmp(recipe)}
    return _encode_by_pillow(to_image(pixels), "avif", exif, **settings)


def _tiff(pixels: "NDArray[Any]", options: Options, recipe: Recipe | None, exif: bytes) -> bytes:
    if options.depth == 16:
        return _tiff_16_bits(pixels, options, recipe)
    # XMP and EXIF are tags of the picture itself.
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    if recipe:
        tags[_TIFF_XMP_TAG] = recipe.xmp()
    # libtiff does the compression, but cannot write the EXIF parts of the camera and the place.
    compression = "raw" if exif else "tiff_adobe_deflate"
    return _encode_by_pillow(
        to_image(pixels), "tiff", tags, compression=compression, **_dpi(options)
    )


def _tiff_16_bits(pixels: "NDArray[Any]", options: Options, recipe: Recipe | None) -> bytes:
    """Return a TIFF with 16 bits per channel, which Pillow cannot write."""
    import numpy as np
    import tifffile

    buffer = io.BytesIO()
    xmp = recipe.xmp() if recipe else b""
    tifffile.imwrite(
        buffer,
        np.rint(pixels * 65535).astype(np.uint16),
        photometric="rgb",
        extrasamples=["unassalpha"] if pixels.shape[2] == 4 else None,
        compression="zlib",
        predictor=True,
        iccprofile=_srgb_profile(),
        resolution=(options.density, options.density) if options.density else None,
        resolutionunit="INCH" if options.density else None,
        software=False,
        metadata=None,  # tifffile would otherwise add an image description
        extratags=[(_TIFF_XMP_TAG, "B", len(xmp), xmp, True)] if xmp else [],
    )
    return buffer.getvalue()


#: The encoder of each format, with the keys of `FORMATS`.
ENCODERS: dict[str, Encoder] = {
    "png": _png,
    "jpeg": _jpeg,
    "webp": _webp,
    "tiff": _tiff,
    "avif": _avif,
}


def _encoder(format: str) -> Encoder:
    """Return the encoder of a format.

    Raises:
        NotImplementedError: there is none: the format was added to `FORMATS` alone.
    """
    if format not in ENCODERS:
        raise NotImplementedError(f"{format}: no encoder; add one to images.encode.ENCODERS")
    return ENCODERS[format]


def _encode_by_pillow(
    image: Image.Image, format: str, exif: bytes | Image.Exif, **settings: Any
) -> bytes:
    """Return a file as Pillow writes it, with the profile of sRGB, and with EXIF if there is any.

    Args:
        image: of mode RGB or RGBA.
        format: Pillow's name of the format.
        exif: EXIF in either form that Pillow accepts; b"" for none.
        **settings: the format's own arguments of `Image.save`.
    """
    buffer = io.BytesIO()
    if exif != b"":
        settings["exif"] = exif
    image.save(buffer, format, icc_profile=_srgb_profile(), **settings)
    return buffer.getvalue()


def _xmp(recipe: Recipe | None) -> dict[str, bytes]:
    """Return the argument of `Image.save` that writes a recipe as XMP."""
    return {"xmp": recipe.xmp()} if recipe else {}


def _exif(exif: bytes, options: Options) -> bytes:
    """Return the photo's EXIF if it is asked for, with the density of the result if that is set."""
    if not exif or not options.keep_exif:
        return b""
    if not options.density:
        return exif
    tags = Image.Exif()
    tags.load(exif)
    tags[ExifTags.Base.XResolution] = tags[ExifTags.Base.YResolution] = options.density
    tags[ExifTags.Base.ResolutionUnit] = 2  # inches
    return tags.tobytes()


def _dpi(options: Options) -> dict[str, tuple[int, int]]:
    """Return the argument of `Image.save` that writes the dots per inch."""
    return {"dpi": (options.density, options.density)} if options.density else {}


def _srgb_profile() -> bytes:
    """Return a colour profile of sRGB without the date that littleCMS writes into it."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes(12) + profile[36:]
