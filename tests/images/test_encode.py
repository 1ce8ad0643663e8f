"""Pictures out: formats, and whole files or none."""

import os
import stat
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stylize import Options, OutputError, PictureError
from stylize import files as writing
from stylize.images import encode as output
from stylize.images import picture as images
from stylize.settings.options import FORMATS


def pixels_of(path: str) -> "np.ndarray[Any, Any]":
    return images.load(path).pixels / np.float32(255)


@pytest.mark.parametrize("suffix", [s for suffixes in FORMATS.values() for s in suffixes])
def test_every_format_is_written_and_read(suffix: str, tmp_path: Path, photo: str) -> None:
    pixels = pixels_of(photo)
    path = tmp_path / f"a{suffix.upper()}"
    output.check_output(path, (pixels.shape[1], pixels.shape[0]))
    output.save(pixels, path, Options())
    with Image.open(path) as again:
        assert again.format is not None
        assert again.format.lower() == output.format_of(path)
        apart = np.abs(np.asarray(again.convert("RGB")) - 255 * pixels).mean()
        assert apart < (1e-4 if suffix in (".png", ".tif", ".tiff") else 2.5)
    assert os.listdir(tmp_path) == [path.name], "nothing else is left"


def test_jpeg_keeps_colour_at_full_resolution(tmp_path: Path) -> None:
    from PIL import JpegImagePlugin

    output.save(np.full((32, 32, 3), [1.0, 0, 0]), tmp_path / "a.jpg", Options())
    with Image.open(tmp_path / "a.jpg") as image:
        assert JpegImagePlugin.get_sampling(image) == 0  # 4:4:4


def test_quality(photo: str) -> None:
    pixels = pixels_of(photo)
    for format in ("jpeg", "webp", "avif"):
        low, high = (output.encode(pixels, format, Options(jpeg_quality=q)) for q in (30, 95))
        assert len(low) < len(high)


def test_same_picture_same_bytes(photo: str) -> None:
    pixels = pixels_of(photo)
    for format in FORMATS:
        assert output.encode(pixels, format, Options()) == output.encode(pixels, format, Options())


def test_unwritable_outputs(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for path, match in (
        (tmp_path / "a.gif", "unknown suffix '.gif'; use one of .png"),
        (tmp_path / "a", "unknown suffix ''"),
        (tmp_path / "none" / "a.png", "no folder .*none; make it first"),
        (tmp_path / "folder.png", "is a folder"),
        (tmp_path / ("a" * 300 + ".png"), "cannot be written"),
    ):
        with pytest.raises(OutputError, match=match):
            output.check_output(path)
    assert os.listdir(tmp_path) == ["folder.png"]


@pytest.mark.parametrize(("suffix", "side"), [(".webp", 16384), (".jpg", 65501)])
def test_a_size_that_the_format_cannot_hold(suffix: str, side: int, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"{side - 1} pixels a side at most"):
        output.check_output(tmp_path / f"a{suffix}", (side, 10))
    output.check_output(tmp_path / f"a{suffix}", (side - 1, 10))


def test_only_ordinary_files_are_replaced(tmp_path: Path, photo: str) -> None:
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo")
        (tmp_path / "link.png").symlink_to("fifo")
        with pytest.raises(OutputError, match="is no ordinary file"):
            output.check_output(tmp_path / "link.png")
    with pytest.raises(OutputError, match="cannot be written"):
        output.check_output("a\0.png")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(OutputError, match=r"a\.png: cannot be written \(Permission denied\)"):
        output.check_output(tmp_path / "a.png")
    with pytest.raises(PictureError, match=r"a\.png: cannot be read \(Permission denied\)"):
        images.load(tmp_path / "a.png")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: str
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match=r"a\.png: cannot be written \(No space left"):
        output.save(pixels_of(photo), path, Options())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege, rights differ")
def test_links_are_followed_and_rights_are_the_usual_ones(tmp_path: Path, photo: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "real" / "a.png")
    output.save(pixels_of(photo), tmp_path / "link.png", Options())
    assert (tmp_path / "link.png").is_symlink()
    (tmp_path / "plain").touch()
    usual = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "real" / "a.png").stat().st_mode) == usual
    (tmp_path / "real" / "a.png").chmod(0o600)
    output.save(pixels_of(photo), tmp_path / "link.png", Options())
    assert stat.S_IMODE((tmp_path / "real" / "a.png").stat().st_mode) == 0o600, "kept when replaced"


def test_a_file_that_is_cleared_away_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a run that holds the lock of that name, and takes it for a killed run's."""
    replace = os.replace
    tried: list[Path] = []

    def once_too_late(part: Path, target: Path) -> None:
        tried.append(part)
        if len(tried) == 1:
            part.unlink()
        replace(part, target)

    monkeypatch.setattr(os, "replace", once_too_late)
    writing.write(tmp_path / "a.png", b"data")
    assert len(set(tried)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"data"
