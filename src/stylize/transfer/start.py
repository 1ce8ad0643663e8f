"""The picture from which the optimisation starts at each scale.

At the coarsest scale that is white noise, as in the paper, by default over a faint photo; or it is
a start picture. At each finer one, and where a finished picture is enlarged, it is the coarser
picture in the new size, and something has to fill the octave that is new there. Where nothing does,
the optimisation leaves it nearly empty but for a regular pattern: the poolings' grid of 2 x 2
pixels leaves a trace in the gradient, and rows and columns that alternate come out. So the new
octave starts with the photo's detail and with noise that has the spectrum of the painting. A start
picture other than the photo brings detail of its own.
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..images.picture import crop
from .job import Job
from .styles import masks_at, recolored, shown_size, shown_style
from .tensors import enlarge, to_tensor

#: Standard deviation of the white noise about mid grey that a run starts from. The paper's start is
#: white noise of no stated amplitude; strong noise (uniform over [0, 1]) is still seen as grain in
#: the result.
NOISE = 0.1
#: Contrast of the photo under the noise, as a share of its own. A departure from the paper, whose
#: start is noise alone: that often ends with light and dark exchanged somewhere, because neither
#: Gram matrices nor relu4_2 tell how light a plain area is. With this start fewer contours are lost
#: at the same style, and a painting in its own style comes out as itself.
FAINT = 0.1
#: Power of the noise in a new octave, as a share of the painting's. With all of it some is left at
#: the end as grain; with a third, regular patterns begin to show.
OCTAVE_POWER = 0.5


def start_image(job: Job, size: tuple[int, int], coarser: Tensor | None = None) -> Tensor:
    """The picture from which the optimisation starts at one scale, 1 x 3 x H x W.

    Args:
        job: pictures and options.
        size: (width, height) at this scale.
        coarser: the picture painted at the scale before, or the one that is enlarged; None at the
            start.

    Returns:
        On the device of `coarser`, or on the CPU.
    """
    if coarser is None:
        return _noise(job, size) if job.start is None else _start_picture(job, size)
    before = (coarser.shape[3], coarser.shape[2])
    if job.start is None or job.start is job.content:
        content = to_tensor(job.content, size)
        detail = _style_noise(job, content, before)
        if job.start is not None or job.content_layers:
            detail += content - enlarge(to_tensor(job.content, before), size)
    else:
        detail = _start_picture(job, size) - enlarge(_start_picture(job, before), size)
    return enlarge(coarser, size) + detail.to(coarser)


def smaller_picture(job: Job) -> Tensor | None:
    """The finished picture that is enlarged, 1 x 3 x H x W on the CPU; None without one.

    It is as it was written, after `finish_picture`: under `--color content` with the photo's
    colours, which the next iterations move back to the painting's.
    """
    return to_tensor(job.smaller, job.smaller.size) if job.smaller else None


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


def _style_noise(job: Job, content: Tensor, before: tuple[int, int]) -> Tensor:
    """Noise with the spectrum that the style images have at one scale and not at the one before.

    Args:
        job: pictures and options. In a blend each style has its share of the noise's power, and
            with masks as much of it at each place as its mask is white.
        content: the content image at this scale, 1 x 3 x H x W.
        before: (width, height) at the scale before.
    """
    size = (content.shape[3], content.shape[2])
    total = torch.zeros_like(content)
    if not job.style_layers:
        return total
    masks = masks_at(job, size)[:, None] if job.masks else [None] * len(job.styles)
    for number, (style, share, mask) in enumerate(zip(job.styles, job.shares, masks, strict=True)):
        image, visible = shown_style(job, style, content, mask)
        detail = _detail(image, shown_size(job, style, before), size)
        where = torch.tensor(share) if mask is None else mask
        power = OCTAVE_POWER * job.options.strength * where
        if visible is not None:
            detail *= _middle(visible, size)
            power = power / visible.square().mean()
        noise = random_phase_noise(detail, size, job.options.seed + 1 + number)
        total += power.sqrt() * noise
    return total


def _detail(image: Tensor, before: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """What a picture has in its middle and its smaller copy has not.

    Args:
        image: 1 x 3 x H x W.
        before: (width, height) of the smaller copy.
        size: (width, height) of the middle.
    """
    channels = []
    for channel in image.chunk(3, 1):  # one after the other, to save memory
        half = interpolate(channel, before[::-1], mode="bicubic", antialias=True)
        detail = channel - enlarge(half, (image.shape[3], image.shape[2]))
        channels.append(_middle(detail, size).clone())
    return torch.cat(channels, 1)


def _middle(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle of a picture: of a large style image that is enough, and needs less memory."""
    top, left = (
        max(0, own - most) // 2 for own, most in zip(image.shape[2:], size[::-1], strict=True)
    )
    return image[:, :, top : top + size[1], left : left + size[0]]


def _noise(job: Job, size: tuple[int, int]) -> Tensor:
    """White noise about mid grey; under `--init faint` over a faint photo."""
    noise = NOISE * _normal((1, 3, size[1], size[0]), job.options.seed)
    if job.options.init == "faint" and job.content_layers:
        # The weaker the style, the nearer the start is to the photo.
        strength = job.options.strength
        contrast = 1 - strength * (1 - FAINT)
        noise = strength * noise + contrast * (to_tensor(job.content, size) - 0.5)
    return 0.5 + noise


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
