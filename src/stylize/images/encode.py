"""Pictures out: formats, and what each can hold. No torch."""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageCms, PngImagePlugin, features

from .. import files as writing
from ..errors import OptionError, OutputError
from ..settings.options import FORMATS, Options
from ..settings.recipe import KEY, Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Pixels a side at most, where a format (or its library) has such a limit.
_LARGEST = {"jpeg": 65500, "webp": 16383}


def format_of(path: str | os.PathLike[str]) -> str:
    """The format that a path's suffix stands for, a key of `FORMATS`.

    Raises:
        OutputError: no format goes by that suffix.
    """
    suffix = Path(path).suffix.lower()
    for name, suffixes in FORMATS.items():
        if suffix in suffixes:
            return name
    known = " ".join(s for suffixes in FORMATS.values() for s in suffixes)
    raise OutputError(f"{os.fspath(path)}: unknown suffix {suffix!r}; use one of {known}")


def check_output(
    path: str | os.PathLike[str], size: tuple[int, int] = (1, 1), depth: int = 8
) -> None:
    """Find out, before the work, whether a picture can be written at `path`.

    Args:
        path: where the result is to go.
        size: (width, height) of the result, in pixels.
        depth: bits per channel.

    Raises:
        OutputError: unknown suffix, missing parent folder, a folder by that name, no
            permission, or a size that the format cannot hold.
    """
    check_format(format_of(path), size, depth)
    writing.writable(path)


def check_format(format: str, size: tuple[int, int] = (1, 1), depth: int = 8) -> None:
    """Find out whether a format can be written here, and hold that size and depth.

    Args:
        format: a key of `FORMATS`.
        size: (width, height) in pixels.
        depth: bits per channel.

    Raises:
        OptionError: 16 bits in another format than TIFF.
        OutputError: it cannot.
    """
    if format not in FORMATS:
        raise OutputError(f"no format {format!r}; give one of {' '.join(FORMATS)}")
    if format in ("webp", "avif") and not features.check(format):
        raise OutputError(f"this Pillow was built without {format}; use .png or .jpg")
    if depth == 16 and format != "tiff":
        raise OptionError(f"--depth 16: {format} is written in 8 bits; name a .tif file")
    limit = _LARGEST.get(format, max(size))
    if max(size) > limit:
        raise OutputError(f"{format} holds {limit} pixels a side at most; use .png or .tif")


def encode(
    pixels: "NDArray[Any]",
    format: str,
    options: Options,
    recipe: Recipe | None = None,
    exif: bytes = b"",
) -> bytes:
    """The picture as the bytes of a file, the same bytes for the same picture.

    It says that its colours are sRGB, and carries its recipe and, if asked for, the photo's EXIF.

    Args:
        pixels: H x W x 3, or x 4 with straight alpha; sRGB, floats in [0, 1].
        format: a key of `FORMATS`.
        options: quality, depth, background, and whether EXIF is kept. JPEG and AVIF keep colour
            at full resolution (4:4:4); JPEG lays what is transparent over the background.
        recipe: what it was painted with.
        exif: the photo's.

    Raises:
        OutputError: the format cannot hold it.
    """
    exif = exif if options.keep_exif else b""
    quality = options.jpeg_quality
    xmp = {"xmp": recipe.xmp()} if recipe else {}
    try:
        if options.depth == 16:
            return _tiff_16(pixels, xmp.get("xmp"))
        image = to_image(pixels)
        if format == "jpeg":
            image = laid_over(image, options.background)
        text = PngImagePlugin.PngInfo()
        if recipe:
            text.add_text(KEY, recipe.text())
        settings: dict[str, dict[str, Any]] = {
            "png": {"pnginfo": text},
            "jpeg": {"quality": quality, "subsampling": "4:4:4", **xmp},
            "webp": {"quality": quality, **xmp},
            # libtiff, which compresses, cannot write the camera's and the place's parts of EXIF.
            "tiff": {
                "compression": "raw" if exif else "tiff_adobe_deflate",
                "exif": _tiff_tags(exif, xmp),
            },
            "avif": {"quality": quality, "subsampling": "4:4:4", **xmp},
        }
        buffer = io.BytesIO()
        described = {"icc_profile": _srgb(), **({"exif": exif} if exif else {})}
        image.save(buffer, format, **{**described, **settings[format]})
    except (OSError, ValueError) as error:
        raise OutputError(f"{format}: cannot hold this picture ({error})") from error
    return buffer.getvalue()


def save(
    pixels: "NDArray[Any]",
    path: str | os.PathLike[str],
    options: Options,
    recipe: Recipe | None = None,
    exif: bytes = b"",
) -> None:
    """Write a picture in the format of the path's suffix, whole or not at all.

    Args:
        pixels: as in `encode`.
        path: where to; a link is followed, what is there is replaced.
        options: as in `encode`.
        recipe: as in `encode`.
        exif: as in `encode`.

    Raises:
        OutputError: unknown suffix, or the file cannot be written.
    """
    writing.write(path, encode(pixels, format_of(path), options, recipe, exif))


def to_image(pixels: "NDArray[Any]") -> Image.Image:
    """H x W x 3 or 4 floats in [0, 1] as a PIL image of mode RGB or RGBA."""
    import numpy as np

    return Image.fromarray(np.rint(pixels * 255).astype(np.uint8))


def laid_over(image: Image.Image, background: Any) -> Image.Image:
    """A picture of mode RGB or RGBA without transparency, over a colour as Pillow takes it."""
    if image.mode == "RGB":
        return image
    ground = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(ground, image).convert("RGB")


def _tiff_16(pixels: "NDArray[Any]", xmp: bytes | None) -> bytes:
    """A 16-bit TIFF, which Pillow cannot write."""
    import numpy as np
    import tifffile

    buffer = io.BytesIO()
    tags = [(700, "B", len(xmp), xmp, True)] if xmp else []
    tifffile.imwrite(
        buffer,
        np.rint(pixels * 65535).astype(np.uint16),
        photometric="rgb",
        extrasamples=["unassalpha"] if pixels.shape[2] == 4 else None,
        compression="zlib",
        predictor=True,
        iccprofile=_srgb(),
        software=False,
        metadata=None,  # which would have a description of its own
        extratags=tags,
    )
    return buffer.getvalue()


def _tiff_tags(exif: bytes, xmp: dict[str, bytes]) -> Image.Exif:
    """In a TIFF both are tags of the picture itself."""
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    if xmp:
        tags[700] = xmp["xmp"]
    return tags


def _srgb() -> bytes:
    """The profile of sRGB, without the date that littleCMS puts into it."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes(12) + profile[36:]
