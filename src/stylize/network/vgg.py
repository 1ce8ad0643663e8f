"""A frozen VGG-19 without its classifier, whose activations can be tapped by name.

Simonyan & Zisserman, arXiv:1409.1556. Everything that is particular to a set of weights
(range, channel order, mean) stays in here: outside, a picture is 1 x 3 x H x W, sRGB in [0, 1].

Forward and backward are written out, without autograd. The weights are frozen, so that only the
gradient of the picture goes back, and for that a ReLU needs its own output and nothing else.
ReLUs and the losses' gradients work in place, and activations are freed on the way back: the
convolutions' own time is nearly all that is left.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d, max_pool2d, pad

from .names import BLOCKS, LAYERS
from .weights import Weights

#: `add_gradient(layer, activations, gradient)` adds to `gradient`, in place, what the losses at
#: that layer have for it.
AddGradient = Callable[[str, Tensor, Tensor], object]

#: The last layer of each block, behind which there is a pooling.
_LAST = {f"relu{block}_{convs}" for block, convs in enumerate(BLOCKS, start=1)}


class Vgg19:
    """The convolutions of VGG-19, a ReLU behind each, a pooling behind each block.

    Args:
        weights: the numbers, and the input normalisation that they were trained with.
        pooling: `"avg"`, the paper's choice for image synthesis (section Methods: the gradient
            flows better and the pictures are slightly more appealing), or `"max"`, the original.
        device: where to compute.
        dtype: of convolutions and activations.
    """

    def __init__(
        self,
        weights: Weights,
        pooling: str,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.pooling, self.device, self.dtype = pooling, torch.device(device), dtype
        exact = torch.float64 if dtype == torch.float64 else torch.float32
        norm = weights.normalization
        # `(x[channels] * scale - mean) / std`, the channels' order left to the first weights.
        order = [norm.channels.index(channel) for channel in range(3)]
        std = torch.tensor(norm.std, dtype=torch.float64)[order].view(1, 3, 1, 1)
        mean = torch.tensor(norm.mean, dtype=torch.float64)[order].view(1, 3, 1, 1)
        self.gain = (norm.scale / std).to(exact).to(self.device)
        self.offset = (-mean / std).to(exact).to(self.device)
        tensors = iter(weights.state.values())
        self.convs: dict[str, tuple[Tensor, Tensor]] = {}
        for name, weight, bias in zip(LAYERS, tensors, tensors, strict=True):
            if name == LAYERS[0]:
                weight = weight[:, order]
            # channels_last is the layout in which the CPU's and the GPU's convolutions are fastest.
            self.convs[name] = (
                weight.to(self.device, dtype).contiguous(memory_format=torch.channels_last),
                bias.to(self.device, dtype),
            )

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """The activations at the layers asked for, shallow to deep.

        Args:
            image: 1 x 3 x H x W, sRGB in [0, 1] (values outside are let through: an
                optimiser may visit them), at least `layers.smallest_side` pixels a side.
            layers: names out of `LAYERS`.

        Returns:
            1 x N_l x H_l x W_l activations by layer name, after the ReLU, never negative.

        Raises:
            KeyError: a name that is no layer; `layers.parse_layers` has let none through.
        """
        wanted = set(layers)
        return {name: x for name, x in self._forward(image, wanted) if name in wanted}

    def record(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """As calling it, but with every activation on the way, as `backward` needs them."""
        return dict(self._forward(image, set(layers)))

    @torch.no_grad()
    def _forward(self, image: Tensor, wanted: set[str]) -> Iterator[tuple[str, Tensor]]:
        if not wanted <= set(LAYERS):
            raise KeyError(f"no such layer in VGG-19: {sorted(wanted - set(LAYERS))}")
        x = self._input(image)
        for depth, name in enumerate(LAYERS, start=1):
            if not wanted & set(LAYERS[depth - 1 :]):
                return
            if depth > 1 and LAYERS[depth - 2] in _LAST:
                x = avg_pool2d(x, 2) if self.pooling == "avg" else max_pool2d(x, 2)
            weight, bias = self.convs[name]
            x = conv2d(x, weight, bias, padding=0 if depth == 1 else 1).relu_()
            yield name, x

    @torch.no_grad()
    def backward(self, activations: dict[str, Tensor], add_gradient: AddGradient) -> Tensor:
        """The gradient of the losses with respect to the image.

        Args:
            activations: of `record`. They are used up: memory is freed on the way.
            add_gradient: called for every layer, deep to shallow.

        Returns:
            1 x 3 x H x W, float32.
        """
        gradient: Tensor | None = None
        while activations:
            name, x = activations.popitem()
            if gradient is None:
                gradient = torch.zeros_like(x)
            elif name in _LAST:
                gradient = self._unpooled(gradient, x)
            add_gradient(name, x, gradient)
            # Where the ReLU's output is 0 nothing passes.
            torch.ops.aten.threshold_backward.grad_input(gradient, x, 0, grad_input=gradient)
            del x
            weight, _ = self.convs[name]
            gradient = conv_transpose2d(gradient, weight, padding=0 if name == LAYERS[0] else 1)
        assert gradient is not None
        return self._input_backward(gradient)

    def _unpooled(self, gradient: Tensor, x: Tensor) -> Tensor:
        """The gradient before the pooling of `x`."""
        if self.pooling == "max":
            _, places = max_pool2d(x, 2, return_indices=True)
            back: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
                gradient, x, [2, 2], [2, 2], [0, 0], [1, 1], False, places
            )
            return back
        height, width = gradient.shape[2:]
        # An odd last row or column has no part in the average.
        odd = x.shape[2] != 2 * height or x.shape[3] != 2 * width
        back = torch.zeros_like(x) if odd else torch.empty_like(x)
        even = back[:, :, : 2 * height, : 2 * width]
        quads = even.view(*even.shape[:2], height, 2, width, 2)
        quads.copy_((gradient / 4)[:, :, :, None, :, None])
        return back

    def _input(self, image: Tensor) -> Tensor:
        """The picture as the first convolution expects it, with a border of one pixel.

        Like every layer, the first one was trained with zeros beyond the border. In a layer of
        colours that is a grey frame that no painting has, and the optimisation fights it with a
        strip of odd colours: the border is repeated instead.
        """
        x = (image * self.gain + self.offset).to(self.dtype)
        return pad(x, (1, 1, 1, 1), "replicate").contiguous(memory_format=torch.channels_last)

    def _input_backward(self, padded: Tensor) -> Tensor:
        """The gradient of the picture from that of what `_input` made of it."""
        gradient = padded.to(self.gain.dtype)
        for side in (2, 3):
            length = gradient.shape[side] - 2
            inner = gradient.narrow(side, 1, length)
            inner.select(side, 0).add_(gradient.select(side, 0))
            inner.select(side, length - 1).add_(gradient.select(side, length + 1))
            gradient = inner
        # Contiguous, as pictures are: L-BFGS would copy mixed layouts at every dot product.
        return (gradient * self.gain).contiguous()
