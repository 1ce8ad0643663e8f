"""From the optimised picture to the finished one: size, colours, masks, transparency."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .color import COLOR_MODES
from .job import Job
from .styles import masks_at
from .tensors import alpha_tensor, enlarge, to_tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


@torch.no_grad()
def finish_picture(image: Tensor, job: Job) -> "NDArray[Any]":
    """The picture that the user gets, made from a picture at any stage of its run.

    Args:
        image: 1 x 3 x H x W, of any of the job's scales, in [0, 1] or slightly outside.
        job: pictures and options.

    Returns:
        float32 in [0, 1], H x W x 3, or H x W x 4 where the content image is transparent, in the
        size of the result.
    """
    image = enlarge(image.detach(), job.size).clamp(0, 1).cpu()
    recolor = COLOR_MODES[job.options.color].recolor_result
    if recolor or job.masks:
        content = to_tensor(job.content, job.size)
        if recolor:
            image = recolor(image, content)
        if job.masks:
            # Where no mask covers, the content image shows.
            image = torch.lerp(content, image, masks_at(job, job.size).sum(0).clamp(max=1))
    alpha = alpha_tensor(job.content, job.size)
    if alpha is not None:
        image = torch.cat([image, alpha], dim=1)
    pixels: NDArray[Any] = image[0].permute(1, 2, 0).contiguous().numpy()
    return pixels
