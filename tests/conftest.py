"""What the tests share: the real network, and small pictures."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from stylize import weights
from stylize.vgg import Vgg19

ROOT = Path(__file__).parent.parent


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
