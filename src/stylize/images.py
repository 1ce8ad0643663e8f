"""Pictures in: path, file, PIL image or array -> PIL -> float tensor, and back. Knows no network.

torch is imported only where a tensor is asked for, so that a bad file is told at once.
"""

import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, cast

from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from .errors import DeviceError, PictureError

if TYPE_CHECKING:
    from torch import Tensor

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
    animation the first frame taken. An embedded colour profile is not looked at.

    Args:
        source: see `Source`.
        name: what messages call it if it has no path.

    Raises:
        PictureError: missing, unreadable, truncated, or above Pillow's limit of 89 megapixels.
        DeviceError: the memory does not suffice to read it.
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
    except MemoryError as error:
        raise DeviceError(f"{name}: not enough memory to read it") from error
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
    return tensor.float().contiguous() / 255


def to_image(tensor: "Tensor") -> Image.Image:
    """A 1 x 3 x H x W picture as a PIL image; values outside [0, 1] are clipped."""
    from torchvision.transforms.functional import to_pil_image

    levels = (tensor[0].detach().clamp(0, 1) * 255).round()
    image: Image.Image = to_pil_image(levels.byte().cpu())
    return image
