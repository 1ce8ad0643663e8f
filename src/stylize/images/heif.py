"""HEIF (HEIC) and AVIF beyond what Pillow reads: more than 8 bits, and colours that have a number.

Such a file may say its colours by an ICC profile, or by numbers for primaries and curve (CICP,
ITU-T H.273). The numbers are turned into an ICC profile here, so that there is one way from there.
"""

import io
import re
import struct
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: By number of the primaries: x and y of red, green and blue. 1 is sRGB's.
_PRIMARIES = {
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
_SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_D65 = (0.3127, 0.3290)
#: Numbers of the curves for a high dynamic range.
_PQ, _HLG = 16, 18
#: The brightness of white paper, by ITU-R BT.2408: in candelas per square metre of PQ's 10000, and
#: as a share of HLG's signal. What is brighter is cut off.
_PQ_WHITE, _HLG_WHITE = 203 / 10000, 0.75

#: The boxes of an AVIF that say how many bits it has, and what numbers its colours have.
_AVIF_BITS, _AVIF_COLOURS = (
    re.compile(rb"av1C..(.)", re.DOTALL),
    re.compile(rb"colrnclx(....)", re.DOTALL),
)
_HIGH_DEPTH, _TWELVE_BITS = 0x40, 0x20


def check_whole(data: bytes) -> None:
    """Check that a HEIF is not cut short; libheif would paint the tiles that are missing in green.

    Raises:
        ValueError: it is.
    """
    start = 0
    while start + 16 <= len(data):
        size, kind, long_size = struct.unpack_from(">I4sQ", data, start)
        size = {0: len(data) - start, 1: long_size}.get(size, size)
        if kind == b"mdat" and start + size > len(data):
            raise ValueError("the end of the file is missing")
        start += max(size, 8)


def profile(image: Image.Image, data: bytes = b"") -> bytes | None:
    """Return an ICC profile for colours that have a number; None if there are none, or sRGB's.

    Args:
        image: of any format, as Pillow has opened it.
        data: the file, if it is at hand.
    """
    nclx = image.info.get("nclx_profile")
    box = _AVIF_COLOURS.search(data) if image.format == "AVIF" else None
    if nclx:
        primaries, curve = nclx["color_primaries"], nclx["transfer_characteristics"]
    elif box:
        primaries, curve = struct.unpack(">HH", box[1])
    else:
        return None
    if primaries not in _PRIMARIES and curve not in (_PQ, _HLG):
        return None
    return _icc_profile(_PRIMARIES.get(primaries, _SRGB_PRIMARIES), curve)


def _icc_profile(primaries: Iterable[tuple[float, float]], curve: int) -> bytes:
    import imagecodecs
    import numpy as np

    signal = np.linspace(0, 1, 4096)
    if curve == _PQ:
        power = signal ** (32 / 2523)
        light = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
        light = light ** (16384 / 2610) / _PQ_WHITE
    elif curve == _HLG:
        light = _hlg_light(signal) / _hlg_light(np.array(_HLG_WHITE))
    else:
        light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return imagecodecs.cms_profile(
        "rgb",
        whitepoint=[*_D65, 1],
        primaries=[value for x, y in primaries for value in (x, y, 1)],
        transferfunction=np.minimum(light, 1).astype(np.float32),
    )


def _hlg_light(signal: "NDArray[Any]") -> "NDArray[Any]":
    """Return the light that a screen of usual brightness shows for a signal of HLG."""
    import numpy as np

    scene = np.where(
        signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
    )
    light: NDArray[Any] = scene**1.2
    return light


def deep_samples(
    image: Image.Image, data: bytes
) -> "tuple[int, Callable[[], NDArray[Any]]] | None":
    """Return how many bits a HEIF or AVIF has, and what reads them all; None if Pillow does.

    Args:
        image: as Pillow has opened it.
        data: the file.
    """
    if image.format == "HEIF":
        bits = image.info["bit_depth"]
        premultiplied = image.mode.endswith("a")
        return (bits, lambda: _heif_samples(data)) if bits > 8 and not premultiplied else None
    box = _AVIF_BITS.search(data)
    flags = box[1][0] if box else 0
    if not flags & _HIGH_DEPTH or getattr(image, "is_animated", False):
        return None
    return 12 if flags & _TWELVE_BITS else 10, lambda: _avif_samples(data)


def _heif_samples(data: bytes) -> "NDArray[Any]":
    import numpy as np
    import pillow_heif

    file = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    return np.asarray(file[file.primary_index])


def _avif_samples(data: bytes) -> "NDArray[Any]":
    import imagecodecs

    samples: NDArray[Any] = imagecodecs.avif_decode(data)
    return samples
