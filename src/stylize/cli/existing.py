"""What is there already where a result is to go, and whether it will do. No torch."""

import os
from typing import Any

from .. import files
from .. import files as writing
from ..errors import OutputError, PictureError
from ..images import encode as output
from ..images import probe
from ..network.names import WEIGHTS, weights_path
from ..settings import recipe
from ..settings.options import STARTS
from .task import Request, check


def standing(request: Request) -> str:
    """Why what is there already will do; "" where there is something to paint.

    Raises:
        OutputError: it is there, and must not be; or it is to be updated, and was not made here.
    """
    target, existing = request.output, request.options.existing
    if target == "-" or not os.path.lexists(target) or os.path.isdir(target):
        return ""
    if existing == "fail":
        raise OutputError(f"{target}: is there already (--existing fail)")
    if existing == "skip":
        return "is there already"
    if existing == "update" and _up_to_date(request):
        return "is up to date"
    return ""


def _up_to_date(request: Request) -> bool:
    """Whether what is there was painted from the same files with the same options, to the end.

    Neither the versions of stylize and torch count nor the device: a folder is not painted anew
    because two machines share it.
    """
    target, options = request.output, request.options
    digests: dict[str, Any] = {  # "" for what cannot be read, and is like no other
        "content": files.digest(request.content),
        "styles": [files.digest(style) for style in request.styles],
    }
    if options.mask:
        digests["masks"] = [files.digest(mask) for mask in options.mask]
    if options.init not in STARTS:
        digests["init"] = files.digest(options.init)
    if options.weights not in WEIGHTS:
        digests["weights"] = files.digest(weights_path(options.weights)[0])
    try:
        held = recipe.read(target)
    except PictureError as error:
        if os.path.isfile(target) and os.path.getsize(target) == 0:
            return False  # nobody's work
        told = f"is there already, and was not made by stylize as far as can be seen ({error})"
        raise OutputError(f"{target}: {told}; --existing replace paints over it") from error
    return held.repeats(options, digests, output.format_of(target)) and probe.whole(target)


def ready(request: Request) -> str:
    """As `standing`; and where there is something to paint, see that it can be written.

    Raises:
        StylizeError: one of its children, of all that is wrong before a picture has been read.
    """
    options = request.options
    options.shares(len(request.styles))  # several STYLEs without --blend, before all else
    check(request)
    reason = standing(request)
    if not reason and request.output != "-":
        output.check_output(request.output, depth=options.depth)
    if not reason and request.trace:
        writing.writable(request.trace)
    return reason
