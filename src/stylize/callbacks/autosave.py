"""Checkpoints of a run: saved at intervals, found again by the next run, deleted at the end."""

import contextlib
import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .. import files
from ..errors import CheckpointError, OptionError, OutputError, StylizeError
from ..transfer.step import CHECKPOINT_HEAD

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
        untyped: how many of the path's last parts the user did not type, as in `files.write`.

    Attributes:
        exists: whether the file holds a checkpoint of this run.
    """

    def __init__(
        self,
        path: str | None,
        seconds: float,
        stopping: Callable[[], object] = lambda: False,
        untyped: int = 0,
    ) -> None:
        self.path, self.seconds, self.stopping = path, seconds, stopping
        self.untyped = untyped
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

        An unusable checkpoint is reported, and set aside until the picture is done. If that fails,
        it stays where it is, and the run has no checkpoints.

        Args:
            stylizer: that is going to paint.
            job: what it is going to paint.
            resume: whether to use it; otherwise it stays until it is replaced or deleted.
        """
        if self.path is None:
            return None
        files.remove_stale_parts(self.path, self.untyped)
        found = files.real_target(self.path, self.untyped)
        if not os.path.lexists(found) or _is_empty_file(found):  # there is nothing to lose
            return None
        from ..transfer.checkpoint import Checkpoint

        try:
            if self.untyped and os.path.islink(self.path):
                raise CheckpointError(f"{self.path}: is a link")
            checkpoint = Checkpoint.load(self.path, stylizer.recipe(job), job, stylizer.device)
        except CheckpointError as error:
            self._set_aside(self.path, error)
            return None
        self.exists = True
        if not resume:
            return None
        iterations = sum(scale.iterations for scale in job.scales)
        done = checkpoint.iteration(job)
        log.warning("%s: resuming at iteration %d of %d", self.path, done + 1, iterations)
        return checkpoint

    def _set_aside(self, path: str, error: CheckpointError) -> None:
        """Rename a checkpoint that cannot be used, and say what was done."""
        try:
            renamed = files.set_aside(path, self.untyped)
        except (OSError, OutputError) as failure:
            reason = getattr(failure, "strerror", None) or failure
            done = "started over, without checkpoints"
            log.warning("%s; it cannot be renamed (%s), %s", error, reason, done)
            self.path = None
            return
        until = "; it is deleted when the picture is done" if is_checkpoint(renamed) else ""
        log.warning("%s; renamed it to %s, started over%s", error, renamed, until)

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
            self.latest.checkpoint().save(self.path, self.untyped)
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
        """Delete the file, and those that were set aside, because the picture is complete."""
        if not self.path:
            return
        if self.exists:
            files.remove(self.path, self.untyped)
        for path in files.names_aside(self.path, self.untyped):
            if is_checkpoint(path):
                files.remove(path, untyped=max(1, self.untyped))


def is_checkpoint(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins like a checkpoint of any version of stylize, damaged or not."""
    if os.path.islink(path):
        return False
    with contextlib.suppress(OSError), files.open_regular(path) as file:
        return file.read(len(CHECKPOINT_HEAD)) == CHECKPOINT_HEAD
    return False


def _is_empty_file(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and not status.st_size


def check_named(path: str) -> None:
    """Check that a checkpoint can be saved under a name that the user typed.

    Raises:
        OptionError: there is a file that is not a checkpoint, and not empty.
        OutputError: it is a folder, or cannot be written.
    """
    try:
        files.check_writable(path)
    except OutputError as error:
        raise OutputError(f"--checkpoint {error}") from error
    real = files.real_target(path)
    if real.exists() and real.stat().st_size and not is_checkpoint(real):
        raise OptionError(f"--checkpoint {path}: is not a checkpoint of stylize; name another file")
