"""`--try`: which combinations are painted, and how they are laid out."""

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import GREEN, Painter, files_in
from PIL import Image

from stylize import Options
from stylize.cli.combinations import SIZE, combine
from stylize.settings.presets import PRESETS
from stylize.settings.recipe import read_recipe

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


def test_presets_yield_to_what_was_typed(run: Run) -> None:
    args = [*TRY, "preset=miniature,impasto", "--style-weight", "7"]
    assert run(*args).exit_code == 0
    for name in ("miniature", "impasto"):
        options = read_recipe(f"sheet-trials/preset={name}.png").options
        assert options["style_weight"] == 7 != PRESETS[name]["style_weight"]
        assert options["style_scale"] == PRESETS[name]["style_scale"]


def test_presets_win_over_a_recipe_and_a_variable(run: Run) -> None:
    """As `--preset` does."""
    run("PHOTO", "PAINTING", "-o", "old.png", "--style-weight", "5")
    args = [*TRY, "preset=miniature,abstract", "--recipe", "old.png"]
    assert run(*args, env={"STYLIZE_PRESET": "impasto"}).exit_code == 0
    for name in ("miniature", "abstract"):
        options = read_recipe(f"sheet-trials/preset={name}.png").options
        assert options["style_weight"] == PRESETS[name]["style_weight"]
        assert options["style_scale"] == PRESETS[name]["style_scale"]


def test_the_example_with_shares_of_the_manual(run: Run) -> None:
    args = ["PHOTO", "PAINTING", "PAINTING", "-o", "s.png", "--try", "blend=0.7,0.3/0.5,0.5"]
    assert run(*args).exit_code == 0
    assert files_in("s-trials") == ["blend=0.5,0.5.png", "blend=0.7,0.3.png"]


def test_a_sheet_is_not_written_over_another_picture_if_that_is_asked(run: Run) -> None:
    Image.new("RGB", (9, 9)).save("sheet.png")
    before = Path("sheet.png").read_bytes()
    assert run(*TRY, "seed=1,2", "--existing", "fail").exit_code == 4
    assert run(*TRY, "seed=1,2", "--existing", "skip").exit_code == 0
    assert Path("sheet.png").read_bytes() == before
    assert not Painter.painted


def test_a_sheet_replaces_only_a_sheet(run: Run) -> None:
    Image.new("RGB", (9, 9)).save("sheet.png")
    before = Path("sheet.png").read_bytes()
    refused = run(*TRY, "seed=1,2")
    assert refused.exit_code == 4
    assert "sheet.png: exists already, and does not seem to be made by stylize" in refused.stderr
    assert Path("sheet.png").read_bytes() == before
    assert run(*TRY, "seed=1,2", "--existing", "replace").exit_code == 0
    again = run(*TRY, "seed=1,2,3")
    assert again.exit_code == 0
    assert again.stderr.endswith("stylize: wrote sheet.png\n")
    painting = run(*TRY[:4])
    assert painting.exit_code == 4
    assert painting.stderr == (
        "stylize: sheet.png: is a sheet of --try; choose another name, or overwrite it with"
        " --existing replace\n"
    )


@pytest.mark.parametrize("trials_there", [False, True])
def test_a_sheet_does_not_replace_a_painting(run: Run, trials_there: bool) -> None:
    assert run(*TRY[:4]).exit_code == 0
    if trials_there:
        Path("sheet-trials").mkdir()
    before = Path("sheet.png").read_bytes()
    refused = run(*TRY, "seed=1,2")
    assert refused.exit_code == 4
    assert "sheet.png: is a picture that stylize painted, not a sheet; choose" in refused.stderr
    assert Path("sheet.png").read_bytes() == before


def test_a_sheet_shows_only_pictures_of_this_run(run: Run) -> None:
    Path("sheet-trials").mkdir()
    Image.new("RGB", (200, 200), "red").save("sheet-trials/seed=1.png")
    assert run(*TRY, "seed=1,2").exit_code == 123, "the picture of someone else stays"
    assert opened("sheet.png").getpixel((100, 100)) == (255, 255, 255)
    assert opened("sheet-trials/seed=1.png").getpixel((0, 0)) == (255, 0, 0)


def test_many_values_of_one_option_are_wrapped(run: Run) -> None:
    assert run(*TRY, "seed=1,2,3,4,5,6,7,8,9").exit_code == 0
    assert opened("sheet.png").width == 3 * (SIZE + 12) + 12


def test_a_long_label_makes_its_cell_wider(run: Run) -> None:
    layers = "relu1_1,relu2_1,relu3_1/relu1_1,relu2_1,relu3_1,relu4_1"
    assert run(*TRY, f"style-layers={layers}").exit_code == 0
    assert opened("sheet.png").width > 2 * (SIZE + 12) + 12


def test_names_that_become_alike_are_numbered(run: Run, photo: str) -> None:
    for name in ("a b.jpg", "a_b.jpg"):
        shutil.copy(photo, name)
    assert run(*TRY, "init=a b.jpg,a_b.jpg").exit_code == 0
    assert files_in("sheet-trials") == ["init=a_b.jpg-1.png", "init=a_b.jpg-2.png"]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["seed=1", "-s", "900"], "--enlarge"),
        (["iterations=3"], "--recipe"),
        (["init=p.jpg"], "--init p.jpg"),
    ],
)
def test_the_command_has_what_a_large_picture_needs(
    run: Run, args: list[str], expected: str, photo: str
) -> None:
    shutil.copy(photo, "p.jpg")
    assert run(*TRY, *args, "--report", "page.html").exit_code == 0
    (command,) = re.findall("<code>([^<]*)</code>", Path("page.html").read_text())
    assert expected in command
    result = run(*shlex.split(command)[1:])
    assert result.exit_code == 0, result.stderr


def test_values_with_commas_are_separated_by_slashes() -> None:
    texts = ["blend=0.7,0.3/0.5,0.5", "keep-exif=yes,no"]
    trials = combine(texts, lambda preset: Options(), True)
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
        (["vigour=1,2"], "vigour is not an option that can be tried"),
        (["strenght=0.5,1"], "not an option that can be tried; did you mean strength?"),
        (["mask=a.png,b.png"], "mask is not an option that can be tried"),
        (["preset=glaze", "--preset", "impasto"], "--preset: leave it out"),
        (["seed=1", "-o", "{content}.png"], "name one file"),
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
