"""A callback whose failure does not end the run."""

import subprocess
import sys
from typing import Any

import pytest

from stylize import OutputError, Stylizer
from stylize.callbacks.isolated import Isolated


def number(iteration: int) -> Any:
    """Stands for a step, of which nothing but its identity counts."""
    return iteration


def test_every_step_is_passed_on_and_the_return_value_is_ignored() -> None:
    steps: list[int] = []

    def watch(step: Any) -> bool:
        steps.append(step)
        return True

    isolated = Isolated(watch)
    for iteration in range(3):
        assert not isolated(number(iteration))
    assert steps == [0, 1, 2]
    assert isolated.error is None


def test_after_its_first_failure_a_callback_is_not_called_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The failure is stored, for whoever tells the user."""
    steps: list[int] = []
    error = OutputError("film.gif: cannot be written (No space left on device)")

    def fail_at_2(step: Any) -> None:
        steps.append(step)
        if step == 2:
            raise error

    isolated = Isolated(fail_at_2)
    for iteration in range(5):
        assert not isolated(number(iteration))
    assert steps == [0, 1, 2]
    assert isolated.error is error
    assert not caplog.records


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_a_request_to_end_the_program_is_not_caught(error: BaseException) -> None:
    def interrupt(step: Any) -> None:
        raise error

    isolated = Isolated(interrupt)
    with pytest.raises(type(error)):
        isolated(number(0))
    assert isolated.error is None


def test_the_run_goes_on_without_a_callback_that_fails(
    stylizer: Stylizer, photo: str, painting: str
) -> None:
    def fail(step: Any) -> None:
        raise ZeroDivisionError

    isolated = Isolated(fail)
    few: dict[str, Any] = {"size": 32, "iterations": 3, "style_layers": "relu1_1"}
    result = stylizer(photo, painting, on_step=isolated, **few)
    assert result.complete
    assert len(result.losses) == 3
    assert isinstance(isolated.error, ZeroDivisionError)


def test_importing_does_not_import_torch() -> None:
    code = "import sys, stylize.callbacks.isolated; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
