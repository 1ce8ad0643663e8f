"""The 3 x 3 convolutions of a frozen network: forward, and back to the gradient of the input.

This module alone decides which implementation computes a convolution, from the type of the numbers
and the shape alone, so that the same picture gives the same bits on the same machine.

- torch's own: oneDNN on a processor, cuDNN on an NVIDIA GPU. Direct convolutions, which are fastest
  with the channels last in memory.
- NNPACK, with Winograd's algorithm F(6 x 6, 3 x 3) (Lavin & Gray, arXiv:1509.09308): up to five
  times fewer multiplications in float32 on a processor. torch carries it, but never chooses it. It
  wants the channels first, and transforms the kernels at each call, which does not pay for small
  feature maps.

README.md in this folder has the measurements.
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, pad

#: NNPACK computes convolutions whose output has at least so many positions. Below, torch's own take
#: less time.
LEAST_POSITIONS = 1000
#: NNPACK stores 7 bytes for each value that goes in or out. Above so many values a convolution is
#: computed in strips of full width, which bounds that to 180 MB. A strip has whole tiles of
#: Winograd's algorithm, 6 rows each.
MOST_VALUES, TILE_ROWS = 25_000_000, 6


@cache
def winograd_available() -> bool:
    """Whether this build of torch carries NNPACK, and it runs on this processor.

    The operator is not part of torch's public interface, and may go.
    """
    if not hasattr(torch, "_nnpack_spatial_convolution"):
        return False
    if not torch.backends.nnpack.is_available():  # type: ignore[no-untyped-call]
        return False
    try:
        _nnpack(torch.ones(1, 1, 8, 8), torch.ones(1, 1, 3, 3), torch.zeros(1), (1, 1))
    except (RuntimeError, TypeError):
        return False
    return True


class Convolution:
    """A convolution with frozen weights.

    Args:
        weight: channels out x channels in x 3 x 3. It decides the device and the type.
        bias: channels out.
        repeat_border: whether the outermost positions are repeated around the input; otherwise it
            is surrounded by zeros.

    Attributes:
        weight, bias: as given, in the layout that is fastest.
        layout: of inputs and outputs in memory: channels last, or contiguous for channels first.
    """

    def __init__(self, weight: Tensor, bias: Tensor, repeat_border: bool) -> None:
        self.layout = layout(weight.device, weight.dtype)
        self.weight = weight.contiguous(memory_format=self.layout)
        self.bias, self.repeat_border = bias, repeat_border
        self.winograd = self.layout == torch.contiguous_format
        if self.winograd:
            # The gradient with respect to the input is a convolution too: with the kernels turned
            # by 180 degrees, and inputs and outputs exchanged.
            self._turned = weight.flip(2, 3).transpose(0, 1).contiguous()
            self._no_bias = bias.new_zeros(weight.shape[1])

    def __call__(self, x: Tensor) -> Tensor:
        """The result for an input of 1 x N x H x W: 1 x N' x H x W."""
        if self.repeat_border:
            x, padding = _repeat_border(x, self.layout), 0
        else:
            padding = 1
        return self._convolve(x, self.weight, self.bias, padding)

    def backward(self, gradient: Tensor) -> Tensor:
        """The gradient with respect to the input, from that with respect to the result."""
        padding = 0 if self.repeat_border else 1
        if self.winograd:
            result = self._convolve(gradient, self._turned, self._no_bias, 2 - padding)
        else:
            result = conv_transpose2d(gradient, self.weight, padding=padding)
        return _repeat_border_backward(result, self.layout) if self.repeat_border else result

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
        positions = (x.shape[2] + 2 * padding - 2) * (x.shape[3] + 2 * padding - 2)
        if self.winograd and positions >= LEAST_POSITIONS:
            try:
                return _in_strips(x, weight, bias, padding)
            except RuntimeError as error:
                # NNPACK refuses some shapes, always the same.
                if "NNPACK" not in str(error):
                    raise
        return conv2d(x, weight, bias, padding=padding)


def layout(device: torch.device, dtype: torch.dtype) -> torch.memory_format:
    """How feature maps lie in memory: with the channels first where NNPACK is used."""
    if device.type == "cpu" and dtype == torch.float32 and winograd_available():
        return torch.contiguous_format
    return torch.channels_last


def _in_strips(x: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
    """A convolution by NNPACK, in as many strips as its need of memory asks for."""
    height, width = (side + 2 * padding - 2 for side in x.shape[2:])
    rows = MOST_VALUES // (sum(weight.shape[:2]) * width)
    if rows >= height:
        return _nnpack(x, weight, bias, (padding, padding))
    rows = max(rows // TILE_ROWS, 1) * TILE_ROWS
    result = x.new_empty(1, weight.shape[0], height, width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        # The rows of x that these rows of the result see; beyond its border there are zeros.
        first, end = top - padding, bottom - padding + 2
        zeros = (0, 0, max(0, -first), max(0, end - x.shape[2]))
        strip = pad(x[:, :, max(0, first) : end], zeros)
        result[:, :, top:bottom] = _nnpack(strip.contiguous(), weight, bias, (0, padding))
    return result


def _nnpack(x: Tensor, weight: Tensor, bias: Tensor, padding: tuple[int, int]) -> Tensor:
    result: Tensor = torch._nnpack_spatial_convolution(x, weight, bias, padding=padding)
    return result


def _repeat_border(x: Tensor, layout: torch.memory_format) -> Tensor:
    """Surround a picture or feature maps with a copy of the outermost positions.

    torch's own padding refuses feature maps of more than 2^31 values on a GPU.
    """
    size = (*x.shape[:2], x.shape[2] + 2, x.shape[3] + 2)
    padded = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=layout)
    padded[:, :, 1:-1, 1:-1] = x
    padded[:, :, 1:-1, 0], padded[:, :, 1:-1, -1] = x[:, :, :, 0], x[:, :, :, -1]
    padded[:, :, 0], padded[:, :, -1] = padded[:, :, 1], padded[:, :, -2]
    return padded


def _repeat_border_backward(padded: Tensor, layout: torch.memory_format) -> Tensor:
    """The gradient with respect to the input of `_repeat_border`, from that of its result."""
    for axis in (2, 3):
        length = padded.shape[axis] - 2
        inner = padded.narrow(axis, 1, length)
        inner.select(axis, 0).add_(padded.select(axis, 0))
        inner.select(axis, length - 1).add_(padded.select(axis, length + 1))
        padded = inner
    return padded.contiguous(memory_format=layout)
