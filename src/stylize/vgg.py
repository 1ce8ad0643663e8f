"""A frozen VGG-19 without its classifier, whose activations can be tapped by name.

Simonyan & Zisserman, arXiv:1409.1556. Everything that is particular to a set of weights
(range, channel order, mean) stays in here: outside, a picture is 1 x 3 x H x W, sRGB in [0, 1].
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torchvision.models import vgg19

from .layers import LAYERS
from .weights import Weights


class Vgg19(nn.Module):
    """The 16 convolutions and 5 poolings of VGG-19.

    Args:
        weights: the numbers, and the input normalisation that they were trained with.
        pooling: `"avg"`, the paper's choice for image synthesis (section Methods: the gradient
            flows better and the pictures are slightly more appealing), or `"max"`, the original.
    """

    def __init__(self, weights: Weights, pooling: str) -> None:
        super().__init__()
        # On the meta device torchvision's definition costs neither the memory of the
        # classifier (494 MB) nor the seconds of its random initialisation.
        with torch.device("meta"):
            features = vgg19().features
        features.load_state_dict(weights.state, assign=True)
        # conv1_1, relu1_1, ..., pool5: the position in the network gives the name.
        self.steps = nn.ModuleDict()
        block, conv = 1, 1
        for module in features:
            if isinstance(module, nn.Conv2d):
                self.steps[f"conv{block}_{conv}"] = module
            elif isinstance(module, nn.ReLU):
                # In place, which halves the memory: what it overwrites is the convolution's
                # output, never a tap, for the taps lie behind the ReLUs.
                self.steps[f"relu{block}_{conv}"] = nn.ReLU(inplace=True)
                conv += 1
            else:
                pool = nn.AvgPool2d(2) if pooling == "avg" else nn.MaxPool2d(2)
                self.steps[f"pool{block}"] = pool
                block, conv = block + 1, 1
        normalization = weights.normalization
        self.channels = list(normalization.channels)
        self.scale = normalization.scale
        self.register_buffer(
            "mean", torch.tensor(normalization.mean, dtype=torch.float32).view(1, 3, 1, 1)
        )
        self.register_buffer(
            "std", torch.tensor(normalization.std, dtype=torch.float32).view(1, 3, 1, 1)
        )
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(False)
        self.eval()
        # channels_last is the layout in which the CPU's and the GPU's convolutions are fastest.
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Evaluate the network up to the deepest layer asked for.

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
        if not wanted <= set(LAYERS):
            raise KeyError(f"no such layer in VGG-19: {sorted(wanted - set(LAYERS))}")
        x = (image[:, self.channels] * self.scale - self.mean) / self.std
        x = x.contiguous(memory_format=torch.channels_last)
        taps: dict[str, Tensor] = {}
        for name, step in self.steps.items():
            if len(taps) == len(wanted):
                break
            x = step(x)
            if name in wanted:
                taps[name] = x
        return taps
