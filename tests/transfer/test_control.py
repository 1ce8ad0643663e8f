"""What each option does to a picture, alone and in pairs, on the real network."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from conftest import to_tensor
from PIL import Image
from torch import Tensor

from stylize import STOP, OptionError, Options, PictureError, Result, Stylizer
from stylize.images.picture import load_picture
from stylize.settings.presets import PRESETS
from stylize.settings.recipe import read_recipe
from stylize.transfer import color
from stylize.transfer import targets as module
from stylize.transfer.job import Job
from stylize.transfer.losses import mean_gram
from stylize.transfer.objective import Objective
from stylize.transfer.start import random_phase_noise, start_image
from stylize.transfer.targets import find_targets, style_statistics

#: Layers that take less time, for tests in which deep layers do not matter.
SHALLOW: dict[str, Any] = {
    "content_layers": "relu2_2",
    "style_layers": "relu1_1,relu2_1,relu3_1",
}
#: For options whose effect is seen early and at a small size.
FEW: dict[str, Any] = {"size": 48, "iterations": 12}
#: Pure texture by few layers.
TEXTURE: dict[str, Any] = {
    "content_weight": 0,
    "iterations": 20,
    "size": 96,
    "style_layers": "relu1_1,relu2_1",
}


@pytest.fixture
def disc(tmp_path: Path, photo: str) -> str:
    """The photo, cut out as a disc; all that is transparent is green."""
    image = Image.open(photo).convert("RGB").resize((96, 64))
    y, x = np.mgrid[:64, :96]
    alpha = (255 * np.clip(28 - np.hypot(y - 32, x - 48), 0, 1)).astype(np.uint8)
    pixels = np.where(alpha[:, :, None] > 0, np.asarray(image), [0, 255, 0]).astype(np.uint8)
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "disc.png")
    return str(tmp_path / "disc.png")


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A mask: white on the left, black on the right, with a soft edge."""
    path = tmp_path_factory.mktemp("masks") / "half.png"
    ramp = np.clip((45 - np.arange(90)) / 6 + 0.5, 0, 1)
    Image.fromarray(np.uint8(np.tile(255 * ramp, (60, 1)))).save(path)
    return str(path)


@pytest.fixture(scope="module")
def inverted_half(half: str) -> str:
    """The inverse of that mask."""
    path = half.replace(".png", "-inverted.png")
    Image.eval(Image.open(half), lambda v: 255 - v).save(path)
    return path


def tensor_of(result: Result) -> Tensor:
    return torch.from_numpy(result.pixels).permute(2, 0, 1)[None, :3].contiguous()


def tensor_like(path: str, result: Result) -> Tensor:
    """A picture in the size of a result."""
    return to_tensor(path, (result.pixels.shape[1], result.pixels.shape[0]))


def difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().mean().item()


def gram_distance(
    stylizer: Stylizer, image: Tensor, style: Tensor, layer: str = "relu2_1"
) -> float:
    """Relative distance between the Gram matrices of two pictures of any size."""
    one, other = (mean_gram(stylizer.vgg(x, [layer])[layer]) for x in (image, style))
    return ((one - other).norm() / other.norm()).item()


# Colour


def test_color_content_gives_the_lightness_of_the_style_and_the_chroma_of_the_content(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    results = [stylizer(photo, painting, color=mode, **FEW) for mode in ("style", "content")]
    style, content = (color.to_oklab(tensor_of(result)) for result in results)
    content_image = color.to_oklab(tensor_like(photo, results[0]))
    assert difference(content[:, :1], style[:, :1]) < 0.005
    before = difference(style[:, 1:], content_image[:, 1:])
    assert difference(content[:, 1:], content_image[:, 1:]) < 0.3 * before


def test_color_match_moves_the_palette_and_preserves_the_strokes(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    few: dict[str, Any] = {"iterations": 20, **SHALLOW}
    results = [stylizer(photo, painting, color=mode, **few) for mode in ("style", "match")]
    style, match = map(tensor_of, results)
    content_image = tensor_like(photo, results[0])

    def palette(image: Tensor) -> tuple[Tensor, Tensor]:
        flat = image[0].flatten(1)
        return flat.mean(1), torch.cov(flat)

    for matched, unmatched, target in zip(
        palette(match), palette(style), palette(content_image), strict=True
    ):
        assert (matched - target).norm() < 0.5 * (unmatched - target).norm()
    # The details are not those of the content image: they differ as they do in a painting.
    details = [x - torch.nn.functional.avg_pool2d(x, 5, 1, 2) for x in (match, content_image)]
    assert difference(*details) > 0.3 * details[1].abs().mean().item()


# Masks


def test_the_content_image_stays_where_a_mask_is_black(
    stylizer: Stylizer, photo: str, painting: str, half: str, inverted_half: str
) -> None:
    few: dict[str, Any] = {"iterations": 8, **SHALLOW}
    left_only, right_only = (
        stylizer(photo, painting, mask=mask, **few) for mask in (half, inverted_half)
    )
    content, middle = tensor_like(photo, left_only), left_only.pixels.shape[1] // 2
    left, right = (..., slice(0, middle - 6)), (..., slice(middle + 6, None))
    assert difference(tensor_of(left_only)[right], content[right]) < 1e-6
    assert difference(tensor_of(left_only)[left], content[left]) > 0.05
    assert difference(tensor_of(right_only)[left], content[left]) < 1e-6
    assert difference(tensor_of(right_only)[right], content[right]) > 0.05


def test_an_inverted_mask_needs_no_second_file(
    stylizer: Stylizer, photo: str, painting: str, half: str, inverted_half: str
) -> None:
    few = {"iterations": 2}
    plain = stylizer(photo, painting, mask=half, **few)
    named = stylizer(photo, painting, mask=inverted_half, **few)
    inverted = stylizer(photo, painting, mask=f"not:{half}", **few)
    assert difference(tensor_of(named), tensor_of(inverted)) < 0.01
    digests = [result.recipe.digests["masks"] for result in (plain, inverted)]
    assert digests[1] == [f"not:{digests[0][0]}"]


def test_a_grey_mask_gives_half_of_each(stylizer: Stylizer, photo: str, tmp_path: Path) -> None:
    Image.new("L", (3, 2), 128).save(tmp_path / "grey.png")
    red = Image.new("RGB", (40, 40), (250, 20, 20))
    options = {**TEXTURE, "size": 64}
    full = stylizer(photo, red, **options)
    result = stylizer(photo, red, mask=tmp_path / "grey.png", **options)
    content = tensor_like(photo, result)
    change, full_change = tensor_of(result) - content, tensor_of(full) - content
    share = change.flatten() @ full_change.flatten() / full_change.square().sum()
    assert share == pytest.approx(0.5, abs=0.06)


def test_each_style_goes_where_its_mask_is_white(
    stylizer: Stylizer, photo: str, painting: str, half: str, inverted_half: str
) -> None:
    other = painting.replace("great-wave", "composition-viii")
    masks = [half, inverted_half]
    result = stylizer(photo, painting, other, mask=masks, style_weight=5, **SHALLOW)
    middle = result.pixels.shape[1] // 2
    left, right = tensor_of(result)[..., : middle - 3], tensor_of(result)[..., middle + 3 :]
    first, second = (to_tensor(path, (64, 48)) for path in (painting, other))
    for part, style, wrong in ((left, first, second), (right, second, first)):
        assert gram_distance(stylizer, part, style) < 0.7 * gram_distance(stylizer, part, wrong)


def test_a_style_has_no_effect_beyond_the_border_of_its_region(
    stylizer: Stylizer, photo: str, painting: str, half: str, inverted_half: str
) -> None:
    """The gradient of one region's style is nearly 0 in the middle of the other region."""
    options = stylizer.options.replace(mask=[half, inverted_half], content_weight=0, size=128)
    job = Job.prepare(options, photo, [painting, painting])
    targets = find_targets(stylizer.vgg, stylizer.cache, job, job.size)
    assert len(targets.regions) == 2
    left_only = replace(targets, regions=targets.regions[:1])
    _, gradient = Objective.build(left_only)(start_image(job, job.size))
    strength = gradient.abs().mean((0, 1, 2))
    middle = len(strength) // 2
    assert strength[middle + 8 :].mean() < 0.02 * strength[: middle - 8].mean()


@pytest.mark.parametrize("size", [(1, 1), (7, 500), (900, 600)])
def test_a_white_mask_of_any_size_changes_nothing(
    size: tuple[int, int], stylizer: Stylizer, photo: str, painting: str, tmp_path: Path
) -> None:
    Image.new("1", size, 1).save(tmp_path / "white.png")
    few: dict[str, Any] = {"size": 48, "iterations": 6}
    unmasked = stylizer(photo, painting, **few)
    masked = stylizer(photo, painting, mask=tmp_path / "white.png", **few)
    assert difference(tensor_of(masked), tensor_of(unmasked)) < 0.01


def test_a_mask_may_be_a_line_too_thin_for_deep_layers(
    stylizer: Stylizer, photo: str, painting: str, tmp_path: Path
) -> None:
    mask = Image.new("L", (96, 64))
    mask.paste(255, (0, 63, 96, 64))
    mask.save(tmp_path / "line.png")
    result = stylizer(photo, painting, mask=tmp_path / "line.png", iterations=4)
    assert np.isfinite(result.pixels).all()
    content = tensor_like(photo, result)
    assert difference(tensor_of(result)[:, :, :-2], content[:, :, :-2]) < 1e-6


def test_a_layer_that_does_not_see_a_region_has_no_term_for_it(
    stylizer: Stylizer, photo: str, painting: str, tmp_path: Path
) -> None:
    """White in the last row alone, which poolings of an odd height leave out."""
    mask = np.zeros((43, 64), np.uint8)
    mask[42] = 255
    Image.fromarray(mask).save(tmp_path / "row.png")
    job = Job.prepare(stylizer.options.replace(mask=tmp_path / "row.png"), photo, [painting])
    targets = find_targets(stylizer.vgg, stylizer.cache, job, job.size)
    objective = Objective.build(targets)
    assert {term.layer for term in objective.terms if term.name == "style"} == {"relu1_1"}
    losses, gradient = objective(start_image(job, job.size))
    assert np.isfinite(list(losses.as_dict().values())).all()
    assert gradient.isfinite().all()


def test_masks_of_the_wrong_kind_or_number_are_refused(
    stylizer: Stylizer, photo: str, painting: str, half: str, tmp_path: Path
) -> None:
    Image.new("L", (20, 20)).save(tmp_path / "black.png")
    with pytest.raises(OptionError, match=r"--mask: 1 mask for 2 styles; give one each"):
        stylizer(photo, painting, painting, mask=half)
    with pytest.raises(OptionError, match="leave --blend out"):
        stylizer(photo, painting, painting, mask=[half, half], blend="equal")
    with pytest.raises(PictureError, match="is a colour picture"):
        stylizer(photo, painting, mask=photo.replace("chelsea", "coffee"))
    with pytest.raises(PictureError, match=r"black\.png.*nowhere"):
        stylizer(photo, painting, mask=tmp_path / "black.png")
    with pytest.raises(PictureError, match=r"none\.png: no such file"):
        stylizer(photo, painting, mask="none.png")


@pytest.mark.parametrize("masks", [3, 7])
def test_overlapping_masks_give_values_in_range(
    masks: int, stylizer: Stylizer, photo: str, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(masks)]
    for path in paths:
        Image.effect_noise((40, 30), 90).save(path)
    white = Image.new("RGB", (40, 40), "white")
    few: dict[str, Any] = {"content_weight": 0, "size": 48, "iterations": 4}
    result = stylizer(photo, *[white] * masks, mask=paths, **few)
    assert 0 <= result.pixels.min() <= result.pixels.max() <= 1
    load_picture(result.pixels)


# Transparent inputs


def test_the_transparent_part_of_a_style_image_has_no_effect(
    stylizer: Stylizer, photo: str, tmp_path: Path
) -> None:
    """Half of it is red, the other half is a blue that is transparent, or is not."""
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :32], pixels[:, 32:] = [220, 30, 30, 255], [30, 30, 220, 0]
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    Image.fromarray(pixels[:, :, :3]).save(tmp_path / "opaque.png")
    options = {**TEXTURE, "size": 32, "iterations": 30}
    blue = {
        name: stylizer(photo, tmp_path / f"{name}.png", **options).pixels[..., 2].mean()
        for name in ("cut", "opaque")
    }
    assert blue["cut"] < 0.3 < blue["opaque"]


def test_the_visible_part_of_a_style_image_may_be_smaller_than_what_a_layer_sees(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    """Only its last rows are visible, which poolings of an odd height leave out."""
    cut = np.array(Image.open(painting).convert("RGBA").resize((64, 47)))
    cut[:45, :, 3] = 0
    for changes in ({}, {"color": "match"}, {"init": "style", "color": "match"}):
        result = stylizer(photo, cut, iterations=3, scales=1, **changes)
        assert np.isfinite(result.pixels).all()
        assert result.losses[-1].total < result.losses[0].total
    cut[..., 3] = 3
    for pair in ((photo, cut), (cut, painting)):
        with pytest.raises(PictureError, match="is wholly transparent"):
            stylizer(*pair)


def test_colours_are_matched_to_the_visible_part_of_the_content_image(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    """A small red part is visible; the rest is white and transparent."""
    pixels = np.full((60, 90, 4), 255, np.uint8)
    pixels[..., 3] = 0
    pixels[20:40, 30:60] = (210, 40, 30, 255)
    options = {**TEXTURE, "size": 48, "iterations": 30}
    result = stylizer(pixels, painting, color="match", **options)
    red, green, blue = result.pixels[..., :3].mean((0, 1))
    assert red > 0.6
    assert max(green, blue) < 0.4


def test_a_transparent_content_image_gives_a_transparent_result(
    stylizer: Stylizer, disc: str, painting: str, tmp_path: Path
) -> None:
    result = stylizer(disc, painting, iterations=3)
    assert result.pixels.shape == (43, 64, 4)
    alpha = result.pixels[..., 3]
    assert alpha[21, 32] == 1
    assert alpha[0, 0] == 0
    assert alpha.mean() == pytest.approx(np.pi * 27.5**2 / (96 * 64), abs=0.01)
    assert result.image.mode == "RGBA"
    for suffix in ("png", "webp", "tif", "avif"):
        result.save(tmp_path / f"a.{suffix}")
        with Image.open(tmp_path / f"a.{suffix}") as image:
            assert image.mode == "RGBA", suffix
            assert image.getpixel((0, 0))[3] < 3
            assert image.getpixel((32, 21))[3] > 252
    result.save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.getpixel((0, 0)) == (255, 255, 255)


def test_the_colour_of_transparent_pixels_has_no_effect(
    stylizer: Stylizer, disc: str, painting: str
) -> None:
    black = np.asarray(Image.open(disc)).copy()
    black[black[..., 3] == 0] = 0
    one, other = (
        stylizer(image, painting, iterations=4) for image in (disc, Image.fromarray(black))
    )
    assert np.array_equal(one.pixels, other.pixels)


# Scale


def coarse_grain(result: Result) -> float:
    """Correlation of the lightness of pixels that are four apart: high for large strokes."""
    x = tensor_of(result).mean(1)
    x = x - x.mean()
    return ((x[..., 4:] * x[..., :-4]).mean() / x.square().mean()).item()


def test_a_larger_style_scale_gives_larger_strokes(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    texture = {**TEXTURE, "iterations": 40}
    results = [stylizer(photo, painting, style_scale=k, **texture) for k in (0.5, 1, 2)]
    small, medium, large = map(coarse_grain, results)
    assert small + 0.03 < medium < large - 0.03


@pytest.mark.parametrize("init", ["faint", "content"])
def test_each_step_of_strength_is_further_from_the_photo_and_nearer_to_the_painting(
    init: str, stylizer: Stylizer, photo: str, painting: str
) -> None:
    results = [
        stylizer(photo, painting, strength=strength, init=init, size=64, iterations=40)
        for strength in (0, 0.25, 0.5, 0.75, 1)
    ]
    images = [tensor_of(result) for result in results]
    content = tensor_like(photo, results[0])
    style = to_tensor(painting, (64, 64))
    from_photo = [difference(image, content) for image in images]
    from_painting = [gram_distance(stylizer, image, style) for image in images]
    assert from_photo[0] < 0.02
    steps = [after - before for before, after in pairwise(from_photo)]
    assert min(steps) > 0.1 * max(steps)
    assert from_painting == sorted(from_painting, reverse=True)


def test_a_weaker_style_has_statistics_between_those_of_photo_and_painting(
    stylizer: Stylizer, photo: str, painting: str, half: str, inverted_half: str
) -> None:
    masks = (half, inverted_half)
    regions = {}
    for strength in (0, 0.25, 1):
        options = stylizer.options.replace(size=64, strength=strength, mask=masks)
        job = Job.prepare(options, photo, [painting, photo])
        regions[strength] = find_targets(stylizer.vgg, stylizer.cache, job, job.size).regions
    for none, some, whole in zip(*regions.values(), strict=True):
        for layer in whole.grams:
            for one, other, full in (
                (none.grams, some.grams, whole.grams),
                (none.means, some.means, whole.means),
            ):
                expected = 0.75 * one[layer] + 0.25 * full[layer]
                assert torch.allclose(other[layer], expected, rtol=1e-4, atol=1e-5)
    assert len(regions[0]) == 2


@pytest.mark.parametrize("size", [(300, 40), (33, 290), (97, 81), (64, 64), (65, 70)])
@pytest.mark.parametrize("cut", [False, True])
def test_tiles_give_the_statistics_of_the_whole_picture(
    size: tuple[int, int], cut: bool, stylizer: Stylizer, painting: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Down to the deepest layer, for pictures longer than what it sees around a tile."""
    layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1", "relu5_4"]
    image = to_tensor(painting, size)
    visible = image[:, :1] if cut else None
    whole = style_statistics(stylizer.vgg, image, layers, visible)
    monkeypatch.setattr(module, "TILE", 64)
    sides: list[int] = []

    def recorded(tile: Tensor, layers: list[str]) -> dict[str, Tensor]:
        sides.extend(tile.shape[2:])
        return stylizer.vgg(tile, layers)

    tiled = style_statistics(recorded, image, layers, visible)  # type: ignore[arg-type]
    for layer in layers:
        for part, expected in zip(tiled, whole, strict=True):
            torch.testing.assert_close(part[layer], expected[layer], rtol=1e-3, atol=1e-3)
    assert max(sides) <= 64 + 2 * module.AROUND


def test_the_network_never_sees_more_than_a_tile_of_a_style_image(
    stylizer: Stylizer, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that memory has a limit for any style image and any style scale."""
    sides: list[int] = []
    original = stylizer.vgg.__class__.__call__

    def recorded(self: Any, image: Tensor, *args: Any) -> dict[str, Tensor]:
        sides.extend(image.shape[2:])
        return original(self, image, *args)

    monkeypatch.setattr(stylizer.vgg.__class__, "__call__", recorded)
    monkeypatch.setattr(module, "TILE", 128)
    scan = Image.effect_noise((3000, 2000), 60)
    few: dict[str, Any] = {"iterations": 1, "scales": 1, **SHALLOW, "style_layers": "relu1_1"}
    stylizer(photo, scan, size=256, style_scale=2, **few)
    assert 256 < max(sides) <= 128 + 2 * module.AROUND


# Start


def test_a_result_is_nearer_to_its_start_than_one_from_noise(
    stylizer: Stylizer, photo: str, painting: str, tmp_path: Path
) -> None:
    Image.new("RGB", (30, 30), (200, 40, 40)).save(tmp_path / "red.png")
    few: dict[str, Any] = {"scales": 2, "iterations": 8}
    from_noise = stylizer(photo, painting, **few)
    for init in ("content", "style", str(tmp_path / "red.png")):
        result = stylizer(photo, painting, init=init, **few)
        job = Job.prepare(result.options, photo, [painting])
        start = start_image(job, job.size)
        limit = 0.8 * difference(tensor_of(from_noise), start)
        assert difference(tensor_of(result), start) < limit, init


def test_the_default_starts_from_noise_over_a_faint_photo(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    """Without content, as for a texture, from noise alone."""

    def start(**changes: Any) -> Tensor:
        job = Job.prepare(stylizer.options.replace(**changes), photo, [painting])
        return start_image(job, (64, 43))

    noise = start(init="noise")
    torch.testing.assert_close(start(), noise + 0.1 * (to_tensor(photo, (64, 43)) - 0.5))
    assert torch.equal(start(content_weight=0), noise)


@pytest.mark.parametrize("init", ["content", "style"])
def test_a_start_picture_gives_each_scale_its_detail(
    init: str, stylizer: Stylizer, photo: str, painting: str
) -> None:
    """Where the coarser scale changed nothing, the finer one starts from the picture.

    Over the photo, noise like the painting's would come on top; here the painting has no weight.
    """
    job = Job.prepare(stylizer.options.replace(init=init, style_weight=0), photo, [painting])
    coarse = start_image(job, (32, 21))
    fine = start_image(job, (64, 43), coarse)
    torch.testing.assert_close(fine, start_image(job, (64, 43)))
    brighter = start_image(job, (64, 43), coarse + 0.25)
    torch.testing.assert_close(brighter, fine + 0.25)


def test_from_noise_each_scale_gets_the_detail_of_the_photo_and_noise_like_the_painting(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    """Where the painting is flat or has no weight, there is the photo's detail alone."""

    def finer(style: Any, **changes: Any) -> Tensor:
        job = Job.prepare(stylizer.options.replace(**changes), photo, [style])
        return start_image(job, (64, 43), torch.full((1, 3, 21, 32), 0.25))

    whole, half = to_tensor(photo, (64, 43)), to_tensor(photo, (32, 21))
    detail = 0.25 + whole - torch.nn.functional.interpolate(half, (43, 64), mode="bicubic")
    flat = Image.new("RGB", (40, 30), "orange")
    torch.testing.assert_close(finer(flat), detail)
    torch.testing.assert_close(finer(painting, style_weight=0), detail)
    noise = finer(painting) - detail
    for init in ("noise", "content"):
        torch.testing.assert_close(finer(painting, init=init), detail + noise)
    torch.testing.assert_close(finer(painting, content_weight=0), noise + 0.25)
    assert 0.01 < noise.std() < 0.2
    assert not torch.equal(noise, finer(painting, seed=1) - detail)
    # The noise has no more of what the coarser scale holds than the painting's detail has.
    coarse = torch.nn.functional.avg_pool2d(noise, 4)
    assert coarse.std() < 0.2 * noise.std()


def octave_noise(stylizer: Stylizer, photo: Any, styles: list[Any], **changes: Any) -> Tensor:
    """What a finer scale starts with besides the photo's detail; 43 x 64."""
    options = stylizer.options.replace(**changes)
    job = Job.prepare(options, photo, styles)
    without = Job.prepare(options.replace(style_weight=0), photo, styles)
    coarser = torch.zeros(1, 3, 21, 32)
    return start_image(job, (64, 43), coarser) - start_image(without, (64, 43), coarser)


def test_noise_of_a_new_octave_stays_in_its_style_s_mask(
    stylizer: Stylizer, photo: str, painting: str, half: str
) -> None:
    noise = octave_noise(stylizer, photo, [painting], mask=half)
    assert noise[..., :30].std() > 20 * noise[..., 38:].abs().max()


def test_noise_of_a_new_octave_is_as_strong_in_blends_overlapping_masks_and_cut_out_styles(
    stylizer: Stylizer, photo: str, painting: str, tmp_path: Path
) -> None:
    alone = octave_noise(stylizer, photo, [painting]).std().item()
    blend = octave_noise(stylizer, photo, [painting] * 2, blend="0.3,0.7")
    assert blend.std().item() == pytest.approx(alone, rel=0.1)
    Image.new("L", (8, 8), 255).save(tmp_path / "all.png")
    masks = (str(tmp_path / "all.png"),) * 2
    masked = octave_noise(stylizer, photo, [painting] * 2, mask=masks)
    assert masked.std().item() == pytest.approx(alone, rel=0.1)
    cut = Image.open(painting).convert("RGBA")
    alpha = Image.new("L", cut.size)
    alpha.paste(255, (cut.width // 4, cut.height // 4, 3 * cut.width // 4, 3 * cut.height // 4))
    cut.putalpha(alpha)
    assert octave_noise(stylizer, photo, [cut]).std().item() == pytest.approx(alone, rel=0.5)


def test_noise_of_a_new_octave_has_the_colours_that_its_mask_asks_for(
    stylizer: Stylizer, painting: str, half: str
) -> None:
    """A photo that is grey where the style applies, under `--color match`."""
    colors = np.random.default_rng(0).integers(0, 256, (43, 64, 3), dtype=np.uint8)
    colors[:, :34] = np.linspace(90, 160, 43, dtype=np.uint8)[:, None, None]
    noise = octave_noise(stylizer, Image.fromarray(colors), [painting], mask=half, color="match")
    noise = noise[..., :30]
    grey = noise.mean(1, keepdim=True)
    assert (noise - grey).std() < 0.3 * grey.std()


@pytest.mark.parametrize("size", [(31, 20), (8, 40), (50, 50)])
def test_random_phase_noise_is_white_noise_convolved_with_the_picture(
    size: tuple[int, int],
) -> None:
    """Written out as a sum over shifted copies, on a torus that holds picture and noise."""
    picture = torch.randn(1, 3, 14, 9)
    actual = random_phase_noise(picture, size, seed=5)
    width, height = max(size[0], 9), max(size[1], 14)
    white = torch.randn((1, 1, height, width), generator=torch.Generator().manual_seed(5))
    expected = torch.zeros(1, 3, height, width)
    for y in range(14):
        for x in range(9):
            copy = white.roll((y, x), (2, 3)) * picture[:, :, y, x, None, None]
            expected += copy / (14 * 9) ** 0.5
    torch.testing.assert_close(actual, expected[:, :, : size[1], : size[0]], rtol=1e-4, atol=1e-5)


def test_random_phase_noise_has_the_covariance_of_the_picture(painting: str) -> None:
    picture = to_tensor(painting, (96, 64))
    picture = picture - picture.mean((2, 3), keepdim=True)
    noise = random_phase_noise(picture, (800, 600), seed=0)
    torch.testing.assert_close(
        torch.cov(noise.flatten(2)[0]), torch.cov(picture.flatten(2)[0]), rtol=0.1, atol=2e-4
    )


# Depth, metadata, recipes


def test_a_content_image_of_16_bits_gives_a_tiff_of_16_bits(
    stylizer: Stylizer, photo: str, painting: str, tmp_path: Path
) -> None:
    deep = np.asarray(Image.open(photo).resize((96, 64)), dtype=np.uint16) * 257
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb")
    result = stylizer(tmp_path / "deep.tif", painting, depth=16, iterations=3)
    result.save(tmp_path / "a.tif")
    saved = tifffile.imread(tmp_path / "a.tif")
    assert saved.dtype == np.uint16
    assert len(np.unique(saved)) > 2000
    assert np.abs(saved / 257 - np.asarray(result.image, dtype=float)).max() <= 0.51
    with pytest.raises(OptionError, match="--depth 16"):
        result.save(tmp_path / "a.png")


def test_exif_is_copied_only_on_request(
    stylizer: Stylizer, photo: str, painting: str, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    exif.get_ifd(0x8825)[1] = "N"
    Image.open(photo).resize((60, 90)).save(tmp_path / "in.jpg", exif=exif)
    for keep in (False, True):
        result = stylizer(tmp_path / "in.jpg", painting, keep_exif=keep, iterations=2)
        assert result.image.size == (64, 43), "turned upright"
        for suffix in ("jpg", "png", "webp", "tif", "avif"):
            result.save(tmp_path / f"out.{suffix}")
            with Image.open(tmp_path / f"out.{suffix}") as image:
                saved = image.getexif()
                assert saved.get(0x010F) == ("Maker" if keep else None), suffix
                assert saved.get(0x0112, 1) == 1, suffix
                assert saved.get_ifd(0x8825).get(1) == ("N" if keep else None), suffix


@pytest.fixture(scope="module")
def masked(stylizer: Stylizer, photo: str, painting: str, half: str) -> Result:
    """A result with many options that are not the defaults."""
    changes: dict[str, Any] = {"color": "match", "style_weight": 2, "size": 48, "iterations": 5}
    return stylizer(photo, painting, mask=half, **changes)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif"])
def test_a_recipe_gives_the_same_bytes_again(
    suffix: str, masked: Result, photo: str, painting: str, half: str, tmp_path: Path
) -> None:
    masked.save(tmp_path / f"a.{suffix}")
    recipe = read_recipe(tmp_path / f"a.{suffix}")
    assert recipe == masked.recipe
    options = Options(mask=half, device="cpu").replace(**recipe.option_values())
    job = Job.prepare(options, photo, [painting])
    stylizer = Stylizer(options)
    assert recipe.differences(stylizer.recipe(job)) == []
    stylizer.paint(job).save(tmp_path / f"b.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_a_recipe_has_the_digests_of_the_pictures_and_not_their_paths(
    stylizer: Stylizer, photo: str, painting: str, tmp_path: Path
) -> None:
    (tmp_path / "copy.jpg").write_bytes(Path(photo).read_bytes())
    recipes = []
    pairs = ((photo, painting), (tmp_path / "copy.jpg", painting), (painting, photo))
    for pair in pairs:
        job = Job.prepare(stylizer.options, pair[0], [pair[1]])
        recipes.append(stylizer.recipe(job))
    original, copy, swapped = recipes
    assert original == copy
    assert original.digests["content"] == hashlib.sha256(Path(photo).read_bytes()).hexdigest()
    assert original.digests["weights"].startswith("c34748d2")
    assert original.differences(swapped) == [
        "the photo: not the same as in the recipe",
        "the paintings: not the same as in the recipe",
    ]


def test_the_recipe_of_an_interrupted_picture_is_not_complete(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    result = stylizer(photo, painting, on_step=lambda step: STOP if step.iteration == 3 else None)
    assert not result.complete
    assert result.recipe is not None
    assert not result.recipe.complete


def test_a_step_shows_the_finished_picture(
    stylizer: Stylizer, disc: str, painting: str, half: str
) -> None:
    pictures = []
    changes: dict[str, Any] = {"mask": half, "color": "content", "scales": 2, "iterations": 6}
    result = stylizer(disc, painting, **changes, on_step=lambda s: pictures.append(s.picture()))
    assert {picture.shape for picture in pictures} == {(43, 64, 4)}
    assert np.array_equal(pictures[-1], result.pixels)


# Options in pairs

Check = Callable[[Result, Job], None]


def check_alpha(result: Result, job: Job) -> None:
    assert result.pixels.shape[2] == 4
    assert result.pixels[0, 0, 3] == 0
    assert result.pixels[21, 32, 3] == 1


def check_mask(result: Result, job: Job) -> None:
    """The content image shows on the right."""
    right = (..., slice(40, None))
    content = to_tensor(job.content, job.size)
    assert difference(tensor_of(result)[right], content[right]) < 1e-6


def check_chroma(result: Result, job: Job) -> None:
    """The chroma is that of the content image."""
    lightness, chroma = color.to_oklab(tensor_of(result)).split([1, 2], 1)
    expected = color.to_oklab(to_tensor(job.content, job.size))[:, 1:]
    length, expected_length = chroma.norm(dim=1), expected.norm(dim=1)
    assert (length <= expected_length + 0.01).all()
    cosine = (chroma * expected).sum(1) / (length * expected_length).clamp(min=1e-6)
    # Near black a tenth of a grey level is a large difference in Oklab.
    assert (cosine[(length > 0.02) & (lightness[:, 0] > 0.1)] > 0.98).all()


def check_palette(result: Result, job: Job) -> None:
    """The mean colour is near that of the content image."""
    content = to_tensor(job.content, job.size)
    style = to_tensor(job.styles[0], job.size)
    means = [x.mean((0, 2, 3)) for x in (tensor_of(result), content, style)]
    assert (means[0] - means[1]).norm() < 0.8 * (means[2] - means[1]).norm()


def check_depth(result: Result, job: Job) -> None:
    assert tifffile.imread(io.BytesIO(result.encode("tiff"))).dtype == np.uint16


def check_painted(result: Result, job: Job) -> None:
    """It is not the content image, and the loss has fallen."""
    content = to_tensor(job.content, job.size)
    assert difference(tensor_of(result)[..., :25], content[..., :25]) > 0.01
    assert result.losses[-1].total < result.losses[0].total or len(job.scales) > 1


FEATURES: dict[str, tuple[dict[str, Any], Check]] = {
    "alpha": ({"content": "DISC"}, check_alpha),
    "mask": ({"mask": "HALF"}, check_mask),
    "color content": ({"color": "content"}, check_chroma),
    "color match": ({"color": "match"}, check_palette),
    "depth": ({"depth": 16}, check_depth),
    "init content": ({"init": "content"}, check_painted),
    "init style": ({"init": "style"}, check_painted),
    "style scale": ({"style_scale": 2}, check_painted),
    "strength": ({"strength": 0.5}, check_painted),
    "objective": ({"objective": "paper", "style_weight": 1000}, check_painted),
    # With a larger learning rate the loss rises at first where the start is the style image.
    "adam": ({"optimizer": "adam", "learning_rate": 0.02}, check_painted),
    "scales": ({"scales": 2}, check_painted),
    "background": ({"background": "navy"}, check_painted),
    "tv": ({"tv_weight": 0.5}, check_painted),
}


#: Two values of one option exclude each other.
EXCLUSIVE = ({"color content", "color match"}, {"init content", "init style"})
PAIRS = [pair for pair in combinations(FEATURES, 2) if set(pair) not in EXCLUSIVE]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_any_two_options_work_together(
    one: str, other: str, stylizer: Stylizer, photo: str, painting: str, disc: str, half: str
) -> None:
    changes = FEATURES[one][0] | FEATURES[other][0]
    content = {"DISC": disc}.get(changes.pop("content", ""), photo)
    if "mask" in changes:
        changes["mask"] = half
    layers = {"content_layers": "relu2_2", "style_layers": "relu1_1,relu2_1"}
    options = stylizer.options.replace(iterations=14, **layers, **changes)
    job = Job.prepare(options, content, [painting])
    result = stylizer.paint(job)
    assert np.isfinite(result.pixels).all()
    assert 0 <= result.pixels.min() <= result.pixels.max() <= 1
    for name in (one, other):
        if name == "color match" and "mask" in changes:
            continue  # half of it is the content image itself
        FEATURES[name][1](result, job)


# Presets


@cache
def paint_few(stylizer: Stylizer, photo: str, painting: str, **layers: str) -> Result:
    return stylizer(photo, painting, **FEW, **layers)


@pytest.mark.parametrize("preset", [name for name, options in PRESETS.items() if options])
def test_every_preset_gives_another_picture_than_the_defaults(
    preset: str, stylizer: Stylizer, photo: str, painting: str
) -> None:
    options = Options.from_preset(preset)
    assert options != Options()
    changes = {k: v for k, v in PRESETS[preset].items() if k not in Stylizer.FIXED}
    result = stylizer(photo, painting, **{**changes, **FEW})
    usual = paint_few(stylizer, photo, painting)
    assert difference(tensor_of(result), tensor_of(usual)) > 0.01


# Every option

#: Given the stylizer, a result, and the paths of the content image and the style image.
Measure = Callable[[Stylizer, Result, str, str], float]


def likeness(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    """Correlation of the lightness with that of the content image."""
    pair = torch.stack(
        [x.mean(1).flatten() for x in (tensor_of(result), tensor_like(photo, result))]
    )
    return torch.corrcoef(pair)[0, 1].item()


def style(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    """The nearer the Gram matrix is to that of the style image, the higher."""
    return -gram_distance(stylizer, tensor_of(result), to_tensor(painting, (64, 64)))


def deep_style(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    """The same at a deeper layer."""
    return -gram_distance(stylizer, tensor_of(result), to_tensor(painting, (64, 64)), "relu4_1")


def smoothness(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    x = tensor_of(result)
    return -(x[..., 1:] - x[..., :-1]).abs().mean().item()


def descent(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    """The lower the loss at the end, the higher."""
    return -result.losses[-1].total


def content_chroma(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    """The nearer the chroma is to that of the content image, the higher."""
    chroma = [color.to_oklab(x)[:, 1:] for x in (tensor_of(result), tensor_like(photo, result))]
    return -difference(*chroma)


def grain(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    return coarse_grain(result)


def change(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    """The difference from a result of the same size with the options of `stylizer`."""
    usual = paint_few(stylizer, photo, painting, **SHALLOW)
    return difference(tensor_of(result), tensor_of(usual))


#: The default layers, where the effect is weaker with `SHALLOW`.
DEEP: dict[str, Any] = {name: getattr(Options(), name) for name in SHALLOW}

#: Two values of each option, of which the second gives a higher measure; all else as in `FEW` and
#: `SHALLOW`.
PROMISES: dict[str, tuple[dict[str, Any], dict[str, Any], Measure]] = {
    "size": (
        {"size": 48, "iterations": 2},
        {"size": 80, "iterations": 2},
        lambda s, r, *_: r.image.width,
    ),
    "effort": (
        {"effort": "draft", "iterations": "auto", "size": 48},
        {"effort": "normal", "iterations": "auto", "size": 48},
        descent,
    ),
    "iterations": ({"iterations": 8}, {"iterations": 24}, descent),
    "content_weight": ({"content_weight": 0.1}, {"content_weight": 10}, likeness),
    "style_weight": ({**DEEP, "style_weight": 0.1}, {**DEEP, "style_weight": 10}, style),
    "content_layers": (
        {"content_layers": "relu4_2", "style_weight": 0},
        {"content_layers": "relu1_1", "style_weight": 0},
        likeness,
    ),
    "style_layers": (
        {"style_layers": "relu1_1", "content_weight": 0},
        {"style_layers": "relu1_1,relu2_1,relu3_1,relu4_1", "content_weight": 0},
        deep_style,
    ),
    "blend": ({**DEEP, "blend": "0.1,0.9"}, {**DEEP, "blend": "0.9,0.1"}, style),
    "tv_weight": ({}, {"tv_weight": 3}, smoothness),
    # With weights of 1 and 1 the paper's sums leave nothing but the content image.
    "objective": ({"objective": "balanced"}, {"objective": "paper"}, likeness),
    "network": (
        {"network": "plain", "objective": "paper", "style_weight": 1000},
        {"network": "normalized", "objective": "paper", "style_weight": 1000},
        likeness,
    ),
    # A maximum is more than an average: the same picture has more of every feature.
    "pooling": (
        {"pooling": "avg", "objective": "paper", "iterations": 1},
        {"pooling": "max", "objective": "paper", "iterations": 1},
        lambda s, r, *_: r.losses[0].style,
    ),
    "optimizer": (
        {"optimizer": "adam", "iterations": 20},
        {"optimizer": "lbfgs", "iterations": 20},
        descent,
    ),
    "learning_rate": (
        {"optimizer": "adam", "learning_rate": 0.001},
        {"optimizer": "adam", "learning_rate": 0.02},
        descent,
    ),
    "color": ({"color": "style"}, {"color": "content"}, content_chroma),
    "mask": ({}, {"mask": "HALF"}, likeness),
    "init": ({"init": "noise", "iterations": 6}, {"init": "content", "iterations": 6}, likeness),
    "scales": (
        {**TEXTURE, **SHALLOW, "scales": 1},
        {**TEXTURE, **SHALLOW, "scales": 2},
        grain,
    ),
    "seed": ({"seed": 0}, {"seed": 1}, change),
    "precision": ({"precision": "float32"}, {"precision": "bfloat16"}, change),
}
#: The tests of options that change not the picture but its file or how it is made, and of those
#: of which more than two values are compared.
ELSEWHERE = {
    "background": "test_transparency_the_profile_and_the_background_are_written",
    "depth": "test_a_result_of_sixteen_bits_is_written_exactly",
    "keep_exif": "test_exif_is_copied_only_on_request",
    "enlarge": "test_an_enlarged_picture_shrunk_is_the_small_one",
    "dpi": "test_the_dots_per_inch_are_written",
    "jpeg_quality": "test_a_higher_quality_gives_a_larger_file",
    "device": "test_the_gpu_that_torch_can_use_is_taken",
    "threads": "test_the_number_of_threads_is_restored",
    "strength": "test_each_step_of_strength_is_further_from_the_photo_and_nearer_to_the_painting",
    "style_scale": "test_a_larger_style_scale_gives_larger_strokes",
    "weights": "test_an_unknown_convention_must_be_said",
}


@pytest.mark.parametrize("name", PROMISES)
def test_every_option_has_the_effect_that_its_help_promises(
    name: str,
    stylizer: Stylizer,
    stylizer_for: Callable[..., Stylizer],
    photo: str,
    painting: str,
    half: str,
) -> None:
    measured = []
    second = painting.replace("great-wave", "composition-viii")
    less, more, measure = PROMISES[name]
    for changes in (less, more):
        changes = {k: half if v == "HALF" else v for k, v in {**FEW, **SHALLOW, **changes}.items()}
        styles = [painting, second] if name == "blend" else [painting]
        fixed = {
            k: v
            for k, v in changes.items()
            if k in Stylizer.FIXED and v != getattr(stylizer.options, k)
        }
        result = stylizer_for(**fixed)(photo, *styles, **changes)
        measured.append(measure(stylizer, result, photo, painting))
    assert measured[1] > measured[0] + 0.02 * abs(measured[0]), measured


def test_every_option_has_such_a_test() -> None:
    names = {field.name for field in fields(Options)}
    assert PROMISES.keys() | ELSEWHERE.keys() == names
    tests = Path(__file__).parent.parent.rglob("test_*.py")
    written = "\n".join(path.read_text(encoding="utf-8") for path in tests)
    for test in ELSEWHERE.values():
        assert f"def {test}(" in written, test
