"""Decoding: files of 16 bits, damaged files, colour profiles, orientation and EXIF."""

import io
import logging
import struct
import tracemalloc
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from stylize import PictureError
from stylize.images import picture as images
from stylize.images.decode import decode, scaled

Array = NDArray[Any]

D65 = (0.3127, 0.3290)
SRGB = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
#: By name: the chromaticities x and y of red, green and blue, and gamma.
SPACES = {
    "Adobe RGB": ((0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 2.19921875),
    "Display P3": ((0.680, 0.320, 0.265, 0.690, 0.150, 0.060), 2.4),
    "sRGB's primaries, gamma 1.8": (SRGB, 1.8),
}


def noise(*shape: int) -> Array:
    """Return random levels of 16 bits; among them is 40000, which 8 bits cannot represent."""
    values = np.random.default_rng(0).integers(0, 65536, shape, dtype=np.uint16)
    values[0, 0] = 40000
    return values


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: Array, extra: bytes = b"", interlaced: bool = False) -> bytes:
    """Return a PNG with 16 bits, by the standard; `extra` chunks come before the pixels."""
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2)]
        passes += [(0, 1, 2, 2), (1, 0, 2, 1)]
    height, width = pixels.shape[:2]
    rows = [
        b"\0" + row.astype(">u2").tobytes()
        for top, left, row_step, column_step in passes
        for row in pixels[top::row_step, left::column_step]
    ]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[pixels[0, 0].size]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, interlaced)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(b"".join(rows)))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def tiff(pixels: Array, photometric: str = "rgb", **settings: Any) -> bytes:
    """Return a TIFF that tifffile writes with these settings."""
    if settings.get("planarconfig") == "separate":
        pixels = np.moveaxis(pixels, 2, 0)
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric=photometric, metadata=None, **settings)
    return file.getvalue()


def read(data: bytes) -> Array:
    return decode(data).pixels


# ----------------------------------------------------------------- 16 bits


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_png_of_sixteen_bits_is_read_exactly(interlaced: bool) -> None:
    for channels in (1, 2, 3, 4):
        pixels = noise(13, 9, channels)
        expected = pixels if channels > 2 else np.repeat(pixels[..., :1], 3, axis=2)
        if channels == 2:
            expected = np.concatenate([expected, pixels[..., 1:]], axis=2)
        result = read(png(pixels, interlaced=interlaced))
        assert result.dtype == np.uint16
        assert np.array_equal(result, expected), channels


def test_the_transparent_colour_of_a_png_of_sixteen_bits_becomes_alpha() -> None:
    pixels = noise(5, 6, 3)
    result = read(png(pixels, chunk(b"tRNS", pixels[2, 3].astype(">u2").tobytes())))
    assert result[2, 3, 3] == 0
    assert (result[..., 3] == 65535).sum() == 29


def test_messages_of_libpng_are_silenced(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    invalid_profile = iccp(b"no profile")
    assert np.array_equal(
        read(png(noise(9, 9, 3), invalid_profile, interlaced=True)), noise(9, 9, 3)
    )
    assert (capfd.readouterr().err, caplog.text) == ("", "")
    assert not logging.getLogger("imagecodecs").disabled, "only during decoding"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"planarconfig": "separate"},
        {"planarconfig": "separate", "compression": "deflate", "byteorder": ">"},
        {"compression": "lzw"},
        {"compression": "deflate", "predictor": True},
        {"compression": "zstd", "rowsperstrip": 3},
        {"compression": "jpegxl", "compressionargs": {"lossless": True}},
        {"tile": (16, 16), "compression": "lzma"},
    ],
    ids=str,
)
def test_a_tiff_of_sixteen_bits_is_read_exactly(settings: dict[str, Any]) -> None:
    for channels in (3, 4):
        pixels = noise(21, 34, channels)
        if channels == 4:
            settings = {**settings, "extrasamples": ["unassalpha"]}
        result = read(tiff(pixels, **settings))
        assert result.dtype == np.uint16
        assert np.array_equal(result, pixels)
    if "planarconfig" not in settings:
        grey = noise(21, 34)
        del settings["extrasamples"]
        for photometric, expected in (("minisblack", grey), ("miniswhite", 65535 - grey)):
            result = read(tiff(grey, photometric, **settings))
            assert np.array_equal(result, np.dstack([expected] * 3))


def test_the_first_page_of_a_tiff_is_read() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for pixels in (noise(20, 30, 3), noise(10, 10, 3)):
            writer.write(pixels, photometric="rgb")
    assert read(file.getvalue()).shape == (20, 30, 3)


def test_premultiplied_alpha_is_divided_out() -> None:
    straight = noise(20, 30, 4)
    straight[0, :5, 3] = (0, 1, 65535, 65534, 32768)
    alpha = straight[..., 3:] / 65535
    premultiplied = np.rint(straight * alpha).astype(np.uint16)
    premultiplied[..., 3] = straight[..., 3]
    result = read(tiff(premultiplied, extrasamples=["assocalpha"]))
    assert np.array_equal(result[..., 3], straight[..., 3])
    error = np.abs(result[..., :3].astype(int) - straight[..., :3])
    assert (error * alpha)[alpha[..., 0] > 0].max() <= 1, "the error is that of rounding"
    assert (result[0, 0] == 0).all(), "the colour of a transparent pixel is unknown"


def test_extra_channels_other_than_alpha_are_dropped() -> None:
    pixels = noise(20, 30, 5)
    assert np.array_equal(
        read(tiff(pixels, extrasamples=["unspecified", "unspecified"])), pixels[..., :3]
    )
    assert np.array_equal(
        read(tiff(pixels, extrasamples=["unspecified", "unassalpha"])), pixels[..., [0, 1, 2, 4]]
    )


def test_a_tiff_of_eight_bits_that_pillow_cannot_read_is_read() -> None:
    pixels = (noise(20, 30, 3) >> 8).astype(np.uint8)
    data = tiff(pixels, compression="jpegxl", compressionargs={"lossless": True})
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(io.BytesIO(data))
    result = read(data)
    assert result.dtype == np.uint8
    assert np.array_equal(result, pixels)


def test_white_of_floats_and_wide_integers_follows_the_brightest_value() -> None:
    values = np.random.default_rng(0).random((8, 9, 3))
    values[0, 0], values[7, 8] = 0, 1
    expected = np.rint(values * 65535)
    for factor, dtype in (
        (1, "f2"),
        (1, "f4"),
        (1, "f8"),
        (255, "f4"),
        (65535, "f4"),
        (1e6, "f4"),
        (65535, "u4"),
        (1e6, "i4"),
        (1e6, "u4"),
    ):
        result = read(tiff((values * factor).astype(dtype)))
        error = 65535 * 2.0**-11 if dtype == "f2" else 1
        assert np.abs(result - expected).max() <= error, (factor, dtype)
    assert read(tiff(np.full((4, 4, 3), -1.0, "f4"))).max() == 0
    assert scaled(np.array([-5, 0, 300, 32767], "i2")).tolist() == [0, 0, 300, 32767]
    assert scaled(np.array([-5, 0, 100], "i1")).tolist() == [0, 0, 25700]
    assert scaled(np.array([0, 65504], "f2")).tolist() == [0, 65504]
    for wrong in (np.nan, np.inf, -np.inf):
        values[3, 3] = wrong
        with pytest.raises(PictureError, match="not finite"):
            images.load_picture(io.BytesIO(tiff(values.astype("f4"))))


def test_white_of_unusual_depths_has_all_bits_set() -> None:
    ten_bits = np.array([0, 1, 512, 1023], np.uint16)
    assert scaled(ten_bits, 10).tolist() == [0, 64, 32800, 65535]
    assert scaled(np.array([0, 3, 7], np.uint8), 3).tolist() == [0, 109, 255]
    assert scaled(np.array([False, True]), 1).tolist() == [0, 255]
    assert scaled(np.array([0, 300], np.uint16), 16).tolist() == [0, 300]


def test_a_tiff_of_an_unreadable_kind_is_refused() -> None:
    for data in (
        tiff(noise(20, 30, 3), "cielab"),
        tiff(noise(20, 30, 3).astype(np.complex64)),
        tiff(noise(20, 30, 9), extrasamples=["unspecified"] * 6),
    ):
        with pytest.raises(PictureError, match=r"^the photo: a TIFF of a kind.*convert it to RGB"):
            images.load_picture(io.BytesIO(data), "the photo")


# ---------------------------------------------------------- damaged and too large


DEEP = {
    "PNG": png(noise(40, 30, 3)),
    "TIFF": tiff(noise(40, 30, 3)),
    "TIFF of strips": tiff(noise(40, 30, 4), rowsperstrip=7, extrasamples=["unassalpha"]),
    "TIFF in planes": tiff(noise(40, 30, 3), planarconfig="separate"),
    "TIFF, LZW": tiff(noise(40, 30, 3), compression="lzw", predictor=True),
    "TIFF, deflate": tiff(noise(40, 30, 3), compression="deflate", tile=(16, 16)),
    "TIFF, JPEG XL": tiff(noise(40, 30, 3), compression="jpegxl"),
}


@pytest.mark.parametrize("kind", DEEP)
def test_a_file_of_sixteen_bits_that_is_cut_short_is_refused(kind: str) -> None:
    whole = DEEP[kind]
    assert images.load_picture(io.BytesIO(whole)).size == (30, 40)
    cuts = [40, len(whole) // 2, len(whole) - 100]
    for cut in cuts if kind == "PNG" else [*cuts, len(whole) - 1]:
        with pytest.raises(PictureError, match=r"^the photo: (damaged or cut short|not a picture)"):
            images.load_picture(io.BytesIO(whole[:cut]), "the photo")


def test_a_tiff_with_missing_strips_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(DEEP["TIFF of strips"])
    with tifffile.TiffFile(path, mode="r+") as file:
        counts = file.pages.first.tags["StripByteCounts"]
        counts.overwrite([*counts.value[:3], 0, *counts.value[4:]])
    with pytest.raises(PictureError, match="parts of the picture are missing"):
        images.load_picture(path)


def patched(kind: str, tag: int, *entry: int) -> bytes:
    """Return one of `DEEP` with a tag's entry replaced by another: tag, type, count and value."""
    data = DEEP[kind]
    first, number = 10, struct.unpack("<H", data[8:10])[0]
    (offset,) = (
        offset
        for offset in range(first, first + 12 * number, 12)
        if data[offset : offset + 2] == struct.pack("<H", tag)
    )
    return data[:offset] + struct.pack("<HHII", *entry) + data[offset + 12 :]


def test_a_header_with_invalid_entries_is_refused() -> None:
    # A tuple of a thousand widths, which fills the memory when it is multiplied by the height.
    for data, match in (
        (patched("TIFF, JPEG XL", 256, 256, 3, 1000, 8), "its header is damaged"),
        (patched("TIFF, JPEG XL", 282, 339, 3, 1, 6), "of a kind that"),  # complex, in 16 bits
    ):
        with pytest.raises(PictureError, match=match):
            images.load_picture(io.BytesIO(data))


@pytest.mark.parametrize("kind", DEEP)
@given(
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=5
    )
)
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_of_sixteen_bits_raises_only_picture_errors(
    kind: str, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(DEEP[kind])
    for position, value in changes:
        # The cube makes most of the changes in the header, where damage has most effects.
        data[int(position**3 * len(data))] = value
    with suppress(PictureError):
        images.load_picture(io.BytesIO(bytes(data)))


def test_the_reason_for_an_error_is_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("strip 7:\n  too short")

    monkeypatch.setattr(images, "decode", fail)
    with pytest.raises(PictureError, match=r"^the photo: .* cut short \(strip 7: too short\)$"):
        images.load_picture(io.BytesIO(b""), "the photo")


@pytest.mark.parametrize("tag", [258, 259, 262])  # bits, compression, kind of colours
def test_a_tag_of_many_numbers_is_not_printed(tag: int) -> None:
    """As tifffile does: the fuzzer found it."""
    data = patched("TIFF, JPEG XL", tag, tag, 3, 100, 8)
    with pytest.raises(PictureError) as error:
        images.load_picture(io.BytesIO(data), "the photo")
    assert len(str(error.value)) < 300


@given(
    st.binary(max_size=400),
    st.sampled_from([DEEP["PNG"][:33], DEEP["PNG"][:45], b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0"]),
)
@settings(deadline=None)
def test_any_bytes_after_a_valid_start_raise_a_picture_error(data: bytes, start: bytes) -> None:
    with pytest.raises(PictureError, match=r"^the style: "):
        images.load_picture(io.BytesIO(start + data), "the style")


def bombs(folder: Path) -> Iterable[tuple[str, bytes]]:
    """Yield the kind and the bytes of small files whose headers state a huge size."""
    for side in (9500, 14000):
        header = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)
        rows = zlib.compress(b"\0" * 1000)
        yield "PNG", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows)
        for kind in ("TIFF", "TIFF, JPEG XL"):
            path = folder / "a.tif"
            path.write_bytes(DEEP[kind])
            with tifffile.TiffFile(path, mode="r+") as file:
                for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
                    file.pages.first.tags[tag].overwrite(side)
            yield kind, path.read_bytes()


def test_a_decompression_bomb_is_refused_before_memory_is_allocated(tmp_path: Path) -> None:
    for kind, data in bombs(tmp_path):
        tracemalloc.start()
        with pytest.raises(PictureError, match="larger than 89 megapixels"):
            images.load_picture(io.BytesIO(data))
        assert tracemalloc.get_traced_memory()[1] < 10**7, kind
        tracemalloc.stop()


# ------------------------------------------------------------------- colour


def matrix(primaries: tuple[float, ...]) -> Array:
    """Return the matrix from linear RGB to XYZ, for white D65."""
    x, y = np.reshape(primaries, (3, 2)).T
    directions = np.stack([x / y, np.ones(3), (1 - x - y) / y])
    white = [D65[0] / D65[1], 1, (1 - sum(D65)) / D65[1]]
    return directions * np.linalg.solve(directions, white)


def srgb_curve(light: Array) -> Array:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def converted(values: Array, name: str) -> Array:
    """Convert colours from one of `SPACES` to sRGB by the textbook formulas; all in [0, 1]."""
    primaries, gamma = SPACES[name]
    to_srgb = np.linalg.inv(matrix(SRGB)) @ matrix(primaries)
    return srgb_curve(values**gamma @ to_srgb.T)


def profile_of(name: str) -> bytes:
    primaries, gamma = SPACES[name]
    profile: bytes = imagecodecs.cms_profile(
        "rgb", whitepoint=D65, primaries=primaries, gamma=gamma
    )
    return profile


def encoded(image: Image.Image, format: str = "PNG", **settings: Any) -> bytes:
    """Return a file that Pillow writes with these settings."""
    file = io.BytesIO()
    image.save(file, format, **settings)
    return file.getvalue()


def iccp(profile: bytes) -> bytes:
    """Return the chunk of a PNG that has a colour profile."""
    return chunk(b"iCCP", b"a profile\0\0" + zlib.compress(profile))


@pytest.mark.parametrize("name", SPACES)
def test_a_profile_is_applied(name: str) -> None:
    deep = noise(50, 60, 4)
    shallow = (deep >> 8).astype(np.uint8)
    profile = profile_of(name)
    for pixels, files in (
        (
            deep,
            [
                png(deep, iccp(profile)),
                tiff(deep, extrasamples=["unassalpha"], iccprofile=profile),
                png(deep[..., :3], iccp(profile)),
            ],
        ),
        (
            shallow,
            [
                encoded(Image.fromarray(shallow), icc_profile=profile),
                encoded(Image.fromarray(shallow), "TIFF", icc_profile=profile),
                encoded(Image.fromarray(shallow[..., :3]), icc_profile=profile),
            ],
        ),
    ):
        white = np.iinfo(pixels.dtype).max
        expected = converted(pixels[..., :3] / white, name)
        assert np.abs(expected - pixels[..., :3] / white).max() > 0.05, (
            "the conversion changes colours"
        )
        for data in files:
            result = read(data)
            assert result.dtype == pixels.dtype
            error = np.abs(result[..., :3] / white - expected)
            assert error.max() <= (0.3 if white == 65535 else 1.01) / 255
            if result.shape[2] == 4:
                assert np.array_equal(result[..., 3], pixels[..., 3])
    # Compare with the littleCMS in Pillow.
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        "RGB",
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    by_pillow = ImageCms.applyTransform(Image.fromarray(shallow[..., :3]), transform)
    assert by_pillow is not None
    result = read(encoded(Image.fromarray(shallow[..., :3]), icc_profile=profile))
    assert np.abs(np.asarray(by_pillow).astype(int) - result).max() <= 1


def test_the_profile_of_a_palette_or_of_a_pil_image_is_applied() -> None:
    profile = profile_of("Display P3")
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 200, 10, 90])
    expected = converted(np.array([200, 10, 90]) / 255, "Display P3") * 255
    image = Image.new("RGB", (4, 4), (200, 10, 90))
    image.info["icc_profile"] = profile
    for source in (io.BytesIO(encoded(palette, icc_profile=profile)), image):
        assert np.abs(images.load_picture(source).pixels[2, 2] - expected).max() <= 1
    transparent = io.BytesIO(encoded(palette, icc_profile=profile, transparency=1))
    result = images.load_picture(transparent).pixels[2, 2]
    assert np.abs(result[:3] - expected).max() <= 1
    assert result[3] == 0


def test_grey_is_converted_by_a_profile_for_grey_or_for_rgb(
    caplog: pytest.LogCaptureFixture,
) -> None:
    grey = imagecodecs.cms_profile("gray", whitepoint=(0.3457, 0.3585), gamma=1.8)
    rgb = profile_of("sRGB's primaries, gamma 1.8")
    levels = np.linspace(0, 65535, 60).astype(np.uint16).reshape(6, 10)
    expected = srgb_curve((levels / 65535) ** 1.8)[..., None]
    shallow = Image.fromarray((levels >> 8).astype(np.uint8))
    expected_8 = srgb_curve((np.asarray(shallow) / 255) ** 1.8)[..., None]
    for profile in (grey, rgb):
        for data in (png(levels, iccp(profile)), tiff(levels, "minisblack", iccprofile=profile)):
            result = read(data)
            assert result.shape == (6, 10, 3)
            assert np.abs(result / 65535 - expected).max() <= 0.5 / 255
        assert (
            np.abs(read(encoded(shallow, icc_profile=profile)) / 255 - expected_8).max()
            <= 1.3 / 255
        )
    assert not caplog.records


def test_a_profile_that_is_nearly_srgb_changes_nothing() -> None:
    table = srgb_to_light(np.linspace(0, 1, 1024))
    # This profile differs from sRGB by one level for some colours.
    nearly_srgb = imagecodecs.cms_profile(
        "rgb", whitepoint=D65, primaries=SRGB, transferfunction=(table**1.008).astype(np.float32)
    )
    deep = noise(50, 60, 3)
    shallow = (deep >> 8).astype(np.uint8)
    for profile in (
        nearly_srgb,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ):
        assert np.array_equal(read(png(deep, iccp(profile))), deep)
        data = encoded(Image.fromarray(shallow), icc_profile=profile)
        assert np.array_equal(read(data), shallow)


def srgb_to_light(values: Array) -> Array:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


#: The share of red, green and blue light that white paper reflects under each ink.
INKS = np.array([[0, 0.5, 0.8], [0.8, 0.1, 0.45], [0.98, 0.9, 0.1], [0, 0, 0]])


def cmyk_profile() -> bytes:
    """Return a printer's profile (ICC v2): the Lab of all sixteen combinations of full inks."""
    mixes = np.array([[i >> 3 & 1, i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(16)])
    light = srgb_to_light(np.where(mixes[:, :, None], INKS, 1).prod(axis=1))
    # Linear sRGB to XYZ for white D50, as in the standard profiles.
    to_xyz = [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
    xyz = light @ np.transpose(to_xyz) / (0.9642, 1, 0.8249)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)
    numbers = np.rint((lab + np.array([0, 128, 128])) * (652.8, 256, 256)).clip(0, 65535)
    ramps = np.array([0, 65535], ">u2").tobytes()
    a2b = b"mft2" + bytes(4) + bytes([4, 3, 2, 0])
    a2b += struct.pack(">9i", *(np.eye(3).ravel() * 65536).astype(int)) + struct.pack(">2H", 2, 2)
    a2b += 4 * ramps + numbers.astype(">u2").tobytes() + 3 * ramps
    text = b"desc" + bytes(4) + struct.pack(">I", 4) + b"ink\0" + bytes(78)
    paper = b"XYZ " + bytes(4) + struct.pack(">3i", 52000, 54000, 30000)  # dim and yellow
    parts = {b"desc": text, b"wtpt": paper, b"A2B0": a2b}
    table, body = struct.pack(">I", len(parts)), b""
    for tag, data in parts.items():
        table += tag + struct.pack(">2I", 128 + 4 + 12 * len(parts) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I", 128 + len(table) + len(body)) + bytes(4) + b"\2\x20\0\0prtrCMYKLab "
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


def test_cmyk_is_converted_with_and_without_a_profile() -> None:
    inks = np.array([[[i >> 3 & 1, i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(16)]])
    printed = np.where(inks[..., None], INKS, 1).prod(axis=2)
    plain = (1 - inks[..., :3]) * (1 - inks[..., 3:])
    assert np.abs(printed - plain).max() > 0.4
    shallow = Image.frombytes("CMYK", (16, 1), (inks * 255).astype(np.uint8).tobytes())
    deep = (inks * 65535).astype(np.uint16)
    for profile, expected in ((cmyk_profile(), printed), (None, plain)):
        for data, white in (
            (encoded(shallow, "TIFF", icc_profile=profile), 255),
            (tiff(deep, "separated", iccprofile=profile), 65535),
        ):
            decoded = decode(data)
            assert decoded.remark == ""
            assert decoded.pixels.dtype.itemsize == (1 if white == 255 else 2)
            assert np.abs(decoded.pixels / white - expected).max() <= 1.5 / 255


def test_conversion_maps_white_to_white_and_black_to_black() -> None:
    # The paper of `cmyk_profile` is yellow, and the black of this screen is grey.
    light = np.linspace(0.03, 1, 1024, dtype=np.float32)
    screen = imagecodecs.cms_profile("rgb", whitepoint=D65, primaries=SRGB, transferfunction=light)
    levels = np.repeat(np.linspace(0, 65535, 30).astype(np.uint16), 3).reshape(5, 6, 3)
    result = read(png(levels, iccp(screen))) / 65535
    assert np.abs(result - srgb_curve(levels / 65535)).max() <= 1 / 255
    assert result[0, 0].max() <= 0.1 / 255
    assert (result[4, 5] == 1).all()


def test_cmyk_without_a_profile_is_converted_as_by_pillow() -> None:
    inks = Image.frombytes("CMYK", (60, 50), (noise(50, 60, 4) >> 8).astype(np.uint8).tobytes())
    assert np.array_equal(images.load_picture(inks).pixels, np.asarray(inks.convert("RGB")))


@pytest.mark.parametrize("deep", [False, True])
def test_a_profile_that_cannot_be_used_is_reported_and_ignored(
    deep: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rgb = noise(6, 7, 3) if deep else (noise(6, 7, 3) >> 8).astype(np.uint8)
    grey = rgb[..., 0]
    good = profile_of("Adobe RGB")
    for pixels, profile, reason in (
        (rgb, imagecodecs.cms_profile("gray", whitepoint=D65, gamma=1.8), "it is not for RGB"),
        (rgb, cmyk_profile(), "it is not for RGB"),
        (grey, cmyk_profile(), "it is not for grey"),
        (rgb, good[:200], "it is damaged"),
        (rgb, good[:128] + bytes(400), "it is damaged"),
        (rgb, bytes(300), "it is damaged"),
    ):
        photometric = "rgb" if pixels.ndim == 3 else "minisblack"
        data = tiff(pixels, photometric, iccprofile=profile)
        caplog.clear()
        result = images.load_picture(io.BytesIO(data), "the photo").pixels
        assert np.array_equal(result, pixels if pixels.ndim == 3 else np.dstack([pixels] * 3))
        (record,) = caplog.records
        assert record.getMessage() == (
            f"the photo: its colour profile cannot be used ({reason}); its colours are read as sRGB"
        )
        assert (record.name, record.levelname) == ("stylize.images.picture", "WARNING")


# ------------------------------------------------------------- orientation, EXIF


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_kind_of_file_is_turned_upright(orientation: int) -> None:
    upright = noise(5, 7, 3)
    # The EXIF standard states where the first row and the first column in the file are seen.
    turned = upright
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation >= 5:
        turned = turned.swapaxes(0, 1)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    tag = [(274, 3, 1, orientation, True)]
    shallow = Image.fromarray((turned >> 8).astype(np.uint8))
    xmp = f'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
    for data in (
        png(turned, chunk(b"eXIf", exif.tobytes()[6:])),
        tiff(turned, extratags=tag),
        tiff(turned, extratags=tag, compression="jpegxl", compressionargs={"lossless": True}),
        encoded(shallow, "PNG", exif=exif),
        encoded(shallow, "TIFF", exif=exif),
        encoded(shallow, "TIFF", exif=exif, compression="tiff_lzw"),
        encoded(shallow, "WEBP", exif=exif, lossless=True),
        encoded(shallow, "WEBP", xmp=xmp.encode(), lossless=True),
    ):
        result = read(data)
        expected = upright if result.dtype == np.uint16 else upright >> 8
        assert np.array_equal(result, expected)
        assert result.flags.c_contiguous
        if result.dtype == np.uint8:
            with Image.open(io.BytesIO(data)) as image:
                assert np.array_equal(images.load_picture(image).pixels, expected)


def full_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Ann"
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.ImageWidth] = 7
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.DateTimeOriginal: "2001:02:03 04:05:06",
        ExifTags.Base.ExifImageWidth: 7,
        ExifTags.Base.ExifImageHeight: 5,
        ExifTags.Base.MakerNote: b"offsets",
        ExifTags.Base.ColorSpace: 65535,
    }
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    reloaded = Image.Exif()
    reloaded.load(exif.tobytes())
    return reloaded


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "deep PNG", "deep TIFF"])
def test_exif_that_remains_true_is_copied(format: str) -> None:
    shallow = Image.fromarray((noise(5, 7, 3) >> 8).astype(np.uint8))
    if format == "deep PNG":
        data = png(noise(5, 7, 3), chunk(b"eXIf", full_exif().tobytes()[6:]))
    elif format == "deep TIFF":
        data = tiff(noise(5, 7, 3), extratags=[(315, 2, 0, "Ann", True), (274, 3, 1, 6, True)])
    else:
        data = encoded(shallow, format, exif=full_exif())
    copied = images.load_picture(io.BytesIO(data)).exif
    for target in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF"):
        with Image.open(io.BytesIO(encoded(shallow, target, exif=copied))) as image:
            tags = image.getexif()
            assert tags[ExifTags.Base.Artist] == "Ann"
            assert tags.get(ExifTags.Base.Orientation, 1) == 1
            assert image.size == shallow.size
            if format != "deep TIFF":
                assert tags.get_ifd(ExifTags.IFD.Exif) == {
                    ExifTags.Base.DateTimeOriginal: "2001:02:03 04:05:06",
                    ExifTags.Base.ColorSpace: 1,
                }
                assert tags.get_ifd(ExifTags.IFD.GPSInfo) == {ExifTags.GPS.GPSLatitudeRef: "N"}
    all_tags = Image.Exif()
    all_tags.load(copied)
    allowed = {315, 34665, 34853, 305, 282, 283, 296}
    assert set(all_tags) <= allowed, "no tag describes how the picture was stored"


def test_a_thumbnail_is_not_copied() -> None:
    artist = struct.pack("<HHHI4s", 1, 315, 2, 4, b"Ann\0")
    thumbnail = struct.pack("<HHHII", 1, 513, 4, 1, 44) + bytes(4)
    raw = b"Exif\0\0II*\0\x08\0\0\0" + artist + struct.pack("<I", 26) + thumbnail + b"\xff\xd8\xff"
    original = Image.Exif()
    original.load(raw)
    assert original.get_ifd(ExifTags.IFD.IFD1)[513] == 44
    copied = Image.Exif()
    copied.load(images.load_picture(io.BytesIO(encoded(Image.new("L", (4, 4)), exif=raw))).exif)
    assert copied[ExifTags.Base.Artist] == "Ann"
    assert copied.get_ifd(ExifTags.IFD.IFD1) == {}


def test_exif_that_is_broken_or_too_long_is_dropped() -> None:
    image = Image.new("RGB", (4, 4))
    assert images.load_picture(io.BytesIO(encoded(image))).exif == b""
    assert images.load_picture(image).exif == b""
    for raw in (b"Exif\0\0nothing", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"):
        assert images.load_picture(io.BytesIO(encoded(image, exif=raw))).exif == b""
    long = Image.Exif()
    long[ExifTags.Base.Artist] = "A" * 70000
    assert images.load_picture(io.BytesIO(encoded(image, exif=long))).exif == b""
