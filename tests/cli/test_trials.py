"""`--try`: which combinations are painted, and how they are laid out."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import GREEN, Painter, files_in
from PIL import Image

from stylize import Options
from stylize.cli.combinations import SIZE, plan
from stylize.settings.presets import PRESETS

Run = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("painter")
TRY = ["PHOTO", "PAINTING", "-o", "sheet.png", "--try"]


def opened(path: str | Path) -> Image.Image:
    with Image.open(path) as image:
        return image.copy()


def test_all_combinations_are_painted_small_and_laid_out(run: Run) -> None:
    args = [*TRY, "style-weight=0.3,1,3", "--try", "style-scale=0.5,1", "--seed", "4"]
    result = run(*args, "--report", "page.html")
    assert (result.exit_code, result.stdout) == (0, "")
    assert files_in("sheet-trials") == sorted(
        f"style-weight={weight},style-scale={scale}.png"
        for weight in ("0.3", "1", "3")
        for scale in ("0.5", "1")
    )
    picture = opened("sheet-trials/style-weight=3,style-scale=0.5.png")
    assert max(picture.size) == SIZE
    sheet = opened("sheet.png")
    width, height = picture.size
    assert sheet.width == 2 * (width + 12) + 12
    assert sheet.height == 3 * (height + 2 * 18 + 12) + 12
    for column in range(2):
        for row in range(3):
            left, top = 12 + column * (width + 12), 12 + row * (height + 48)
            assert sheet.getpixel((left + 5, top + 5)) == GREEN
            label = sheet.crop((left, top + height, left + width, top + height + 36))
            assert label.convert("L").getextrema()[0] < 100, "there is text"
    page = Path("page.html").read_text()
    assert re.findall(r'"row">.*?<bdi>([^<]*)', page) == [
        f"--style-weight {weight}" for weight in ("0.3", "1", "3")
    ]
    assert page.count("<code>stylize ") == 6


def test_the_command_under_a_picture_paints_it_large(run: Run) -> None:
    assert run(*TRY, "style-weight=2", "--report", "page.html").exit_code == 0
    (command,) = re.findall("<code>([^<]*)</code>", Path("page.html").read_text())
    name, *args = shlex.split(command)
    assert name == "stylize"
    assert run(*args).exit_code == 0
    large = Path("sheet-trials/style-weight=2-large.png")
    assert max(opened(large).size) == 1024
    assert Painter.painted[-1] == Painter.painted[0]
    assert "--style-weight" not in command, "it is in the picture's recipe"


def test_a_second_run_paints_what_is_new(run: Run) -> None:
    run(*TRY, "style-weight=1,2")
    before = len(Painter.painted)
    assert run(*TRY, "style-weight=1,2,3").exit_code == 0
    assert len(Painter.painted) - before == 1
    assert opened("sheet.png").width == 3 * (SIZE + 12) + 12


def test_a_combination_that_fails_leaves_its_place_empty(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint = Painter.paint

    def fail_once(self: Painter, job: Any, *rest: Any) -> Any:
        if job.options.style_weight == 2:
            raise MemoryError
        return paint(self, job, *rest)

    monkeypatch.setattr(Painter, "paint", fail_once)
    assert run(*TRY, "style-weight=1,2").exit_code == 123
    assert opened("sheet.png").width == 2 * (SIZE + 12) + 12


def test_presets_yield_to_what_was_given() -> None:
    options = Options(style_weight=7)
    trials = plan(["preset=glaze,impasto"], options, ["style_weight"])
    assert [trial.options.style_weight for trial in trials] == [7, 7]
    assert trials[0].options.color == PRESETS["glaze"]["color"]
    assert trials[1].options.style_scale == PRESETS["impasto"]["style_scale"]


def test_values_with_commas_are_separated_by_slashes() -> None:
    trials = plan(["blend=0.7,0.3/0.5,0.5", "keep-exif=yes,no"], Options(), ["size"])
    assert [(trial.options.blend, trial.options.keep_exif) for trial in trials] == [
        ("0.7,0.3", True),
        ("0.7,0.3", False),
        ("0.5,0.5", True),
        ("0.5,0.5", False),
    ]
    assert trials[0].name == "blend=0.7,0.3,keep-exif=yes"
    assert trials[0].options.size == Options().size, "a size that was given stays"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (["style-weight"], "give NAME=VALUE"),
        (["strength=1,2"], "--strength cannot be tried"),
        (["mask=a.png,b.png"], "--mask cannot be tried"),
        (["style-weight=1,,2"], "a value is empty"),
        (["style-weight=1,1"], "there twice"),
        (["style-weight=1,much"], "--style-weight"),
        (["keep-exif=maybe"], "give yes or no"),
        (["preset=oil"], "no preset 'oil'"),
        (["seed=1", "--try", "seed=2"], "names an option twice"),
        ([f"seed={','.join(map(str, range(201)))}"], "more than 200"),
        (["seed=1,2", "--trace", "t.jsonl"], "--trace: is for one picture"),
    ],
)
def test_what_cannot_be_tried_is_refused(run: Run, text: list[str], message: str) -> None:
    result = run(*TRY, *text)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Painter.painted
    assert files_in(".") == []


def test_folders_and_streams_are_refused(run: Run) -> None:
    Path("photos").mkdir()
    for args in (["photos", "PAINTING", "-o", "s.png"], ["PHOTO", "PAINTING", "-o", "-"]):
        result = run(*args, "--try", "seed=1,2")
        assert result.exit_code == 2
        assert "--try: " in result.stderr


def test_a_dry_run_foretells_all_combinations(run: Run) -> None:
    result = run(*TRY, "style-weight=1,2,3", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.count("planned  sheet-trials/") == 3
    assert files_in(".") == []
