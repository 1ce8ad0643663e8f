"""`Result`: a painted picture."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..images import encode as output
from ..settings.options import Options
from ..settings.recipe import Recipe
from .losses import Losses

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Result:
    """A painted picture.

    Attributes:
        pixels: float32, sRGB in [0, 1]: H x W x 3, or H x W x 4 where the photo is transparent.
        losses: after each evaluation of the network, those of the best picture so far at its
            scale; a finer scale starts again higher.
        options: what it was painted with.
        seconds: wall time of the run.
        complete: False where `on_step` ended the run before its last iteration, or a fault did.
        fault: why the run could not go on, where the loss ceased to be a finite number: the picture
            is the last one before. "" if all went well.
        recipe: what its files carry; None for none.
        exif: the photo's, which its files carry if the options say so.
    """

    pixels: "NDArray[Any]"
    losses: tuple[Losses, ...]
    options: Options
    seconds: float
    complete: bool
    recipe: Recipe | None = None
    exif: bytes = b""
    fault: str = ""

    @cached_property
    def image(self) -> Image.Image:
        """PIL image of mode RGB, or RGBA where the photo is transparent."""
        return output.to_image(self.pixels)

    def encode(self, format: str) -> bytes:
        """As the bytes of a file.

        Args:
            format: a key of `options.FORMATS`, such as "png".

        Raises:
            OptionError: the format cannot hold the options' depth.
            OutputError: it cannot hold the size.
        """
        height, width = self.pixels.shape[:2]
        output.check_format(format, (width, height), self.options.depth)
        return output.encode(self.pixels, format, self.options, self.recipe, self.exif)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture, whole or not at all, in the format of the path's suffix.

        Raises:
            OptionError: the format cannot hold the options' depth.
            OutputError: unknown suffix, or the file cannot be written.
        """
        height, width = self.pixels.shape[:2]
        output.check_output(path, (width, height), self.options.depth)
        output.save(self.pixels, path, self.options, self.recipe, self.exif)
