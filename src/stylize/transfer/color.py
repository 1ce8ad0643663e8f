"""Colour modes: whose colours the result has, and how colours move from one picture to another.

All pictures are 1 x 3 x H x W, sRGB in [0, 1]. A new mode is one entry in `COLOR_MODES`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

#: The least standard deviation, in each direction of colour, that a picture is taken to have: two
#: grey levels. Otherwise a grey style image's noise would be amplified into colours.
LEAST = 2 / 255
#: Rows that are recoloured at once.
ROWS = 512
#: Number of halvings with which chroma is reduced to what sRGB can show: to 1/256 of itself.
HALVINGS = 8

#: Oklab (B. Ottosson, 2020): linear sRGB -> cones -> (cube root) -> lightness and two of colour.
_TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def match(
    style: Tensor, content: Tensor, where: Tensor | None = None, visible: Tensor | None = None
) -> Tensor:
    """Give a style image the colours of the content image, by mean and covariance.

    x -> A (x - mean of style) + mean of content, where A = Sigma_content^(1/2) Sigma_style^(-1/2)
    with symmetric square roots (Gatys et al. 2016, arXiv:1606.05897, section 4.1). To both
    covariances `LEAST` squared is added along the diagonal, so that the covariance of a grey style
    image can be inverted; equal pictures stay equal.

    Args:
        style: whose colours are moved; of any size.
        content: whose colours it gets; of any size.
        where: 1 x 1 x H x W, how much each pixel of the content image counts; not 0 everywhere.
        visible: the same for the style image.

    Returns:
        The style image in its own size, in [0, 1].
    """
    style_mean, style_covariance = _statistics(style, visible)
    content_mean, content_covariance = _statistics(content, where)
    matrix = _power(content_covariance, 0.5) @ _power(style_covariance, -0.5)
    matrix, shift = matrix.to(style), (content_mean - matrix @ style_mean).to(style)
    moved = torch.einsum("ij,bjhw->bihw", matrix, style)
    return (moved + shift.view(1, 3, 1, 1)).clamp_(0, 1)


def with_chroma(painted: Tensor, content: Tensor) -> Tensor:
    """`_with_chroma` of some rows after the others: it takes 250 bytes a pixel."""
    parts = -(-painted.shape[2] // ROWS)
    rows = zip(painted.chunk(parts, 2), content.chunk(parts, 2), strict=True)
    return torch.cat([_with_chroma(*pair) for pair in rows], 2)


def _with_chroma(painted: Tensor, content: Tensor) -> Tensor:
    """The lightness of one picture with the chroma of another, in Oklab.

    Where sRGB cannot show both together, chroma is reduced at the same lightness and hue until it
    can.

    Args:
        painted: the picture whose lightness is taken.
        content: the picture whose hue and chroma are taken; of the same size.

    Returns:
        A picture of that size, in [0, 1].
    """
    lightness, chroma = to_oklab(painted)[:, :1], to_oklab(content)[:, 1:]

    def colored(share: Tensor) -> Tensor:
        return from_oklab(torch.cat([lightness, share * chroma], 1))

    share = _in_gamut(colored(torch.ones_like(lightness))).to(lightness)
    for halving in range(1, HALVINGS + 1):
        more = (share + 0.5**halving).clamp_(max=1)
        share = torch.where(_in_gamut(colored(more)), more, share)
    return colored(share).clamp_(0, 1)


@dataclass(frozen=True)
class ColorMode:
    """What a value of `--color` does.

    Attributes:
        recolor_style: changes a style image before the network sees it, given (style, content,
            where, visible) as in `match`; None to leave it.
        recolor_result: changes the painted picture at the end, given (painted, content) as in
            `with_chroma`; None to leave it.
    """

    recolor_style: Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor] | None = None
    recolor_result: Callable[[Tensor, Tensor], Tensor] | None = None


#: By the values of `--color`.
COLOR_MODES = {
    "style": ColorMode(),
    "content": ColorMode(recolor_result=with_chroma),
    "match": ColorMode(recolor_style=match),
}


def to_oklab(image: Tensor) -> Tensor:
    """Convert sRGB in [0, 1] to Oklab: lightness in [0, 1], then green-red and blue-yellow."""
    linear = torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
    # The cones' response to a colour in [0, 1] is never negative, except by rounding.
    return _times(_TO_LAB, _times(_TO_CONES, linear).clamp_(min=0) ** (1 / 3))


def from_oklab(lab: Tensor) -> Tensor:
    """Convert Oklab to sRGB; colours that sRGB cannot show come out outside [0, 1]."""
    linear = _times(_inverse(_TO_CONES), _times(_inverse(_TO_LAB), lab) ** 3)
    curved = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, curved)


def _times(matrix: tuple[tuple[float, ...], ...], image: Tensor) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", torch.tensor(matrix).to(image), image)


def _inverse(matrix: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    rows: list[list[float]] = torch.tensor(matrix, dtype=torch.float64).inverse().tolist()
    return tuple(map(tuple, rows))


def _in_gamut(image: Tensor) -> Tensor:
    """Where a picture lies in [0, 1], up to a tenth of a grey level: 1 x 1 x H x W."""
    return ((image >= -4e-4) & (image <= 1 + 4e-4)).all(1, keepdim=True)


def _statistics(image: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean (3) and covariance (3 x 3) of a picture's colours, in float64 on the CPU."""
    flat = image[0].flatten(1)
    if weight is None:
        mean = flat.mean(1)
        apart = flat - mean[:, None]
        covariance = apart @ apart.T / flat.shape[1]
    else:
        share = weight.flatten() / weight.sum()
        mean = flat @ share
        apart = flat - mean[:, None]
        covariance = (apart * share) @ apart.T
    noise = LEAST**2 * torch.eye(3, dtype=torch.float64)
    return mean.cpu().double(), covariance.cpu().double() + noise


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """A power of a symmetric positive matrix, which is symmetric as well."""
    values, vectors = torch.linalg.eigh(matrix)
    power: Tensor = (vectors * values.clamp(min=LEAST**2) ** exponent) @ vectors.T
    return power
