"""The sheet of `--try`: pictures as a grid, with a label under each."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import PictureError
from ..images import encode
from ..images.picture import load_picture
from ..settings.options import Options
from .combinations import Trial

if TYPE_CHECKING:
    from PIL import Image

#: In pixels: between the pictures, the height of a line, of its text, and how wide a label makes
#: its cell at most.
GAP, LINE, FONT, LONGEST_LABEL = 12, 18, 13, 420
#: More values of a single option than this are wrapped.
WRAPPED = 8


def write_sheet(path: str, trials: Sequence[Trial], pictures: Sequence[str | None]) -> None:
    """Lay pictures out as a grid with a label under each, and write that.

    The last option varies from left to right, the others from top to bottom; many values of a
    single option are wrapped.

    Args:
        path: of the sheet.
        trials: what to write under each.
        pictures: paths; None for one that failed.

    Raises:
        OutputError: it cannot be written.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    images = [_image(picture) if picture else None for picture in pictures]
    size = max(image.width for image in images if image), max(i.height for i in images if i)
    columns, across, down = _cells(trials, size)
    sheet = Image.new("RGB", sheet_size(trials, size), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(FONT)
    for number, (trial, image) in enumerate(zip(trials, images, strict=True)):
        left, top = GAP + number % columns * across, GAP + number // columns * down
        if image:
            sheet.paste(image, (left, top))
        else:
            draw.text((left, top), "failed", "#a8201a", font)
        for line, label in enumerate(trial.labels):
            text = _fitting(label, across - GAP, font)
            draw.text((left, top + size[1] + line * LINE + 2), text, "black", font)
    pixels = np.asarray(sheet).astype(np.float32) / np.float32(255)
    encode.save(pixels, path, Options(depth=trials[0].options.depth))


def _cells(trials: Sequence[Trial], size: tuple[int, int]) -> tuple[int, int, int]:
    """How many pictures are side by side, and the width and height of each one's cell."""
    from PIL import ImageFont

    columns = len({trial.settings[-1] for trial in trials})
    if columns == len(trials) > WRAPPED:
        columns = math.ceil(columns**0.5)
    font = ImageFont.load_default(FONT)
    widest = max(font.getlength(label) for trial in trials for label in trial.labels)
    across = max(size[0], min(math.ceil(widest), LONGEST_LABEL)) + GAP
    return columns, across, size[1] + len(trials[0].settings) * LINE + GAP


def sheet_size(trials: Sequence[Trial], size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of the sheet for pictures of a size."""
    columns, across, down = _cells(trials, size)
    return columns * across + GAP, -(-len(trials) // columns) * down + GAP


def _image(path: str) -> "Image.Image | None":
    """A picture on white; None if there is none."""
    try:
        return encode.lay_over(load_picture(path).image, "white")
    except PictureError:
        return None


def _fitting(text: str, width: int, font: Any) -> str:
    """A text, shortened to a width in pixels."""
    while font.getlength(text) > width and len(text) > 1:
        text = f"{text[:-2]}…"
    return text
