"""What `--trace` writes."""

import itertools
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stylize import OutputError
from stylize.callbacks.trace import Trace
from stylize.transfer.step import Losses


def lines(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_a_line_for_each_iteration(small: Any) -> None:
    result = small("--trace", "run.jsonl", "--scales", "2", "-s", "48", "--json")
    assert result.exit_code == 0
    found = lines("run.jsonl")
    assert [line["iteration"] for line in found] == list(range(1, 31))
    assert [(line["width"], line["height"]) for line in found] == [(24, 20)] * 19 + [(48, 40)] * 11
    assert all(line["seconds"] > 0 for line in found)
    assert found[-1]["elapsed"] == pytest.approx(sum(line["seconds"] for line in found), abs=0.01)
    assert [line["step"] > 0 for line in found] == [i not in (0, 19) for i in range(30)]
    assert all(line["best"] <= line["total"] for line in found)
    lowest = itertools.accumulate((line["total"] for line in found[:19]), min)
    assert [line["best"] for line in found[:19]] == list(lowest)
    losses = json.loads(result.stdout)["losses"]
    assert found[-1]["best"] == losses["total"]
    for line in found:  # with the default weights
        assert line["total"] == pytest.approx(line["content"] + line["style"] + line["gamut"])


def test_a_run_that_resumes_continues_its_trace(small: Any, interrupted: Any) -> None:
    """The lines are those of one unbroken run, except for the seconds."""
    assert small("--trace", "whole.jsonl").exit_code == 0

    interrupted(21, "--trace", "run.jsonl")
    broken = lines("run.jsonl")
    with open("run.jsonl", "a") as file:
        file.write('{"iteration": 22, "cut sho')
    assert "resuming at iteration" in small("--trace", "run.jsonl").stderr
    assert broken[:15] == lines("run.jsonl")[:15]
    whole, found = (
        [{k: v for k, v in line.items() if k not in ("seconds", "elapsed")} for line in lines(name)]
        for name in ("whole.jsonl", "run.jsonl")
    )
    assert found == whole
    elapsed = [line["elapsed"] for line in lines("run.jsonl")]
    assert elapsed == sorted(elapsed)


def step(iteration: int, total: float = 1.0) -> Any:
    losses = Losses({"content": 0.25, "style": 0.5, "tv": 0.0, "gamut": 0.25}, total)
    scale = SimpleNamespace(width=4, height=3)
    return SimpleNamespace(
        inputs=(), iteration=iteration, scale=scale, losses=losses, tried=losses, step_length=0.5
    )


def test_an_older_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("something else\n")
    for _ in range(2):
        with Trace(path) as trace:
            trace(step(1))
            assert len(lines(path)) == 1, "at once"
            trace(step(2))
    assert [line["iteration"] for line in lines(path)] == [1, 2]
    path.write_text("something else\n")
    with Trace(path) as trace:
        trace(step(7))
    assert [line["iteration"] for line in lines(path)] == [7]


def test_infinity_is_written_as_null(tmp_path: Path) -> None:
    with Trace(tmp_path / "run.jsonl") as trace:
        trace(step(1, float("inf")))
    assert lines(tmp_path / "run.jsonl")[0]["total"] is None


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no folder"):
        Trace(tmp_path / "none" / "run.jsonl")


def test_a_full_disk_costs_only_the_trace(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """Like a real file, it fails once more when it is closed."""

        def write(self, *_: object) -> None:
            raise OSError(28, "No space left on device")

        close = write

    def full(trace: Trace, iteration: int) -> None:
        trace.file = Full()  # type: ignore[assignment]

    monkeypatch.setattr(Trace, "_open", full)
    result = small("--trace", "run.jsonl", "-n", "3", "--timelapse", "film.gif")
    assert result.exit_code == 4
    assert result.stderr.count("run.jsonl: cannot be written (No space left on device)") == 1
    assert "No space left on device); the picture itself is done" in result.stderr
    assert os.path.isfile("out.png")
    assert os.path.isfile("film.gif")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--trace", "-"], "--trace -: cannot be written to standard output"),
        (["--trace", "photo.png"], "--trace photo.png: is an input too"),
        (["--trace", "out.png"], "--trace out.png: is the file of OUTPUT too"),
        (["--trace", "out.png.checkpoint"], "is the file of --trace too"),
        (["--trace", "a.gif", "--timelapse", "a.gif"], "is the file of --timelapse too"),
        (["--trace", "a.jsonl", "-o", "folder/"], "--trace: is for one picture"),
    ],
)
def test_unsuitable_paths_are_refused(args: list[str], message: str, small: Any) -> None:
    result = small(*args)
    assert result.exit_code == 2
    assert message in result.stderr
