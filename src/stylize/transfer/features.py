"""The features of the content image, of which the content terms ask for some rows at a time.

Those of the shallow layers are larger than all else that a very large picture needs. So these are
not kept: each strip's are computed when they are asked for.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator

import torch
from torch import Tensor

from ..network.names import LAYERS
from ..network.vgg import Vgg19
from .strips import VERY_LARGE, Segment, segments
from .tensors import joined


class Features(ABC):
    """A picture's features at one layer, 1 x N x H x W."""

    @abstractmethod
    def rows(self, rows: slice) -> Tensor:
        """Some rows of the layer: all of them, or those of a strip (`strips.Strip.all`)."""

    @abstractmethod
    def parts(self) -> Iterator[Tensor]:
        """All rows, a part after the other."""


class Kept(Features):
    """Features that are in memory."""

    def __init__(self, maps: Tensor) -> None:
        self.maps = maps

    def rows(self, rows: slice) -> Tensor:
        """See `Features.rows`."""
        return self.maps[:, :, rows]

    def parts(self) -> Iterator[Tensor]:
        """See `Features.parts`."""
        yield self.maps


class Computed(Features):
    """Features of a large picture at a shallow layer: some rows are computed at a time.

    Args:
        vgg: the network.
        image: 1 x 3 x H x W in [0, 1].
        segment: all layers down to the one that is asked for. It says in strips of how many rows
            they are computed.
    """

    def __init__(self, vgg: Vgg19, image: Tensor, segment: Segment) -> None:
        self.vgg, self.image, self.segment = vgg, image, segment
        self.layer = segment.layers[-1]

    @torch.no_grad()
    def rows(self, rows: slice) -> Tensor:
        """See `Features.rows`."""
        height, stride = self.image.shape[2], self.segment.stride(self.layer)
        bottom = height if rows.stop is None else rows.stop * stride
        step = self.segment.rows or height
        parts = []
        for top in range(rows.start * stride, bottom, step):
            strip = self.segment.strip(top, min(top + step, bottom), height)
            seen = self.image[:, :, strip.first : strip.end]
            own = self.vgg(seen, [self.layer])[self.layer][:, :, strip.own(stride)]
            parts.append(own.clone())  # so that what is not the strip's own can be freed
        return joined(parts)

    def parts(self) -> Iterator[Tensor]:
        """See `Features.parts`."""
        for strip in self.segment.strips(self.image.shape[2]):
            yield self.rows(strip.all(self.segment.stride(self.layer)))


def find_features(vgg: Vgg19, image: Tensor, layers: Collection[str]) -> dict[str, Features]:
    """A picture's features at some layers, ready to be asked for.

    Args:
        vgg: the network.
        image: 1 x 3 x H x W in [0, 1].
        layers: names out of `LAYERS`.
    """
    if not layers:
        return {}
    first, *deeper = segments(layers, (image.shape[3], image.shape[2]))
    if first.rows is None:
        return {layer: Kept(maps) for layer, maps in vgg(image, layers).items()}
    found: dict[str, Features]
    if image.shape[2] * image.shape[3] < VERY_LARGE:
        found = _kept(vgg, image, first, layers)
    else:
        # The objective asks while it has the activations of a strip: a quarter of one adds little.
        rows = max(8, first.rows // 32 * 8)
        found = {
            layer: Computed(vgg, image, Segment(LAYERS[: number + 1], rows=rows))
            for number, layer in enumerate(first.layers)
            if layer in layers
        }
    if deeper:
        (second,) = deeper
        found |= _kept(vgg, _pooled(vgg, image, first), second, layers)
    return found


def _pooled(vgg: Vgg19, x: Tensor, segment: Segment) -> Tensor:
    """What the pooling after a segment gives."""
    last = segment.layers[-1]
    strips = []
    for strip in segment.strips(x.shape[2]):
        features = vgg(x[:, :, strip.first : strip.end], [last], segment.layers[0])[last]
        strips.append(vgg.pool(features)[:, :, strip.own(segment.unit)])
    return joined(strips)


def _kept(vgg: Vgg19, x: Tensor, segment: Segment, layers: Collection[str]) -> dict[str, Features]:
    """The features of one segment, from its input."""
    wanted = [layer for layer in segment.layers if layer in layers]
    parts: dict[str, list[Tensor]] = {layer: [] for layer in wanted}
    for strip in segment.strips(x.shape[2]):
        seen = vgg(x[:, :, strip.first : strip.end], wanted, segment.layers[0])
        for layer, maps in seen.items():
            # A copy, so that what is not the strip's own can be freed.
            parts[layer].append(maps[:, :, strip.own(segment.stride(layer))].clone())
    return {layer: Kept(joined(strips)) for layer, strips in parts.items()}
