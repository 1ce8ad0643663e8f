"""What a run aims at, at one size: the photo's features, and which painting's style where."""

from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from ..images import picture as images
from ..images.picture import Picture
from ..network.vgg import Vgg19
from . import color, guidance
from . import scales as pyramid
from .job import Job
from .losses import Objective, Region, Targets, gram_and_weight

#: Side, in pixels, of the tiles in which a large painting is shown to the network, and what is
#: shown around each: relu5_4 sees 126 pixels to each side. Both are multiples of 16, so that the
#: poolings of all tiles fall on one grid.
TILE, AROUND = 1024, 128


class Styles:
    """The network, and the Gram matrices of the paintings that it was last shown.

    Many photos are painted after one painting; for each scale it is looked at once.
    """

    #: 2.4 MB each with the default layers.
    MOST = 32

    def __init__(self, vgg: Vgg19) -> None:
        self.vgg = vgg
        self.kept: OrderedDict[Hashable, dict[str, Tensor]] = OrderedDict()

    def of(self, key: Hashable, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """What is kept under a key; made where it is not."""
        if key not in self.kept:
            self.kept[key] = make()
        self.kept.move_to_end(key)
        if len(self.kept) > self.MOST:
            self.kept.popitem(last=False)
        return self.kept[key]


@torch.no_grad()
def objective(styles: Styles, job: Job, size: tuple[int, int]) -> Objective:
    """What to minimise at one size.

    Args:
        styles: with the network.
        job: pictures and options.
        size: (width, height) of the picture at this scale.
    """
    vgg, options = styles.vgg, job.options
    photo = images.to_tensor(job.content, size).to(vgg.device)
    targets = Targets(vgg(photo, job.content_layers), _regions(styles, job, photo))
    return Objective(
        vgg,
        targets,
        content_layers=job.content_layers,
        style_layers=job.style_layers,
        alpha=options.content_weight,
        beta=options.style_weight,
        tv_weight=options.tv_weight,
        balanced=options.objective == "balanced",
    )


def _regions(styles: Styles, job: Job, photo: Tensor) -> list[Region]:
    """One for each mask; without masks a single one, with the blend of all paintings."""
    if not job.style_layers:
        return []
    size = (photo.shape[3], photo.shape[2])
    if not job.masks:
        blend: dict[str, Tensor] = {}
        for painting, part in zip(job.paintings, job.shares, strict=True):
            for layer, gram in _style(styles, job, painting, photo, None).items():
                blend[layer] = blend.get(layer, 0) + part * gram
        return [Region(blend)]
    regions = []
    for painting, mask in zip(job.paintings, masks(job, size).to(photo), strict=True):
        mask = mask[None]
        guides = guidance.guides(mask, job.style_layers)
        if guides:  # else it is too small to be seen at this size
            grams = _style(styles, job, painting, photo, mask)
            seen = {layer: grams[layer] for layer in guides}
            regions.append(Region(seen, guides, guidance.share(mask)))
    return regions


def masks(job: Job, size: tuple[int, int]) -> Tensor:
    """The job's masks at a size (width, height): K x 1 x H x W, together at most 1 anywhere."""
    maps = [torch.from_numpy(images.resized_map(mask, size)) for mask in job.masks]
    return guidance.regions(torch.stack(maps)[:, None])


def _style(
    styles: Styles, job: Job, painting: Picture, photo: Tensor, mask: Tensor | None
) -> dict[str, Tensor]:
    """A painting's mean Gram matrix at each style layer."""
    size = (photo.shape[3], photo.shape[2])
    shown = pyramid.style_size(painting.size, size, job.options.style_scale, job.smallest)
    layers, matching = tuple(job.style_layers), job.options.color == "match"

    def look() -> dict[str, Tensor]:
        image = images.to_tensor(painting, shown).to(photo)
        visible = _alpha(painting, shown, image)
        if matching:
            image = matched(job, image, photo, visible, mask)
        return mean_grams(styles.vgg, image, list(layers), visible)

    # Matched to a photo's colours it is another painting; the last bits depend on the threads.
    key = (painting.digest, shown, layers, job.options.threads)
    return look() if matching else styles.of(key, look)


def matched(
    job: Job,
    painting: Tensor,
    photo: Tensor,
    visible: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """A painting in the colours that the photo has, where it is seen and the mask is white.

    Args:
        job: whose photo it is.
        painting: 1 x 3 x H x W.
        photo: 1 x 3 x H x W, at the size of any scale.
        visible: of the painting, 1 x 1 x H x W; None for all of it.
        mask: 1 x 1 x H x W, of the photo's size; None for everywhere.
    """
    where = _alpha(job.content, (photo.shape[3], photo.shape[2]), photo)
    if mask is not None:
        where = mask if where is None or not (where * mask).sum() else where * mask
    return color.match(painting, photo, where, visible)


def _alpha(picture: Picture, size: tuple[int, int], like: Tensor) -> Tensor | None:
    """How much of a picture is seen, 1 x 1 x H x W; None for all of it."""
    alpha = images.alpha(picture, size)
    if alpha is None or not alpha.any():
        return None
    return torch.from_numpy(alpha)[None, None].to(like)


def mean_grams(
    vgg: Vgg19, image: Tensor, layers: list[str], visible: Tensor | None = None
) -> dict[str, Tensor]:
    """The mean Gram matrix of a picture at each layer, in memory that does not grow with it.

    Gram matrices are sums over positions, so that a large picture can be taken in tiles. Each is
    shown with as much around it as the deepest layer sees: the result is that of the whole.

    Args:
        vgg: the network.
        image: 1 x 3 x H x W in [0, 1].
        layers: names out of `LAYERS`.
        visible: 1 x 1 x H x W in [0, 1], how much each place counts; all alike without.

    Returns:
        N_l x N_l by layer.
    """
    height, width = image.shape[2:]
    # A layer that sees nothing of it takes the picture as it is filled.
    guides = guidance.guides(visible, layers) if visible is not None else {}
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            above, before = min(top, AROUND), min(left, AROUND)
            below, behind = top + TILE + AROUND, left + TILE + AROUND
            tile = image[:, :, top - above : below, left - before : behind]
            for layer, maps in vgg(tile, layers).items():
                stride = 2 ** (int(layer[4]) - 1)
                # What lies around belongs to the other tiles, but beyond the last there is none.
                rows = slice(above // stride, _end(above, top, height, stride))
                columns = slice(before // stride, _end(before, left, width, stride))
                core = maps[:, :, rows, columns]
                y, x = top // stride, left // stride
                bottom, right = y + core.shape[2], x + core.shape[3]
                guide = guides[layer][:, :, y:bottom, x:right] if layer in guides else None
                gram, weight = gram_and_weight(core, guide)
                total, count = found.get(layer, (0, 0))
                found[layer] = total + gram, count + weight
    return {layer: total / weight for layer, (total, weight) in found.items()}


def _end(around: int, start: int, side: int, stride: int) -> int | None:
    return None if start + TILE >= side else (around + TILE) // stride
