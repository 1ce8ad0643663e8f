"""Sizes on paper."""

import pytest

from stylize import OptionError, Options
from stylize.settings import printing
from stylize.transfer.scales import result_size


@pytest.mark.parametrize(
    ("size", "sides"),
    [
        ("25.4cm", (10,)),
        ("60x90cm", (90 / 2.54, 60 / 2.54)),
        ("90x60cm", (90 / 2.54, 60 / 2.54)),
        ("24x36in", (36, 24)),
        ("254mm", (10,)),
        (".5in", (0.5,)),
        ("20.5cmx30cm", (30 / 2.54, 20.5 / 2.54)),
        ("20cmx30in", None),
        ("20cmx30", None),
        ("a4", (297 / 25.4, 210 / 25.4)),
        ("a0", (1189 / 25.4, 841 / 25.4)),
        ("a7", None),
        ("0cm", None),
        ("90", None),
        ("90cm in", None),
        ("-3cm", None),
        ("1e3cm", None),
        ("9" * 400 + "cm", None),
        ("3x4x5cm", None),
        (90, None),
        ("auto", None),
    ],
)
def test_lengths_are_read(size: str | int, sides: tuple[float, ...] | None) -> None:
    assert printing.sides(size) == (pytest.approx(sides) if sides else None)


@pytest.mark.parametrize(
    ("size", "picture", "expected"),
    [
        ("10in", (300, 200), (3000, 2000)),
        ("10in", (200, 300), (2000, 3000)),
        ("10x5in", (300, 100), (3000, 1000)),  # the frame is too high for it ...
        ("10x5in", (100, 100), (1500, 1500)),  # ... or too wide
        ("5x10in", (300, 200), (2250, 1500)),  # and is turned as the picture needs it
    ],
)
def test_a_picture_goes_into_its_frame(
    size: str, picture: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert result_size(picture, size) == expected
    half = result_size(picture, size, 150)
    assert half == (expected[0] // 2, expected[1] // 2)


def test_sizes_on_paper_as_an_option() -> None:
    assert Options(size=" 60 x 90 CM").size == "60x90cm"
    assert Options(size="90cm").density == printing.DENSITY
    assert Options(size="90cm", dpi=200).density == 200
    assert Options(size=900).density is None
    for wrong in ("12ft", "0cm", "x3cm"):
        with pytest.raises(OptionError, match=r"--size must be .* or a size on paper as in"):
            Options(size=wrong)


@pytest.mark.parametrize(("size", "pixels"), [("9mm", 1), ("2000cm", 78740)])
def test_a_print_of_too_many_or_too_few_pixels_is_refused(size: str, pixels: int) -> None:
    with pytest.raises(OptionError, match=f"--size {size}: is {pixels} pixels; .*another --dpi"):
        result_size((300, 200), size, 100 if pixels > 1 else 3)
