"""Deep files, colour profiles, orientation and EXIF: what files hold, and what comes of it."""

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
#: By name: red, green and blue as x and y, and gamma.
SPACES = {
    "Adobe RGB": ((0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 2.19921875),
    "Display P3": ((0.680, 0.320, 0.265, 0.690, 0.150, 0.060), 2.4),
    "sRGB's primaries, gamma 1.8": (SRGB, 1.8),
}


def noise(*shape: int) -> Array:
    """16 bits at random; with 40000 among them, which 8 bits cannot hold."""
    values = np.random.default_rng(0).integers(0, 65536, shape, dtype=np.uint16)
    values[0, 0] = 40000
    return values


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: Array, extra: bytes = b"", interlaced: bool = False) -> bytes:
    """A PNG with 16 bits, from the standard; `extra` chunks come before the pixels."""
    steps = [(0, 0, 1, 1)]
    if interlaced:
        steps = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2)]
        steps += [(0, 1, 2, 2), (1, 0, 2, 1)]
    height, width = pixels.shape[:2]
    rows = [
        b"\0" + row.astype(">u2").tobytes()
        for top, left, down, right in steps
        for row in pixels[top::down, left::right]
    ]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[pixels[0, 0].size]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, interlaced)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(b"".join(rows)))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def tiff(pixels: Array, photometric: str = "rgb", **settings: Any) -> bytes:
    if settings.get("planarconfig") == "separate":
        pixels = np.moveaxis(pixels, 2, 0)
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric=photometric, metadata=None, **settings)
    return file.getvalue()


def read(data: bytes) -> Array:
    return decode(data).pixels


# ----------------------------------------------------------------- 16 bits


@pytest.mark.parametrize("interlaced", [False, True])
def test_deep_pngs_come_exactly(interlaced: bool) -> None:
    for channels in (1, 2, 3, 4):
        pixels = noise(13, 9, channels)
        expected = pixels if channels > 2 else np.repeat(pixels[..., :1], 3, axis=2)
        if channels == 2:
            expected = np.concatenate([expected, pixels[..., 1:]], axis=2)
        found = read(png(pixels, interlaced=interlaced))
        assert found.dtype == np.uint16
        assert np.array_equal(found, expected), channels


def test_the_key_colour_of_a_deep_png_is_transparent() -> None:
    pixels = noise(5, 6, 3)
    found = read(png(pixels, chunk(b"tRNS", pixels[2, 3].astype(">u2").tobytes())))
    assert found[2, 3, 3] == 0
    assert (found[..., 3] == 65535).sum() == 29


def test_libpng_says_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    garbage = iccp(b"no profile")
    assert np.array_equal(read(png(noise(9, 9, 3), garbage, interlaced=True)), noise(9, 9, 3))
    assert (capfd.readouterr().err, caplog.text) == ("", "")
    assert not logging.getLogger("imagecodecs").disabled, "only meanwhile"


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
def test_deep_tiffs_come_exactly(settings: dict[str, Any]) -> None:
    for channels in (3, 4):
        pixels = noise(21, 34, channels)
        if channels == 4:
            settings = {**settings, "extrasamples": ["unassalpha"]}
        found = read(tiff(pixels, **settings))
        assert found.dtype == np.uint16
        assert np.array_equal(found, pixels)
    if "planarconfig" not in settings:
        grey = noise(21, 34)
        del settings["extrasamples"]
        for photometric, expected in (("minisblack", grey), ("miniswhite", 65535 - grey)):
            found = read(tiff(grey, photometric, **settings))
            assert np.array_equal(found, np.dstack([expected] * 3))


def test_the_first_page_of_a_tiff_counts() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for pixels in (noise(20, 30, 3), noise(10, 10, 3)):
            writer.write(pixels, photometric="rgb")
    assert read(file.getvalue()).shape == (20, 30, 3)


def test_premultiplied_alpha_is_divided_out() -> None:
    straight = noise(20, 30, 4)
    straight[0, :5, 3] = (0, 1, 65535, 65534, 32768)
    share = straight[..., 3:] / 65535
    stored = np.rint(straight * share).astype(np.uint16)
    stored[..., 3] = straight[..., 3]
    found = read(tiff(stored, extrasamples=["assocalpha"]))
    assert np.array_equal(found[..., 3], straight[..., 3])
    off = np.abs(found[..., :3].astype(int) - straight[..., :3])
    assert (off * share)[share[..., 0] > 0].max() <= 1, "what rounding leaves"
    assert (found[0, 0] == 0).all(), "nothing is known where nothing is seen"


def test_channels_that_are_no_alpha_are_left_out() -> None:
    pixels = noise(20, 30, 5)
    assert np.array_equal(
        read(tiff(pixels, extrasamples=["unspecified", "unspecified"])), pixels[..., :3]
    )
    assert np.array_equal(
        read(tiff(pixels, extrasamples=["unspecified", "unassalpha"])), pixels[..., [0, 1, 2, 4]]
    )


def test_tiffs_of_eight_bits_that_pillow_cannot_read() -> None:
    pixels = (noise(20, 30, 3) >> 8).astype(np.uint8)
    data = tiff(pixels, compression="jpegxl", compressionargs={"lossless": True})
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(io.BytesIO(data))
    found = read(data)
    assert found.dtype == np.uint8
    assert np.array_equal(found, pixels)


def test_white_of_floats_and_wide_integers() -> None:
    share = np.random.default_rng(0).random((8, 9, 3))
    share[0, 0], share[7, 8] = 0, 1
    expected = np.rint(share * 65535)
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
        found = read(tiff((share * factor).astype(dtype)))
        error = 65535 * 2.0**-11 if dtype == "f2" else 1
        assert np.abs(found - expected).max() <= error, (factor, dtype)
    assert read(tiff(np.full((4, 4, 3), -1.0, "f4"))).max() == 0
    assert scaled(np.array([-5, 0, 300, 32767], "i2")).tolist() == [0, 0, 300, 32767]
    assert scaled(np.array([-5, 0, 100], "i1")).tolist() == [0, 0, 25700]
    assert scaled(np.array([0, 65504], "f2")).tolist() == [0, 65504]
    for wrong in (np.nan, np.inf, -np.inf):
        share[3, 3] = wrong
        with pytest.raises(PictureError, match="not finite"):
            images.load(io.BytesIO(tiff(share.astype("f4"))))


def test_white_of_odd_depths_is_all_bits_set() -> None:
    tens = np.array([0, 1, 512, 1023], np.uint16)
    assert scaled(tens, 10).tolist() == [0, 64, 32800, 65535]
    assert scaled(np.array([0, 3, 7], np.uint8), 3).tolist() == [0, 109, 255]
    assert scaled(np.array([False, True]), 1).tolist() == [0, 255]
    assert scaled(np.array([0, 300], np.uint16), 16).tolist() == [0, 300]


def test_a_tiff_of_another_kind_is_refused_in_plain_words() -> None:
    for data in (
        tiff(noise(20, 30, 3), "cielab"),
        tiff(noise(20, 30, 3).astype(np.complex64)),
        tiff(noise(20, 30, 9), extrasamples=["unspecified"] * 6),
    ):
        with pytest.raises(PictureError, match=r"^the photo: a TIFF of a kind.*convert it to RGB"):
            images.load(io.BytesIO(data), "the photo")


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
def test_deep_files_that_are_cut_short(kind: str) -> None:
    whole = DEEP[kind]
    assert images.load(io.BytesIO(whole)).size == (30, 40)
    cuts = [40, len(whole) // 2, len(whole) - 100]
    for cut in cuts if kind == "PNG" else [*cuts, len(whole) - 1]:
        with pytest.raises(PictureError, match=r"^the photo: (damaged or cut short|not a picture)"):
            images.load(io.BytesIO(whole[:cut]), "the photo")


def test_a_tiff_with_holes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(DEEP["TIFF of strips"])
    with tifffile.TiffFile(path, mode="r+") as file:
        counts = file.pages.first.tags["StripByteCounts"]
        counts.overwrite([*counts.value[:3], 0, *counts.value[4:]])
    with pytest.raises(PictureError, match="parts of the picture are missing"):
        images.load(path)


def patched(kind: str, tag: int, *entry: int) -> bytes:
    """One of `DEEP`, with another entry in place of a tag's: tag, type, count and value."""
    data = DEEP[kind]
    first, number = 10, struct.unpack("<H", data[8:10])[0]
    (place,) = (
        place
        for place in range(first, first + 12 * number, 12)
        if data[place : place + 2] == struct.pack("<H", tag)
    )
    return data[:place] + struct.pack("<HHII", *entry) + data[place + 12 :]


def test_a_header_that_makes_no_sense_is_refused() -> None:
    # A thousand widths, which times the height make a tuple that fills the memory.
    for data, match in (
        (patched("TIFF, JPEG XL", 256, 256, 3, 1000, 8), "its header is damaged"),
        (patched("TIFF, JPEG XL", 282, 339, 3, 1, 6), "of a kind that"),  # complex, in 16 bits
    ):
        with pytest.raises(PictureError, match=match):
            images.load(io.BytesIO(data))


@pytest.mark.parametrize("kind", DEEP)
@given(
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=5
    )
)
@settings(max_examples=60, deadline=None)
def test_damaged_deep_files_raise_nothing_else(kind: str, flips: list[tuple[float, int]]) -> None:
    data = bytearray(DEEP[kind])
    for place, value in flips:
        # Mostly in the header, where it hurts.
        data[int(place**3 * len(data))] = value
    with suppress(PictureError):
        images.load(io.BytesIO(bytes(data)))


def test_why_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: bytes) -> None:
        raise RuntimeError("strip 7:\n  too short")

    monkeypatch.setattr(images, "decode", fail)
    with pytest.raises(PictureError, match=r"^the photo: .* cut short \(strip 7: too short\)$"):
        images.load(io.BytesIO(b""), "the photo")


@given(
    st.binary(max_size=400),
    st.sampled_from([DEEP["PNG"][:33], DEEP["PNG"][:45], b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0"]),
)
@settings(deadline=None)
def test_no_bytes_behind_a_deep_start_raise_anything_else(data: bytes, start: bytes) -> None:
    with pytest.raises(PictureError, match=r"^the style: "):
        images.load(io.BytesIO(start + data), "the style")


def bombs(folder: Path) -> Iterable[tuple[str, bytes]]:
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


def test_bombs_are_refused_before_they_go_off(tmp_path: Path) -> None:
    for kind, data in bombs(tmp_path):
        tracemalloc.start()
        with pytest.raises(PictureError, match="larger than 89 megapixels"):
            images.load(io.BytesIO(data))
        assert tracemalloc.get_traced_memory()[1] < 10**7, kind
        tracemalloc.stop()


# ------------------------------------------------------------------- colour


def matrix(primaries: tuple[float, ...]) -> Array:
    """Linear RGB to XYZ, for white D65."""
    x, y = np.reshape(primaries, (3, 2)).T
    directions = np.stack([x / y, np.ones(3), (1 - x - y) / y])
    white = [D65[0] / D65[1], 1, (1 - sum(D65)) / D65[1]]
    return directions * np.linalg.solve(directions, white)


def srgb_curve(light: Array) -> Array:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def converted(shares: Array, name: str) -> Array:
    """From one of `SPACES` to sRGB, as colour is taught; all in [0, 1]."""
    primaries, gamma = SPACES[name]
    turn = np.linalg.inv(matrix(SRGB)) @ matrix(primaries)
    return srgb_curve(shares**gamma @ turn.T)


def profile_of(name: str) -> bytes:
    primaries, gamma = SPACES[name]
    made: bytes = imagecodecs.cms_profile("rgb", whitepoint=D65, primaries=primaries, gamma=gamma)
    return made


def saved(image: Image.Image, format: str = "PNG", **settings: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **settings)
    return file.getvalue()


def iccp(profile: bytes) -> bytes:
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
                saved(Image.fromarray(shallow), icc_profile=profile),
                saved(Image.fromarray(shallow), "TIFF", icc_profile=profile),
                saved(Image.fromarray(shallow[..., :3]), icc_profile=profile),
            ],
        ),
    ):
        white = np.iinfo(pixels.dtype).max
        expected = converted(pixels[..., :3] / white, name)
        assert np.abs(expected - pixels[..., :3] / white).max() > 0.05, "there is something to do"
        for data in files:
            found = read(data)
            assert found.dtype == pixels.dtype
            error = np.abs(found[..., :3] / white - expected)
            assert error.max() <= (0.3 if white == 65535 else 1.01) / 255
            if found.shape[2] == 4:
                assert np.array_equal(found[..., 3], pixels[..., 3])
    # And as Pillow's own littleCMS has it.
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        "RGB",
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    theirs = ImageCms.applyTransform(Image.fromarray(shallow[..., :3]), transform)
    assert theirs is not None
    ours = read(saved(Image.fromarray(shallow[..., :3]), icc_profile=profile))
    assert np.abs(np.asarray(theirs).astype(int) - ours).max() <= 1


def test_a_palette_and_a_picture_in_memory_have_profiles_too() -> None:
    profile = profile_of("Display P3")
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 200, 10, 90])
    expected = converted(np.array([200, 10, 90]) / 255, "Display P3") * 255
    held = Image.new("RGB", (4, 4), (200, 10, 90))
    held.info["icc_profile"] = profile
    for source in (io.BytesIO(saved(palette, icc_profile=profile)), held):
        assert np.abs(images.load(source).pixels[2, 2] - expected).max() <= 1
    see_through = io.BytesIO(saved(palette, icc_profile=profile, transparency=1))
    found = images.load(see_through).pixels[2, 2]
    assert np.abs(found[:3] - expected).max() <= 1
    assert found[3] == 0


def test_grey_by_a_profile_for_grey_and_by_one_for_rgb(caplog: pytest.LogCaptureFixture) -> None:
    grey = imagecodecs.cms_profile("gray", whitepoint=(0.3457, 0.3585), gamma=1.8)
    rgb = profile_of("sRGB's primaries, gamma 1.8")
    levels = np.linspace(0, 65535, 60).astype(np.uint16).reshape(6, 10)
    expected = srgb_curve((levels / 65535) ** 1.8)[..., None]
    shallow = Image.fromarray((levels >> 8).astype(np.uint8))
    expected_8 = srgb_curve((np.asarray(shallow) / 255) ** 1.8)[..., None]
    for profile in (grey, rgb):
        for data in (png(levels, iccp(profile)), tiff(levels, "minisblack", iccprofile=profile)):
            found = read(data)
            assert found.shape == (6, 10, 3)
            assert np.abs(found / 65535 - expected).max() <= 0.5 / 255
        assert (
            np.abs(read(saved(shallow, icc_profile=profile)) / 255 - expected_8).max() <= 1.3 / 255
        )
    assert not caplog.records


def test_what_is_srgb_in_effect_stays_byte_for_byte() -> None:
    table = srgb_to_light(np.linspace(0, 1, 1024))
    # A little off: by one level here and there.
    by_table = imagecodecs.cms_profile(
        "rgb", whitepoint=D65, primaries=SRGB, transferfunction=(table**1.008).astype(np.float32)
    )
    deep = noise(50, 60, 3)
    shallow = (deep >> 8).astype(np.uint8)
    for profile in (by_table, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        assert np.array_equal(read(png(deep, iccp(profile))), deep)
        data = saved(Image.fromarray(shallow), icc_profile=profile)
        assert np.array_equal(read(data), shallow)


def srgb_to_light(shares: Array) -> Array:
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


#: What is left of white paper's red, green and blue under each ink.
INKS = np.array([[0, 0.5, 0.8], [0.8, 0.1, 0.45], [0.98, 0.9, 0.1], [0, 0, 0]])


def cmyk_profile() -> bytes:
    """A printer's profile (ICC v2): the Lab of all sixteen combinations of full inks."""
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


def test_inks_by_their_profile_and_without() -> None:
    inks = np.array([[[i >> 3 & 1, i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(16)]])
    printed = np.where(inks[..., None], INKS, 1).prod(axis=2)
    plain = (1 - inks[..., :3]) * (1 - inks[..., 3:])
    assert np.abs(printed - plain).max() > 0.4
    shallow = Image.frombytes("CMYK", (16, 1), (inks * 255).astype(np.uint8).tobytes())
    deep = (inks * 65535).astype(np.uint16)
    for profile, expected in ((cmyk_profile(), printed), (None, plain)):
        for data, white in (
            (saved(shallow, "TIFF", icc_profile=profile), 255),
            (tiff(deep, "separated", iccprofile=profile), 65535),
        ):
            decoded = decode(data)
            assert decoded.remark == ""
            assert decoded.pixels.dtype.itemsize == (1 if white == 255 else 2)
            assert np.abs(decoded.pixels / white - expected).max() <= 1.5 / 255


def test_white_goes_to_white_and_black_to_black() -> None:
    # The paper of `cmyk_profile` is yellow, and the black of this screen is grey.
    light = np.linspace(0.03, 1, 1024, dtype=np.float32)
    screen = imagecodecs.cms_profile("rgb", whitepoint=D65, primaries=SRGB, transferfunction=light)
    levels = np.repeat(np.linspace(0, 65535, 30).astype(np.uint16), 3).reshape(5, 6, 3)
    found = read(png(levels, iccp(screen))) / 65535
    assert np.abs(found - srgb_curve(levels / 65535)).max() <= 1 / 255
    assert found[0, 0].max() <= 0.1 / 255
    assert (found[4, 5] == 1).all()


def test_inks_without_a_profile_are_as_pillow_has_them() -> None:
    inks = Image.frombytes("CMYK", (60, 50), (noise(50, 60, 4) >> 8).astype(np.uint8).tobytes())
    assert np.array_equal(images.load(inks).pixels, np.asarray(inks.convert("RGB")))


@pytest.mark.parametrize("deep", [False, True])
def test_a_profile_that_cannot_be_used_is_passed_over(
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
        found = images.load(io.BytesIO(data), "the photo").pixels
        assert np.array_equal(found, pixels if pixels.ndim == 3 else np.dstack([pixels] * 3))
        (record,) = caplog.records
        assert record.getMessage() == (
            f"the photo: its colour profile cannot be used ({reason}); taken as sRGB"
        )
        assert (record.name, record.levelname) == ("stylize.images.picture", "WARNING")


# ------------------------------------------------------------- orientation, EXIF


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_kind_of_file_is_turned_upright(orientation: int) -> None:
    upright = noise(5, 7, 3)
    stored = upright  # from the standard: where the stored first row and column are seen
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    if orientation >= 5:
        stored = stored.swapaxes(0, 1)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    tag = [(274, 3, 1, orientation, True)]
    shallow = Image.fromarray((stored >> 8).astype(np.uint8))
    xmp = f'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
    for data in (
        png(stored, chunk(b"eXIf", exif.tobytes()[6:])),
        tiff(stored, extratags=tag),
        tiff(stored, extratags=tag, compression="jpegxl", compressionargs={"lossless": True}),
        saved(shallow, "PNG", exif=exif),
        saved(shallow, "TIFF", exif=exif),
        saved(shallow, "TIFF", exif=exif, compression="tiff_lzw"),
        saved(shallow, "WEBP", exif=exif, lossless=True),
        saved(shallow, "WEBP", xmp=xmp.encode(), lossless=True),
    ):
        found = read(data)
        expected = upright if found.dtype == np.uint16 else upright >> 8
        assert np.array_equal(found, expected)
        assert found.flags.c_contiguous
        with (
            Image.open(io.BytesIO(data)) if found.dtype == np.uint8 else Image.new("L", (1, 1)) as i
        ):
            if i.size != (1, 1):
                assert np.array_equal(images.load(i).pixels, expected), "opened by Pillow"


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
    held = Image.Exif()
    held.load(exif.tobytes())
    return held


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "deep PNG", "deep TIFF"])
def test_exif_is_kept_as_far_as_it_holds(format: str) -> None:
    shallow = Image.fromarray((noise(5, 7, 3) >> 8).astype(np.uint8))
    if format == "deep PNG":
        data = png(noise(5, 7, 3), chunk(b"eXIf", full_exif().tobytes()[6:]))
    elif format == "deep TIFF":
        data = tiff(noise(5, 7, 3), extratags=[(315, 2, 0, "Ann", True), (274, 3, 1, 6, True)])
    else:
        data = saved(shallow, format, exif=full_exif())
    kept = images.load(io.BytesIO(data)).exif
    for target in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF"):
        with Image.open(io.BytesIO(saved(shallow, target, exif=kept))) as again:
            found = again.getexif()
            assert found[ExifTags.Base.Artist] == "Ann"
            assert found.get(ExifTags.Base.Orientation, 1) == 1
            assert again.size == shallow.size
            if format != "deep TIFF":
                assert found.get_ifd(ExifTags.IFD.Exif) == {
                    ExifTags.Base.DateTimeOriginal: "2001:02:03 04:05:06",
                    ExifTags.Base.ColorSpace: 1,
                }
                assert found.get_ifd(ExifTags.IFD.GPSInfo) == {ExifTags.GPS.GPSLatitudeRef: "N"}
    alone = Image.Exif()
    alone.load(kept)
    assert set(alone) <= {315, 34665, 34853, 305, 282, 283, 296}, "nothing of how it was stored"


def test_a_thumbnail_is_not_kept() -> None:
    artist = struct.pack("<HHHI4s", 1, 315, 2, 4, b"Ann\0")
    thumbnail = struct.pack("<HHHII", 1, 513, 4, 1, 44) + bytes(4)
    raw = b"Exif\0\0II*\0\x08\0\0\0" + artist + struct.pack("<I", 26) + thumbnail + b"\xff\xd8\xff"
    held = Image.Exif()
    held.load(raw)
    assert held.get_ifd(ExifTags.IFD.IFD1)[513] == 44
    kept = Image.Exif()
    kept.load(images.load(io.BytesIO(saved(Image.new("L", (4, 4)), exif=raw))).exif)
    assert kept[ExifTags.Base.Artist] == "Ann"
    assert kept.get_ifd(ExifTags.IFD.IFD1) == {}


def test_exif_that_is_broken_or_too_long_is_none() -> None:
    image = Image.new("RGB", (4, 4))
    assert images.load(io.BytesIO(saved(image))).exif == b""
    assert images.load(image).exif == b""
    for raw in (b"Exif\0\0nothing", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"):
        assert images.load(io.BytesIO(saved(image, exif=raw))).exif == b""
    long = Image.Exif()
    long[ExifTags.Base.Artist] = "A" * 70000
    assert images.load(io.BytesIO(saved(image, exif=long))).exif == b""
