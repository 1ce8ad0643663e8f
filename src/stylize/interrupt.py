"""Ctrl-C and SIGTERM, which end what is under way in good order."""

import logging
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

#: What the command exits with after Ctrl-C and after SIGTERM, as a shell has it.
INTERRUPTED, TERMINATED = 130, 143
#: Terminals and supervisors send them to all processes of a command.
SIGNALS = (signal.SIGINT, signal.SIGTERM)

log = logging.getLogger(__name__)


class Ended(KeyboardInterrupt):
    """It was asked to end, and has done so in good order.

    Attributes:
        code: `INTERRUPTED` or `TERMINATED`.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class StopOnSignal:
    """Lets the first Ctrl-C or SIGTERM end the run after the evaluation under way.

    The second leaves at once, as does the first while there is no picture yet.
    """

    def __init__(self) -> None:
        #: 0, or what the command is to exit with.
        self.asked = 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "StopOnSignal":
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            if handler is not None:
                signal.signal(number, handler)

    def __call__(self) -> int:
        """`asked`. From the first call on, signals end the run in good order."""
        if not self.before:
            for number in SIGNALS:
                self.before[number] = signal.getsignal(number)
                # A shell that runs the command in the background lets it ignore Ctrl-C: so be it.
                if self.before[number] is not signal.SIG_IGN:
                    signal.signal(number, self._signalled)
        return self.asked

    def _signalled(self, number: int, frame: "FrameType | None") -> None:
        self.asked = INTERRUPTED if number == signal.SIGINT else TERMINATED
        # The system's own handler ends the process even in the midst of a convolution.
        for other in self.before:
            signal.signal(other, signal.SIG_DFL)
        if self.asked == INTERRUPTED:
            log.warning("stopping; Ctrl-C again leaves at once, without a picture")
