"""Ctrl-C, which ends what is under way in good order."""

import logging
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

log = logging.getLogger(__name__)


class StopOnInterrupt:
    """Lets the first Ctrl-C end the run after the evaluation under way, and its picture be kept.

    The second leaves at once, as does the first while there is no picture yet.
    """

    def __init__(self) -> None:
        self.asked = self.armed = False

    def __enter__(self) -> "StopOnInterrupt":
        self.before = signal.getsignal(signal.SIGINT)
        return self

    def __exit__(self, *_: object) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)

    def __call__(self) -> bool:
        """Whether the run should end. From the first call on, Ctrl-C ends it in good order."""
        # A shell that runs the command in the background lets it ignore Ctrl-C: so be it.
        if not self.armed and self.before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._interrupted)
        self.armed = True
        return self.asked

    def _interrupted(self, number: int, frame: "FrameType | None") -> None:
        self.asked = True
        # The system's own handler ends the process even in the midst of a convolution.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        log.warning("stopping; Ctrl-C again leaves at once, without a picture")
