"""What the tests share: the real network, and small pictures."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d, pad, relu

from stylize import weights
from stylize.layers import LAYERS
from stylize.vgg import Vgg19

ROOT = Path(__file__).parent.parent


def naive_taps(numbers: weights.Weights, pooling: str, image: Tensor) -> dict[str, Tensor]:
    """Every activation of the original VGG-19 in plain torch, with autograd, in the image's dtype.

    Zeros beyond the border of each layer but the first, where the border is repeated.
    """
    tensors = [tensor.to(image.dtype) for tensor in numbers.state.values()]
    mean = torch.tensor([103.939, 116.779, 123.68], dtype=image.dtype).view(1, 3, 1, 1)
    x = pad(image.flip(1) * 255 - mean, (1, 1, 1, 1), "replicate")
    taps: dict[str, Tensor] = {}
    for place, name in enumerate(LAYERS):
        if place and name.endswith("_1"):
            x = avg_pool2d(x, 2) if pooling == "avg" else max_pool2d(x, 2)
        x = relu(conv2d(x, *tensors[2 * place : 2 * place + 2], padding=1 if place else 0))
        taps[name] = x
    return taps


@pytest.fixture(scope="session")
def oxford() -> weights.Weights:
    return weights.load("oxford")


@pytest.fixture(scope="session")
def vgg(oxford: weights.Weights) -> Vgg19:
    return Vgg19(oxford, "avg")


@pytest.fixture(scope="session")
def photo() -> str:
    return str(ROOT / "contents" / "chelsea.jpg")


@pytest.fixture(scope="session")
def painting() -> str:
    return str(ROOT / "styles" / "great-wave.jpg")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def gradient() -> Callable[[int, int], Image.Image]:
    """Makes an RGB picture without symmetry: red grows to the right, green downward."""

    def make(width: int, height: int) -> Image.Image:
        red = Image.linear_gradient("L").rotate(90).resize((width, height))
        green = Image.linear_gradient("L").resize((width, height))
        return Image.merge("RGB", (red, green, Image.new("L", (width, height), 40)))

    return make
