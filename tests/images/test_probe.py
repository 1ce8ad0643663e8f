"""Facts about picture files that need no pixels: digest and size."""

import hashlib
import os
import sys
from pathlib import Path

import pytest
import tifffile
from PIL import Image

from stylize import PictureError, files
from stylize.images import probe
from stylize.images.picture import load_picture


def test_the_digest_of_a_file_is_that_of_the_loaded_picture(tmp_path: Path) -> None:
    """It is "" for a path that cannot be read, or can be read only once."""
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 3), "red").save(path)
    first = files.digest(path)
    assert first == hashlib.sha256(path.read_bytes()).hexdigest() == load_picture(path).digest
    Image.new("RGB", (4, 3), "blue").save(path)
    assert files.digest(path) != first
    assert files.digest(tmp_path / "none") == files.digest(tmp_path) == files.digest("\0") == ""
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
        assert files.digest(tmp_path / "pipe") == ""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_loaded_picture(orientation: int, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    upright_size = (30, 40) if orientation > 4 else (40, 30)
    assert probe.picture_size(path) == load_picture(path).size == upright_size


def test_the_size_of_a_file_that_pillow_cannot_read(tmp_path: Path) -> None:
    import numpy as np

    path = tmp_path / "a.tif"
    pixels = np.zeros((30, 40, 3), np.float32)
    tifffile.imwrite(path, pixels.astype(np.uint16), photometric="rgb", compression="zstd")
    assert probe.picture_size(path) == (40, 30)
    (tmp_path / "b.jpg").write_text("Dear diary")
    with pytest.raises(PictureError, match=r"b\.jpg: not a picture"):
        probe.picture_size(tmp_path / "b.jpg")
