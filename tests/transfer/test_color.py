"""Colours moved between pictures, against formulas written out in numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stylize.images import picture as images
from stylize.transfer import color


def picture(seed: int, height: int = 20, width: int = 30, mix: float = 0.1) -> Tensor:
    """Soft colours about grey, correlated, so that nothing is clipped."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, 3, height, width, generator=generator)
    turn = torch.randn(3, 3, generator=generator)
    return (0.5 + mix * torch.einsum("ij,bjhw->bihw", turn, noise) / 3).clamp(0.02, 0.98)


def statistics(image: Tensor) -> tuple[np.ndarray, np.ndarray]:
    flat = image[0].flatten(1).double().numpy()
    return flat.mean(1), np.cov(flat, bias=True)


def test_matched_colours_have_the_photos_mean_and_covariance() -> None:
    painting, photo = picture(1), picture(2, 17, 40)
    moved = color.match(painting, photo)
    assert moved.shape == painting.shape
    for ours, theirs in zip(statistics(moved), statistics(photo), strict=True):
        assert np.abs(ours - theirs).max() < 0.05 * np.abs(theirs).max()
    before = np.abs(statistics(painting)[1] - statistics(photo)[1]).max()
    assert before > 0.3 * np.abs(statistics(photo)[1]).max(), "there was something to do"


def test_the_turn_is_the_symmetric_root() -> None:
    """Sigma_p^(1/2) Sigma_a^(-1/2) by scipy-free numpy; not, say, a Cholesky factor's."""
    painting, photo = picture(3), picture(4)

    def root(matrix: np.ndarray, power: float) -> np.ndarray:
        values, vectors = np.linalg.eigh(matrix + color.LEAST**2 * np.eye(3))
        return vectors @ np.diag(values**power) @ vectors.T

    (theirs, spread), (ours, wanted) = statistics(painting), statistics(photo)
    flat = painting[0].flatten(1).double().numpy()
    naive = root(wanted, 0.5) @ root(spread, -0.5) @ (flat - theirs[:, None]) + ours[:, None]
    moved = color.match(painting, photo)[0].flatten(1).numpy()
    assert np.abs(moved - naive.clip(0, 1)).max() < 1e-4


def test_a_picture_matched_to_itself_stays() -> None:
    image = picture(5)
    assert (color.match(image, image) - image).abs().max() < 1e-4


def test_only_what_counts_is_matched() -> None:
    photo = torch.cat([picture(6), 0.2 * picture(7)], dim=3)
    left = torch.zeros(1, 1, 20, 60)
    left[..., :30] = 0.7
    here = color.match(picture(8), photo, left)
    assert (here - color.match(picture(8), photo[..., :30])).abs().max() < 1e-4
    assert (here - color.match(picture(8), photo)).abs().max() > 0.05


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 1), (16, 16)])
@pytest.mark.parametrize("painting", ["grey", "flat", "noise", "colours"])
@pytest.mark.parametrize("photo", ["grey", "flat", "noise", "colours"])
def test_grey_flat_and_tiny_pictures(size: tuple[int, int], painting: str, photo: str) -> None:
    def make(kind: str, seed: int) -> Tensor:
        image = picture(seed, *size, mix=0.3)
        if kind == "grey":
            return image[:, :1].expand(-1, 3, -1, -1)
        if kind == "flat":
            return torch.full_like(image, 0.25)
        if kind == "noise":  # a grey level of it, as JPEG leaves
            return 0.5 + (image - 0.5) / 75
        return image

    a, b = make(painting, 1), make(photo, 2)
    moved = color.match(a, b)
    assert moved.isfinite().all()
    assert 0 <= moved.min() <= moved.max() <= 1
    # Towards the photo's range, never beyond: noise of a grey level becomes no confetti.
    spread, wanted = (x[0].flatten(1).std(1, unbiased=False).max() for x in (moved, b))
    assert spread < 1.5 * wanted + color.LEAST


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
def test_oklab_of_known_colours(rgb: tuple[float, ...], lab: tuple[float, ...]) -> None:
    found = color.to_oklab(torch.tensor(rgb).view(1, 3, 1, 1)).flatten().tolist()
    assert found == pytest.approx(lab, abs=1e-3)


def test_oklab_and_back() -> None:
    image = torch.rand(1, 3, 30, 30)
    assert (color.from_oklab(color.to_oklab(image)) - image).abs().max() < 1e-4


def test_lightness_of_the_one_chroma_of_the_other(photo: str, painting: str) -> None:
    cat, wave = (images.to_tensor(path, (90, 60)) for path in (photo, painting))
    mixed = color.to_oklab(color.with_chroma(wave, cat))
    ours, theirs = color.to_oklab(wave), color.to_oklab(cat)
    apart = (mixed[:, 0] - ours[:, 0]).abs()[ours[:, 0] > 0.1]
    assert apart.max() < 0.005, "lightness, also where chroma was cut"
    length, wanted = mixed[:, 1:].norm(dim=1), theirs[:, 1:].norm(dim=1)
    assert (length <= wanted + 0.005).all()
    assert (length > 0.9 * wanted).float().mean() > 0.5
    along = (mixed[:, 1:] * theirs[:, 1:]).sum(1) / (length * wanted).clamp(min=1e-6)
    assert (along[(length > 0.02) & (wanted > 0.02)] > 0.99).all(), "hue"


def test_a_picture_with_its_own_chroma_stays(photo: str) -> None:
    cat = images.to_tensor(photo, (90, 60))
    assert (color.with_chroma(cat, cat) - cat).abs().max() < 2e-3


@given(st.integers(0, 999), st.sampled_from([0.0, 1.0, 0.5]), st.integers(1, 4))
def test_any_two_pictures_give_colours_that_can_be_shown(
    seed: int, extreme: float, side: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    one, other = torch.rand(2, 1, 3, side, 3, generator=generator)
    one[..., 0], other[..., 1] = extreme, extreme
    mixed = color.with_chroma(one, other)
    assert mixed.isfinite().all()
    assert 0 <= mixed.min() <= mixed.max() <= 1
    ours, theirs = color.to_oklab(mixed)[:, 0], color.to_oklab(one)[:, 0]
    # Near black a tenth of a grey level is a long way in Oklab.
    assert ((ours - theirs).abs()[theirs > 0.1] < 0.005).all()
    assert (ours[theirs <= 0.1] < 0.12).all()
