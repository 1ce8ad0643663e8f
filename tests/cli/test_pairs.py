"""Pairs from a list, and the shell's trap: a wildcard that becomes one photo and many paintings."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Painter, files_in, statuses
from PIL import Image

pytestmark = pytest.mark.usefixtures("painter")

LIST = "photos/a.png\tstyles/x.png\n\nphotos/b.png\tstyles/y.png\n"


@pytest.mark.parametrize("place", ["list.tsv", "-"])
def test_pairs_come_from_a_file_or_from_standard_input(place: str, run_on_folders: Any) -> None:
    Path("list.tsv").write_text(LIST)
    result = run_on_folders("--pairs", place, "-o", "out", "--json", stdin=LIST.encode())
    assert result.exit_code == 0
    assert statuses(result.stdout) == {"a-x.png": "done", "b-y.png": "done"}
    assert files_in("out") == ["a-x.png", "b-y.png"]


@pytest.mark.parametrize(
    "text", [f"\ufeff{LIST}", f"# mine\n{LIST}#\n", LIST.replace("\n", "\r\n")]
)
def test_a_list_may_have_comments_a_mark_and_ends_of_lines_of_windows(
    text: str, run_on_folders: Any
) -> None:
    Path("list.tsv").write_bytes(text.encode())
    assert run_on_folders("--pairs", "list.tsv", "-o", "out").exit_code == 0
    assert files_in("out") == ["a-x.png", "b-y.png"]


def test_a_photo_may_have_a_name_that_begins_like_a_comment(run_on_folders: Any) -> None:
    Image.new("RGB", (40, 30), "red").save("#1.png")
    Path("list.tsv").write_text("#1.png\tstyles/x.png\n")
    assert run_on_folders("--pairs", "list.tsv", "-o", "out").exit_code == 0
    assert files_in("out") == ["#1-x.png"]


def test_several_paintings_on_a_line_are_taken_in_turn_or_mixed(run_on_folders: Any) -> None:
    Path("list.tsv").write_text("photos/a.png\tstyles/x.png\tstyles/y.png\n")
    assert run_on_folders("--pairs", "list.tsv", "-o", "out").exit_code == 0
    assert run_on_folders("--pairs", "list.tsv", "-o", "out", "--blend", "equal").exit_code == 0
    assert files_in("out") == ["a-x+y.png", "a-x.png", "a-y.png"]
    planned = run_on_folders("--pairs", "list.tsv", "-o", "new", "--dry-run")
    assert "2 pictures: 2 planned" in planned.stdout


@pytest.mark.parametrize(
    ("text", "args", "message"),
    [
        ("photos/a.png", "-o out", "--pairs list.tsv, line 1: give a photo and a painting"),
        (LIST + "x\t\n", "-o out", "line 4: give a photo"),
        ("\n", "-o out", "list.tsv lists no pairs"),
        ("a\0.png\tx.png\n", "-o out", "list.tsv, line 1: contains a NUL character; give UTF-8"),
        (LIST, "photos styles -o out", "--pairs: its file names photos and paintings; leave"),
        (LIST, "", "give a name for the result (-o)"),
        (LIST, "-o a.png", "-o a.png: is one file; name a folder"),
        (LIST, "-o {seed}.png", "2 results of one name"),
        (LIST, "-o a.png --try seed=1,2", "--pairs: leave it out with --try"),
        (None, "-o out", "--pairs list.tsv: cannot be read ("),
    ],
)
def test_a_list_that_is_none_is_refused(
    text: str | None, args: str, message: str, run_on_folders: Any
) -> None:
    if text is not None:
        Path("list.tsv").write_text(text)
    result = run_on_folders("--pairs", "list.tsv", *args.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert not Painter.calls


@pytest.mark.parametrize("more", [[], ["--blend", "equal"], ["--dry-run"]])
def test_a_wildcard_of_photos_is_no_row_of_paintings(more: list[str], run_on_folders: Any) -> None:
    args = ["photos/a.png", "photos/b.png", "styles/x.png", "-o", "out/"]
    result = run_on_folders(*args, *more)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "stylize: photos/b.png: would be a painting, because only the first name, photos/a.png, is"
        " the photo; for many photos name their folder, as in stylize photos painting.jpg -o"
        " painted/; if it is a painting, put it into the other paintings' folder\n"
    )
    assert not Painter.calls


def test_paintings_beside_the_photo_are_painted_with_a_word(run_on_folders: Any) -> None:
    for name in "abc":
        Image.new("RGB", (40, 30), "red").save(f"{name}.png")
    result = run_on_folders("a.png", "b.png", "c.png", "-o", "out/")
    assert result.exit_code == 0
    assert result.stderr.startswith(
        "stylize: only a.png is the photo, the other 2 pictures beside it are paintings; for many"
        " photos name their folder, as in stylize . painting.jpg -o painted/\n"
    )
    single = run_on_folders("a.png", "b.png", "-o", "d.png")
    assert "only" not in single.stderr, "one photo and one painting are what they are"


def test_several_paintings_for_one_file_lead_to_the_folder_of_photos(run_on_folders: Any) -> None:
    for second in ("styles/x.png", "photos/b.png"):
        result = run_on_folders("photos/a.png", second, "styles/y.png", "-o", "out.png")
        assert result.exit_code == 2
        assert "2 paintings for one picture: --blend equal mixes them" in result.stderr
        assert "name their folder (photos, not photos/*.jpg)" in result.stderr


def test_json_names_the_version(run_on_folders: Any) -> None:
    from importlib.metadata import version

    out = run_on_folders("photos/a.png", "styles/x.png", "-o", "a.png", "--json").stdout
    assert json.loads(out)["version"] == version("neural-stylize")
