"""The names of VGG-19's layers, and what a user may write for them. No torch."""

from collections.abc import Sequence

from ..errors import OptionError

#: Convolutions in each of VGG-19's five blocks.
BLOCKS = (2, 2, 4, 4, 4)
#: Feature maps of each block's layers.
CHANNELS = (64, 128, 256, 512, 512)

#: The conventions that can be written behind a path of weights, as in vgg.pth:caffe.
CONVENTIONS = ("caffe", "torchvision")
#: The words for `--weights` that are no paths.
WEIGHTS = ("auto", "oxford", "torchvision")

#: The activations that can be tapped, shallow to deep: relu1_1 ... relu5_4.
LAYERS: tuple[str, ...] = tuple(
    f"relu{block}_{conv}"
    for block, convs in enumerate(BLOCKS, start=1)
    for conv in range(1, convs + 1)
)


def parse_layers(specs: str | Sequence[str], option: str) -> dict[str, float]:
    """Read layer names with optional factors.

    The paper's "conv4_2" is the activation after the ReLU, because Caffe's ReLU works in
    place; so `conv4_2` and `relu4_2` name the same layer here.

    Args:
        specs: `"relu1_1,relu4_1:0.5"` or a sequence of such names.
        option: the option's name, for messages.

    Returns:
        Factor by canonical name, shallow to deep. A factor multiplies the layer's weight
        w_l = 1 / (active layers) and is 1 where none is written.

    Raises:
        OptionError: an unknown or repeated layer, or a factor out of range.
    """
    names = specs.split(",") if isinstance(specs, str) else specs
    factors: dict[str, float] = {}
    for spec in names:
        written, colon, factor = spec.strip().partition(":")
        name = written.strip().lower().replace("conv", "relu")
        if name not in LAYERS:
            raise OptionError(f"{option}: no layer {written!r} in VGG-19; --list-layers names them")
        if name in factors:
            raise OptionError(f"{option}: {name} is named twice")
        try:
            factors[name] = float(factor) if colon else 1.0
        except ValueError:
            factors[name] = 0.0
        if not 1e-9 <= factors[name] <= 1e9:
            raise OptionError(
                f"{option}: {spec.strip()!r} needs a number from 1e-9 to 1e9 after the colon,"
                " as in relu4_1:0.5 (to drop a layer, leave it out)"
            )
    if not factors:
        raise OptionError(f"{option}: name at least one layer")
    return {name: factors[name] for name in LAYERS if name in factors}


def values_a_pixel(layer: str) -> float:
    """Activations of a layer, over the pixels of the picture that it is shown."""
    block = int(layer[4]) - 1
    return CHANNELS[block] * 0.25**block


def smallest_side(layers: Sequence[str]) -> int:
    """The shortest side, in pixels, at which the deepest of `layers` has one position left.

    Each pooling halves the sides, so relu5_1, behind four of them, needs 16 pixels.
    """
    deepest_block = max(int(name[4]) for name in layers)
    return 1 << (deepest_block - 1)


def weights_path(source: str) -> tuple[str, str]:
    """Split `vgg.pth:caffe` into the path and the convention, which is "" where none is said."""
    path, _, convention = source.rpartition(":")
    return (path, convention) if path and convention in CONVENTIONS else (source, "")
