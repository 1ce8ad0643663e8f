"""Reading pictures from a path, file, PIL image or array; masks, alpha, resizing.

numpy is imported only where there are pixels, so that a bad file is reported at once.
"""

import hashlib
import logging
import os
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import IO, TYPE_CHECKING, Any, Self, TypeAlias

from PIL import Image, ImageColor, UnidentifiedImageError

from .. import files
from ..errors import DeviceError, PictureError, is_out_of_memory, not_found, shortened, shown
from .decode import Decoded, decode, decode_image
from .limits import most_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: What the API accepts as a picture: a path, an open binary file, a PIL image, or an array
#: (H x W or H x W x 1, 3 or 4; uint8, uint16, bool, or floats in [0, 1]).
Source: TypeAlias = "str | os.PathLike[str] | IO[bytes] | Image.Image | Picture | PictureFile | Any"

log = logging.getLogger(__name__)

_LANCZOS = Image.Resampling.LANCZOS
#: A mask is refused as a colour picture if the channels of its pixels differ by more than this, on
#: average and in levels of 255. A mask that was saved as JPEG has a little colour.
_LARGEST_MASK_SPREAD = 16
#: A mask is refused as black if its brightest grey, in levels of 255, is below this. A mask that is
#: meant to be black may have some noise.
_SMALLEST_MASK_WHITE = 8


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture in its original size.

    Attributes:
        pixels: H x W x 3, or H x W x 4 with alpha that is not premultiplied and not 1 everywhere;
            uint8 or uint16; sRGB, upright.
        name: the picture's name in messages.
        digest: SHA-256 in hex: of the file's bytes, or for a PIL image or an array, of `pixels`
            with their shape and type.
        exif: EXIF as Pillow's `exif=` accepts it when a picture is saved, without the tags that
            are false for an upright picture of another size; b"" if there was none or it is broken.
        path: of the file on this machine that it was read from, absolute; "" if there was none.
    """

    pixels: "NDArray[Any]"
    name: str
    digest: str
    exif: bytes = b""
    path: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def white(self) -> int:
        """The highest level of a channel: 255 or 65535."""
        return 255 if self.pixels.dtype.itemsize == 1 else 65535

    @property
    def transparent(self) -> bool:
        """Whether any pixel is at least partly transparent."""
        return int(self.pixels.shape[2]) == 4

    @cached_property
    def filled(self) -> "Picture":
        """The picture without alpha: transparent parts are filled from their surroundings."""
        return flatten(self, None)

    @property
    def image(self) -> Image.Image:
        """The picture as a PIL image of mode RGB or RGBA, with 8 bits per channel."""
        pixels = self.pixels
        if self.white == 65535:
            pixels = ((pixels.astype("uint32") + 128) // 257).astype("uint8")
        return Image.fromarray(pixels)


@dataclass(frozen=True, eq=False)
class PictureFile:
    """The bytes of a picture file, for a machine that does not have the file.

    Attributes:
        name: the file's path, for messages.
        data: what is in it.
    """

    name: str
    data: bytes

    @classmethod
    def read(cls, path: str) -> "PictureFile":
        """Read a file without decoding it.

        Raises:
            PictureError: the file is missing or cannot be read.
        """
        try:
            return cls(path, _read_bytes(path))
        except PictureError as error:
            raise PictureError(f"{path}: {error}") from error


class GivenPicture(str):
    """A picture that is given where an option takes a path.

    As a text it names the picture in messages. Two are equal if their pictures are, so that
    `Options` can be compared as with paths.

    Args:
        picture: what is found there.
    """

    picture: Picture

    def __new__(cls, picture: Picture) -> Self:
        """See the class."""
        given = super().__new__(cls, f"<{picture.name}, sha256 {picture.digest[:12]}...>")
        given.picture = picture
        return given

    def __getnewargs__(self) -> tuple[Picture]:  # type: ignore[override]
        """What `__new__` needs to copy it, or to send it to another process."""
        return (self.picture,)


def load_picture(source: Source, name: str = "picture", side: int | None = None) -> Picture:
    """Read a picture in any of the forms that `Source` lists.

    An embedded colour profile and EXIF orientation are applied, alpha and 16 bits are preserved,
    and an animation gives its first frame. A profile that cannot be used is reported in the log.

    Args:
        source: see `Source`. See `decode.scaled` for Pillow's wide grey modes (I and F).
        name: the picture's name in messages if it has no path.
        side: as in `decode`, for a path.

    Raises:
        PictureError: the picture is missing, unreadable, truncated, or above Pillow's limit of 89
            megapixels.
        DeviceError: there is not enough memory to read it.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, GivenPicture):
        return source.picture
    digest = ""
    if isinstance(source, Image.Image):
        name = getattr(source, "filename", "") or name
    elif isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
    elif isinstance(source, PictureFile):
        name = source.name
    try:
        if isinstance(source, Image.Image):
            decoded = decode_image(source)
        elif isinstance(source, (str, os.PathLike, PictureFile)) or hasattr(source, "read"):
            data = source.data if isinstance(source, PictureFile) else _read_bytes(source)
            digest = hashlib.sha256(data).hexdigest()
            decoded = decode(data, side)
        else:
            decoded = Decoded(_from_array(source))
        pixels = _drop_opaque_alpha(decoded.pixels)
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from error
    except Image.DecompressionBombError as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise PictureError(
            f"{name}: larger than {limit} megapixels; scale it down first"
        ) from error
    except UnidentifiedImageError as error:
        raise PictureError(
            f"{name}: not a picture in a format that stylize can read;"
            " convert it to JPEG or PNG first"
        ) from error
    except Exception as error:  # the readers raise many kinds of errors for damaged files
        if is_out_of_memory(error):
            raise DeviceError(f"{name}: not enough memory to read it") from error
        reason = shortened(" ".join(str(error).split()))
        raise PictureError(f"{name}: damaged or cut short ({reason})") from error
    if decoded.remark:
        log.warning("%s: %s", name, decoded.remark)
    digest = digest or _digest_of_pixels(pixels)
    return Picture(pixels, name, digest, decoded.exif, _path_of(source))


def _path_of(source: Source) -> str:
    """Return the absolute path of the file that a source is or was read from; "" if there is none.

    Open files and PIL images know it, unless they were never files.
    """
    if isinstance(source, PictureFile):
        return ""  # the file is on another machine
    if not isinstance(source, (str, os.PathLike)):
        source = getattr(source, "filename", None) or getattr(source, "name", None)
    return os.path.abspath(source) if isinstance(source, (str, os.PathLike)) else ""


def _read_bytes(source: "str | os.PathLike[str] | IO[bytes]") -> bytes:
    """Return all bytes of a file. An open one may be a pipe, a path may not.

    Raises:
        PictureError: it cannot be read, or is too large. The message lacks the picture's name.
    """
    most = most_bytes()
    try:
        if not isinstance(source, (str, os.PathLike)):
            data = bytes(memoryview(source.read() if most == inf else source.read(int(most) + 1)))
            size = len(data)
        else:
            with files.open_regular(source) as file:
                size = os.fstat(file.fileno()).st_size
                data = file.read() if size <= most else b""  # it may be a hole without end
    except FileNotFoundError as error:
        is_link = isinstance(source, (str, os.PathLike)) and os.path.islink(source)
        raise PictureError("is a link to no file" if is_link else not_found(source)) from error
    except IsADirectoryError as error:
        raise PictureError("is a folder; give a picture file") from error
    except files.NotRegularError as error:
        raise PictureError("is a pipe or device; save it to a file, or pipe it into '-'") from error
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PictureError(f"cannot be read ({reason})") from error
    if size > most:
        raise PictureError(f"larger than {most / 1e6:.0f} MB; save it as JPEG or PNG first")
    return data


def _from_array(array: Any) -> "NDArray[Any]":
    """Return a copy of an array as pixels, H x W x 3 or H x W x 4, uint8 or uint16.

    Raises:
        PictureError: the array is not one of those that `Source` lists. The message lacks the
            picture's name.
    """
    import numpy as np

    if isinstance(array, (bytes, bytearray)):
        raise PictureError("is bytes; for the bytes of a file give io.BytesIO(...)")
    if isinstance(array, (list, tuple)) and any(
        isinstance(item, (str, os.PathLike)) for item in array
    ):
        raise PictureError(f"is a {type(array).__name__} of paths; give each picture by itself")
    try:
        values = np.asarray(array)
        # `astype` copies, because the caller may change the array later.
        values = values.astype(values.dtype.newbyteorder("="))
    except Exception as error:
        raise PictureError(f"not a picture ({error})") from error
    if values.ndim == 0:
        raise PictureError(
            f"is {shown(array)}; give a path, an open file, a PIL image or an array of pixels"
        )
    shape = values.shape
    if values.ndim == 2:
        values = values[:, :, None]
    if values.size == 0 or values.ndim != 3 or values.shape[2] not in (1, 3, 4):
        channels_first = values.ndim == 3 and values.shape[0] in (1, 3, 4)
        hint = ", with the channels last" if channels_first else ""
        raise PictureError(f"has the shape {shape}; give H x W, or H x W x 1, 3 or 4{hint}")
    if values.dtype == np.bool_:
        values = values * np.uint8(255)
    elif np.issubdtype(values.dtype, np.floating):
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise PictureError("floats must be in [0, 1]; give levels of 0..255 as uint8")
        values = np.rint(values.astype(np.float64) * 65535).astype(np.uint16)
    elif values.dtype not in (np.uint8, np.uint16):
        raise PictureError(
            f"has the type {values.dtype}; give uint8, uint16, bool or floats in [0, 1]"
        )
    if values.shape[2] == 1:
        values = np.repeat(values, 3, axis=2)
    return np.ascontiguousarray(values)


def _drop_opaque_alpha(pixels: "NDArray[Any]") -> "NDArray[Any]":
    """Return pixels without the alpha channel if it is opaque everywhere."""
    import numpy as np

    if pixels.shape[2] == 4 and (pixels[:, :, 3] == np.iinfo(pixels.dtype).max).all():
        return np.ascontiguousarray(pixels[:, :, :3])
    return pixels


def _digest_of_pixels(pixels: "NDArray[Any]") -> str:
    """Return a SHA-256 in hex of pixels, shape and type, which no byte order affects."""
    header = f"{pixels.shape} {pixels.dtype.name} "
    little_endian = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(header.encode() + little_endian.tobytes()).hexdigest()


def flatten(picture: Picture, background: str | None) -> Picture:
    """Return a picture without alpha, or the same picture if it has none.

    Args:
        picture: any picture.
        background: colour behind the picture, as "#rrggbb"; None to fill transparent parts from
            their surroundings, so that neither a background colour nor a colour that is hidden in
            a transparent part shows.
    """
    import numpy as np

    if not picture.transparent:
        return picture
    if background is None:
        behind = np.asarray(_fill_transparent(picture.image).convert("RGB"))
    else:
        behind = np.array(ImageColor.getrgb(background)[:3], dtype=np.uint8)
    alpha = picture.pixels[:, :, 3] / np.float32(picture.white)
    depth_factor = np.float32(picture.white // 255)
    pixels = np.empty((*alpha.shape, 3), dtype=picture.pixels.dtype)
    for channel in range(3):  # one after the other, to save memory
        blended = picture.pixels[:, :, channel] * alpha
        blended += behind[..., channel] * depth_factor * (1 - alpha)
        pixels[:, :, channel] = np.rint(blended)
    return replace(picture, pixels=pixels)


def crop(picture: Picture, frame: tuple[int, int]) -> Picture:
    """Return the middle of a picture, in the proportions of a frame.

    Args:
        picture: any picture.
        frame: (width, height) in any unit.
    """
    width, height = picture.size
    new_width = max(1, min(width, round(height * frame[0] / frame[1])))
    new_height = max(1, min(height, round(width * frame[1] / frame[0])))
    left, top = (width - new_width) // 2, (height - new_height) // 2
    return replace(picture, pixels=picture.pixels[top : top + new_height, left : left + new_width])


def _fill_transparent(image: Image.Image) -> Image.Image:
    """Fill the transparent parts of an RGBA picture from their surroundings.

    The picture is put over a copy of itself at half the size, which is filled in the same manner
    first. Pillow weights colours by alpha when it resizes, so transparent pixels do not count.
    Alpha is raised at each size, so that colours spread by a pixel there: the smaller the copy, the
    larger the distance in the full picture.
    """
    if image.size == (1, 1):
        *color, alpha = image.getpixel((0, 0))  # type: ignore[misc]
        return Image.new("RGBA", (1, 1), (*color, 255) if alpha else (128, 128, 128, 255))
    half = ((image.width + 1) // 2, (image.height + 1) // 2)
    coarse = image.resize(half, Image.Resampling.BOX)
    coarse.putalpha(coarse.getchannel("A").point(lambda alpha: min(255, 4 * alpha)))
    behind = _fill_transparent(coarse).resize(image.size, Image.Resampling.BILINEAR)
    return Image.alpha_composite(behind, image)


def alpha_map(picture: Picture, size: tuple[int, int]) -> "NDArray[np.float32] | None":
    """Return the alpha of a picture in another size: H x W in [0, 1]; None if it is opaque.

    Args:
        picture: any picture.
        size: (width, height) in pixels.
    """
    import numpy as np

    if not picture.transparent:
        return None
    alpha: NDArray[Any] = picture.pixels[:, :, 3] / np.float32(picture.white)
    return _resize_channel(alpha, size, _LANCZOS)


def load_mask(source: Source, name: str = "mask", inverted: bool = False) -> "NDArray[np.float32]":
    """Read a mask: H x W in [0, 1], where 0 is black; transparent parts are black.

    Of a colour picture with transparent parts, such as a photo with the background erased, the mask
    is what is visible.

    Args:
        source: see `Source`.
        name: the mask's name in messages if it has no path.
        inverted: whether to return 1 for black, and 0 for white.

    Raises:
        PictureError: as in `load_picture`; or the picture has colours, or the mask is 0 everywhere.
        DeviceError: as in `load_picture`.
    """
    import numpy as np

    original = load_picture(source, name)
    picture = flatten(original, "#000000")
    depth_factor = picture.white // 255
    spread = picture.pixels.max(axis=2) - picture.pixels.min(axis=2)
    if spread.mean() > _LARGEST_MASK_SPREAD * depth_factor:
        if not original.transparent:
            raise PictureError(
                f"{picture.name}: is a colour picture; a mask is black, white and grey"
            )
        picture = replace(original, pixels=original.pixels[:, :, 3:])
    grey: NDArray[np.float32] = picture.pixels.mean(axis=2, dtype=np.float32)
    shown, other = ("white", "black")[:: -1 if inverted else 1]
    if inverted:
        grey = picture.white - grey
    if grey.max() < _SMALLEST_MASK_WHITE * depth_factor:
        raise PictureError(
            f"{picture.name}: is {other} all over, so that its style would appear nowhere;"
            f" paint {shown} where the style belongs"
        )
    grey /= picture.white
    return grey


def resize_map(map: "NDArray[np.float32]", size: tuple[int, int]) -> "NDArray[np.float32]":
    """Resize a map such as a mask; bilinear, so that values stay in [0, 1] without ringing.

    Args:
        map: H x W in [0, 1].
        size: (width, height) in pixels.
    """
    return _resize_channel(map, size, Image.Resampling.BILINEAR)


def _resize_channel(
    values: "NDArray[np.float32]", size: tuple[int, int], filter: Image.Resampling
) -> "NDArray[np.float32]":
    """Resize H x W in [0, 1] to (width, height), and clip values outside [0, 1]."""
    import numpy as np

    image = Image.fromarray(np.ascontiguousarray(values))
    resized: NDArray[np.float32] = np.clip(np.asarray(image.resize(size, filter)), 0, 1)
    return resized


def resize(picture: Picture, size: tuple[int, int]) -> "NDArray[np.float32]":
    """Resize a picture, with transparent parts filled from their surroundings.

    Args:
        picture: any picture.
        size: (width, height) in pixels.

    Returns:
        3 x H x W, sRGB in [0, 1].
    """
    import numpy as np

    picture = picture.filled
    # One channel after the other, so that a large picture is in memory once.
    channels = np.empty((3, size[1], size[0]), np.float32)
    if picture.white == 65535:  # Pillow has no colour mode of 16 bits
        for number, channel in enumerate(channels):
            values = picture.pixels[:, :, number].astype(np.float32) / np.float32(65535)
            channel[:] = _resize_channel(values, size, _LANCZOS)
        return channels
    image = picture.image
    if image.size != size:
        image = image.resize(size, _LANCZOS, reducing_gap=3.0)
    pixels = np.asarray(image)
    for number, channel in enumerate(channels):
        np.divide(pixels[:, :, number], np.float32(255), out=channel)
    return channels
