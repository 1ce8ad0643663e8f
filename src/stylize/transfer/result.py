"""`Result`: a painted picture."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from PIL import Image

from .. import files
from ..errors import OutputError
from ..images import encode
from ..settings.options import Options
from ..settings.recipe import Recipe
from .step import Losses

if TYPE_CHECKING:
    from numpy.typing import NDArray


#: The longer side, in pixels, of what a notebook shows: it stores what it shows.
SHOWN = 768


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """A painted picture. A notebook shows it, at most 768 pixels wide or high.

    Attributes:
        pixels: float32, sRGB in [0, 1]: H x W x 3, or H x W x 4 where the content image is
            transparent.
        losses: one for each evaluation of the network: the losses of the best picture so far at its
            scale. Each finer scale starts with higher losses again, as their `size` tells.
        options: what the picture was painted with.
        seconds: wall time of the run.
        complete: False where a callback, Ctrl-C or a fault ended the run before its last iteration.
        recipe: what the picture's files carry; None for none.
        exif: EXIF of the content image, which the files carry if the options say so.
        fault: why the run could not go on, where the loss was no longer a finite number: the
            picture is then the best one before. "" if nothing went wrong.
        inputs: absolute paths of the files that the run read, which `save` does not replace.
    """

    pixels: "NDArray[Any]"
    losses: tuple[Losses, ...]
    options: Options
    seconds: float
    complete: bool
    recipe: Recipe | None = None
    exif: bytes = b""
    fault: str = ""
    inputs: tuple[str, ...] = ()

    def __repr__(self) -> str:
        height, width = self.pixels.shape[:2]
        state = "" if self.complete else ", incomplete"
        return (
            f"<Result: {width} x {height} pixels, {len(self.losses)} iterations in"
            f" {self.seconds:.1f} s, loss {self.losses[-1].total:.3g}{state}>"
        )

    def _repr_png_(self) -> bytes:
        """The picture for a notebook, with a colour profile of sRGB."""
        image = self.image.copy()
        image.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS)
        return encode.as_png(image)

    def _repr_mimebundle_(self, **_: object) -> dict[str, bytes | str]:
        """The same beside a line of text, for places that show no pictures."""
        return {"image/png": self._repr_png_(), "text/plain": repr(self)}

    def history(self) -> list[dict[str, float]]:
        """The run in numbers: a row for each evaluation, as `pandas.DataFrame` takes them.

        Returns:
            In each row `iteration`, `width` and `height` in pixels, `seconds` since the start, and
            the losses of the best picture so far at that size, by name, with their `total`.
        """
        return [
            {
                "iteration": losses.iteration,
                "width": losses.size[0],
                "height": losses.size[1],
                "seconds": losses.seconds,
                **losses.as_dict(),
            }
            for losses in self.losses
        ]

    @cached_property
    def image(self) -> Image.Image:
        """The picture as a PIL image of mode RGB, or RGBA where it is transparent."""
        return encode.to_image(self.pixels)

    def encode(self, format: str) -> bytes:
        """The picture as the bytes of a file.

        Args:
            format: a key of `options.FORMATS`, such as "png".

        Raises:
            OptionError: the format cannot hold the options' depth.
            OutputError: the format cannot hold the size.
        """
        height, width = self.pixels.shape[:2]
        encode.check_format(format, (width, height), self.options.depth)
        return encode.encode(self.pixels, format, self.options, self.recipe, self.exif)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture, whole or not at all, in the format that the path's suffix names.

        Raises:
            OptionError: the format cannot hold the options' depth, or the file is one of the run's
                inputs, perhaps by another name.
            OutputError: the suffix is unknown, or the file cannot be written.
        """
        if hasattr(path, "write"):
            raise OutputError("save: give a path; the bytes of a file are result.encode('png')")
        files.check_not_input(path, self.inputs)
        height, width = self.pixels.shape[:2]
        encode.check_output(path, (width, height), self.options.depth)
        encode.save(self.pixels, path, self.options, self.recipe, self.exif)
