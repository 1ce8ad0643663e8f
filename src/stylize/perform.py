"""Carries out what the command is asked for: one picture, many, or a plan of them.

torch is not imported before there is something to paint.
"""

import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from . import batch, console, cost, files, folders, job, order, report
from .batch import Row
from .errors import OptionError, PictureError, StylizeError
from .order import Order
from .progress import Bar, Forecast, Seen, StopOnInterrupt, hidden
from .pyramid import Scale
from .request import Request, check
from .run import INTERRUPTED, Outcome, Studio, paint

if TYPE_CHECKING:
    from .stylizer import Step

#: The exit code of a run in which some pictures failed; it is what xargs says too.
FAILED = 123

log = logging.getLogger(__name__)


def perform(wanted: Order) -> int:
    """Carry out an wanted.

    Returns:
        The exit code: 0, `FAILED` if any of several pictures failed, or `INTERRUPTED`.

    Raises:
        StylizeError: one of its children: of a single picture what became of it, of several what
            is wrong with all.
    """
    if wanted.json and wanted.output == "-":
        raise OptionError("--json: standard output is taken by the picture (-o -)")
    if folders.several(wanted.content, wanted.styles, wanted.output):
        return _several(wanted)
    request = wanted.request(wanted.content, wanted.styles, wanted.output)
    if wanted.dry_run:
        wanted.options.shares(len(wanted.styles))
        check(request)
        return _plan(wanted, [request])
    return _single(wanted, request)


def _single(wanted: Order, request: Request) -> int:
    try:
        with StopOnInterrupt() as stop, Bar(hidden(wanted.quiet)) as bar:
            forecast = Forecast()

            def watch(step: "Step") -> bool:
                seen = Seen.of(step)
                bar(seen)
                forecast(seen)
                return stop()

            outcome = paint(request, Studio(), watch)
    except StylizeError as error:
        if wanted.json:
            outcome = Outcome("failed", str(error), error.exit_code)
            console.print_text(report.as_json(request, outcome))
        raise
    if outcome.status == "skipped":
        log.warning("%s: %s, skipped", request.output, outcome.reason)
    if wanted.json:
        console.print_text(report.as_json(request, outcome))
    return outcome.code


def _several(wanted: Order) -> int:
    requests, closed = order.requests(wanted)
    rows = [
        (
            wanted.request(folder, (), ""),
            Outcome("failed", f"{folder}: cannot be read ({reason})", PictureError.exit_code),
        )
        for folder, reason in closed
    ]
    if wanted.dry_run:
        return _plan(wanted, requests, rows)
    started = time.perf_counter()
    for row in rows:
        _tell(wanted, row)
    before = len(rows)
    interrupted = False
    try:
        with contextlib.closing(batch.settled(wanted, requests)) as settled:
            for row in settled:
                rows.append(row)
                _tell(wanted, row)
    except KeyboardInterrupt:
        interrupted = True
    for line in report.table(rows):
        log.warning("%s", line)
    took = report.duration(time.perf_counter() - started)
    log.warning("%s; %s", report.total(rows, before + len(requests) - len(rows)), took)
    if interrupted:
        log.warning("interrupted; the same command goes on from here")
        return INTERRUPTED
    return _code(rows)


def _tell(wanted: Order, row: Row) -> None:
    """Say at once what became of a picture."""
    request, outcome = row
    if wanted.json:
        console.print_text(report.as_json(request, outcome))
    if outcome.status == "failed":
        log.error("%s: failed: %s", request.output, outcome.reason)


def _code(rows: Sequence[Row]) -> int:
    return FAILED if any(outcome.status == "failed" for _, outcome in rows) else 0


def _plan(wanted: Order, requests: Sequence[Request], rows: Sequence[Row] = ()) -> int:
    """Print what would be done, with what it would take."""
    rows = list(rows)
    ways: dict[int, tuple[Scale, ...]] = {}
    traces: dict[str, set[str]] = {}
    for request in requests:
        outcome = batch.at_a_glance(request, traces)
        if not outcome:
            try:
                way = job.way(request.options, files.size_of(request.content), request.content)
                for style in request.styles:
                    files.size_of(style)
                size = way[-1].width, way[-1].height
                outcome = Outcome("planned", size=size, iterations=sum(s.iterations for s in way))
                ways[len(rows)] = way
            except StylizeError as error:
                outcome = Outcome("failed", str(error), error.exit_code)
        rows.append((request, outcome))
    where = ""
    if ways:
        device, precision, threads = _machine(wanted)
        where = f" on {device} in {precision}, {threads} threads a picture"
        for place, way in ways.items() if device == "cpu" else ():
            request, outcome = rows[place]
            seconds, memory = cost.foreseen(way, precision, threads)
            rows[place] = request, replace(outcome, seconds=seconds, memory=round(memory))
    if wanted.json:
        lines = [report.as_json(*row) for row in rows]
    else:
        lines = [*report.table(rows), report.total(rows)]
        seconds = sum(outcome.seconds or 0 for _, outcome in rows) / wanted.jobs
        if seconds:
            memory = wanted.jobs * max(outcome.memory or 0 for _, outcome in rows)
            took = report.duration(cost.START_SECONDS + seconds)
            lines.append(f"about {took} and {memory / 1e9:.1f} GB{where}")
    console.print_text("\n".join(map(console.one_line, lines)))
    return _code(rows)


def _machine(wanted: Order) -> tuple[str, str, int]:
    """The kind of device that would be used, the precision, and the threads for each picture."""
    import torch

    from . import device

    found = device.pick(wanted.options.device)
    precision = str(device.dtype(wanted.options.precision, found)).removeprefix("torch.")
    threads = wanted.options.threads or max(1, torch.get_num_threads() // wanted.jobs)
    return found.type, precision, threads
