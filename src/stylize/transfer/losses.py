"""The losses of Gatys, Ecker and Bethge (arXiv:1508.06576), as plain functions of feature maps.

N_l is the number of feature maps (channels) of layer l, and M_l the number of their positions.
Gram matrices and the content loss are SUMS over positions; they are normalised in a separate step,
so that sums over parts of a picture can be added up first.
"""

import torch
from torch import Tensor

#: Number of parts in which sums over 16-bit features are taken.
PARTS = 16


def gram(features: Tensor) -> Tensor:
    """The Gram matrix G_ij = sum_k F_ik F_jk (eq. 3), a sum over positions.

    Args:
        features: 1 x N x H x W.

    Returns:
        N x N, symmetric; float32 where the features have 16 bits.
    """
    flat = features[0].permute(1, 2, 0).flatten(0, 1)
    if len(flat) < 8 * PARTS:
        flat = flat.to(accumulator(flat))  # too few positions for rounding errors to cancel
    if flat.dtype in (torch.float32, torch.float64):
        return flat.T @ flat
    # A product of 16-bit matrices is summed in 32 bits but returned in 16, with an error of up to
    # 0.4 % in every entry. Cut into parts whose products are added in 32 bits, the errors cancel.
    positions, channels = flat.shape
    length = positions // PARTS
    parts = flat[: positions // length * length].view(-1, length, channels)
    total = torch.bmm(parts.mT, parts).sum(0, dtype=torch.float32)
    rest = flat[positions // length * length :]
    return total + rest.T @ rest if len(rest) else total


def gram_and_weight(features: Tensor, guide: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A Gram matrix and the number it is to be divided by; both are sums over positions.

    With a guide m some positions count more than others: sum_k m_k F_ik F_jk and sum_k m_k. That is
    the guided Gram matrix of Gatys et al. 2017 (arXiv:1611.07865, section 4.1), whose T is the
    square root of m.

    Args:
        features: 1 x N x H x W.
        guide: m, 1 x 1 x H x W in [0, 1]; None for 1 everywhere.

    Returns:
        N x N, and a scalar.
    """
    if guide is None:
        return gram(features), torch.tensor(features.shape[2] * features.shape[3])
    root = guide.sqrt().to(features.dtype)
    # The weight is summed from the rounded root, so that the rounding to 16 bits cancels.
    return gram(features * root), root.to(accumulator(features)).square().sum()


def mean_gram(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """The Gram matrix divided by the number of positions, G / M: comparable between sizes.

    Args:
        features: 1 x N x H x W, with M = H W.
        guide: as in `gram_and_weight`; not 0 everywhere.

    Returns:
        N x N.
    """
    total, weight = gram_and_weight(features, guide)
    return total / weight


def sum_and_weight(features: Tensor, guide: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The sum of each feature map over its positions, and the number it is to be divided by.

    Args:
        features: 1 x N x H x W.
        guide: m, as in `gram_and_weight`.

    Returns:
        N, and a scalar.
    """
    if guide is None:
        count = torch.tensor(features.shape[2] * features.shape[3])
        return features.sum((0, 2, 3), dtype=accumulator(features)), count
    guide = guide.to(features.dtype)
    total = (features * guide).sum((0, 2, 3), dtype=accumulator(features))
    # The weight is summed from the rounded guide, so that the rounding to 16 bits cancels.
    return total, guide.sum(dtype=total.dtype)


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """L_content = 1/2 sum_ij (F_ij - P_ij)^2 (eq. 1), a sum over positions.

    Args:
        features: F, 1 x N x H x W, of the picture.
        target: P, 1 x N x H x W, of the content image.

    Returns:
        A scalar; float32 where the features have 16 bits.
    """
    # In parts, because squares in 32 bits would take twice the memory of features in 16.
    parts = zip(features.chunk(PARTS, 2), target.chunk(PARTS, 2), strict=True)
    sums = [(f - p).to(accumulator(f)).square().sum() for f, p in parts]
    return torch.stack(sums).sum() / 2


def style_loss(picture_gram: Tensor, target: Tensor) -> Tensor:
    """E_l = 1/(4 N^2) sum_ij (G_ij / M_x - A_ij / M_a)^2 (eq. 4).

    A departure from the paper, which writes 1/(4 N^2 M^2) sum_ij (G_ij - A_ij)^2 for two images of
    one size. Here each Gram matrix is divided by its own M: the same number where the sizes agree,
    and still meaningful where the style image is larger or smaller than the result.

    Args:
        picture_gram: G / M_x, N x N, of the picture.
        target: A / M_a, N x N, of the style image.

    Returns:
        A scalar.
    """
    return (picture_gram - target).square().sum() / (4 * target.shape[0] ** 2)


def mean_loss(picture_mean: Tensor, target: Tensor) -> Tensor:
    """sum_i (mean of F_i - mean of the style's F_i)^2, over the feature maps of one layer.

    Not in the paper. A Gram matrix leaves open how much of it is due to the mean and how much to
    the variance (Risser et al. 2017, arXiv:1701.08893), so that a bare sky and a grainy one may
    have the same. Galerne et al. 2022 (arXiv:2212.13459) add means for that reason.

    Args:
        picture_mean: N, of the picture.
        target: N, of the style image.

    Returns:
        A scalar.
    """
    return (picture_mean - target).square().sum()


def total_variation(image: Tensor) -> Tensor:
    """The sum over neighbouring pixels of their squared difference in grey levels (0 to 255).

    Not in the paper. The exponent is 2, as in Mahendran & Vedaldi (arXiv:1412.0035, beta = 2), so
    that the term is smooth enough for L-BFGS.

    Args:
        image: 1 x 3 x H x W, in [0, 1].

    Returns:
        A scalar.
    """
    down = (image[:, :, 1:, :] - image[:, :, :-1, :]).square().sum()
    right = (image[:, :, :, 1:] - image[:, :, :, :-1]).square().sum()
    return 255.0**2 * (down + right)


def accumulator(features: Tensor) -> torch.dtype:
    """The type in which sums over these features are taken: float32, or float64 for float64."""
    return torch.float64 if features.dtype == torch.float64 else torch.float32
