"""Strips: a large picture goes through the network a few rows at a time.

What the losses need of the features are sums over positions, so that a picture need never be in the
network as a whole (the idea of Galerne et al. 2022, arXiv:2212.13459). Where strips overlap, their
gradients add up, and nothing is approximated. This module is the geometry alone; `Objective` does
the work. No torch.

The network is cut into segments, at a pooling. A segment reads the strips of its own input: the
picture, or what the pooling before it gives, which is kept whole.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ..network.names import BLOCKS, LAYERS, poolings_before

#: Pixels from which a picture is evaluated in strips.
LARGE = 3_000_000
#: Pixels from which the features of the content image are computed again for each strip, where they
#: are large: 64 or 128 bytes a pixel at relu2_2. It takes a fifth of the time.
VERY_LARGE = 8_000_000
#: How many times as long a pixel takes from these sizes on: rows around a strip are computed twice.
SLOWDOWN = {LARGE: 1.4, VERY_LARGE: 1.5}
#: Pixels of a strip, and its least rows. The more, the less is computed twice around each strip,
#: and the more memory it takes.
STRIP_PIXELS, LEAST_ROWS = 1_000_000, 224
#: The block after which a large picture's network is cut: what the pooling after it gives has four
#: values a pixel.
CUT = 3
#: The rows of the picture that the blocks before the cut see beyond a position, in whole units.
AROUND = 24


@dataclass(frozen=True)
class Strip:
    """Some rows of a segment's input.

    Attributes:
        top, bottom: the rows whose features are this strip's own, as in range(top, bottom).
        first, end: the rows that these features see, as in range(first, end).
        last: whether the strip is the lowest one.
    """

    top: int
    bottom: int
    first: int
    end: int
    last: bool

    def own(self, stride: int) -> slice:
        """The strip's own rows in its features, at a layer with this stride."""
        return self._rows(self.top - self.first, self.bottom - self.first, stride)

    def all(self, stride: int) -> slice:
        """The same rows in the features of the whole input."""
        return self._rows(self.top, self.bottom, stride)

    def _rows(self, top: int, bottom: int, stride: int) -> slice:
        # Poolings leave out odd last rows, so that the lowest strip ends where its features do.
        return slice(top // stride, None if self.last else bottom // stride)


@dataclass(frozen=True)
class Segment:
    """Some blocks of the network, one after the other.

    Attributes:
        layers: all of its layers.
        pooled: whether a pooling and another segment follow.
        rows: of a strip, at least; None for the whole input at once.
    """

    layers: tuple[str, ...]
    pooled: bool = False
    rows: int | None = None

    def stride(self, layer: str) -> int:
        """How many rows of the segment's input make one row of a layer's features."""
        return 1 << (poolings_before(layer) - poolings_before(self.layers[0]))

    @property
    def unit(self) -> int:
        """The stride of all that the segment gives: strips begin at multiples of it."""
        return self.stride(self.layers[-1]) * (2 if self.pooled else 1)

    @property
    def around(self) -> int:
        """How many rows beyond its own a strip sees, rounded up to whole units.

        Each convolution sees one row more to either side.
        """
        seen = sum(map(self.stride, self.layers))
        return -(-seen // self.unit) * self.unit

    def strips(self, height: int) -> Iterator[Strip]:
        """The strips of an input with so many rows, from the top."""
        rows = height if self.rows is None else max(1, self.rows // self.unit) * self.unit
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            # Less than a unit gives no features of its own: it belongs to the strip before.
            if height - bottom < self.unit:
                bottom = height
            yield self.strip(top, bottom, height)
            if bottom == height:
                return

    def strip(self, top: int, bottom: int, height: int) -> Strip:
        """The strip of an input with `height` rows whose own rows are range(top, bottom)."""
        first, end = max(0, top - self.around), min(height, bottom + self.around)
        return Strip(top, bottom, first, end, bottom == height)


def segments(layers: Collection[str], size: tuple[int, int]) -> list[Segment]:
    """The segments in which the network is evaluated.

    Args:
        layers: those that the losses need.
        size: (width, height) of the picture. With the layers it alone decides, so that the bytes of
            a result do not depend on how much memory is free.
    """
    depth = max(LAYERS.index(layer) for layer in layers) + 1
    used = LAYERS[:depth]
    width, height = size
    return [Segment(used)] if width * height < LARGE else cut(used, _rows(width))


def pixels_at_once(width: int) -> int:
    """Pixels of a strip and of what it sees around it, for a large picture of some width."""
    return (_rows(width) + 2 * AROUND) * width


def _rows(width: int) -> int:
    return max(LEAST_ROWS, STRIP_PIXELS // width)


def cut(layers: tuple[str, ...], rows: int) -> list[Segment]:
    """Two segments, or one where no layer lies beyond the cut.

    Args:
        layers: all that are used, from the first on.
        rows: of a strip. A strip of the second segment has half as many, which stand for four
            times as many rows of the picture: its features have an eighth of the values.
    """
    shallow = sum(BLOCKS[:CUT])
    if len(layers) <= shallow:
        return [Segment(layers, rows=rows)]
    return [Segment(layers[:shallow], True, rows), Segment(layers[shallow:], rows=(rows + 1) // 2)]
