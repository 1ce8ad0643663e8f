"""The objective L_total (eq. 7) and its gradient: a sum of terms, by one way through the network.

A large picture goes through it in strips, of which `strips` is the geometry.
"""

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor

from ..errors import OptionError
from ..network.vgg import Vgg19
from .step import Losses
from .strips import Segment, Strip, segments
from .targets import Targets
from .tensors import joined
from .terms import TERMS, GlobalTerm, LocalTerm, PixelTerm, Sums, Term


class Objective:
    """L_total = sum over terms of weight * value (eq. 7), as a function of the picture.

    Args:
        vgg: the frozen network.
        terms: of all kinds; see `build`.

    Attributes:
        unit: the largest weight. What is minimised is L_total / unit, which has the same minimum
            and neither overflows nor underflows float32 for any weights that `Options` allows.
    """

    def __init__(self, vgg: Vgg19, terms: Sequence[Term]) -> None:
        self.vgg, self.terms = vgg, terms
        self.unit = max(term.weight for term in terms)
        self.layers: dict[str, list[LocalTerm | GlobalTerm]] = {}
        for term in terms:
            if isinstance(term, (LocalTerm, GlobalTerm)):
                self.layers.setdefault(term.layer, []).append(term)

    @classmethod
    def build(cls, targets: Targets) -> Self:
        """The objective of a job at one scale.

        Raises:
            OptionError: a term is in `TERMS` twice, as after a notebook's cell was run again.
        """
        names = [kind.__name__ for kind in TERMS]
        for name in names:
            if names.count(name) > 1:
                raise OptionError(f"{name} is in terms.TERMS twice; remove one")
        return cls(targets.vgg, [term for kind in TERMS for term in kind.build(targets)])

    @torch.no_grad()
    def __call__(self, image: Tensor) -> tuple[Losses, Tensor]:
        """Evaluate a picture: one pass through the network and back.

        Args:
            image: 1 x 3 x H x W in [0, 1].

        Returns:
            The losses, and the gradient of L_total / unit, 1 x 3 x H x W.
        """
        values, gradient = self.evaluate(image)
        return self.losses(values.tolist()), gradient

    def evaluate(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The same, with all numbers left on the device, so that a GPU is not waited for.

        Returns:
            What `losses` takes, 1-dimensional; and the gradient.
        """
        values: dict[Term, Tensor] = {}
        size = (image.shape[3], image.shape[2])
        if self.layers:
            gradient = self._through(image, segments(self.layers, size), values)
        else:  # all masks are too small to be seen
            gradient = torch.zeros_like(image)
        # From the last to the first: in another order the sums are rounded otherwise, and no
        # picture would come out with the same bytes as before.
        for term in reversed(self.terms):
            if isinstance(term, PixelTerm):
                values[term] = term.evaluate(image, gradient, term.weight / self.unit)
        zero = torch.zeros((), dtype=image.dtype, device=image.device)
        sums = {kind.name: zero for kind in TERMS}
        for term in self.terms:
            sums[term.name] = sums[term.name] + values[term]
        return torch.stack(list(sums.values())), gradient

    def _through(self, x: Tensor, parts: Sequence[Segment], values: dict[Term, Tensor]) -> Tensor:
        """Go through the network and back.

        Args:
            x: the input of the first segment: the picture, or what the pooling before it gives.
            parts: this segment and those beyond it.
            values: gets the value of each term.

        Returns:
            The gradient with respect to x.
        """
        segment, *deeper = parts
        strips = list(segment.strips(x.shape[2]))
        sums: dict[GlobalTerm, Sums] = {}
        pooled: list[Tensor] = []
        for strip in strips:
            activations = self._record(x, segment, strip)
            self._add_sums(sums, activations, segment, strip)
            if deeper:
                all_pooled = self.vgg.pool(activations[segment.layers[-1]])
                pooled.append(all_pooled[:, :, strip.own(segment.unit)])
            if len(strips) > 1:  # the strips are computed again on the way back
                activations.clear()
        beyond = self._through(joined(pooled), deeper, values) if deeper else None
        values |= {term: term.value(total) for term, total in sums.items()}
        if len(strips) == 1:
            return self._back(activations, segment, strips[0], sums, beyond, values)
        gradient = torch.zeros_like(x)
        for strip in strips:
            activations = self._record(x, segment, strip)
            part = self._back(activations, segment, strip, sums, beyond, values)
            gradient[:, :, strip.first : strip.end] += part
        return gradient

    def _record(self, x: Tensor, segment: Segment, strip: Strip) -> dict[str, Tensor]:
        rows = x[:, :, strip.first : strip.end]
        return self.vgg.record(rows, segment.layers, segment.layers[0])

    def _add_sums(
        self,
        sums: dict[GlobalTerm, Sums],
        activations: Mapping[str, Tensor],
        segment: Segment,
        strip: Strip,
    ) -> None:
        """Add a strip's part to the sums of a segment's global terms."""
        for layer in activations.keys() & self.layers.keys():
            stride = segment.stride(layer)
            own = activations[layer][:, :, strip.own(stride)]
            for term in self.layers[layer]:
                if isinstance(term, GlobalTerm):
                    more = term.sums(own, strip.all(stride))
                    sums[term] = tuple(map(torch.add, sums[term], more)) if term in sums else more

    def _back(
        self,
        activations: dict[str, Tensor],
        segment: Segment,
        strip: Strip,
        sums: Mapping[GlobalTerm, Sums],
        beyond: Tensor | None,
        values: dict[Term, Tensor],
    ) -> Tensor:
        """The gradient of what a strip's own features add to the losses, at all rows that it sees.

        Args:
            activations: of the strip; the dict is emptied.
            segment: of the network.
            strip: of its input.
            sums: over the whole picture.
            beyond: the gradient with respect to what the pooling after the segment gives.
            values: gets what the strip adds to the values of local terms.
        """

        def add_gradient(layer: str, activation: Tensor, gradient: Tensor) -> None:
            stride = segment.stride(layer)
            own = strip.own(stride)
            for term in self.layers.get(layer, []):
                factor = term.weight / self.unit
                here = activation[:, :, own], gradient[:, :, own]
                if isinstance(term, LocalTerm):
                    more = term.evaluate(*here, strip.all(stride), factor)
                    values[term] = values[term] + more if term in values else more
                else:
                    term.add_gradient(*here, strip.all(stride), sums[term], factor)

        deeper = None
        if beyond is not None:
            last = activations[segment.layers[-1]]
            deeper = beyond.new_zeros(1, beyond.shape[1], last.shape[2] // 2, last.shape[3] // 2)
            deeper = deeper.contiguous(memory_format=self.vgg.layout)
            deeper[:, :, strip.own(segment.unit)] = beyond[:, :, strip.all(segment.unit)]
        return self.vgg.backward(activations, add_gradient, deeper)

    def losses(self, values: Sequence[float]) -> Losses:
        """The losses, from the numbers that `evaluate` gives."""
        numbers = dict(zip(dict.fromkeys(kind.name for kind in TERMS), values, strict=True))
        weights = {term.name: term.weight for term in self.terms}
        total = sum(weight * numbers[name] for name, weight in weights.items())
        return Losses(numbers, total)
