"""From the optimised picture to the finished one: size, colours, masks, transparency."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..images import picture as images
from . import color, targets
from .job import Job

if TYPE_CHECKING:
    from numpy.typing import NDArray


def enlarged(image: Tensor, size: tuple[int, int]) -> Tensor:
    """A 1 x 3 x H x W picture at another (width, height), bicubically."""
    if (image.shape[3], image.shape[2]) == size:
        return image
    return interpolate(image, size[::-1], mode="bicubic", align_corners=False)


@torch.no_grad()
def finished(image: Tensor, job: Job) -> "NDArray[Any]":
    """What the user gets of a picture at any stage of its run.

    Args:
        image: 1 x 3 x H x W, of any of the job's scales, in [0, 1] or a little beyond.
        job: pictures and options.

    Returns:
        float32 in [0, 1], H x W x 3, or H x W x 4 where the photo is transparent, of the size
        of the result.
    """
    image = enlarged(image.detach(), job.size).clamp(0, 1).cpu()
    if job.options.color == "content" or job.masks:
        photo = images.to_tensor(job.content, job.size)
        if job.options.color == "content":
            image = color.with_chroma(image, photo)
        if job.masks:
            # Where no mask covers, the photo shows.
            image = torch.lerp(photo, image, targets.masks(job, job.size).sum(0).clamp(max=1))
    pixels = image[0].permute(1, 2, 0)
    alpha = images.alpha(job.content, job.size)
    if alpha is not None:
        pixels = torch.cat([pixels, torch.from_numpy(alpha)[:, :, None]], dim=2)
    found: NDArray[Any] = pixels.contiguous().numpy()
    return found
