"""Which pictures folders hold, and what the results are called: names alone, no picture is read."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylize import OptionError, Options, OutputError, PictureError
from stylize.cli import folders
from stylize.cli.folders import Found, Input

NO_LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")


def touch(*paths: str) -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()


def found(*names: str) -> Found:
    return Found(tuple(Input(os.path.join("in", name), name) for name in names))


def named(
    contents: Found,
    styles: Found,
    target: str = "out/",
    pairing: str = "all",
    recursive: bool = False,
    **options: object,
) -> list[str]:
    pairs = folders.pairs(contents, styles, target, pairing, Options(**options), recursive)
    return [pair.output for pair in pairs]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("content", "style", "target", "expected"),
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
def test_when_there_are_several(content: str, style: str, target: str, expected: bool) -> None:
    touch("in/x.jpg", "-/x.jpg")
    assert folders.several(content, [style], target) == expected


def test_what_is_a_picture() -> None:
    """By its name; hidden files and all else are passed over."""
    touch("in/b10.JPG", "in/b9.tiff", "in/c.heic", "in/.hidden.jpg", "in/notes.txt", "in/jpg")
    touch("in/sub/d.png", "in/.hidden/e.png")
    Path("in/folder.png").mkdir()
    if sys.platform != "win32":
        os.mkfifo("in/pipe.png")
    seen = folders.look(["in"], False, "out")
    assert [picture.name for picture in seen.pictures] == ["b9.tiff", "b10.JPG", "c.heic"]
    assert seen.pictures[0].path == os.path.join("in", "b9.tiff")
    deep = folders.look(["in"], True, "out")
    assert deep.pictures[-1] == Input(
        os.path.join("in", "sub", "d.png"), os.path.join("sub", "d.png")
    )
    assert len(deep.pictures) == 4


@NO_LINKS
def test_links(tmp_path: Path) -> None:
    """To files they are followed, if need be into nothing; to folders they are not."""
    touch("in/a.jpg", "other/b.jpg")
    for name, to in (("loop.jpg", "loop.jpg"), ("gone.jpg", "none"), ("b.jpg", "../other/b.jpg")):
        Path("in", name).symlink_to(to)
    Path("in/again").symlink_to(tmp_path / "in")
    Path("in/others").symlink_to(tmp_path / "other")
    names = [picture.name for picture in folders.look(["in"], True, "out").pictures]
    assert names == ["a.jpg", "b.jpg", "gone.jpg", "loop.jpg"]


def test_the_output_is_not_looked_into() -> None:
    touch("in/a.jpg", "in/out/a-b.png", "in/out/deep/c.png")
    for target in ("in/out", "in/out/", "./in/../in/out", "in/out/{style}/{content}.png"):
        seen = folders.look(["in"], True, folders.root(target))
        assert [picture.name for picture in seen.pictures] == ["a.jpg"], target
        assert named(seen, found("s.jpg"), target, recursive=True)


@pytest.mark.parametrize(
    ("target", "recursive"),
    [
        ("in", False),
        ("in/../in/", False),
        ("in/{content}.png", False),
        ("in/{style}/{content}.png", True),
        ("{style}/{content}.png", False),
        ("{style}/new/{content}.png", True),
    ],
)
def test_results_that_would_be_read_the_next_time(target: str, recursive: bool) -> None:
    touch("in/a.jpg", "in/sub/b.jpg", "styles/in.jpg")
    seen = folders.look(["in"], recursive, folders.root(target))
    styles = folders.look(["styles"], recursive, folders.root(target))
    with pytest.raises(OptionError, match="among them the next time"):
        named(seen, styles, target, recursive=recursive)


def test_results_beside_the_inputs() -> None:
    """A file is no folder that is looked into; but it is not written over."""
    touch("in/a.jpg", "styles/a.png", "styles/b.png")
    seen, styles = folders.look(["in/a.jpg"], False, "in"), folders.look(["styles"], False, "in")
    assert len(named(seen, styles, "in")) == 2
    with pytest.raises(OptionError, match=r"a\.jpg is an input too"):
        named(seen, styles, "in/{style}.jpg")


def test_a_folder_without_pictures() -> None:
    touch("in/sub/a.jpg", "in/notes.txt")
    with pytest.raises(PictureError, match=r"in: no pictures in this folder, --recursive"):
        folders.look(["in"], False, "out")
    with pytest.raises(PictureError, match=r"none: no such file or folder"):
        folders.look(["none"], False, "out")


def test_a_closed_folder(close: Callable[[str], None]) -> None:
    """One inside is a failure of its own; one that was named is all there is."""
    touch("in/a.jpg", "in/closed/b.jpg")
    close(os.path.join("in", "closed"))
    seen = folders.look(["in"], True, "out")
    assert seen.closed == ((os.path.join("in", "closed"), "Permission denied"),)
    assert len(seen.pictures) == 1
    with pytest.raises(PictureError, match=r"closed: cannot be read \(Permission denied\)"):
        folders.look([os.path.join("in", "closed")], False, "out")


def test_every_photo_with_every_painting() -> None:
    names = named(found("a.jpg", "b.jpg"), found("x.jpg", "y.jpg"), "out")
    assert names == [f"out/{pair}.png" for pair in ("a-x", "b-x", "a-y", "b-y")]
    assert named(found("a.jpg"), found("x.jpg"), "out", format="webp") == ["out/a-x.webp"]


def test_pairs_by_order() -> None:
    photos, paintings = found("a.jpg", "b.jpg"), found("x.jpg", "y.jpg")
    assert named(photos, paintings, pairing="zip") == ["out/a-x.png", "out/b-y.png"]
    assert named(photos, paintings, "{style}.png", pairing="zip") == ["x.png", "y.png"]
    with pytest.raises(OptionError, match="2 photos and 1 paintings do not make pairs"):
        named(photos, found("x.jpg"), pairing="zip")


def test_a_pattern() -> None:
    pattern = "out/{size}/{seed}/{style}/{content}{odd}.jpg"
    assert named(found("{size}.jpg"), found("x.y.jpg"), pattern, size=64, seed=3) == [
        "out/64/3/x.y/{size}{odd}.jpg"
    ]
    assert named(found("a.jpg"), found("x.jpg"), "{content}.jpg") == ["a.jpg"]
    assert named(found("a.jpg"), found("x.jpg", "y.jpg"), "o/{content}.jpg", blend="equal") == [
        "o/a.jpg"
    ]
    assert named(found("a.jpg"), found("x.jpg", "y.jpg"), "o/", blend="equal") == ["o/a-x+y.png"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("{style}.png", r"2 results of one name; put \{content\} in it"),
        ("{content}.png", r"2 results of one name; put \{style\} in it"),
        ("out.png", "is one file; name a folder"),
        ("out.bmp", "is one file; name a folder"),
        ("{content}{style}", "unknown suffix ''"),
        ("{content}{style}.gif", "unknown suffix '.gif'"),
    ],
)
def test_patterns_that_will_not_do(target: str, message: str) -> None:
    with pytest.raises((OptionError, OutputError), match=message):
        named(found("a.jpg", "b.jpg"), found("x.jpg", "y.jpg"), target)


def test_relative_paths_are_kept() -> None:
    sub = os.path.join("sub", "a.jpg")
    assert named(found("a.jpg", sub), found(os.path.join("old", "x.jpg")), "out") == [
        "out/a-old-x.png",
        "out/sub/a-old-x.png",
    ]


def test_two_inputs_of_one_name() -> None:
    """Their full names tell which is which; where they do not, digits that stay the same do."""
    photos = found("a.jpg", "a.png", "b.jpg")
    assert named(photos, found("x.jpg")) == [
        *("out/a.jpg-x.jpg.png", "out/a.png-x.jpg.png", "out/b-x.png")
    ]
    names = named(found("a-b.jpg", "a.jpg"), found("c.jpg", "b-c.jpg"))
    assert len(set(names)) == 4
    twins = Found((Input("one/a.jpg", "a.jpg"), Input("two/a.jpg", "a.jpg")))
    first, second = named(twins, found("x.jpg"))
    assert first != second
    assert named(twins, found("x.jpg")) == [first, second]
    assert named(Found(twins.pictures[::-1]), found("x.jpg")) == [second, first]
    one, other = named(found("x.jpg", "y.jpg"), twins, "{style}.png", pairing="zip")
    assert one != other


NAMES = st.text(st.sampled_from("aAäÄ.-+{}1 \n"), min_size=1, max_size=4).filter(
    lambda name: name.strip(".") == name
)


PICTURES = st.lists(st.tuples(NAMES, st.sampled_from((".jpg", ".png"))), min_size=1, unique=True)


@given(
    PICTURES,
    PICTURES,
    st.sampled_from(("out/", "out/{content}+{style}.png", "out/{style}{content}.tif")),
    st.booleans(),
)
def test_no_two_results_have_one_name(
    photos: list[tuple[str, str]], paintings: list[tuple[str, str]], target: str, twins: bool
) -> None:
    """Not even where a file system takes a for A, or paintings come from two folders."""
    styles = found(*map("".join, paintings))
    if twins:
        others = (Input(os.path.join("other", style.name), style.name) for style in styles.pictures)
        styles = Found((*styles.pictures, *others))
    contents = found(*map("".join, photos))
    names = named(contents, styles, target)
    assert len({name.casefold() for name in names}) == len(photos) * len(styles.pictures)
    assert all(os.path.dirname(name) == "out" for name in names)
    one = named(Found(contents.pictures[:1]), styles, "out/{style}.png")
    assert len({name.casefold() for name in one}) == len(styles.pictures)


def test_typed_twice_is_painted_once() -> None:
    touch("in/a.jpg", "styles/x.jpg")
    seen = folders.look(["in", "in/a.jpg", "./in/a.jpg"], False, "out")
    styles = folders.look(["styles/x.jpg", "styles"], False, "out")
    assert named(seen, styles) == ["out/a-x.png"]
