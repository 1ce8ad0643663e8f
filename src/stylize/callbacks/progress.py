"""Progress bars, and a warning that a run will take long."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..silence import warnings_silenced

with warnings_silenced():  # a notebook without ipywidgets has bars of text
    from tqdm.auto import tqdm

if TYPE_CHECKING:
    from ..transfer.step import Step

log = logging.getLogger(__name__)


#: How a bar looks, also on 40 columns.
BAR_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left{postfix}"


def bars_hidden(quiet: bool) -> bool:
    """Whether progress bars are hidden: by `--quiet`, or because stderr is not a terminal."""
    return quiet or sys.stderr is None or not sys.stderr.isatty()


class Bar:
    """A bar on stderr or below a notebook's cell: the picture's name, how much is done, time left.

    With `--verbose` it shows size, iteration and losses too. It counts `Scale.cost`, not
    iterations: an iteration at the finest scale takes many times as long as one at the coarsest,
    and the time left would be wrong by as much.

    Args:
        name: of the picture.
        hidden: show nothing.
        line: on which of several lines, from 0.
    """

    def __init__(self, name: str, hidden: bool = False, line: int = 0) -> None:
        self.name, self.hidden, self.line = name, hidden, line
        self.bar: tqdm[Any] | None = None
        self.done = 0

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the bar as it is; the next step opens another one."""
        if self.bar is not None:
            self.bar.close()
        self.bar = None

    def __call__(self, step: "Step") -> None:
        """Show a step."""
        if self.hidden:
            return
        if self.bar is None:
            # Where the run resumes, what was done before it counts as done. The first evaluation
            # ended before the clock starts.
            self.done = sum(scale.work for scale in step.scales) - step.work_left
            self.bar = tqdm(
                desc=_shortened(self.name),
                initial=self.done,
                total=self.done + step.work_left,
                file=sys.stderr,
                bar_format=BAR_FORMAT,
                dynamic_ncols=True,
                position=self.line or None,
                leave=None if self.line else True,
            )
        else:
            self.done += step.scale.cost
        name = _shortened(self.name, self.bar.ncols)
        if log.isEnabledFor(logging.INFO):
            name += f" {step.scale.width}x{step.scale.height} {step.iteration}/{step.iterations}"
            content, style = step.losses.content, step.losses.style
            self.bar.set_postfix_str(f"content {content:.3g}, style {style:.3g}", False)
        self.bar.set_description_str(name, refresh=False)
        # Where a scale ends early, the total shrinks: skipped work must not count as done.
        self.bar.total = self.done + step.work_left
        self.bar.update(self.done - self.bar.n)


def _shortened(name: str, columns: int | None = None) -> str:
    """A name that leaves room for the bar: a quarter of the line, or where that is not known 10."""
    room = max(columns or 40, 40) // 4
    return name if len(name) <= room else f"{name[: room - 2]}.."


class FolderBars:
    """One bar for the whole folder, and below it one for each picture in progress.

    Args:
        names: of the pictures.
        work: for each picture, what is to be done, in the unit of `Scale.cost`.
        finished: how many pictures need no work.
        hidden: show nothing.
    """

    def __init__(
        self, names: Sequence[str], work: Sequence[int], finished: int = 0, hidden: bool = False
    ) -> None:
        self.names, self.left = names, list(work)
        self.done = 0
        self.finished = finished
        self.hidden = hidden
        self.bars: dict[int, Bar] = {}
        self.folder: tqdm[Any] = tqdm(
            disable=hidden,
            file=sys.stderr,
            desc=self._text(),
            total=sum(self.left),
            bar_format=BAR_FORMAT,
            dynamic_ncols=True,
            smoothing=0,  # the mean speed: pictures differ in size, and some end early
        )

    def __enter__(self) -> "FolderBars":
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self.bars.values():
            bar.close()
        self.folder.close()

    def step(self, number: int, step: "Step") -> None:
        """Show a step of one of the pictures."""
        if number not in self.bars:
            lines = {bar.line for bar in self.bars.values()}
            line = next(line for line in range(1, len(lines) + 2) if line not in lines)
            self.bars[number] = Bar(self.names[number], self.hidden, line)
        self.bars[number](step)
        self.left[number] = step.work_left
        if not self.done:  # the clock starts once the network is loaded and was used once
            self.folder.reset()
            self.folder.initial = step.scale.cost
        self._update(step.scale.cost)

    def finish(self, number: int) -> None:
        """Count a picture as finished, whether it was painted or not."""
        if number in self.bars:
            self.bars.pop(number).close()
        self.left[number] = 0
        self.finished += 1
        self._update(0)
        self.folder.refresh()

    def _text(self) -> str:
        return f"{self.finished}/{len(self.left)} pictures"

    def _update(self, work: int) -> None:
        self.done += work
        self.folder.set_description_str(self._text(), refresh=False)
        # Work that is skipped must not count as done.
        self.folder.total = self.done + sum(self.left)
        self.folder.update(work)


class Forecast:
    """Says once, early, that a run will take minutes, and why.

    Args:
        words: tells what paints, once the run has begun.
        told: whether a bar tells the time that is left; a second number would differ from it.
        cure: what takes less time.
    """

    #: Evaluations that are timed; the one before them is slower than the others.
    TIMED = 3
    #: Seconds that a newcomer waits without a word.
    PATIENCE = 120
    #: Pixels that keep a GPU busy. At smaller scales most of the time goes to launching kernels,
    #: which says nothing about the larger ones.
    BUSY = 1_000_000

    def __init__(self, words: Callable[[], str], told: bool, cure: str) -> None:
        self.words, self.told, self.cure = words, told, cure
        self.first = 0
        self.started = 0.0
        self.left = 0

    def __call__(self, step: "Step") -> None:
        """Time a few steps, and speak after them."""
        if step.image.device.type != "cpu" and step.scale.pixels < self.BUSY:
            return
        if not self.first:
            self.first, self.left = step.iteration, step.work_left
            self.started = time.perf_counter()
        if step.iteration == self.first + self.TIMED and step.work_left < self.left:
            pace = (time.perf_counter() - self.started) / (self.left - step.work_left)
            seconds = pace * step.work_left
            if seconds > self.PATIENCE:
                how_long = "long" if self.told else f"about {round(seconds / 60)} minutes"
                log.warning(
                    "this will take %s (%s); %s takes less, and Ctrl-C keeps the picture so far",
                    how_long,
                    self.words(),
                    self.cure,
                )
