"""Writing pictures: every format, refused outputs, and files that are complete or unchanged."""

import io
import os
import stat
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from stylize import OptionError, Options, OutputError, PictureError, files
from stylize.images import encode
from stylize.images.picture import load_picture
from stylize.settings.options import FORMATS


def pixels_of(path: str) -> "np.ndarray[Any, Any]":
    """Return a picture as floats in [0, 1]."""
    return load_picture(path).pixels / np.float32(255)


def test_every_format_has_an_encoder() -> None:
    assert set(encode.ENCODERS) == set(FORMATS)


def test_a_format_without_an_encoder_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "bmp", (".bmp",))
    assert encode.format_of("a.bmp") == "bmp"
    for use in (
        lambda: encode.encode(np.zeros((2, 2, 3)), "bmp", Options()),
        lambda: encode.check_format("bmp"),
        lambda: encode.check_output("a.bmp"),
    ):
        with pytest.raises(NotImplementedError, match="bmp: no encoder"):
            use()


def test_sixteen_bits_are_refused_in_every_format_but_tiff() -> None:
    pixels = np.zeros((2, 2, 3))
    for format in set(FORMATS) - {"tiff"}:
        with pytest.raises(OptionError, match=f"--depth 16: {format} is written in 8 bits"):
            encode.encode(pixels, format, Options(depth=16))


@pytest.mark.parametrize("suffix", [s for suffixes in FORMATS.values() for s in suffixes])
def test_every_format_is_written_and_read(suffix: str, tmp_path: Path, photo: str) -> None:
    pixels = pixels_of(photo)
    path = tmp_path / f"a{suffix.upper()}"
    encode.check_output(path, (pixels.shape[1], pixels.shape[0]))
    encode.save(pixels, path, Options())
    with Image.open(path) as image:
        assert image.format is not None
        assert image.format.lower() == encode.format_of(path)
        difference = np.abs(np.asarray(image.convert("RGB")) - 255 * pixels).mean()
        assert difference < (1e-4 if suffix in (".png", ".tif", ".tiff") else 2.5)
    assert os.listdir(tmp_path) == [path.name], "no other file is left behind"


def test_a_jpeg_has_colour_at_full_resolution(tmp_path: Path) -> None:
    from PIL import JpegImagePlugin

    encode.save(np.full((32, 32, 3), [1.0, 0, 0]), tmp_path / "a.jpg", Options())
    with Image.open(tmp_path / "a.jpg") as image:
        assert JpegImagePlugin.get_sampling(image) == 0  # 4:4:4


def test_a_higher_quality_gives_a_larger_file(photo: str) -> None:
    pixels = pixels_of(photo)
    for format in ("jpeg", "webp", "avif"):
        low, high = (encode.encode(pixels, format, Options(jpeg_quality=q)) for q in (30, 95))
        assert len(low) < len(high)


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "tiff, 16 bits"])
def test_the_dots_per_inch_are_written(format: str) -> None:
    pixels = np.full((9, 12, 3), 0.5)
    format, _, deep = format.partition(", ")
    options = Options(depth=16 if deep else 8)
    for changes, expected in (
        ({"dpi": 200}, 200),
        ({"size": "30cm"}, 300),
        ({"size": "30cm", "dpi": 150}, 150),
        ({}, None),
    ):
        data = encode.encode(pixels, format, options.replace(**changes))
        with Image.open(io.BytesIO(data)) as image:
            written = image.info.get("dpi")
        if expected:
            assert written == pytest.approx((expected, expected), rel=1e-3)
        else:
            assert written in (None, (1, 1)), "no density"


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff"])
def test_the_photo_s_exif_does_not_contradict_the_dots_per_inch(format: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = 72
    exif[ExifTags.Base.Model] = "Camera"
    pixels = np.full((9, 12, 3), 0.5)
    for dpi, expected in ((300, 300), ("auto", 72)):
        options = Options(dpi=dpi, keep_exif=True)
        data = encode.encode(pixels, format, options, exif=exif.tobytes())
        with Image.open(io.BytesIO(data)) as image:
            written = image.getexif()
            assert written[ExifTags.Base.XResolution] == expected
            assert written[ExifTags.Base.Model] == "Camera"
            assert dpi == "auto" or image.info["dpi"] == pytest.approx((300, 300), rel=1e-3)


def test_the_same_picture_gives_the_same_bytes(photo: str) -> None:
    pixels = pixels_of(photo)
    for format in FORMATS:
        assert encode.encode(pixels, format, Options()) == encode.encode(pixels, format, Options())


def test_an_unwritable_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for path, match in (
        (tmp_path / "a.gif", "unknown suffix '.gif'; use one of .png"),
        (tmp_path / "a", "a: no suffix; use one of .png"),
        (tmp_path / "none" / "a.png", "no folder .*none; make it first"),
        (tmp_path / "folder.png", "is a folder"),
        (tmp_path / ("a" * 300 + ".png"), "cannot be written"),
    ):
        with pytest.raises(OutputError, match=match):
            encode.check_output(path)
    assert os.listdir(tmp_path) == ["folder.png"]


@pytest.mark.parametrize(("suffix", "side"), [(".webp", 16384), (".jpg", 65501), (".avif", 32769)])
def test_a_size_that_the_format_cannot_hold_is_refused(
    suffix: str, side: int, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match=f"{side - 1} pixels a side at most"):
        encode.check_output(tmp_path / f"a{suffix}", (side, 10))
    encode.check_output(tmp_path / f"a{suffix}", (side - 1, 10))


def test_a_pipe_or_an_invalid_path_is_refused(tmp_path: Path, photo: str) -> None:
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo")
        (tmp_path / "link.png").symlink_to("fifo")
        with pytest.raises(OutputError, match="is not a regular file"):
            encode.check_output(tmp_path / "link.png")
    with pytest.raises(OutputError, match="cannot be written"):
        encode.check_output("a\0.png")


def test_missing_permission_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.png").touch()
    monkeypatch.setattr(os, "open", raise_denied)
    with pytest.raises(OutputError, match=r"a\.png: cannot be written \(Permission denied\)"):
        encode.check_output(tmp_path / "a.png")
    with pytest.raises(PictureError, match=r"a\.png: cannot be read \(Permission denied\)"):
        load_picture(tmp_path / "a.png")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: str
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def raise_disk_full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", raise_disk_full)
    with pytest.raises(OutputError, match=r"a\.png: cannot be written \(No space left"):
        encode.save(pixels_of(photo), path, Options())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege, and file modes differ")
def test_links_are_followed_and_file_modes_are_preserved(tmp_path: Path, photo: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "real" / "a.png")
    encode.save(pixels_of(photo), tmp_path / "link.png", Options())
    assert (tmp_path / "link.png").is_symlink()
    (tmp_path / "plain").touch()
    default_mode = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "real" / "a.png").stat().st_mode) == default_mode
    (tmp_path / "real" / "a.png").chmod(0o600)
    encode.save(pixels_of(photo), tmp_path / "link.png", Options())
    mode = stat.S_IMODE((tmp_path / "real" / "a.png").stat().st_mode)
    assert mode == 0o600, "a replaced file gives its mode to the new one"


def test_a_temporary_file_that_another_run_deletes_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that has the lock for that name takes it for the remains of a killed run."""
    replace = os.replace
    parts: list[str] = []

    def delete_first_part(part: str, target: str, **folders: Any) -> None:
        parts.append(part)
        if len(parts) == 1:
            (tmp_path / part).unlink()
        replace(part, target, **folders)

    monkeypatch.setattr(os, "replace", delete_first_part)
    files.write(tmp_path / "a.png", b"data")
    assert len(set(parts)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"data"
