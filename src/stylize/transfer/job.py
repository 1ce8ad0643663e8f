"""One picture to paint: everything read and checked, nothing computed. No torch.

So that whatever is wrong with the input is told before anything that takes time.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import OptionError, PictureError
from ..images import picture as images
from ..images.picture import Picture, Source
from ..network.names import parse_layers, smallest_side
from ..settings.options import STARTS, Options, flag
from . import scales as pyramid
from .scales import Scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Job:
    """What a run needs to know.

    Attributes:
        options: how to paint.
        content: the photo.
        paintings: one, or several to be blended or set side by side.
        shares: of each painting in the blend; they add up to 1.
        masks: where each painting goes, H x W in [0, 1], each in its own size; none for everywhere.
        start: the picture that the optimisation starts from; None for noise.
        content_layers, style_layers: factor by layer name; none for a term of weight 0.
        smallest: pixels that the shorter side of any picture needs for these layers.
        scales: the way to the result, coarse to fine.
        digests: of the files, for the recipe: "content", "styles", and "masks" and "init" if any.
        fitted: whether it was `--size fit` that chose the size.
    """

    options: Options
    content: Picture
    paintings: tuple[Picture, ...]
    shares: tuple[float, ...]
    masks: "tuple[NDArray[Any], ...]"
    start: Picture | None
    content_layers: dict[str, float]
    style_layers: dict[str, float]
    smallest: int
    scales: tuple[Scale, ...]
    digests: dict[str, Any]
    fitted: bool = False

    @classmethod
    def prepare(cls, options: Options, content: Source, styles: Sequence[Source]) -> "Job":
        """Read the pictures, and see that they suit the options.

        Raises:
            OptionError: no style, several without `blend` or masks, or not as many masks.
            PictureError: one cannot be read, is too small for the layers in use, is no mask, or is
                transparent all over.
        """
        if not styles:
            raise OptionError("give at least one style picture")
        shares = options.shares(len(styles))
        photo = images.load(content, "content picture")
        paintings = [images.load(style, "style picture") for style in styles]
        for picture in (photo, *paintings):
            if picture.transparent and picture.pixels[..., 3].max() < 8 * (picture.white // 255):
                raise PictureError(f"{picture.name}: is transparent all over; nothing to see")
        masks = [images.load(path) for path in options.mask]
        maps = [images.mask(mask) for mask in masks]
        content_layers, style_layers = layers(options)
        smallest = smallest_side([*content_layers, *style_layers])
        for picture in (photo, *paintings):
            pyramid.check_smallest(picture.size, smallest, picture.name)
        scales = way(options, photo.size, photo.name)
        for mask in masks:
            _compare_shapes(mask, photo)
        digests: dict[str, Any] = {
            "content": photo.digest,
            "styles": [painting.digest for painting in paintings],
        }
        if masks:
            digests["masks"] = [mask.digest for mask in masks]
        start = {"noise": None, "content": photo, "style": paintings[0]}.get(options.init)
        if options.init not in STARTS:
            start = images.load(options.init)
            digests["init"] = start.digest
        return cls(
            options=options,
            content=photo,
            paintings=tuple(paintings),
            shares=tuple(shares),
            masks=tuple(maps),
            start=start,
            content_layers=content_layers,
            style_layers=style_layers,
            smallest=smallest,
            scales=scales,
            digests=digests,
        )

    def fit(self, size: int | str) -> "Job":
        """The same with the `--size` that was found to fit.

        Raises:
            OptionError: out of range.
            PictureError: the result would be too small for the layers in use.
        """
        options = self.options.but(size=size)
        scales = way(options, self.content.size, self.content.name)
        return replace(self, options=options, scales=scales, fitted=True)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the result."""
        return self.scales[-1].size


def layers(options: Options) -> tuple[dict[str, float], dict[str, float]]:
    """Factor by layer name, of content and of style; none for a term of weight 0."""
    content = parse_layers(options.content_layers, flag("content_layers"))
    style = parse_layers(options.style_layers, flag("style_layers"))
    return content if options.content_weight else {}, style if options.style_weight else {}


def way(options: Options, photo: tuple[int, int], name: str) -> tuple[Scale, ...]:
    """The sizes at which a photo is painted, coarse to fine; the last is that of the result.

    Args:
        options: how to paint.
        photo: its width and height.
        name: what messages call it.

    Raises:
        PictureError: it, or the result, is too small for the layers in use.
    """
    content, style = layers(options)
    smallest = smallest_side([*content, *style])
    pyramid.check_smallest(photo, smallest, name)
    size = pyramid.result_size(photo, options.size)
    pyramid.check_smallest(size, smallest, f"{name}, resized")
    return tuple(pyramid.plan(size, options.iterations, options.effort, options.scales, smallest))


def _compare_shapes(mask: Picture, photo: Picture) -> None:
    """A mask of other proportions is stretched over the photo; if that is meant is not known."""
    shape, wanted = (picture.size[0] / picture.size[1] for picture in (mask, photo))
    if not 0.95 < shape / wanted < 1.05:
        log.warning(
            "%s: %d x %d is stretched over the photo's %d x %d", mask.name, *mask.size, *photo.size
        )
