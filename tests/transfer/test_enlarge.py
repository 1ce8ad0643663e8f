"""`--enlarge`: a small picture becomes a large one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stylize import OptionError, Options, PictureError, Result, Stylizer
from stylize.settings.recipe import read_recipe
from stylize.transfer.job import scales_for

PHOTO_SIZE = (451, 300)


@pytest.fixture
def small(painted: Result, tmp_path: Path) -> str:
    path = str(tmp_path / "small.png")
    painted.save(path)
    return path


def test_an_enlarged_picture_shrunk_is_the_small_one(
    small: str, stylizer: Stylizer, photo: str, painting: str
) -> None:
    """Nearer to it than another picture in the same style."""
    widths: list[int] = []
    large = stylizer(
        photo,
        painting,
        size=128,
        enlarge=small,
        on_step=lambda step: widths.append(step.scale.width),
    )
    other = stylizer(photo, painting, size=128, init="noise", seed=5)
    assert set(widths) == {128}, "the coarse scales are skipped"
    assert large.image.size == (128, 85)
    with Image.open(small) as image:
        goal = np.asarray(image, float)

    def distance(picture: Image.Image) -> float:
        shrunk = picture.resize(image.size, Image.Resampling.BOX)
        return float(np.sqrt(np.mean((np.asarray(shrunk, float) - goal) ** 2)))

    assert distance(large.image) < 0.6 * distance(other.image)
    assert large.recipe is not None
    assert large.recipe.options["enlarge"] == "file"
    assert len(large.recipe.digests["enlarge"]) == 64


def test_the_scales_beyond_the_small_picture_are_painted(small: str) -> None:
    options = Options(size=300)
    every = scales_for(options, PHOTO_SIZE, "photo")
    left = scales_for(options.replace(enlarge=small), PHOTO_SIZE, "photo")
    assert [scale.width for scale in every] == [150, 300]
    assert left == every
    larger = scales_for(options.replace(size=450, enlarge=small), PHOTO_SIZE, "photo")
    assert [scale.width for scale in larger] == [112, 225, 450]
    nearly = scales_for(options.replace(size=290, scales=3, enlarge=small), PHOTO_SIZE, "photo")
    assert [scale.width for scale in nearly] == [145, 290], "72 is hardly larger than 64"
    assert scales_for(Options(size=81, enlarge=small), PHOTO_SIZE, "photo")


def test_iterations_are_divided_among_the_scales_that_are_left(small: str) -> None:
    options = Options(size=290, scales=3, iterations=40, enlarge=small)
    scales = scales_for(options, PHOTO_SIZE, "photo")
    assert len(scales) == 2
    assert sum(scale.iterations for scale in scales) == 40
    by_effort = scales_for(options.replace(iterations="auto"), PHOTO_SIZE, "photo")
    assert [scale.iterations for scale in by_effort] == [72, 43], "as in a run with all scales"


@pytest.mark.parametrize(
    ("size", "photo_size", "message"),
    [
        (
            70,
            PHOTO_SIZE,
            r"70 x 47 pixels are not larger, or hardly, than the 64 x 43 .* longer side needs 81",
        ),
        (400, (300, 451), "not the proportions of"),
    ],
)
def test_a_picture_that_cannot_be_enlarged_is_refused(
    size: int, photo_size: tuple[int, int], message: str, small: str
) -> None:
    with pytest.raises(OptionError, match=message):
        scales_for(Options(size=size, enlarge=small), photo_size, "photo")


def test_a_small_picture_that_is_missing_is_an_error(stylizer: Stylizer, photo: str) -> None:
    with pytest.raises(PictureError, match=r"none\.png: no such file"):
        stylizer(photo, photo, enlarge="none.png")


def test_the_command_takes_the_options_of_the_small_picture(run_on_folders: Any) -> None:
    """But for those that are typed, and those that belong to its size."""
    pair = ("photos/a.png", "styles/x.png")
    small = run_on_folders(*pair, "-o", "s.png", "--seed", "7", "-s", "32", "-n", "9")
    assert small.exit_code == 0
    args = (*pair, "--enlarge", "s.png")
    too_small = run_on_folders(*args, "-o", "b.png", "-s", "36")
    assert (too_small.exit_code, "the longer side needs 41" in too_small.stderr) == (2, True)
    result = run_on_folders(*args, "-o", "b.png", "-s", "44")
    assert result.exit_code == 0
    assert result.stderr.startswith("stylize: wrote b.png (")
    options = read_recipe("b.png").options
    assert (options["seed"], options["size"], options["iterations"]) == (7, 44, "auto")
    other = run_on_folders("photos/b.png", *args[1:], "-o", "c.png", "-s", "44")
    assert "--enlarge: the photo: not the same as in the recipe\n" in other.stderr
    refused = run_on_folders("photos", "styles", "-o", "out", "--enlarge", "s.png", "-s", "44")
    assert (refused.exit_code, "--enlarge: is for one picture" in refused.stderr) == (2, True)
    onto_itself = run_on_folders(*args, "-o", "s.png", "-s", "44")
    assert (onto_itself.exit_code, "is an input too" in onto_itself.stderr) == (2, True)
    stdin = run_on_folders(*pair, "--enlarge", "-", "-o", "d.png")
    assert "--enlarge: cannot come from standard input" in stdin.stderr
