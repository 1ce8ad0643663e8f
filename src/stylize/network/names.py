"""The names of VGG-19's layers and weights, and the parsing of what a user writes for them.

This module does not import torch, which takes seconds to load.
"""

from collections.abc import Sequence

from ..errors import OptionError, shown

#: The number of convolutions in each of VGG-19's five blocks.
BLOCKS = (2, 2, 4, 4, 4)
#: The number of feature maps of the layers in each block.
CHANNELS = (64, 128, 256, 512, 512)

#: The input conventions that may follow the path of a weights file, as in vgg.pth:caffe.
CONVENTIONS = ("caffe", "torchvision")
#: The values of `--weights` that are not paths.
WEIGHTS = ("auto", "oxford", "torchvision")

#: The names of the activations that can be read, from shallow to deep: relu1_1 ... relu5_4.
LAYERS: tuple[str, ...] = tuple(
    f"relu{block}_{convolution}"
    for block, convolutions in enumerate(BLOCKS, start=1)
    for convolution in range(1, convolutions + 1)
)


def layer_name(written: str) -> str:
    """Return a layer's name in the form of `LAYERS`.

    The paper's "conv4_2" is the activation after the ReLU, because Caffe's ReLU works in
    place. So `conv4_2` and `relu4_2` name the same layer here.
    """
    return written.strip().lower().replace("conv", "relu")


def parse_layers(specs: str | Sequence[str], option: str) -> dict[str, float]:
    """Parse layer names, as in `layer_name`, with optional factors.

    Args:
        specs: `"relu1_1,relu4_1:0.5"` or a sequence of such names.
        option: the name of the option, for error messages.

    Returns:
        The factor by canonical layer name, from shallow to deep. A factor multiplies the layer's
        weight w_l = 1 / (active layers) and is 1 where none is written.

    Raises:
        OptionError: a layer is unknown or repeated, a factor is out of range, or there is no layer.
    """
    entries = specs.split(",") if isinstance(specs, str) else specs
    factors: dict[str, float] = {}
    for entry in entries:
        written_name, colon, factor = entry.strip().partition(":")
        name = layer_name(written_name)
        if name not in LAYERS:
            raise OptionError(
                f"{option}: no layer {shown(written_name)} in VGG-19; --list-layers shows all names"
            )
        if name in factors:
            raise OptionError(f"{option}: {name} is named twice")
        try:
            factors[name] = float(factor) if colon else 1.0
        except ValueError:
            factors[name] = 0.0  # out of range, and so refused below
        if not 1e-9 <= factors[name] <= 1e9:
            raise OptionError(
                f"{option}: {shown(entry.strip())} needs a number from 1e-9 to 1e9 after the colon,"
                " as in relu4_1:0.5 (to drop a layer, leave it out)"
            )
    if not factors:
        raise OptionError(f"{option}: name at least one layer")
    return {name: factors[name] for name in LAYERS if name in factors}


def poolings_before(layer: str) -> int:
    """Return how many poolings, each of which halves the sides, come before a layer."""
    return int(layer[4]) - 1


def values_per_pixel(layer: str) -> float:
    """Return the number of a layer's activations per pixel of the network's input picture."""
    poolings = poolings_before(layer)
    return CHANNELS[poolings] * 0.25**poolings


def smallest_side(layers: Sequence[str]) -> int:
    """Return the shortest side, in pixels, that leaves the deepest of `layers` one position.

    Each pooling halves the sides, so relu5_1, which follows four poolings, needs 16 pixels.
    """
    return 1 << max(map(poolings_before, layers))


def split_weights(source: str) -> tuple[str, str]:
    """Split `vgg.pth:caffe` into the path and the input convention, "" if none is written."""
    path, _, convention = source.rpartition(":")
    return (path, convention) if path and convention in CONVENTIONS else (source, "")
