"""What watches a run: the bar, the forecast, and Ctrl-C. All are callbacks on `Step`."""

import logging
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from types import FrameType

    from .stylizer import Step

log = logging.getLogger(__name__)


class Bar:
    """A tqdm bar on stderr: size, iteration, losses, and the time left for the whole run.

    It counts pixels evaluated, not iterations: an iteration at the finest size takes many times
    as long as one at the coarsest, and the time left would be off by as much.

    Args:
        hidden: show nothing. Nothing is shown either where stderr is no terminal.
    """

    def __init__(self, hidden: bool = False) -> None:
        self.hidden = hidden or sys.stderr is None or not sys.stderr.isatty()
        self.bar: tqdm[Any] | None = None
        self.done = 0

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, step: "Step") -> None:
        """Show a step."""
        pixels = step.scale.width * step.scale.height
        self.done += pixels
        if self.bar is None:
            self.bar = tqdm(
                initial=pixels,  # the first evaluation's time has passed before the clock starts
                disable=self.hidden,
                file=sys.stderr,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left{postfix}",
                dynamic_ncols=True,
            )
        self.bar.set_description_str(
            f"{step.scale.width}x{step.scale.height} {step.iteration}/{step.iterations}",
            refresh=False,
        )
        losses = step.losses
        self.bar.set_postfix_str(f"content {losses.content:.3g}, style {losses.style:.3g}", False)
        # Where a scale ends early the total shrinks: what is skipped was not painted at once.
        self.bar.total = self.done + step.work_left
        self.bar.update(self.done - self.bar.n)


class Forecast:
    """Says once, and early, that a run will take minutes."""

    #: Evaluations that are timed, after the first, which is slower than the others.
    TIMED = 3
    #: Seconds that a newcomer waits without a word.
    PATIENCE = 120

    def __init__(self) -> None:
        self.started = 0.0
        self.left = 0

    def __call__(self, step: "Step") -> None:
        """Time the first steps."""
        if step.iteration == 1:
            self.started, self.left = time.perf_counter(), step.work_left
        if step.iteration == 1 + self.TIMED and step.work_left < self.left:
            pace = (time.perf_counter() - self.started) / (self.left - step.work_left)
            seconds = pace * step.work_left
            if seconds > self.PATIENCE:
                log.warning(
                    "this will take about %d minutes; a smaller --size or --effort draft takes"
                    " less, and Ctrl-C keeps the picture so far",
                    round(seconds / 60),
                )


class StopOnInterrupt:
    """Lets the first Ctrl-C end the run after the evaluation under way, and its picture be kept.

    The second leaves at once, as does the first while there is no picture yet.
    """

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "StopOnInterrupt":
        self.before = signal.getsignal(signal.SIGINT)
        return self

    def __exit__(self, *_: object) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)

    def __call__(self, step: "Step") -> bool:
        """Whether the run should end."""
        # A shell that runs the command in the background lets it ignore Ctrl-C: so be it.
        if step.iteration == 1 and self.before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._interrupted)
        return self.asked

    def _interrupted(self, number: int, frame: "FrameType | None") -> None:
        self.asked = True
        # The system's own handler ends the process even in the midst of a convolution.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        log.warning("stopping; Ctrl-C again leaves at once, without a picture")
