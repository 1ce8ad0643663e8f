"""What the results in a folder are called. Names alone decide; nothing is opened."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..settings.options import Options

#: What may stand in braces in a pattern: the names of content and style image, and two options.
FIELDS = ("content", "style", "size", "seed")
_FIELD = re.compile(r"\{(" + "|".join(FIELDS) + r")\}")
#: The pattern for results in a folder, without the suffix.
PATTERN = "{content}-{style}"


class Input(NamedTuple):
    """A file that was found.

    Attributes:
        path: of the file.
        name: its path within the folder that was named, or its last part if the file was named.
    """

    path: str
    name: str


#: A content image, and the style images with which it is painted.
Pair = tuple[Input, tuple[Input, ...]]


def trials_folder(sheet: str) -> str:
    """The folder of the pictures on a sheet of `--try`."""
    return f"{os.path.splitext(sheet)[0]}-trials"


def first_field(output: str) -> int | None:
    """Where the first field in braces begins; None if OUTPUT is no pattern."""
    field = _FIELD.search(output)
    return field.start() if field else None


def name_results(pairs: Sequence[Pair], pattern: str, options: Options) -> list[str]:
    """The name of each result; no two are the same.

    Where two names would be the same, both get the full names of their inputs; where that does not
    help, they get some digits derived from the inputs' paths.

    Args:
        pairs: what is painted.
        pattern: with some of `FIELDS` in braces.
        options: the values of the other fields.
    """

    def render(pair: Pair, name: Callable[[Input], str], digits: str = "") -> str:
        content, styles = pair
        values = {
            "content": name(content),
            "style": "+".join(name(style).replace(os.sep, "-") for style in styles),
            "size": str(options.size),
            "seed": str(options.seed),
        }
        values["content" if "{content}" in pattern else "style"] += digits
        return _FIELD.sub(lambda field: values[field[1]], pattern)

    names = [render(pair, _stem) for pair in pairs]
    longer: tuple[Callable[[Pair], str], ...] = (
        lambda pair: render(pair, lambda picture: picture.name),
        lambda pair: render(pair, _stem, f"-{_digits(pair)}"),
    )
    for rename in longer:
        count = Counter(map(_folded, names))
        names = [
            rename(pair) if count[_folded(name)] > 1 else name
            for pair, name in zip(pairs, names, strict=True)
        ]
    return names


def _stem(picture: Input) -> str:
    return os.path.splitext(picture.name)[0]


def _digits(pair: Pair) -> str:
    paths = "\0".join(os.path.normpath(picture.path) for picture in (pair[0], *pair[1]))
    return hashlib.sha256(os.fsencode(paths)).hexdigest()[:8]


def _folded(name: str) -> str:
    """Equal for names that some file systems take for one."""
    return unicodedata.normalize("NFC", name).casefold()
