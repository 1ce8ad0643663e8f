"""Masks as the layers of the network see them: which positions belong to which region.

Spatial guidance after Gatys et al. 2017 (arXiv:1611.07865, section 4).
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from ..network.names import BLOCKS, LAYERS

#: A region that would lose more than this share of itself keeps the positions along its border.
MOST_LOST = 0.5


def share_overlaps(masks: Tensor) -> Tensor:
    """Make the masks add up to at most 1 everywhere.

    Args:
        masks: K x 1 x H x W in [0, 1], one for each style.

    Returns:
        The masks, divided by their sum where that is above 1.
    """
    return masks / masks.sum(0, keepdim=True).clamp(min=1)


def guides(mask: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    """How much each position of a layer belongs to a region.

    The mask is pooled as the features are. Then each position counts only as much as the least of
    its neighbours: a feature at the border sees both sides, and would carry the colours and strokes
    of one into the other.

    Args:
        mask: the region, 1 x 1 x H x W in [0, 1], of the picture's size.
        layers: names out of `LAYERS`.

    Returns:
        1 x 1 x H_l x W_l in [0, 1] by layer, none of them 0 everywhere. A layer that does not see
        the region, which may lie in an odd last row that poolings leave out, is missing.
    """
    missing = set(layers)
    maps: dict[str, Tensor] = {}
    for block in range(1, len(BLOCKS) + 1):
        if block > 1:
            mask = avg_pool2d(mask, 2)
        in_block = missing & {name for name in LAYERS if name.startswith(f"relu{block}_")}
        if in_block and mask.any():
            inside = -max_pool2d(-mask, 3, stride=1, padding=1)
            thin = inside.sum() < (1 - MOST_LOST) * mask.sum()
            maps |= dict.fromkeys(in_block, mask if thin else inside)
        missing -= in_block
        if not missing:
            break
    return maps


def share(mask: Tensor) -> float:
    """The part of the picture's area that a mask covers, in [0, 1]."""
    return float(torch.mean(mask))
