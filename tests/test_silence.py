"""Silence for libraries' warnings, in several threads."""

import logging
import threading
import warnings
from collections.abc import Iterator

import pytest

from stylize.silence import warnings_silenced

LOGGER = logging.getLogger("tifffile")


@pytest.fixture(autouse=True)
def warnings_kept() -> Iterator[None]:
    with warnings.catch_warnings():
        yield
    LOGGER.disabled = False


def test_warnings_and_loggers_are_silent_in_the_block_alone() -> None:
    filters = [*warnings.filters]
    with warnings_silenced():
        warnings.warn("of a library", UserWarning, stacklevel=1)
        assert LOGGER.disabled
    assert [*warnings.filters] == filters
    assert not LOGGER.disabled
    with pytest.warns(UserWarning, match="of a user"):
        warnings.warn("of a user", UserWarning, stacklevel=1)


def test_a_logger_that_was_disabled_before_stays_so() -> None:
    LOGGER.disabled = True
    with warnings_silenced():
        pass
    assert LOGGER.disabled


def test_blocks_that_overlap_in_threads_restore_what_was_before_the_first() -> None:
    """The first thread leaves while the second is in its block: each would restore too little."""
    filters = [*warnings.filters]
    second_in, first_out = threading.Event(), threading.Event()

    def second() -> None:
        with warnings_silenced():
            second_in.set()
            first_out.wait(10)

    thread = threading.Thread(target=second)
    with warnings_silenced():
        thread.start()
        assert second_in.wait(10)
    assert LOGGER.disabled, "the second block goes on"
    first_out.set()
    thread.join()
    assert [*warnings.filters] == filters
    assert not LOGGER.disabled


def test_an_error_ends_the_silence() -> None:
    filters = [*warnings.filters]
    with pytest.raises(ValueError, match="inside"), warnings_silenced():
        raise ValueError("inside")
    assert [*warnings.filters] == filters
