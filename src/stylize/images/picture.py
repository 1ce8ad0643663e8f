"""Pictures in: path, file, PIL image or array -> pixels -> float tensor. Knows no network.

torch is imported only where a tensor is asked for, so that a bad file is told at once; and numpy
only where there are pixels.
"""

import hashlib
import logging
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from PIL import Image, ImageColor, UnidentifiedImageError

from ..errors import DeviceError, PictureError
from .decode import Decoded, decode, decode_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

#: What stands for a picture in the API: a path, an open binary file, a PIL image, or an array
#: (H x W or H x W x 1, 3 or 4; uint8, uint16, bool, or floats in [0, 1]).
Source: TypeAlias = "str | os.PathLike[str] | IO[bytes] | Image.Image | Picture | Any"

log = logging.getLogger(__name__)

_LANCZOS = Image.Resampling.LANCZOS
_COLOURED = 16  # levels of 255 between a pixel's channels; a mask that was saved as JPEG has some
_NOWHERE = 8  # levels of 255; noise in a mask that is meant to be black


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as it came in.

    Attributes:
        pixels: H x W x 3, or x 4 with alpha that is not premultiplied and not 1 everywhere;
            uint8 or uint16; sRGB, upright.
        name: what messages call it.
        digest: SHA-256 in hex: of the file's bytes; of a PIL image or an array, that of `pixels`
            with their shape and type.
        exif: EXIF as Pillow's `exif=` takes it when the picture is saved, without what does not
            hold for an upright picture of another size; b"" if there was none or it is broken.
    """

    pixels: "NDArray[Any]"
    name: str
    digest: str
    exif: bytes = b""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def white(self) -> int:
        """The highest level: 255 or 65535."""
        return 255 if self.pixels.dtype.itemsize == 1 else 65535

    @property
    def transparent(self) -> bool:
        """Whether any of it is, at least partly."""
        return int(self.pixels.shape[2]) == 4

    @cached_property
    def filled(self) -> "Picture":
        """Opaque: what is transparent is filled from its surroundings."""
        return opaque(self, None)

    @property
    def image(self) -> Image.Image:
        """As a PIL image of mode RGB or RGBA, with 8 bits a channel."""
        pixels = self.pixels
        if self.white == 65535:
            pixels = ((pixels.astype("uint32") + 128) // 257).astype("uint8")
        return Image.fromarray(pixels)


def load(source: Source, name: str = "picture") -> Picture:
    """Read a picture in whatever form it comes.

    An embedded colour profile and EXIF orientation are applied, alpha and 16 bits are kept, and of
    an animation the first frame is taken. A profile that cannot be used is told in the log.

    Args:
        source: see `Source`. Of wide grey modes of Pillow (I and F), see `decode.scaled`.
        name: what messages call it if it has no path.

    Raises:
        PictureError: missing, unreadable, truncated, or above Pillow's limit of 89 megapixels.
        DeviceError: the memory does not suffice to read it.
    """
    if isinstance(source, Picture):
        return source
    digest = ""
    if isinstance(source, Image.Image):
        name = getattr(source, "filename", "") or name
    elif isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
    try:
        if isinstance(source, Image.Image):
            decoded = decode_image(source)
        elif isinstance(source, (str, os.PathLike)) or hasattr(source, "read"):
            data = _read(source)
            digest = hashlib.sha256(data).hexdigest()
            decoded = decode(data)
        else:
            decoded = Decoded(_from_array(source))
        pixels = _without_idle_alpha(decoded.pixels)
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from error
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
    except Exception as error:  # readers fail in a dozen ways on damaged files
        reason = " ".join(str(error).split())
        raise PictureError(f"{name}: damaged or cut short ({reason})") from error
    if decoded.remark:
        log.warning("%s: %s", name, decoded.remark)
    return Picture(pixels, name, digest or _digest(pixels), decoded.exif)


def _read(source: "str | os.PathLike[str] | IO[bytes]") -> bytes:
    """All of a file, which may be a pipe: readers need to go back and forth in it."""
    try:
        if not isinstance(source, (str, os.PathLike)):
            return bytes(memoryview(source.read()))
        if os.path.isdir(source):
            raise PictureError("is a folder; give a picture")
        with Path(source).open("rb") as file:
            return file.read()
    except FileNotFoundError as error:
        raise PictureError("no such file") from error
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PictureError(f"cannot be read ({reason})") from error


def _from_array(array: Any) -> "NDArray[Any]":
    import numpy as np

    try:
        values = np.asarray(array)
        # A copy, since the caller may go on painting in his.
        values = values.astype(values.dtype.newbyteorder("="))
    except Exception as error:
        raise PictureError(f"not a picture ({error})") from error
    if values.ndim == 2:
        values = values[:, :, None]
    if values.size == 0 or values.ndim != 3 or values.shape[2] not in (1, 3, 4):
        raise PictureError(f"shape {np.shape(array)}; give H x W, or H x W x 1, 3 or 4")
    if values.dtype == np.bool_:
        values = values * np.uint8(255)
    elif np.issubdtype(values.dtype, np.floating):
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise PictureError("floats must lie in [0, 1]; 0..255 goes as uint8")
        values = np.rint(values.astype(np.float64) * 65535).astype(np.uint16)
    elif values.dtype not in (np.uint8, np.uint16):
        raise PictureError(f"{values.dtype}; give uint8, uint16, bool or floats in [0, 1]")
    if values.shape[2] == 1:
        values = np.repeat(values, 3, axis=2)
    return np.ascontiguousarray(values)


def _without_idle_alpha(pixels: "NDArray[Any]") -> "NDArray[Any]":
    import numpy as np

    if pixels.shape[2] == 4 and (pixels[:, :, 3] == np.iinfo(pixels.dtype).max).all():
        return np.ascontiguousarray(pixels[:, :, :3])
    return pixels


def _digest(pixels: "NDArray[Any]") -> str:
    """The same for the same pixels, whatever the machine's byte order."""
    text = f"{pixels.shape} {pixels.dtype.name} "
    stored = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(text.encode() + stored.tobytes()).hexdigest()


def opaque(picture: Picture, background: str | None) -> Picture:
    """A picture without alpha; itself if it has none.

    Args:
        picture: any.
        background: colour to lay it over, as "#rrggbb"; None to fill what is transparent from its
            surroundings, so that neither a background nor a colour hidden there comes in.
    """
    import numpy as np

    if not picture.transparent:
        return picture
    if background is None:
        behind = np.asarray(_filled(picture.image).convert("RGB"))
    else:
        behind = np.array(ImageColor.getrgb(background)[:3], dtype=np.uint8)
    share = picture.pixels[:, :, 3] / np.float32(picture.white)
    to_depth = np.float32(picture.white // 255)
    pixels = np.empty((*share.shape, 3), dtype=picture.pixels.dtype)
    for channel in range(3):  # one after the other, to save memory
        laid = picture.pixels[:, :, channel] * share
        laid += behind[..., channel] * to_depth * (1 - share)
        pixels[:, :, channel] = np.rint(laid)
    return replace(picture, pixels=pixels)


def cropped(picture: Picture, frame: tuple[int, int]) -> Picture:
    """The middle of a picture, in the proportions of a frame (width, height)."""
    width, height = picture.size
    wide = max(1, min(width, round(height * frame[0] / frame[1])))
    high = max(1, min(height, round(width * frame[1] / frame[0])))
    left, top = (width - wide) // 2, (height - high) // 2
    return replace(picture, pixels=picture.pixels[top : top + high, left : left + wide])


def _filled(image: Image.Image) -> Image.Image:
    """Lay an RGBA picture over itself at half the size, filled in the same way.

    Pillow weighs colours by alpha when it resizes, so that what is transparent does not count.
    Alpha is raised, so that colours spread by a pixel at each size, further and further in the end.
    """
    if image.size == (1, 1):
        *color, alpha = image.getpixel((0, 0))  # type: ignore[misc]
        return Image.new("RGBA", (1, 1), (*color, 255) if alpha else (128, 128, 128, 255))
    half = ((image.width + 1) // 2, (image.height + 1) // 2)
    coarse = image.resize(half, Image.Resampling.BOX)
    coarse.putalpha(coarse.getchannel("A").point(lambda alpha: min(255, 4 * alpha)))
    behind = _filled(coarse).resize(image.size, Image.Resampling.BILINEAR)
    return Image.alpha_composite(behind, image)


def alpha(picture: Picture, size: tuple[int, int]) -> "NDArray[np.float32] | None":
    """How much of each place is seen: H x W in [0, 1]; None if the picture is opaque.

    Args:
        picture: any.
        size: (width, height) in pixels.
    """
    import numpy as np

    if not picture.transparent:
        return None
    return _resized(picture.pixels[:, :, 3] / np.float32(picture.white), size, _LANCZOS)


def mask(source: Source, name: str = "mask") -> "NDArray[np.float32]":
    """Read a mask: H x W in [0, 1], black as 0; what is transparent is black.

    Args:
        source: see `Source`.
        name: what messages call it if it has no path.

    Raises:
        PictureError: as `load`; or the picture has colours, or is black all over.
        DeviceError: as `load`.
    """
    import numpy as np

    picture = opaque(load(source, name), "#000000")
    level = picture.white // 255
    spread = picture.pixels.max(axis=2) - picture.pixels.min(axis=2)
    if spread.mean() > _COLOURED * level:
        raise PictureError(f"{picture.name}: is a colour picture; a mask is black, white and grey")
    grey: NDArray[np.float32] = picture.pixels.mean(axis=2, dtype=np.float32)
    if grey.max() < _NOWHERE * level:
        raise PictureError(
            f"{picture.name}: is black all over, so that its style would be nowhere;"
            " paint white where it goes"
        )
    grey /= picture.white
    return grey


def resized_map(map: "NDArray[np.float32]", size: tuple[int, int]) -> "NDArray[np.float32]":
    """A map such as `mask` gives, in another size and still in [0, 1], without ringing.

    Args:
        map: H x W in [0, 1].
        size: (width, height) in pixels.
    """
    return _resized(map, size, Image.Resampling.BILINEAR)


def _resized(
    values: "NDArray[np.float32]", size: tuple[int, int], filter: Image.Resampling
) -> "NDArray[np.float32]":
    import numpy as np

    image = Image.fromarray(np.ascontiguousarray(values))
    resized: NDArray[np.float32] = np.clip(np.asarray(image.resize(size, filter)), 0, 1)
    return resized


def to_tensor(picture: Source, size: tuple[int, int]) -> "Tensor":
    """Resize a picture, and give it as 1 x 3 x H x W, sRGB in [0, 1].

    Args:
        picture: see `Source`. What is transparent is filled from its surroundings.
        size: (width, height) in pixels.

    Raises:
        PictureError: as `load`.
        DeviceError: as `load`.
    """
    import numpy as np
    import torch

    picture = load(picture).filled
    if picture.white == 65535:  # Pillow knows no colour of 16 bits: each channel by itself
        channels = np.moveaxis(picture.pixels, 2, 0) / np.float32(65535)
        resized = [_resized(channel, size, _LANCZOS) for channel in channels]
        return torch.from_numpy(np.stack(resized))[None]
    image = picture.image
    if image.size != size:
        image = image.resize(size, _LANCZOS, reducing_gap=3.0)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return pixels[None].float().contiguous() / 255
