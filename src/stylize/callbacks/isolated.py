"""A callback whose failure does not end the run."""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..transfer.step import Callback, Step

log = logging.getLogger(__name__)


class Isolated:
    """Calls a callback until it fails for the first time; the run goes on without it.

    For callbacks that only watch, like a film: a full disk should cost the film, not the picture.

    Args:
        callback: what to call with every step. Its return value is ignored.

    Attributes:
        error: the exception that the callback raised; None if there was none. Whoever made this
            tells the user.
    """

    def __init__(self, callback: "Callback") -> None:
        self.callback = callback
        self.error: Exception | None = None

    def __call__(self, step: "Step") -> None:
        """Call the callback, unless it has failed before."""
        if self.error is None:
            try:
                self.callback(step)
            except Exception as error:
                self.error = error
                log.info("%s; the run continues without it", error)
