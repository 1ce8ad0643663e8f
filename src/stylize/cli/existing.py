"""What exists already at a task's output path, and whether it is up to date."""

import os
from typing import Any

from .. import files
from ..errors import OutputError, PictureError
from ..images import encode, probe
from ..network.names import WEIGHTS, split_weights
from ..settings import recipe
from .task import Task


def reason_to_skip(task: Task) -> str:
    """Why the existing file is good enough; "" where the picture is to be painted.

    Raises:
        OutputError: a file exists and must not (`--existing fail`), or it should be updated but was
            not made by stylize.
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
    return ""


def _is_up_to_date(task: Task) -> bool:
    """Whether the existing picture is complete, with the same inputs and options.

    The versions of stylize and torch do not count, nor does the device: a folder is not painted
    again because two machines share it.
    """
    target, options = task.output, task.options
    digests: dict[str, Any] = {  # "" for a file that cannot be read, which equals no other
        "content": files.digest(task.content),
        "styles": [files.digest(style) for style in task.styles],
    }
    if options.mask:
        digests["masks"] = options.mask_digests(map(files.digest, options.mask_files))
    digests |= {name: files.digest(path) for name, path in options.pictures_named.items()}
    if options.weights not in WEIGHTS:
        digests["weights"] = files.digest(split_weights(options.weights)[0])
    try:
        recorded = recipe.read_recipe(target)
    except PictureError as error:
        if os.path.isfile(target) and os.path.getsize(target) == 0:
            return False  # an empty file: nothing to lose
        raise OutputError(
            f"{target}: exists already, and does not seem to be made by stylize ({error});"
            " --existing replace paints over it"
        ) from error
    format = encode.format_of(target)
    return recorded.matches(options, digests, format) and probe.is_complete(target)
