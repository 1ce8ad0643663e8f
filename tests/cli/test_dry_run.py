"""`--dry-run`: what it prints and estimates, and that it paints and writes nothing."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Painter, files_in
from PIL import Image

from stylize.settings.options import EFFORTS
from stylize.transfer.scales import FIXED_COST


@pytest.mark.usefixtures("painter")
def test_every_picture_is_listed_with_an_estimate_and_nothing_is_written(
    run_on_folders: Any,
) -> None:
    assert run_on_folders("photos/a.png", "styles/x.png", "-o", "out/").exit_code == 0
    Path("photos/c.png").write_text("Dear diary")
    Painter.calls.clear()
    before = files_in(".")
    args = ["photos", "styles", "-o", "out", "--dry-run", "--device", "cpu"]
    result = run_on_folders(*args)
    assert (result.exit_code, result.stderr) == (123, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "skipped  out/a-x.png  is up to date"
    assert re.fullmatch(r"planned  out/b-x\.png  41 x 30, \d+(\.\d)? s, \d\.\d GB", lines[1])
    assert lines[4].startswith("failed   out/c-x.png  photos/c.png: not a picture")
    assert lines[-2] == "6 pictures: 1 skipped, 3 planned, 2 failed"
    assert re.match(r"about \d+(\.\d)? s and \d\.\d GB on cpu in ", lines[-1])
    rows = [json.loads(line) for line in run_on_folders(*args, "--json").stdout.splitlines()]
    assert [row["status"] for row in rows].count("planned") == 3
    planned = next(row for row in rows if row["status"] == "planned")
    assert (planned["width"], planned["iterations"]) == (41, EFFORTS["normal"])
    work = EFFORTS["normal"] * (41 * 30 + FIXED_COST)
    assert planned["seconds"] == pytest.approx(Painter.pace.picture + Painter.pace.work * work)
    assert (planned["device"], planned["precision"] in ("float32", "bfloat16")) == ("cpu", True)
    assert planned["peak_memory"] > 10**8
    single = run_on_folders("photos/a.png", "styles/x.png", "-o", "b.png", "--dry-run", "-j", "2")
    assert (single.exit_code, single.stdout.count("\n")) == (0, 3)
    assert files_in(".") == before
    assert not Painter.calls


def test_a_mask_is_checked_the_way_round_in_which_it_is_used(run_on_folders: Any) -> None:
    Image.new("L", (40, 30)).save("black.png")
    args = ["photos/a.png", "styles/x.png", "-o", "new.png", "--dry-run", "--mask"]
    assert run_on_folders(*args, "not:black.png").exit_code == 0
    refused = run_on_folders(*args, "black.png")
    assert refused.exit_code == 3
    assert "black.png: is black all over" in refused.stderr


def test_a_folder_that_cannot_be_written_is_seen(
    run_on_folders: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("out").mkdir()
    out, access = os.path.realpath("out"), os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != out and access(path, mode))
    for output in ("out", "out/new"):
        planned = run_on_folders("photos", "styles/x.png", "-o", output, "--dry-run")
        assert planned.exit_code == 123
        assert f"{out} cannot be written to" in planned.stdout


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ("photos/a.png styles/x.png -o new.xyz", 4, "unknown suffix"),
        ("photos/a.png styles/x.png -o none/new.png", 4, "no folder"),
        ("photos/a.png styles/x.png -o styles/x.png", 2, "is an input too"),
        ("none.png styles/x.png -o new.png", 3, "none.png: no such file"),
        ("- styles/x.png -o new.png", 2, "does not read standard input"),
        ("a.txt styles/x.png -o new.png", 3, "a.txt: not a picture"),
        ("photos/a.png styles/x.png -o new.png --mask a.txt", 3, "a.txt: not a picture"),
        (
            "photos/a.png styles/x.png -o new.png --mask photos/b.png",
            3,
            "photos/b.png: is a colour",
        ),
        ("photos/a.png styles/x.png -o new.png --weights none.pth", 5, "none.pth: no such file"),
    ],
)
def test_the_errors_are_those_of_the_command_itself(
    args: str, code: int, message: str, run_on_folders: Any
) -> None:
    Path("a.txt").write_text("Dear diary")
    before = files_in(".")
    result = run_on_folders(*args.split(), "--dry-run")
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert files_in(".") == before


@pytest.mark.usefixtures("painter")
@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--mask photos/b.png", "photos/b.png: is a colour picture"),
        ("--init a.txt", "a.txt: not a picture"),
        ("--weights none.pth", "none.pth: no such file"),
        ("--format webp -s 20000", "16383"),
    ],
)
def test_in_folders_too_what_a_run_would_refuse_has_failed(
    args: str, message: str, run_on_folders: Any
) -> None:
    Path("a.txt").write_text("Dear diary")
    result = run_on_folders("photos", "styles/x.png", "-o", "out", "--dry-run", *args.split())
    assert result.exit_code == 123
    assert result.stdout.count(message) == 2
    assert "2 pictures: 2 failed" in result.stdout


def test_a_dry_run_knows_the_checkpoint_of_the_same_picture(small: Any, interrupted: Any) -> None:
    interrupted(9)
    resumed = "out.png  40 x 33, "
    word = "resumes from out.png.checkpoint, with less left than this"
    planned = small("--dry-run").stdout
    assert resumed in planned
    assert word in planned
    assert word not in small("--dry-run", "--seed", "2").stdout
    assert word not in small("--dry-run", "--no-resume").stdout
