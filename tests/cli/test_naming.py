"""The names of results: as the pattern says, and never the same twice."""

import os
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from stylize import Options
from stylize.cli.naming import Input, name_results


def inputs(*names: str, folder: str = "in") -> list[Input]:
    return [Input(os.path.join(folder, name), name) for name in names]


def names(
    contents: Sequence[Input],
    styles: Sequence[Input],
    pattern: str = "{content}-{style}.png",
    **options: object,
) -> list[str]:
    """The names of the results for each content image with each style image."""
    pairs = [(content, (style,)) for style in styles for content in contents]
    return name_results(pairs, pattern, Options(**options))


def test_fields_in_braces_are_replaced() -> None:
    """Names that contain braces, and braces around other words, stay as they are."""
    pattern = "out/{size}/{seed}/{style}/{content}{odd}.jpg"
    assert names(inputs("{size}.jpg"), inputs("x.y.jpg"), pattern, size=64, seed=3) == [
        "out/64/3/x.y/{size}{odd}.jpg"
    ]
    assert names(inputs("a.jpg"), inputs("x.jpg"), "{content}.jpg") == ["a.jpg"]


def test_several_styles_of_one_picture_are_joined() -> None:
    content, *styles = inputs("a.jpg", "x.jpg", "y.jpg")
    pair = content, tuple(styles)
    assert name_results([pair], "{content}-{style}.png", Options()) == ["a-x+y.png"]


def test_subfolders_of_contents_are_kept_and_those_of_styles_are_joined_by_dashes() -> None:
    contents = inputs("a.jpg", os.path.join("sub", "a.jpg"))
    styles = inputs(os.path.join("old", "x.jpg"))
    assert names(contents, styles) == ["a-old-x.png", os.path.join("sub", "a-old-x.png")]


def test_equal_names_get_the_suffixes_of_their_inputs() -> None:
    assert names(inputs("a.jpg", "a.png", "b.jpg"), inputs("x.jpg")) == [
        *("a.jpg-x.jpg.png", "a.png-x.jpg.png", "b-x.png")
    ]
    assert len(set(names(inputs("a-b.jpg", "a.jpg"), inputs("c.jpg", "b-c.jpg")))) == 4


def test_names_that_are_still_equal_get_digits_that_depend_on_the_paths_alone() -> None:
    twins = [*inputs("a.jpg", folder="one"), *inputs("a.jpg", folder="two")]
    first, second = names(twins, inputs("x.jpg"))
    assert first != second
    assert names(twins, inputs("x.jpg")) == [first, second]
    assert names(twins[::-1], inputs("x.jpg")) == [second, first]
    pairs = [(content, (style,)) for content, style in zip(inputs("x", "y"), twins, strict=True)]
    assert len(set(name_results(pairs, "{style}.png", Options()))) == 2


STEMS = st.text(st.sampled_from("aAäÄ.-+{}1 \n"), min_size=1, max_size=4).filter(
    lambda name: name.strip(".") == name
)
PICTURES = st.lists(st.tuples(STEMS, st.sampled_from((".jpg", ".png"))), min_size=1, unique=True)
PATTERNS = ("out/{content}-{style}.png", "out/{content}+{style}.png", "out/{style}{content}.tif")


@settings(deadline=None)
@given(PICTURES, PICTURES, st.sampled_from(PATTERNS), st.booleans())
def test_no_two_results_have_one_name(
    contents: list[tuple[str, str]], styles: list[tuple[str, str]], pattern: str, twins: bool
) -> None:
    """Also if a file system ignores case, or if style images come from two folders."""
    content_images = inputs(*map("".join, contents))
    style_images = inputs(*map("".join, styles))
    if twins:
        style_images += inputs(*map("".join, styles), folder="other")
    results = names(content_images, style_images, pattern)
    folded = {name.casefold() for name in results}
    assert len(folded) == len(content_images) * len(style_images)
    assert all(os.path.dirname(name) == "out" for name in results)
    of_one = names(content_images[:1], style_images, "out/{style}.png")
    assert len({name.casefold() for name in of_one}) == len(style_images)
