"""The installed command in a process, with the network: signals, pipes and exit codes."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

COMMAND = [sys.executable, "-m", "stylize"]


def test_a_picture_is_read_from_a_pipe_and_written_to_a_pipe(photo: str, painting: str) -> None:
    """Standard output has the picture and nothing else, also with -v."""
    process = subprocess.run(
        [*COMMAND, "-", painting, "-o", "-", "-s", "48", "-n", "3", "-v"],
        input=Path(photo).read_bytes(),
        capture_output=True,
        check=True,
    )
    with Image.open(io.BytesIO(process.stdout)) as image:
        assert image.size == (48, 32)
        image.load()
    assert process.stdout.startswith(b"\x89PNG\r\n")
    assert process.stdout.endswith(b"IEND\xaeB`\x82")
    assert b"wrote the picture to standard output (48 x 32 in " in process.stderr


def test_every_process_writes_the_same_bytes(photo: str, painting: str, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        args = [photo, painting, "-o", str(tmp_path / name), "-s", "64", "-n", "20"]
        subprocess.run([*COMMAND, *args], check=True)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


#: The command, which also prints each iteration on stderr.
REPORTING_COMMAND = """
import sys
from stylize.callbacks import progress
from stylize.cli.main import command
call = progress.Bar.__call__
def report(self, step):
    print("step", step.iteration, file=sys.stderr, flush=True)
    return call(self, step)
progress.Bar.__call__ = report
command(sys.argv[1:])
"""


def interrupt(presses: int, *args: str) -> tuple[int, bytes]:
    """Run the command and press Ctrl-C once or twice; return its exit code and stderr."""
    with subprocess.Popen(
        [sys.executable, "-c", REPORTING_COMMAND, *args], stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        messages = b""
        for line in process.stderr:
            messages += line
            if line == b"step 3\n" or (b"stopping" in line and presses == 2):
                process.send_signal(signal.SIGINT)
        return process.wait(60), messages


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C differently")
def test_ctrl_c_saves_the_picture_so_far_and_a_checkpoint(
    photo: str, painting: str, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    code, messages = interrupt(1, photo, painting, "-o", str(out), "-s", "96", "-n", "99999")
    assert code == 130
    assert b"holds the picture so far, and " in messages
    assert b"out.png.checkpoint what the same command needs to resume" in messages
    with Image.open(out) as image:
        assert image.size == (96, 64)
        image.load()
    assert sorted(os.listdir(tmp_path)) == ["out.png", "out.png.checkpoint"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C differently")
def test_a_second_ctrl_c_ends_the_process_at_once(
    photo: str, painting: str, tmp_path: Path
) -> None:
    # An evaluation takes so long that the second Ctrl-C comes during it.
    big = ["-s", "500", "--scales", "1", "-n", "99999", "--style-layers", "relu1_1,relu2_1"]
    code, messages = interrupt(2, photo, painting, "-o", str(tmp_path / "out.png"), *big)
    assert code == -signal.SIGINT, "which a shell reports as 130"
    assert b"Traceback" not in messages
    assert not os.listdir(tmp_path)


def test_a_reader_that_closes_the_pipe_is_an_output_error(photo: str, painting: str) -> None:
    process = subprocess.Popen(
        [*COMMAND, photo, painting, "-o", "-", "-s", "64", "-n", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate()
    assert process.returncode == 4
    assert err.startswith(b"stylize: standard output: cannot be written")
    assert err.count(b"\n") == 1


def test_python_m_stylize_is_the_same_command() -> None:
    helps = [
        subprocess.run(args, capture_output=True, check=True).stdout
        for args in ([*COMMAND, "--help"], [Path(sys.executable).with_name("stylize"), "--help"])
    ]
    assert helps[0] == helps[1]
    assert b"Usage: stylize CONTENT STYLE... -o OUTPUT [OPTIONS]" in helps[0]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("{} in.jpg in.jpg -s 48 -n 1 -o out.png 2>&-", 0, ""),
        ("{} - in.jpg -o out.png <&-", 3, "standard input: is closed"),
        ("{} in.jpg in.jpg -o - >&-", 4, "standard output: is closed"),
        ("{} - style.jpg -o in.jpg <in.jpg", 2, "is an input too"),
        ("{} in.jpg style.jpg -o - >>in.jpg", 2, "is an input too"),
        ("{} none.jpg in.jpg -o out.png 2>/dev/full", 3, ""),
    ],
)
def test_closed_and_redirected_standard_streams(
    line: str, code: int, message: str, photo: str, painting: str, tmp_path: Path
) -> None:
    for name, source in (("in.jpg", photo), ("style.jpg", painting)):
        (tmp_path / name).write_bytes(Path(source).read_bytes())
    shell = line.format(f"'{sys.executable}' -m stylize")
    process = subprocess.run(shell, shell=True, cwd=tmp_path, capture_output=True, check=False)
    assert process.returncode == code, process.stderr
    assert message in process.stderr.decode()
    assert (tmp_path / "in.jpg").read_bytes() == Path(photo).read_bytes()
    assert (tmp_path / "out.png").exists() == (code == 0)
