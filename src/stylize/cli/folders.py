"""Folders of photos and paintings: which pictures they hold, and what each result is called.

Names alone decide, in an order that does not change; nothing is written. No torch.
"""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import OptionError, PictureError
from ..images import encode as output
from ..images import probe as files
from ..settings.options import FORMATS, Options

#: What stands in braces in a pattern: the names of photo and painting, and two options.
FIELDS = ("content", "style", "size", "seed")
_FIELD = re.compile(r"\{(" + "|".join(FIELDS) + r")\}")
#: How results are called in a folder.
PATTERN = "{content}-{style}"
#: How photos and paintings find each other: each with each, or the first with the first and so on.
PAIRINGS = ("all", "zip")


class Input(NamedTuple):
    """A file that was found.

    Attributes:
        path: where it is.
        name: within the folder that was named, or its last part if it was named itself.
    """

    path: str
    name: str


@dataclass(frozen=True)
class Found:
    """What a folder, or several files, hold.

    Attributes:
        pictures: in their natural order, or in the one given.
        folders: real paths of the folders that were read.
        closed: folders that could not be read, and why.
    """

    pictures: tuple[Input, ...]
    folders: frozenset[str] = frozenset()
    closed: tuple[tuple[str, str], ...] = ()


class Pair(NamedTuple):
    """A photo, what it is painted after, and where the result goes."""

    content: str
    styles: tuple[str, ...]
    output: str


def several(content: str, styles: Sequence[str], target: str) -> bool:
    """Whether a folder is among the inputs, or OUTPUT is a folder or a pattern."""
    if target == "-":
        target = ""
    folder = target.endswith(("/", os.sep)) or os.path.isdir(target)
    named = any(os.path.isdir(path) for path in (content, *styles) if path != "-")
    return folder or named or bool(_FIELD.search(target))


def root(target: str) -> str:
    """The folder below which all results lie: OUTPUT, or of a pattern what stands before fields."""
    field = None if os.path.isdir(target) else _FIELD.search(target)
    return os.path.dirname(target[: field.start()]) if field else target


def look(paths: Sequence[str], recursive: bool, without: str) -> Found:
    """The pictures among files and in folders.

    Hidden files are passed over, and whatever is no picture by its name. Links to files are
    followed, links to folders are not.

    Args:
        paths: of files, which are taken as they are, and folders.
        recursive: look into the folders in a folder.
        without: a folder that is not looked into: where the results are.

    Raises:
        PictureError: there is no such file or folder, or a folder cannot be read or has no picture
            in it.
    """
    pictures: list[Input] = []
    folders: set[str] = set()
    closed: list[tuple[str, str]] = []
    for path in paths:
        if not os.path.lexists(path):
            raise PictureError(f"{path}: no such file or folder")
        if not os.path.isdir(path):
            pictures.append(Input(path, os.path.basename(path)))
            continue
        before = len(pictures), len(closed)
        tree = os.walk(path, onerror=lambda e: closed.append((e.filename, e.strerror or str(e))))
        for folder, inside, names in tree:
            folders.add(os.path.realpath(folder))
            inside[:] = sorted((name for name in inside if name[0] != "."), key=_natural)
            inside[:] = [
                name
                for name in inside
                if recursive
                and os.path.realpath(os.path.join(folder, name)) != os.path.realpath(without)
            ]
            for name in sorted(names, key=_natural):
                file = os.path.join(folder, name)
                if name[0] != "." and files.is_picture(file):
                    pictures.append(Input(file, os.path.relpath(file, path)))
        if before[0] == len(pictures):
            for folder, reason in closed[before[1] :]:
                raise PictureError(f"{folder}: cannot be read ({reason})")
            hint = "" if recursive else ", --recursive looks into the folders in it"
            raise PictureError(f"{path}: no pictures in this folder{hint}")
    return Found(tuple(pictures), frozenset(folders), tuple(closed))


def _natural(name: str) -> list[tuple[int, str, str]]:
    """As people count: 2 before 10."""
    parts = re.split(r"([0-9]+)", name)
    return [
        (int(part) if place % 2 else 0, part.casefold(), part) for place, part in enumerate(parts)
    ]


def pairs(
    contents: Found, styles: Found, target: str, pairing: str, options: Options, recursive: bool
) -> list[Pair]:
    """Which pictures are to be painted, painting by painting, and what they are called.

    Two results never have one name: where they would, both have the full names of their inputs,
    and if that does not help, some digits that stand for these.

    Args:
        contents: the photos.
        styles: the paintings; together one style with `blend` or masks.
        target: a folder, or a pattern with some of `FIELDS` in braces.
        pairing: one of `PAIRINGS`.
        options: how to paint.
        recursive: whether the folders in a folder were looked into.

    Raises:
        OptionError: the photos and paintings do not go together, the names cannot be told apart,
            or a result would be written over an input or be taken for one the next time.
        OutputError: no format goes by the pattern's suffix.
    """
    whole = os.path.isdir(target) or not _FIELD.search(target)
    if target.lower().endswith(files.SUFFIXES) and whole and not os.path.isdir(target):
        raise OptionError(
            f"-o {target}: is one file; name a folder, with a / behind it, or a pattern, as in"
            " {content}-{style}.png"
        )
    pattern = PATTERN + FORMATS[options.format][0] if whole else target
    output.format_of(pattern)
    photos = contents.pictures
    sets = [styles.pictures] if options.together else [(style,) for style in styles.pictures]
    if pairing == "zip":
        if len(sets) != len(photos):
            raise OptionError(
                f"--pair zip: {len(photos)} photos and {len(sets)} paintings do not make pairs"
            )
        joined = list(zip(photos, sets, strict=True))
    else:
        joined = [(content, group) for group in sets for content in photos]
    # What was named twice is painted once.
    once = {tuple(os.path.abspath(i.path) for i in (c, *group)): (c, group) for c, group in joined}
    joined = list(once.values())
    for field, number in (("content", len(photos)), ("style", len(sets))):
        fields = ("content", "style") if pairing == "zip" else (field,)
        if number > 1 and not any(f"{{{field}}}" in pattern for field in fields):
            raise OptionError(f"-o {target}: {number} results of one name; put {{{field}}} in it")
    base = target if whole else ""
    names = [os.path.join(base, name) for name in _names(joined, pattern, options)]
    found = [
        Pair(content.path, tuple(style.path for style in group), name)
        for (content, group), name in zip(joined, names, strict=True)
    ]
    _check_places(found, contents.folders | styles.folders, root(target), recursive)
    return found


_Joined = tuple[Input, tuple[Input, ...]]


def _names(joined: Sequence[_Joined], pattern: str, options: Options) -> list[str]:
    def rendered(pair: _Joined, called: Callable[[Input], str], digits: str = "") -> str:
        content, styles = pair
        said = {
            "content": called(content),
            "style": "+".join(called(style).replace(os.sep, "-") for style in styles),
            "size": str(options.size),
            "seed": str(options.seed),
        }
        said["content" if "{content}" in pattern else "style"] += digits
        return _FIELD.sub(lambda field: said[field[1]], pattern)

    ways: tuple[Callable[[_Joined], str], ...] = (
        lambda pair: rendered(pair, _stem),
        lambda pair: rendered(pair, lambda picture: picture.name),
        lambda pair: rendered(pair, _stem, f"-{_digits(pair)}"),
    )
    names = [ways[0](pair) for pair in joined]
    for way in ways[1:]:
        count = Counter(map(_same, names))
        names = [
            way(pair) if count[_same(name)] > 1 else name
            for pair, name in zip(joined, names, strict=True)
        ]
    return names


def _stem(picture: Input) -> str:
    return os.path.splitext(picture.name)[0]


def _digits(pair: _Joined) -> str:
    named = "\0".join(os.path.normpath(picture.path) for picture in (pair[0], *pair[1]))
    return hashlib.sha256(os.fsencode(named)).hexdigest()[:8]


def _same(name: str) -> str:
    """Alike for names that some file systems take for one."""
    return unicodedata.normalize("NFC", name).casefold()


def _check_places(found: Sequence[Pair], read: frozenset[str], base: str, recursive: bool) -> None:
    """See that each result has a place of its own, and is no input, now or the next time.

    Args:
        found: all pairs.
        read: real paths of the folders that were looked into.
        base: the folder that was left out, if it lies in one of them.
        recursive: whether the folders in a folder were looked into.

    Raises:
        OptionError: otherwise.
    """
    inputs = {os.path.realpath(path) for pair in found for path in (pair.content, *pair.styles)}
    apart = os.path.realpath(base)
    passed_over = not any(_within(other, apart) for other in read)
    fine: set[str] = set()
    taken: set[str] = set()
    for pair in found:
        place = os.path.realpath(pair.output)
        if place in inputs:
            raise OptionError(f"-o: {pair.output} is an input too; name another folder")
        if place in taken:
            raise OptionError(f"-o: two results would be {pair.output}; name another pattern")
        taken.add(place)
        folder = os.path.dirname(place)
        if folder in fine or (passed_over and _within(folder, apart)):
            continue
        if folder in read or (recursive and any(_within(folder, other) for other in read)):
            raise OptionError(
                f"-o: {os.path.dirname(pair.output) or '.'} is looked into for pictures, and the"
                " results would be among them the next time; name another folder"
            )
        fine.add(folder)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))
