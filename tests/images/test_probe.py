"""What is known of picture files without their pixels."""

import hashlib
import os
import sys
from pathlib import Path

import pytest
import tifffile
from PIL import Image

from stylize import PictureError
from stylize import files as on_disk
from stylize.images import picture as images
from stylize.images import probe as files


def test_digest(tmp_path: Path) -> None:
    """That of the picture which is loaded; "" for what cannot be read, or only once."""
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 3), "red").save(path)
    first = on_disk.digest(path)
    assert first == hashlib.sha256(path.read_bytes()).hexdigest() == images.load(path).digest
    Image.new("RGB", (4, 3), "blue").save(path)
    assert on_disk.digest(path) != first
    assert (
        on_disk.digest(tmp_path / "none") == on_disk.digest(tmp_path) == on_disk.digest("\0") == ""
    )
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
        assert on_disk.digest(tmp_path / "pipe") == ""


@pytest.mark.parametrize("turned", range(1, 9))
def test_size_is_that_of_the_picture(turned: int, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = turned
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    assert files.size_of(path) == images.load(path).size == ((30, 40) if turned > 4 else (40, 30))


def test_size_where_pillow_cannot_tell(tmp_path: Path) -> None:
    import numpy as np

    path = tmp_path / "a.tif"
    pixels = np.zeros((30, 40, 3), np.float32)
    tifffile.imwrite(path, pixels.astype(np.uint16), photometric="rgb", compression="zstd")
    assert files.size_of(path) == (40, 30)
    (tmp_path / "b.jpg").write_text("Dear diary")
    with pytest.raises(PictureError, match=r"b\.jpg: not a picture"):
        files.size_of(tmp_path / "b.jpg")
