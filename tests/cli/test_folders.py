"""Which pictures folders contain, and the tasks for them: names alone decide, nothing is opened."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stylize import OptionError, Options, OutputError, PictureError
from stylize.cli.arguments import Arguments
from stylize.cli.folders import Found, find_pictures, is_batch, list_tasks, pair_up
from stylize.cli.naming import Input

LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")


def touch(*paths: str) -> None:
    """Create empty files and their folders."""
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()


def found(*names: str) -> Found:
    return Found(tuple(Input(os.path.join("in", name), name) for name in names))


def results(
    contents: Found,
    styles: Found,
    output: str = "out/",
    pair: str = "all",
    format: str = "png",
    **options: Any,
) -> list[str]:
    """The paths of the results for pictures that were found."""
    arguments = Arguments("", (), output, Options(**options), pair=pair, format=format)
    return [task.output for task in pair_up(contents, styles, arguments)]


def results_of_command(
    content: str, styles: list[str], output: str, recursive: bool = False
) -> list[str]:
    """The paths of the results for existing files and folders."""
    arguments = Arguments(content, tuple(styles), output, Options(), recursive=recursive)
    return [task.output for task in list_tasks(arguments)[0]]


def names_in(found: Found) -> list[str]:
    return [picture.name for picture in found.pictures]


@pytest.fixture(autouse=True)
def _in_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("content", "style", "output", "expected"),
    [
        ("a.jpg", "b.jpg", "c.png", False),
        ("a.jpg", "b.jpg", "-", False),
        ("-", "b.jpg", "c.png", False),
        ("a.jpg", "b.jpg", "{odd}.png", False),
        ("in", "b.jpg", "c.png", True),
        ("a.jpg", "in", "c.png", True),
        ("a.jpg", "b.jpg", "new/", True),
        ("a.jpg", "b.jpg", "in", True),
        ("a.jpg", "b.jpg", "{style}.png", True),
    ],
)
def test_a_folder_or_a_pattern_makes_a_batch(
    content: str, style: str, output: str, expected: bool
) -> None:
    touch("in/x.jpg", "-/x.jpg")
    assert is_batch(Arguments(content, (style,), output, Options())) == expected


def test_what_phones_and_cameras_store_beside_a_photo_is_left_out() -> None:
    touch("in/1.HEIC", "in/1.MOV", "in/1.AAE", "in/2.jpg", "in/2.DNG", "in/3.dng", "in/4.CR2")
    assert names_in(find_pictures(["in"], False, "out")) == ["1.HEIC", "2.jpg", "3.dng", "4.CR2"]
    assert names_in(find_pictures(["in/2.DNG"], False, "out")) == ["2.DNG"]


def test_pictures_are_found_by_suffix_in_natural_order_and_hidden_files_are_ignored() -> None:
    touch("in/b10.JPG", "in/b9.tiff", "in/c.heic", "in/.hidden.jpg", "in/notes.txt", "in/jpg")
    touch("in/sub/d.png", "in/.hidden/e.png")
    Path("in/folder.png").mkdir()
    if sys.platform != "win32":
        os.mkfifo("in/pipe.png")
    flat = find_pictures(["in"], False, "out")
    assert names_in(flat) == ["b9.tiff", "b10.JPG", "c.heic"]
    assert flat.pictures[0].path == os.path.join("in", "b9.tiff")
    deep = find_pictures(["in"], True, "out")
    assert deep.pictures[-1] == Input(
        os.path.join("in", "sub", "d.png"), os.path.join("sub", "d.png")
    )
    assert len(deep.pictures) == 4


@LINKS
def test_links_to_files_are_followed_and_links_to_folders_are_not(tmp_path: Path) -> None:
    """A link to a file that does not exist is listed as well, and fails when it is painted."""
    touch("in/a.jpg", "other/b.jpg")
    for name, to in (("loop.jpg", "loop.jpg"), ("gone.jpg", "none"), ("b.jpg", "../other/b.jpg")):
        Path("in", name).symlink_to(to)
    Path("in/again").symlink_to(tmp_path / "in")
    Path("in/others").symlink_to(tmp_path / "other")
    pictures = find_pictures(["in"], True, "out")
    assert names_in(pictures) == ["a.jpg", "b.jpg", "gone.jpg", "loop.jpg"]


@pytest.mark.parametrize(
    "output", ["in/out", "in/out/", "./in/../in/out", "in/out/{style}/{content}.png"]
)
def test_the_output_folder_is_not_searched(output: str) -> None:
    touch("in/a.jpg", "in/out/a-b.png", "in/out/deep/c.png", "s.jpg")
    arguments = Arguments("in", ("s.jpg",), output, Options(), recursive=True)
    (task,), unreadable = list_tasks(arguments)
    assert task.content == os.path.join("in", "a.jpg")
    assert not unreadable


@pytest.mark.parametrize(
    ("output", "recursive"),
    [
        ("in", False),
        ("in/../in/", False),
        ("in/{content}.png", False),
        ("in/{style}/{content}.png", True),
        ("{style}/{content}.png", False),
        ("{style}/new/{content}.png", True),
    ],
)
def test_results_that_the_next_run_would_take_for_inputs_are_refused(
    output: str, recursive: bool
) -> None:
    touch("in/a.jpg", "in/sub/b.jpg", "styles/in.jpg")
    with pytest.raises(OptionError, match="the next run would take the results for inputs"):
        results_of_command("in", ["styles"], output, recursive)


def test_results_may_lie_beside_files_that_were_named_but_not_replace_them() -> None:
    touch("in/a.jpg", "styles/a.png", "styles/b.png")
    assert len(results_of_command("in/a.jpg", ["styles"], "in")) == 2
    with pytest.raises(OptionError, match=r"in/a\.jpg: is an input too"):
        results_of_command("in/a.jpg", ["styles"], "in/{style}.jpg")


def test_a_folder_without_pictures_is_refused() -> None:
    touch("in/sub/a.jpg", "in/notes.txt")
    hint = "--recursive searches its subfolders"
    with pytest.raises(PictureError, match=f"in: no pictures in this folder; {hint}"):
        find_pictures(["in"], False, "out")
    with pytest.raises(PictureError, match=r"none: no such file or folder"):
        find_pictures(["none"], False, "out")


def test_an_unreadable_subfolder_is_listed_and_an_unreadable_folder_is_an_error(
    make_unreadable: Callable[[str], None],
) -> None:
    touch("in/a.jpg", "in/closed/b.jpg")
    closed = os.path.join("in", "closed")
    make_unreadable(closed)
    pictures = find_pictures(["in"], True, "out")
    assert pictures.unreadable == ((closed, "Permission denied"),)
    assert len(pictures.pictures) == 1
    with pytest.raises(PictureError, match=r"closed: cannot be read \(Permission denied\)"):
        find_pictures([closed], False, "out")


def test_every_content_is_paired_with_every_style() -> None:
    names = results(found("a.jpg", "b.jpg"), found("x.jpg", "y.jpg"), "out")
    assert names == [f"out/{pair}.png" for pair in ("a-x", "b-x", "a-y", "b-y")]
    assert results(found("a.jpg"), found("x.jpg"), "out", format="webp") == ["out/a-x.webp"]


def test_zip_pairs_the_first_with_the_first() -> None:
    contents, styles = found("a.jpg", "b.jpg"), found("x.jpg", "y.jpg")
    assert results(contents, styles, pair="zip") == ["out/a-x.png", "out/b-y.png"]
    assert results(contents, styles, "{style}.png", pair="zip") == ["x.png", "y.png"]
    with pytest.raises(OptionError, match="2 photos and 1 paintings do not make pairs"):
        results(contents, found("x.jpg"), pair="zip")


def test_the_styles_of_a_blend_make_one_picture() -> None:
    styles = found("x.jpg", "y.jpg")
    assert results(found("a.jpg"), styles, "o/{content}.jpg", blend="equal") == ["o/a.jpg"]
    assert results(found("a.jpg"), styles, "o/", blend="equal") == ["o/a-x+y.png"]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("{style}.png", r"2 results of one name; put \{content\} in it"),
        ("{content}.png", r"2 results of one name; put \{style\} in it"),
        ("out.png", "is one file; name a folder"),
        ("out.bmp", "is one file; name a folder"),
        ("{content}{style}", "no suffix"),
        ("{content}{style}.gif", "unknown suffix '.gif'"),
    ],
)
def test_an_output_that_cannot_name_every_result_is_refused(output: str, message: str) -> None:
    with pytest.raises((OptionError, OutputError), match=message):
        results(found("a.jpg", "b.jpg"), found("x.jpg", "y.jpg"), output)


def test_results_get_the_subfolders_of_their_contents() -> None:
    sub = os.path.join("sub", "a.jpg")
    assert results(found("a.jpg", sub), found(os.path.join("old", "x.jpg")), "out") == [
        "out/a-old-x.png",
        "out/sub/a-old-x.png",
    ]


def test_inputs_of_one_name_give_results_of_different_names() -> None:
    names = results(found("a.jpg", "a.png", "b.jpg"), found("x.jpg"))
    assert names == ["out/a.jpg-x.jpg.png", "out/a.png-x.jpg.png", "out/b-x.png"]
    twins = Found((Input("one/a.jpg", "a.jpg"), Input("two/a.jpg", "a.jpg")))
    assert len(set(results(twins, found("x.jpg")))) == 2
    one, other = results(found("x.jpg", "y.jpg"), twins, "{style}.png", pair="zip")
    assert one != other


def test_a_pair_that_is_named_twice_is_painted_once() -> None:
    touch("in/a.jpg", "styles/x.jpg")
    contents = find_pictures(["in", "in/a.jpg", "./in/a.jpg"], False, "out")
    styles = find_pictures(["styles/x.jpg", "styles"], False, "out")
    assert results(contents, styles) == ["out/a-x.png"]
