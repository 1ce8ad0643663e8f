"""The normalised network of the paper's authors, in which each filter's mean activation is 1.

Gatys et al. (CVPR 2016, section 2): "we normalized the network by scaling the weights such that
the mean activation of each convolutional filter over images and positions is equal to one. Such
re-scaling can be done for the VGG network without changing its output."

`filter_means.pt` contains the means of the embedded weights over all content and style images of
the repository, as measured by `python figs/filter_means.py`.
"""

from collections.abc import Callable
from pathlib import Path

import torch

from .names import LAYERS
from .weights import Weights

#: The file of the filters' mean activations, by pooling and layer.
MEANS = Path(__file__).with_name("filter_means.pt")
#: A filter's mean is raised to at least this share of its layer's average mean, because some
#: filters are hardly ever active.
_MINIMUM_SHARE = 0.01


def normalized(plain: Weights, pooling: str) -> Weights:
    """Scale the embedded weights so that each filter's mean activation is 1.

    ReLU, convolution and pooling are homogeneous. If a filter is divided by its mean, and the
    weights that read its output are multiplied by the same mean, all further layers stay the same.

    Args:
        plain: the embedded weights. They are not modified.
        pooling: `"avg"` or `"max"`; the means depend on it.

    Returns:
        New weights with the input normalisation and the digest of `plain`.
    """
    means = torch.load(MEANS, weights_only=True)[pooling]
    state = dict(plain.state)
    keys = iter(state)
    previous_mean = torch.ones(3)
    for layer, weight_key, bias_key in zip(LAYERS, keys, keys, strict=True):
        mean = means[layer].clamp(min=_MINIMUM_SHARE * means[layer].mean().item())
        state[weight_key] = (
            state[weight_key] * previous_mean.view(1, -1, 1, 1) / mean.view(-1, 1, 1, 1)
        )
        state[bias_key] = state[bias_key] / mean
        previous_mean = mean
    return Weights(state, plain.normalization, plain.digest)


#: What each value of `--network` does with the weights, given the pooling.
NETWORKS: dict[str, Callable[[Weights, str], Weights]] = {
    "plain": lambda weights, pooling: weights,
    "normalized": normalized,
}
