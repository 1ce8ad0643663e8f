"""The size of the result, and the scales on the way to it, from coarse to fine. No torch."""

from dataclasses import dataclass
from math import ceil

from ..errors import OptionError, PictureError
from ..settings import printing
from ..settings.options import (
    AUTO_SIZE,
    COARSEST,
    DECLINE,
    EFFORTS,
    LARGEST_SIDE,
    LEAST_SHARE,
    MOST_SCALES,
    SMALLEST_SIDE,
)
from .strips import SLOWDOWN

#: An evaluation takes as long as if the picture had so many more pixels, in which kernels are
#: prepared and functions called. Fitted to 64 to 1024 pixels a side on two kinds of processors; it
#: serves to foretell times and for nothing else.
FIXED_COST = 5000


#: A picture is enlarged at least so many times.
LEAST_GROWTH = 1.25


@dataclass(frozen=True)
class Scale:
    """One size at which the picture is painted.

    Attributes:
        width, height: in pixels.
        iterations: evaluations of the network at this size.
    """

    width: int
    height: int
    iterations: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return self.width * self.height

    @property
    def cost(self) -> int:
        """What one evaluation takes, in units of the time for one pixel of a small picture."""
        slowdown = max(
            (factor for pixels, factor in SLOWDOWN.items() if self.pixels >= pixels), default=1.0
        )
        return round(self.pixels * slowdown) + FIXED_COST

    @property
    def work(self) -> int:
        """What all iterations take, in the same unit."""
        return self.cost * self.iterations


def result_size(
    content: tuple[int, int], size: int | str, density: int | None = None
) -> tuple[int, int]:
    """Width and height of the result.

    Args:
        content: width and height of the content image, whose proportions are preserved.
        size: of the longer side; `"original"` for the content image's own size, and also `"fit"`,
            as long as the size that fits is not known; `"auto"` for `AUTO_SIZE`, or the content
            image's own size where that is smaller; a multiple of it as in "200%"; or a size on
            paper.
        density: dots per inch, for a size on paper.

    Raises:
        OptionError: the multiple or the size on paper has too many pixels, or too few.
    """
    longer, cure = max(content), "--dpi"
    side = printing.longer_side(size, density or printing.DENSITY, content)
    if str(size).endswith("%"):
        side, cure = round(longer * float(str(size)[:-1]) / 100), "size"
    if side is not None:
        if not SMALLEST_SIDE <= side <= LARGEST_SIDE:
            raise OptionError(
                f"--size {size}: is {side} pixels; the longer side can have {SMALLEST_SIDE} to"
                f" {LARGEST_SIDE}, so give another {cure}"
            )
        return scaled_size(content, side / longer)
    if size in ("original", "fit"):
        return content
    target = min(AUTO_SIZE, longer) if size == "auto" else int(size)
    return scaled_size(content, target / longer)


def scaled_size(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """Width and height times `factor`, in whole pixels, at least 1."""
    width, height = size
    return max(1, round(width * factor)), max(1, round(height * factor))


def check_shorter_side(
    size: tuple[int, int], smallest: int, name: str, resized: bool = False
) -> None:
    """Check that a picture is large enough for the layers in use.

    Args:
        size: (width, height) in pixels.
        smallest: pixels that the shorter side needs, as `names.smallest_side` says.
        name: of the picture, for the message.
        resized: whether this is the size of the result, not of the picture itself.

    Raises:
        PictureError: the shorter side has fewer pixels.
    """
    if min(size) < smallest:
        what = "the result would have " if resized else "has only "
        cure = "a larger --size" if resized else "a larger picture"
        raise PictureError(
            f"{name}: {what}{size[0]} x {size[1]} pixels, but the network's layers in use need at"
            f" least {smallest} on each side; give {cure}"
        )


def style_size(
    style: tuple[int, int], result: tuple[int, int], style_scale: float, smallest: int
) -> tuple[int, int]:
    """Width and height at which the network is shown a style image.

    The paper does not say. Here strokes keep their proportion to the result, and a style image that
    is smaller than the result is enlarged.

    Args:
        style: width and height of the style image; the proportions are preserved.
        result: width and height of the picture at this scale.
        style_scale: 1 gives the style image the area of the result, 2 twice the sides.
        smallest: no side gets shorter than this, however long and thin the style image is.
    """
    area = (result[0] * result[1]) / (style[0] * style[1])
    return scaled_size(style, max(style_scale * area**0.5, smallest / min(style)))


def plan_scales(
    size: tuple[int, int], iterations: int | str, effort: str, scales: int | str, smallest: int
) -> list[Scale]:
    """Scales from coarse to fine, each twice the size of the one before, ending at `size`.

    A departure from the paper, which paints at one size.

    Args:
        size: width and height of the result, in pixels.
        iterations: in all, or `"auto"`: as many as `effort` says. Each scale gets `DECLINE` times
            the iterations of the one before, because what was found there need not be found again,
            down to `LEAST_SHARE` of those at the first.
        effort: a key of `EFFORTS`.
        scales: how many, or `"auto"`: down to a longer side near `COARSEST`. There are never more
            scales than iterations.
        smallest: there are fewer scales also where a side would have fewer pixels than this.
    """
    most = MOST_SCALES if iterations == "auto" else int(iterations)
    sizes = [size]
    while len(sizes) < min(most, MOST_SCALES if scales == "auto" else int(scales)):
        coarser = scaled_size(size, 0.5 ** len(sizes))
        if coarser == sizes[0]:
            break
        if min(coarser) < smallest or (scales == "auto" and max(coarser) < 0.75 * COARSEST):
            break
        sizes.insert(0, coarser)
    shares = [max(LEAST_SHARE, DECLINE**place) for place in range(len(sizes))]
    if iterations == "auto":
        counts = [round(EFFORTS[effort] * share) for share in shares]
    else:
        spare = int(iterations) - len(sizes)
        counts = [1 + int(spare * share / sum(shares)) for share in shares]
        counts[0] += int(iterations) - sum(counts)
    return [Scale(*size, iterations=count) for size, count in zip(sizes, counts, strict=True)]


def scales_beyond(size: tuple[int, int], scales: list[Scale], name: str) -> list[Scale]:
    """The scales that are left for a picture that was painted already.

    Args:
        size: (width, height) of that picture.
        scales: of the result, coarse to fine.
        name: of that picture, for messages.

    Raises:
        OptionError: there are none, or the proportions differ.
    """
    result = scales[-1].size
    if abs(size[0] * result[1] - size[1] * result[0]) > max(size) + max(result):
        raise OptionError(
            f"--enlarge {name}: has {size[0]} x {size[1]} pixels, which are not the proportions of"
            f" {result[0]} x {result[1]}; name a picture of the same photo"
        )
    # A scale that is hardly larger would repeat what was done.
    left = [scale for scale in scales if scale.pixels >= LEAST_GROWTH**2 * size[0] * size[1]]
    if not left:
        least = ceil(LEAST_GROWTH * max(size)) + 1
        raise OptionError(
            f"--enlarge {name}: {result[0]} x {result[1]} pixels are not larger, or hardly,"
            f" than the {size[0]} x {size[1]} that it has; the longer side needs {least}"
        )
    return left
