"""An executor on the machines of a Ray cluster. It knows nothing of pictures.

Each worker is a Ray actor. It asks Ray for its part of a machine, so that there are as many as the
cluster has room for, and Ray's autoscaler sees how many more would be welcome. Ray is imported only
when a cluster is used.
"""

import contextlib
import logging
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Generic, NamedTuple, TypeVar, cast

from ..errors import DeviceError
from .connection import connect, first_line, no_text_on_stdout
from .node import differences, portable
from .terminal import Interrupted, StopOnSignal
from .workers import Executor, OnMessage, Results, Work, WorkerDied

Task = TypeVar("Task", contravariant=True)
Result = TypeVar("Result", covariant=True)
Value = TypeVar("Value")

#: Makes what does the work, for a worker's number, the number of workers on its machine, and the
#: number of threads that it is to use (0 where a GPU computes).
Make = Callable[[int, int, int], Work[Any, Any]]

#: The threads of a worker without `--threads`: those of the smallest machine, but at most so many.
#: The bytes of a picture depend on that number, so that it is one for all machines, and not what
#: happens to be free. Small pictures gain little from more threads, and several at once do.
THREADS = 4
#: How often a task is begun. A worker that dies, with its machine or alone, costs a picture a try.
TRIES = 2
#: Seconds between two looks at what a busy worker reports, and between two at the cluster's size.
POLL, GROW = 0.2, 1.0
#: Seconds without any worker, after which this is said.
PATIENCE = 15.0
#: Seconds after which a worker that has not started is taken to wait for room.
WAITS = 10.0
#: Workers that may fail to start one after the other, before the run ends, or where others paint,
#: before no more are started for some seconds.
START_FAILURES, RETRY = 5, 60.0

log = logging.getLogger("stylize")


class Finished(NamedTuple):
    """In the place of a task: its result, which needed no worker."""

    result: Any


class Later:
    """In the place of a task: there is none now, and one may be asked for again in a while."""


LATER = Later()


@dataclass(frozen=True)
class Shared(Generic[Value]):
    """A value in the cluster's object store, for tasks that refer to it."""

    reference: Any

    def get(self) -> Value:
        """The value, on any machine."""
        import ray

        value: Value = ray.get(self.reference)
        return value


class Cluster(Executor[Any, Any]):
    """Does tasks on the machines of a cluster, as many at once as it has room for.

    In the place of a task, `Finished` and `LATER` are understood. No worker outlives this object.

    Args:
        make: makes what does the work, on a machine where it can be imported.
        address: "auto" for the cluster that this machine belongs to, or else one on this machine
            alone, which is also "local"; or HOST:PORT.
        device: a value of `--device`, which decides what each worker asks the cluster for.
        threads: of each worker; 0 for `THREADS`, or as many as the smallest machine has.

    Raises:
        DeviceError: there is no such cluster, Ray is not installed, or a cluster of this machine
            alone is asked for a GPU that it has not.
    """

    def __init__(self, make: Make, address: str, device: str = "cpu", threads: int = 0) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(no_text_on_stdout())
            self._ray, ended_here, alone = connect(address, threads)
            if ended_here:
                stack.callback(self._ray.shutdown)
            self._set_up(make, device, threads, alone)
            self._at_end = stack.pop_all()

    def _set_up(self, make: Make, device: str, threads: int, alone: bool) -> None:
        """Decide what workers ask for, and what they are told."""
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        any_gpu = any(machine.get("GPU") for machine in machines)
        gpu = device not in ("cpu", "mps") and (device != "auto" or any_gpu)
        if gpu and alone and not any_gpu:
            raise DeviceError(f"--device {device}: Ray finds no GPU on this machine; give cpu")
        if not threads:
            processors = [int(machine.get("CPU", 0)) for machine in machines]
            threads = min([THREADS, *filter(None, processors)])
        if alone:
            log.warning("--cluster: found no Ray cluster; painting on this machine alone")
        else:
            log.warning("--cluster: machines: %d", len(machines))
        #: What a worker asks for, by Ray's names.
        self.need: dict[str, int] = {"GPU": 1, "CPU": 1} if gpu else {"CPU": threads}
        settings = SimpleNamespace(
            make=make,
            need=self.need,
            threads=0 if gpu else threads,
            level=log.getEffectiveLevel(),
        )
        self._settings = pickle.dumps(settings)
        versions, self._class = portable()
        self._versions = versions()
        self._workers: list[_Worker] = []
        #: The machines, by Ray's names, that have other versions.
        self._refused: set[str] = set()
        self._started = self._failures = 0
        self._grow_at = 0.0

    def share(self, value: Value) -> Shared[Value]:
        """Put a value where all workers can get it, as long as the returned object exists."""
        return Shared(self._ray.put(value))

    def run(self, tasks: Iterable[tuple[int, Any]], on_message: OnMessage) -> Results[Any]:
        """See `Executor`."""
        queue = _Queue(tasks)
        waiting_since, said = time.monotonic(), False
        with StopOnSignal() as stop:
            while True:
                if code := int(stop()):
                    queue.stop()
                yield from self._hand_out(queue, stop)
                busy = [worker for worker in self._workers if worker.task]
                if queue.ended:
                    if not busy:
                        break
                    self._dismiss([worker for worker in self._workers if not worker.task])
                elif not queue.waits:
                    self._grow()
                for worker in busy:
                    worker.poll(code)
                for worker in self._ready():
                    if not worker.task:
                        self._welcome(worker)
                        continue
                    try:
                        yield from self._receive(worker, on_message)
                    except self._ray.exceptions.RayTaskError as error:  # it could not be unpacked
                        raise RuntimeError(str(error).strip().splitlines()[-1]) from error
                    except self._ray.exceptions.RayError as error:
                        log.info("%s", first_line(error))
                        self._dismiss([worker])
                        if worker.task.tries < TRIES:
                            log.warning("a worker died; its picture is painted again")
                            queue.again(worker.task)
                        else:
                            yield worker.task.number, WorkerDied(cause="two workers died")
                if any(worker.ready for worker in self._workers):
                    waiting_since = time.monotonic()
                elif not said and time.monotonic() > waiting_since + PATIENCE:
                    said = True
                    log.warning(
                        "the cluster has no room yet for a worker (%s); waiting, until Ctrl-C",
                        self._words(),
                    )
            if stop.exit_code:
                raise Interrupted(stop.exit_code)

    def close(self) -> None:
        """See `Executor`."""
        self._dismiss(list(self._workers))
        self._at_end.close()

    def _words(self) -> str:
        """What a worker needs."""
        if "GPU" in self.need:
            return "each needs a GPU and a processor of one machine"
        return f"each needs processors of one machine: {self.need['CPU']}"

    def _hand_out(self, queue: "_Queue", stop: StopOnSignal) -> Iterator[tuple[int, Any]]:
        """Give each free worker a task; yield the results that need none."""
        for worker in self._workers:
            while worker.ready and not worker.task and not stop.exit_code:
                if not (item := queue.next()):
                    return
                if isinstance(item.content, Finished):
                    yield item.number, item.content.result
                else:
                    worker.begin(item)

    def _grow(self) -> None:
        """Start workers where there seems to be room, and one for which there may be none.

        That one waits until there is room. So the autoscaler of a cluster sees that it should grow.
        The number of workers at most doubles from one look to the next, and stays as it is while
        one waits: there may be few tasks, and Ray tells only the sum of all machines' free room.
        """
        now = time.monotonic()
        starting = [worker for worker in self._workers if not worker.ready and not worker.refused]
        if now < self._grow_at or any(now > worker.begun + WAITS for worker in starting):
            return
        self._grow_at = now + GROW
        free = self._ray.available_resources()
        room = min(int(free.get(name, 0) / amount) for name, amount in self.need.items())
        options = {"num_cpus": self.need["CPU"], "num_gpus": self.need.get("GPU", 0)}
        for _ in range(min(room, len(self._workers) + 1) + 1 - len(starting)):
            # Two calls at once: a task, and a look at what it has reported.
            actor = self._ray.remote(self._class).options(**options, max_concurrency=2).remote()
            worker = _Worker(actor, actor.machine.remote(), now)
            worker.reference = actor.start.remote(self._settings, self._started)
            self._workers.append(worker)
            self._started += 1

    def _welcome(self, worker: "_Worker") -> None:
        """Check a worker that has started, or that could not.

        Raises:
            DeviceError: all machines have other versions, or no worker can be started.
        """
        try:
            node, name, versions = self._ray.get(worker.machine)
            if different := differences(self._versions, versions):
                self._refuse(worker, node, f"--cluster: {name} has {different}")
                return
            self._ray.get(worker.reference)
        except self._ray.exceptions.RayError as error:
            self._dismiss([worker])
            self._failures += 1
            if self._failures < START_FAILURES:
                return
            reason = str(error).strip().splitlines()[-1]
            if not any(worker.ready for worker in self._workers):
                raise DeviceError(f"--cluster: no worker can be started ({reason})") from error
            log.warning("--cluster: a machine can start no workers (%s)", reason)
            self._failures, self._grow_at = 0, time.monotonic() + RETRY
        else:
            worker.reference, worker.ready, self._failures = None, True, 0

    def _refuse(self, worker: "_Worker", node: str, reason: str) -> None:
        """Give no tasks to a machine with other versions, which would paint other pictures.

        The worker keeps its place there, so that Ray starts no other one in it.

        Raises:
            DeviceError: there is no other machine with room for a worker.
        """
        worker.refused, worker.reference = True, None
        new, self._refused = node not in self._refused, self._refused | {node}
        cure = "install the same versions on all machines"
        if self._refused.issuperset(
            machine["NodeID"]
            for machine in self._ray.nodes()
            if machine["Alive"]
            and all(machine["Resources"].get(kind, 0) >= n for kind, n in self.need.items())
        ):
            raise DeviceError(f"{reason}; {cure}")
        if new:
            log.warning("%s, and is given nothing to do; %s", reason, cure)

    def _ready(self) -> list["_Worker"]:
        """The workers that have something to say; some time passes if there are none."""
        waited = [
            reference
            for worker in self._workers
            for reference in (worker.reference, worker.polled)
            if reference is not None
        ]
        if not waited:
            time.sleep(POLL / 2)
            return []
        # All that are there, or else the first to come; with a limit, because Python handles
        # signals only after the call.
        wait = self._ray.wait
        found, _ = wait(waited, num_returns=len(waited), timeout=0, fetch_local=False)
        if not found:
            found, _ = wait(waited, num_returns=1, timeout=POLL / 2, fetch_local=False)
        there = set(found)
        for worker in self._workers:
            worker.ended = worker.reference in there
        return [worker for worker in self._workers if {worker.reference, worker.polled} & there]

    def _receive(self, worker: "_Worker", on_message: OnMessage) -> Iterator[tuple[int, Any]]:
        """Pass on what a busy worker has reported, and yield the result if there is one."""
        number, messages = worker.task.number, []  # type: ignore[union-attr]
        if worker.polled is not None:
            messages = self._ray.get(worker.polled)
            worker.polled = None
        kind, result = "", cast("Any", None)
        if worker.ended:
            kind, result, rest = self._ray.get(worker.reference)
            messages += rest
            worker.task = worker.reference = None
        for message_kind, content in messages:
            if message_kind == "log":
                log.handle(content)
            else:
                on_message(number, content)
        if kind == "error":
            raise result
        if kind:
            yield number, result

    def _dismiss(self, workers: Iterable["_Worker"]) -> None:
        for worker in list(workers):
            self._workers.remove(worker)
            with contextlib.suppress(Exception):  # it may be dead, or its cluster
                self._ray.kill(worker.actor)


@dataclass
class _Item:
    """A task, and how often it was begun."""

    number: int
    content: Any
    tries: int = 0


@dataclass(eq=False)
class _Worker:
    """This side of a worker.

    Attributes:
        actor: Ray's handle.
        machine: where its machine's names and versions will be.
        begun: when it was asked for.
        reference: where what it is doing now will end: to start, or a task.
        ready: whether it has started, and may be given tasks.
        refused: whether its machine has other versions.
        task: what it is doing; None if it is free.
        ended: whether its result was seen in `reference`.
        polled: where the messages will be that it was asked for.
        poll_at: when it is to be asked again.
        code: what it was told last: the exit code with which to stop, or 0.
    """

    actor: Any
    machine: Any
    begun: float
    reference: Any = None
    ready: bool = False
    refused: bool = False
    task: _Item | None = None
    ended: bool = False
    polled: Any = None
    poll_at: float = 0.0
    code: int = 0

    def begin(self, item: _Item) -> None:
        """Begin a task."""
        item.tries += 1
        self.task, self.reference = item, self.actor.do.remote(item.content)
        self.poll_at, self.code = time.monotonic() + POLL, 0

    def poll(self, code: int) -> None:
        """Ask for messages if it is time to, and tell the worker whether to stop."""
        if self.polled is None and (code != self.code or time.monotonic() >= self.poll_at):
            self.polled, self.code = self.actor.poll.remote(code), code
            self.poll_at = time.monotonic() + POLL


class _Queue:
    """The tasks that wait, which are taken one by one."""

    def __init__(self, tasks: Iterable[tuple[int, Any]]) -> None:
        self._tasks = iter(tasks)
        self._retries: deque[_Item] = deque()
        self._exhausted = self._stopped = False
        self._later = 0.0

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to begin."""
        return self._stopped or (self._exhausted and not self._retries)

    @property
    def waits(self) -> bool:
        """Whether there is no task now, but there may be one later."""
        return time.monotonic() < self._later and not self._retries

    def next(self) -> _Item | None:
        """A task; None if there is none, or none now."""
        if self._stopped:
            return None
        if self._retries:
            return self._retries.popleft()
        if self._exhausted or time.monotonic() < self._later:
            return None
        pair = next(self._tasks, None)
        if pair is None:
            self._exhausted = True
            return None
        if isinstance(pair[1], Later):
            self._later = time.monotonic() + GROW / 2
            return None
        return _Item(*pair)

    def again(self, item: _Item) -> None:
        """Let a task be begun once more."""
        self._retries.append(item)

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopped = True
