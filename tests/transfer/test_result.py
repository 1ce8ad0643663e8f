"""A result as a notebook shows it, and its numbers as a table."""

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from stylize import Options, Result, Step, Stylizer
from stylize.transfer.result import SHOWN
from stylize.transfer.step import Losses


def test_a_notebook_shows_the_picture_in_its_colours(painted: Result) -> None:
    with (
        Image.open(io.BytesIO(painted._repr_png_())) as shown,
        Image.open(io.BytesIO(painted.encode("png"))) as file,
    ):
        assert np.array_equal(np.asarray(shown), np.asarray(painted.image))
        assert shown.info["icc_profile"] == file.info["icc_profile"]
    bundle = painted._repr_mimebundle_(include=None, exclude=None)
    assert bundle == {"image/png": painted._repr_png_(), "text/plain": repr(painted)}


def test_a_notebook_stores_a_large_picture_small(painted: Result) -> None:
    large = replace(painted, pixels=np.zeros((1000, 2000, 4), np.float32))
    with Image.open(io.BytesIO(large._repr_png_())) as shown:
        assert (shown.size, shown.mode) == ((SHOWN, SHOWN // 2), "RGBA")
    assert large.image.size == (2000, 1000), "the result itself stays as it is"


def test_everything_is_shown_in_one_short_line(
    painted: Result, stylizer: Stylizer, photo: str, painting: str
) -> None:
    assert repr(painted).startswith("<Result: 64 x 43 pixels, 24 iterations in ")
    assert repr(replace(painted, complete=False)).endswith(", incomplete>")
    steps: list[Step] = []
    stylizer(photo, painting, size=32, iterations=1, on_step=steps.append)
    assert repr(steps[0]).startswith("<Step 1 of 1: 32 x 21 pixels, loss ")
    assert repr(steps[0].losses).startswith("<Losses at 32 x 21, iteration 1: content ")
    assert repr(Losses({"content": 1 / 3}, 2.0)) == "<Losses: content 0.333, total 2>"
    for shown in (painted, steps[0], steps[0].losses):
        assert len(repr(shown)) < 120


def test_options_are_shown_as_they_were_set() -> None:
    assert repr(Options()) == "Options()"
    options = Options(size="30cm", mask=("a.png",), seed=3)
    assert repr(options) == "Options(size='30cm', mask=('a.png',), seed=3)"
    assert eval(repr(options)) == options


def test_the_history_is_a_table_of_all_losses_and_their_scale(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    result = stylizer(photo, painting, size=64, scales=2, iterations=12)
    rows = result.history()
    assert len(rows) == len(result.losses)
    assert {tuple(row) for row in rows} == {
        ("iteration", "width", "height", "seconds", "content", "style", "tv", "gamut", "total")
    }
    assert [row["total"] for row in rows] == [losses.total for losses in result.losses]
    assert rows[-1]["iteration"] == 12
    assert [(rows[at]["width"], rows[at]["height"]) for at in (0, -1)] == [(32, 22), (64, 43)]
    assert 0 < rows[0]["seconds"] < rows[-1]["seconds"] <= result.seconds
