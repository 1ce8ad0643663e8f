"""Checkpoints of a run of the command: written now and then, and taken up again. No torch."""

import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING

from .. import files as writing
from ..errors import CheckpointError, StylizeError

if TYPE_CHECKING:
    from ..transfer.checkpoint import Checkpoint
    from ..transfer.job import Job
    from ..transfer.step import Step
    from ..transfer.stylizer import Stylizer

#: Seconds from one to the next; a shorter run has none.
EVERY = 60.0

log = logging.getLogger(__name__)


class Keeper:
    """Keeps a checkpoint of one run.

    A fault in writing costs the checkpoint and not the run; it is told once.

    Args:
        path: of its file.
        every: seconds from one to the next.
    """

    def __init__(self, path: str, every: float = EVERY) -> None:
        self.path, self.every = path, every
        self.due = time.monotonic() + every
        self.there = self.told = False

    def sized(self, painter: "Stylizer", job: "Job", share: float | None) -> "Job":
        """The job in the size that an earlier run of it took with `--size fit`, if it still fits.

        Or free memory, which is never quite the same, would decide whether the run goes on.

        Args:
            painter: that is to go on.
            job: what it is to paint.
            share: as in `Stylizer.fitted`.
        """
        from ..transfer import checkpoint

        if job.options.size == "fit" and (size := checkpoint.size(self.path)):
            with contextlib.suppress(StylizeError):
                before = job.fit(size)
                if checkpoint.recipe(self.path) == painter.recipe(before).text():
                    return painter.fitted(before, share)
        return job

    def latest(self, painter: "Stylizer", job: "Job", resume: bool) -> "Checkpoint | None":
        """Where an earlier run of the same picture was, if there is anything of it.

        What cannot be gone on from is set aside under another name, and told.

        Args:
            painter: that is to go on.
            job: what it is to paint.
            resume: whether to go on.
        """
        with contextlib.suppress(OSError):
            writing.sweep(self.path)
        if not os.path.lexists(self.path):
            return None
        from ..transfer.checkpoint import Checkpoint

        try:
            found = Checkpoint.load(self.path, painter.recipe(job), painter.device)
        except CheckpointError as error:
            aside = f"{self.path}.unused"
            with contextlib.suppress(OSError):
                os.replace(self.path, aside)
            log.warning("%s; set aside as %s, begun afresh", error, aside)
            return None
        self.there = True
        if not resume:
            return None
        total = sum(scale.iterations for scale in job.scales)
        log.warning("%s: goes on after iteration %d of %d", self.path, found.iteration(job), total)
        return found

    def __call__(self, step: "Step") -> None:
        """Write one if it is time to."""
        if time.monotonic() >= self.due:
            self.save(step)

    def save(self, step: "Step") -> bool:
        """Write one; whether it is there now."""
        if step.checkpoint is None:
            return False
        try:
            step.checkpoint().save(self.path)
            self.there = True
            return True
        except (StylizeError, MemoryError, RuntimeError) as error:  # a run is worth more
            if not self.told:
                told = error if isinstance(error, StylizeError) else f"{self.path}: {error!r}"
                log.warning("%s; the run goes on without a checkpoint", told)
            self.told = True
            return False
        finally:
            # From its end on, so that a slow disk does not take all of the time.
            self.due = time.monotonic() + self.every

    def forget(self) -> None:
        """The picture is done."""
        if self.there:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
