"""Silence for libraries that warn of what does not concern the user, in any number of threads."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

#: Loggers that report damage in metadata which stylize does not use.
_LOGGERS = ("imagecodecs", "tifffile", "PIL.TiffImagePlugin")

_lock = threading.Lock()
_blocks = 0  # that run now, in all threads
_restored = ExitStack()


@contextmanager
def warnings_silenced() -> Iterator[None]:
    """In the block, hide Python's warnings, and what `_LOGGERS` report.

    All threads share Python's warning filters and loggers. If each thread restored what it had
    found, it might restore the silence of another one. So the first block silences them, and
    the last one restores them.
    """
    global _blocks
    with _lock:
        if not _blocks:
            _silence()
        _blocks += 1
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if not _blocks:
                _restored.close()


def _silence() -> None:
    _restored.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        _restored.callback(setattr, logger, "disabled", logger.disabled)
        logger.disabled = True
