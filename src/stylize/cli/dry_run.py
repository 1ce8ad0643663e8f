"""What an order would come to: for each picture, and in time and memory.

torch is imported only where there is something to paint, to see on what it would be painted.
"""

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from .. import files as locks
from ..errors import StylizeError
from ..transfer import job
from ..transfer import memory as cost
from ..transfer.scales import Scale
from . import batch, report
from .batch import Row
from .order import Order
from .single import Outcome
from .task import Request


def plan(order: Order, requests: Sequence[Request]) -> tuple[list[Row], list[str]]:
    """Look at all pictures, and paint none.

    Returns:
        For each picture "planned", with an estimate where it would be painted on a processor,
        "skipped" or "failed"; and a line, if any, on what all would take.

    Raises:
        DeviceError: there is no such device.
    """
    rows: list[Row] = []
    ways: dict[int, tuple[Scale, ...]] = {}
    traces = functools.cache(locks.traces)
    for number, request in enumerate(requests):
        outcome = batch.at_a_glance(request, traces)
        if not outcome:
            try:
                ways[number] = batch.way(request)
                outcome = Outcome("planned")
            except StylizeError as error:
                outcome = Outcome.failed(error)
        rows.append((request, outcome))
    if not ways:
        return rows, []
    machine = _machine(order)
    at_once = min(order.jobs, len(ways))
    seconds, most = 0.0, 0.0
    for number, way in ways.items():
        request, _ = rows[number]
        outcome = _foreseen(request, way, machine)
        rows[number] = request, outcome
        seconds, most = seconds + (outcome.seconds or 0), max(most, outcome.memory or 0)
    if not any(outcome.status == "planned" for _, outcome in rows):
        return rows, []
    where = f"on {machine.device} in {machine.precision}, {machine.threads} threads a picture"
    if machine.device != "cpu":
        return rows, [where]
    took = report.duration(cost.START_SECONDS + seconds / at_once)
    return rows, [f"about {took} and {at_once * most / 1e9:.1f} GB {where}"]


def _foreseen(request: Request, way: tuple[Scale, ...], machine: "_Machine") -> Outcome:
    """What becomes of it if it is painted there."""
    options = request.options
    need = cost.Memory(machine.precision, *job.layers(options), options.optimizer)
    size = way[-1].size
    try:
        side = cost.fitted(size, options.size == "fit", need, machine.room)
        if side < max(size):
            way = batch.way(replace(request, options=options.but(size=side)))
    except StylizeError as error:
        return Outcome.failed(error)
    size = way[-1].size
    iterations = sum(scale.iterations for scale in way)
    planned = Outcome("planned", size=size, iterations=iterations)
    if machine.device != "cpu":
        return planned
    seconds = cost.seconds(way, machine.precision, machine.threads)
    memory = round(cost.BASE_BYTES) + need(size[0] * size[1])
    return replace(planned, seconds=seconds, memory=memory)


class _Machine(NamedTuple):
    """What would paint: kind of device; for a picture, precision, threads, and bytes of memory."""

    device: str
    precision: str
    threads: int
    room: float


def _machine(order: Order) -> _Machine:
    import torch

    from ..transfer import device

    found = device.pick(order.options.device)
    precision = device.name(device.dtype(order.options.precision, found))
    threads = order.options.threads or max(1, torch.get_num_threads() // order.jobs)
    free = device.free(found, order.jobs)
    # Workers share the machine's memory; a CUDA device's is taken as it comes.
    return _Machine(
        found.type, precision, threads, free if found.type == "cuda" else free / order.jobs
    )
