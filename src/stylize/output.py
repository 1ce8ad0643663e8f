"""Pictures out: formats, what each can hold, and whole files or none. No torch."""

import io
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, features

from .errors import OutputError
from .options import FORMATS

#: Pixels a side at most, where a format (or its library) has such a limit.
_LARGEST = {"jpeg": 65500, "webp": 16383}


def format_of(path: str | os.PathLike[str]) -> str:
    """The format that a path's suffix stands for, a key of `FORMATS`.

    Raises:
        OutputError: no format goes by that suffix.
    """
    suffix = Path(path).suffix.lower()
    for name, suffixes in FORMATS.items():
        if suffix in suffixes:
            return name
    known = " ".join(s for suffixes in FORMATS.values() for s in suffixes)
    raise OutputError(f"{os.fspath(path)}: unknown suffix {suffix!r}; use one of {known}")


def check_output(path: str | os.PathLike[str], size: tuple[int, int] = (1, 1)) -> None:
    """Find out, before the work, whether a picture can be written at `path`.

    Args:
        path: where the result is to go.
        size: (width, height) of the result, in pixels.

    Raises:
        OutputError: unknown suffix, missing parent folder, a folder by that name, no
            permission, or a size that the format cannot hold.
    """
    check_format(format_of(path), size)
    try:
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise OutputError(f"{os.fspath(path)}: is a folder; give a file name")
        if not target.parent.is_dir():
            raise OutputError(f"{os.fspath(path)}: no folder {target.parent}; make it first")
        if target.exists() and not target.is_file():
            raise OutputError(f"{os.fspath(path)}: is no ordinary file; '-o -' writes to a pipe")
        if target.exists() and not os.access(target, os.W_OK):
            raise OutputError(f"{os.fspath(path)}: is there already, and write-protected")
        with _aside(target, b""):
            pass
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error


def check_format(format: str, size: tuple[int, int]) -> None:
    """Find out whether a format can be written here, and hold that size.

    Args:
        format: a key of `FORMATS`.
        size: (width, height) in pixels.

    Raises:
        OutputError: it cannot.
    """
    if format in ("webp", "avif") and not features.check(format):
        raise OutputError(f"this Pillow was built without {format}; use .png or .jpg")
    limit = _LARGEST.get(format, max(size))
    if max(size) > limit:
        raise OutputError(f"{format} holds {limit} pixels a side at most; use .png or .tif")


def encode(image: Image.Image, format: str, quality: int) -> bytes:
    """The picture as the bytes of a file, the same bytes for the same picture.

    Args:
        image: of mode RGB.
        format: a key of `FORMATS`.
        quality: 1 to 100, for JPEG (colour kept at full resolution, 4:4:4), WebP and AVIF.

    Raises:
        OutputError: the format cannot hold it.
    """
    settings: dict[str, dict[str, Any]] = {
        "png": {},
        "jpeg": {"quality": quality, "subsampling": "4:4:4"},
        "webp": {"quality": quality},
        "tiff": {"compression": "tiff_adobe_deflate"},
        "avif": {"quality": quality, "subsampling": "4:4:4"},
    }
    buffer = io.BytesIO()
    try:
        image.save(buffer, format, **settings[format])
    except (OSError, ValueError) as error:
        raise OutputError(f"{format}: cannot hold this picture ({error})") from error
    return buffer.getvalue()


def save(image: Image.Image, path: str | os.PathLike[str], quality: int) -> None:
    """Write a picture in the format of the path's suffix, whole or not at all.

    Args:
        image: of mode RGB.
        path: where to; a link is followed, what is there is replaced.
        quality: as in `encode`.

    Raises:
        OutputError: unknown suffix, or the file cannot be written.
    """
    data = encode(image, format_of(path), quality)
    try:
        target = Path(os.path.realpath(path))  # through a link, not over it
        with _aside(target, data) as aside:
            if target.exists():
                shutil.copymode(target, aside)
            os.replace(aside, target)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error


@contextmanager
def _aside(target: Path, data: bytes) -> Iterator[Path]:
    """A new file beside `target`, gone afterwards unless moved; its suffix is no picture's."""
    aside = target.parent / f".stylize-{secrets.token_hex(8)}.part"
    try:
        # Not by tempfile: its files are private, and the result should get the usual rights.
        with aside.open("xb") as file:
            file.write(data)
        yield aside
    finally:
        aside.unlink(missing_ok=True)


def _unwritable(path: str | os.PathLike[str], error: OSError | ValueError) -> OutputError:
    reason = getattr(error, "strerror", None) or error
    return OutputError(f"{os.fspath(path)}: cannot be written ({reason})")
