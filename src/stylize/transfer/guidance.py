"""Masks, as the layers of the network see them: which positions belong to which region."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from ..network.names import BLOCKS, LAYERS

#: A region that would lose more than this share of itself keeps its positions by the border.
MOST_LOST = 0.5


def regions(masks: Tensor) -> Tensor:
    """Masks so that no place belongs to more than one painting altogether.

    Args:
        masks: K x 1 x H x W in [0, 1], one for each painting.

    Returns:
        The same, divided by their sum where that is above 1.
    """
    return masks / masks.sum(0, keepdim=True).clamp(min=1)


def guides(region: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    """How much each position of a layer belongs to a region.

    The region is pooled as the features are. Then each position counts as little as the least
    of its neighbours: by the border a feature sees both sides, and would carry the one's colours
    and strokes into the other.

    Args:
        region: 1 x 1 x H x W in [0, 1], of the picture's size.
        layers: names out of `LAYERS`.

    Returns:
        1 x 1 x H_l x W_l in [0, 1] by layer, none of them 0 everywhere: a layer that does not see
        the region, which may lie in an odd last row that poolings leave out, is not among them.
    """
    wanted = set(layers)
    maps: dict[str, Tensor] = {}
    for block in range(1, len(BLOCKS) + 1):
        if block > 1:
            region = avg_pool2d(region, 2)
        here = wanted & {name for name in LAYERS if name.startswith(f"relu{block}_")}
        if here and region.any():
            inside = -max_pool2d(-region, 3, stride=1, padding=1)
            thin = inside.sum() < (1 - MOST_LOST) * region.sum()
            maps |= dict.fromkeys(here, region if thin else inside)
        wanted -= here
        if not wanted:
            break
    return maps


def share(region: Tensor) -> float:
    """What part of the picture a region is, in [0, 1]."""
    return float(torch.mean(region))
