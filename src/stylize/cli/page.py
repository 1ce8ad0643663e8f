"""The page of `--report`: photos, paintings, results and losses, in one HTML file.

It needs no network, no server and no other file: pictures are inside as thumbnails. It is written
whole or not at all, and anew while the run goes on, so that it can be watched from anywhere.
"""

import base64
import hashlib
import io
import logging
import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import metadata, resources
from typing import Any, NamedTuple
from urllib.parse import quote

from .. import files
from ..errors import OptionError, OutputError, PictureError, StylizeError
from ..images.picture import Picture, load_picture
from ..settings.options import Options, flag
from ..settings.recipe import show_recipe
from ..transfer.step import Step
from . import report
from .report import Row
from .task import Arguments, Outcome, Status, Task

log = logging.getLogger(__name__)

#: Seconds from one writing of the page to the next, while the run goes on.
REFRESH = 10
#: Writing takes at most one part in so many of the time.
PARTS = 20
#: Longer side of the pictures of a run of one, in pixels.
LARGE = 1600
#: Longer side of thumbnails, by the most pictures for which it is used; about 20 MB in all. Beyond
#: the last number, further pictures have links alone.
THUMBNAILS = {60: 320, 300: 200, 1000: 120}
#: Points of a curve of losses.
POINTS = 60


@dataclass
class Entry:
    """What the page knows of one picture.

    Attributes:
        task: which picture.
        outcome: how it went; None before it has ended.
        step: the last one; None before the first.
        losses: the lowest total after each iteration; one list for each scale.
        image: a thumbnail of the result, as an address with the data in it; "" for none.
    """

    task: Task
    outcome: Outcome | None = None
    step: Step | None = None
    losses: list[list[float]] = field(default_factory=list)
    image: str = ""


class Label(NamedTuple):
    """Where a picture is in the grid, and what is written under it.

    Attributes:
        row, column: the texts at the grid's edges.
        command: that makes a large picture from it; "" for none.
    """

    row: str
    column: str
    command: str


class Page:
    """The page of one run, which watches its steps and outcomes.

    A failure to write costs the page and not the run; it is reported at the end.

    Args:
        arguments: of the command; `arguments.report` is the page's path, or None for no page.
        tasks: all pictures.
        single: whether the command paints one picture alone.
        labels: where each picture is in the grid, if not at its photo and painting.

    Attributes:
        error: why the page could not be written; None if it could.
    """

    def __init__(
        self,
        arguments: Arguments,
        tasks: Sequence[Task],
        single: bool = False,
        labels: Sequence["Label"] = (),
    ) -> None:
        self.arguments, self.single, self.labels = arguments, single, labels
        self.path = arguments.report
        self.entries = [Entry(task) for task in tasks] if self.path else []
        self.others: list[Row] = []
        self.side = LARGE if single else thumbnail_side(len(self.entries))
        self.thumbnail = cache(self._thumbnail)
        self.started = time.monotonic()
        self.due = 0.0
        self.error: OutputError | None = None
        self.opened = False

    def open(self) -> None:
        """Write the page for the first time.

        Before that nothing is written, so that a run that is refused leaves what there is.
        """
        self.opened = True
        self.write()

    def step(self, number: int, step: Step) -> None:
        """Note a step of one picture, and write the page if it is time to."""
        if not self.path:
            return
        entry = self.entries[number]
        if not entry.losses or (entry.step and step.scale != entry.step.scale):
            entry.losses.append([])
        entry.losses[-1].append(step.losses.total)
        entry.step = step.without_picture()
        if time.monotonic() >= self.due:
            if self.single:
                entry.image = encoded(_from_floats(step.picture()), self.side)
            self.write()

    def finish(self, number: int, outcome: Outcome) -> None:
        """Note how a picture went, and write the page if it is time to."""
        if not self.path:
            return
        entry = self.entries[number]
        entry.outcome = outcome
        painted = outcome.status in (Status.DONE, Status.SKIPPED, Status.INTERRUPTED)
        if painted and entry.task.output != "-" and number < _most():
            entry.image = self._thumbnail(entry.task.output) or entry.image
        if time.monotonic() >= self.due:
            self.write()

    def fail(self, row: Row) -> None:
        """Note a failure that belongs to none of the pictures."""
        self.others.append(row)

    def write(self, running: bool = True) -> None:
        """Write the page.

        Args:
            running: whether the run goes on, so that the page is to load itself again.
        """
        if not self.path or self.error or not self.opened:
            return
        started = time.monotonic()
        try:
            with files.output_errors(self.path):
                os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
            files.write(self.path, self.html(running).encode("utf-8", "replace"))
        except OutputError as error:
            self.error = error
            log.warning("%s; the run continues without the page", error)
        now = time.monotonic()
        self.due = now + max(REFRESH, (PARTS - 1) * (now - started))

    def close(self) -> None:
        """Write the page for the last time.

        Raises:
            OutputError: it could not be written.
        """
        self.write(running=False)
        if self.error:
            raise OutputError(f"{self.error}; the pictures themselves are not affected")

    def html(self, running: bool) -> str:
        """The text of the page."""
        template, style, script = _assets()
        folder = os.path.dirname(os.path.abspath(self.path or ""))
        described = [self._described(entry, folder) for entry in self.entries]
        for label, shown in zip(self.labels, described, strict=False):
            shown["command"] = _name(label.command)
        text: str = template.render(
            title="A picture by stylize" if self.single else "Pictures by stylize",
            version=metadata.version("neural-stylize"),
            style=style,
            script=script,
            style_hash=_hash(style),
            script_hash=_hash(script),
            refresh=REFRESH if running else None,
            summary=self._summary(),
            written=time.strftime("%Y-%m-%d %H:%M:%S"),
            single=self._single(described[0]) if self.single else None,
            failures=[entry for entry in described if entry["status"] == Status.FAILED]
            + [{"output": task.content, "reason": out.reason} for task, out in self.others],
            entries=len(described),
            shown=min(len(described), _most()),
            **({} if self.single else self._grid(described)),
            options=_options(self.arguments.options),
            versions=_versions(),
            recipe=self._recipe(),
        )
        return text

    def _summary(self) -> str:
        rows = [(entry.task, entry.outcome) for entry in self.entries if entry.outcome]
        left = len(self.entries) - len(rows)
        elapsed = report.duration(time.monotonic() - self.started)
        if not rows and not self.others:
            return f"{left} picture{'s' * (left != 1)} to paint; {elapsed} so far."
        return f"{report.total([*self.others, *rows], left)}; {elapsed}."

    def _described(self, entry: Entry, folder: str) -> dict[str, Any]:
        """An entry, as the template shows it."""
        task, outcome, step = entry.task, entry.outcome, entry.step
        facts = []
        if size := (outcome and outcome.size) or (step and step.scale.size):
            facts.append(f"{size[0]} x {size[1]} pixels")
        if outcome and outcome.seconds is not None:
            facts.append(report.duration(outcome.seconds))
        if step:
            facts.append(f"content {step.losses.content:.3g}, style {step.losses.style:.3g}")
        percent = None
        if step and not outcome:
            whole = sum(scale.work for scale in step.scales)
            percent = round(100 * (1 - step.work_left / whole))
        status = outcome.status if outcome else "painting" if step else "waiting"
        exists = outcome and outcome.status != Status.FAILED and task.output != "-"
        return {
            "content": _name(task.content),
            "output": _name(task.output),
            "link": _link(task.output, folder) if exists else "",
            "image": entry.image,
            "alt": f"{_name(task.content)} in the style of {_styles_name(task)}",
            "status": str(status),
            "facts": facts,
            "percent": percent,
            "reason": outcome.reason if outcome else "",
            "command": "",
            "curve": curves(entry.losses),
            "fall": _fall(entry.losses),
        }

    def _single(self, described: dict[str, Any]) -> dict[str, Any]:
        task = self.entries[0].task
        styles = [{"name": _name(path), "image": self.thumbnail(path)} for path in task.styles]
        return {**described, "photo": self.thumbnail(task.content), "styles": styles}

    def _grid(self, described: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The pictures as rows and columns."""
        rows: dict[object, dict[str, Any]] = {}
        columns: dict[object, dict[str, str]] = {}
        for place, entry in zip(self._places(), self.entries, strict=True):
            row, row_name, column, column_name, painting = place
            if row not in rows:
                photo = self.thumbnail(entry.task.content) if len(rows) < _most() else ""
                rows[row] = {"name": row_name, "image": photo, "cells": {}}
            if column not in columns:
                image = self.thumbnail(painting) if painting else ""
                columns[column] = {"name": column_name, "image": image}
        for place, shown in zip(self._places(), described, strict=True):
            rows[place[0]]["cells"][place[2]] = shown
        for each in rows.values():
            each["cells"] = [each["cells"].get(column) for column in columns]
        return {"columns": list(columns.values()), "rows": list(rows.values())}

    def _places(self) -> Iterator[tuple[object, str, object, str, str]]:
        """For each picture: its row and that row's name; its column, its name and its painting."""
        tasks = [entry.task for entry in self.entries]
        if self.labels:
            for label in self.labels:
                yield label.row, label.row, label.column, label.column, ""
            return
        cells = len({task.content for task in tasks}) * len({task.styles for task in tasks})
        for number, task in enumerate(tasks):
            if cells > 2 * len(tasks):  # the grid would be empty
                yield number, _name(task.content), 0, "results", ""
            else:  # of several paintings that are blended the first is shown
                name = _styles_name(task)
                yield task.content, _name(task.content), task.styles, name, task.styles[0]

    def _recipe(self) -> str:
        """The recipe of a single picture, once it is there."""
        if not self.single or not self.entries[0].outcome:
            return ""
        try:
            return show_recipe(self.entries[0].task.output)
        except PictureError:
            return ""

    def _thumbnail(self, path: str) -> str:
        """A picture in a file, small, as an address with the data in it; "" for none."""
        if path == "-":
            return ""
        try:
            return encoded(load_picture(path), self.side)
        except StylizeError:
            return ""


def check_page(arguments: Arguments) -> None:
    """Check, before the work, that the page can be written.

    Raises:
        OptionError: it is not the name of a page.
        OutputError: it cannot be written.
    """
    if arguments.report is None:
        return
    if not arguments.report.lower().endswith((".html", ".htm")):
        raise OptionError(f"--report {arguments.report}: give a name that ends in .html")
    folder = os.path.dirname(arguments.report) or "."
    if os.path.isdir(folder):
        files.check_writable(arguments.report)
    else:  # it may be that of the results, which is made later
        files.nearest_existing_folder(folder)


def thumbnail_side(pictures: int) -> int:
    """The longer side of thumbnails, in pixels, on a page with so many pictures."""
    return next((side for most, side in THUMBNAILS.items() if pictures <= most), 120)


def encoded(picture: Picture, side: int) -> str:
    """A picture with a longer side of at most `side` pixels, as an address of type data:."""
    image = picture.image
    image.thumbnail((side, side), reducing_gap=2.0)
    data = io.BytesIO()
    image.save(data, "WEBP", quality=80, method=2)
    return f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"


def curves(losses: Sequence[Sequence[float]]) -> list[str]:
    """Points of a curve for each scale, in a box of 100 x 30, on a logarithmic axis."""
    losses = [scale for scale in losses if scale]
    shown = [value for scale in losses for value in scale if math.isfinite(value) and value > 0]
    if len(shown) < 2:
        return []
    low, high = math.log(min(shown)), math.log(max(shown))
    count = sum(map(len, losses)) - 1
    lines, before = [], 0
    for scale in losses:
        every = max(1, len(scale) * len(losses) // POINTS)
        places = sorted({*range(0, len(scale), every), len(scale) - 1})
        points = [
            f"{100 * (before + k) / count:.1f},"
            f"{29 - 28 * (math.log(scale[k]) - low) / ((high - low) or 1):.1f}"
            for k in places
            if math.isfinite(scale[k]) and scale[k] > 0
        ]
        lines.append(" ".join(points))
        before += len(scale)
    return lines


def _fall(losses: Sequence[Sequence[float]]) -> str:
    last = losses[-1] if losses else []
    return f"from {last[0]:.3g} to {last[-1]:.3g} at the last size" if last else ""


def _most() -> int:
    return max(THUMBNAILS)


def _from_floats(pixels: Any) -> Picture:
    """What `Step.picture` gives, as a picture."""
    return Picture((pixels * 255 + 0.5).astype("uint8"), "", "")


def _name(path: str) -> str:
    """A path as it is shown: bytes that are no text are replaced."""
    return os.fsencode(path).decode("utf-8", "replace")


def _styles_name(task: Task) -> str:
    return " + ".join(map(_name, task.styles))


def _link(path: str, folder: str) -> str:
    """A file as an address, relative to the page's folder."""
    try:
        relative = os.path.relpath(os.path.abspath(path), folder)
    except ValueError:  # on another drive of Windows
        return ""
    # The dot keeps a name with a colon from being taken for a scheme.
    return "./" + quote(os.fsencode(relative.replace(os.sep, "/")))


def _options(options: Options) -> list[tuple[str, str, bool]]:
    """All options: flag, value, and whether it differs from the default."""
    defaults = asdict(Options())
    return [
        (flag(name), _name(str(value)), value != defaults[name])
        for name, value in asdict(options).items()
    ]


def _versions() -> str:
    packages = ("neural-stylize", "torch", "torchvision", "pillow")
    parts = [f"{name} {metadata.version(name)}" for name in packages]
    return ", ".join([*parts, f"Python {platform.python_version()}", platform.platform()])


def _hash(text: str) -> str:
    """What a Content-Security-Policy calls an inline script or style that is allowed."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _assets() -> tuple[Any, str, str]:
    """The template, the style and the script."""
    import jinja2  # takes a tenth of a second, and few runs have a page

    folder = resources.files(__package__) / "assets"
    read: Callable[[str], str] = lambda name: (folder / name).read_text("utf-8")  # noqa: E731
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.from_string(read("page.html")), read("page.css"), read("page.js")
