"""The objective of Gatys, Ecker and Bethge (arXiv:1508.06576): functions, and a callable.

N_l is the number of feature maps (channels) of layer l, M_l the number of positions.
Gram matrices and the content term are kept as SUMS over positions, and are normalised in a
step of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .vgg import Vgg19


def gram(features: Tensor) -> Tensor:
    """The Gram matrix G_ij = sum_k F_ik F_jk (eq. 3), a sum over positions.

    Args:
        features: 1 x N x H x W.

    Returns:
        N x N, symmetric.
    """
    product: Tensor = _SelfProduct.apply(features[0].flatten(1))
    return product


class _SelfProduct(torch.autograd.Function):
    """F F^T, with its gradient (S + S^T) F as one product (eq. 6); autograd would take two."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor) -> Tensor:
        ctx.save_for_backward(flat)
        return flat @ flat.T

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        flat: Tensor
        (flat,) = ctx.saved_tensors
        return (slope + slope.T) @ flat


def mean_gram(features: Tensor) -> Tensor:
    """The Gram matrix over the number of positions, G / M: comparable between sizes.

    Args:
        features: 1 x N x H x W, M being H x W.

    Returns:
        N x N.
    """
    return gram(features) / (features.shape[2] * features.shape[3])


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """L_content = 1/2 sum_ij (F_ij - P_ij)^2 (eq. 1), a sum over positions.

    Args:
        features: 1 x N x H x W, of the picture.
        target: 1 x N x H x W, of the photo.

    Returns:
        A scalar.
    """
    return (features - target).square().sum() / 2


def style_loss(features: Tensor, target: Tensor) -> Tensor:
    """E_l = 1/(4 N^2) sum_ij (G_ij / M_x - A_ij / M_a)^2 (eq. 4).

    The paper writes 1/(4 N^2 M^2) sum_ij (G_ij - A_ij)^2, for pictures of one size. Each
    Gram matrix is divided by its own M here: the same number where the sizes agree, and a
    meaning where the painting is larger or smaller than the result.

    Args:
        features: 1 x N x H x W, of the picture.
        target: N x N, the painting's `mean_gram`.

    Returns:
        A scalar.
    """
    return (mean_gram(features) - target).square().sum() / (4 * target.shape[0] ** 2)


def total_variation(image: Tensor) -> Tensor:
    """Sum over neighbouring pixels of their squared difference in grey levels (0..255).

    Not in the paper. The exponent is 2, as Mahendran & Vedaldi (arXiv:1412.0035, beta = 2),
    so that it stays smooth for L-BFGS.

    Args:
        image: 1 x 3 x H x W, in [0, 1].

    Returns:
        A scalar.
    """
    down = (image[:, :, 1:, :] - image[:, :, :-1, :]).square().sum()
    right = (image[:, :, :, 1:] - image[:, :, :, :-1]).square().sum()
    return 255.0**2 * (down + right)


@dataclass(frozen=True)
class Losses:
    """One evaluation of the objective.

    Attributes:
        content: L_content, before alpha.
        style: L_style, before beta.
        tv: the total variation, before its weight.
        total: L_total, their weighted sum.
    """

    content: float
    style: float
    tv: float
    total: float


@dataclass(frozen=True)
class Targets:
    """What the picture should come to resemble.

    Attributes:
        content: the photo's features by layer, each 1 x N x H x W.
        style: the painting's `mean_gram` by layer, each N x N.
    """

    content: Mapping[str, Tensor]
    style: Mapping[str, Tensor]


class Objective:
    """L_total = alpha L_content + beta L_style (eq. 7), as a function of the picture.

    L_content = sum_l w_l 1/2 sum (F - P)^2 and L_style = sum_l w_l E_l (eq. 5), with
    w_l = 1 / (active layers), times the layer's factor where one is given.

    Args:
        vgg: the frozen network.
        targets: of one content picture and one or several blended styles.
        content_layers, style_layers: factor by layer name; a term without layers is 0.
        alpha, beta, tv_weight: weights of content, style and total variation.

    Attributes:
        unit: the largest of the three weights. What is minimised is L_total / unit, which has
            the same minimum, and neither over- nor underflows float32 for any weights that
            `Options` lets through.
    """

    def __init__(
        self,
        vgg: Vgg19,
        targets: Targets,
        *,
        content_layers: Mapping[str, float],
        style_layers: Mapping[str, float],
        alpha: float,
        beta: float,
        tv_weight: float,
    ) -> None:
        self.vgg = vgg
        self.targets = targets
        self.alpha, self.beta, self.tv_weight = alpha, beta, tv_weight
        self.unit = max(alpha, beta, tv_weight)
        self.content_weights = _layer_weights(content_layers)
        self.style_weights = _layer_weights(style_layers)

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """Evaluate a 1 x 3 x H x W image in [0, 1].

        Returns:
            Scalars: the terms "content", "style" and "tv" before alpha and beta, and "total",
            which is L_total / unit.
        """
        features = self.vgg(image, {*self.content_weights, *self.style_weights})
        content = style = tv = torch.zeros((), dtype=image.dtype, device=image.device)
        for layer, weight in self.content_weights.items():
            content = content + weight * content_loss(features[layer], self.targets.content[layer])
        for layer, weight in self.style_weights.items():
            style = style + weight * style_loss(features[layer], self.targets.style[layer])
        if self.tv_weight:
            tv = total_variation(image)
        total = (
            self.alpha / self.unit * content
            + self.beta / self.unit * style
            + self.tv_weight / self.unit * tv
        )
        return {"content": content, "style": style, "tv": tv, "total": total}

    def losses(self, terms: Mapping[str, Tensor]) -> Losses:
        """The same terms as Python floats, L_total in full."""
        # One transfer for all: on a GPU every .item() waits for the queue to run empty.
        content, style, tv = torch.stack([terms[k] for k in ("content", "style", "tv")]).tolist()
        total = self.alpha * content + self.beta * style + self.tv_weight * tv
        return Losses(content, style, tv, total)


def _layer_weights(factors: Mapping[str, float]) -> dict[str, float]:
    return {layer: factor / len(factors) for layer, factor in factors.items()}
