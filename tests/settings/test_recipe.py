"""Recipes: written to every output format, read again, and compared."""

import io
import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import GIVEN
from PIL import Image, PngImagePlugin

from stylize import OptionError, Options, PictureError
from stylize.images import encode as encoding
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


def recipe_of(**options: Any) -> Recipe:
    return Recipe.of(Options(**options), **FACTS)


def result_with(recipe: Recipe | None, channels: int = 3) -> Any:
    """Return an object with the attributes of a `Result` from which a file is made."""
    pixels = np.random.default_rng(0).random((9, 14, channels), dtype=np.float32)
    return SimpleNamespace(pixels=pixels, recipe=recipe, exif=b"")


def save(result: Any, path: Path, options: Options) -> None:
    encoding.save(result.pixels, path, options, result.recipe, result.exif)


def encode(result: Any, format: str, options: Options) -> bytes:
    return encoding.encode(result.pixels, format, options, result.recipe, result.exif)


SUFFIXES = [suffix for suffixes in FORMATS.values() for suffix in suffixes]
SUFFIXES_AND_DEPTHS = [(suffix, 8) for suffix in SUFFIXES] + [(".tif", 16)]


@pytest.mark.parametrize(("suffix", "depth"), SUFFIXES_AND_DEPTHS)
@pytest.mark.parametrize("channels", [3, 4])
def test_a_recipe_in_a_file_can_be_read_again(
    suffix: str, depth: int, channels: int, tmp_path: Path
) -> None:
    options = Options(depth=depth, blend="0.25,0.75", style_weight=1.5)
    written = Recipe.of(options, **FACTS)
    save(result_with(written, channels), tmp_path / f"a{suffix}", options)
    assert recipe.read_recipe(tmp_path / f"a{suffix}") == written
    shown = recipe.show_recipe(tmp_path / f"a{suffix}")
    assert json.loads(shown)["options"]["style_weight"] == 1.5
    (tmp_path / "a.json").write_text(shown)
    assert recipe.read_recipe(tmp_path / "a.json") == written
    save(result_with(None, channels), tmp_path / f"b{suffix}", options)
    with pytest.raises(PictureError, match=rf"b\{suffix}: carries no recipe"):
        recipe.read_recipe(tmp_path / f"b{suffix}")


@pytest.mark.parametrize(("suffix", "depth"), SUFFIXES_AND_DEPTHS)
def test_a_file_has_the_same_bytes_at_any_time(suffix: str, depth: int) -> None:
    options = Options(depth=depth)
    result = result_with(Recipe.of(options, **FACTS))
    format = encoding.format_of(f"a{suffix}")
    data = encode(result, format, options)
    assert encode(result, format, options) == data
    year = datetime.now(UTC).strftime("%Y")
    assert encoding._srgb_profile()[24:36] == bytes(12), "the date is zero"
    assert year.encode() not in data.replace(encoding._srgb_profile(), b"")


def test_every_option_that_pixels_depend_on_is_recorded() -> None:
    names = {field.name for field in fields(Options)}
    assert names - recipe_of().options.keys() == {"device", "keep_exif", "mask"}


def test_a_recipe_has_no_path() -> None:
    recorded = recipe_of(
        init="/home/me/start.png", weights="/home/me/vgg.pth:caffe", mask=["/home/me/m"]
    )
    assert "home" not in recorded.text()
    assert recorded.options["init"] == recorded.options["weights"] == "file"
    assert not recorded.option_values().keys() & {"init", "weights"}


def test_recorded_options_are_the_options_of_the_run() -> None:
    options = Options(size=300, style_layers="relu1_1:0.5,relu4_1", seed=2**60, tv_weight=1e-7)
    recorded = json.loads(Recipe.of(options, **FACTS).text())["options"]
    assert Options(**recorded) == options


def test_keep_exif_is_recorded_but_never_set_from_a_recipe() -> None:
    """Folder runs compare it; but a stranger's recipe must not publish where a photo was taken."""
    assert "keep_exif" not in recipe_of().options
    assert recipe_of(keep_exif=True).options["keep_exif"] is True
    assert "keep_exif" not in recipe_of(keep_exif=True).option_values()


@pytest.mark.parametrize("option", fields(Options), ids=lambda option: option.name)
def test_a_changed_option_counts_where_the_file_depends_on_it(option: Any) -> None:
    """Some options have no effect at all, or none in some formats."""
    _, value = GIVEN[option.name]
    digests = {"content": "ab", "styles": ["cd", "ef"]}
    changed = Options(**{option.name: value})
    if option.name == "mask":
        digests["masks"] = ["12"]
    for format in FORMATS:
        assert recipe_of().matches(Options(), {"content": "ab", "styles": ["cd", "ef"]}, format)
        ignored = option.name == "device"
        ignored |= option.name == "jpeg_quality" and format in ("png", "tiff")
        ignored |= option.name == "background" and format != "jpeg"
        ignored |= option.name == "dpi" and format in ("webp", "avif")
        ignored |= option.name == "learning_rate"  # because the optimiser is not Adam
        assert recipe_of().matches(changed, digests, format) == ignored, format


def test_the_dots_per_inch_count_in_all_formats_for_a_size_on_paper() -> None:
    recorded = recipe_of(size="9cm", dpi=100)
    digests = {"content": "ab", "styles": ["cd", "ef"]}
    for format in FORMATS:
        assert recorded.matches(Options(size="9cm", dpi=100), digests, format)
        assert not recorded.matches(Options(size="9cm", dpi=150), digests, format)


def test_changed_files_or_an_incomplete_run_do_not_match() -> None:
    options = Options(init="a.png", weights="b.pth")
    digests = {**FACTS["digests"], "init": "23"}
    recorded = Recipe.of(options, **{**FACTS, "digests": digests})
    assert recorded.matches(options, digests, "png")
    other = Recipe.of(options, **{**FACTS, "torch": "9", "device": "cuda", "digests": digests})
    assert other.matches(options, digests, "png"), "another machine does not count"
    assert not replace(recorded, complete=False).matches(options, digests, "png")
    for changes in ({"content": "x"}, {"styles": ["ef", "cd"]}, {"init": ""}, {"weights": "02"}):
        assert not recorded.matches(options, {**digests, **changes}, "png"), changes
    assert not recorded.matches(options, {**digests, "masks": ["12"]}, "png")
    assert not recorded.matches(options, FACTS["digests"], "png")


def test_an_option_without_effect_because_of_another_does_not_count() -> None:
    digests = FACTS["digests"]
    for name, value, others in (
        ("learning_rate", 0.1, {"optimizer": "adam"}),
        ("effort", "best", {"iterations": 30}),
    ):
        for given, ignored in (({}, name == "learning_rate"), (others, name == "effort")):
            options = Options(**given)
            changed = options.replace(**{name: value})
            matches = Recipe.of(options, **FACTS).matches(changed, digests, "png")
            assert matches == ignored, (name, given)


def test_files_must_be_named_again() -> None:
    recorded = recipe_of(init="a.png")
    with pytest.raises(OptionError, match="file as --init; name it again"):
        recorded.check_files_named(Options())
    recorded.check_files_named(Options(init="b.png"))
    masked = replace(recipe_of(), digests={"masks": ["1", "2"]})
    with pytest.raises(OptionError, match="2 masks; give --mask again"):
        masked.check_files_named(Options())
    masked.check_files_named(Options(mask=["a", "b"]))
    recipe_of(init="a.png").check_files_named(Options(init="noise"), typed=["init"])
    assert masked.option_values().keys() & {"mask"} == set()
    assert recipe_of().option_values()["mask"] == ()
    with pytest.raises(OptionError, match="file as --weights"):
        recipe_of(weights="a.pth:caffe").check_files_named(Options(weights="torchvision"))


def test_differences_from_a_recipe_are_described() -> None:
    recorded = recipe_of()
    assert recorded.differences(recorded) == []
    other = replace(recorded, torch="3.0", digests={**recorded.digests, "styles": ["cd"]})
    assert recorded.differences(other) == [
        "the paintings: not the same as in the recipe",
        "torch: 2.15.0 in the recipe, 3.0 here",
    ]
    first, second = (
        replace(recorded, digests={**recorded.digests, "enlarge": digest}) for digest in "ab"
    )
    assert first.differences(second) == ["the --enlarge picture: not the same as in the recipe"]
    assert recorded.differences(first) == [], "it may be the picture that is enlarged"
    assert first.differences(second, enlarged=True) == [], "what is enlarged was enlarged itself"
    assert "interrupted" in replace(recorded, complete=False).differences(recorded)[0]


def picture_file(**settings: Any) -> bytes:
    """Return a small picture file that Pillow writes with these settings."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, **settings)
    return file.getvalue()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"options": 1}', "null", "[" * 100000, '{"stylize": 1}']
)
def test_a_damaged_recipe_is_refused(text: str, tmp_path: Path) -> None:
    chunk = PngImagePlugin.PngInfo()
    chunk.add_text(recipe.KEY, text)
    (tmp_path / "a.png").write_bytes(picture_file(format="PNG", pnginfo=chunk))
    with pytest.raises(PictureError, match=r"a\.png: its recipe is damaged"):
        recipe.read_recipe(tmp_path / "a.png")


def test_xmp_that_another_program_has_rewritten_is_read(tmp_path: Path) -> None:
    """The attribute has become an element, beside others."""
    recorded = recipe_of()
    text = recorded.text().replace("&", "&amp;").replace("<", "&lt;")
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
        ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
        ' xmlns:s="urn:stylize:"><s:other>1</s:other>'
        f"<s:recipe>{text}</s:recipe></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    (tmp_path / "a.jpg").write_bytes(picture_file(format="JPEG", xmp=packet.encode()))
    assert recipe.read_recipe(tmp_path / "a.jpg") == recorded


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
def test_a_recipe_with_forbidden_options_or_malformed_values_is_refused(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    chunk = PngImagePlugin.PngInfo()
    recorded = json.loads(recipe_of().text())
    chunk.add_text(recipe.KEY, json.dumps({**recorded, **changes}))
    (tmp_path / "a.png").write_bytes(picture_file(format="PNG", pnginfo=chunk))
    with pytest.raises(PictureError, match=r"a\.png: its recipe"):
        recipe.show_recipe(tmp_path / "a.png")


@pytest.mark.parametrize("encoding", ["foo", "utf-7", "idna", "gb2312"])
def test_xmp_in_an_unusual_encoding_is_not_a_recipe(encoding: str, tmp_path: Path) -> None:
    packet = f'<?xml version="1.0" encoding="{encoding}"?><a/>'.encode()
    (tmp_path / "a.jpg").write_bytes(picture_file(format="JPEG", xmp=packet))
    with pytest.raises(PictureError, match="carries no recipe"):
        recipe.read_recipe(tmp_path / "a.jpg")


#: XML that says a recipe by an entity, which it defines.
WITH_ENTITY = (
    '<?xml version="1.0"{}?><!DOCTYPE a [<!ENTITY b "recipe">]>'
    '<a xmlns:s="urn:stylize:"><s:recipe>&b;</s:recipe></a>'
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("declared", [True, False])
def test_entities_are_followed_in_no_encoding(
    encoding: str, declared: bool, tmp_path: Path
) -> None:
    """They could be nested, and stand for gigabytes."""
    said = f' encoding="{encoding[:6].rstrip("-")}"' if declared else ""
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    packet = (mark + WITH_ENTITY.format(said)).encode(encoding)
    (tmp_path / "a.jpg").write_bytes(picture_file(format="JPEG", xmp=packet))
    with pytest.raises(PictureError, match="carries no recipe"):
        recipe.read_recipe(tmp_path / "a.jpg")


LONG = "x" * 100_000


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {LONG: 1}},
        {"options": {"seed": LONG}},
        {"options": {"content_layers": LONG}},
        {"options": {"style_layers": f"relu1_1:{LONG}"}},
        {"options": {"blend": LONG}},
        {"options": {"device": LONG}},
        {"options": {"background": LONG}},
        {"options": {"tv_weight": LONG}},
        {"options": {"tv_weight": "-" + "0" * 5000 + "1"}},
        {"options": {"optimizer": LONG}},
        {"options": {"size": LONG}},
        {"options": {"init": LONG}},
        {"stylize": LONG, "options": {"of_the_future": 1}},
        {"torch": LONG},
        {"device": LONG},
    ],
    ids=lambda changes: str(changes)[:40],
)
@pytest.mark.usefixtures("painter")
def test_a_recipes_value_is_never_printed_longer_than_a_line(
    changes: dict[str, Any], run: Any
) -> None:
    text = json.dumps({**json.loads(recipe_of().text()), **changes})
    chunk = PngImagePlugin.PngInfo()
    chunk.add_text(recipe.KEY, text)
    Path("a.png").write_bytes(picture_file(format="PNG", pnginfo=chunk))
    result = run("PHOTO", "PAINTING", "-o", "out.png", "--recipe", "a.png")
    assert result.exit_code in (2, 3)
    assert len(result.stderr) < 400


@pytest.mark.parametrize(
    "packet", [b"<", b"nothing", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"\xff\xfe\0"]
)
def test_xmp_of_another_kind_is_not_a_recipe(packet: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture_file(format="JPEG", xmp=packet))
    with pytest.raises(PictureError, match="carries no recipe"):
        recipe.read_recipe(tmp_path / "a.jpg")


def test_a_file_that_is_not_a_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(PictureError, match=r"a\.txt: not a picture"):
        recipe.read_recipe(tmp_path / "a.txt")
    with pytest.raises(PictureError, match=r"none.png: cannot be read \(No such file"):
        recipe.read_recipe(tmp_path / "none.png")
    with pytest.raises(PictureError, match="cannot be read"):
        recipe.read_recipe(tmp_path)


def test_a_result_of_sixteen_bits_is_written_exactly(tmp_path: Path) -> None:
    import tifffile

    options = Options(depth=16)
    result = result_with(recipe_of(), 4)
    save(result, tmp_path / "a.tif", options)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        assert page.extrasamples == (2,)
        assert page.photometric.name == "RGB"
        assert page.tags["InterColorProfile"].value == encoding._srgb_profile()
        assert "Software" not in page.tags
        read = page.asarray()
    assert read.dtype == np.uint16
    assert np.array_equal(read, np.rint(result.pixels * 65535))
    with pytest.raises(OptionError, match="--depth 16: png"):
        encoding.check_output(tmp_path / "a.png", depth=16)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_transparency_the_profile_and_the_background_are_written(
    suffix: str, tmp_path: Path
) -> None:
    pixels = np.zeros((16, 16, 4), np.float32)
    pixels[:, :8] = [1, 0, 0, 1]
    options = Options(background="#0000ff")
    result = SimpleNamespace(pixels=pixels, recipe=None, exif=b"")
    save(result, tmp_path / f"a{suffix}", options)
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.info["icc_profile"] == encoding._srgb_profile()
        left, right = (image.convert("RGBA").getpixel((x, 8)) for x in (3, 12))
    assert np.abs(np.subtract(left, (255, 0, 0, 255))).max() < 6
    if suffix in FORMATS["jpeg"]:
        assert np.abs(np.subtract(right, (0, 0, 255, 255))).max() < 6
    else:
        assert right[3] < 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_exif_is_written_only_on_request(suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    result = result_with(recipe_of())
    result.exif = exif.tobytes()
    save(result, tmp_path / f"a{suffix}", Options())
    save(result, tmp_path / f"b{suffix}", Options(keep_exif=True))
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.getexif().get(0x010F) is None
    with Image.open(tmp_path / f"b{suffix}") as image:
        assert image.getexif().get(0x010F) == "Maker"
    assert recipe.read_recipe(tmp_path / f"b{suffix}") == result.recipe
