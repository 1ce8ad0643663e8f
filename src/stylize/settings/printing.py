"""Sizes on paper: 60x90cm, 90cm, 24x36in, A4. The dots per inch make pixels of them."""

import re
from math import prod

#: The units of length, and how many of each make an inch.
UNITS = {"cm": 2.54, "mm": 25.4, "in": 1.0}
#: Dots per inch where none are given. What printers ask for, for prints that are held in the hand.
DENSITY = 300

#: Sheets that have names (ISO 216), in millimetres.
SHEETS = {
    "a0": (841, 1189),
    "a1": (594, 841),
    "a2": (420, 594),
    "a3": (297, 420),
    "a4": (210, 297),
    "a5": (148, 210),
    "a6": (105, 148),
}

_LENGTH = r"(?:\d{1,6}\.?\d{0,6}|\.\d{1,6})"
_UNIT = "|".join(UNITS)
_SIZE = re.compile(rf"({_LENGTH})(?:(?P<first>{_UNIT})?x({_LENGTH}))?(?P<unit>{_UNIT})")


def sides(size: int | str) -> tuple[float, ...] | None:
    """The sides in inches, the longer one first; None for a text that is no size on paper.

    Args:
        size: one length, of the longer side; or two, or the name of a sheet, of a frame into which
            the picture goes.
    """
    text = str(size)
    if text in SHEETS:
        text = "{}x{}mm".format(*SHEETS[text])
    match = _SIZE.fullmatch(text)
    if not match or match["first"] not in (None, match["unit"]):
        return None
    lengths = [float(length) / UNITS[match["unit"]] for length in match.group(1, 3) if length]
    return tuple(sorted(lengths, reverse=True)) if prod(lengths) else None


def longer_side(size: int | str, density: int, picture: tuple[int, int]) -> int | None:
    """Pixels of the longer side of a picture that is printed in a size; None if that is no size.

    Args:
        size: as in `sides`.
        density: dots per inch.
        picture: width and height, whose proportions are preserved.
    """
    frame = sides(size)
    if frame is None:
        return None
    proportions = (1.0, min(picture) / max(picture))
    scale = min(length / side for length, side in zip(frame, proportions, strict=False))
    return max(1, round(scale * density))
