"""The authors' normalised network: the same function, with a mean activation of 1 per filter."""

import hashlib

import pytest
import torch
from conftest import ROOT, to_tensor
from PIL import Image

from stylize.images.picture import load_picture
from stylize.network import weights
from stylize.network.names import LAYERS
from stylize.network.normalized import _MINIMUM_SHARE, MEANS, normalized
from stylize.network.vgg import Vgg19
from stylize.transfer.scales import scaled_size


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_the_network_is_the_same_except_for_a_factor_at_each_filter(
    pooling: str, oxford: weights.Weights, photo: str
) -> None:
    image = to_tensor(Image.open(photo), (53, 37)).double()
    plain = Vgg19(oxford, pooling, dtype=torch.float64)(image, LAYERS)
    # The factors are applied before Vgg19 converts the weights, so these must be float64 already.
    state = {key: tensor.double() for key, tensor in oxford.state.items()}
    precise = weights.Weights(state, oxford.normalization)
    scaled = Vgg19(normalized(precise, pooling), pooling, dtype=torch.float64)(image, LAYERS)
    means = torch.load(MEANS, weights_only=True)[pooling]
    for layer in LAYERS:
        mean = means[layer].clamp(min=_MINIMUM_SHARE * means[layer].mean().item()).double()
        torch.testing.assert_close(
            scaled[layer] * mean.view(1, -1, 1, 1), plain[layer], rtol=1e-9, atol=1e-9
        )


def test_the_weights_passed_in_are_not_modified(oxford: weights.Weights) -> None:
    before = oxford.state["0.weight"].clone()
    scaled = normalized(oxford, "avg")
    assert torch.equal(oxford.state["0.weight"], before)
    assert list(scaled.state) == list(oxford.state)
    assert scaled.normalization == oxford.normalization


def test_the_stored_means_are_those_that_were_measured() -> None:
    """By figs/filter_means.py; the slow tests below measure all layers again."""
    digest = hashlib.sha256(MEANS.read_bytes()).hexdigest()
    assert digest == "46ace9108e526e661c7ec610bdc821501ccb1dbd90b57733979b387bd863cff8"


@pytest.mark.parametrize(
    ("pooling", "layers"),
    [
        ("avg", LAYERS[:3]),
        pytest.param("avg", LAYERS, marks=pytest.mark.slow),
        pytest.param("max", LAYERS, marks=pytest.mark.slow),
    ],
    ids=["avg-shallow", "avg", "max"],
)
def test_each_filters_mean_activation_is_1(
    pooling: str, layers: tuple[str, ...], oxford: weights.Weights
) -> None:
    """The mean is over all pictures of the repository, which the stored means are from."""
    vgg = Vgg19(normalized(oxford, pooling), pooling)
    paths = [*ROOT.glob("contents/*.jpg"), *ROOT.glob("styles/*.jpg")]
    sums = dict.fromkeys(layers, torch.zeros(()))
    for path in paths:
        picture = load_picture(path).image
        size = scaled_size(picture.size, 384 / max(picture.size))
        activations = vgg(to_tensor(picture, size), layers)
        sums = {layer: sums[layer] + activations[layer].mean(dim=(0, 2, 3)) for layer in layers}
    stored = torch.load(MEANS, weights_only=True)[pooling]
    for layer in layers:
        active = stored[layer] > _MINIMUM_SHARE * stored[layer].mean()
        assert active.float().mean() > 0.9, layer
        means = sums[layer] / len(paths)
        torch.testing.assert_close(means[active], torch.ones(int(active.sum())), rtol=0, atol=0.01)
        assert means.max() < 1.01
