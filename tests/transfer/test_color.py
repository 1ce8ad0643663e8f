"""The colour modes, and their formulas against ones written out in numpy."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from conftest import to_tensor
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stylize import Options
from stylize.transfer import color


def test_every_value_of_the_color_option_has_a_mode() -> None:
    (option,) = (field for field in fields(Options) if field.name == "color")
    assert tuple(color.COLOR_MODES) == option.metadata["choices"]


def random_picture(seed: int, height: int = 20, width: int = 30, mix: float = 0.1) -> Tensor:
    """Weak correlated colours around grey, so that nothing is clipped."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, 3, height, width, generator=generator)
    turn = torch.randn(3, 3, generator=generator)
    return (0.5 + mix * torch.einsum("ij,bjhw->bihw", turn, noise) / 3).clamp(0.02, 0.98)


def statistics(image: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the colours."""
    flat = image[0].flatten(1).double().numpy()
    return flat.mean(1), np.cov(flat, bias=True)


def test_matched_colours_have_the_mean_and_covariance_of_the_content_image() -> None:
    style, content = random_picture(1), random_picture(2, 17, 40)
    moved = color.match(style, content)
    assert moved.shape == style.shape
    for result, expected in zip(statistics(moved), statistics(content), strict=True):
        assert np.abs(result - expected).max() < 0.05 * np.abs(expected).max()
    before = np.abs(statistics(style)[1] - statistics(content)[1]).max()
    assert before > 0.3 * np.abs(statistics(content)[1]).max(), "the colours differed before"


def test_colours_are_matched_by_the_symmetric_root() -> None:
    """Sigma_content^(1/2) Sigma_style^(-1/2) in numpy; not, say, a Cholesky factor's."""
    style, content = random_picture(3), random_picture(4)

    def power(matrix: np.ndarray, exponent: float) -> np.ndarray:
        values, vectors = np.linalg.eigh(matrix + color.LEAST**2 * np.eye(3))
        return vectors @ np.diag(values**exponent) @ vectors.T

    (style_mean, style_covariance) = statistics(style)
    (content_mean, content_covariance) = statistics(content)
    flat = style[0].flatten(1).double().numpy()
    turn = power(content_covariance, 0.5) @ power(style_covariance, -0.5)
    expected = turn @ (flat - style_mean[:, None]) + content_mean[:, None]
    moved = color.match(style, content)[0].flatten(1).numpy()
    assert np.abs(moved - expected.clip(0, 1)).max() < 1e-4


def test_a_picture_matched_to_itself_is_unchanged() -> None:
    image = random_picture(5)
    assert (color.match(image, image) - image).abs().max() < 1e-4


def test_only_pixels_with_weight_are_matched() -> None:
    content = torch.cat([random_picture(6), 0.2 * random_picture(7)], dim=3)
    left = torch.zeros(1, 1, 20, 60)
    left[..., :30] = 0.7
    masked = color.match(random_picture(8), content, left)
    assert (masked - color.match(random_picture(8), content[..., :30])).abs().max() < 1e-4
    assert (masked - color.match(random_picture(8), content)).abs().max() > 0.05


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 1), (16, 16)])
@pytest.mark.parametrize("style", ["grey", "flat", "noise", "colours"])
@pytest.mark.parametrize("content", ["grey", "flat", "noise", "colours"])
def test_grey_flat_and_tiny_pictures_can_be_matched(
    size: tuple[int, int], style: str, content: str
) -> None:
    def make(kind: str, seed: int) -> Tensor:
        image = random_picture(seed, *size, mix=0.3)
        if kind == "grey":
            return image[:, :1].expand(-1, 3, -1, -1)
        if kind == "flat":
            return torch.full_like(image, 0.25)
        if kind == "noise":  # of one grey level, as JPEG leaves it
            return 0.5 + (image - 0.5) / 75
        return image

    content_image = make(content, 2)
    moved = color.match(make(style, 1), content_image)
    assert moved.isfinite().all()
    assert 0 <= moved.min() <= moved.max() <= 1
    # At most the content image's range: noise of one grey level is not amplified into colours.
    spread, content_spread = (
        image[0].flatten(1).std(1, unbiased=False).max() for image in (moved, content_image)
    )
    assert spread < 1.5 * content_spread + color.LEAST


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [  # from the table of Ottosson's article
        ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (0.628, 0.225, 0.126)),
        ((0.0, 1.0, 0.0), (0.866, -0.234, 0.179)),
        ((0.0, 0.0, 1.0), (0.452, -0.032, -0.312)),
    ],
)
def test_known_colours_have_their_published_oklab_values(
    rgb: tuple[float, ...], lab: tuple[float, ...]
) -> None:
    result = color.to_oklab(torch.tensor(rgb).view(1, 3, 1, 1)).flatten().tolist()
    assert result == pytest.approx(lab, abs=1e-3)


def test_conversion_to_oklab_and_back_is_the_identity() -> None:
    image = torch.rand(1, 3, 30, 30)
    assert (color.from_oklab(color.to_oklab(image)) - image).abs().max() < 1e-4


def test_with_chroma_takes_lightness_from_one_picture_and_hue_from_the_other(
    photo: str, painting: str
) -> None:
    content, painted = (to_tensor(path, (90, 60)) for path in (photo, painting))
    mixed = color.to_oklab(color.with_chroma(painted, content))
    light, chromatic = color.to_oklab(painted), color.to_oklab(content)
    difference = (mixed[:, 0] - light[:, 0]).abs()[light[:, 0] > 0.1]
    assert difference.max() < 0.005, "lightness, also where chroma was reduced"
    chroma, content_chroma = mixed[:, 1:].norm(dim=1), chromatic[:, 1:].norm(dim=1)
    assert (chroma <= content_chroma + 0.005).all()
    assert (chroma > 0.9 * content_chroma).float().mean() > 0.5
    cosine = (mixed[:, 1:] * chromatic[:, 1:]).sum(1) / (chroma * content_chroma).clamp(min=1e-6)
    assert (cosine[(chroma > 0.02) & (content_chroma > 0.02)] > 0.99).all(), "hue"


def test_a_picture_with_its_own_chroma_is_unchanged(photo: str) -> None:
    content = to_tensor(photo, (90, 60))
    assert (color.with_chroma(content, content) - content).abs().max() < 2e-3


@settings(deadline=None)
@given(st.integers(0, 999), st.sampled_from([0.0, 1.0, 0.5]), st.integers(1, 4))
def test_with_chroma_gives_colours_in_range_for_any_two_pictures(
    seed: int, extreme: float, side: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    painted, content = torch.rand(2, 1, 3, side, 3, generator=generator)
    painted[..., 0], content[..., 1] = extreme, extreme
    mixed = color.with_chroma(painted, content)
    assert mixed.isfinite().all()
    assert 0 <= mixed.min() <= mixed.max() <= 1
    result, expected = color.to_oklab(mixed)[:, 0], color.to_oklab(painted)[:, 0]
    # Near black a tenth of a grey level is a large difference in Oklab.
    assert ((result - expected).abs()[expected > 0.1] < 0.005).all()
    assert (result[expected <= 0.1] < 0.12).all()
