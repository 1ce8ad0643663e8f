"""Reading pictures: modes, arrays, damaged files, alpha, masks, resizing and tensors."""

import hashlib
import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import to_tensor
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from stylize import PictureError
from stylize.images import encode
from stylize.images.picture import (
    alpha_map,
    flatten,
    load_mask,
    load_picture,
    resize_map,
)

Gradient = Callable[[int, int], Image.Image]

#: The transposition that stores an upright picture in each EXIF orientation, by the EXIF standard.
ORIENTATIONS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def encoded(image: Image.Image, format: str, **settings: object) -> io.BytesIO:
    """Return a file that Pillow writes with these settings."""
    buffer = io.BytesIO()
    image.save(buffer, format, **settings)  # type: ignore[arg-type]
    buffer.seek(0)
    return buffer


def mean_difference(a: Image.Image, b: Image.Image) -> float:
    """Return the mean absolute difference in levels of 255."""
    assert (a.size, a.mode) == (b.size, b.mode)
    x, y = (np.asarray(i, dtype=float) for i in (a, b))
    return float(np.abs(x - y).mean())


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_picture_is_turned_upright_by_exif(orientation: int, gradient: Gradient) -> None:
    upright = gradient(40, 24)
    transposition = ORIENTATIONS[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = upright if transposition is None else upright.transpose(transposition)
    read = load_picture(encoded(turned, "PNG", exif=exif)).image
    assert mean_difference(read, upright) == 0


def test_orientation_is_read_although_another_tag_is_broken(gradient: Gradient) -> None:
    # Two tags: a width of a single byte, which violates the standard, and orientation 6.
    tags = struct.pack("<HHIHH HHIHH", 0x0100, 1, 1, 1, 0, 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + tags + b"\0\0\0\0"
    turned = gradient(40, 24).transpose(Image.Transpose.ROTATE_90)
    read = load_picture(encoded(turned, "PNG", exif=exif)).image
    assert mean_difference(read, gradient(40, 24)) == 0
    assert load_picture(encoded(turned, "PNG", exif=b"Exif\0\0nothing")).image.size == (24, 40)


def modes(rgb: Image.Image) -> dict[str, tuple[Image.Image, Image.Image, float]]:
    """Return by mode: a picture in that mode, the RGB picture it shows, and the largest error."""
    grey = rgb.convert("L")
    grey_rgb = grey.convert("RGB")
    alpha = Image.linear_gradient("L").resize(rgb.size)
    white = Image.new("RGB", rgb.size, "white")
    over_white = Image.composite(rgb, white, alpha)
    grey_over_white = Image.composite(grey_rgb, white, alpha)
    levels = np.asarray(grey)
    lab = ImageCms.profileToProfile(
        rgb, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    rgba, la = rgb.copy(), grey.copy()
    rgba.putalpha(alpha)
    la.putalpha(alpha)
    return {
        "RGB": (rgb, rgb, 0),
        "L": (grey, grey_rgb, 0),
        "1": (grey.convert("1"), grey.convert("1").convert("RGB"), 0),
        "P": (rgb.convert("P"), rgb.convert("P").convert("RGB"), 0),
        "RGBA": (rgba, over_white, 0.6),
        "RGBa": (rgba.convert("RGBa"), over_white, 3),
        "LA": (la, grey_over_white, 0.6),
        "PA": (rgba.convert("PA"), over_white, 12),
        "RGBX": (rgb.convert("RGBX"), rgb, 0),
        "CMYK": (rgb.convert("CMYK"), rgb, 1),
        "YCbCr": (rgb.convert("YCbCr"), rgb, 2),
        "HSV": (rgb.convert("HSV"), rgb, 3),
        "LAB": (lab, rgb, 2),
        "I;16": (Image.fromarray(levels.astype(np.uint16) * 257), grey_rgb, 0),
        "I": (Image.fromarray(levels.astype(np.int32) * 257), grey_rgb, 0),
        "I of 8 bits": (Image.fromarray(levels.astype(np.int32)), grey_rgb, 0),
        "F of 0..1": (Image.fromarray(levels.astype(np.float32) / 255), grey_rgb, 0),
        "F of 0..255": (Image.fromarray(levels.astype(np.float32)), grey_rgb, 0),
    }


def test_any_mode_is_read_as_rgb(gradient: Gradient) -> None:
    for name, (image, expected, error) in modes(gradient(64, 48)).items():
        read = load_picture(image)
        assert read.transparent == (name in ("RGBA", "RGBa", "LA", "PA")), name
        assert flatten(read, None).image.mode == "RGB", name
        assert mean_difference(flatten(read, "#ffffff").image, expected) <= error, name
        if read.transparent:
            assert np.array_equal(
                read.pixels[..., 3], np.asarray(image.getchannel(image.getbands()[-1]))
            ), name


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    levels = np.array([[0, 257, 32896, 40000, 65535]], dtype=np.uint16)
    expected = [0, 1, 128, 156, 255]
    for image in (Image.fromarray(levels), Image.fromarray(levels.astype(">u2"))):
        for source in (image, encoded(image, "PNG"), encoded(image, "TIFF")):
            read = load_picture(source)
            assert np.array_equal(read.pixels[..., 1], levels)
            assert [read.image.getpixel((x, 0))[0] for x in range(5)] == expected  # type: ignore[index]


def test_a_transparent_colour_does_not_reduce_sixteen_bits() -> None:
    grey = Image.fromarray(np.full((4, 4), 30000, dtype=np.uint16))
    assert load_picture(encoded(grey, "PNG", transparency=7)).image.getpixel((0, 0)) == (117,) * 3


def test_a_transparent_palette_entry_or_colour_becomes_alpha() -> None:
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([0, 0, 0, 200, 10, 10])
    keyed = Image.new("RGB", (20, 20), (200, 10, 10))
    for file in (
        encoded(palette, "PNG", transparency=1),
        encoded(keyed, "PNG", transparency=(200, 10, 10)),
    ):
        read = load_picture(file)
        assert read.image.getpixel((3, 3)) == (200, 10, 10, 0)
        assert flatten(read, "#ffffff").image.getpixel((3, 3)) == (255, 255, 255)


def test_the_first_frame_of_an_animation_is_read(gradient: Gradient) -> None:
    frames = [gradient(20, 20), Image.new("RGB", (20, 20), "red")]
    file = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert mean_difference(load_picture(file).image, frames[0]) == 0


ARRAYS = {
    "uint8 RGB": lambda a: a,
    "uint8 RGBA": lambda a: np.dstack([a, np.full(a.shape[:2], 255, np.uint8)]),
    "uint16 RGB": lambda a: a.astype(np.uint16) * 257,
    "float32 RGB": lambda a: (a / 255).astype(np.float32),
    "float64 RGB, strided": lambda a: np.repeat(a, 2, axis=1)[:, ::2] / 255,
    "torch": lambda a: torch.from_numpy(a.copy()),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_an_array_of_any_kind_is_read(kind: str, gradient: Gradient) -> None:
    rgb = gradient(30, 20)
    assert mean_difference(load_picture(ARRAYS[kind](np.asarray(rgb))).image, rgb) == 0


def test_grey_and_boolean_arrays_are_read() -> None:
    grey = np.arange(200, dtype=np.uint8).reshape(10, 20)
    for array in (grey, grey[:, :, None], grey.astype(np.uint16) * 257):
        assert load_picture(array).image.getpixel((3, 2)) == (43, 43, 43)
    assert load_picture(grey > 100).image.getpixel((19, 9)) == (255, 255, 255)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 2)),
        np.zeros(4),
        np.zeros((0, 4, 3)),
        np.full((4, 4, 3), np.nan),
        np.full((4, 4, 3), 200.0),
        np.zeros((4, 4, 3), dtype=np.int64),
        object(),
        None,
        3,
    ],
)
def test_a_wrong_array_is_refused(array: object) -> None:
    with pytest.raises(PictureError, match="the array: "):
        load_picture(array, "the array")


def test_a_photo_at_pillows_limit_passes_without_a_warning() -> None:
    assert load_picture(Image.new("L", (9000, 9000))).image.size == (9000, 9000)
    file = encoded(Image.new("1", (9400, 9500)), "PNG")  # 89.3 megapixels
    assert load_picture(file).image.size == (9400, 9500)


def test_a_decompression_bomb_is_refused() -> None:
    with pytest.raises(PictureError, match="larger than 89 megapixels"):
        load_picture(encoded(Image.new("1", (9500, 9500)), "PNG"))
    with pytest.raises(PictureError, match="larger than 89 megapixels"):
        load_picture(encoded(Image.new("1", (14000, 14000)), "PNG"))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "BMP"])
def test_a_file_that_is_cut_short_is_refused(format: str, gradient: Gradient) -> None:
    whole = encoded(gradient(80, 60), format).getvalue()
    for cut in (len(whole) // 2, 40, 3):
        with pytest.raises(PictureError):
            load_picture(io.BytesIO(whole[:cut]))


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0"])
)
def test_any_bytes_that_are_not_a_picture_raise_a_picture_error(data: bytes, magic: bytes) -> None:
    with pytest.raises(PictureError, match="the style: "):
        load_picture(io.BytesIO(magic + data), "the style")


def test_a_picture_without_pixels_or_bytes_is_refused() -> None:
    with pytest.raises(PictureError, match="the photo: has no pixels"):
        load_picture(Image.new("RGB", (0, 0)), "the photo")
    with pytest.raises(PictureError, match="the photo: cannot be read"):
        load_picture(io.StringIO("text"), "the photo")


def test_the_error_for_an_unreadable_file_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("Dear diary")
    for path, match in (
        (tmp_path / "none.jpg", r"none\.jpg: no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "text.jpg", r"text\.jpg: not a picture"),
        ("nul\0byte.jpg", "cannot be read"),
    ):
        with pytest.raises(PictureError, match=match):
            load_picture(path)


def test_an_alpha_channel_that_is_opaque_everywhere_is_dropped() -> None:
    for white, dtype in ((255, np.uint8), (65535, np.uint16)):
        pixels = np.full((4, 5, 4), white, dtype)
        assert load_picture(pixels).pixels.shape == (4, 5, 3)
        pixels[2, 3, 3] -= 1
        assert load_picture(pixels).transparent
        assert load_picture(pixels).size == (5, 4)
    opaque = Image.new("RGBA", (5, 4), (1, 2, 3, 255))
    assert load_picture(encoded(opaque, "PNG")).image.mode == "RGB"


def test_an_array_of_sixteen_bits_is_read_exactly() -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (6, 7, 4), dtype=np.uint16)
    for array in (deep, deep.astype(">u2"), deep / 65535):
        read = load_picture(array)
        assert np.array_equal(read.pixels, deep)
        assert read.pixels.dtype == np.uint16
    assert load_picture(read) is read
    before_change = load_picture(deep)
    deep[0, 0] = 9
    assert np.array_equal(before_change.pixels, read.pixels), "the picture has a copy"


def test_the_digest_is_of_the_file_or_of_the_pixels(photo: str) -> None:
    data = Path(photo).read_bytes()
    expected = hashlib.sha256(data).hexdigest()
    with open(photo, "rb") as file:
        for source in (photo, Path(photo), io.BytesIO(data), file):
            assert load_picture(source).digest == expected
    with Image.open(photo) as image:
        of_pixels = load_picture(image).digest
        assert load_picture(np.asarray(image)).digest == of_pixels
        assert load_picture(np.asarray(image.rotate(180))).digest != of_pixels
    assert len(of_pixels) == len(expected)
    assert of_pixels != expected
    row = np.zeros((1, 6, 3), np.uint8)
    assert load_picture(row).digest != load_picture(row.reshape(2, 3, 3)).digest, "the shape counts"


def disc(deep: bool) -> np.ndarray:
    """Return a red disc with a soft edge; the pixels around it are transparent and black."""
    y, x = np.mgrid[:60, :80]
    alpha = np.clip(20.5 - np.hypot(x - 30, y - 25), 0, 1)[:, :, None]
    pixels = np.concatenate([np.where(alpha > 0, [200, 30, 40], 0) / 255, alpha], axis=2)
    white = 65535 if deep else 255
    return np.rint(pixels * white).astype(np.uint16 if deep else np.uint8)


@pytest.mark.parametrize("deep", [False, True])
def test_transparent_parts_are_filled_from_their_surroundings(deep: bool) -> None:
    picture = load_picture(disc(deep))
    filled = flatten(picture, None)
    assert filled.pixels.dtype == picture.pixels.dtype
    assert np.abs(np.asarray(filled.image) - [200.0, 30, 40]).max() <= 4, "no hidden black shows"
    opaque = picture.pixels[..., 3] == picture.white
    assert 1000 < opaque.sum() < 1400
    assert np.array_equal(filled.pixels[opaque], picture.pixels[opaque][:, :3])
    assert (filled.name, filled.digest) == (picture.name, picture.digest)
    assert flatten(filled, None) is filled
    # The tensor for the network is filled in the same manner, in any size.
    for size in ((80, 60), (37, 20)):
        tensor = to_tensor(picture, size)
        assert (tensor - torch.tensor([200, 30, 40]).view(1, 3, 1, 1) / 255).abs().max() <= 5 / 255


def test_a_fill_is_between_the_colours_around_it() -> None:
    pixels = np.zeros((40, 100, 4), np.uint8)
    pixels[:, :30] = (250, 100, 0, 255)
    pixels[:, 70:] = (50, 100, 200, 255)
    row = np.asarray(flatten(load_picture(pixels), None).image)[20].astype(int)
    assert abs(row[:, 1] - 100).max() <= 3
    assert abs(row[31] - [250, 100, 0]).max() <= 40
    assert abs(row[68] - [50, 100, 200]).max() <= 40
    assert (np.diff(row[:, 0]) <= 3).all(), "red decreases from left to right"
    invisible = flatten(load_picture(np.zeros((5, 9, 4), np.uint8)), None)
    assert (invisible.pixels == 128).all()


@pytest.mark.parametrize("white", [255, 65535])
def test_a_background_shows_through_transparent_parts(white: int) -> None:
    pixels = np.zeros((1, 3, 4), np.uint8 if white == 255 else np.uint16)
    pixels[0] = [(white, 0, 0, white), (white, 0, 0, white // 5), (7, 7, 7, 0)]
    flat = flatten(load_picture(pixels), "#0080ff").pixels / white
    expected = [[1, 0, 0], [0.2, 0.8 * 128 / 255, 0.8], [0, 128 / 255, 1]]
    assert np.abs(flat[0] - expected).max() <= 0.5001 / white


def test_alpha_is_resized() -> None:
    picture = load_picture(disc(deep=True))
    full = alpha_map(picture, (80, 60))
    assert full is not None
    assert (full.dtype, full.shape) == (np.float32, (60, 80))
    assert np.array_equal(np.rint(full * 65535), picture.pixels[..., 3])
    small = alpha_map(picture, (20, 15))
    assert small is not None
    assert small.shape == (15, 20)
    assert 0 <= small.min() < small.max() <= 1
    assert abs(small.mean() - full.mean()) < 0.005
    assert alpha_map(flatten(picture, None), (20, 15)) is None


def test_a_mask_must_be_grey_and_not_all_black(gradient: Gradient, photo: str) -> None:
    grey = gradient(30, 20).getchannel("G")
    expected = np.asarray(grey) / 255
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    for source in (grey, grey.convert("RGB"), deep):
        mask = load_mask(source, "the mask")
        assert (mask.dtype, mask.shape) == (np.float32, (20, 30))
        assert np.abs(mask - expected).max() < 1e-6
    with_alpha = Image.merge("LA", (Image.new("L", grey.size, 255), grey))
    assert np.abs(load_mask(with_alpha, "the mask") - expected).max() < 1e-6, "transparent is black"
    assert load_mask(np.ones((2, 2), bool), "the mask").min() == 1
    with pytest.raises(
        PictureError, match=r"chelsea\.jpg: is a colour picture; a mask is black, w"
    ):
        load_mask(photo, "the mask")
    for level, is_refused in ((7, True), (9, False)):
        dark = Image.new("L", (9, 9), level)
        if is_refused:
            with pytest.raises(PictureError, match=r"^the mask: is black all over.*style.*nowhere"):
                load_mask(dark, "the mask")
        else:
            assert load_mask(dark, "the mask").max() == pytest.approx(level / 255)


def test_a_mask_may_be_inverted(gradient: Gradient) -> None:
    grey = gradient(30, 20).getchannel("G")
    inverse = load_mask(grey, "the mask", inverted=True)
    assert np.abs(inverse + load_mask(grey, "the mask") - 1).max() < 1e-6
    assert load_mask(np.zeros((2, 2), bool), "the mask", inverted=True).min() == 1
    with pytest.raises(PictureError, match=r"^the mask: is white all over.*; paint black where"):
        load_mask(np.ones((2, 2), bool), "the mask", inverted=True)


def test_a_photo_with_its_background_erased_is_a_mask(gradient: Gradient, photo: str) -> None:
    alpha = gradient(451, 300).getchannel("G")
    cut_out = Image.open(photo).convert("RGB")
    cut_out.putalpha(alpha)
    expected = np.asarray(alpha) / 255
    assert np.abs(load_mask(cut_out) - expected).max() < 1e-6
    assert np.abs(load_mask(cut_out, inverted=True) - (1 - expected)).max() < 1e-6


def test_a_map_is_resized_without_ringing() -> None:
    edge = np.zeros((40, 60), np.float32)
    edge[:, 30:] = 1
    for size in ((60, 40), (13, 9), (200, 100), (1, 1)):
        resized = resize_map(edge, size)
        assert (resized.dtype, resized.shape) == (np.float32, size[::-1])
        assert 0 <= resized.min() <= resized.max() <= 1
        assert resized.mean() == pytest.approx(0.5, abs=0.01)
        assert (np.diff(resized, axis=1) >= 0).all()
        torch.from_numpy(resized)  # would warn about an array that is read-only


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_tensor_gives_the_same_picture_again(width: int, height: int) -> None:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(values)
    tensor = to_tensor(image, (width, height))
    assert tensor.shape == (1, 3, height, width)
    assert tensor.dtype == torch.float32
    assert 0 <= tensor.min() <= tensor.max() <= 1
    assert mean_difference(encode.to_image(tensor[0].permute(1, 2, 0).numpy()), image) == 0


def test_a_tensor_of_sixteen_bits_is_exact(gradient: Gradient) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    tensor = to_tensor(levels, (30, 20))
    assert np.array_equal(np.rint(tensor[0].permute(1, 2, 0).numpy() * 65535), levels)
    coarse = gradient(400, 300)
    deep = to_tensor(np.asarray(coarse).astype(np.uint16) * 257, (150, 110))
    assert deep.shape == (1, 3, 110, 150)
    assert deep.dtype == torch.float32
    assert 0 <= deep.min() <= deep.max() <= 1
    assert (deep - to_tensor(coarse, (150, 110))).abs().max() <= 1.5 / 255


def test_resizing_preserves_colours_and_their_positions(gradient: Gradient) -> None:
    tensor = to_tensor(gradient(400, 300), (40, 30))
    direct = to_tensor(gradient(40, 30), (40, 30))
    assert tensor.shape == (1, 3, 30, 40)
    assert (tensor - direct).abs().mean() < 2 / 255
