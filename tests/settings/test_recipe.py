"""What a result says of itself, in every format."""

import io
import json
from dataclasses import fields, replace
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import GIVEN
from PIL import Image, PngImagePlugin

from stylize import OptionError, Options, PictureError
from stylize.images import encode as output
from stylize.settings import recipe
from stylize.settings.options import FORMATS
from stylize.settings.recipe import Recipe

FACTS: dict[str, Any] = {
    "torch": "2.15.0",
    "device": "cpu",
    "precision": "float32",
    "complete": True,
    "digests": {"content": "ab", "styles": ["cd", "ef"], "weights": "01"},
}


def made(**options: Any) -> Recipe:
    return Recipe.of(Options(**options), **FACTS)


def painted(held: Recipe | None, channels: int = 3) -> Any:
    pixels = np.random.default_rng(0).random((9, 14, channels), dtype=np.float32)
    return SimpleNamespace(pixels=pixels, recipe=held, exif=b"")


def save(picture: Any, path: Path, options: Options) -> None:
    output.save(picture.pixels, path, options, picture.recipe, picture.exif)


def encode(picture: Any, format: str, options: Options) -> bytes:
    return output.encode(picture.pixels, format, options, picture.recipe, picture.exif)


SUFFIXES = [(suffix, 8) for many in FORMATS.values() for suffix in many] + [(".tif", 16)]


@pytest.mark.parametrize(("suffix", "depth"), SUFFIXES)
@pytest.mark.parametrize("channels", [3, 4])
def test_it_is_in_the_file_and_can_be_read(
    suffix: str, depth: int, channels: int, tmp_path: Path
) -> None:
    options = Options(depth=depth, blend="0.25,0.75", style_weight=1.5)
    held = Recipe.of(options, **FACTS)
    save(painted(held, channels), tmp_path / f"a{suffix}", options)
    assert recipe.read(tmp_path / f"a{suffix}") == held
    assert json.loads(recipe.show(tmp_path / f"a{suffix}"))["options"]["style_weight"] == 1.5
    save(painted(None, channels), tmp_path / f"b{suffix}", options)
    with pytest.raises(PictureError, match=rf"b\{suffix}: carries no recipe"):
        recipe.read(tmp_path / f"b{suffix}")


@pytest.mark.parametrize(("suffix", "depth"), SUFFIXES)
def test_files_are_the_same_bytes_at_any_time(suffix: str, depth: int) -> None:
    options = Options(depth=depth)
    held = Recipe.of(options, **FACTS)
    name = output.format_of(f"a{suffix}")
    once = encode(painted(held), name, options)
    assert encode(painted(held), name, options) == once
    year = datetime.now(timezone.utc).strftime("%Y")
    assert output._srgb()[24:36] == bytes(12), "the date in the profile"
    assert year.encode() not in once.replace(output._srgb(), b"")


def test_every_option_that_pixels_depend_on_is_in_it() -> None:
    everything = {field.name for field in fields(Options)}
    assert everything - made().options.keys() == {
        *("device", "existing", "format", "keep_exif", "mask")
    }


def test_it_holds_no_path() -> None:
    held = made(init="/home/me/start.png", weights="/home/me/vgg.pth:caffe", mask=["/home/me/m"])
    assert "home" not in held.text()
    assert held.options["init"] == held.options["weights"] == "file"
    assert not held.given().keys() & {"init", "weights"}


def test_given_options_are_the_options() -> None:
    options = Options(size=300, style_layers="relu1_1:0.5,relu4_1", seed=2**60, tv_weight=1e-7)
    again = json.loads(Recipe.of(options, **FACTS).text())["options"]
    assert Options(**again) == options


def test_kept_exif_is_said_and_never_obeyed() -> None:
    """So that a folder knows it; but a stranger's recipe gives nobody's place away."""
    assert "keep_exif" not in made().options
    assert made(keep_exif=True).options["keep_exif"] is True
    assert "keep_exif" not in made(keep_exif=True).given()


@pytest.mark.parametrize("option", fields(Options), ids=lambda option: option.name)
def test_what_repeats_a_picture(option: Any) -> None:
    """Every option that pixels or the file depend on counts, in the formats that have it."""
    _, value = GIVEN[option.name]
    digests = {"content": "ab", "styles": ["cd", "ef"]}
    changed = Options(**{option.name: value})
    if option.name == "mask":
        digests["masks"] = ["12"]
    for format in FORMATS:
        assert made().repeats(Options(), {"content": "ab", "styles": ["cd", "ef"]}, format)
        idle = option.name in ("device", "existing", "format")
        idle |= option.name == "jpeg_quality" and format in ("png", "tiff")
        idle |= option.name == "background" and format != "jpeg"
        idle |= option.name == "learning_rate"  # as there is no Adam
        assert made().repeats(changed, digests, format) == idle, format


def test_what_does_not_repeat_a_picture() -> None:
    options = Options(init="a.png", weights="b.pth")
    digests = {**FACTS["digests"], "init": "23"}
    held = Recipe.of(options, **{**FACTS, "digests": digests})
    assert held.repeats(options, digests, "png")
    other = Recipe.of(options, **{**FACTS, "torch": "9", "device": "cuda", "digests": digests})
    assert other.repeats(options, digests, "png"), "another machine is no reason"
    assert not replace(held, complete=False).repeats(options, digests, "png")
    for changes in ({"content": "x"}, {"styles": ["ef", "cd"]}, {"init": ""}, {"weights": "02"}):
        assert not held.repeats(options, {**digests, **changes}, "png"), changes
    assert not held.repeats(options, {**digests, "masks": ["12"]}, "png")
    assert not held.repeats(options, FACTS["digests"], "png")


def test_what_others_leave_without_effect_does_not_count() -> None:
    digests = FACTS["digests"]
    for name, value, others in (
        ("learning_rate", 0.1, {"optimizer": "adam"}),
        ("effort", "best", {"iterations": 30}),
    ):
        for given, idle in (({}, name == "learning_rate"), (others, name == "effort")):
            options = Options(**given)
            held = Recipe.of(options, **FACTS)
            assert held.repeats(options.but(**{name: value}), digests, "png") == idle, (name, given)


def test_files_must_be_named_again() -> None:
    held = made(init="a.png")
    with pytest.raises(OptionError, match="file as --init; name it again"):
        held.check(Options())
    held.check(Options(init="b.png"))
    masked = replace(made(), digests={"masks": ["1", "2"]})
    with pytest.raises(OptionError, match="2 masks; give --mask again"):
        masked.check(Options())
    masked.check(Options(mask=["a", "b"]))
    made(init="a.png").check(Options(init="noise"), typed=["init"])
    assert masked.given().keys() & {"mask"} == set()
    assert made().given()["mask"] == ()
    with pytest.raises(OptionError, match="file as --weights"):
        made(weights="a.pth:caffe").check(Options(weights="torchvision"))


def test_departures_are_told() -> None:
    held = made()
    assert held.departures(held) == []
    other = replace(held, torch="3.0", digests={**held.digests, "styles": ["cd"]})
    assert held.departures(other) == [
        "the paintings: not the recipe's",
        "torch: 2.15.0 in the recipe, 3.0 here",
    ]
    assert "interrupted" in replace(held, complete=False).departures(held)[0]


def stored(**saved: Any) -> io.BytesIO:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, **saved)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"options": 1}', "null", "[" * 100000, '{"stylize": 1}']
)
def test_a_damaged_recipe_is_told(text: str, tmp_path: Path) -> None:
    held = PngImagePlugin.PngInfo()
    held.add_text(recipe.KEY, text)
    (tmp_path / "a.png").write_bytes(stored(format="PNG", pnginfo=held).getvalue())
    with pytest.raises(PictureError, match=r"a\.png: its recipe is damaged"):
        recipe.read(tmp_path / "a.png")


def test_xmp_as_other_programs_rewrite_it(tmp_path: Path) -> None:
    """The attribute turned into an element, among others."""
    held = made()
    text = held.text().replace("&", "&amp;").replace("<", "&lt;")
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
        ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
        ' xmlns:s="urn:stylize:"><s:other>1</s:other>'
        f"<s:recipe>{text}</s:recipe></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    (tmp_path / "a.jpg").write_bytes(stored(format="JPEG", xmp=packet.encode()).getvalue())
    assert recipe.read(tmp_path / "a.jpg") == held


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {"preset": "paper"}},
        {"options": {"mask": ["/etc/passwd"]}},
        {"options": {"init": "/etc/passwd"}},
        {"options": {"weights": "a.pth"}},
        {"options": {"seed": [1]}},
        {"options": {"of_the_future": 1}},
        {"digests": {"content": "a", "styles": ["b"], "weights": "c", "masks": 5}},
        {"digests": {"content": "a", "styles": ["b"], "weights": "c", "init": 5}},
        {"digests": {"content": "a", "styles": ["b"], "weights": "c", "more": "d"}},
        {"digests": {"masks": "abc"}},
        {"digests": {"content": ["a"]}},
        {"digests": []},
        {"torch": 2},
    ],
)
def test_a_recipe_of_a_stranger_sets_nothing_that_it_may_not(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    text = PngImagePlugin.PngInfo()
    held = json.loads(made().text())
    text.add_text(recipe.KEY, json.dumps({**held, **changes}))
    (tmp_path / "a.png").write_bytes(stored(format="PNG", pnginfo=text).getvalue())
    with pytest.raises(PictureError, match=r"a\.png: its recipe"):
        recipe.show(tmp_path / "a.png")


@pytest.mark.parametrize("encoding", ["foo", "utf-7", "idna", "gb2312"])
def test_xmp_in_an_odd_encoding_is_no_recipe(encoding: str, tmp_path: Path) -> None:
    packet = f'<?xml version="1.0" encoding="{encoding}"?><a/>'.encode()
    (tmp_path / "a.jpg").write_bytes(stored(format="JPEG", xmp=packet).getvalue())
    with pytest.raises(PictureError, match="carries no recipe"):
        recipe.read(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    "packet", [b"<", b"nothing", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"\xff\xfe\0"]
)
def test_foreign_xmp_is_no_recipe(packet: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(stored(format="JPEG", xmp=packet).getvalue())
    with pytest.raises(PictureError, match="carries no recipe"):
        recipe.read(tmp_path / "a.jpg")


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(PictureError, match=r"a\.txt: not a picture"):
        recipe.read(tmp_path / "a.txt")
    with pytest.raises(PictureError, match=r"none.png: cannot be read \(No such file"):
        recipe.read(tmp_path / "none.png")
    with pytest.raises(PictureError, match="cannot be read"):
        recipe.read(tmp_path)


def test_sixteen_bits_are_sixteen_bits(tmp_path: Path) -> None:
    import tifffile

    options = Options(depth=16)
    picture = painted(made(), 4)
    save(picture, tmp_path / "a.tif", options)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        assert page.extrasamples == (2,)
        assert page.photometric.name == "RGB"
        assert page.tags["InterColorProfile"].value == output._srgb()
        assert "Software" not in page.tags
        read = page.asarray()
    assert read.dtype == np.uint16
    assert np.array_equal(read, np.rint(picture.pixels * 65535))
    with pytest.raises(OptionError, match="--depth 16: png"):
        output.check_output(tmp_path / "a.png", depth=16)


@pytest.mark.parametrize("suffix", [s for many in FORMATS.values() for s in many])
def test_alpha_profile_and_background(suffix: str, tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 4), np.float32)
    pixels[:, :8] = [1, 0, 0, 1]
    options = Options(background="#0000ff")
    held = SimpleNamespace(pixels=pixels, recipe=None, exif=b"")
    save(held, tmp_path / f"a{suffix}", options)
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.info["icc_profile"] == output._srgb()
        left, right = (image.convert("RGBA").getpixel((x, 8)) for x in (3, 12))
    assert np.abs(np.subtract(left, (255, 0, 0, 255))).max() < 6
    if suffix in FORMATS["jpeg"]:
        assert np.abs(np.subtract(right, (0, 0, 255, 255))).max() < 6
    else:
        assert right[3] < 3


@pytest.mark.parametrize("suffix", [s for many in FORMATS.values() for s in many])
def test_exif_is_kept_only_where_asked_for(suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    picture = painted(made())
    picture.exif = exif.tobytes()
    save(picture, tmp_path / f"a{suffix}", Options())
    save(picture, tmp_path / f"b{suffix}", Options(keep_exif=True))
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.getexif().get(0x010F) is None
    with Image.open(tmp_path / f"b{suffix}") as image:
        assert image.getexif().get(0x010F) == "Maker"
    assert recipe.read(tmp_path / f"b{suffix}") == picture.recipe
