"""The objective of Gatys, Ecker and Bethge (arXiv:1508.06576): functions, and a callable.

N_l is the number of feature maps (channels) of layer l, M_l the number of positions.
Gram matrices and the content term are kept as SUMS over positions, and are normalised in a
step of their own.

Gradients are written out, as the paper does (eq. 2 and 6): each is one product or sum at its
layer, added to what comes back through the network (`Vgg19.backward`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..network.vgg import Vgg19

#: In the balanced objective, what a style loss of the painting's whole energy weighs against a
#: content loss of the photo's. Chosen by eye, so that 1 and 1 is a good balance.
STYLE_SHARE = 12.0
#: There too: the weight of the mean squared excess over [0, 1]. Values far outside are dots when
#: they are cut off for the file.
GAMUT = 30.0
#: There too: the weight of the mean squared difference of neighbouring values in [0, 1], so that
#: a `--tv-weight` of 1 smooths a little.
SMOOTHNESS = 10.0
#: Parts in which sums over 16-bit features are taken.
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
        flat = flat.to(_wide(flat))  # too few for errors to cancel, and cheap
    if flat.dtype in (torch.float32, torch.float64):
        return flat.T @ flat
    # A product of 16-bit factors is summed in 32 bits but returned in 16, an error of up to 0.4 %
    # in every entry. So it is cut into parts whose products are summed in 32 bits, and whose
    # errors cancel.
    positions, channels = flat.shape
    length = positions // PARTS
    parts = flat[: positions // length * length].view(-1, length, channels)
    total = torch.bmm(parts.mT, parts).sum(0, dtype=torch.float32)
    rest = flat[positions // length * length :]
    return total + rest.T @ rest if len(rest) else total


def _flat(features: Tensor) -> Tensor:
    """1 x N x H x W in channels_last as positions x N: a view, never a copy."""
    return features[0].permute(1, 2, 0).view(-1, features.shape[1])


def gram_and_weight(features: Tensor, guide: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A Gram matrix, and what it is to be divided by; both are sums over positions.

    With a guide some positions count more than others, sum_k m_k F_ik F_jk and sum_k m_k: the
    guided Gram matrix of Gatys et al. 2017 (arXiv:1611.07865, section 4.1), whose T is the root
    of m here.

    Args:
        features: 1 x N x H x W.
        guide: m, 1 x 1 x H x W in [0, 1]; 1 everywhere without.

    Returns:
        N x N, and a scalar.
    """
    if guide is None:
        return gram(features), torch.tensor(features.shape[2] * features.shape[3])
    root = guide.sqrt().to(features.dtype)
    # The sum of what the root has become in 16 bits: rounding then cancels.
    return gram(features * root), root.to(_wide(features)).square().sum()


def mean_gram(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """The Gram matrix over the number of positions, G / M: comparable between sizes.

    Args:
        features: 1 x N x H x W, M being H x W.
        guide: as in `gram_and_weight`, not 0 everywhere.

    Returns:
        N x N.
    """
    total, weight = gram_and_weight(features, guide)
    return total / weight


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """L_content = 1/2 sum_ij (F_ij - P_ij)^2 (eq. 1), a sum over positions.

    Args:
        features: 1 x N x H x W, of the picture.
        target: 1 x N x H x W, of the photo.

    Returns:
        A scalar; float32 where the features have 16 bits.
    """
    # In parts, because squares in 32 bits would take twice the memory of features in 16.
    parts = zip(features.chunk(PARTS, 2), target.chunk(PARTS, 2), strict=True)
    sums = [(f - p).to(_wide(f)).square().sum() for f, p in parts]
    return torch.stack(sums).sum() / 2


def style_loss(mean_gram: Tensor, target: Tensor) -> Tensor:
    """E_l = 1/(4 N^2) sum_ij (G_ij / M_x - A_ij / M_a)^2 (eq. 4).

    The paper writes 1/(4 N^2 M^2) sum_ij (G_ij - A_ij)^2, for pictures of one size. Each
    Gram matrix is divided by its own M here: the same number where the sizes agree, and a
    meaning where the painting is larger or smaller than the result.

    Args:
        mean_gram: N x N, of the picture.
        target: N x N, of the painting.

    Returns:
        A scalar.
    """
    return (mean_gram - target).square().sum() / (4 * target.shape[0] ** 2)


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
        gamut: `GAMUT` times the mean square of what lies outside [0, 1]; in the balanced objective
            alone, where the largest of the weights is its weight too.
        total: L_total, their weighted sum.
    """

    content: float
    style: float
    tv: float
    gamut: float
    total: float


@dataclass(frozen=True)
class Region:
    """A part of the picture, and the style that it should have; by default all of it.

    Attributes:
        grams: the painting's `mean_gram` by layer, each N x N; of the layers that see the region.
        guides: where the region is, by layer: 1 x 1 x H_l x W_l in [0, 1].
        share: of the picture's area. What a region's loss counts for, so that each of its pixels
            is pulled as strongly as it would be if the region were the whole.
    """

    grams: Mapping[str, Tensor]
    guides: Mapping[str, Tensor] = field(default_factory=dict)
    share: float = 1.0


@dataclass(frozen=True)
class Targets:
    """What the picture should come to resemble.

    Attributes:
        content: the photo's features by layer, each 1 x N x H x W.
        regions: which style where.
    """

    content: Mapping[str, Tensor]
    regions: Sequence[Region]


class _Content:
    """scale * L_content of one layer."""

    def __init__(self, target: Tensor, scale: Tensor) -> None:
        self.target, self.scale = target, scale

    def loss(self, features: Tensor) -> Tensor:
        return self.scale * content_loss(features, self.target)

    def add_gradient(self, features: Tensor, gradient: Tensor, weight: float) -> None:
        """Add weight * scale * (F - P), eq. 2. (Its "0 where F < 0" is the ReLU's part.)"""
        scale = self.scale.to(gradient.dtype)
        gradient.addcmul_(features - self.target, scale, value=weight)


class _Style:
    """scale * E_l of one layer in one region."""

    def __init__(self, target: Tensor, scale: Tensor, guide: Tensor | None) -> None:
        self.target, self.scale, self.guide = target, scale, guide
        self.mean_gram = target

    def loss(self, features: Tensor) -> Tensor:
        self.mean_gram = mean_gram(features, self.guide)  # kept for the gradient
        return self.scale * style_loss(self.mean_gram, self.target)

    def add_gradient(self, features: Tensor, gradient: Tensor, weight: float) -> None:
        """Add weight * scale / (N^2 M) (G/M - A) F, eq. 6; with a guide, m_k F_k / sum m."""
        scale = weight * self.scale / features.shape[1] ** 2
        if self.guide is None:
            scale = scale / (features.shape[2] * features.shape[3])
        else:
            scale = scale / self.guide.sum()
            features = features * self.guide.to(features.dtype)
        slope = (self.mean_gram - self.target) * scale
        _flat(gradient).addmm_(_flat(features), slope.to(features.dtype))


class Objective:
    """L_total = alpha L_content + beta L_style (eq. 7), as a function of the picture.

    L_content = sum_l w_l L_l and L_style = sum_l w_l E_l (eq. 5), with w_l = 1 / (active layers),
    times the layer's factor where one is given.

    Args:
        vgg: the frozen network.
        targets: of one content picture and one or several styles.
        content_layers, style_layers: factor by layer name; a term without layers is 0.
        alpha, beta, tv_weight: weights of content, style and total variation.
        balanced: each layer's loss as a share of what it is for no features at all, sum P^2 and
            sum A^2 in place of sum (F - P)^2 and sum (G/M - A)^2; style counts `STYLE_SHARE`
            times, the total variation is a mean, and leaving [0, 1] costs. A departure from the
            paper: its layers differ by five orders of magnitude, and its content term grows with
            the size of the picture.

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
        balanced: bool,
    ) -> None:
        self.vgg = vgg
        self.alpha, self.beta, self.tv_weight = alpha, beta, tv_weight
        self.unit = max(alpha, beta, tv_weight)
        self.balanced = balanced
        self.content: dict[str, _Content] = {}
        self.style: dict[str, list[_Style]] = {}
        for layer, weight in _layer_weights(content_layers).items():
            target = targets.content[layer]
            nothing = content_loss(torch.zeros_like(target), target)
            self.content[layer] = _Content(target, self._scale(weight, nothing))
        for layer, weight in _layer_weights(style_layers).items():
            self.style[layer] = []
            for region in targets.regions:
                if layer not in region.grams:
                    continue
                target = region.grams[layer]
                nothing = style_loss(torch.zeros_like(target), target)
                share = region.share * (STYLE_SHARE if balanced else 1.0)
                scale = self._scale(share * weight, nothing)
                self.style[layer].append(_Style(target, scale, region.guides.get(layer)))

    def _scale(self, weight: float, nothing: Tensor) -> Tensor:
        """What a layer's loss is multiplied by; `nothing` is its value for no features at all."""
        return weight / _above_zero(nothing) if self.balanced else torch.full_like(nothing, weight)

    @torch.no_grad()
    def __call__(self, image: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Evaluate a 1 x 3 x H x W image in [0, 1].

        Returns:
            Scalars: the terms "content", "style", "tv" and "gamut" before their weights; and the
            gradient of L_total / unit, 1 x 3 x H x W.
        """
        activations = self.vgg.record(image, {*self.content, *self.style})
        zero = torch.zeros((), dtype=image.dtype, device=image.device)
        terms = {"content": zero, "style": zero, "tv": zero, "gamut": zero}
        for layer, content in self.content.items():
            terms["content"] = terms["content"] + content.loss(activations[layer])
        for layer, styles in self.style.items():
            for style in styles:
                terms["style"] = terms["style"] + style.loss(activations[layer])

        def add_gradient(layer: str, features: Tensor, gradient: Tensor) -> None:
            if layer in self.content:
                self.content[layer].add_gradient(features, gradient, self.alpha / self.unit)
            for style in self.style.get(layer, ()):
                style.add_gradient(features, gradient, self.beta / self.unit)

        gradient = self.vgg.backward(activations, add_gradient)
        if self.balanced:
            beyond = image - image.clamp(0, 1)
            terms["gamut"] = GAMUT * beyond.square().mean()
            gradient.add_(beyond, alpha=2 * GAMUT / beyond.numel())
        if self.tv_weight:
            scale = SMOOTHNESS / (255.0**2 * image.numel()) if self.balanced else 1.0
            with torch.enable_grad():
                at = image.detach().requires_grad_()
                terms["tv"] = scale * total_variation(at)
                (slope,) = torch.autograd.grad(terms["tv"], at)
            gradient.add_(slope, alpha=self.tv_weight / self.unit)
        return terms, gradient

    def losses(self, terms: Mapping[str, Tensor]) -> Losses:
        """The same terms as Python floats, L_total in full."""
        # One transfer for all: on a GPU every .item() waits for the queue to run empty.
        content, style, tv, gamut = torch.stack(list(terms.values())).tolist()
        total = self.alpha * content + self.beta * style + self.tv_weight * tv + self.unit * gamut
        return Losses(content, style, tv, gamut, total)


def _layer_weights(factors: Mapping[str, float]) -> dict[str, float]:
    return {layer: factor / len(factors) for layer, factor in factors.items()}


def _above_zero(energy: Tensor) -> Tensor:
    """Of a layer that is silent for the whole target no share can be taken: no division by 0."""
    return energy.clamp(min=1e-12)


def _wide(features: Tensor) -> torch.dtype:
    return torch.float64 if features.dtype == torch.float64 else torch.float32
