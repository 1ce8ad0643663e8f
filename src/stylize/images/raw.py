"""Raw photos (DNG, CR2, CR3, NEF, ARW, ...), developed by LibRaw as cameras do it."""

import io
from typing import TYPE_CHECKING, Any

from ..errors import PictureError
from .limits import check_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: The curve of sRGB: its power, and the slope of its beginning.
_SRGB_CURVE = (2.4, 12.92)


def develop(data: bytes) -> "NDArray[Any]":
    """Return a raw photo as a picture: upright, H x W x 3, uint16, sRGB, by the camera's white.

    Raises:
        PictureError: LibRaw is not installed.
        Image.DecompressionBombError: the picture is above Pillow's limit.
        Exception: any other error means that the file is damaged, or of a kind LibRaw cannot read.
    """
    try:
        import rawpy
    except ImportError as error:
        raise PictureError(
            'is a raw photo; run pip install "neural-stylize[raw]", or save it as JPEG first'
        ) from error
    with rawpy.imread(io.BytesIO(data)) as raw:
        check_pixels(raw.sizes.width, raw.sizes.height)
        return raw.postprocess(
            output_bps=16,
            output_color=rawpy.ColorSpace.sRGB,
            gamma=_SRGB_CURVE,
            use_camera_wb=True,
        )
