"""What is said of many pictures: a table, a plan, and lines of JSON. No torch."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from .single import Outcome
from .task import Request

#: The last lines of a table are those that matter.
ORDER = ("skipped", "planned", "done", "interrupted", "failed")


def as_json(request: Request, outcome: Outcome) -> str:
    """One line, in ASCII; the README says what is in it. Names that are no text have surrogates."""
    size = outcome.size or (None, None)
    said = {
        "status": outcome.status,
        "content": request.content,
        "styles": list(request.styles),
        "output": request.output,
        "width": size[0],
        "height": size[1],
        "iterations": outcome.iterations,
        "seconds": outcome.seconds,
        "peak_memory": outcome.memory,
        "peak_device_memory": outcome.device_memory,
        "losses": outcome.losses,
        "reason": outcome.reason or None,
        "exit_code": outcome.code,
        "options": asdict(request.options),
    }
    return json.dumps(said)


def table(rows: Sequence[tuple[Request, Outcome]]) -> list[str]:
    """One line a picture: what became of it, where it is, and what it took or why it is not."""
    lines = []
    column = max((len(outcome.status) for _, outcome in rows), default=0)
    for request, outcome in sorted(rows, key=lambda row: ORDER.index(row[1].status)):
        said = []
        if outcome.size:
            said.append(f"{outcome.size[0]} x {outcome.size[1]}")
        if outcome.seconds is not None:
            said.append(duration(outcome.seconds))
        if outcome.status == "planned" and outcome.memory is not None:
            said.append(f"{outcome.memory / 1e9:.1f} GB")
        if outcome.reason:
            said.append(outcome.reason)
        lines.append(
            f"{outcome.status:<{column}}  {request.output or request.content}  {', '.join(said)}"
        )
    return lines


def total(rows: Sequence[tuple[Request, Outcome]], left: int = 0) -> str:
    """How many of each, in one line.

    Args:
        rows: as in `table`.
        left: pictures of which nothing became.
    """
    count = Counter(outcome.status for _, outcome in rows)
    parts = [f"{count[status]} {status}" for status in ORDER if count[status]]
    parts += [f"{left} not begun"] if left else []
    number = len(rows) + left
    return f"{number} picture{'s' * (number != 1)}: {', '.join(parts)}"


def duration(seconds: float) -> str:
    """As people say it."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
