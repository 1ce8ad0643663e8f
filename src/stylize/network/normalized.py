"""The authors' normalised network: each filter's mean activation is 1.

Gatys et al. (CVPR 2016, section 2): "we normalized the network by scaling the weights such that
the mean activation of each convolutional filter over images and positions is equal to one. Such
re-scaling can be done for the VGG network without changing its output."

The means beside this file are of the embedded weights, over the photos and paintings of this
repository:

    python -m stylize.normalized contents/*.jpg styles/*.jpg
"""

import sys
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ..images import picture as images
from ..transfer.scales import resized
from . import weights
from .names import LAYERS
from .vgg import Vgg19
from .weights import Weights

_MEANS = Path(__file__).with_name("filter_means.pt")
#: Longer side at which the pictures are shown to the network.
_SIZE = 384
#: Some filters hardly ever fire: no mean counts as less than this share of its layer's.
_LEAST = 0.01


def normalized(plain: Weights, pooling: str) -> Weights:
    """Scale the weights of the embedded network.

    ReLU, convolution and pooling are homogeneous: a filter that is divided by its mean, and the
    weights behind it multiplied by the same, leave all further layers as they were.

    Args:
        plain: the embedded weights.
        pooling: `"avg"` or `"max"`, which changes the means.
    """
    means = torch.load(_MEANS, weights_only=True)[pooling]
    state = dict(plain.state)
    keys = iter(state)
    before = torch.ones(3)
    for layer, weight, bias in zip(LAYERS, keys, keys, strict=True):
        mean = means[layer].clamp(min=_LEAST * means[layer].mean().item())
        state[weight] = state[weight] * before.view(1, -1, 1, 1) / mean.view(-1, 1, 1, 1)
        state[bias] = state[bias] / mean
        before = mean
    return Weights(state, plain.normalization, plain.digest)


def measure(paths: list[str], pooling: str) -> dict[str, Tensor]:
    """Each filter's mean activation, by layer, every picture counting the same."""
    vgg = Vgg19(weights.load("oxford"), pooling)
    sums: dict[str, Tensor] = {}
    for path in paths:
        with Image.open(path) as image:
            size = resized(image.size, _SIZE / max(image.size))
            taps = vgg(images.to_tensor(image.convert("RGB"), size), LAYERS)
        for layer, activations in taps.items():
            sums[layer] = sums.get(layer, 0) + activations.mean(dim=(0, 2, 3))
    return {layer: total / len(paths) for layer, total in sums.items()}


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    torch.save({pooling: measure(sys.argv[1:], pooling) for pooling in ("avg", "max")}, _MEANS)
