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
from .arguments import Arguments
from .existing import check_replaceable
from .report import Row
from .task import Outcome, Status, Task

log = logging.getLogger(__name__)

#: What every page says about itself; its template in `assets` has it.
MARK = '<meta name="generator" content="stylize'
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
        command: gives the command that makes a large picture from it, for its size; "" for none.
    """

    row: str
    column: str
    command: Callable[[tuple[int, int]], str]


class _Place(NamedTuple):
    """A cell of the grid, and whether its row has a painting of its own."""

    row: object
    row_name: str
    column: object
    column_name: str
    paired: bool = False


class Page:
    """The page of one run, which watches its steps and outcomes.

    Whatever goes wrong with the page costs the page and not the run; it is reported at the end.
    Before `open`, nothing is written.

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
        self.error: Exception | None = None
        self.opened = False

    def open(self) -> None:
        """Write the page for the first time.

        Before that nothing is written, so that a run that is refused leaves what there is.
        """
        self.opened = self.path is not None
        self.write()

    def step(self, number: int, step: Step) -> None:
        """Note a step of one picture, and write the page if it is time to."""
        if not self.opened:
            return
        entry = self.entries[number]
        if not entry.losses or (entry.step and step.scale != entry.step.scale):
            entry.losses.append([])
        entry.losses[-1].append(step.losses.total)
        entry.step = step.without_picture()
        if time.monotonic() >= self.due:
            self.write(so_far=step if self.single else None)

    def finish(self, number: int, outcome: Outcome) -> None:
        """Note how a picture went, and write the page if it is time to."""
        if not self.opened:
            return
        self.entries[number].outcome = outcome
        if time.monotonic() >= self.due:
            self.write()

    def fail(self, row: Row) -> None:
        """Note a failure that belongs to none of the pictures."""
        self.others.append(row)

    def write(self, running: bool = True, so_far: Step | None = None) -> None:
        """Write the page.

        Args:
            running: whether the run goes on, so that the page is to load itself again.
            so_far: the step whose picture is shown as the result.
        """
        if not self.path or self.error or not self.opened:
            return
        started = time.monotonic()
        try:
            if so_far:
                self.entries[0].image = encoded(_from_floats(so_far.picture()), self.side)
            files.make_parent(self.path)
            files.write(self.path, self.html(running).encode("utf-8", "replace"))
        except Exception as error:  # whatever it is, the run is worth more
            self.error = error
            log.warning("--report: %s; the run continues without the page", error)
        now = time.monotonic()
        self.due = now + max(REFRESH, (PARTS - 1) * (now - started))

    def close(self, quietly: bool = False) -> None:
        """Write the page for the last time.

        Args:
            quietly: whether another error is on its way, which counts more.

        Raises:
            OutputError: it could not be written.
        """
        self.write(running=False)
        if self.error and not quietly:
            message = f"--report: {self.error}; the pictures themselves are not affected"
            raise OutputError(message) from self.error

    def html(self, running: bool) -> str:
        """The text of the page."""
        template, style, script = _assets()
        folder = os.path.dirname(os.path.abspath(self.path or ""))
        described = [
            self._described(number, folder, running) for number in range(len(self.entries))
        ]
        text: str = template.render(
            title="A picture by stylize" if self.single else "Pictures by stylize",
            version=metadata.version("neural-stylize"),
            style=style,
            script=script,
            style_hash=_hash(style),
            script_hash=_hash(script),
            refresh=REFRESH if running else None,
            summary=self._summary(running),
            written=time.strftime("%Y-%m-%d %H:%M:%S %Z"),
            single=described[0] if self.single else None,
            failures=[entry for entry in described if entry["status"] == Status.FAILED]
            + [{"output": _name(t.content), "reason": _name(o.reason)} for t, o in self.others],
            sources=self._sources() if self.single or self.labels else None,
            entries=len(described),
            shown=min(len(described), _most()),
            **({} if self.single else self._grid(described)),
            options=_options([entry.task.options for entry in self.entries]),
            versions=_versions(),
            recipe=self._recipe(),
        )
        return text

    def _summary(self, running: bool) -> str:
        rows = [(entry.task, entry.outcome) for entry in self.entries if entry.outcome]
        rows += self.others
        left = len(self.entries) + len(self.others) - len(rows)
        elapsed = report.duration(time.monotonic() - self.started)
        if not running:
            return f"{report.total(rows, left)}; {elapsed}."
        done = f"{report.total(rows)}; " if rows else ""
        return f"{done}{left} to do; {elapsed} so far."

    def _described(self, number: int, folder: str, running: bool) -> dict[str, Any]:
        """An entry, as the template shows it."""
        entry = self.entries[number]
        task, outcome, step = entry.task, entry.outcome, entry.step
        has_file = outcome is not None and outcome.has_picture and task.output != "-"
        if has_file and number < _most():
            entry.image = self.thumbnail(task.output) or entry.image
        facts = []
        size = (outcome and outcome.size) or (step and step.scale.size)
        if size:
            facts.append(f"{size[0]} x {size[1]} pixels")
        if outcome and outcome.seconds is not None:
            facts.append(report.duration(outcome.seconds))
        if step:
            facts.append(f"content {step.losses.content:.3g}, style {step.losses.style:.3g}")
        percent = None
        if step and not outcome and running:
            whole = sum(scale.work for scale in step.scales)
            percent = round(100 * (1 - step.work_left / whole))
        status = ("painting" if step else "waiting") if running else "not started"
        command = self.labels[number].command if self.labels and has_file and size else None
        return {
            "content": _name(task.content),
            "output": _name(task.output),
            "link": _link(task.output, folder) if has_file else "",
            "image": entry.image,
            "alt": f"{_name(task.content)} in the style of {_styles_name(task)}",
            "status": str(outcome.status) if outcome else status,
            "facts": facts,
            "percent": percent,
            "reason": _name(outcome.reason) if outcome else "",
            "command": command(size) if command and size else "",
            "curve": curves(entry.losses),
            "fall": _fall(entry.losses),
        }

    def _sources(self) -> list[dict[str, str]]:
        """Photo and paintings, where all pictures have the same."""
        task = self.entries[0].task
        named = [("Photo", task.content), *(("Painting", style) for style in task.styles)]
        return [
            {"kind": kind, "name": _name(path), "image": self.thumbnail(path)}
            for kind, path in named
        ]

    def _grid(self, described: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The pictures as rows and columns.

        Photos and paintings are read once one of their pictures has ended, so that the first
        picture need not wait for them.
        """
        rows: dict[object, dict[str, Any]] = {}
        columns: dict[object, dict[str, str]] = {}
        for place, entry, shown in zip(self._places(), self.entries, described, strict=True):
            row = rows.setdefault(
                place.row, {"name": place.row_name, "image": "", "painting": None, "cells": {}}
            )
            column = columns.setdefault(place.column, {"name": place.column_name, "image": ""})
            row["cells"][place.column] = shown
            if entry.outcome and len(rows) <= _most():
                row["image"] = self.thumbnail(entry.task.content)
                painting = self.thumbnail(entry.task.styles[0])  # of several the first is shown
                if place.paired:
                    row["painting"] = {"name": _styles_name(entry.task), "image": painting}
                elif not self.labels and len(columns) <= _most():
                    column["image"] = painting
        for each in rows.values():
            each["cells"] = [each["cells"].get(column) for column in columns]
        return {"columns": list(columns.values()), "rows": list(rows.values())}

    def _places(self) -> Iterator["_Place"]:
        """Where each picture is in the grid."""
        tasks = [entry.task for entry in self.entries]
        if self.labels:
            for label, task in zip(self.labels, tasks, strict=True):
                row_name = label.row or _name(task.content)
                yield _Place(label.row, row_name, label.column, label.column)
            return
        cells = len({task.content for task in tasks}) * len({task.styles for task in tasks})
        for number, task in enumerate(tasks):
            if cells > 2 * len(tasks):  # the grid would be empty
                yield _Place(number, _name(task.content), 0, "results", True)
            else:
                yield _Place(task.content, _name(task.content), task.styles, _styles_name(task))

    def _recipe(self) -> str:
        """The recipe of a single picture, once it is there."""
        outcome = self.entries[0].outcome if self.single else None
        if not outcome or not outcome.has_picture:
            return ""
        try:
            return show_recipe(self.entries[0].task.output)
        except PictureError:
            return ""

    def _thumbnail(self, path: str) -> str:
        """A picture in a file, small, as an address with the data in it; "" for none."""
        if not os.path.isfile(path):  # a pipe can be read only once
            return ""
        try:
            return encoded(load_picture(path, side=2 * self.side), self.side)
        except StylizeError:
            return ""


def check_page(arguments: Arguments, new_folder: bool = False) -> None:
    """Check, before the work, that the page can be written.

    Args:
        arguments: of the command.
        new_folder: whether its folder may be one that is made later: that of the results.

    Raises:
        OptionError: it is not the name of a page.
        OutputError: it cannot be written.
    """
    path = arguments.report
    if path is None:
        return
    if not path.lower().endswith((".html", ".htm")):
        raise OptionError(f"--report {path}: give a name that ends in .html")
    folder = os.path.dirname(path) or "."
    try:
        if new_folder and not os.path.isdir(folder):
            files.nearest_existing_folder(folder)
        else:
            files.check_writable(path)
    except OutputError as error:
        raise OutputError(f"--report {error}") from error
    check_replaceable("--report", path, MARK, arguments.existing)


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


def _options(options: Sequence[Options]) -> list[tuple[str, str, str]]:
    """All options: flag, value, and a remark where it is not the default of all pictures."""
    defaults = asdict(Options())
    lines = []
    for name, default in defaults.items():
        values = list(dict.fromkeys(getattr(each, name) for each in options)) or [default]
        remark = "tried" if len(values) > 1 else "" if values == [default] else "not the default"
        lines.append((flag(name), ", ".join(_name(str(value)) for value in values), remark))
    return lines


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
