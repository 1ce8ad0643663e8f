"""Pictures are opened by a list of formats: no picture starts another program."""

import ast
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from PIL import EpsImagePlugin, Image

from stylize import PictureError
from stylize.images.picture import load_mask, load_picture
from stylize.images.probe import SUFFIXES, is_complete, picture_size
from stylize.settings.options import READABLE
from stylize.settings.recipe import read_recipe

READERS: dict[str, Callable[[Path], Any]] = {
    "picture": load_picture,
    "open file": lambda path: load_picture(io.BytesIO(path.read_bytes())),
    "mask": load_mask,
    "thumbnail": lambda path: load_picture(path, side=20),
    "recipe": read_recipe,
    "size": picture_size,
    "completeness": is_complete,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".eps"])
def test_postscript_starts_no_program(
    reader: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args: started.append(args))
    path = tmp_path / f"photo{suffix}"
    Image.new("RGB", (32, 32), "teal").save(path, "EPS")
    with suppress(PictureError):
        opened = READERS[reader](path)
        assert reader == "completeness", "it is no picture that can be read"
        assert not opened
    assert not started


def test_every_picture_is_opened_by_the_list_of_formats() -> None:
    calls = [
        node
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open"
    ]
    assert len(calls) >= 5
    for call in calls:
        assert [ast.unparse(keyword) for keyword in call.keywords] == ["formats=READABLE"]


def test_the_list_has_a_format_for_every_suffix_that_can_be_read() -> None:
    Image.init()
    assert set(READABLE) <= set(Image.OPEN)
    by_suffix = Image.registered_extensions()
    known = {by_suffix[suffix] for suffix in SUFFIXES if suffix not in (".heic", ".heif")}
    assert known == set(READABLE)


def test_a_jpeg_of_several_pictures_gives_the_first(tmp_path: Path) -> None:
    """As many phones make them. Pillow reads them as JPEG."""
    first = Image.new("RGB", (32, 24), "teal")
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    assert load_picture(tmp_path / "a.jpg").size == picture_size(tmp_path / "a.jpg") == (32, 24)
