"""Steps, and what of them is sent to another process."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stylize import Step, Stylizer
from stylize.transfer.step import Losses


def test_losses_are_terms_by_name_and_their_total() -> None:
    losses = Losses({"content": 1.0, "style": 2.0, "tv": 3.0, "gamut": 4.0}, 7.5)
    assert (losses.content, losses.style, losses.tv, losses.gamut) == (1.0, 2.0, 3.0, 4.0)
    assert list(losses.as_dict().items()) == [
        ("content", 1.0),
        ("style", 2.0),
        ("tv", 3.0),
        ("gamut", 4.0),
        ("total", 7.5),
    ]


@pytest.fixture
def step(stylizer: Stylizer, photo: str, painting: str) -> Step:
    """The last step of a run at two scales."""
    steps: list[Step] = []
    options: dict[str, Any] = {"content_layers": "relu2_2", "style_layers": "relu1_1,relu2_1"}
    stylizer(photo, painting, size=32, scales=2, iterations=8, on_step=steps.append, **options)
    return steps[-1]


def test_a_step_without_its_picture_has_all_its_numbers(step: Step) -> None:
    numbers = pickle.loads(pickle.dumps(step.without_picture()))
    for name in ("iteration", "iterations", "scale", "scales", "losses", "tried", "step_length"):
        assert getattr(numbers, name) == getattr(step, name), name
    assert numbers.work_left == step.work_left
    assert numbers.image is None
    for function in (numbers.picture, numbers.checkpoint):
        with pytest.raises(RuntimeError, match="without its picture"):
            function()
    assert step.picture().shape == (21, 32, 3), "the step itself still has it"


def test_a_step_without_its_picture_is_small(step: Step) -> None:
    assert len(pickle.dumps(step.without_picture())) < 2000


def test_reading_a_step_without_its_picture_does_not_import_torch(
    step: Step, tmp_path: Path
) -> None:
    (tmp_path / "step").write_bytes(pickle.dumps(step.without_picture()))
    code = (
        "import pickle, sys\n"
        "step = pickle.load(open(sys.argv[1], 'rb'))\n"
        "assert step.losses.total > 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    run = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "step")]
    assert subprocess.run(run, check=False).returncode == 0
