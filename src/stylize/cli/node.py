"""The worker's side of `cluster`: what runs on the machines of a Ray cluster."""

import contextlib
import importlib
import logging
import logging.handlers
import os
import pickle
from collections import deque
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from .workers import Work

log = logging.getLogger("stylize")


def portable() -> tuple[Callable[[], dict[str, str]], type]:
    """What is sent to a machine whose versions are not known yet, if it has stylize at all.

    Ray sends functions and classes that are made in a function as code, and others by name.

    Returns:
        A function that finds the versions that have to be the same, and the class of the workers.
    """

    def find_versions() -> dict[str, str]:
        import sys
        from importlib import metadata

        versions = {"Python": f"{sys.version_info.major}.{sys.version_info.minor}"}
        for name, package in (("stylize", "neural-stylize"), ("torch", "torch"), ("ray", "ray")):
            try:
                # Without the kind of build, as in 2.9+cpu.
                versions[name] = metadata.version(package).partition("+")[0]
            except metadata.PackageNotFoundError:
                versions[name] = ""
        return versions

    class Worker:
        def machine(self) -> tuple[str, str, dict[str, str]]:
            import socket

            import ray

            node = ray.get_runtime_context().get_node_id()
            return node, socket.gethostname(), find_versions()

        def start(self, settings: bytes, number: int) -> None:
            from stylize.cli.node import Node

            self.node = Node(settings, number)

        def do(self, task: Any) -> Any:
            return self.node.do(task)

        def poll(self, code: int) -> Any:
            return self.node.poll(code)

    return find_versions, Worker


class Node:
    """The worker's side, in a process on any machine.

    Args:
        settings: pickled, from `Cluster`.
        number: of the worker.
    """

    def __init__(self, settings: bytes, number: int) -> None:
        ray: Any = importlib.import_module("ray")  # which has no types for `nodes`
        given = pickle.loads(settings)
        if "GPU" not in given.need:  # torch is to see none, or "auto" would take it
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        here = ray.get_runtime_context().get_node_id()
        (machine,) = (node for node in ray.nodes() if node["NodeID"] == here)
        fits = (int(machine["Resources"].get(name, 1) / n) for name, n in given.need.items())
        self._place = number, max(1, min(fits)), given.threads
        self._make: Callable[[int, int, int], Work[Any, Any]] = given.make
        self._work: Work[Any, Any] | None = None
        self._messages: deque[tuple[str, Any]] = deque()
        self._code = 0
        sender: Any = SimpleNamespace(
            put_nowait=lambda entry: self._messages.append(("log", entry))
        )
        log.addHandler(logging.handlers.QueueHandler(sender))
        log.setLevel(given.level)
        log.propagate = False

    def do(self, task: Any) -> tuple[str, Any, list[tuple[str, Any]]]:
        """Do a task.

        Returns:
            "result" and the result, or "error" and the exception that is to end the run; and the
            messages that nobody has asked for yet.
        """
        try:
            self._work = self._work or self._make(*self._place)
            kind, result = "result", self._work(task, self._report)
        except BaseException as error:
            kind, result = "error", error
        return kind, result, self._take()

    def poll(self, code: int) -> list[tuple[str, Any]]:
        """The messages since the last call.

        Args:
            code: what every report returns from now on.
        """
        self._code = code
        return self._take()

    def _report(self, message: object) -> int:
        self._messages.append(("message", message))
        return self._code

    def _take(self) -> list[tuple[str, Any]]:
        taken = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._messages.popleft())
        return taken


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """What a machine has instead of the versions on this one; "" where they are the same."""
    return ", ".join(
        f"{name} {there.get(name) or 'not installed'} instead of {version}"
        for name, version in here.items()
        if there.get(name) != version
    )
