"""Checkpoints of a run: saved at intervals, found again by the next run, deleted at the end."""

import contextlib
import logging
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import files
from ..errors import CheckpointError, StylizeError

if TYPE_CHECKING:
    from ..transfer.checkpoint import Checkpoint
    from ..transfer.job import Job
    from ..transfer.step import Step
    from ..transfer.stylizer import Stylizer

log = logging.getLogger(__name__)

#: Saving takes at most one part in so many of the time: a checkpoint of a poster has gigabytes.
PARTS = 20


class Autosave:
    """Saves checkpoints of one run to a file.

    A failure to write costs the checkpoint and not the run; it is reported once.

    Args:
        path: of the file; None for no checkpoints.
        seconds: from one checkpoint to the next, or longer where saving takes long.
        stopping: says whether the run ends after the present step; a checkpoint is then saved at
            once.

    Attributes:
        exists: whether the file holds a checkpoint of this run.
    """

    def __init__(
        self, path: str | None, seconds: float, stopping: Callable[[], object] = lambda: False
    ) -> None:
        self.path, self.seconds, self.stopping = path, seconds, stopping
        self.due = time.monotonic() + seconds
        self.latest: Step | None = None
        self.exists = self.reported = False

    def with_checkpoint_size(self, stylizer: "Stylizer", job: "Job") -> "Job":
        """The job in the size that an earlier run with `--size fit` chose, if that still fits.

        Free memory is never quite the same; it should not decide whether a run can resume.

        Args:
            stylizer: that is going to paint.
            job: what it is going to paint.
        """
        from ..transfer import checkpoint

        if self.path and job.options.size == "fit" and (size := checkpoint.read_size(self.path)):
            with contextlib.suppress(StylizeError):
                earlier = job.with_size(size)
                if checkpoint.read_recipe_text(self.path) == stylizer.recipe(earlier).text():
                    return stylizer.fit_to_memory(earlier)
        return job

    def load(self, stylizer: "Stylizer", job: "Job", resume: bool) -> "Checkpoint | None":
        """The checkpoint of an earlier run of the same picture, if there is one.

        An unusable checkpoint is renamed and reported.

        Args:
            stylizer: that is going to paint.
            job: what it is going to paint.
            resume: whether to use it; otherwise it stays until it is replaced or deleted.
        """
        if self.path is None:
            return None
        with contextlib.suppress(OSError):
            files.remove_stale_parts(self.path)
        if not os.path.lexists(self.path):
            return None
        from ..transfer.checkpoint import Checkpoint

        try:
            checkpoint = Checkpoint.load(self.path, stylizer.recipe(job), stylizer.device)
        except CheckpointError as error:
            renamed = f"{self.path}.unused"
            with contextlib.suppress(OSError):
                os.replace(self.path, renamed)
            log.warning("%s; renamed it to %s, started over", error, renamed)
            return None
        self.exists = True
        if not resume:
            return None
        iterations = sum(scale.iterations for scale in job.scales)
        done = checkpoint.iteration(job)
        log.warning("%s: resuming after iteration %d of %d", self.path, done, iterations)
        return checkpoint

    def __call__(self, step: "Step") -> None:
        """Save a checkpoint if it is time to."""
        self.latest = step
        if self.stopping() or time.monotonic() >= self.due:
            self.save()

    def save(self) -> bool:
        """Save a checkpoint of the latest step.

        Returns:
            Whether it was saved.
        """
        if self.path is None or self.latest is None:
            return False
        started = time.monotonic()
        try:
            self.latest.checkpoint().save(self.path)
            self.exists = True
            return True
        except (StylizeError, MemoryError, RuntimeError) as error:  # the run is worth more
            if not self.reported:
                message = error if isinstance(error, StylizeError) else f"{self.path}: {error!r}"
                log.warning("%s; the run continues without a checkpoint", message)
            self.reported = True
            return False
        finally:
            now = time.monotonic()
            self.due = now + max(self.seconds, (PARTS - 1) * (now - started))

    def delete(self) -> None:
        """Delete the file, because the picture is complete."""
        if self.path and self.exists:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
