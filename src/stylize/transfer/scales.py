"""How large the result is, and the way there: sizes from coarse to fine. No torch."""

from dataclasses import dataclass

from ..errors import PictureError
from ..settings.options import AUTO_SIZE, COARSEST, DECLINE, EFFORTS, MOST_SCALES


@dataclass(frozen=True)
class Scale:
    """One size on the way.

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
    def work(self) -> int:
        """What this scale costs, in pixels evaluated: an evaluation's time is proportional."""
        return self.width * self.height * self.iterations


def result_size(content: tuple[int, int], size: int | str) -> tuple[int, int]:
    """Width and height of the result.

    Args:
        content: width and height of the photo, whose proportions are kept.
        size: of the longer side; `"original"` for the photo's own, and `"fit"` too, as far as is
            known here; `"auto"` for `AUTO_SIZE` or the photo's own, whichever is smaller.
    """
    longer = max(content)
    if size in ("original", "fit"):
        return content
    target = min(AUTO_SIZE, longer) if size == "auto" else int(size)
    return resized(content, target / longer)


def resized(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """Width and height times `factor`, in whole pixels, at least one."""
    width, height = size
    return max(1, round(width * factor)), max(1, round(height * factor))


def check_smallest(size: tuple[int, int], smallest: int, name: str) -> None:
    """See that a picture is large enough for the layers in use.

    Raises:
        PictureError: its shorter side has less than `smallest` pixels.
    """
    if min(size) < smallest:
        raise PictureError(
            f"{name}: {size[0]} x {size[1]} pixels, but the layers in use need at least"
            f" {smallest} a side; give a larger picture or --size, or shallower layers"
        )


def style_size(
    painting: tuple[int, int], result: tuple[int, int], style_scale: float, smallest: int
) -> tuple[int, int]:
    """Width and height at which the network is shown the painting.

    The paper does not say; here strokes keep their proportion to the result, and a painting
    smaller than it is enlarged.

    Args:
        painting: its own width and height; the proportions are kept.
        result: width and height of the picture at this scale.
        style_scale: 1 gives the painting the area of the result, 2 twice the sides.
        smallest: no side gets shorter than this, however long and thin the painting is.
    """
    area = (result[0] * result[1]) / (painting[0] * painting[1])
    return resized(painting, max(style_scale * area**0.5, smallest / min(painting)))


def plan(
    size: tuple[int, int], iterations: int | str, effort: str, scales: int | str, smallest: int
) -> list[Scale]:
    """Sizes from coarse to fine, each twice the one before, ending at `size`.

    A departure from the paper, which paints at one size.

    Args:
        size: width and height of the result, in pixels.
        iterations: in all, or `"auto"`: as many as `effort` says. Each scale gets `DECLINE` times
            those of the one before, because what is settled there needs not be found again.
        effort: a key of `EFFORTS`.
        scales: how many, or `"auto"`: down to a longer side near `COARSEST`. Fewer are taken
            where there are not as many iterations.
        smallest: fewer are taken too where a side would have less than this many pixels.
    """
    most = MOST_SCALES if iterations == "auto" else int(iterations)
    sizes = [size]
    while len(sizes) < min(most, MOST_SCALES if scales == "auto" else int(scales)):
        coarser = resized(size, 0.5 ** len(sizes))
        if coarser == sizes[0]:
            break
        if min(coarser) < smallest or (scales == "auto" and max(coarser) < 0.75 * COARSEST):
            break
        sizes.insert(0, coarser)
    shares = [DECLINE**place for place in range(len(sizes))]
    if iterations == "auto":
        counts = [round(EFFORTS[effort] * share) for share in shares]
    else:
        spare = int(iterations) - len(sizes)
        counts = [1 + int(spare * share / sum(shares)) for share in shares]
        counts[0] += int(iterations) - sum(counts)
    return [Scale(*size, iterations=count) for size, count in zip(sizes, counts, strict=True)]
