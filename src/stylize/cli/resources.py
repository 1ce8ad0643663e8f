"""What a worker keeps from one task to the next, and where it finds the files of its tasks.

torch is not imported before a task's pictures have been read and checked.
"""

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import files
from ..errors import StylizeError
from ..images.picture import Picture, Source, load_picture
from ..settings.options import Options
from ..transfer import memory
from . import failures, terminal

if TYPE_CHECKING:
    from ..transfer.stylizer import Stylizer

log = logging.getLogger(__name__)


class Inputs:
    """Where a task's input files are: on this machine. Other machines are sent them (`remote`)."""

    def key(self, path: str) -> tuple[object, ...]:
        """What is the same for a file as long as it has not changed."""
        return (path, *files.stat_key(path))

    def picture(self, path: str) -> Source:
        """What a picture is read from."""
        return path

    def weights(self) -> bytes | None:
        """The network's weights, if they are in a file that is not on this machine."""
        return None


class Resources:
    """What is kept from one task to the next: the network, and the style images read last.

    Args:
        number: of this worker, from 0.
        workers: how many share the machine: its memory, its processor, and its GPUs if
            there are several.
        threads: that this worker uses; 0 for its part of those that the workers share.
    """

    def __init__(self, number: int = 0, workers: int = 1, threads: int = 0) -> None:
        self.number, self.workers, self.threads = number, workers, threads
        self.loaded: Stylizer | None = None
        #: Why the network could not be loaded; no picture can be painted then.
        self.error: StylizeError | None = None
        self.pictures: dict[tuple[object, ...], Picture] = {}
        if workers > 1:
            memory.share_among(workers)

    def words(self) -> str:
        """What paints, and why it is no faster; "" before the network is loaded."""
        from ..transfer import device

        loaded = self.loaded
        return device.in_words(loaded.device, loaded.precision) if loaded else ""

    def styles(self, paths: Sequence[str], inputs: Inputs) -> list[Picture]:
        """The style images of a task. They stay loaded for the next one, unless a file changes."""
        keys = [inputs.key(path) for path in paths]
        self.pictures = {
            key: self.pictures[key] if key in self.pictures else load(path, "style picture", inputs)
            for key, path in zip(keys, paths, strict=True)
        }
        return [self.pictures[key] for key in keys]

    def stylizer(self, options: Options, inputs: Inputs) -> "Stylizer":
        """The network for these options, on this worker's device and part of the threads."""
        try:  # torch is imported here for the first time
            from ..transfer import device
            from ..transfer.stylizer import Stylizer
        except Exception as error:
            self.error = failures.cause_outside(error)
            if self.error:
                raise self.error from error
            raise

        if self.threads:
            device.fix_threads(self.threads)
        elif self.workers > 1 and not self.loaded:
            device.share_threads(self.workers)
        if self.workers > 1:
            options = options.replace(device=device.device_of_worker(options.device, self.number))
        if not self.loaded or any(
            getattr(self.loaded.options, name) != getattr(options, name) for name in Stylizer.FIXED
        ):
            try:
                weights = inputs.weights()
                self.loaded = (
                    Stylizer(options)
                    if weights is None
                    else Stylizer(options, weights_data=weights)
                )
            except StylizeError as error:
                self.error = error
                raise
            # One of several workers says it.
            if options.device == "auto" and not self.number and (note := device.unused_gpu()):
                log.warning("%s", note)
        return self.loaded


def load(path: str, name: str, inputs: Inputs) -> Picture:
    """The picture at a path, or from standard input ('-'); messages call it `name`."""
    if path == "-":
        return load_picture(terminal.byte_stream("standard input", sys.stdin), "standard input")
    return load_picture(inputs.picture(path), name)
