"""Pictures for workers that cannot see the files: read here, painted there, written here.

The files of a task travel as bytes in a `Parcel`, and the result comes back as `Painted`.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from .. import files
from ..callbacks.autosave import Autosave, is_checkpoint
from ..errors import WeightsError
from ..images.picture import PictureFile
from ..settings.options import Options
from . import single
from .cluster import LATER, Cluster, Finished, Later, Shared
from .painter import Assignment, attempt, watch_for
from .resources import Inputs, Resources
from .single import Painted, Stop
from .task import Outcome, Status, Task
from .workers import Executor, OnMessage, Report, Results, Tasks, WorkerDied


@dataclass(frozen=True)
class Parcel(Inputs):
    """A task with the bytes of its files.

    Attributes:
        task: what to paint.
        content: the content image.
        shared: by path, the files that many tasks need: a key that changes when the file does, and
            where its `PictureFile` is.
        weights_file: the bytes of the network's weights, if a file is named.
    """

    task: Task
    content: PictureFile
    shared: Mapping[str, tuple[tuple[object, ...], Shared[PictureFile]]]
    weights_file: Shared[bytes] | None

    def key(self, path: str) -> tuple[object, ...]:
        """See `Inputs`."""
        return self.shared[path][0]

    def picture(self, path: str) -> PictureFile:
        """See `Inputs`."""
        return self.shared[path][1].get() if path in self.shared else self.content

    def weights(self) -> bytes | None:
        """See `Inputs`."""
        return self.weights_file.get() if self.weights_file else None


class RemotePainter:
    """Paints parcels on another machine, and writes nothing.

    Args:
        number: of this worker, from 0.
        workers: how many share its machine.
        threads: that it uses; 0 where a GPU paints.
    """

    def __init__(self, number: int, workers: int, threads: int) -> None:
        self.resources = Resources(number, workers, threads)

    def __call__(self, parcel: Parcel, notify: Report) -> Painted | Outcome | None:
        """The picture, or how painting it failed; None if it was not started."""

        def work() -> Painted:
            task, stop = parcel.task, Stop(watch_for(notify))
            job = single.read(task, self.resources, parcel)
            no_checkpoint = Autosave(None, task.arguments.checkpoint_every)
            return single.paint_job(task, job, self.resources, parcel, stop, no_checkpoint)

        return attempt(work, self.resources)


class Courier(Executor[Assignment, Outcome | None]):
    """Has pictures painted by a cluster, and reads, locks and writes all files itself.

    A result is locked while it is painted. Where another run holds a lock, a patient task waits,
    while the others go on.

    Args:
        cluster: whose workers are `RemotePainter`s.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        #: The files that the tasks need that were sent last, by path, with their keys.
        self._shared: dict[str, tuple[tuple[object, ...], Shared[PictureFile]]] = {}
        self._weights: Shared[bytes] | None = None

    def run(self, tasks: Tasks[Assignment], on_message: OnMessage) -> Results[Outcome | None]:
        """See `Executor`."""
        sent: dict[int, tuple[Task, contextlib.ExitStack]] = {}
        try:
            for number, result in self._cluster.run(self._parcels(tasks, sent), on_message):
                if number not in sent:
                    yield number, cast("Outcome | None", result)
                    continue
                task, lock = sent.pop(number)
                with lock:
                    outcome = _receive(task, result)
                yield number, outcome
        finally:
            for _, lock in sent.values():
                lock.close()

    def close(self) -> None:
        """See `Executor`."""
        self._shared, self._weights = {}, None
        self._cluster.close()

    def _parcels(
        self, tasks: Tasks[Assignment], sent: dict[int, tuple[Task, contextlib.ExitStack]]
    ) -> Iterator[tuple[int, Parcel | Finished | Later]]:
        """What the cluster is to do. Tasks without anything to paint are finished here."""
        locked: list[tuple[int, Assignment]] = []
        for number, assignment in tasks:
            found = self._prepare(number, assignment.task, sent)
            if found is None and assignment.patient:
                locked.append((number, assignment))
            else:
                yield number, found or Finished(None)
        while locked:
            for number, assignment in list(locked):
                if found := self._prepare(number, assignment.task, sent):
                    locked.remove((number, assignment))
                    yield number, found
            if locked:
                yield locked[0][0], LATER

    def _prepare(
        self, number: int, task: Task, sent: dict[int, tuple[Task, contextlib.ExitStack]]
    ) -> Parcel | Finished | None:
        """Lock and read a task; None if another run has locked it."""
        weights = self._shared_weights(task.options)  # an error in it concerns all tasks
        lock = contextlib.ExitStack()

        def pack() -> Parcel | Outcome:
            files.make_parent(task.output, task.untyped)
            lock.enter_context(files.lock(task.output, untyped=task.untyped))
            if reason := single.check(task):
                return Outcome(Status.SKIPPED, reason)
            content = PictureFile.read(task.content)
            return Parcel(task, content, self._shared_pictures(task), weights)

        packed: Parcel | Outcome | None = None
        try:
            packed = attempt(pack)
        finally:
            if not isinstance(packed, Parcel):
                lock.close()
        if isinstance(packed, Parcel):
            sent[number] = task, lock
            return packed
        return Finished(packed) if packed else None

    def _shared_pictures(
        self, task: Task
    ) -> dict[str, tuple[tuple[object, ...], Shared[PictureFile]]]:
        """All pictures of a task but the content image. They are sent once for many tasks."""
        before, self._shared = self._shared, {}
        for path in (*task.styles, *task.options.mask_files, *task.options.pictures_named.values()):
            key = Inputs().key(path)
            if path in before and before[path][0] == key:
                self._shared[path] = before[path]
            elif path not in self._shared:
                self._shared[path] = key, self._cluster.share(PictureFile.read(path))
        return self._shared

    def _shared_weights(self, options: Options) -> Shared[bytes] | None:
        """The network's weights, if they are a file.

        Raises:
            WeightsError: it cannot be read.
        """
        path = options.weights_file
        if path and self._weights is None:
            try:
                with files.open_regular(path) as file:
                    self._weights = self._cluster.share(file.read())
            except OSError as error:
                raise WeightsError(
                    f"{path}: cannot be read ({error.strerror}); give auto, oxford, torchvision"
                    " or a path"
                ) from error
        return self._weights


def _receive(
    task: Task, result: Painted | Outcome | WorkerDied | None
) -> Outcome | WorkerDied | None:
    """Write a picture that was painted on another machine."""
    if not isinstance(result, Painted):
        return result
    painted, data = result, result.data or b""

    def write() -> Outcome:
        single.deliver(task, data)
        if painted.ended and task.checkpoint and is_checkpoint(task.checkpoint):
            files.remove(task.checkpoint, task.checkpoint_untyped)  # of a run without a cluster
        return single.conclude(painted)

    return attempt(write)
