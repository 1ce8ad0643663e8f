"""How a picture grew: snapshots in a folder, or a film."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from PIL import ExifTags, Image, ImageColor, features

from .. import files
from ..errors import OptionError, OutputError
from ..images import encode

if TYPE_CHECKING:
    from av import VideoStream
    from numpy.typing import NDArray

    from ..transfer.step import Step

#: The longer side of a film by its suffix, in pixels; smaller pictures are not enlarged. GIF and
#: APNG store every frame nearly in full (15 and 35 MB for a film); the others take some 5 MB.
SIDES = {".gif": 480, ".webp": 640, ".apng": 480, ".mp4": 1280}
#: Number of frames, at most; 8 seconds.
FRAMES = 120
#: Frames per second of an mp4, and the duration of a frame elsewhere: a GIF counts in 10 ms.
RATE, MILLISECONDS = 15, 70
#: For how many more frames the first and the last picture are shown: 0.7 and 2.5 seconds in all.
FIRST, LAST = 9, 35
#: libx264 where PyAV has it, for the sake of players; else mpeg4. One thread, because the bytes
#: depend on the number of threads.
ENCODERS = {
    "libx264": {"crf": "20", "threads": "1"},
    "mpeg4": {"qmin": "2", "qmax": "4", "threads": "1"},
}


class Snapshots:
    """Writes the picture so far into a folder: 000010.png after iteration 10.

    Args:
        folder: created, with its parents, when the first snapshot is due.
        every: iterations from one snapshot to the next. Where a scale ends early and numbers are
            skipped, the next iteration counts.
        save: writes a picture, H x W x 3 or 4 floats in [0, 1], whole or not at all.
        suffix: of the files, with its dot.

    Raises:
        OptionError: `every` is less than 1.
        OutputError: the folder does not exist and cannot be created, or is not writable.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: int,
        save: Callable[["NDArray[Any]", Path], object],
        suffix: str = ".png",
    ) -> None:
        if every < 1:
            raise OptionError(f"snapshots every {every} iterations: give a number of 1 or more")
        self.every, self.save, self.suffix = every, save, suffix
        self.taken = 0
        self.folder = Path(folder)
        with files.output_errors(folder):
            existing = files.nearest_existing_folder(folder)
            with files.temporary_beside(existing / "snapshot"):
                pass

    def __call__(self, step: "Step") -> None:
        """Write the picture if a snapshot is due.

        Raises:
            OptionError: it would replace one of the run's inputs.
            OutputError: the folder cannot be created, or what `save` raises.
        """
        due = step.iteration // self.every
        if due > self.taken:
            path = self.folder / f"{step.iteration:06}{self.suffix}"
            files.check_not_input(path, step.inputs)
            files.make_parent(path)
            self.save(step.picture(), path)
        self.taken = due


#: What every film says about itself, in its header or at its end.
MARK = "made by stylize"


class Timelapse:
    """A film of how a picture grew, as .gif, .webp, .apng or .mp4.

    Used as a context. When the block is left, the film is written, also of a run that ended early.
    After an exception none is written, and an existing file of that name stays.

        with Timelapse("film.gif") as film:
            result = stylize("photo.jpg", "painting.jpg", on_step=film)

    The frames, `FRAMES` at most, are spread evenly over the planned iterations: the picture changes
    fast at the start of each scale, so that no part of the film is long without change. The first
    evaluation and the last picture are always among them.

    Memory is bounded by `FRAMES` pictures of `SIDES`, 3 bytes a pixel: 150 MB for .webp, 85 for
    .gif and .apng, a third more while a .gif is written. An .mp4 is encoded as it grows.

    Args:
        path: of the film. A link is followed, and an existing file is replaced.
        background: colour behind a transparent picture, as "#rrggbb" or a name.

    Raises:
        OptionError: there is no such colour.
        OutputError: the suffix is unknown, the folder does not exist, the file may not be written,
            or PyAV is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], background: str = "#ffffff") -> None:
        try:
            self.background = ImageColor.getcolor(background, "RGB")
        except ValueError as error:
            raise OptionError(f"{background!r} is not a colour; give one as in #ff8000") from error
        self.path = os.fspath(path)
        self.suffix = Path(path).suffix.lower()
        if self.suffix not in SIDES:
            known = " ".join(SIDES)
            fault = f"unknown suffix {self.suffix!r}" if self.suffix else "no suffix"
            raise OutputError(f"{self.path}: {fault}; use one of {known}")
        if self.suffix == ".webp" and not features.check("webp"):
            raise OutputError(f"{self.path}: this Pillow was built without webp; use .gif")
        if self.suffix == ".mp4":
            _encoder(self.path)
        files.check_writable(path)
        self._forget()

    def _forget(self) -> None:
        self.reel: _Pictures | _Video | None = None
        self.latest: Step | None = None
        self.shown: Step | None = None
        self.due = 0

    def __enter__(self) -> "Timelapse":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._forget()

    def __call__(self, step: "Step") -> None:
        """Take a step. Only a step that becomes a frame is asked for its picture.

        Raises:
            OptionError: the film would replace one of the run's inputs.
        """
        if self.latest is None:
            files.check_not_input(self.path, step.inputs)
        self.latest = step
        # From 0 to FRAMES - 1. Only the last planned iteration gets the last place, which is
        # therefore free for the last picture of a run that ended early.
        place = (step.iteration - 1) * (FRAMES - 1) // max(1, step.iterations - 1)
        if place >= self.due:
            self.due = place + 1
            self._show(step)

    def _show(self, step: "Step") -> None:
        image = encode.lay_over(encode.to_image(step.picture()), self.background)
        if self.reel is None:
            self.size = _size(image.size, self.suffix)
            video = self.suffix == ".mp4"
            self.reel = _Video(self.path, self.size) if video else _Pictures(self.suffix)
        self.reel.add(image.resize(self.size, Image.Resampling.LANCZOS))
        self.shown = step

    def close(self) -> None:
        """Write the film so far, whole or not at all; without any frame, write nothing.

        Raises:
            OutputError: it cannot be written.
        """
        if self.latest is not None and self.latest is not self.shown:
            self._show(self.latest)
        reel = self.reel
        self._forget()
        if reel is None:
            return
        with files.output_errors(self.path):
            data = reel.data()
        files.write(self.path, data)


class _Pictures:
    """A film written by Pillow, which needs all frames at once.

    Args:
        suffix: ".gif", ".webp" or ".apng".
    """

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix
        self.frames: list[Image.Image] = []

    def add(self, image: Image.Image) -> None:
        self.frames.append(image)

    def data(self) -> bytes:
        """The film as the bytes of a file."""
        durations = [MILLISECONDS] * len(self.frames)
        durations[0] += FIRST * MILLISECONDS
        durations[-1] += LAST * MILLISECONDS
        frames = _one_palette(self.frames) if self.suffix == ".gif" else self.frames
        buffer = io.BytesIO()
        mark = Image.Exif()
        mark[ExifTags.Base.Software] = MARK
        settings: dict[str, dict[str, Any]] = {
            ".gif": {"format": "GIF", "comment": MARK},
            ".webp": {"format": "WEBP", "quality": 85, "exif": mark},
            ".apng": {"format": "PNG", "exif": mark},
        }
        frames[0].save(
            buffer,
            save_all=True,
            append_images=frames[1:],
            duration=durations,
            loop=0,  # for ever
            **settings[self.suffix],
        )
        return buffer.getvalue()


class _Video:
    """A film written by PyAV, which encodes frame by frame in memory.

    Args:
        path: of the film, for messages.
        size: (width, height) in pixels, both even.
    """

    def __init__(self, path: str, size: tuple[int, int]) -> None:
        import av

        self.buffer = io.BytesIO()
        # The index is written first, into space reserved for it, so that a browser plays at once.
        self.container = av.open(
            self.buffer, "w", format="mp4", container_options={"moov_size": "16384"}
        )
        self.container.metadata["comment"] = MARK
        # Stated in full, because players otherwise guess the colour matrix from the size.
        colors = dict.fromkeys(("colorspace", "color_primaries", "color_trc"), "bt709")
        encoder = _encoder(path)
        settings = {**ENCODERS[encoder], **colors, "color_range": "tv"}
        self.stream = cast(
            "VideoStream", self.container.add_stream(encoder, RATE, options=settings)
        )
        self.stream.width, self.stream.height = size
        self.stream.pix_fmt = "yuv420p"
        self.frames = 0

    def add(self, image: Image.Image, times: int = 1) -> None:
        import numpy as np
        from av import VideoFrame

        self.latest = image
        for _ in range(times if self.frames else times + FIRST):
            frame = VideoFrame.from_ndarray(np.asarray(image), "rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            frame.pts = self.frames
            self.frames += 1
            self.container.mux(self.stream.encode(frame))

    def data(self) -> bytes:
        """The film as the bytes of a file."""
        self.add(self.latest, LAST)
        self.container.mux(self.stream.encode())
        self.container.close()
        return self.buffer.getvalue()


def _size(size: tuple[int, int], suffix: str) -> tuple[int, int]:
    """The (width, height) of a film of pictures of this (width, height)."""
    factor = min(1, SIDES[suffix] / max(size))
    width, height = (max(1, round(side * factor)) for side in size)
    if suffix == ".mp4":  # one chroma value for 2 x 2 pixels
        width, height = (max(2, side // 2 * 2) for side in (width, height))
    return width, height


def _one_palette(frames: list[Image.Image]) -> list[Image.Image]:
    """The frames in one palette of 256 colours.

    A palette for each frame would flicker, and so would dithering, which also takes more bytes and
    is not missed in a picture made of brushwork.
    """
    # A sixteenth of every frame's pixels, and all of the last frame's, which is shown longest.
    small = [max(1, side // 4) for side in frames[0].size]
    sample = [frame.resize(small, Image.Resampling.NEAREST).tobytes() for frame in frames]
    pixels = b"".join([*sample, frames[-1].tobytes()])
    palette = Image.frombytes("RGB", (len(pixels) // 3, 1), pixels).quantize(256)
    return [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]


def _encoder(path: str) -> str:
    """The video encoder to use, a key of `ENCODERS`.

    Raises:
        OutputError: PyAV is not installed, or has none of them.
    """
    try:
        import av
    except ImportError as error:
        fix = 'pip install "neural-stylize[video]", or use .webp'
        raise OutputError(f"{path}: needs PyAV ({error}); {fix}") from error
    for name in ENCODERS:
        if name in av.codecs_available:
            return name
    raise OutputError(f"{path}: this PyAV has no encoder for mp4; use .webp")
