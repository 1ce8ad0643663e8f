"""What is printed about many pictures: a table, totals, and lines of JSON."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version

from ..settings.options import AUTO_SIZE
from .task import Outcome, Status, Task

Row = tuple[Task, Outcome]

_ORDER = list(Status)


def as_json(task: Task, outcome: Outcome) -> str:
    """One line of ASCII; the manual lists the keys. Names that cannot be decoded are escaped."""
    width, height = outcome.size or (None, None)
    arguments = task.arguments
    fields = {
        "version": version("neural-stylize"),
        "status": outcome.status,
        "content": task.content,
        "styles": list(task.styles),
        "output": task.output,
        "width": width,
        "height": height,
        "iterations": outcome.iterations,
        "seconds": outcome.seconds,
        "peak_memory": outcome.memory,
        "peak_device_memory": outcome.device_memory,
        "device": outcome.device,
        "precision": outcome.precision,
        "losses": outcome.losses,
        "reason": outcome.reason or None,
        "exit_code": outcome.exit_code,
        "options": {
            **asdict(task.options),
            "existing": arguments.existing,
            "format": arguments.format,
        },
    }
    return json.dumps(fields)


def table(rows: Sequence[Row]) -> list[str]:
    """One line for each picture: its status and path, and what it takes or why it is not done."""
    column = max((len(outcome.status) for _, outcome in rows), default=0)
    ordered = sorted(rows, key=lambda row: _ORDER.index(row[1].status))
    return [line(*row, column) for row in ordered]


def line(task: Task, outcome: Outcome, column: int = 0) -> str:
    """How one picture went.

    Args:
        task: the picture.
        outcome: how it went.
        column: the width of the status.
    """
    details = []
    if outcome.size:
        details.append(f"{outcome.size[0]} x {outcome.size[1]}")
    if outcome.seconds is not None:
        details.append(duration(outcome.seconds))
    if outcome.status is Status.PLANNED and outcome.memory is not None:
        details.append(f"{outcome.memory / 1e9:.1f} GB")
    path = task.output or task.content
    if outcome.reason:
        details.append(outcome.reason.removeprefix(f"{path}: "))
    return f"{outcome.status:<{column}}  {path}  {', '.join(details)}"


def written(task: Task, outcome: Outcome) -> str:
    """What a run for one picture wrote, in one line."""
    arguments = task.arguments
    picture = "the picture to standard output" if task.output == "-" else task.output
    width, height = outcome.size or (0, 0)
    snapshots = f"snapshots in {task.snapshots}" if arguments.snapshot_every else None
    others = (arguments.timelapse, snapshots, arguments.trace, arguments.report)
    took = duration(outcome.seconds or 0)
    # Whoever has not named a size may have expected the photo's.
    larger = (
        "; larger with --size"
        if task.options.size == "auto" and AUTO_SIZE in (width, height)
        else ""
    )
    wrote = f"wrote {picture} ({width} x {height} in {took}{larger})"
    return ", ".join([wrote, *filter(None, others)])


def total(rows: Sequence[Row], not_started: int = 0) -> str:
    """How many pictures have each status, in one line.

    Args:
        rows: as in `table`.
        not_started: the number of pictures without an outcome.
    """
    count = Counter(outcome.status for _, outcome in rows)
    parts = [f"{count[status]} {status}" for status in Status if count[status]]
    parts += [f"{not_started} not started"] if not_started else []
    number = len(rows) + not_started
    return f"{number} picture{'s' * (number != 1)}: {', '.join(parts)}"


def duration(seconds: float) -> str:
    """A duration in the units in which people say it."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
