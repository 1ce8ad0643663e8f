"""What happens to files that exist at the output path, for one picture and for folders.

A stand-in for the network paints.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import Painter, files_in, statuses
from PIL import Image, PngImagePlugin

from stylize.settings.recipe import KEY

pytestmark = pytest.mark.usefixtures("painter")

ALL = ["a-x.png", "a-y.png", "b-x.png", "b-y.png"]


def test_an_existing_file_is_replaced_or_skipped_or_an_error(run: Any) -> None:
    Path("a.png").write_bytes(b"old")
    skipped = run("PHOTO", "PAINTING", "-o", "a.png", "--existing", "skip")
    assert (skipped.exit_code, skipped.stdout) == (0, "")
    assert skipped.stderr == "stylize: a.png: exists already, skipped\n"
    failed = run("PHOTO", "PAINTING", "-o", "a.png", "--existing", "fail")
    assert failed.exit_code == 4
    assert failed.stderr == "stylize: a.png: exists already (--existing fail)\n"
    assert Path("a.png").read_bytes() == b"old"
    assert not Painter.calls, "nothing is painted"
    assert run("PHOTO", "PAINTING", "-o", "a.png", "--existing", "replace").exit_code == 0
    assert Path("a.png").read_bytes() != b"old"


def test_existing_files_of_a_folder_are_skipped_or_an_error_or_replaced(
    run_on_folders: Any,
) -> None:
    assert run_on_folders("photos", "styles/x.png", "-o", "out").exit_code == 0
    Painter.painted.clear()
    args = ["photos", "styles/x.png", "-o", "out", "--seed", "5", "--json", "--existing"]
    assert set(statuses(run_on_folders(*args, "skip").stdout).values()) == {"skipped"}
    failed = run_on_folders(*args, "fail")
    assert (failed.exit_code, set(statuses(failed.stdout).values())) == (123, {"failed"})
    assert not Painter.painted
    for _ in range(2):
        assert set(statuses(run_on_folders(*args, "replace").stdout).values()) == {"done"}


def test_a_single_file_can_be_updated(run_on_folders: Any) -> None:
    args = ["photos/a.png", "styles/x.png", "-o", "a.png", "--existing", "update", "--seed"]
    assert run_on_folders(*args, "5").stderr == "stylize: wrote a.png (40 x 30 in 0.5 s)\n"
    assert run_on_folders(*args, "5").stderr == "stylize: a.png: is up to date, skipped\n"
    assert run_on_folders(*args, "6").stderr == "stylize: wrote a.png (40 x 30 in 0.5 s)\n"


def test_only_what_has_changed_is_painted_again(run_on_folders: Any) -> None:
    assert run_on_folders("photos", "styles", "-o", "out").exit_code == 0
    before = {name: Path("out", name).read_bytes() for name in ALL}

    def painted_again(*args: str) -> set[str]:
        result = run_on_folders("photos", "styles", "-o", "out", "--json", *args)
        assert result.exit_code == 0
        by_name = statuses(result.stdout)
        assert sorted(by_name) == files_in("out")
        assert set(by_name.values()) <= {"done", "skipped"}
        return {name for name, status in by_name.items() if status == "done"}

    assert painted_again() == set()
    assert {name: Path("out", name).read_bytes() for name in ALL} == before
    Image.new("RGB", (50, 40), "red").save("photos/a.png")
    assert painted_again() == {"a-x.png", "a-y.png"}
    Image.new("RGB", (50, 40), "blue").save("styles/y.png")
    assert painted_again() == {"a-y.png", "b-y.png"}
    os.utime("photos/a.png")
    assert painted_again() == set(), "a new date is not a change"
    for option in ("--seed 2", "--style-weight 3", "--threads 1", "--keep-exif"):
        assert painted_again(*option.split()) == set(ALL), option
        assert painted_again(*option.split()) == set()
    assert painted_again("--seed", "3", "--jpeg-quality", "50") == set(ALL)
    assert painted_again("--seed", "3", "--background", "red") == set(), "no effect on a PNG"
    Image.new("RGB", (50, 40), "green").save("photos/c.png")
    assert painted_again("--seed", "3") == {"c-x.png", "c-y.png"}
    Path("out/a-x.png").unlink()
    assert painted_again("--seed", "3") == {"a-x.png"}
    complete = Path("out/a-x.png").read_bytes()
    for damaged in (b"", complete[:-60]):
        Path("out/a-x.png").write_bytes(damaged)
        assert painted_again("--seed", "3") == {"a-x.png"}
    assert Path("out/a-x.png").read_bytes() == complete


def test_a_changed_mask_or_start_picture_counts(run_on_folders: Any) -> None:
    for name, level in (("m.png", 255), ("n.png", 200)):
        Image.new("L", (40, 30), level).save(name)
    Image.new("RGB", (40, 30), "red").save("start.png")

    def status(*more: str) -> str:
        args = ["photos/a.png", "styles/x.png", "-o", "out/", "--json"]
        return statuses(run_on_folders(*args, *more).stdout)["a-x.png"]

    masks = [["--mask", name] for name in ("m.png", "n.png", "not:n.png")]
    for more in (*masks, ["--init", "start.png"]):
        assert status(*more) == "done"
        assert status(*more) == "skipped"
    Image.new("RGB", (40, 30), "blue").save("start.png")
    assert status("--init", "start.png") == "done"
    assert status() == "done"


def test_files_that_stylize_did_not_make_are_not_replaced(run_on_folders: Any) -> None:
    """Neither a picture nor another file of that name."""
    Path("out").mkdir()
    Image.new("RGB", (9, 9), "red").save("out/a-x.png")
    for data in (Path("out/a-x.png").read_bytes(), b"Dear diary"):
        Path("out/a-x.png").write_bytes(data)
        result = run_on_folders("photos", "styles/x.png", "-o", "out", "--json")
        assert result.exit_code == 123
        assert statuses(result.stdout)["a-x.png"] == "failed"
        assert "exists already, and does not seem to be made by stylize (" in result.stderr
        assert "or overwrite it with --existing replace" in result.stderr
        assert Path("out/a-x.png").read_bytes() == data
    replaced = run_on_folders("photos", "styles/x.png", "-o", "out", "--existing", "replace")
    assert replaced.exit_code == 0


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_one_picture_replaces_what_stylize_made_and_nothing_else(
    dry: list[str], run_on_folders: Any
) -> None:
    args = ["photos/a.png", "styles/x.png", "-o", "a.jpg"]
    Image.new("RGB", (9, 9), "red").save("a.jpg")
    holiday = Path("a.jpg").read_bytes()
    refused = run_on_folders(*args, *dry)
    assert (refused.exit_code, refused.stdout) == (4, "")
    assert refused.stderr == (
        "stylize: a.jpg: exists already, and does not seem to be made by stylize (carries no"
        " recipe; it was not made by stylize, or was edited); choose another name, or overwrite it"
        " with --existing replace\n"
    )
    assert Path("a.jpg").read_bytes() == holiday
    assert run_on_folders(*args, *dry, "--existing", "replace").exit_code == 0
    Path("a.jpg").write_bytes(b"")
    assert run_on_folders(*args, *dry).exit_code == 0, "an empty file: nothing to lose"
    Path("a.jpg").unlink()
    Path("a.jpg").symlink_to("nowhere.jpg")
    assert run_on_folders(*args).exit_code == 0
    assert run_on_folders(*args, *dry, "--seed", "2").exit_code == 0, "stylize made it"


def test_an_option_that_an_older_version_did_not_have_had_its_present_default(
    run_on_folders: Any,
) -> None:
    assert run_on_folders("photos/a.png", "styles/x.png", "-o", "out/").exit_code == 0
    with Image.open("out/a-x.png") as image:
        recorded = json.loads(image.info[KEY])
        del recorded["options"]["tv_weight"]
        recorded["stylize"] = "0.0.1"
        text = PngImagePlugin.PngInfo()
        text.add_text(KEY, json.dumps(recorded))
        image.save("out/a-x.png", pnginfo=text)
    args = ["photos/a.png", "styles/x.png", "-o", "out/", "--json"]
    assert statuses(run_on_folders(*args).stdout) == {"a-x.png": "skipped"}
    assert statuses(run_on_folders(*args, "--tv-weight", "1").stdout) == {"a-x.png": "done"}
