"""What the command is asked for, and the pictures that come of it. No torch."""

import os
from dataclasses import dataclass, fields, replace

from .. import files as writing
from ..errors import OptionError, PictureError
from ..images import encode as output
from ..settings.options import STARTS
from . import folders
from .task import Request

#: Pictures at once, if nothing is said.
JOBS = 1


@dataclass(frozen=True)
class Order(Request):
    """What the command is asked for: a request for one picture, or for several.

    Attributes:
        content: the photo or a folder of photos, or "-".
        styles: paintings, or folders of them; one may be "-".
        output: a file, a folder, a pattern with `folders.FIELDS`, or "-".
        recursive: look into the folders in folders.
        pair: one of `folders.PAIRINGS`.
        jobs: how many pictures at once.
        fail_fast: begin no more pictures once one has failed.
        dry_run: print what would be done, and do nothing.
        json: print a line of JSON for each picture.
        quiet: say nothing but errors.
    """

    recursive: bool = False
    pair: str = folders.PAIRINGS[0]
    jobs: int = JOBS
    fail_fast: bool = False
    dry_run: bool = False
    json: bool = False
    quiet: bool = False

    def request(self, content: str, styles: tuple[str, ...], output: str) -> Request:
        """For one of the pictures."""
        shared = {field.name: getattr(self, field.name) for field in fields(Request)}
        return Request(**{**shared, "content": content, "styles": styles, "output": output})


def requests(order: Order) -> tuple[list[Request], list[tuple[str, str]]]:
    """The pictures that an order for several comes to.

    Returns:
        A request for each; and the folders that could not be looked into, with the reason.

    Raises:
        OptionError: the order contradicts itself.
        PictureError: a folder cannot be read, or has no pictures in it.
        OutputError: no format goes by the pattern's suffix.
    """
    options = order.options
    if "-" in (order.content, *order.styles, order.output):
        raise OptionError("folders: '-' has no name and is no folder; name a file")
    if not order.output:
        raise OptionError("-o: name a folder")
    if order.timelapse:
        raise OptionError("--timelapse: films one picture; --snapshot-every does for folders")
    if order.trace:
        raise OptionError("--trace: is of one picture; --json tells the losses of several")
    if order.checkpoint:
        raise OptionError("--checkpoint: is for one picture; in folders, each has its own")
    if options.together:
        for style in filter(os.path.isdir, order.styles):
            name = "--blend" if options.blend is not None else "--mask"
            raise OptionError(f"{name}: {style} is a folder; name the paintings one by one")
        options.shares(len(order.styles))
    if options.existing == "auto":
        options = options.but(existing="update")
    for path in (*options.mask, *({options.init} - set(STARTS))):
        if not os.path.lexists(path):
            raise PictureError(f"{path}: no such file")
    without = folders.root(order.output)
    contents = folders.look([order.content], order.recursive, without)
    styles = folders.look(order.styles, order.recursive, without)
    pairs = folders.pairs(contents, styles, order.output, order.pair, options, order.recursive)
    for format in {output.format_of(pair.output) for pair in pairs}:
        output.check_format(format, depth=options.depth)
    places = {os.path.realpath(pair.output) for pair in pairs}
    for path in order.read:
        if os.path.realpath(path) in places:
            raise OptionError(f"-o: {path} is read, and would be written over; name another folder")
    writing.nearest_folder(without or ".")
    order = replace(order, options=options)
    requests = [order.request(*pair) for pair in pairs]
    if order.snapshot_every:
        beside = {os.path.dirname(os.path.realpath(p)) for r in requests for p in r.inputs}
        for request in requests:
            if os.path.realpath(request.snapshots) in beside:
                raise OptionError(f"--snapshot-every: inputs lie in {request.snapshots}")
    return requests, [*contents.closed, *styles.closed]
