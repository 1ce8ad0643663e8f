"""Measure the filters' mean activations that `--network normalized` divides by.

    python figs/filter_means.py

sends every photo and painting of the repository through the embedded network, with average and with
max pooling, and writes src/stylize/network/filter_means.pt.
"""

from pathlib import Path

import torch
from torch import Tensor

from stylize.images.picture import load_picture
from stylize.network import normalized, weights
from stylize.network.names import LAYERS
from stylize.network.vgg import Vgg19
from stylize.transfer.scales import scaled_size
from stylize.transfer.tensors import to_tensor

ROOT = Path(__file__).parent.parent
#: Longer side, in pixels, to which the pictures are resized for the network.
SIDE = 384


def measure(paths: list[Path], pooling: str) -> dict[str, Tensor]:
    """Return the mean activation of each filter, by layer; every picture counts the same."""
    vgg = Vgg19(weights.load("oxford"), pooling)
    sums: dict[str, Tensor] = {}
    for path in paths:
        picture = load_picture(path)
        image = to_tensor(picture, scaled_size(picture.size, SIDE / max(picture.size)))
        for layer, activations in vgg(image, LAYERS).items():
            sums[layer] = sums.get(layer, 0) + activations.mean(dim=(0, 2, 3))
    return {layer: total / len(paths) for layer, total in sums.items()}


if __name__ == "__main__":
    pictures = sorted([*ROOT.glob("contents/*.jpg"), *ROOT.glob("styles/*.jpg")])
    means = {pooling: measure(pictures, pooling) for pooling in ("avg", "max")}
    torch.save(means, normalized.MEANS)
