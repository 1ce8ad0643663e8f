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
from torch.nn.functional import avg_pool2d, max_pool2d

from .convolution import Convolution, layout
from .names import BLOCKS, LAYERS, layer_name
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


def _average(x: Tensor) -> Tensor:
    """The mean of each 2 x 2 positions; an odd last row or column is left out.

    With the channels first, torch's own pooling takes five times as long.
    """
    if not x.is_contiguous():
        return avg_pool2d(x, 2)
    height, width = x.shape[2] // 2, x.shape[3] // 2
    rows = x[:, :, 0 : 2 * height : 2] + x[:, :, 1::2]
    return rows[:, :, :, 0 : 2 * width : 2].add(rows[:, :, :, 1::2]).mul_(0.25)


def _average_backward(gradient: Tensor, pooling_input: Tensor) -> Tensor:
    height, width = gradient.shape[2:]
    result = torch.empty_like(pooling_input)
    pooled = result[:, :, : 2 * height, : 2 * width]
    upper = pooled[:, :, 0::2]
    upper.view(*gradient.shape, 2).copy_((gradient / 4)[..., None])
    pooled[:, :, 1::2] = upper
    # The pooling leaves out an odd last row or column, so the gradient there is zero.
    result[:, :, 2 * height :] = 0
    result[:, :, :, 2 * width :] = 0
    return result


def _maximum_backward(gradient: Tensor, pooling_input: Tensor) -> Tensor:
    _, indices = max_pool2d(pooling_input, 2, return_indices=True)
    result: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
        gradient, pooling_input, [2, 2], [2, 2], [0, 0], [1, 1], False, indices
    )
    return result


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
    "avg": Pooling(_average, _average_backward),
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
        convs: the convolutions, by the name of the layer after each.
        gain: the factor for each channel of the picture, 1 x 3 x 1 x 1, float32 or float64.
        offset: what is added to each channel after that, of the same shape and type.
        layout: of activations in memory.
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
        self.layout = layout(self.device, dtype)
        self.convs: dict[str, Convolution] = {}
        for layer, weight, bias in zip(LAYERS, tensors, tensors, strict=True):
            if layer == LAYERS[0]:
                weight = weight[:, order]
            self.convs[layer] = Convolution(
                weight.to(self.device, dtype), bias.to(self.device, dtype), layer in BORDER_REPEATED
            )

    def __call__(
        self, image: Tensor, layers: Iterable[str], first: str = LAYERS[0]
    ) -> dict[str, Tensor]:
        """Compute the activations at the requested layers.

        Args:
            image: 1 x 3 x H x W, sRGB in [0, 1], at least `names.smallest_side` pixels a side.
                Values outside this range are accepted, because an optimiser may visit them.
            layers: names as in `names.layer_name`: relu4_2, or conv4_2 for the same.
            first: the layer to begin with, the first of a block. If it is not the first of all,
                `image` is what `pool` gives before it.

        Returns:
            The activations after the ReLU by layer, as its name was given, from shallow to deep.
            Each is 1 x N_l x H_l x W_l and never negative.

        Raises:
            KeyError: a name is not a layer. `names.parse_layers` refuses such names earlier.
        """
        requested = {name: layer_name(name) for name in layers}
        return {
            name: activation
            for layer, activation in self._forward(image, set(requested.values()), first)
            for name in requested
            if requested[name] == layer
        }

    def record(self, x: Tensor, layers: Iterable[str], first: str = LAYERS[0]) -> dict[str, Tensor]:
        """Compute all activations down to the deepest requested layer, as `backward` needs them.

        Args:
            x: as in a call.
            layers: as in a call.
            first: as in a call.

        Returns:
            As a call does, but no activation on the way is left out.
        """
        return dict(self._forward(x, set(map(layer_name, layers)), first))

    def pool(self, activation: Tensor) -> Tensor:
        """The pooling after a block, from the activations of the block's last layer."""
        return POOLINGS[self.pooling].forward(activation)

    @torch.no_grad()
    def _forward(
        self, x: Tensor, requested: set[str], first: str = LAYERS[0]
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield each layer's name and activation, down to the deepest requested layer."""
        if not requested <= set(LAYERS):
            raise KeyError(f"no such layer in VGG-19: {sorted(requested - set(LAYERS))}")
        if first == LAYERS[0]:
            x = (x * self.gain + self.offset).to(self.dtype)
            x = x.contiguous(memory_format=self.layout)
        depth = max((LAYERS.index(layer) + 1 for layer in requested), default=0)
        for layer in LAYERS[LAYERS.index(first) : depth]:
            x = self.convs[layer](x).relu_()
            yield layer, x
            if layer in _LAST_OF_BLOCK and layer != LAYERS[depth - 1]:
                x = self.pool(x)

    @torch.no_grad()
    def backward(
        self,
        activations: dict[str, Tensor],
        add_gradient: AddGradient,
        deeper: Tensor | None = None,
    ) -> Tensor:
        """Compute the gradient of the losses with respect to the input of `record`.

        Args:
            activations: the result of `record`. The dict is emptied, which frees memory on the way.
            add_gradient: called for every layer, from deep to shallow.
            deeper: where layers beyond the deepest recorded one have losses too, the gradient with
                respect to what `pool` gives after it.

        Returns:
            The gradient. With respect to a picture it is 1 x 3 x H x W: float64 if that is the
            network's type, else float32.
        """
        gradient = deeper
        while activations:
            layer, gradient = self._relu_backward(activations, gradient, add_gradient)
            gradient = self.convs[layer].backward(gradient)
        assert gradient is not None
        if layer != LAYERS[0]:
            return gradient
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
