"""Folders with the network, in processes of their own: killed, interrupted, two at a time."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import statuses

from stylize.cli.main import command
from stylize.images import picture as images
from stylize.settings import recipe

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")

#: The command, telling on stderr how far it is: `step PICTURE ITERATION`.
TELLING = """
import sys
from stylize import progress
from stylize.cli.main import command
step = progress.FolderBars.step
def told(self, number, seen):
    print("step", number, seen.iteration, file=sys.stderr, flush=True)
    return step(self, number, seen)
progress.FolderBars.step = told
if __name__ == "__main__":
    command(sys.argv[1:])
"""
HOW = ["photos", "styles", "--json", "-s", "32", "--threads", "1", "-n", "12"]
NAMES = ["a-x.png", "b-x.png", "c-x.png"]


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, photo: str, painting: str
) -> dict[str, bytes | Path]:
    """Three photos, a painting, and what comes of them in one unbroken run."""
    folder = tmp_path_factory.mktemp("folder")
    for name, source in (("photos", photo), ("styles", painting)):
        (folder / name).mkdir()
        image = images.load(source).image
        for number, letter in enumerate("abc" if name == "photos" else "x"):
            image.resize((60 + 9 * number, 48)).save(folder / name / f"{letter}.png")
    (folder / "telling.py").write_text(TELLING)
    before = os.getcwd()
    os.chdir(folder)
    assert run("unbroken") == dict.fromkeys(NAMES, "done")
    os.chdir(before)
    return {"folder": folder, **{n: (folder / "unbroken" / n).read_bytes() for n in NAMES}}


@pytest.fixture(autouse=True)
def _here(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder["folder"])


def run(out: str, *more: str) -> dict[str, str]:
    """In this process, which has torch already."""
    result = CliRunner().invoke(command, [*HOW, "-o", out, *more])
    assert result.exit_code == 0, result.output
    return statuses(result.stdout)


def started(out: str, *more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "telling.py", *HOW, "-o", out, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(process: "subprocess.Popen[str]", said: str) -> None:
    assert process.stderr is not None
    heard = ""
    for line in process.stderr:
        heard += line
        if line.startswith(said):
            return
    pytest.fail(heard)


def check(folder: Any, out: str) -> None:
    """All are there, to the byte, and nothing else."""
    assert sorted(os.listdir(out)) == NAMES
    for name in NAMES:
        assert Path(out, name).read_bytes() == folder[name], name


def test_killed_and_run_again(folder: Any) -> None:
    with started("killed") as process:
        wait_for(process, "step 1 3")
        process.kill()
    assert len(os.listdir("killed")) == 2, "a picture, and what is no lock any more"
    assert run("killed") == {"a-x.png": "skipped", "b-x.png": "done", "c-x.png": "done"}
    check(folder, "killed")
    assert set(run("killed").values()) == {"skipped"}


def test_two_runs_share_a_folder(folder: Any) -> None:
    with started("shared", "-n", "40") as process:
        wait_for(process, "step 0 1")
        ours = run("shared", "-n", "40")
        theirs = statuses(process.communicate(timeout=120)[0])
        assert process.returncode == 0
    assert set(ours) == set(theirs) == set(NAMES) == set(os.listdir("shared"))
    for name in NAMES:
        assert sorted((ours[name], theirs[name])) == ["done", "skipped"], name
    assert theirs["a-x.png"] == "done"


def test_workers_give_the_same_bytes(folder: Any) -> None:
    assert run("jobs", "--jobs", "2") == dict.fromkeys(NAMES, "done")
    check(folder, "jobs")


@pytest.mark.parametrize("how", ["terminal", "parent alone"])
def test_ctrl_c_with_workers(how: str, folder: Any) -> None:
    """The pictures so far are kept, the others not begun, the workers gone."""
    with started(how, "--jobs", "2", "-n", "99999", "-s", "60", "--optimizer", "adam") as process:
        wait_for(process, "step 1 3")
        send = os.killpg if how == "terminal" else os.kill
        send(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)  # to its end: nobody is left to write
        assert process.returncode == 130, err
    found = statuses(out)
    # The other one may not have had a picture yet.
    assert {"b-x.png"} <= found.keys() <= {"a-x.png", "b-x.png"}
    assert set(found.values()) == {"interrupted"}
    assert "Traceback" not in err
    assert f"3 pictures: {len(found)} interrupted, {3 - len(found)} not begun" in err
    assert set(os.listdir(how)) == {*found, *(f"{name}.checkpoint" for name in found)}
    assert all(not recipe.read(Path(how, name)).complete for name in found)
