"""One picture to paint: everything read and checked, nothing computed. No torch.

So that whatever is wrong with the input is told before anything that takes time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from . import images, pyramid
from .errors import OptionError
from .images import Picture, Source
from .layers import parse_layers, smallest_side
from .options import Options, flag
from .pyramid import Scale


@dataclass(frozen=True)
class Job:
    """What a run needs to know.

    Attributes:
        options: how to paint.
        content: the photo.
        paintings: one, or several to be blended.
        shares: of each painting; they add up to 1.
        start: the picture that the optimisation starts from; None for noise.
        content_layers, style_layers: factor by layer name; none for a term of weight 0.
        smallest: pixels that the shorter side of any picture needs for these layers.
        size: (width, height) of the result.
        scales: the way there, coarse to fine.
    """

    options: Options
    content: Picture
    paintings: tuple[Picture, ...]
    shares: tuple[float, ...]
    start: Image.Image | None
    content_layers: dict[str, float]
    style_layers: dict[str, float]
    smallest: int
    size: tuple[int, int]
    scales: tuple[Scale, ...]

    @classmethod
    def prepare(cls, options: Options, content: Source, styles: Sequence[Source]) -> "Job":
        """Read the pictures, and see that they suit the options.

        Raises:
            OptionError: no style, or several without `blend`.
            PictureError: one cannot be read, or is too small for the layers in use.
        """
        if not styles:
            raise OptionError("give at least one style picture")
        shares = options.shares(len(styles))
        photo = images.load(content, "content picture")
        paintings = [images.load(style, "style picture") for style in styles]
        content_layers = parse_layers(options.content_layers, flag("content_layers"))
        style_layers = parse_layers(options.style_layers, flag("style_layers"))
        if not options.content_weight:
            content_layers = {}
        if not options.style_weight:
            style_layers = {}
        smallest = smallest_side([*content_layers, *style_layers])
        size = pyramid.result_size(photo.image.size, options.size)
        for picture in (photo, *paintings):
            pyramid.check_smallest(picture.image.size, smallest, picture.name)
        pyramid.check_smallest(size, smallest, f"{photo.name}, resized")
        starts = {"noise": None, "content": photo.image, "style": paintings[0].image}
        init = options.init
        return cls(
            options=options,
            content=photo,
            paintings=tuple(paintings),
            shares=tuple(shares),
            start=starts[init] if init in starts else images.load(init).image,
            content_layers=content_layers,
            style_layers=style_layers,
            smallest=smallest,
            size=size,
            scales=tuple(
                pyramid.plan(size, options.iterations, options.effort, options.scales, smallest)
            ),
        )
