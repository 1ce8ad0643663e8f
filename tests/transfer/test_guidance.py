"""Masks as the layers of the network see them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylize.network.names import LAYERS
from stylize.network.vgg import Vgg19
from stylize.transfer import guidance


def left_part(height: int, width: int, columns: int) -> torch.Tensor:
    """A mask that is 1 in the first columns, and 0 elsewhere."""
    mask = torch.zeros(1, 1, height, width)
    mask[..., :columns] = 1
    return mask


@settings(deadline=None)
@given(st.integers(16, 70), st.integers(16, 70))
def test_guides_have_the_size_of_the_features(height: int, width: int) -> None:
    maps = guidance.guides(torch.rand(1, 1, height, width), LAYERS)
    for layer, guide in maps.items():
        stride = 2 ** (int(layer[4]) - 1)
        assert guide.shape == (1, 1, height // stride, width // stride)
        assert 0 <= guide.min() <= guide.max() <= 1
    assert set(maps) == set(LAYERS)


def test_guides_have_the_size_of_the_features_that_the_network_computes(vgg: Vgg19) -> None:
    layers = ["relu1_1", "relu2_2", "relu3_1", "relu4_2", "relu5_1"]
    features = vgg(torch.rand(1, 3, 51, 67), layers)
    guides = guidance.guides(torch.ones(1, 1, 51, 67), layers)
    assert {k: f.shape[2:] for k, f in features.items()} == {
        k: g.shape[2:] for k, g in guides.items()
    }


def test_a_mask_that_is_1_everywhere_gives_guides_of_1() -> None:
    assert all((g == 1).all() for g in guidance.guides(torch.ones(1, 1, 50, 41), LAYERS).values())


def test_a_position_at_the_border_belongs_to_neither_region() -> None:
    left = guidance.guides(left_part(64, 128, 64), LAYERS)
    right = guidance.guides(1 - left_part(64, 128, 64), LAYERS)
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


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(0, 999))
def test_overlapping_masks_share_each_pixel_in_proportion(count: int, seed: int) -> None:
    """Their sum is 1 at most, and they are unchanged where it was below 1."""
    masks = torch.rand(count, 1, 9, 7, generator=torch.Generator().manual_seed(seed))
    shared = guidance.share_overlaps(masks)
    total = masks.sum(0)
    torch.testing.assert_close(shared.sum(0), total.clamp(max=1))
    assert torch.equal(shared[:, total < 1], masks[:, total < 1])
    torch.testing.assert_close(shared / shared.sum(0), masks / total)


@pytest.mark.parametrize(("columns", "share"), [(32, 0.25), (128, 1.0)])
def test_the_share_of_a_region_is_its_part_of_the_area(columns: int, share: float) -> None:
    assert guidance.share(left_part(10, 128, columns)) == pytest.approx(share)
