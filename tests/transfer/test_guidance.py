"""Masks as the layers see them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylize.network.names import LAYERS
from stylize.network.vgg import Vgg19
from stylize.transfer import guidance


def halves(height: int, width: int, at: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[..., :at] = 1
    return mask


@given(st.integers(16, 70), st.integers(16, 70))
def test_they_fit_the_features(height: int, width: int) -> None:
    maps = guidance.guides(torch.rand(1, 1, height, width), LAYERS)
    for layer, guide in maps.items():
        stride = 2 ** (int(layer[4]) - 1)
        assert guide.shape == (1, 1, height // stride, width // stride)
        assert 0 <= guide.min() <= guide.max() <= 1
    assert set(maps) == set(LAYERS)


def test_they_fit_the_networks_own_features(vgg: Vgg19) -> None:
    layers = ["relu1_1", "relu2_2", "relu3_1", "relu4_2", "relu5_1"]
    features = vgg(torch.rand(1, 3, 51, 67), layers)
    guides = guidance.guides(torch.ones(1, 1, 51, 67), layers)
    assert {k: f.shape[2:] for k, f in features.items()} == {
        k: g.shape[2:] for k, g in guides.items()
    }


def test_white_everywhere_is_one_everywhere() -> None:
    assert all((g == 1).all() for g in guidance.guides(torch.ones(1, 1, 50, 41), LAYERS).values())


def test_a_position_by_the_border_belongs_to_neither() -> None:
    left = guidance.guides(halves(64, 128, 64), LAYERS)
    right = guidance.guides(1 - halves(64, 128, 64), LAYERS)
    for layer in LAYERS:
        width = left[layer].shape[3]
        assert (left[layer][..., : width // 2 - 1] == 1).all(), layer
        assert (left[layer][..., width // 2 - 1 :] == 0).all(), layer
        assert (left[layer] + right[layer] <= 1).all()


def test_a_thin_region_is_not_lost() -> None:
    line = torch.zeros(1, 1, 64, 64)
    line[:, :, 30:33] = 1
    for layer, guide in guidance.guides(line, LAYERS).items():
        assert guide.sum() > 0, layer


def test_soft_edges_stay_soft() -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    guide = guidance.guides(ramp, ["relu2_1"])["relu2_1"]
    assert ((guide > 0.1) & (guide < 0.9)).float().mean() > 0.5


@given(st.integers(1, 4), st.integers(0, 999))
def test_nothing_belongs_to_more_than_one_altogether(count: int, seed: int) -> None:
    masks = torch.rand(count, 1, 9, 7, generator=torch.Generator().manual_seed(seed))
    parts = guidance.regions(masks)
    total = masks.sum(0)
    torch.testing.assert_close(parts.sum(0), total.clamp(max=1))
    assert torch.equal(parts[:, total < 1], masks[:, total < 1])
    torch.testing.assert_close(parts / parts.sum(0), masks / total)


@pytest.mark.parametrize(("at", "share"), [(32, 0.25), (128, 1.0)])
def test_share(at: int, share: float) -> None:
    assert guidance.share(halves(10, 128, at)) == pytest.approx(share)
