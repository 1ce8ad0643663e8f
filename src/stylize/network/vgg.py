"""A frozen VGG-19 without its classifier, whose activations can be read by layer name.

The architecture is that of Simonyan & Zisserman, arXiv:1409.1556. Everything that depends on the
set of weights (value range, channel order, mean) stays inside this module: outside it, a picture is
1 x 3 x H x W, sRGB in [0, 1].

The forward and the backward pass are written out, without autograd. The weights are frozen, so only
the gradient with respect to the picture is needed, and for that a ReLU needs its own output and
nothing else. ReLUs and the losses' gradients work in place, and each activation is freed during the
backward pass as soon as it has been used, so that nearly all of the time left is that of the
convolutions.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d, max_pool2d

from .names import BLOCKS, LAYERS
from .weights import Weights

#: A callback `add_gradient(layer, activations, gradient)`, which adds the gradient of the losses at
#: that layer to `gradient`, in place.
AddGradient = Callable[[str, Tensor, Tensor], object]

#: The last layer of each block, which a pooling follows.
_LAST_OF_BLOCK = {
    f"relu{block}_{convolutions}" for block, convolutions in enumerate(BLOCKS, start=1)
}


#: The layers that see the outermost positions repeated beyond the border. A departure from VGG-19,
#: which was trained with zeros there: no painting continues in that way, and the optimisation makes
#: up for it with a line and a strip of odd colours along the border. Deeper layers keep the zeros:
#: repeated in every layer, a pixel in a corner would weigh eight times as much as others, and each
#: step of the optimisation would have to be shorter.
BORDER_REPEATED = LAYERS[:3]


def _average_backward(gradient: Tensor, pooling_input: Tensor) -> Tensor:
    height, width = gradient.shape[2:]
    # The pooling ignores an odd last row or column, so the gradient there is zero.
    odd = pooling_input.shape[2] != 2 * height or pooling_input.shape[3] != 2 * width
    result = torch.zeros_like(pooling_input) if odd else torch.empty_like(pooling_input)
    pooled = result[:, :, : 2 * height, : 2 * width]
    windows = pooled.view(*pooled.shape[:2], height, 2, width, 2)
    windows.copy_((gradient / 4)[:, :, :, None, :, None])
    return result


def _maximum_backward(gradient: Tensor, pooling_input: Tensor) -> Tensor:
    _, indices = max_pool2d(pooling_input, 2, return_indices=True)
    result: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
        gradient, pooling_input, [2, 2], [2, 2], [0, 0], [1, 1], False, indices
    )
    return result


def _repeat_border(x: Tensor) -> Tensor:
    """Surround a picture or feature maps with a copy of the outermost positions.

    torch's own padding refuses feature maps of more than 2^31 values on a GPU.
    """
    size = (*x.shape[:2], x.shape[2] + 2, x.shape[3] + 2)
    padded = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    padded[:, :, 1:-1, 1:-1] = x
    padded[:, :, 1:-1, 0], padded[:, :, 1:-1, -1] = x[:, :, :, 0], x[:, :, :, -1]
    padded[:, :, 0], padded[:, :, -1] = padded[:, :, 1], padded[:, :, -2]
    return padded


def _repeat_border_backward(padded: Tensor) -> Tensor:
    """The gradient with respect to the input of `_repeat_border`, from that of its result."""
    for axis in (2, 3):
        length = padded.shape[axis] - 2
        inner = padded.narrow(axis, 1, length)
        inner.select(axis, 0).add_(padded.select(axis, 0))
        inner.select(axis, length - 1).add_(padded.select(axis, length + 1))
        padded = inner
    return padded.contiguous(memory_format=torch.channels_last)


class Pooling(NamedTuple):
    """A pooling of 2 x 2 positions.

    Attributes:
        forward: gives the output for an input.
        backward: gives the gradient with respect to the input, from the gradient with respect to
            the output and the input.
    """

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]


#: By the values of `--pooling`.
POOLINGS = {
    "avg": Pooling(partial(avg_pool2d, kernel_size=2), _average_backward),
    "max": Pooling(partial(max_pool2d, kernel_size=2), _maximum_backward),
}


class Vgg19:
    """The convolutions of VGG-19, with a ReLU after each and a pooling after each block.

    Calling it gives the activations at some layers. `record` and `backward` together give the
    gradient of losses on the activations with respect to the picture.

    Args:
        weights: the convolutions, and the input normalisation that they were trained with.
        pooling: `"avg"`, the paper's choice for image synthesis (section Methods: the gradient
            flows better and the pictures are slightly more appealing), or `"max"`, the original.
        device: where to compute.
        dtype: of convolutions and activations.

    Attributes:
        convs: the weight and the bias of each convolution, by the name of the layer after it.
        gain: the factor for each channel of the picture, 1 x 3 x 1 x 1, float32 or float64.
        offset: what is added to each channel after that, of the same shape and type.
    """

    def __init__(
        self,
        weights: Weights,
        pooling: str,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.pooling, self.device, self.dtype = pooling, torch.device(device), dtype
        picture_dtype = torch.float64 if dtype == torch.float64 else torch.float32
        normalization = weights.normalization
        # The input is `(x[channels] * scale - mean) / std`. Here the mean, the deviation and the
        # first convolution's weights are reordered instead of the picture's channels.
        order = [normalization.channels.index(channel) for channel in range(3)]
        std = torch.tensor(normalization.std, dtype=torch.float64)[order].view(1, 3, 1, 1)
        mean = torch.tensor(normalization.mean, dtype=torch.float64)[order].view(1, 3, 1, 1)
        self.gain = (normalization.scale / std).to(picture_dtype).to(self.device)
        self.offset = (-mean / std).to(picture_dtype).to(self.device)
        tensors = iter(weights.state.values())
        self.convs: dict[str, tuple[Tensor, Tensor]] = {}
        for layer, weight, bias in zip(LAYERS, tensors, tensors, strict=True):
            if layer == LAYERS[0]:
                weight = weight[:, order]
            # channels_last is the layout in which the CPU's and the GPU's convolutions are fastest.
            self.convs[layer] = (
                weight.to(self.device, dtype).contiguous(memory_format=torch.channels_last),
                bias.to(self.device, dtype),
            )

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Compute the activations at the requested layers.

        Args:
            image: 1 x 3 x H x W, sRGB in [0, 1], at least `names.smallest_side` pixels a side.
                Values outside this range are accepted, because an optimiser may visit them.
            layers: names out of `names.LAYERS`.

        Returns:
            The activations after the ReLU by layer name, from shallow to deep. Each is
            1 x N_l x H_l x W_l and never negative.

        Raises:
            KeyError: a name is not a layer. `names.parse_layers` refuses such names earlier.
        """
        requested = set(layers)
        return {
            layer: activation
            for layer, activation in self._forward(image, requested)
            if layer in requested
        }

    def record(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Compute all activations down to the deepest requested layer, as `backward` needs them.

        Arguments, result and errors are those of a call, but no activation on the way is left out.
        """
        return dict(self._forward(image, set(layers)))

    @torch.no_grad()
    def _forward(self, image: Tensor, requested: set[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield each layer's name and activation, down to the deepest requested layer."""
        if not requested <= set(LAYERS):
            raise KeyError(f"no such layer in VGG-19: {sorted(requested - set(LAYERS))}")
        x = (image * self.gain + self.offset).to(self.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        depth = max((LAYERS.index(layer) + 1 for layer in requested), default=0)
        for layer in LAYERS[:depth]:
            weight, bias = self.convs[layer]
            if layer in BORDER_REPEATED:
                x = conv2d(_repeat_border(x), weight, bias).relu_()
            else:
                x = conv2d(x, weight, bias, padding=1).relu_()
            yield layer, x
            if layer in _LAST_OF_BLOCK and layer != LAYERS[depth - 1]:
                x = POOLINGS[self.pooling].forward(x)

    @torch.no_grad()
    def backward(self, activations: dict[str, Tensor], add_gradient: AddGradient) -> Tensor:
        """Compute the gradient of the losses with respect to the picture.

        Args:
            activations: the result of `record`. The dict is emptied, which frees memory on the way.
            add_gradient: called for every layer, from deep to shallow.

        Returns:
            The gradient, 1 x 3 x H x W: float64 if that is the network's type, else float32.
        """
        gradient: Tensor | None = None
        while activations:
            layer, gradient = self._relu_backward(activations, gradient, add_gradient)
            weight, _ = self.convs[layer]
            if layer in BORDER_REPEATED:
                gradient = _repeat_border_backward(conv_transpose2d(gradient, weight))
            else:
                gradient = conv_transpose2d(gradient, weight, padding=1)
        assert gradient is not None
        # Contiguous, as pictures are: L-BFGS would copy mixed layouts at every dot product.
        return (gradient.to(self.gain.dtype) * self.gain).contiguous()

    def _relu_backward(
        self, activations: dict[str, Tensor], gradient: Tensor | None, add_gradient: AddGradient
    ) -> tuple[str, Tensor]:
        """Go back through the deepest ReLU, after adding the losses' gradient at its output.

        On return the activation is freed, before the convolution needs memory.

        Args:
            activations: those that are left.
            gradient: with respect to the input of what follows the layer; None at the deepest one.
            add_gradient: as in `backward`.

        Returns:
            The layer's name, and the gradient with respect to the ReLU's input.
        """
        layer, activation = activations.popitem()
        if gradient is None:
            gradient = torch.zeros_like(activation)
        elif layer in _LAST_OF_BLOCK:
            gradient = POOLINGS[self.pooling].backward(gradient, activation)
        add_gradient(layer, activation, gradient)
        # No gradient passes where the ReLU's output is 0.
        torch.ops.aten.threshold_backward.grad_input(gradient, activation, 0, grad_input=gradient)
        return layer, gradient
