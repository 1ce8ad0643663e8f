"""The terms of the objective, each of which is one class.

To add a term, write a class like those below and put it into `TERMS`; README.md in this folder
shows how. Gradients are written out as in the paper (eq. 2 and 6): each is one product or sum at
its layer, added to what comes back through the network (`Vgg19.backward`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from .features import Features
from .losses import (
    content_loss,
    gram_and_weight,
    mean_loss,
    style_loss,
    sum_and_weight,
    total_variation,
)
from .targets import Region, Targets


@dataclass(frozen=True)
class TermScaling:
    """How the terms of an objective are scaled against each other.

    Attributes:
        relative: whether each layer's loss is divided by its value for features that are all zero,
            sum P^2 in place of sum (F - P)^2, and sum A^2 in place of sum (G/M - A)^2; and whether
            the total variation is a mean. A departure from the paper: its layers differ by five
            orders of magnitude, and its content term grows with the size of the picture.
        style: factor of the style term.
        means: factor of the feature maps' means, multiplied with `style`. Not in the paper.
        smoothness: factor of the total variation.
        gamut: factor of the mean squared excess over [0, 1].
    """

    relative: bool
    style: float = 1.0
    means: float = 0.0
    smoothness: float = 1.0
    gamut: float = 0.0


#: By the values of `--objective`. The factors of "balanced" were chosen by eye and by scores. With
#: 7, a style weight and a content weight of 1 are a good balance; 1 for the means paints skies and
#: walls evenly; with 10, a total variation weight of 1 smooths a little; 30 keeps values from
#: leaving [0, 1] so far that they show as dots once cut off.
OBJECTIVES = {
    "balanced": TermScaling(relative=True, style=7.0, means=1.0, smoothness=10.0, gamut=30.0),
    "paper": TermScaling(relative=False),
}


class Term(ABC):
    """One term of the objective.

    Attributes:
        name: the name under which `Losses` reports it. Values of equal names are added up.
        weight: its factor in L_total, the same for all terms of that name.
    """

    name: ClassVar[str]
    weight: float

    @classmethod
    @abstractmethod
    def build(cls, targets: Targets) -> Sequence[Self]:
        """The terms of this kind for a job at one scale; none where its weight is 0."""


class PixelTerm(Term):
    """A term on the pixels."""

    @abstractmethod
    def evaluate(self, image: Tensor, gradient: Tensor, factor: float) -> Tensor:
        """The value of the term; its gradient is added to `gradient` in place.

        Args:
            image: 1 x 3 x H x W.
            gradient: of all terms, of the same shape.
            factor: what this term's gradient is multiplied by.

        Returns:
            A scalar: the value before `weight`.
        """


class LocalTerm(Term):
    """A term on the activations of one layer, a sum to which each position adds by itself.

    A large picture goes through the network in strips; each of them adds to the value.

    Attributes:
        layer: the layer whose activations it reads.
    """

    layer: str

    @abstractmethod
    def evaluate(self, values: Tensor, gradient: Tensor, rows: slice, factor: float) -> Tensor:
        """What some positions add to the value; the gradient is added to `gradient` in place.

        Args:
            values: some rows of the layer's activations, 1 x N x H x W.
            gradient: of all terms with respect to `values`, of the same shape.
            rows: which rows of the whole layer these are.
            factor: what this term's gradient is multiplied by.

        Returns:
            A scalar: the value before `weight`.
        """


#: Sums over positions, which add up over strips.
Sums = tuple[Tensor, ...]


class GlobalTerm(Term):
    """A term on the activations of one layer, as a function of sums over their positions.

    A large picture goes through the network in strips. So a term first says what each strip adds to
    its sums; these, of all strips, give the value, and the gradient in each strip.

    Attributes:
        layer: the layer whose activations it reads.
    """

    layer: str

    @abstractmethod
    def sums(self, values: Tensor, rows: slice) -> Sums:
        """What these positions add to the sums.

        Args:
            values: some rows of the layer's activations, 1 x N x H x W.
            rows: which rows of the whole layer these are.
        """

    @abstractmethod
    def value(self, sums: Sums) -> Tensor:
        """The value of the term before `weight`, a scalar, from the sums over all positions."""

    @abstractmethod
    def add_gradient(
        self, values: Tensor, gradient: Tensor, rows: slice, sums: Sums, factor: float
    ) -> None:
        """Add the gradient of the term.

        Args:
            values: as in `sums`.
            gradient: of all terms with respect to `values`, of the same shape; added to in place.
            rows: as in `sums`.
            sums: over all positions.
            factor: what this term's gradient is multiplied by.
        """


class ContentTerm(LocalTerm):
    """coefficient * L_content (eq. 1) at one layer."""

    name = "content"

    def __init__(self, weight: float, layer: str, target: Features, coefficient: Tensor) -> None:
        self.weight, self.layer = weight, layer
        self.target, self.coefficient = target, coefficient

    @classmethod
    def build(cls, targets: Targets) -> list[Self]:
        """One term for each content layer, all with equal weight (times the layer's factor)."""
        options, layers = targets.job.options, targets.job.content_layers
        terms = []
        for layer, factor in layers.items():
            target = targets.content[layer]
            losses = [content_loss(torch.zeros_like(part), part) for part in target.parts()]
            zero_loss = torch.stack(losses).sum()
            coefficient = _coefficient(
                OBJECTIVES[options.objective], factor / len(layers), zero_loss
            )
            terms.append(cls(options.content_weight, layer, target, coefficient))
        return terms

    def evaluate(self, values: Tensor, gradient: Tensor, rows: slice, factor: float) -> Tensor:
        """Adds factor * coefficient * (F - P), eq. 2; its "0 where F < 0" is left to the ReLU."""
        target = self.target.rows(rows)
        loss = content_loss(values, target)
        slope = self.coefficient.to(gradient.dtype)
        gradient.addcmul_(values - target, slope, value=factor)
        return self.coefficient * loss


class RegionTerm(GlobalTerm):
    """coefficient * a distance of statistics from those of the style, at one layer and region.

    A kind of statistics is a subclass. All are reported as the style.

    Attributes:
        target: the statistics of the style: sums, divided by their weight.
        guide: where the region is, 1 x 1 x H x W; None for everywhere.
        area: the sum of the guide; None without one.
    """

    name = "style"

    def __init__(
        self, weight: float, layer: str, target: Tensor, coefficient: Tensor, guide: Tensor | None
    ) -> None:
        self.weight, self.layer = weight, layer
        self.target, self.coefficient = target, coefficient
        self.guide = guide
        self.area = None if guide is None else guide.sum()

    @staticmethod
    @abstractmethod
    def factor(scaling: TermScaling) -> float:
        """The factor of this kind in an objective; there are no terms where it is 0."""

    @staticmethod
    @abstractmethod
    def target_of(region: Region) -> Mapping[str, Tensor]:
        """The statistics of the style by layer, for the layers that see the region."""

    @staticmethod
    @abstractmethod
    def loss(statistics: Tensor, target: Tensor, /) -> Tensor:
        """The distance of the picture's statistics from the target, a scalar."""

    @classmethod
    def build(cls, targets: Targets) -> list[Self]:
        """One term for each style layer and region: w_l = 1 / (active layers), times a factor."""
        options, layers = targets.job.options, targets.job.style_layers
        scaling = OBJECTIVES[options.objective]
        scale = cls.factor(scaling)
        if not scale:
            return []
        terms = []
        for layer, factor in layers.items():
            for region in targets.regions:
                target = cls.target_of(region).get(layer)
                if target is not None:
                    zero_loss = cls.loss(torch.zeros_like(target), target)
                    weight = region.share * scale * (factor / len(layers))
                    coefficient = _coefficient(scaling, weight, zero_loss)
                    guide = region.guides.get(layer)
                    terms.append(cls(options.style_weight, layer, target, coefficient, guide))
        return terms

    def value(self, sums: Sums) -> Tensor:
        """See `GlobalTerm.value`."""
        total, weight = sums
        return self.coefficient * self.loss(total / weight, self.target)

    def guide_of(self, rows: slice) -> Tensor | None:
        """The guide in some rows."""
        return None if self.guide is None else self.guide[:, :, rows]

    def per_position(self, slope: Tensor, positions: Tensor) -> Tensor:
        """The slope of a mean, for one position: divided by their number, or by the area."""
        return slope / (positions if self.area is None else self.area)


class StyleTerm(RegionTerm):
    """coefficient * E_l (eq. 4) at one layer, in one region of the picture."""

    loss = staticmethod(style_loss)

    @staticmethod
    def factor(scaling: TermScaling) -> float:
        """See `RegionTerm.factor`."""
        return scaling.style

    @staticmethod
    def target_of(region: Region) -> Mapping[str, Tensor]:
        """The mean Gram matrices."""
        return region.grams

    def sums(self, values: Tensor, rows: slice) -> Sums:
        """The Gram matrix, and what it is divided by."""
        return gram_and_weight(values, self.guide_of(rows))

    def add_gradient(
        self, values: Tensor, gradient: Tensor, rows: slice, sums: Sums, factor: float
    ) -> None:
        """Adds factor * coefficient / (N^2 M) (G/M - A) F, eq. 6; with a guide, m_k F_k / sum m."""
        total, weight = sums
        scale = self.per_position(factor * self.coefficient / values.shape[1] ** 2, weight)
        guide = self.guide_of(rows)
        if guide is not None:
            values = values * guide.to(values.dtype)
        slope = (total / weight - self.target) * scale
        _positions(gradient).addmm_(_positions(values), slope.to(values.dtype))


class MeanTerm(RegionTerm):
    """coefficient * `mean_loss` at one layer, in one region. Not in the paper."""

    loss = staticmethod(mean_loss)

    @staticmethod
    def factor(scaling: TermScaling) -> float:
        """See `RegionTerm.factor`."""
        return scaling.style * scaling.means

    @staticmethod
    def target_of(region: Region) -> Mapping[str, Tensor]:
        """The means of the feature maps."""
        return region.means

    def sums(self, values: Tensor, rows: slice) -> Sums:
        """Of each feature map, and what they are divided by."""
        return sum_and_weight(values, self.guide_of(rows))

    def add_gradient(
        self, values: Tensor, gradient: Tensor, rows: slice, sums: Sums, factor: float
    ) -> None:
        """Adds factor * coefficient * 2/M (mean - target), or 2 m_k / sum m with a guide."""
        total, weight = sums
        slope = 2 * factor * self.coefficient * (total / weight - self.target)
        slope = self.per_position(slope, weight).view(1, -1, 1, 1).to(gradient.dtype)
        guide = self.guide_of(rows)
        if guide is None:
            gradient.add_(slope)
        else:
            gradient.addcmul_(slope, guide.to(gradient.dtype))


class TotalVariationTerm(PixelTerm):
    """scale * the total variation of the picture."""

    name = "tv"

    def __init__(self, weight: float, scaling: TermScaling) -> None:
        self.weight, self.scaling = weight, scaling

    @classmethod
    def build(cls, targets: Targets) -> list[Self]:
        """One term, where `--tv-weight` is not 0."""
        options = targets.job.options
        return [cls(options.tv_weight, OBJECTIVES[options.objective])] if options.tv_weight else []

    def evaluate(self, image: Tensor, gradient: Tensor, factor: float) -> Tensor:
        """See `PixelTerm.evaluate`."""
        scale = self.scaling.smoothness
        if self.scaling.relative:
            scale = scale / (255.0**2 * image.numel())
        with torch.enable_grad():
            at = image.detach().requires_grad_()
            loss: Tensor = scale * total_variation(at)
            (slope,) = torch.autograd.grad(loss, at)
        gradient.add_(slope, alpha=factor)
        return loss.detach()


class GamutTerm(PixelTerm):
    """scale * the mean squared excess of the pixels over [0, 1]. Not in the paper."""

    name = "gamut"

    def __init__(self, weight: float, scale: float) -> None:
        self.weight, self.scale = weight, scale

    @classmethod
    def build(cls, targets: Targets) -> list[Self]:
        """One term in the balanced objective, as heavy as the heaviest of the other terms."""
        options = targets.job.options
        scale = OBJECTIVES[options.objective].gamut
        weight = max(options.content_weight, options.style_weight, options.tv_weight)
        return [cls(weight, scale)] if scale else []

    def evaluate(self, image: Tensor, gradient: Tensor, factor: float) -> Tensor:
        """See `PixelTerm.evaluate`."""
        excess = image - image.clamp(0, 1)
        gradient.add_(excess, alpha=2 * self.scale / excess.numel() * factor)
        return self.scale * excess.square().mean()


#: All terms of the objective, in the order in which they are reported.
TERMS: list[type[Term]] = [ContentTerm, StyleTerm, MeanTerm, TotalVariationTerm, GamutTerm]


def _coefficient(scaling: TermScaling, weight: float, zero_loss: Tensor) -> Tensor:
    """What a layer's loss is multiplied by.

    Args:
        scaling: of the objective.
        weight: of the layer.
        zero_loss: the loss of features that are all zero.
    """
    if not scaling.relative:
        return torch.full_like(zero_loss, weight)
    # A layer that is zero for the whole target has no energy to divide by.
    return weight / zero_loss.clamp(min=1e-12)


def _positions(features: Tensor) -> Tensor:
    """1 x N x H x W in channels_last as (H W) x N: a view, never a copy."""
    return features[0].permute(1, 2, 0).view(-1, features.shape[1])
