"""What the picture should come to resemble at one scale: content features, style statistics."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from ..images.picture import Picture
from ..network.names import poolings_before
from ..network.vgg import Vgg19
from . import guidance
from .color import COLOR_MODES
from .features import Features, find_features
from .job import Job
from .losses import gram_and_weight, sum_and_weight
from .styles import masks_at, part_of_content, shown_size, shown_style
from .tensors import to_tensor

#: Side, in pixels, of the tiles in which a large style image is shown to the network, and the
#: width of what is shown around each tile: relu5_4 sees 126 pixels to each side. Both are multiples
#: of 16, so that the poolings of all tiles fall on one grid.
TILE, AROUND = 1024, 128


class Statistics(NamedTuple):
    """What describes a style: sums over positions, divided by their number.

    Attributes:
        grams: the mean Gram matrix by layer, each N x N.
        means: the mean of each feature map by layer, each N.
    """

    grams: dict[str, Tensor]
    means: dict[str, Tensor]


@dataclass(frozen=True)
class Region:
    """A part of the picture and the style that it should have; by default the whole picture.

    Attributes:
        grams: mean Gram matrix of the style by layer, each N x N, for the layers that see the
            region.
        means: mean of the style's feature maps by layer, each N, for the same layers.
        guides: where the region is, by layer: 1 x 1 x H_l x W_l in [0, 1]; empty for everywhere.
        share: the region's part of the picture's area, by which its loss is multiplied. At each
            pixel the gradient of a mean Gram matrix grows as 1 / area; the factor cancels that, so
            that the pixel is moved as strongly as if the region were the whole picture.
    """

    grams: Mapping[str, Tensor]
    means: Mapping[str, Tensor] = field(default_factory=dict)
    guides: Mapping[str, Tensor] = field(default_factory=dict)
    share: float = 1.0


@dataclass(frozen=True)
class Targets:
    """What the terms of the objective are built from, for one job at one scale.

    Attributes:
        vgg: the network.
        job: options, pictures, and the factor of each layer.
        size: width and height of the picture at this scale, in pixels; `job.size` is the result's.
        content: features of the content image at the content layers.
        regions: which style goes where; none where the style has no weight.
    """

    vgg: Vgg19
    job: Job
    size: tuple[int, int]
    content: Mapping[str, Features]
    regions: Sequence[Region]


class StyleCache:
    """The statistics of the style images that were seen last.

    Many content images are painted with one style; at each scale the style is then shown to the
    network once.
    """

    #: How many are stored; 2.4 MB each with the default layers.
    MOST = 32

    def __init__(self) -> None:
        self.stored: OrderedDict[Hashable, Statistics] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], Statistics]) -> Statistics:
        """What is stored under a key; computed and stored where it is not there."""
        if key not in self.stored:
            self.stored[key] = compute()
        self.stored.move_to_end(key)
        if len(self.stored) > self.MOST:
            self.stored.popitem(last=False)
        return self.stored[key]


@torch.no_grad()
def find_targets(vgg: Vgg19, cache: StyleCache, job: Job, size: tuple[int, int]) -> Targets:
    """Show the content image and the style images to the network.

    Args:
        vgg: the network.
        cache: the statistics of styles that were seen before.
        job: pictures and options.
        size: (width, height) of the picture at this scale.
    """
    content = to_tensor(job.content, size).to(vgg.device)
    features = find_features(vgg, content, job.content_layers)
    return Targets(vgg, job, size, features, _regions(vgg, cache, job, content))


def _regions(vgg: Vgg19, cache: StyleCache, job: Job, content: Tensor) -> list[Region]:
    """One region for each mask; without masks a single one, with the blend of all styles."""
    if not job.style_layers:
        return []
    if not job.masks:
        parts = [
            (share, _style_statistics(vgg, cache, job, style, content, None))
            for style, share in zip(job.styles, job.shares, strict=True)
        ]
        return [Region(*_weakened(vgg, job, _blended(parts), content, None))]
    size = (content.shape[3], content.shape[2])
    regions = []
    for style, mask in zip(job.styles, masks_at(job, size).to(content), strict=True):
        mask = mask[None]
        guides = guidance.guides(mask, job.style_layers)
        if guides:  # otherwise the region is too small to be seen at this size
            statistics = _style_statistics(vgg, cache, job, style, content, mask)
            grams, means = _weakened(vgg, job, statistics, content, mask)
            region = Region(
                {layer: grams[layer] for layer in guides},
                {layer: means[layer] for layer in guides},
                guides,
                guidance.share(mask),
            )
            regions.append(region)
    return regions


def _blended(parts: Sequence[tuple[float, Statistics]]) -> Statistics:
    """The sum of statistics, each multiplied by its share."""
    blend = Statistics({}, {})
    for share, statistics in parts:
        for mixed, own in zip(blend, statistics, strict=True):
            for layer, values in own.items():
                mixed[layer] = mixed.get(layer, 0) + share * values
    return blend


def _weakened(
    vgg: Vgg19, job: Job, style: Statistics, content: Tensor, mask: Tensor | None
) -> Statistics:
    """The statistics that lie between the content image's own and the style's.

    Not in the paper. A lower weight of the style gives no even steps: in few iterations a picture
    that starts as noise does not come back to the photo.

    Args:
        vgg: the network.
        job: whose `--strength` says how near to the style's they are.
        style: the style's statistics.
        content: the content image, 1 x 3 x H x W.
        mask: where the style applies, 1 x 1 x H x W; None for everywhere.
    """
    strength = job.options.strength
    if strength == 1:
        return style
    where = part_of_content(job, content, mask)
    own = style_statistics(vgg, content, tuple(job.style_layers), where)
    return _blended([(strength, style), (1 - strength, own)])


def _style_statistics(
    vgg: Vgg19, cache: StyleCache, job: Job, style: Picture, content: Tensor, mask: Tensor | None
) -> Statistics:
    """A style image's statistics at the style layers."""
    shown = shown_size(job, style, (content.shape[3], content.shape[2]))
    layers = tuple(job.style_layers)

    def compute() -> Statistics:
        image, visible = shown_style(job, style, content, mask)
        return style_statistics(vgg, image, layers, visible)

    if COLOR_MODES[job.options.color].recolor_style:
        return compute()  # depends on the content image
    # The last bits depend on the number of threads.
    return cache.get((style.digest, shown, layers, job.options.threads), compute)


def style_statistics(
    vgg: Vgg19, image: Tensor, layers: Sequence[str], visible: Tensor | None = None
) -> Statistics:
    """The statistics of a picture at each layer, in memory that does not grow with it.

    They are sums over positions, so that a large picture can be shown in tiles. Each tile
    is shown with as much around it as the deepest layer sees: the result is that of the whole.

    Args:
        vgg: the network.
        image: 1 x 3 x H x W in [0, 1].
        layers: names out of `LAYERS`.
        visible: 1 x 1 x H x W in [0, 1], how much each place counts; None for all alike.
    """
    height, width = image.shape[2:]
    # A layer that sees nothing of the visible part takes the picture as it was filled.
    guides = guidance.guides(visible, layers) if visible is not None else {}
    grams: dict[str, tuple[Tensor, Tensor]] = {}
    means: dict[str, tuple[Tensor, Tensor]] = {}
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            margin_top, margin_left = min(top, AROUND), min(left, AROUND)
            end_y, end_x = top + TILE + AROUND, left + TILE + AROUND
            tile = image[:, :, top - margin_top : end_y, left - margin_left : end_x]
            for layer, maps in vgg(tile, layers).items():
                stride = 2 ** poolings_before(layer)
                # The surroundings belong to the other tiles; beyond the last one there are none.
                rows = slice(margin_top // stride, _end(margin_top, top, height, stride))
                columns = slice(margin_left // stride, _end(margin_left, left, width, stride))
                core = maps[:, :, rows, columns]
                y, x = top // stride, left // stride
                bottom, right = y + core.shape[2], x + core.shape[3]
                guide = guides[layer][:, :, y:bottom, x:right] if layer in guides else None
                for sums, summed in ((grams, gram_and_weight), (means, sum_and_weight)):
                    part, weight = summed(core, guide)
                    total, count = sums.get(layer, (0, 0))
                    sums[layer] = total + part, count + weight
    return Statistics(_divided(grams), _divided(means))


def _divided(sums: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    return {layer: total / weight for layer, (total, weight) in sums.items()}


def _end(margin: int, start: int, side: int, stride: int) -> int | None:
    """Where a tile's own positions end in its feature maps; None at the last tile of a side."""
    return None if start + TILE >= side else (margin + TILE) // stride
