"""Pictures in and out: bytes <-> PIL <-> float tensor. Knows no network.

torch is imported only where a tensor is asked for, so that a bad file is told at once.
"""

import io
import os
import secrets
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, cast

from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError, features

from .errors import OutputError, PictureError
from .options import FORMATS

if TYPE_CHECKING:
    from torch import Tensor

#: Pixels a side at most, where a format (or its library) has such a limit.
_LARGEST = {"jpeg": 65500, "webp": 16383}

#: What undoes each EXIF orientation.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

#: What stands for a picture in the API: a path, an open binary file, a PIL image, or an array
#: (H x W or H x W x 1, 3 or 4; uint8, uint16, bool, or floats in [0, 1]).
Source: TypeAlias = "str | os.PathLike[str] | IO[bytes] | Image.Image | Picture | Any"


@dataclass(frozen=True)
class Picture:
    """A picture as it came in.

    Attributes:
        image: PIL image of mode RGB, upright, taken as sRGB.
        name: what messages call it.
    """

    image: Image.Image
    name: str


def load(source: Source, name: str = "picture") -> Picture:
    """Read a picture in whatever form it comes.

    EXIF orientation is applied, transparency laid over white, 16 bits scaled to 8, and of an
    animation the first frame taken.

    Args:
        source: see `Source`.
        name: what messages call it if it has no path.

    Raises:
        PictureError: missing, unreadable, truncated, or above Pillow's limit of 89 megapixels.
    """
    if isinstance(source, Picture):
        return source
    file: IO[bytes] | None
    if isinstance(source, Image.Image):
        name, file, image = getattr(source, "filename", "") or name, None, source
    elif isinstance(source, (str, os.PathLike)):
        name, file = os.fspath(source), _opened(Path(source))
    elif hasattr(source, "read"):
        file = _held(source, name)
    else:
        file, image = None, _from_array(source, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata that we do not need
            # Pillow warns of a picture large enough to exhaust the memory; we do not go on.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if file is not None:
                with file, Image.open(file) as opened:
                    image = _to_rgb(opened)
            else:
                image = _to_rgb(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise PictureError(
            f"{name}: larger than {limit} megapixels; scale it down first"
        ) from error
    except UnidentifiedImageError as error:
        raise PictureError(
            f"{name}: not a picture in a format that can be read here;"
            " convert it to JPEG or PNG first"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers fail in a dozen ways on damaged files
        raise PictureError(f"{name}: damaged or cut short ({error})") from error
    if not all(image.size):
        raise PictureError(f"{name}: has no pixels")
    return Picture(image, name)


def _held(file: IO[bytes], name: str) -> IO[bytes]:
    """All of a file that may be a pipe: Pillow needs to go back and forth in it."""
    try:
        return io.BytesIO(file.read())
    except (OSError, ValueError, TypeError) as error:
        raise PictureError(f"{name}: cannot be read ({error})") from error


def _opened(path: Path) -> IO[bytes]:
    if os.path.isdir(path):
        raise PictureError(f"{path}: is a folder; give a picture")
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise PictureError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PictureError(f"{path}: cannot be read ({reason})") from error


def _from_array(array: Any, name: str) -> Image.Image:
    import numpy as np  # comes with torchvision

    try:
        values = np.asarray(array)
    except Exception as error:
        raise PictureError(f"{name}: not a picture ({error})") from error
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.size == 0 or not (
        values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (3, 4))
    ):
        raise PictureError(f"{name}: shape {values.shape}; give H x W, or H x W x 1, 3 or 4")
    if values.dtype == np.bool_:
        values = values * np.uint8(255)
    elif values.dtype == np.uint16:
        values = np.round(values / 257).astype(np.uint8)
    elif np.issubdtype(values.dtype, np.floating):
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise PictureError(f"{name}: floats must lie in [0, 1]; 0..255 goes as uint8")
        values = np.round(values * 255).astype(np.uint8)
    elif values.dtype != np.uint8:
        raise PictureError(f"{name}: {values.dtype}; give uint8, uint16, bool or floats in [0, 1]")
    return Image.fromarray(np.ascontiguousarray(values))


def _to_rgb(image: Image.Image) -> Image.Image:
    turn = _UPRIGHT.get(_orientation(image))
    if turn is not None:
        image = image.transpose(turn)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _to_8_bits(image).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(
            image, lab, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        assert converted is not None  # only when inPlace
        return converted
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """Of EXIF, 1 to 8. Read by hand: exif_transpose stumbles over other tags that are broken."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF is no reason to refuse the picture
        return 1


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scale wide grey values to 0..255, where Pillow's own conversion would clip them.

    These modes do not say what white is: it is taken to be the smallest of 1 (floats only),
    255 and 65535 that holds the brightest value, or that value itself. A 16-bit file's white
    is 65535.
    """
    grey = (image.convert("I") if image.mode.startswith("I;16") else image).convert("F")
    _, brightest = cast("tuple[float, float]", grey.getextrema())
    if not brightest < float("inf"):
        raise ValueError("holds values that are not finite numbers")
    whites = {"F": (1, 255, 65535), "I": (255, 65535)}.get(image.mode, (65535,))
    white = next((white for white in whites if brightest <= white), brightest)
    return grey.point(lambda value: value * (255 / white) + 0.5).convert("L")


def to_tensor(image: Image.Image, size: tuple[int, int]) -> "Tensor":
    """Resize an RGB image, and give it as 1 x 3 x H x W, sRGB in [0, 1].

    Args:
        image: of mode RGB.
        size: (width, height) in pixels.
    """
    from torchvision.transforms.functional import pil_to_tensor

    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    tensor: Tensor = pil_to_tensor(image)[None]
    return tensor.float() / 255


def to_image(tensor: "Tensor") -> Image.Image:
    """A 1 x 3 x H x W picture as a PIL image; values outside [0, 1] are clipped."""
    from torchvision.transforms.functional import to_pil_image

    levels = (tensor[0].detach().clamp(0, 1) * 255).round()
    image: Image.Image = to_pil_image(levels.byte().cpu())
    return image


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


def check_output(path: str | os.PathLike[str], size: tuple[int, int] = (1, 1)) -> None:
    """Find out, before the work, whether a picture can be written at `path`.

    Args:
        path: where the result is to go.
        size: (width, height) of the result, in pixels.

    Raises:
        OutputError: unknown suffix, missing parent folder, a folder by that name, no
            permission, or a size that the format cannot hold.
    """
    check_format(format_of(path), size)
    try:
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise OutputError(f"{os.fspath(path)}: is a folder; give a file name")
        if not target.parent.is_dir():
            raise OutputError(f"{os.fspath(path)}: no folder {target.parent}; make it first")
        if target.exists() and not target.is_file():
            raise OutputError(f"{os.fspath(path)}: is no ordinary file; '-o -' writes to a pipe")
        if target.exists() and not os.access(target, os.W_OK):
            raise OutputError(f"{os.fspath(path)}: is there already, and write-protected")
        with _aside(target, b""):
            pass
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error


def check_format(format: str, size: tuple[int, int]) -> None:
    """Find out whether `format`, a key of `FORMATS`, can be written here and hold that size.

    Raises:
        OutputError: it cannot.
    """
    if format in ("webp", "avif") and not features.check(format):
        raise OutputError(f"this Pillow was built without {format}; use .png or .jpg")
    limit = _LARGEST.get(format, max(size))
    if max(size) > limit:
        raise OutputError(f"{format} holds {limit} pixels a side at most; use .png or .tif")


def encode(image: Image.Image, format: str, quality: int) -> bytes:
    """The picture as the bytes of a file, the same bytes for the same picture.

    Args:
        image: of mode RGB.
        format: a key of `FORMATS`.
        quality: 1 to 100, for JPEG (colour kept at full resolution, 4:4:4), WebP and AVIF.

    Raises:
        OutputError: the format cannot hold it.
    """
    settings: dict[str, dict[str, Any]] = {
        "png": {},
        "jpeg": {"quality": quality, "subsampling": "4:4:4"},
        "webp": {"quality": quality},
        "tiff": {"compression": "tiff_adobe_deflate"},
        "avif": {"quality": quality, "subsampling": "4:4:4"},
    }
    buffer = io.BytesIO()
    try:
        image.save(buffer, format, **settings[format])
    except (OSError, ValueError) as error:
        raise OutputError(f"{format}: cannot hold this picture ({error})") from error
    return buffer.getvalue()


def save(image: Image.Image, path: str | os.PathLike[str], quality: int) -> None:
    """Write a picture in the format of the path's suffix, whole or not at all.

    Raises:
        OutputError: unknown suffix, or the file cannot be written.
    """
    data = encode(image, format_of(path), quality)
    try:
        target = Path(os.path.realpath(path))  # through a link, not over it
        with _aside(target, data) as aside:
            if target.exists():
                shutil.copymode(target, aside)
            os.replace(aside, target)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error


@contextmanager
def _aside(target: Path, data: bytes) -> Iterator[Path]:
    """A new file beside `target`, gone afterwards unless moved; its suffix is no picture's."""
    aside = target.parent / f".stylize-{secrets.token_hex(8)}.part"
    try:
        # Not by tempfile: its files are private, and the result should get the usual rights.
        with aside.open("xb") as file:
            file.write(data)
        yield aside
    finally:
        aside.unlink(missing_ok=True)


def _unwritable(path: str | os.PathLike[str], error: OSError | ValueError) -> OutputError:
    reason = getattr(error, "strerror", None) or error
    return OutputError(f"{os.fspath(path)}: cannot be written ({reason})")
