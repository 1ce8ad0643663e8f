"""Carries out what the command is asked for: one picture, many, or a plan of them.

torch is not imported before there is something to paint.
"""

import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..callbacks.progress import Bar, Forecast, Seen, hidden
from ..errors import DeviceError, OptionError, PictureError, StylizeError
from . import batch, folders, report
from . import dry_run as plan
from . import terminal as console
from .batch import Row
from .existing import ready
from .order import Order
from .order import requests as requests_of
from .single import Outcome, Studio, paint
from .task import Request
from .terminal import INTERRUPTED, TERMINATED, Ended, StopOnSignal

if TYPE_CHECKING:
    from ..transfer.step import Step

#: The exit code of a run in which some pictures failed; it is what xargs says too.
FAILED = 123

log = logging.getLogger(__name__)


def perform(order: Order) -> int:
    """Carry out an order.

    Returns:
        The exit code: 0, `FAILED` if any of several pictures failed, or `INTERRUPTED`.

    Raises:
        StylizeError: one of its children: of a single picture what became of it, of several what
            is wrong with all.
    """
    if order.json and order.output == "-":
        raise OptionError("--json: standard output is taken by the picture (-o -)")
    if folders.several(order.content, order.styles, order.output):
        return _several(order)
    request = order.request(order.content, order.styles, order.output)
    if order.dry_run:
        if "-" in (order.content, *order.styles):
            raise OptionError("--dry-run: does not read standard input; name a file")
        if not ready(request):  # if anything is wrong, it is said as it would be without
            batch.way(request)
        rows, total = plan.plan(replace(order, jobs=1), [request])
        _show(order, rows, total)
        for _, outcome in rows:
            if outcome.status == "failed":
                raise DeviceError(outcome.reason)
        return 0
    return _single(order, request)


def _single(order: Order, request: Request) -> int:
    try:
        with StopOnSignal() as stop, Bar(hidden(order.quiet)) as bar:
            forecast = Forecast()

            def watch(step: "Step") -> int:
                seen = Seen.of(step)
                bar(seen)
                forecast(seen)
                return stop()

            outcome = paint(request, Studio(), watch)
    except StylizeError as error:
        if order.json:
            console.print_text(report.as_json(request, Outcome.failed(error)))
        raise
    if outcome.status == "skipped":
        log.warning("%s: %s, skipped", request.output, outcome.reason)
    if outcome.code == TERMINATED:
        log.warning("%s: terminated; %s", request.output, outcome.reason)
    if order.json:
        console.print_text(report.as_json(request, outcome))
    return outcome.code


def _several(order: Order) -> int:
    requests, closed = requests_of(order)
    rows = [
        (
            order.request(folder, (), ""),
            Outcome.failed(PictureError(f"{folder}: cannot be read ({reason})")),
        )
        for folder, reason in closed
    ]
    if order.dry_run:
        planned, total = plan.plan(order, requests)
        _show(order, [*rows, *planned], total)
        return _code([*rows, *planned])
    started = time.perf_counter()
    for row in rows:
        _tell(order, row)
    left = len(requests)
    if rows and order.fail_fast:
        requests = []
    fault: BaseException | None = None
    try:
        with contextlib.closing(batch.settled(order, requests)) as settled:
            for row in settled:
                left -= 1
                rows.append(row)
                _tell(order, row)
    except (KeyboardInterrupt, StylizeError) as error:
        fault = error
    for line in report.table(rows):
        log.warning("%s", line)
    took = report.duration(time.perf_counter() - started)
    log.warning("%s; %s", report.total(rows, left), took)
    if isinstance(fault, StylizeError):
        raise fault
    if fault:
        log.warning("interrupted; the same command goes on from here")
        return fault.code if isinstance(fault, Ended) else INTERRUPTED
    return _code(rows)


def _tell(order: Order, row: Row) -> None:
    """Say at once what became of a picture."""
    request, outcome = row
    if order.json:
        console.print_text(report.as_json(request, outcome))
    if outcome.status == "failed":
        name = f"{request.output}: " if request.output else ""
        log.error("%sfailed: %s", name, outcome.reason)


def _code(rows: Sequence[Row]) -> int:
    return FAILED if any(outcome.status == "failed" for _, outcome in rows) else 0


def _show(order: Order, rows: Sequence[Row], total: Sequence[str]) -> None:
    """Print what would be done, with what it would take."""
    if order.json:
        lines = [report.as_json(*row) for row in rows]
    else:
        lines = [*report.table(rows), report.total(rows), *total]
    console.print_text("\n".join(map(console.one_line, lines)))
