"""Folders with the network, in other processes: killed, interrupted, and two at a time."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import statuses

from stylize.cli.main import command
from stylize.images.picture import load_picture
from stylize.settings import recipe

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends signals differently")

#: The command, which also prints on stderr: `step PICTURE ITERATION`.
REPORTING_COMMAND = """
import sys
from stylize.callbacks import progress
from stylize.cli.main import command
show = progress.FolderBars.step
def report(self, number, step):
    print("step", number, step.iteration, file=sys.stderr, flush=True)
    return show(self, number, step)
progress.FolderBars.step = report
if __name__ == "__main__":
    command(sys.argv[1:])
"""
#: The command, which is terminated while it loads the network.
TERMINATED_COMMAND = """
import os, signal, sys
from stylize.cli import resources
from stylize.cli.main import command
resources.Resources.stylizer = lambda *_: os.kill(os.getpid(), signal.SIGTERM)
command(sys.argv[1:])
"""
ARGS = ["photos", "styles", "--json", "-s", "32", "--threads", "1", "-n", "12"]
NAMES = ["a-x.png", "b-x.png", "c-x.png"]


@pytest.fixture(scope="module")
def expected(
    tmp_path_factory: pytest.TempPathFactory, photo: str, painting: str
) -> Iterator[dict[str, bytes]]:
    """The results of an uninterrupted run, in a folder that becomes the current one.

    It contains three photos, a painting, and the command as a file.
    """
    folder = tmp_path_factory.mktemp("folder")
    for name, source in (("photos", photo), ("styles", painting)):
        (folder / name).mkdir()
        image = load_picture(source).image
        for number, letter in enumerate("abc" if name == "photos" else "x"):
            image.resize((60 + 9 * number, 48)).save(folder / name / f"{letter}.png")
    (folder / "reporting_command.py").write_text(REPORTING_COMMAND)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run("uninterrupted") == dict.fromkeys(NAMES, "done")
        yield {name: Path("uninterrupted", name).read_bytes() for name in NAMES}


def run(out: str, *more: str) -> dict[str, str]:
    """Run the command in this process, which has loaded torch; return the status of each result."""
    result = CliRunner().invoke(command, [*ARGS, "-o", out, *more])
    assert result.exit_code == 0, result.output
    return statuses(result.stdout)


def start(out: str, *more: str) -> "subprocess.Popen[str]":
    """Start the command in another process."""
    return subprocess.Popen(
        [sys.executable, "reporting_command.py", *ARGS, "-o", out, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(process: "subprocess.Popen[str]", prefix: str) -> None:
    """Wait for a line on stderr that starts like this."""
    assert process.stderr is not None
    messages = ""
    for line in process.stderr:
        messages += line
        if line.startswith(prefix):
            return
    pytest.fail(messages)


def check(expected: dict[str, bytes], out: str) -> None:
    """Check that a folder has the same files as that of the uninterrupted run."""
    assert sorted(os.listdir(out)) == NAMES
    for name in NAMES:
        assert Path(out, name).read_bytes() == expected[name], name


def test_a_killed_run_is_completed_by_the_next_one(expected: dict[str, bytes]) -> None:
    with start("killed") as process:
        wait_for(process, "step 1 3")
        process.kill()
    assert len(os.listdir("killed")) == 2, "a picture, and a file that locks nothing any more"
    assert run("killed") == {"a-x.png": "skipped", "b-x.png": "done", "c-x.png": "done"}
    check(expected, "killed")
    assert set(run("killed").values()) == {"skipped"}


@pytest.mark.usefixtures("expected")
def test_two_runs_share_a_folder() -> None:
    with start("shared", "-n", "40") as process:
        wait_for(process, "step 0 1")
        in_this_process = run("shared", "-n", "40")
        in_the_other = statuses(process.communicate(timeout=120)[0])
        assert process.returncode == 0
    assert set(in_this_process) == set(in_the_other) == set(NAMES) == set(os.listdir("shared"))
    for name in NAMES:
        assert sorted((in_this_process[name], in_the_other[name])) == ["done", "skipped"], name
    assert in_the_other["a-x.png"] == "done"


def test_workers_give_the_same_bytes(expected: dict[str, bytes]) -> None:
    assert run("jobs", "--jobs", "2") == dict.fromkeys(NAMES, "done")
    check(expected, "jobs")


@pytest.mark.usefixtures("expected")
def test_sigterm_before_the_first_step_tells_what_was_not_started() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TERMINATED_COMMAND, *ARGS, "-o", "terminated"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (143, "")
    assert err.startswith("stylize: 3 pictures: 3 not started; ")
    assert err.endswith("stylize: terminated; run the same command again to resume\n")


@pytest.mark.usefixtures("expected")
@pytest.mark.parametrize("sent_to", ["all processes", "the parent alone"])
def test_ctrl_c_saves_the_pictures_of_all_workers_and_ends_them(sent_to: str) -> None:
    """A terminal sends Ctrl-C to all processes. No other picture is started."""
    args = ["--jobs", "2", "-n", "99999", "-s", "60", "--optimizer", "adam"]
    with start(sent_to, *args) as process:
        wait_for(process, "step 1 3")
        send = os.killpg if sent_to == "all processes" else os.kill
        send(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)  # ends when no process can write any more
        assert process.returncode == 130, err
    by_name = statuses(out)
    # The other picture may not have had an iteration yet.
    assert {"b-x.png"} <= by_name.keys() <= {"a-x.png", "b-x.png"}
    assert set(by_name.values()) == {"interrupted"}
    assert "Traceback" not in err
    assert f"3 pictures: {len(by_name)} interrupted, {3 - len(by_name)} not started" in err
    assert set(os.listdir(sent_to)) == {*by_name, *(f"{name}.checkpoint" for name in by_name)}
    assert all(not recipe.read_recipe(Path(sent_to, name)).complete for name in by_name)
