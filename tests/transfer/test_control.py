"""What artists ask for, on the real network: what each option promises, alone and in pairs."""

import io
from collections.abc import Callable
from dataclasses import fields
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from stylize import OptionError, Options, PictureError, Result, Stylizer
from stylize.images import picture as images
from stylize.settings import recipe
from stylize.settings.presets import PRESETS
from stylize.transfer import color
from stylize.transfer import targets as targets_module
from stylize.transfer.job import Job
from stylize.transfer.losses import mean_gram
from stylize.transfer.targets import mean_grams

SIZE = 64


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(size=SIZE, iterations=24, precision="float32")


@pytest.fixture
def disc(tmp_path: Path, photo: str) -> str:
    """The photo, cut out as a disc, with green hidden beneath what is transparent."""
    image = Image.open(photo).convert("RGB").resize((96, 64))
    y, x = np.mgrid[:64, :96]
    alpha = (255 * np.clip(28 - np.hypot(y - 32, x - 48), 0, 1)).astype(np.uint8)
    pixels = np.where(alpha[:, :, None] > 0, np.asarray(image), [0, 255, 0]).astype(np.uint8)
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "disc.png")
    return str(tmp_path / "disc.png")


@pytest.fixture
def half(tmp_path: Path) -> str:
    """A mask: white to the left, soft in the middle, black to the right."""
    ramp = np.clip((45 - np.arange(90)) / 6 + 0.5, 0, 1)
    Image.fromarray(np.uint8(np.tile(255 * ramp, (60, 1)))).save(tmp_path / "half.png")
    return str(tmp_path / "half.png")


def inverted(path: str) -> str:
    out = path.replace(".png", "-inverted.png")
    Image.eval(Image.open(path), lambda v: 255 - v).save(out)
    return out


def tensor(result: Result) -> Tensor:
    return torch.from_numpy(result.pixels).permute(2, 0, 1)[None, :3].contiguous()


def shown(path: str, result: Result) -> Tensor:
    return images.to_tensor(path, (result.pixels.shape[1], result.pixels.shape[0]))


def apart(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().mean().item()


def distance(stylizer: Stylizer, one: Tensor, other: Tensor) -> float:
    """Between the Gram matrices of two pictures of any size."""
    grams = [mean_gram(stylizer.vgg(x, ["relu2_1"])["relu2_1"]) for x in (one, other)]
    return ((grams[0] - grams[1]).norm() / grams[1].norm()).item()


# Colour


def test_color_content_has_the_photos_chroma_and_the_paintings_light(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    as_painted = stylizer(photo, painting)
    kept = stylizer(photo, painting, color="content")
    ours, theirs = color.to_oklab(tensor(kept)), color.to_oklab(tensor(as_painted))
    of_photo = color.to_oklab(shown(photo, kept))
    assert apart(ours[:, :1], theirs[:, :1]) < 0.005
    assert apart(ours[:, 1:], of_photo[:, 1:]) < 0.3 * apart(theirs[:, 1:], of_photo[:, 1:])


def test_color_match_moves_the_palette_and_keeps_the_strokes(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    as_painted, matched = (stylizer(photo, painting, color=c) for c in ("style", "match"))
    cat = shown(photo, matched)

    def palette(image: Tensor) -> tuple[Tensor, Tensor]:
        flat = image[0].flatten(1)
        return flat.mean(1), torch.cov(flat)

    for ours, theirs, aim in zip(
        *(palette(x) for x in (tensor(matched), tensor(as_painted), cat)), strict=True
    ):
        assert (ours - aim).norm() < 0.5 * (theirs - aim).norm()
    # Not the photo's pixels: at least as far from them in detail as a painting is.
    fine = [x - torch.nn.functional.avg_pool2d(x, 5, 1, 2) for x in (tensor(matched), cat)]
    assert apart(*fine) > 0.3 * fine[1].abs().mean().item()


# Where


def test_a_mask_leaves_the_photo_where_it_is_black(
    stylizer: Stylizer, photo: str, painting: str, half: str
) -> None:
    result = stylizer(photo, painting, mask=half)
    cat, width = shown(photo, result), result.pixels.shape[1]
    right = (..., slice(width // 2 + 6, None))
    assert apart(tensor(result)[right], cat[right]) < 1e-6
    left = (..., slice(0, width // 2 - 6))
    assert apart(tensor(result)[left], cat[left]) > 0.05
    nowhere = 1 - np.asarray(Image.open(half), dtype=np.float32) / 255
    painted = stylizer(photo, painting, mask=inverted(half))
    assert apart(tensor(painted)[left], cat[left]) < 1e-6
    assert nowhere.mean() == pytest.approx(0.5, abs=0.05)


def test_a_grey_mask_is_half_of_each(stylizer: Stylizer, photo: str, tmp_path: Path) -> None:
    Image.new("L", (3, 2), 128).save(tmp_path / "grey.png")
    red = Image.new("RGB", (40, 40), (250, 20, 20))
    full = stylizer(photo, red, content_weight=0, iterations=40)
    result = stylizer(photo, red, content_weight=0, iterations=40, mask=tmp_path / "grey.png")
    cat = shown(photo, result)
    part = (tensor(result) - cat).flatten() @ (tensor(full) - cat).flatten()
    assert part / (tensor(full) - cat).square().sum() == pytest.approx(0.5, abs=0.06)


def test_each_style_goes_where_its_mask_is_white(
    stylizer: Stylizer, photo: str, painting: str, half: str
) -> None:
    other = painting.replace("great-wave", "composition-viii")
    result = stylizer(photo, painting, other, mask=[half, inverted(half)], style_weight=5)
    middle = result.pixels.shape[1] // 2
    left, right = tensor(result)[..., : middle - 3], tensor(result)[..., middle + 3 :]
    wave, shapes = (images.to_tensor(path, (64, 48)) for path in (painting, other))
    assert distance(stylizer, left, wave) < 0.7 * distance(stylizer, left, shapes)
    assert distance(stylizer, right, shapes) < 0.7 * distance(stylizer, right, wave)


def test_a_style_does_not_leak_over_the_border(
    stylizer: Stylizer, photo: str, painting: str, half: str
) -> None:
    """The gradient of one region's style is next to nothing in the middle of the other."""
    options = stylizer.options.but(mask=[half, inverted(half)], content_weight=0, size=128)
    job = Job.prepare(options, photo, [painting, painting])
    aim = targets_module.objective(stylizer.styles, job, job.size)
    for styles in aim.style.values():
        del styles[1]
    x = stylizer.start(job, job.size)
    _, gradient = aim(x)
    strength = gradient.abs().mean((0, 1, 2))
    middle = len(strength) // 2
    assert strength[middle + 8 :].mean() < 0.02 * strength[: middle - 8].mean()


@pytest.mark.parametrize("size", [(1, 1), (7, 500), (900, 600)])
def test_masks_of_any_size(
    size: tuple[int, int], stylizer: Stylizer, photo: str, painting: str, tmp_path: Path
) -> None:
    """White all over is no mask at all, whatever its size."""
    Image.new("1", size, 1).save(tmp_path / "white.png")
    whole = stylizer(photo, painting, iterations=6)
    masked = stylizer(photo, painting, iterations=6, mask=tmp_path / "white.png")
    assert apart(tensor(masked), tensor(whole)) < 0.01


def test_a_line_too_thin_for_deep_layers(
    stylizer: Stylizer, photo: str, painting: str, tmp_path: Path
) -> None:
    mask = Image.new("L", (96, 64))
    mask.paste(255, (0, 63, 96, 64))
    mask.save(tmp_path / "line.png")
    result = stylizer(photo, painting, mask=tmp_path / "line.png", iterations=12)
    assert np.isfinite(result.pixels).all()
    assert apart(tensor(result)[:, :, :-2], shown(photo, result)[:, :, :-2]) < 1e-6


def test_a_layer_that_does_not_see_a_region_has_no_say(
    stylizer: Stylizer, photo: str, painting: str, tmp_path: Path
) -> None:
    """White in the last row alone, which poolings of an odd height leave out."""
    mask = np.zeros((43, 64), np.uint8)
    mask[42] = 255
    Image.fromarray(mask).save(tmp_path / "row.png")
    job = Job.prepare(stylizer.options.but(mask=tmp_path / "row.png"), photo, [painting])
    aim = targets_module.objective(stylizer.styles, job, job.size)
    assert len(aim.style["relu1_1"]) == 1
    assert aim.style["relu2_1"] == []
    assert all(losses.isfinite().all() for losses in aim(stylizer.start(job, job.size))[0].values())


def test_masks_of_the_wrong_kind_or_number(
    stylizer: Stylizer, photo: str, painting: str, half: str, tmp_path: Path
) -> None:
    Image.new("L", (20, 20)).save(tmp_path / "black.png")
    with pytest.raises(OptionError, match="--mask: 1 for 2 STYLEs; give one for each"):
        stylizer(photo, painting, painting, mask=half)
    with pytest.raises(OptionError, match="leave --blend out"):
        stylizer(photo, painting, painting, mask=[half, half], blend="equal")
    with pytest.raises(PictureError, match="is a colour picture"):
        stylizer(photo, painting, mask=photo.replace("chelsea", "coffee"))
    with pytest.raises(PictureError, match=r"black\.png.*nowhere"):
        stylizer(photo, painting, mask=tmp_path / "black.png")
    with pytest.raises(PictureError, match=r"none\.png: no such file"):
        stylizer(photo, painting, mask="none.png")


def test_what_is_transparent_in_a_painting_does_not_count(
    stylizer: Stylizer, photo: str, tmp_path: Path
) -> None:
    """Half red, half blue that cannot be seen: only red comes over."""
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :32], pixels[:, 32:] = [220, 30, 30, 255], [30, 30, 220, 0]
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    Image.fromarray(pixels[:, :, :3]).save(tmp_path / "whole.png")
    changes: dict[str, Any] = {"content_weight": 0, "iterations": 80}
    blue = {
        name: stylizer(photo, tmp_path / f"{name}.png", **changes).pixels[..., 2].mean()
        for name in ("cut", "whole")
    }
    assert blue["cut"] < 0.3 < blue["whole"]


def test_a_painting_cut_down_to_less_than_a_layer_sees(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    """Only its last rows are seen, which poolings of an odd height leave out."""
    cut = np.array(Image.open(painting).convert("RGBA").resize((64, 47)))
    cut[:45, :, 3] = 0
    for changes in ({}, {"color": "match"}, {"init": "style", "color": "match"}):
        result = stylizer(photo, cut, iterations=3, scales=1, **changes)
        assert np.isfinite(result.pixels).all()
        assert result.losses[-1].total < result.losses[0].total
    cut[..., 3] = 3
    for pair in ((photo, cut), (cut, painting)):
        with pytest.raises(PictureError, match="is transparent all over"):
            stylizer(*pair)


def test_colours_are_matched_to_what_is_seen_of_the_photo(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    """The small red part that can be seen, not the white that is hidden."""
    pixels = np.full((60, 90, 4), 255, np.uint8)
    pixels[..., 3] = 0
    pixels[20:40, 30:60] = (210, 40, 30, 255)
    result = stylizer(pixels, painting, color="match", content_weight=0, iterations=60)
    red, green, blue = result.pixels[..., :3].mean((0, 1))
    assert red > 0.6
    assert max(green, blue) < 0.4


@pytest.mark.parametrize("masks", [3, 7])
def test_overlapping_masks_stay_in_range(
    masks: int, stylizer: Stylizer, photo: str, tmp_path: Path
) -> None:
    for each in range(masks):
        Image.effect_noise((40, 30), 90).save(tmp_path / f"{each}.png")
    paths = [tmp_path / f"{each}.png" for each in range(masks)]
    white = Image.new("RGB", (40, 40), "white")
    changes: dict[str, Any] = {"content_weight": 0, "iterations": 4}
    result = stylizer(photo, *[white] * masks, mask=paths, **changes)
    assert 0 <= result.pixels.min() <= result.pixels.max() <= 1
    images.load(result.pixels)


# Scale


def test_style_scale_makes_strokes_larger(stylizer: Stylizer, photo: str, painting: str) -> None:
    """Of pure texture: the larger the strokes, the more pixels are like those near them."""
    alike = []
    for scale in (0.5, 1, 2):
        result = stylizer(photo, painting, style_scale=scale, **TEXTURE)
        alike.append(_coarse_grain(stylizer, result, photo, painting))
    assert alike[0] + 0.03 < alike[1] < alike[2] - 0.03


@pytest.mark.parametrize("size", [(300, 200), (129, 161), (64, 64), (65, 300)])
@pytest.mark.parametrize("cut", [False, True])
def test_tiles_give_the_gram_matrices_of_the_whole(
    size: tuple[int, int], cut: bool, stylizer: Stylizer, painting: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1", "relu5_4"]
    image = images.to_tensor(painting, size)
    visible = images.to_tensor(painting, size)[:, :1] if cut else None
    whole = mean_grams(stylizer.vgg, image, layers, visible)
    monkeypatch.setattr(targets_module, "TILE", 64)
    sides: list[int] = []

    def watched(tile: Tensor, wanted: list[str]) -> dict[str, Tensor]:
        sides.extend(tile.shape[2:])
        return stylizer.vgg(tile, wanted)

    tiled = mean_grams(watched, image, layers, visible)  # type: ignore[arg-type]
    for layer in layers:
        torch.testing.assert_close(tiled[layer], whole[layer], rtol=1e-3, atol=1e-3)
    assert max(sides) <= 64 + 2 * targets_module.AROUND


def test_no_scan_of_a_painting_is_shown_whole(
    stylizer: Stylizer, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory: what the network sees at once has a limit, for any painting and any scale."""
    sides: list[int] = []
    before = stylizer.vgg.__class__.__call__

    def watched(self: Any, image: Tensor, layers: Any) -> dict[str, Tensor]:
        sides.extend(image.shape[2:])
        return before(self, image, layers)

    monkeypatch.setattr(stylizer.vgg.__class__, "__call__", watched)
    monkeypatch.setattr(targets_module, "TILE", 128)
    scan = Image.effect_noise((3000, 2000), 60)
    stylizer(photo, scan, size=256, style_scale=2, iterations=2, scales=1, style_layers="relu1_1")
    assert max(sides) <= 128 + 2 * targets_module.AROUND


# Start


def test_a_start_is_nearer_to_what_it_started_from(
    stylizer: Stylizer, photo: str, painting: str, tmp_path: Path
) -> None:
    Image.new("RGB", (30, 30), (200, 40, 40)).save(tmp_path / "red.png")
    starts = {"content": photo, "style": painting, str(tmp_path / "red.png"): None}
    noise = stylizer(photo, painting, size=96, scales=2, iterations=12)
    for init in starts:
        result = stylizer(photo, painting, size=96, scales=2, iterations=12, init=init)
        job = Job.prepare(result.options, photo, [painting])
        aim = stylizer.start(job, job.size)
        assert apart(tensor(result), aim) < 0.8 * apart(tensor(noise), aim), init


@pytest.mark.parametrize("init", ["content", "style"])
def test_a_start_gives_each_size_its_detail(
    init: str, stylizer: Stylizer, photo: str, painting: str
) -> None:
    """Where nothing was changed at the coarser size, the finer one starts from the picture."""
    job = Job.prepare(stylizer.options.but(init=init), photo, [painting])
    coarse = stylizer.start(job, (32, 21))
    fine = stylizer.start(job, (64, 43), coarse)
    torch.testing.assert_close(fine, stylizer.start(job, (64, 43)))
    brighter = stylizer.start(job, (64, 43), coarse + 0.25)
    torch.testing.assert_close(brighter, fine + 0.25)


# Transparency, depth, files


def test_a_transparent_photo_stays_transparent(
    stylizer: Stylizer, disc: str, painting: str, tmp_path: Path
) -> None:
    result = stylizer(disc, painting)
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


def test_what_is_hidden_does_not_bleed_into_the_edge(
    stylizer: Stylizer, disc: str, painting: str
) -> None:
    image = Image.open(disc)
    black = np.asarray(image).copy()
    black[black[..., 3] == 0] = 0
    one, other = stylizer(disc, painting), stylizer(Image.fromarray(black), painting)
    assert np.array_equal(one.pixels, other.pixels)


def test_a_photo_of_16_bits_to_a_tiff_of_16_bits(
    stylizer: Stylizer, photo: str, painting: str, tmp_path: Path
) -> None:
    import tifffile

    deep = np.asarray(Image.open(photo).resize((96, 64)), dtype=np.uint16) * 257
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb")
    result = stylizer(tmp_path / "deep.tif", painting, depth=16)
    result.save(tmp_path / "a.tif")
    saved = tifffile.imread(tmp_path / "a.tif")
    assert saved.dtype == np.uint16
    assert len(np.unique(saved)) > 2000
    assert np.abs(saved / 257 - np.asarray(result.image, dtype=float)).max() <= 0.51
    with pytest.raises(OptionError, match="--depth 16"):
        result.save(tmp_path / "a.png")


def test_the_photos_exif_only_where_asked_for(
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
                read = image.getexif()
                assert read.get(0x010F) == ("Maker" if keep else None), suffix
                assert read.get(0x0112, 1) == 1, suffix
                assert read.get_ifd(0x8825).get(1) == ("N" if keep else None), suffix


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif"])
def test_a_recipe_paints_the_same_bytes_again(
    suffix: str, stylizer: Stylizer, photo: str, painting: str, half: str, tmp_path: Path
) -> None:
    made = stylizer(photo, painting, mask=half, color="match", style_weight=2, iterations=5)
    made.save(tmp_path / f"a.{suffix}")
    held = recipe.read(tmp_path / f"a.{suffix}")
    assert held == made.recipe
    options = Options(mask=half).but(**held.given())
    job = Job.prepare(options, photo, [painting])
    painter = Stylizer(options)
    assert held.departures(painter.recipe(job)) == []
    painter.paint(job).save(tmp_path / f"b.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_a_recipe_knows_the_pictures_and_nothing_of_where_they_lay(
    stylizer: Stylizer, photo: str, painting: str, tmp_path: Path
) -> None:
    import hashlib

    (tmp_path / "copy.jpg").write_bytes(Path(photo).read_bytes())
    one = stylizer(photo, painting, iterations=1)
    other = stylizer(tmp_path / "copy.jpg", painting, iterations=1)
    assert one.recipe == other.recipe
    assert one.recipe is not None
    digest = hashlib.sha256(Path(photo).read_bytes()).hexdigest()
    assert one.recipe.digests["content"] == digest
    assert one.recipe.digests["weights"].startswith("c34748d2")
    swapped = stylizer(painting, photo, iterations=1)
    assert swapped.recipe is not None
    told = one.recipe.departures(swapped.recipe)
    assert told == ["the photo: not the recipe's", "the paintings: not the recipe's"]


def test_an_interrupted_picture_says_so(stylizer: Stylizer, photo: str, painting: str) -> None:
    result = stylizer(photo, painting, on_step=lambda step: step.iteration == 3)
    assert not result.complete
    assert result.recipe is not None
    assert not result.recipe.complete


def test_steps_show_the_finished_picture(
    stylizer: Stylizer, disc: str, painting: str, half: str
) -> None:
    seen = []
    changes: dict[str, Any] = {"mask": half, "color": "content", "scales": 2, "iterations": 6}
    result = stylizer(disc, painting, **changes, on_step=lambda s: seen.append(s.picture()))
    assert {picture.shape for picture in seen} == {(43, 64, 4)}
    assert np.array_equal(seen[-1], result.pixels)


# In pairs

Check = Callable[[Stylizer, Result, Job], None]


def _alpha_stays(stylizer: Stylizer, result: Result, job: Job) -> None:
    assert result.pixels.shape[2] == 4
    assert result.pixels[0, 0, 3] == 0
    assert result.pixels[21, 32, 3] == 1


def _photo_shows_to_the_right(stylizer: Stylizer, result: Result, job: Job) -> None:
    right = (..., slice(40, None))
    assert apart(tensor(result)[right], images.to_tensor(job.content, job.size)[right]) < 1e-6


def _chroma_is_the_photos(stylizer: Stylizer, result: Result, job: Job) -> None:
    ours = color.to_oklab(tensor(result))[:, 1:]
    theirs = color.to_oklab(images.to_tensor(job.content, job.size))[:, 1:]
    assert (ours.norm(dim=1) <= theirs.norm(dim=1) + 0.01).all()
    along = (ours * theirs).sum(1) / (ours.norm(dim=1) * theirs.norm(dim=1)).clamp(min=1e-6)
    assert (along[ours.norm(dim=1) > 0.02] > 0.98).all()


def _palette_is_near_the_photos(stylizer: Stylizer, result: Result, job: Job) -> None:
    photo = images.to_tensor(job.content, job.size)
    painting = images.to_tensor(job.paintings[0], job.size)
    means = [x.mean((0, 2, 3)) for x in (tensor(result), photo, painting)]
    assert (means[0] - means[1]).norm() < 0.8 * (means[2] - means[1]).norm()


def _saves_16_bits(stylizer: Stylizer, result: Result, job: Job) -> None:
    import tifffile

    assert tifffile.imread(io.BytesIO(result.encode("tiff"))).dtype == np.uint16


def _is_painted(stylizer: Stylizer, result: Result, job: Job) -> None:
    photo = images.to_tensor(job.content, job.size)
    assert apart(tensor(result)[..., :25], photo[..., :25]) > 0.01
    assert result.losses[-1].total < result.losses[0].total or len(job.scales) > 1


FEATURES: dict[str, tuple[dict[str, Any], Check]] = {
    "alpha": ({"content": "DISC"}, _alpha_stays),
    "mask": ({"mask": "HALF"}, _photo_shows_to_the_right),
    "color content": ({"color": "content"}, _chroma_is_the_photos),
    "color match": ({"color": "match"}, _palette_is_near_the_photos),
    "depth": ({"depth": 16}, _saves_16_bits),
    "init content": ({"init": "content"}, _is_painted),
    "init style": ({"init": "style"}, _is_painted),
    "style scale": ({"style_scale": 2}, _is_painted),
    "objective": ({"objective": "paper", "style_weight": 1000}, _is_painted),
    # Slower than by itself: from the painting, whose style is right, the first steps lead away.
    "adam": ({"optimizer": "adam", "learning_rate": 0.02}, _is_painted),
    "scales": ({"scales": 2}, _is_painted),
    "background": ({"background": "navy"}, _is_painted),
    "tv": ({"tv_weight": 0.5}, _is_painted),
}


#: Two values of one option cannot go together.
APART = ({"color content", "color match"}, {"init content", "init style"})
PAIRS = [pair for pair in combinations(FEATURES, 2) if set(pair) not in APART]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_in_pairs(
    one: str, other: str, stylizer: Stylizer, photo: str, painting: str, disc: str, half: str
) -> None:
    changes = FEATURES[one][0] | FEATURES[other][0]
    content = {"DISC": disc}.get(changes.pop("content", ""), photo)
    if "mask" in changes:
        changes["mask"] = half
    job = Job.prepare(stylizer.options.but(iterations=12, **changes), content, [painting])
    result = stylizer.paint(job)
    assert np.isfinite(result.pixels).all()
    assert 0 <= result.pixels.min() <= result.pixels.max() <= 1
    for name in (one, other):
        if name.startswith("color match") and "mask" in changes:
            continue  # half of it is the photo itself
        FEATURES[name][1](stylizer, result, job)


# Presets


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_options_and_differ_from_the_default(
    preset: str, stylizer: Stylizer, photo: str, painting: str
) -> None:
    options = Options.from_preset(preset)
    assert options != Options()
    changes = {k: v for k, v in PRESETS[preset].items() if k not in Stylizer.FIXED}
    ours = stylizer(photo, painting, **{**changes, "iterations": 12})
    assert apart(tensor(ours), tensor(stylizer(photo, painting, iterations=12))) > 0.01


# Every option

Measure = Callable[[Stylizer, Result, str, str], float]


def _likeness(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    """To the photo: correlation of lightness."""
    pair = torch.stack([x.mean(1).flatten() for x in (tensor(result), shown(photo, result))])
    return torch.corrcoef(pair)[0, 1].item()


def _style(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    """To the painting: the nearer the Gram matrices, the higher."""
    return -distance(stylizer, tensor(result), images.to_tensor(painting, (64, 64)))


def _depth_of_style(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    maps = [
        stylizer.vgg(x, ["relu4_1"])["relu4_1"]
        for x in (tensor(result), images.to_tensor(painting, (64, 64)))
    ]
    one, other = map(mean_gram, maps)
    return -((one - other).norm() / other.norm()).item()


def _smoothness(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    x = tensor(result)
    return -(x[..., 1:] - x[..., :-1]).abs().mean().item()


def _descent(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    return -result.losses[-1].total


def _photos_chroma(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    ours, theirs = (color.to_oklab(x)[:, 1:] for x in (tensor(result), shown(photo, result)))
    return -apart(ours, theirs)


def _coarse_grain(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    x = tensor(result).mean(1)
    x = x - x.mean()
    return ((x[..., 4:] * x[..., :-4]).mean() / x.square().mean()).item()


def _unlike_the_first(stylizer: Stylizer, result: Result, photo: str, painting: str) -> float:
    return apart(tensor(result), tensor(stylizer(photo, painting)))


TEXTURE: dict[str, Any] = {"content_weight": 0, "iterations": 40, "size": 96}

#: Of each option two values, of which the second has more of what is measured.
PROMISES: dict[str, tuple[dict[str, Any], dict[str, Any], Measure]] = {
    "size": ({"size": 48}, {"size": 80}, lambda s, r, *_: r.image.width),
    "effort": (
        {"effort": "draft", "iterations": "auto", "size": 32},
        {"effort": "best", "iterations": "auto", "size": 32},
        _descent,
    ),
    "iterations": ({"iterations": 8}, {"iterations": 40}, _descent),
    "content_weight": ({"content_weight": 0.1}, {"content_weight": 10}, _likeness),
    "style_weight": ({"style_weight": 0.1}, {"style_weight": 10}, _style),
    "content_layers": (
        {"content_layers": "relu4_2", "style_weight": 0},
        {"content_layers": "relu1_1", "style_weight": 0},
        _likeness,
    ),
    "style_layers": (
        {"style_layers": "relu1_1", **TEXTURE},
        {"style_layers": "relu1_1,relu2_1,relu3_1,relu4_1", **TEXTURE},
        _depth_of_style,
    ),
    "blend": ({"blend": "0.1,0.9"}, {"blend": "0.9,0.1"}, _style),
    "tv_weight": ({}, {"tv_weight": 3}, _smoothness),
    # With weights of 1 and 1 the paper's sums leave nothing but the photo.
    "objective": ({"objective": "balanced"}, {"objective": "paper"}, _likeness),
    "network": (
        {"network": "plain", "objective": "paper", "style_weight": 1000},
        {"network": "normalized", "objective": "paper", "style_weight": 1000},
        _likeness,
    ),
    # A maximum is more than an average: the same picture has more of every feature.
    "pooling": (
        {"pooling": "avg", "objective": "paper", "iterations": 1},
        {"pooling": "max", "objective": "paper", "iterations": 1},
        lambda s, r, *_: r.losses[0].style,
    ),
    "optimizer": ({"optimizer": "adam"}, {"optimizer": "lbfgs"}, _descent),
    "learning_rate": (
        {"optimizer": "adam", "learning_rate": 0.001},
        {"optimizer": "adam", "learning_rate": 0.02},
        _descent,
    ),
    "color": ({"color": "style"}, {"color": "content"}, _photos_chroma),
    "mask": ({}, {"mask": "HALF"}, _likeness),
    "init": ({"init": "noise", "iterations": 6}, {"init": "content", "iterations": 6}, _likeness),
    "scales": ({"scales": 1, **TEXTURE}, {"scales": 2, **TEXTURE}, _coarse_grain),
    "seed": ({"seed": 0}, {"seed": 1}, _unlike_the_first),
    "precision": ({"precision": "float32"}, {"precision": "bfloat16"}, _unlike_the_first),
}
#: Those that do not change what is painted, but the file, or how it is made, and one of which three
#: values are looked at; each with its test.
ELSEWHERE = {
    "background": "test_alpha_profile_and_background",
    "depth": "test_sixteen_bits_are_sixteen_bits",
    "keep_exif": "test_the_photos_exif_only_where_asked_for",
    "jpeg_quality": "test_quality",
    "format": "test_stdin_and_stdout",
    "existing": "test_existing",
    "device": "test_devices",
    "threads": "test_threads_are_put_back",
    "style_scale": "test_style_scale_makes_strokes_larger",
    "weights": "test_an_unknown_convention_must_be_said",
}


@pytest.mark.parametrize("name", PROMISES)
def test_every_option_keeps_its_promise(
    name: str, stylizer: Stylizer, photo: str, painting: str, half: str
) -> None:
    found = []
    other = painting.replace("great-wave", "composition-viii")
    less, more, measure = PROMISES[name]
    for changes in (less, more):
        changes = {k: half if v == "HALF" else v for k, v in changes.items()}
        paintings = [painting, other] if name == "blend" else [painting]
        painter = stylizer
        if changes.keys() & set(Stylizer.FIXED):
            painter = Stylizer(stylizer.options, **changes)
        result = painter(photo, *paintings, **changes)
        found.append(measure(stylizer, result, photo, painting))
    assert found[1] > found[0] + 0.02 * abs(found[0]), found


def test_every_option_has_such_a_test() -> None:
    names = {field.name for field in fields(Options)}
    assert PROMISES.keys() | ELSEWHERE.keys() == names
    tests = Path(__file__).parent.parent.rglob("test_*.py")
    written = "\n".join(path.read_text(encoding="utf-8") for path in tests)
    for test in ELSEWHERE.values():
        assert f"def {test}(" in written, test
