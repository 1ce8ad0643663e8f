"""What watches a run: the bars, and the forecast."""

import logging
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tqdm import tqdm

if TYPE_CHECKING:
    from ..transfer.step import Step

log = logging.getLogger(__name__)


class Seen(NamedTuple):
    """What a bar shows of a step; small enough to be sent from process to process.

    Attributes:
        width, height: of the scale, in pixels.
        iteration, iterations: as in `Step`.
        work_left: in this picture, as in `Step`.
        content, style: losses.
    """

    width: int
    height: int
    iteration: int
    iterations: int
    work_left: int
    content: float
    style: float

    @classmethod
    def of(cls, step: "Step") -> "Seen":
        """What is seen of a step."""
        scale, losses = step.scale, step.losses
        return cls(
            scale.width,
            scale.height,
            step.iteration,
            step.iterations,
            step.work_left,
            losses.content,
            losses.style,
        )

    @property
    def work(self) -> int:
        """Pixels evaluated at this step."""
        return self.width * self.height


def hidden(quiet: bool) -> bool:
    """Whether bars are not to be shown: not wanted, or stderr is no terminal."""
    return quiet or sys.stderr is None or not sys.stderr.isatty()


class Bar:
    """A tqdm bar on stderr: size, iteration, losses, and the time left for the picture.

    It counts pixels evaluated, not iterations: an iteration at the finest size takes many times
    as long as one at the coarsest, and the time left would be off by as much.

    Args:
        hidden: show nothing.
        line: on which line of several, from 0.
    """

    def __init__(self, hidden: bool = False, line: int = 0) -> None:
        self.hidden, self.line = hidden, line
        self.bar: tqdm[Any] | None = None
        self.done = 0

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the bar as it is; the next step begins another."""
        if self.bar is not None:
            self.bar.close()
        self.bar, self.done = None, 0

    def __call__(self, seen: Seen) -> None:
        """Show a step."""
        self.done += seen.work
        said = f"{seen.width}x{seen.height} {seen.iteration}/{seen.iterations}"
        if self.bar is None:
            self.bar = tqdm(
                desc=said,
                initial=seen.work,  # the first evaluation's time has passed before the clock starts
                disable=self.hidden,
                file=sys.stderr,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left{postfix}",
                dynamic_ncols=True,
                position=self.line or None,
                leave=None if self.line else True,
            )
        self.bar.set_description_str(said, refresh=False)
        self.bar.set_postfix_str(f"content {seen.content:.3g}, style {seen.style:.3g}", False)
        # Where a scale ends early the total shrinks: what is skipped was not painted at once.
        self.bar.total = self.done + seen.work_left
        self.bar.update(self.done - self.bar.n)


class FolderBars:
    """A bar for the whole folder, and under it one for each picture under way.

    Args:
        work: of each picture, as planned: pixels to be evaluated.
        ended: how many pictures need no work, and are settled.
        hidden: show nothing.
    """

    def __init__(self, work: Sequence[int], ended: int = 0, hidden: bool = False) -> None:
        self.left = list(work)
        self.done = 0
        self.ended = ended
        self.hidden = hidden
        self.under_way: dict[int, Bar] = {}
        self.folder: tqdm[Any] = tqdm(
            disable=hidden,
            file=sys.stderr,
            desc=self._said(),
            total=sum(self.left),
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left",
            dynamic_ncols=True,
            smoothing=0,  # the mean pace: pictures differ in size, and some end early
        )

    def __enter__(self) -> "FolderBars":
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self.under_way.values():
            bar.close()
        self.folder.close()

    def step(self, number: int, seen: Seen) -> None:
        """Show a step of one of the pictures."""
        if number not in self.under_way:
            lines = {bar.line for bar in self.under_way.values()}
            line = next(line for line in range(1, len(lines) + 2) if line not in lines)
            self.under_way[number] = Bar(self.hidden, line)
        self.under_way[number](seen)
        self.left[number] = seen.work_left
        if not self.done:  # the clock starts when the network is there, and has been used once
            self.folder.reset()
            self.folder.initial = seen.work
        self._show(seen.work)

    def end(self, number: int) -> None:
        """A picture is done, or will not be."""
        if number in self.under_way:
            self.under_way.pop(number).close()
        self.left[number] = 0
        self.ended += 1
        self._show(0)
        self.folder.refresh()

    def _said(self) -> str:
        return f"{self.ended}/{len(self.left)} pictures"

    def _show(self, work: int) -> None:
        self.done += work
        self.folder.set_description_str(self._said(), refresh=False)
        # What will not be painted, was not painted at once.
        self.folder.total = self.done + sum(self.left)
        self.folder.update(work)


class Forecast:
    """Says once, and early, that a run will take minutes."""

    #: Evaluations that are timed, after the first, which is slower than the others.
    TIMED = 3
    #: Seconds that a newcomer waits without a word.
    PATIENCE = 120

    def __init__(self) -> None:
        self.started = 0.0
        self.left = 0

    def __call__(self, seen: Seen) -> None:
        """Time the first steps."""
        if seen.iteration == 1:
            self.started, self.left = time.perf_counter(), seen.work_left
        if seen.iteration == 1 + self.TIMED and seen.work_left < self.left:
            pace = (time.perf_counter() - self.started) / (self.left - seen.work_left)
            seconds = pace * seen.work_left
            if seconds > self.PATIENCE:
                log.warning(
                    "this will take about %d minutes; a smaller --size or --effort draft takes"
                    " less, and Ctrl-C keeps the picture so far",
                    round(seconds / 60),
                )
