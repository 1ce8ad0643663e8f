"""What an order would come to: for each picture, and in time and memory.

torch is imported only where there is something to paint, to see on what it would be painted.
"""

import functools
from collections.abc import Sequence
from dataclasses import replace

from . import batch, cost, locks, report
from .batch import Row
from .errors import StylizeError
from .order import Order
from .pyramid import Scale
from .request import Request
from .run import Outcome


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
                ways[number] = way = batch.way(request)
                size = way[-1].width, way[-1].height
                outcome = Outcome("planned", size=size, iterations=sum(s.iterations for s in way))
            except StylizeError as error:
                outcome = Outcome.failed(error)
        rows.append((request, outcome))
    if not ways:
        return rows, []
    device, precision, threads = _machine(order)
    where = f"on {device} in {precision}, {threads} threads a picture"
    if device != "cpu":
        return rows, [where]
    seconds, most = 0.0, 0.0
    for number, way in ways.items():
        foreseen = cost.foreseen(way, precision, threads)
        request, outcome = rows[number]
        estimate = replace(outcome, seconds=foreseen.seconds, memory=round(foreseen.memory))
        rows[number] = request, estimate
        seconds, most = seconds + foreseen.seconds, max(most, foreseen.memory)
    at_once = min(order.jobs, len(ways))
    took = report.duration(cost.START_SECONDS + seconds / at_once)
    return rows, [f"about {took} and {at_once * most / 1e9:.1f} GB {where}"]


def _machine(order: Order) -> tuple[str, str, int]:
    """The kind of device that would be used, the precision, and the threads for each picture."""
    import torch

    from . import device

    found = device.pick(order.options.device)
    precision = str(device.dtype(order.options.precision, found)).removeprefix("torch.")
    threads = order.options.threads or max(1, torch.get_num_threads() // order.jobs)
    return found.type, precision, threads
