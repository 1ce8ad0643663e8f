"""Colours moved from one picture to another: the painting's to the photo's, or the result's.

All pictures are 1 x 3 x H x W, sRGB in [0, 1].
"""

import torch
from torch import Tensor

#: Deviation, in each direction of colour, that every picture is taken to have at least: two
#: grey levels. A grey painting's noise is not blown up into colours.
LEAST = 2 / 255
#: Halvings in which chroma is cut to what can be shown: to 1/256 of itself.
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
    painting: Tensor, photo: Tensor, where: Tensor | None = None, visible: Tensor | None = None
) -> Tensor:
    """Give a painting the colours of a photo, by mean and covariance.

    x -> A (x - mean of painting) + mean of photo, with A the symmetric
    Sigma_photo^(1/2) Sigma_painting^(-1/2) of Gatys et al. 2016 (arXiv:1606.05897, section 4.1).
    To both covariances `LEAST` squared is added along the diagonal, so that a painting without
    colours can be inverted; equal pictures stay equal.

    Args:
        painting: whose colours are moved; of any size.
        photo: where they are moved to; of any size.
        where: 1 x 1 x H x W, how much each of the photo's pixels counts; not 0 everywhere.
        visible: the same for the painting's.

    Returns:
        The painting in its own size, in [0, 1].
    """
    theirs, spread = _statistics(painting, visible)
    ours, wanted = _statistics(photo, where)
    turn = _power(wanted, 0.5) @ _power(spread, -0.5)
    turn, shift = turn.to(painting), (ours - turn @ theirs).to(painting)
    moved = torch.einsum("ij,bjhw->bihw", turn, painting)
    return (moved + shift.view(1, 3, 1, 1)).clamp_(0, 1)


def with_chroma(painted: Tensor, photo: Tensor) -> Tensor:
    """The lightness of one picture with the chroma of another, in Oklab.

    Where both together cannot be shown in sRGB, chroma is cut at the same lightness and hue, until
    it can.

    Args:
        painted: its lightness is kept.
        photo: its hue and chroma are taken; of the same size.

    Returns:
        A picture of that size, in [0, 1].
    """
    lightness, chroma = to_oklab(painted)[:, :1], to_oklab(photo)[:, 1:]

    def colored(share: Tensor) -> Tensor:
        return from_oklab(torch.cat([lightness, share * chroma], 1))

    share = _shown(colored(torch.ones_like(lightness))).to(lightness)
    for halving in range(1, HALVINGS + 1):
        more = (share + 0.5**halving).clamp_(max=1)
        share = torch.where(_shown(colored(more)), more, share)
    return colored(share).clamp_(0, 1)


def to_oklab(image: Tensor) -> Tensor:
    """SRGB in [0, 1] as Oklab: lightness in [0, 1], then green to red and blue to yellow."""
    linear = torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
    # Of a colour in [0, 1] the cones' response is never negative, but for rounding.
    return _times(_TO_LAB, _times(_TO_CONES, linear).clamp_(min=0) ** (1 / 3))


def from_oklab(lab: Tensor) -> Tensor:
    """Oklab as sRGB; what sRGB cannot show comes out beyond [0, 1]."""
    linear = _times(_inverse(_TO_CONES), _times(_inverse(_TO_LAB), lab) ** 3)
    curved = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, curved)


def _times(matrix: tuple[tuple[float, ...], ...], image: Tensor) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", torch.tensor(matrix).to(image), image)


def _inverse(matrix: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    rows: list[list[float]] = torch.tensor(matrix, dtype=torch.float64).inverse().tolist()
    return tuple(map(tuple, rows))


def _shown(image: Tensor) -> Tensor:
    """Where a picture lies in [0, 1], but for a tenth of a grey level: 1 x 1 x H x W."""
    return ((image >= -4e-4) & (image <= 1 + 4e-4)).all(1, keepdim=True)


def _statistics(image: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and covariance of a picture's colours, 3 and 3 x 3, in float64 on the CPU."""
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
    """Of a symmetric positive matrix, symmetric."""
    values, vectors = torch.linalg.eigh(matrix)
    found: Tensor = (vectors * values.clamp(min=LEAST**2) ** exponent) @ vectors.T
    return found
