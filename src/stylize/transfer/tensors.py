"""Pictures as tensors, in the one layout that this package uses: 1 x C x H x W, [0, 1]."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..images.picture import Picture, alpha_map, resize


def to_tensor(picture: Picture, size: tuple[int, int]) -> Tensor:
    """A picture in a given size, with what is transparent filled from its surroundings.

    Args:
        picture: any.
        size: (width, height) in pixels.

    Returns:
        1 x 3 x H x W, sRGB in [0, 1], float32 on the CPU.
    """
    return torch.from_numpy(resize(picture, size))[None]


def alpha_tensor(picture: Picture, size: tuple[int, int]) -> Tensor | None:
    """The alpha channel of a picture in a given size.

    Args:
        picture: any.
        size: (width, height) in pixels.

    Returns:
        1 x 1 x H x W in [0, 1]; None where the picture is opaque.
    """
    alpha = alpha_map(picture, size)
    return None if alpha is None else torch.from_numpy(alpha)[None, None]


def enlarge(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a 1 x 3 x H x W picture to another (width, height), bicubically."""
    if (image.shape[3], image.shape[2]) == size:
        return image
    return interpolate(image, size[::-1], mode="bicubic", align_corners=False)


def joined(strips: list[Tensor]) -> Tensor:
    """One tensor from strips of it, 1 x N x H x W, of which the list does not keep any."""
    whole = torch.cat(strips, 2) if len(strips) > 1 else strips[0]
    strips.clear()
    return whole
