"""The picture from which the optimisation starts at each scale.

At the coarsest scale that is white noise, as in the paper, or a start picture. At each finer one it
is the coarser picture enlarged, and something has to fill the octave that is new there. Where
nothing does, the optimisation leaves it nearly empty but for a regular pattern: the poolings' grid
of 2 x 2 pixels leaves a trace in the gradient, and rows and columns that alternate come out. So the
new octave starts with the detail of the photo, or of the start picture; and a run that started from
noise gets noise here too, now with the spectrum of the painting.
"""

import torch
from torch import Tensor

from ..images.picture import crop
from .job import Job
from .styles import masks_at, recolored, shown_size
from .tensors import enlarge, to_tensor

#: Standard deviation of the white noise about mid grey that a run starts from. The paper's start is
#: white noise of no stated amplitude; strong noise (uniform over [0, 1]) is still seen as grain in
#: the result.
NOISE = 0.1


def start_image(job: Job, size: tuple[int, int], coarser: Tensor | None = None) -> Tensor:
    """The picture from which the optimisation starts at one scale, 1 x 3 x H x W.

    Args:
        job: pictures and options.
        size: (width, height) at this scale.
        coarser: the picture painted at the scale before; None at the first.

    Returns:
        On the device of `coarser`, or on the CPU.
    """
    if coarser is None:
        return _white_noise(job, size) if job.start is None else _start_picture(job, size)
    before = (coarser.shape[3], coarser.shape[2])
    if job.start is None:
        detail = _style_noise(job, size, before)
        if job.content_layers:
            detail += to_tensor(job.content, size) - enlarge(to_tensor(job.content, before), size)
    else:
        detail = _start_picture(job, size) - enlarge(_start_picture(job, before), size)
    return enlarge(coarser, size) + detail.to(coarser)


def random_phase_noise(picture: Tensor, size: tuple[int, int], seed: int) -> Tensor:
    """Noise with the spectrum of a picture, and with the covariance of its channels.

    White noise convolved with the picture (Galerne, Gousseau & Morel 2011, "Random Phase Textures":
    the asymptotic discrete spot noise). It is periodic, and has the same variance everywhere.

    Args:
        picture: 1 x 3 x H x W with a mean of 0, of any size.
        size: (width, height) of the noise.
        seed: of the white noise, which is drawn on the CPU: the same on every device.

    Returns:
        1 x 3 x H x W, on the CPU.
    """
    height, width = (max(pair) for pair in zip(picture.shape[2:], size[::-1], strict=True))
    spectrum = torch.fft.rfft2(picture, s=(height, width))
    noise = _normal((1, 1, height, width), seed)
    spectrum *= torch.fft.rfft2(noise) / (picture.shape[2] * picture.shape[3]) ** 0.5
    texture: Tensor = torch.fft.irfft2(spectrum, s=(height, width))
    return texture[:, :, : size[1], : size[0]]


def _style_noise(job: Job, size: tuple[int, int], before: tuple[int, int]) -> Tensor:
    """Noise with the spectrum that the style images have at one scale and not at the one before.

    Args:
        job: pictures and options. In a blend each style has its share of the noise's power, and
            with masks its own part of the picture.
        size: (width, height) of the picture at this scale.
        before: the same at the scale before.
    """
    total = torch.zeros(1, 3, size[1], size[0])
    if not job.style_layers:
        return total
    masks = masks_at(job, size)[:, None] if job.masks else [share**0.5 for share in job.shares]
    content = to_tensor(job.content, size)
    for number, (style, mask) in enumerate(zip(job.styles, masks, strict=True)):
        shown = shown_size(job, style, size)
        image = recolored(job, to_tensor(style, shown), content)
        detail = image - enlarge(
            recolored(job, to_tensor(style, shown_size(job, style, before)), content), shown
        )
        total += mask * random_phase_noise(detail, size, job.options.seed + 1 + number)
    return total


def _white_noise(job: Job, size: tuple[int, int]) -> Tensor:
    return 0.5 + NOISE * _normal((1, 3, size[1], size[0]), job.options.seed)


def _normal(shape: tuple[int, ...], seed: int) -> Tensor:
    # Drawn on the CPU, so that a seed means the same noise on every device.
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")


def _start_picture(job: Job, size: tuple[int, int]) -> Tensor:
    """The start picture at a size (width, height); the content image is not cropped."""
    picture = job.start
    assert picture is not None
    start = to_tensor(picture if picture is job.content else crop(picture, size), size)
    if job.options.init == "style":
        return recolored(job, start, to_tensor(job.content, size))
    return start
