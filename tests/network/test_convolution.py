"""Both implementations of the convolutions agree, and one stands in for the other."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from stylize.network import convolution as module
from stylize.network.convolution import Convolution
from stylize.network.names import LAYERS
from stylize.network.weights import Weights

NNPACK = pytest.mark.skipif(
    not module.winograd_available(), reason="this build of torch has no NNPACK"
)


@pytest.fixture
def always_winograd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_POSITIONS", 1)


@pytest.fixture
def no_winograd(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a build of torch without NNPACK."""
    monkeypatch.delattr(torch, "_nnpack_spatial_convolution", raising=False)
    module.winograd_available.cache_clear()
    yield
    module.winograd_available.cache_clear()


def by_autograd(weight: Tensor, bias: Tensor, repeat: bool, x: Tensor, slope: Tensor) -> Tensor:
    """The gradient with respect to x of the sum of result times slope, in float64."""
    x = x.double().requires_grad_()
    padded = pad(x, (1,) * 4, mode="replicate") if repeat else pad(x, (1,) * 4)
    result = conv2d(padded, weight.double(), bias.double())
    return torch.autograd.grad((result * slope).sum(), x)[0]


def error(actual: Tensor, expected: Tensor) -> float:
    """The norm of the difference, divided by that of what is expected."""
    return float((actual.double() - expected).norm() / expected.norm())


@NNPACK
@pytest.mark.usefixtures("always_winograd")
@pytest.mark.parametrize("layer", LAYERS[:13])
@pytest.mark.parametrize("size", [(6, 6), (13, 22), (31, 7), (1, 1)])
@pytest.mark.parametrize("repeat", [False, True])
def test_winograd_is_the_convolution(
    layer: str, size: tuple[int, int], repeat: bool, oxford: Weights
) -> None:
    number = LAYERS.index(layer)
    weight, bias = list(oxford.state.values())[2 * number : 2 * number + 2]
    conv = Convolution(weight, bias, repeat)
    assert conv.winograd
    x = torch.rand(1, weight.shape[1], *size)
    padded = pad(x, (1,) * 4, mode="replicate") if repeat else pad(x, (1,) * 4)
    exact = conv2d(padded.double(), weight.double(), bias.double())
    assert error(conv(x), exact) < 1e-5
    slope = torch.randn(1, weight.shape[0], *size)
    assert error(conv.backward(slope), by_autograd(weight, bias, repeat, x, slope)) < 1e-5


@NNPACK
@pytest.mark.usefixtures("always_winograd")
@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize("most", [1, 22 * 9 * 13])
def test_strips_give_the_same_as_the_whole(
    most: int, repeat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of six rows, and of twelve; the last one is shorter."""
    conv = Convolution(torch.randn(5, 4, 3, 3), torch.randn(5), repeat)
    x, slope = torch.rand(1, 4, 29, 20), torch.randn(1, 5, 29, 20)
    whole = conv(x), conv.backward(slope)
    strips: list[int] = []
    nnpack = module._nnpack

    def counted(x: Tensor, *args: Any) -> Tensor:
        strips.append(x.shape[2] - 2)
        return nnpack(x, *args)

    monkeypatch.setattr(module, "_nnpack", counted)
    monkeypatch.setattr(module, "MOST_VALUES", most)
    torch.testing.assert_close((conv(x), conv.backward(slope)), whole, rtol=1e-5, atol=1e-5)
    assert strips[:5] == ([6, 6, 6, 6, 5] if most == 1 else [12, 12, 5, 12, 12])


@pytest.mark.usefixtures("no_winograd")
@pytest.mark.parametrize("repeat", [False, True])
def test_without_nnpack_torch_s_own_convolutions_are_used(repeat: bool) -> None:
    weight, bias = torch.randn(5, 4, 3, 3), torch.randn(5)
    conv = Convolution(weight, bias, repeat)
    assert not conv.winograd
    assert conv.layout == torch.channels_last
    x, slope = torch.rand(1, 4, 40, 50), torch.randn(1, 5, 40, 50)
    assert conv(x).is_contiguous(memory_format=torch.channels_last)
    expected = by_autograd(weight, bias, repeat, x, slope)
    assert error(conv.backward(slope), expected) < 1e-5


@NNPACK
def test_a_shape_that_nnpack_refuses_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = Convolution(torch.randn(5, 4, 3, 3), torch.randn(5), repeat_border=False)
    x = torch.rand(1, 4, 40, 50)
    expected = conv(x)
    message = "NNPACK SpatialConvolution_updateOutput failed"

    def refuse(*args: object) -> Tensor:
        raise RuntimeError(message)

    monkeypatch.setattr(module, "_nnpack", refuse)
    torch.testing.assert_close(conv(x), expected, rtol=1e-4, atol=1e-4)
    message = "out of memory"
    with pytest.raises(RuntimeError, match="out of memory"):
        conv(x)


@NNPACK
def test_small_feature_maps_and_other_types_are_left_to_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shapes: list[torch.Size] = []
    nnpack = module._nnpack

    def counted(x: Tensor, *args: Any) -> Tensor:
        shapes.append(x.shape[2:])
        return nnpack(x, *args)

    monkeypatch.setattr(module, "_nnpack", counted)
    weight, bias = torch.randn(5, 4, 3, 3), torch.randn(5)
    for side in (16, 64):
        Convolution(weight, bias, repeat_border=False)(torch.rand(1, 4, side, side))
    assert shapes == [(64, 64)]
    for dtype in (torch.bfloat16, torch.float64):
        assert module.layout(torch.device("cpu"), dtype) == torch.channels_last
    assert module.layout(torch.device("cuda"), torch.float32) == torch.channels_last
