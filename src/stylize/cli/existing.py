"""What exists already at a task's output path, and whether it is up to date."""

import os
from collections.abc import Callable
from typing import Any

from .. import files
from ..errors import OutputError, PictureError
from ..images import encode, probe
from ..settings import recipe
from ..settings.recipe import Recipe
from .naming import trials_folder
from .task import Task

#: What to do about a file that is not replaced.
_CURE = "choose another name, or overwrite it with --existing replace"
#: Bytes at both ends of a file in which it says who made it.
_SEARCHED = 100_000


def reason_to_skip(task: Task) -> str:
    """Why the existing file is good enough; "" where the picture is to be painted.

    Raises:
        OutputError: a file exists and must not (`--existing fail`), or was not made by stylize and
            nobody said that it may be replaced (`--existing replace`).
    """
    target, existing = task.output, task.arguments.existing
    if target == "-" or not os.path.lexists(target) or os.path.isdir(target):
        return ""
    if existing == "fail":
        raise OutputError(f"{target}: exists already (--existing fail)")
    if existing == "skip":
        return "exists already"
    if existing == "update" and _is_up_to_date(task):
        return "is up to date"
    if existing == "auto":
        made_by_stylize(target)
    return ""


def made_by_stylize(target: str) -> Recipe | None:
    """The recipe in an existing file, which may be replaced; None where there is nothing to lose.

    Raises:
        OutputError: there is none; somebody may need the file.
    """
    if not os.path.exists(target) or (os.path.isfile(target) and not os.path.getsize(target)):
        return None  # a link to nowhere, or an empty file: nothing to lose
    try:
        return recipe.read_recipe(target)
    except PictureError as error:
        if os.path.isdir(trials_folder(target)):
            fault = "is a sheet of --try"
        else:
            reason = str(error).removeprefix(f"{target}: ")
            fault = f"exists already, and does not seem to be made by stylize ({reason})"
        raise OutputError(f"{target}: {fault}; {_CURE}") from error


def check_sheet(target: str) -> None:
    """Check that a sheet of `--try` can be written without the loss of another file.

    Raises:
        OutputError: there is a file, and it is no such sheet. A sheet has no recipe, but its
            pictures in a folder beside it.
    """
    try:
        painted = made_by_stylize(target)
    except OutputError:
        if os.path.isdir(trials_folder(target)):
            return
        raise
    if painted:
        raise OutputError(f"{target}: is a picture that stylize painted, not a sheet; {_CURE}")


def check_replaceable(option: str, path: str | None, mark: str, existing: str) -> None:
    """Check that a film, a trace or a page replaces nothing but an older one.

    Args:
        option: that names it.
        path: of the file; None where none is written.
        mark: what is in each such file, near its beginning or its end.
        existing: the value of `--existing`.

    Raises:
        OutputError: there is another file, and nobody said that it may be replaced.
    """
    if not path or existing == "replace" or not os.path.isfile(path) or not os.path.getsize(path):
        return
    with files.output_errors(path), files.open_regular(path) as file:
        ends = file.read(_SEARCHED)
        file.seek(max(0, os.path.getsize(path) - _SEARCHED))
        ends += file.read()
    if mark.encode() not in ends:
        raise OutputError(f"{option} {path}: was not written by stylize; {_CURE}")


def _is_up_to_date(task: Task) -> bool:
    """Whether the existing picture is complete, with the same inputs and options.

    The versions of stylize and torch do not count, nor does the device: a folder is not painted
    again because two machines share it.
    """
    target, options = task.output, task.options
    digests = input_digests(task)
    recorded, format = made_by_stylize(target), encode.format_of(target)
    if recorded is None:
        return False
    return recorded.matches(options, digests, format) and probe.is_complete(target)


def foreseen_recipe(task: Task) -> Recipe:
    """A recipe at least as long as that of a task's result, of which not all is known yet."""
    zeros = "0" * 64
    digests = _digests(task, lambda _: zeros) | {"weights": zeros}
    facts = {"torch": "0" * 40, "device": "cuda", "precision": "bfloat16", "complete": False}
    return Recipe.of(task.options, digests=digests, fitted=True, **facts)


def input_digests(task: Task) -> dict[str, Any]:
    """The SHA-256 of each of a task's files, as in its recipe, without that of known weights.

    It is "" for a file that cannot be read, which equals no other.
    """
    return _digests(task, files.digest)


def _digests(task: Task, digest: Callable[[str], str]) -> dict[str, Any]:
    options = task.options
    digests: dict[str, Any] = {
        "content": digest(task.content),
        "styles": [digest(style) for style in task.styles],
    }
    if options.mask:
        digests["masks"] = options.mask_digests(map(digest, options.mask_files))
    digests |= {name: digest(path) for name, path in options.pictures_named.items()}
    if options.weights_file:
        digests["weights"] = digest(options.weights_file)
    return digests
