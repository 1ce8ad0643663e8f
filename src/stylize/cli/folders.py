"""Folders of content and style images: which pictures they contain, and the tasks for them.

Names alone decide, in an order that does not change; no picture is opened.
"""

import os
import re
import sys
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .. import files
from ..errors import OptionError, PictureError, not_found
from ..images import encode, probe
from ..settings.options import FORMATS, Options
from . import naming, terminal
from .arguments import Arguments
from .naming import Input, Pair
from .task import Task, check_overwrites


@dataclass(frozen=True)
class Found:
    """The pictures that folders contain.

    Attributes:
        pictures: in natural order, or in the order in which files were named.
        folders: real paths of the folders that were searched.
        unreadable: folders that could not be read, and the reasons.
    """

    pictures: tuple[Input, ...]
    folders: frozenset[str] = frozenset()
    unreadable: tuple[tuple[str, str], ...] = ()


def is_batch(arguments: Arguments) -> bool:
    """Whether an input is a folder, or OUTPUT is a folder or a pattern."""
    output = "" if arguments.output == "-" else arguments.output
    output_folder = output.endswith(("/", os.sep)) or os.path.isdir(output)
    inputs = [path for path in (arguments.content, *arguments.styles) if path != "-"]
    return (
        bool(arguments.pairs)
        or output_folder
        or any(map(os.path.isdir, inputs))
        or naming.first_field(output) is not None
    )


def list_tasks(arguments: Arguments) -> tuple[list[Task], list[tuple[str, str]]]:
    """The pictures that a command with folders paints.

    Returns:
        A task for each picture; and the folders that could not be read, with the reasons.

    Raises:
        OptionError: the arguments contradict each other, or a result would be written over an
            input or be taken for one by the next run.
        PictureError: a folder cannot be read, or contains no pictures.
        OutputError: the pattern's suffix is unknown.
    """
    _check_options(arguments)
    if arguments.existing == "auto":
        arguments = replace(arguments, existing="update")
    base = _output_base(arguments.output)
    contents = styles = Found(())
    if arguments.pairs:
        tasks = _tasks(_read_pairs(arguments.pairs, arguments.options), arguments)
    else:
        contents = find_pictures([arguments.content], arguments.recursive, base)
        styles = find_pictures(arguments.styles, arguments.recursive, base)
        tasks = pair_up(contents, styles, arguments)
    for format in {encode.format_of(task.output) for task in tasks}:
        encode.check_format(format, depth=arguments.options.depth)
    check_overwrites(tasks)
    _check_next_run(tasks, contents.folders | styles.folders, base, arguments.recursive)
    files.nearest_existing_folder(base or ".")
    return tasks, [*contents.unreadable, *styles.unreadable]


def _check_options(arguments: Arguments) -> None:
    options = arguments.options
    if "-" in (arguments.content, *arguments.styles, arguments.output):
        raise OptionError("'-' cannot be used with folders; name a file")
    if not arguments.output:
        raise OptionError("-o: name a folder")
    if arguments.timelapse:
        raise OptionError("--timelapse: films one picture; --snapshot-every is for folders")
    if arguments.trace:
        raise OptionError("--trace: is for one picture; --json gives the final losses of several")
    if arguments.checkpoint:
        raise OptionError("--checkpoint: is for one picture; in folders, each has its own")
    if options.combines_styles and not arguments.pairs:
        for style in filter(os.path.isdir, arguments.styles):
            name = "--blend" if options.blend is not None else "--mask"
            raise OptionError(f"{name}: {style} is a folder; name the paintings one by one")
        options.style_shares(len(arguments.styles))
    if "enlarge" in options.pictures_named:
        raise OptionError("--enlarge: is for one picture")
    for path in (*options.mask_files, *options.pictures_named.values()):
        if not os.path.lexists(path):
            raise PictureError(f"{path}: {not_found(path)}")


def _output_base(output: str) -> str:
    """The folder below which all results lie: OUTPUT, or what a pattern has before its fields."""
    field = None if os.path.isdir(output) else naming.first_field(output)
    return output if field is None else os.path.dirname(output[:field])


def find_pictures(paths: Sequence[str], recursive: bool, except_folder: str) -> Found:
    """The pictures among files and in folders.

    Hidden files and files that are no pictures by their names are ignored, and so are raw photos
    beside the same photo as another picture. Links to files are followed, links to folders are not.

    Args:
        paths: of files, which are taken as they are, and of folders.
        recursive: whether to search the subfolders.
        except_folder: a subfolder that is not searched: where the results are.

    Raises:
        PictureError: a file or folder does not exist, or a folder cannot be read or contains no
            pictures.
    """
    pictures: list[Input] = []
    folders: set[str] = set()
    unreadable: list[tuple[str, str]] = []
    excluded = os.path.realpath(except_folder)
    for path in paths:
        if not os.path.lexists(path):
            raise PictureError(f"{path}: {not_found(path, 'file or folder')}")
        if not os.path.isdir(path):
            pictures.append(Input(path, os.path.basename(path)))
            continue
        pictures_before, unreadable_before = len(pictures), len(unreadable)
        walk = os.walk(
            path, onerror=lambda e: unreadable.append((e.filename, e.strerror or str(e)))
        )
        for folder, subfolders, names in walk:
            folders.add(os.path.realpath(folder))
            subfolders[:] = [
                name
                for name in sorted(subfolders, key=_natural)
                if recursive
                and name[0] != "."
                and os.path.realpath(os.path.join(folder, name)) != excluded
            ]
            found = [
                name
                for name in sorted(names, key=_natural)
                if name[0] != "." and probe.is_picture(os.path.join(folder, name))
            ]
            for name in probe.without_raw_twins(found):
                file = os.path.join(folder, name)
                pictures.append(Input(file, os.path.relpath(file, path)))
        if len(pictures) == pictures_before:
            for folder, reason in unreadable[unreadable_before:]:
                raise PictureError(f"{folder}: cannot be read ({reason})")
            hint = "" if recursive else "; --recursive searches its subfolders"
            raise PictureError(f"{path}: no pictures in this folder{hint}")
    return Found(tuple(pictures), frozenset(folders), tuple(unreadable))


def _natural(name: str) -> list[tuple[int, str, str]]:
    """A key that sorts as people count: 2 before 10."""
    parts = re.split(r"([0-9]+)", name)
    return [
        (int(part) if place % 2 else 0, part.casefold(), part) for place, part in enumerate(parts)
    ]


def pair_up(contents: Found, styles: Found, arguments: Arguments) -> list[Task]:
    """Which content image is painted with which style, style by style, and where it goes.

    Args:
        contents: the content images.
        styles: the style images; with `blend` or masks they are one style together.
        arguments: of the command; the output is a folder, or a pattern.

    Raises:
        OptionError: the pictures cannot be paired, or the pattern gives two results one name.
    """
    options, output = arguments.options, arguments.output
    pattern = _base_and_pattern(arguments)[1]
    photos = contents.pictures
    groups = (
        [styles.pictures] if options.combines_styles else [(style,) for style in styles.pictures]
    )
    if arguments.pair == "zip":
        if len(groups) != len(photos):
            raise OptionError(
                f"--pair zip: {len(photos)} photos and {len(groups)} paintings do not make pairs"
            )
        pairs: list[Pair] = list(zip(photos, groups, strict=True))
    else:
        pairs = [(photo, group) for group in groups for photo in photos]
    for field, number in (("content", len(photos)), ("style", len(groups))):
        fields = ("content", "style") if arguments.pair == "zip" else (field,)
        if number > 1 and not any(f"{{{field}}}" in pattern for field in fields):
            raise OptionError(f"-o {output}: {number} results of one name; put {{{field}}} in it")
    return _tasks(pairs, arguments)


def _read_pairs(path: str, options: Options) -> list[Pair]:
    """The pairs that a file lists, line by line: a photo, and a painting or several.

    Several paintings are used together with `--blend` or masks, and else one after the other. Empty
    lines, and those that begin with # and have no tab, are skipped.

    Raises:
        OptionError: the file cannot be read or is no text, or a line has no painting.
    """
    name = "standard input" if path == "-" else path
    try:
        if path == "-":
            data = terminal.byte_stream(name, sys.stdin).read()
        else:
            with open(path, "rb") as file:
                data = file.read()
    except (OSError, ValueError) as error:
        raise OptionError(f"--pairs {path}: cannot be read ({error})") from error
    pairs: list[Pair] = []
    for number, line in enumerate(map(os.fsdecode, data.removeprefix(BOM_UTF8).splitlines()), 1):
        if not line.strip() or (line.startswith("#") and "\t" not in line):
            continue
        if "\0" in line:
            raise OptionError(
                f"--pairs {path}, line {number}: contains a NUL character; give UTF-8, with a pair"
                " on each line"
            )
        photo, *paintings = [Input(part, os.path.basename(part)) for part in line.split("\t")]
        if not paintings or not all((photo.path, *(p.path for p in paintings))):
            raise OptionError(
                f"--pairs {path}, line {number}: give a photo and a painting with a tab between"
            )
        groups = [tuple(paintings)] if options.combines_styles else [(p,) for p in paintings]
        pairs += [(photo, group) for group in groups]
    if not pairs:
        raise OptionError(f"--pairs {path}: {name} lists no pairs")
    return pairs


def _tasks(pairs: list[Pair], arguments: Arguments) -> list[Task]:
    """A task for each pair; one that was named twice is painted once."""
    base, pattern = _base_and_pattern(arguments)
    unique = {tuple(os.path.abspath(i.path) for i in (c, *group)): (c, group) for c, group in pairs}
    pairs = list(unique.values())
    if len(pairs) > 1 and not any(f"{{{field}}}" in pattern for field in ("content", "style")):
        raise OptionError(
            f"-o {arguments.output}: {len(pairs)} results of one name; put {{content}} in it"
        )
    names = naming.name_results(pairs, pattern, arguments.options)
    return [
        Task(
            content.path,
            tuple(style.path for style in group),
            os.path.join(base, name),
            arguments,
            untyped=1,
        )
        for (content, group), name in zip(pairs, names, strict=True)
    ]


def _base_and_pattern(arguments: Arguments) -> tuple[str, str]:
    """The folder that is put before each name, if any, and the pattern for the names.

    Raises:
        OptionError: OUTPUT looks like one file.
        OutputError: the pattern's suffix is unknown.
    """
    output = arguments.output
    is_folder = os.path.isdir(output) or naming.first_field(output) is None
    if is_folder and output.lower().endswith(probe.SUFFIXES) and not os.path.isdir(output):
        raise OptionError(
            f"-o {output}: is one file; name a folder, ending in /, or a pattern, as in"
            " {content}-{style}.png"
        )
    pattern = naming.PATTERN + FORMATS[arguments.format][0] if is_folder else output
    encode.format_of(pattern)
    return output if is_folder else "", pattern


def _check_next_run(
    tasks: Sequence[Task], searched: frozenset[str], base: str, recursive: bool
) -> None:
    """Check that no result lies where the next run would take it for an input.

    Args:
        tasks: all pictures.
        searched: real paths of the folders that were searched.
        base: the folder that was excluded from the search, if it lies in one of them.
        recursive: whether the subfolders were searched.

    Raises:
        OptionError: a result does.
    """
    excluded = os.path.realpath(base)
    is_excluded = not any(_is_within(folder, excluded) for folder in searched)
    checked: set[str] = set()
    for task in tasks:
        folder = os.path.dirname(os.path.realpath(task.output))
        if folder in checked or (is_excluded and _is_within(folder, excluded)):
            continue
        if folder in searched or (recursive and any(_is_within(folder, s) for s in searched)):
            raise OptionError(
                f"-o: {os.path.dirname(task.output) or '.'} is searched for pictures, and the next"
                " run would take the results for inputs; name another folder"
            )
        checked.add(folder)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))
