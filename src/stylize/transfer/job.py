"""One picture to paint: everything is read and checked, nothing is computed yet. No torch.

So whatever is wrong with the input is reported before anything that takes time.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from ..errors import OptionError, PictureError
from ..images.picture import Picture, Source, load_mask, load_picture
from ..images.probe import picture_size
from ..network.names import parse_layers, smallest_side
from ..settings.options import STARTS, Options, flag
from .scales import Scale, check_shorter_side, plan_scales, result_size, scales_beyond

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Job:
    """What a run needs to know.

    Attributes:
        options: how to paint.
        content: the content image.
        styles: one style image, or several to be blended or placed by masks.
        shares: of each style image in the blend; they add up to 1, or are all 1 with masks.
        masks: where each style goes, H x W in [0, 1], each in its own size; none for everywhere.
        start: the picture that the optimisation starts from; None for noise, alone or over a faint
            photo.
        smaller: the finished picture that is enlarged, in the place of a start; None without one.
        content_layers, style_layers: factor by layer name; none for a term of weight 0.
        smallest: pixels that the shorter side of any picture needs for these layers.
        scales: the sizes at which the picture is painted, coarse to fine.
        digests: SHA-256 of the files, for the recipe: "content", "styles", and, where there are
            any, "masks", "init" and "enlarge".
        inputs: absolute paths of all files that were read for it, or are read by the network.
        fitted: whether `--size fit` chose the size.
    """

    options: Options
    content: Picture
    styles: tuple[Picture, ...]
    shares: tuple[float, ...]
    masks: "tuple[NDArray[Any], ...]"
    start: Picture | None
    smaller: Picture | None
    content_layers: dict[str, float]
    style_layers: dict[str, float]
    smallest: int
    scales: tuple[Scale, ...]
    digests: dict[str, Any]
    inputs: tuple[str, ...] = ()
    fitted: bool = False

    @classmethod
    def prepare(
        cls,
        options: Options,
        content: Source,
        styles: Sequence[Source],
        find: Callable[[str], Source] = lambda path: path,
    ) -> Self:
        """Read the pictures, and check that they suit the options.

        Args:
            options: how to paint.
            content: the content image.
            styles: the style images.
            find: gives what is read for a path among the options; by default the path itself.

        Raises:
            OptionError: there is no style image, there are several without `blend` or masks, or
                there is another number of masks.
            PictureError: a picture cannot be read, is too small for the layers in use, is wholly
                transparent, or is not a mask.
        """
        if not styles:
            raise OptionError("give at least one style picture")
        shares = options.style_shares(len(styles))
        content_picture = load_picture(content, "content picture")
        style_pictures = [load_picture(style, "style picture") for style in styles]
        for picture in (content_picture, *style_pictures):
            _check_visible(picture)
        masks = [load_picture(find(path)) for path in options.mask_files]
        maps = [
            load_mask(picture, inverted=inverted)
            for picture, inverted in zip(masks, options.masks_inverted, strict=True)
        ]
        content_layers, style_layers = layer_factors(options)
        smallest = smallest_side([*content_layers, *style_layers])
        for picture in (content_picture, *style_pictures):
            check_shorter_side(picture.size, smallest, picture.name)
        smaller = None
        if path := options.pictures_named.get("enlarge"):
            smaller = load_picture(find(path))
        scales = scales_for(options, content_picture.size, content_picture.name, smaller)
        for mask in masks:
            _warn_of_stretching(mask, content_picture)
        digests: dict[str, Any] = {
            "content": content_picture.digest,
            "styles": [style.digest for style in style_pictures],
        }
        if masks:
            digests["masks"] = options.mask_digests(mask.digest for mask in masks)
        if options.init in STARTS:
            start = {
                "faint": None,
                "noise": None,
                "content": content_picture,
                "style": style_pictures[0],
            }[options.init]
        else:
            start = _load_start(find(options.init))
            digests["init"] = start.digest
        if smaller:
            digests["enlarge"] = smaller.digest
        pictures = filter(None, (content_picture, *style_pictures, *masks, start, smaller))
        inputs = {picture.path for picture in pictures} - {""}
        if options.weights_file:
            inputs.add(os.path.abspath(options.weights_file))
        return cls(
            options=options,
            content=content_picture,
            styles=tuple(style_pictures),
            shares=tuple(shares),
            masks=tuple(maps),
            start=start,
            smaller=smaller,
            content_layers=content_layers,
            style_layers=style_layers,
            smallest=smallest,
            scales=scales,
            digests=digests,
            inputs=tuple(sorted(inputs)),
        )

    def with_size(self, size: int | str) -> "Job":
        """The same job with the `--size` that was found to fit.

        Raises:
            OptionError: the size is out of range.
            PictureError: the result would be too small for the layers in use.
        """
        options = self.options.replace(size=size)
        scales = scales_for(options, self.content.size, self.content.name, self.smaller)
        return replace(self, options=options, scales=scales, fitted=True)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the result."""
        return self.scales[-1].size


def _load_start(source: Source) -> Picture:
    """The picture to start from; a word that is none of `STARTS` is answered with them."""
    try:
        return load_picture(source)
    except PictureError as error:
        name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else ""
        if not name or os.path.splitext(name)[1] or os.path.lexists(name):
            raise
        raise PictureError(f"--init {error}, and none of {', '.join(STARTS)}") from error


def layer_factors(options: Options) -> tuple[dict[str, float], dict[str, float]]:
    """Factor by layer name, for content and for style; none for a term of weight 0."""
    content = parse_layers(options.content_layers, flag("content_layers"))
    style = parse_layers(options.style_layers, flag("style_layers"))
    return content if options.content_weight else {}, style if options.style_weight else {}


def scales_for(
    options: Options, content: tuple[int, int], name: str, smaller: Picture | None = None
) -> tuple[Scale, ...]:
    """The scales at which a content image is painted, coarse to fine; the last is the result's.

    Args:
        options: how to paint.
        content: width and height of the content image.
        name: of the content image, for messages.
        smaller: the picture to be enlarged, if it has been read.

    Raises:
        PictureError: the content image or the result is too small for the layers in use.
        OptionError: the picture to be enlarged is no smaller, or has other proportions.
    """
    content_layers, style_layers = layer_factors(options)
    smallest = smallest_side([*content_layers, *style_layers])
    check_shorter_side(content, smallest, name)
    size = result_size(content, options.size, options.density)
    check_shorter_side(size, smallest, name, resized=True)
    scales = plan_scales(size, options.iterations, options.effort, options.scales, smallest)
    if path := options.pictures_named.get("enlarge"):
        size_before = smaller.size if smaller else picture_size(path)
        scales = scales_beyond(size_before, scales, path)
        # The counts of `--effort` belong to their scales; those of `-n` are divided anew.
        if options.iterations != "auto":
            left = len(scales)
            scales = plan_scales(size, options.iterations, options.effort, left, smallest)
    return tuple(scales)


def _check_visible(picture: Picture) -> None:
    level = picture.white // 255
    if picture.transparent and picture.pixels[..., 3].max() < 8 * level:
        raise PictureError(f"{picture.name}: is wholly transparent; there is nothing to see")


def _warn_of_stretching(mask: Picture, content: Picture) -> None:
    """A mask of other proportions is stretched; nobody knows whether that is intended."""
    shape, wanted = (picture.size[0] / picture.size[1] for picture in (mask, content))
    if not 0.95 < shape / wanted < 1.05:
        log.warning(
            "%s: %d x %d is stretched over the photo's %d x %d",
            mask.name,
            *mask.size,
            *content.size,
        )
