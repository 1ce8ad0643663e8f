"""The authors' normalised network: the same function, each filter's mean activation being 1."""

import pytest
import torch
from conftest import ROOT
from PIL import Image

from stylize.images import picture as images
from stylize.network import weights
from stylize.network.names import LAYERS
from stylize.network.normalized import _LEAST, _MEANS, _SIZE, normalized
from stylize.network.vgg import Vgg19
from stylize.transfer.scales import resized


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_the_network_is_the_same_but_for_a_factor_at_each_filter(
    pooling: str, oxford: weights.Weights, photo: str
) -> None:
    x = images.to_tensor(Image.open(photo), (53, 37)).double()
    plain = Vgg19(oxford, pooling, dtype=torch.float64)(x, LAYERS)
    # In float64 throughout: the factors are applied to the weights before Vgg19 converts them.
    wide = weights.Weights({k: v.double() for k, v in oxford.state.items()}, oxford.normalization)
    scaled = Vgg19(normalized(wide, pooling), pooling, dtype=torch.float64)(x, LAYERS)
    means = torch.load(_MEANS, weights_only=True)[pooling]
    for layer in LAYERS:
        mean = means[layer].clamp(min=_LEAST * means[layer].mean().item()).double()
        torch.testing.assert_close(
            scaled[layer] * mean.view(1, -1, 1, 1), plain[layer], rtol=1e-9, atol=1e-9
        )


def test_the_weights_given_stay_as_they_are(oxford: weights.Weights) -> None:
    before = oxford.state["0.weight"].clone()
    other = normalized(oxford, "avg")
    assert torch.equal(oxford.state["0.weight"], before)
    assert list(other.state) == list(oxford.state)
    assert other.normalization == oxford.normalization


@pytest.mark.parametrize("pooling", ["avg", pytest.param("max", marks=pytest.mark.slow)])
def test_the_mean_activation_is_1(pooling: str, oxford: weights.Weights) -> None:
    """Over all pictures of the repository, as the file of the means says of itself."""
    vgg = Vgg19(normalized(oxford, pooling), pooling)
    paths = [*ROOT.glob("contents/*.jpg"), *ROOT.glob("styles/*.jpg")]
    sums = dict.fromkeys(LAYERS, torch.zeros(()))
    for path in paths:
        picture = images.load(path).image
        taps = vgg(
            images.to_tensor(picture, resized(picture.size, _SIZE / max(picture.size))), LAYERS
        )
        sums = {layer: sums[layer] + taps[layer].mean(dim=(0, 2, 3)) for layer in LAYERS}
    stored = torch.load(_MEANS, weights_only=True)[pooling]
    for layer in LAYERS:
        loud = stored[layer] > _LEAST * stored[layer].mean()
        assert loud.float().mean() > 0.9, layer
        means = sums[layer] / len(paths)
        torch.testing.assert_close(means[loud], torch.ones(int(loud.sum())), rtol=0, atol=0.01)
        assert means.max() < 1.01
