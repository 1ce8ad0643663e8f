"""The style images as they are shown at one scale: their size, colours, and where each applies."""

import torch
from torch import Tensor

from ..images.picture import Picture, resize_map
from . import guidance
from .color import COLOR_MODES
from .job import Job
from .scales import style_size
from .tensors import alpha_tensor, to_tensor


def shown_size(job: Job, style: Picture, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height at which a style image is shown beside a picture of a size."""
    return style_size(style.size, size, job.options.style_scale, job.smallest)


def shown_style(
    job: Job, style: Picture, content: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """A style image in the size and the colours in which it is shown at one scale.

    Args:
        job: pictures and options.
        style: one of the job's style images.
        content: the content image at this scale, 1 x 3 x H x W.
        mask: where the style applies, 1 x 1 x H x W; None for everywhere.

    Returns:
        1 x 3 x h x w like `content`, and its alpha, 1 x 1 x h x w, or None where all of it counts.
    """
    shown = shown_size(job, style, (content.shape[3], content.shape[2]))
    image = to_tensor(style, shown).to(content)
    visible = visible_part(style, shown, image)
    return recolored(job, image, content, visible, mask), visible


def masks_at(job: Job, size: tuple[int, int]) -> Tensor:
    """The job's masks at a size (width, height): K x 1 x H x W, with a sum of at most 1."""
    maps = [torch.from_numpy(resize_map(mask, size)) for mask in job.masks]
    return guidance.share_overlaps(torch.stack(maps)[:, None])


def recolored(
    job: Job,
    style: Tensor,
    content: Tensor,
    visible: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """A style image, recoloured as `--color` says.

    Args:
        job: whose colour mode and content image count.
        style: 1 x 3 x H x W.
        content: 1 x 3 x H x W, at the size of any scale.
        visible: alpha of the style image, 1 x 1 x H x W; None where it is opaque.
        mask: 1 x 1 x H x W, of the content image's size: where its colours count; None for
            everywhere.
    """
    recolor = COLOR_MODES[job.options.color].recolor_style
    if recolor is None:
        return style
    return recolor(style, content, part_of_content(job, content, mask), visible)


def part_of_content(job: Job, content: Tensor, mask: Tensor | None) -> Tensor | None:
    """The part of the content image that a style replaces.

    Args:
        job: whose content image may be transparent.
        content: the content image at any size, 1 x 3 x H x W.
        mask: where the style applies, 1 x 1 x H x W; None for everywhere.

    Returns:
        How much each place counts, 1 x 1 x H x W, or None where all of it counts.
    """
    visible = visible_part(job.content, (content.shape[3], content.shape[2]), content)
    if mask is None or visible is None:
        return visible if mask is None else mask
    both = visible * mask
    return both if both.any() else mask


def visible_part(picture: Picture, size: tuple[int, int], like: Tensor) -> Tensor | None:
    """The alpha channel, 1 x 1 x H x W; None where all of the picture counts.

    All of it counts if it is opaque, and also if nothing is visible at this size: then there is
    nothing to weigh, and the filled picture is used.
    """
    alpha = alpha_tensor(picture, size)
    return None if alpha is None or not alpha.any() else alpha.to(like)
