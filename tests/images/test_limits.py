"""What a picture may cost: files within the limit of pixels that take gigabytes or minutes."""

import io
import os
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from stylize import PictureError
from stylize.images import decode
from stylize.images.picture import PictureFile, load_picture


def noise(*shape: int) -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def tiff(pixels: NDArray[Any], photometric: str = "rgb", **settings: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric=photometric, metadata=None, **settings)
    return file.getvalue()


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures may have 10,000 pixels, and so take 80 kB."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize(
    ("type", "side", "settings"),
    [
        ("f8", 90, {}),
        ("f8", 90, {"tile": (16, 16)}),
        ("f8", 64, {"tile": (256, 256)}),
        ("u1", 64, {"tile": (256, 256)}),
        ("u1", 64, {"tile": (256, 256), "compression": "jpegxl"}),
        ("u2", 64, {"tile": (256, 256), "planarconfig": "separate"}),
    ],
    ids=str,
)
def test_a_tiff_that_takes_far_more_than_its_pixels_is_refused(
    type: str, side: int, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its header: nothing is decoded."""
    pixels = np.zeros((side, side, 3), type)
    if settings.get("planarconfig") == "separate":
        pixels = np.moveaxis(pixels, 2, 0)
    data = tiff(pixels, **{"compression": "zlib", **settings})
    monkeypatch.setattr(tifffile.TiffPage, "asarray", lambda *_, **__: pytest.fail("decoded"))
    monkeypatch.setattr(decode, "_decode_by_pillow", lambda *_: pytest.fail("decoded"))
    with pytest.raises(PictureError, match=r"^picture: would take more than 0 MB to decode"):
        load_picture(io.BytesIO(data))


def test_a_picture_of_the_usual_tiles_is_read() -> None:
    for settings in ({"tile": (512, 512)}, {"tile": (256, 256), "compression": "zlib"}, {}):
        pixels = noise(70, 40, 3)
        assert np.array_equal(load_picture(io.BytesIO(tiff(pixels, **settings))).pixels, pixels)


@pytest.mark.parametrize(
    "data",
    [
        tiff(noise(1500, 1500, 4), "separated"),
        tiff(noise(1500, 1500, 4).astype("u2") * 257, "separated"),
        tiff(noise(1500, 1500, 3).astype("f8")),
        tiff(noise(1500, 1500, 4).astype("u2"), extrasamples=["assocalpha"]),
    ],
    ids=["CMYK", "CMYK of 16 bits", "float64", "premultiplied"],
)
def test_decoding_takes_little_memory_beside_the_samples(data: bytes) -> None:
    """The file and its samples are in memory, and the picture; not what lies between."""
    tracemalloc.start()
    pixels = load_picture(io.BytesIO(data)).pixels
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * len(data) + 3 * pixels.nbytes + 60 * decode._BAND


def jpeg(scans: int = 0, size: tuple[int, int] = (48, 32)) -> bytes:
    """A progressive JPEG, with its last scan so many times more."""
    file = io.BytesIO()
    Image.fromarray(noise(*size[::-1], 3)).save(file, "JPEG", progressive=True)
    parts = re.split(rb"(?=\xff\xda)", file.getvalue())
    return b"".join(parts[:-1]) + parts[-1][:-2] * (scans + 1) + b"\xff\xd9"


def jpeg_in_tiff(scans: int) -> bytes:
    """A TIFF with one strip, which is a JPEG."""
    data = jpeg(scans)
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(
            iter([data]), shape=(32, 48, 3), dtype="u1", photometric="ycbcr", compression="jpeg"
        )
    return file.getvalue()


@pytest.mark.parametrize("make", [jpeg, jpeg_in_tiff])
def test_a_jpeg_of_many_scans_is_refused(make: Any) -> None:
    assert load_picture(io.BytesIO(make(0))).size == (48, 32)
    assert load_picture(io.BytesIO(make(20))).size == (48, 32)
    for side in (None, 20):
        with pytest.raises(PictureError, match=r"^picture: a JPEG of more than 50 scans; save it"):
            load_picture(io.BytesIO(make(60)), side=side)


def test_what_looks_like_a_scan_elsewhere_in_a_jpeg_does_not_count() -> None:
    """In its metadata, as in a preview; and after its end, where phones append films."""
    exif = b"Exif\0\0" + b"\xff\xda\0\x03x" * 100
    file = io.BytesIO()
    Image.fromarray(noise(32, 48, 3)).save(file, "JPEG", exif=exif, comment=b"\xff\xda" * 100)
    assert load_picture(io.BytesIO(file.getvalue() + b"\xff\xda\0\x03x" * 1000)).size == (48, 32)


@pytest.mark.usefixtures("small_limit")
def test_a_file_larger_than_any_picture_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(noise(20, 20, 3)).save(path)
    with path.open("ab") as file:
        file.truncate(2**40 if os.name != "nt" else 80_001)  # with a hole, which takes no room
    match = "larger than 0 MB; save it as JPEG or PNG first"
    with pytest.raises(PictureError, match=match):
        load_picture(path)
    with pytest.raises(PictureError, match=match):
        PictureFile.read(str(path))
    with pytest.raises(PictureError, match=match), path.open("rb") as file:
        load_picture(file)
    with path.open("ab") as file:
        file.truncate(80_000)
    assert load_picture(path).size == (20, 20)


def test_without_pillows_limit_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert load_picture(io.BytesIO(tiff(noise(30, 40, 3).astype("f8")))).size == (40, 30)
