"""Standard streams of the command: writing to them, and the log on stderr."""

import logging
import sys

import pytest

from stylize import errors
from stylize.cli import terminal


def test_a_pipe_whose_reader_has_gone_is_an_output_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class ClosedPipe:
        """A stream whose reader has gone."""

        def fileno(self) -> int:
            return 99

        def write(self, _: bytes) -> None:
            raise BrokenPipeError(32, "Broken pipe")

        @property
        def buffer(self) -> "ClosedPipe":
            return self

    redirected: list[int] = []
    monkeypatch.setattr(terminal.os, "dup2", lambda _, to: redirected.append(to))
    monkeypatch.setattr(sys, "stdout", ClosedPipe())
    with pytest.raises(errors.OutputError, match="standard output: cannot be written"):
        terminal.write_stdout(b"data")
    assert redirected == [99]


def test_the_log_is_never_written_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even if the shell has closed stderr."""
    monkeypatch.setattr(sys, "stderr", None)
    with terminal.log_to_stderr(quiet=False, verbose=True):
        logging.getLogger("stylize").warning("a message")
    assert capsys.readouterr().out == ""
