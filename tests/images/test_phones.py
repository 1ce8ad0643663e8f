"""Photos as phones and cameras store them: HEIC, AVIF, several pictures in a file, raw photos."""

import io
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image

from stylize import PictureError
from stylize.images.decode import decode
from stylize.images.picture import load_picture
from stylize.images.probe import is_complete, picture_size

pillow_heif.register_heif_opener()

#: Settings with which a HEIF keeps its colours to a level or two.
EXACT: dict[str, Any] = {"quality": 100, "chroma": "444"}
#: A photo of four colours.
CORNERS = Image.new("RGB", (64, 48), "white")
CORNERS.paste("red", (0, 0, 32, 24))
CORNERS.paste("lime", (32, 0, 64, 24))
CORNERS.paste("blue", (0, 24, 32, 48))


def saved(image: Image.Image, format: str = "HEIF", **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **({**EXACT, **settings} if format == "HEIF" else settings))
    return buffer.getvalue()


def read(data: bytes) -> NDArray[Any]:
    return decode(data).pixels


def difference(pixels: NDArray[Any], expected: Any) -> int:
    return int(abs(pixels.astype(int) - np.asarray(expected).astype(int)).max())


# HEIF


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_heif_is_turned_upright_once(orientation: int, tmp_path: Path) -> None:
    """It says its orientation twice, of which EXIF's does not count."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Make] = orientation, "Phone"
    path = tmp_path / "photo.HEIC"
    path.write_bytes(saved(CORNERS, exif=exif.tobytes()))
    reference = CORNERS.copy()
    reference.getexif()[ExifTags.Base.Orientation] = orientation
    picture = load_picture(path)
    assert difference(picture.pixels, decode(saved(reference, "TIFF", exif=exif)).pixels) <= 3
    assert picture_size(path) == picture.size
    assert is_complete(path)
    kept = Image.Exif()
    kept.load(picture.exif)
    assert kept[ExifTags.Base.Make] == "Phone"
    assert ExifTags.Base.Orientation not in kept
    assert max(load_picture(path, side=20).size) == 64


@pytest.mark.parametrize("twelve_bits", [False, True])
@pytest.mark.parametrize(("mode", "channels"), [("RGB;16", 3), ("RGBA;16", 4), ("I;16", 1)])
def test_a_heif_of_more_than_eight_bits_is_read_in_full(
    mode: str, channels: int, twelve_bits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", twelve_bits)
    levels = np.linspace(0, 65535, 64).astype(np.uint16)
    image = np.broadcast_to(levels[None, :, None], (48, 64, channels))
    buffer = io.BytesIO()
    pillow_heif.encode(mode, (64, 48), image.tobytes(), buffer, quality=-1, chroma=444)
    pixels = read(buffer.getvalue())
    assert pixels.dtype == np.uint16
    assert pixels.shape[2] == (4 if channels == 4 else 3)
    step = 65535 / (4095 if twelve_bits else 1023)
    assert difference(pixels, image) <= 2 * step
    assert pixels[..., 0].max() == 65535
    assert len(np.unique(pixels[..., 0])) == 64


def test_transparency_and_grey_of_a_heif_are_preserved() -> None:
    image = CORNERS.copy()
    image.putalpha(90)
    assert difference(read(saved(image)), image) <= 3
    grey = CORNERS.convert("L")
    assert difference(read(saved(grey)), grey.convert("RGB")) <= 2


def profile_of(primaries: list[float]) -> bytes:
    """A profile with the curve of sRGB."""
    curve = np.linspace(0, 1, 4096)
    curve = np.where(curve <= 0.04045, curve / 12.92, ((curve + 0.055) / 1.055) ** 2.4)
    return imagecodecs.cms_profile(
        "rgb",
        whitepoint=[0.3127, 0.329, 1],
        primaries=primaries,
        transferfunction=curve.astype(np.float32),
    )


P3 = profile_of([0.680, 0.320, 1, 0.265, 0.690, 1, 0.150, 0.060, 1])
COLOUR = (200, 100, 60)


def in_p3() -> NDArray[Any]:
    return read(saved(Image.new("RGB", (64, 48), COLOUR), "PNG", icc_profile=P3))


def test_the_profile_of_a_heif_is_applied() -> None:
    image = Image.new("RGB", (64, 48), COLOUR)
    assert difference(in_p3(), image) > 10
    assert difference(read(saved(image, icc_profile=P3)), in_p3()) <= 3


def numbered(primaries: int, curve: int, color: Any = COLOUR) -> bytes:
    return saved(
        Image.new("RGB", (64, 48), color),
        color_primaries=primaries,
        transfer_characteristics=curve,
        matrix_coefficients=6,
        full_range_flag=1,
    )


def test_colours_of_a_heif_may_have_a_number() -> None:
    assert difference(read(numbered(12, 13)), in_p3()) <= 3
    assert difference(read(numbered(1, 13)), [[COLOUR]]) <= 2
    opened = Image.open(io.BytesIO(numbered(12, 13)))
    assert difference(load_picture(opened).pixels, in_p3()) <= 3
    assert "icc_profile" not in opened.info


@pytest.mark.parametrize(
    ("curve", "signal", "expected"),
    [
        (16, 0, 0),
        (16, 77, 63),  # 0.302: 10 cd/m2
        (16, 130, 187),  # 0.508: 100 cd/m2
        (16, 148, 255),  # 0.58: the 203 cd/m2 of white paper
        (16, 255, 255),
        (18, 0, 0),
        (18, 128, 137),
        (18, 191, 255),  # 0.75: white
        (18, 255, 255),
    ],
)
def test_a_high_dynamic_range_is_reduced_to_what_paper_shows(
    curve: int, signal: int, expected: int
) -> None:
    pixels = read(numbered(1, curve, (signal,) * 3))
    assert difference(pixels, [[[expected] * 3]]) <= 4


def test_the_main_one_of_several_pictures_is_read(tmp_path: Path) -> None:
    """As in a burst. A photo's thumbnails are not taken for it either."""
    others = [Image.new("RGB", (40, 30), "teal"), Image.new("RGB", (100, 80), "red")]
    data = saved(CORNERS, save_all=True, append_images=others, primary_index=1, thumbnails=[16])
    (tmp_path / "burst.heic").write_bytes(data)
    assert load_picture(tmp_path / "burst.heic").size == (40, 30)
    assert picture_size(tmp_path / "burst.heic") == (40, 30)


@pytest.mark.parametrize(
    "kind", [b"urn:mpeg:hevc:2015:auxid:2", b"urn:com:apple:photo:gainmp"], ids=["depth", "other"]
)
def test_pictures_about_a_photo_are_left_out(kind: bytes) -> None:
    """Depth maps, gain maps and mattes. This makes one of the only such picture that is written."""
    image = CORNERS.copy()
    image.putalpha(0)
    alpha = re.compile(b"urn:mpeg:hevc:2015:auxid:1")
    data = saved(image)
    assert len(alpha.findall(data)) == 1
    pixels = read(alpha.sub(kind, data))
    assert pixels.shape[2] == 3
    assert difference(pixels, CORNERS) <= 3


@pytest.mark.parametrize("tile", [0, 64])
def test_a_heif_that_is_cut_short_is_refused(tile: int, tmp_path: Path) -> None:
    noise = Image.effect_noise((160, 130), 60).convert("RGB")
    data = saved(noise, tile_size=tile, quality=60)
    (tmp_path / "whole.heic").write_bytes(data)
    assert load_picture(tmp_path / "whole.heic").size == (160, 130)
    for length in (len(data) - 1, len(data) * 2 // 3, 300, 40, 20):
        (tmp_path / "cut.heic").write_bytes(data[:length])
        with pytest.raises(PictureError, match=r"cut\.heic: (damaged or cut short|not a picture)"):
            load_picture(tmp_path / "cut.heic")
        assert not is_complete(tmp_path / "cut.heic")


# AVIF


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_avif_of_more_than_eight_bits_is_read_in_full(bits: int, channels: int) -> None:
    levels = np.linspace(0, 2**bits - 1, 64).astype(np.uint16)
    image = np.broadcast_to(levels[None, :, None], (48, 64, channels)).squeeze()
    data = imagecodecs.avif_encode(image, level=100, bitspersample=bits)
    pixels = read(data)
    assert pixels.dtype == np.uint16
    expected = np.rint(levels * (65535 / (2**bits - 1)))
    assert difference(pixels[..., 0], expected[None]) <= 2 * 65535 / 2**bits
    assert len(np.unique(pixels[..., 0])) == 64


def test_a_deep_avif_is_turned_upright_and_its_numbered_colours_are_converted() -> None:
    image = np.full((48, 64, 3), np.array(COLOUR) * 1023 // 255, np.uint16)
    data = imagecodecs.avif_encode(image, level=100, bitspersample=10)
    start = data.index(b"colrnclx") + 8
    data = data[:start] + struct.pack(">HH", 12, 13) + data[start + 4 :]
    assert difference(read(data) // 257, in_p3()) <= 3
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    assert read(saved(CORNERS, "AVIF", exif=exif.tobytes())).shape == (64, 48, 3)


# JPEG


def motion_photo(image: Image.Image) -> bytes:
    """A JPEG with a film behind it."""
    return saved(image, "JPEG", quality=95) + b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 20


def with_gain_map(image: Image.Image) -> bytes:
    """A JPEG with another one behind it, which says how much brighter a screen may show it."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf hdrgm:Version="1.0"/></x:xmpmeta>'
    gain = Image.new("L", (16, 12), 200)
    return saved(image, "MPO", save_all=True, append_images=[gain], xmp=xmp, quality=95)


@pytest.mark.parametrize("make", [motion_photo, with_gain_map])
def test_what_is_behind_a_jpeg_is_left_out(
    make: Callable[[Image.Image], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(make(CORNERS))
    expected = read(saved(CORNERS, "JPEG", quality=95))
    assert difference(load_picture(path).pixels, expected) == 0
    assert picture_size(path) == CORNERS.size
    assert is_complete(path)
    assert load_picture(path, side=20).size == (32, 24)


# Raw photos

#: The light that the sensor sees in the left and the right half.
LIGHT = np.array([[0.5, 0.25, 0.125], [0.1, 0.2, 0.4]])


def dng(orientation: int = 1, thumbnail: bool = False) -> bytes:
    """A small photo as a sensor sees it: each pixel through a red, green or blue filter."""
    sensor = np.empty((64, 96), np.uint16)
    for half, (red, green, blue) in zip((slice(0, 48), slice(48, 96)), LIGHT, strict=True):
        part = sensor[:, half]
        part[::2, ::2], part[::2, 1::2] = red * 65535, green * 65535
        part[1::2, ::2], part[1::2, 1::2] = green * 65535, blue * 65535
    # XYZ to the camera's colours, which here are those of linear sRGB.
    matrix = [3240454, -1537139, -498531, -969266, 1876011, 41556, 55643, -204026, 1057225]
    about_camera: list[Any] = [
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50708, "s", 0, "Test", True),
        (274, "H", 1, orientation, True),
        (50721, "2i", 9, [n for value in matrix for n in (value, 1000000)], True),
        (50728, "2I", 3, [1] * 6, True),
        (50778, "H", 1, 21, True),
    ]
    about_filters: list[Any] = [
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, (0, 1, 1, 2), True),
    ]
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        first: dict[str, Any] = {"metadata": None, "software": False}
        if thumbnail:
            small = np.zeros((12, 18, 3), np.uint8)
            first |= {"photometric": "rgb", "subifds": 1, "subfiletype": 1}
            file.write(small, extratags=about_camera, **first)
            file.write(sensor, photometric="cfa", extratags=about_filters, metadata=None)
        else:
            tags = about_camera + about_filters
            file.write(sensor, photometric="cfa", extratags=tags, **first)
    return buffer.getvalue()


@pytest.mark.parametrize("thumbnail", [False, True])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_raw_photo_is_developed(orientation: int, thumbnail: bool, tmp_path: Path) -> None:
    pytest.importorskip("rawpy", exc_type=ImportError)
    path = tmp_path / "photo.dng"
    path.write_bytes(dng(orientation, thumbnail))
    picture = load_picture(path)
    assert picture.pixels.dtype == np.uint16
    assert picture.size == picture_size(path) == ((64, 96) if orientation == 6 else (96, 64))
    assert is_complete(path)
    left, right = {
        1: (np.s_[32, 20], np.s_[32, 76]),
        3: (np.s_[32, 76], np.s_[32, 20]),
        6: (np.s_[20, 32], np.s_[76, 32]),
    }[orientation]
    levels = picture.pixels[[left[0], right[0]], [left[1], right[1]]] / 65535
    light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    brighter = light[1, 2] / LIGHT[1, 2]  # LibRaw makes photos brighter until some parts are white
    assert np.allclose(light[1], LIGHT[1] * brighter, rtol=0.02)
    assert np.allclose(light[0], np.minimum(LIGHT[0] * brighter, 1), rtol=0.02)
    assert load_picture(path, side=20).size == picture.size


def test_a_raw_photo_is_refused_without_rawpy_instead_of_its_thumbnail_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rawpy", None)
    path = tmp_path / "photo.dng"
    path.write_bytes(dng(thumbnail=True))
    for reader in (load_picture, picture_size):
        with pytest.raises(PictureError, match=r'photo\.dng: is a raw photo.*stylize\[raw\]"'):
            reader(path)


@pytest.mark.parametrize(
    "beginning",
    [
        b"II*\0\x10\0\0\0CR\2\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
        b"IIU\0\x18\0\0\0",
    ],
    ids=["CR2", "CR3", "RAF", "ORF", "RW2"],
)
def test_damaged_raw_photos_are_known_as_such(beginning: bytes, tmp_path: Path) -> None:
    pytest.importorskip("rawpy", exc_type=ImportError)
    (tmp_path / "photo.raw").write_bytes(beginning + bytes(200))
    with pytest.raises(PictureError, match=r"photo\.raw: damaged or cut short"):
        load_picture(tmp_path / "photo.raw")


# What is no picture


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"%PDF-1.7\n" + bytes(500), "is a PDF, not a picture; save the page as PNG first"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', r"is a drawing \(SVG\).*export it as PNG"),
        (b'<?xml version="1.0"?>\n<!-- a -->\n<svg width="9"/>', r"is a drawing \(SVG\)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is PostScript"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "is a film, not a picture; save one frame"),
        (b"\xff\x0a\x10" + bytes(99), "is JPEG XL.*save it as JPEG or PNG"),
        (b"8BPS\0\1" + bytes(99), "is a Photoshop file"),
        (b"<html><body>", "not a picture in a format that stylize can read"),
        (b"", "not a picture but an empty file"),
        (b"my holidays\n", "not a picture but a text"),
        (b"\0\1\2", "not a picture in a format that stylize can read"),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(
    data: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes(data)
    for reader in (load_picture, picture_size):
        with pytest.raises(PictureError, match=rf"photo\.jpg: {message}"):
            reader(tmp_path / "photo.jpg")
