"""The installed command as a process of its own: signals, pipes, exit codes, with the network."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

COMMAND = [sys.executable, "-m", "stylize"]


def test_pipes(photo: str, painting: str) -> None:
    """stdout is clean to the byte, also with -v, and stdin is read."""
    ran = subprocess.run(
        [*COMMAND, "-", painting, "-o", "-", "-s", "48", "-n", "3", "-v"],
        input=Path(photo).read_bytes(),
        capture_output=True,
        check=True,
    )
    with Image.open(io.BytesIO(ran.stdout)) as image:
        assert image.size == (48, 32)
        image.load()
    assert ran.stdout.startswith(b"\x89PNG\r\n"), "a PNG"
    assert ran.stdout.endswith(b"IEND\xaeB`\x82"), "and nothing else"
    assert b"48 x 32 pixels" in ran.stderr


def test_the_same_file_in_every_process(photo: str, painting: str, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        args = [photo, painting, "-o", str(tmp_path / name), "-s", "64", "-n", "20"]
        subprocess.run([*COMMAND, *args], check=True)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


#: The command, telling on stderr how far it is.
TELLING = """
import sys
from stylize import progress
from stylize.cli.main import command
seen = progress.Seen.of
def told(step):
    print("step", step.iteration, file=sys.stderr, flush=True)
    return seen(step)
progress.Seen.of = told
command(sys.argv[1:])
"""


def interrupted(presses: int, *args: str) -> tuple[int, bytes]:
    """Run, press Ctrl-C some times in the midst of the work, and see how it ends."""
    with subprocess.Popen(
        [sys.executable, "-c", TELLING, *args], stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        said = b""
        for line in process.stderr:
            said += line
            if line == b"step 3\n" or (b"stopping" in line and presses == 2):
                process.send_signal(signal.SIGINT)
        return process.wait(60), said


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent otherwise on Windows")
def test_ctrl_c_keeps_the_picture(photo: str, painting: str, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    code, said = interrupted(1, photo, painting, "-o", str(out), "-s", "96", "-n", "99999")
    assert code == 130
    assert b"holds the picture so far" in said
    with Image.open(out) as image:
        assert image.size == (96, 64)
        image.load()
    assert sorted(os.listdir(tmp_path)) == ["out.png", "out.png.checkpoint"]


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent otherwise on Windows")
def test_a_second_ctrl_c_leaves_at_once(photo: str, painting: str, tmp_path: Path) -> None:
    # One evaluation takes long enough, and the second Ctrl-C falls into it.
    big = ["-s", "500", "--scales", "1", "-n", "99999", "--style-layers", "relu1_1,relu2_1"]
    code, said = interrupted(2, photo, painting, "-o", str(tmp_path / "out.png"), *big)
    assert code == -signal.SIGINT, "which a shell reports as 130"
    assert b"Traceback" not in said
    assert not os.listdir(tmp_path)


def test_a_reader_that_goes_away(photo: str, painting: str) -> None:
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


def test_both_entries_are_the_same() -> None:
    said = [
        subprocess.run(args, capture_output=True, check=True).stdout
        for args in ([*COMMAND, "--help"], [Path(sys.executable).with_name("stylize"), "--help"])
    ]
    assert said[0] == said[1]
    assert b"Usage: stylize [OPTIONS] CONTENT STYLE..." in said[0]


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell is asked for")
@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("{} in.jpg in.jpg -s 48 -n 1 -o out.png 2>&-", 0, ""),
        ("{} - in.jpg -o out.png <&-", 3, "standard input: is closed"),
        ("{} in.jpg in.jpg -o - >&-", 4, "standard output: is closed"),
        ("{} - style.jpg -o in.jpg <in.jpg", 2, "is an input too"),
        ("{} in.jpg style.jpg -o - >>in.jpg", 2, "is an input too"),
        ("{} none.jpg in.jpg -o out.png 2>/dev/full", 3, ""),
    ],
)
def test_odd_standard_streams(
    line: str, code: int, said: str, photo: str, painting: str, tmp_path: Path
) -> None:
    for name, source in (("in.jpg", photo), ("style.jpg", painting)):
        (tmp_path / name).write_bytes(Path(source).read_bytes())
    shell = line.format(f"'{sys.executable}' -m stylize")
    ran = subprocess.run(shell, shell=True, cwd=tmp_path, capture_output=True, check=False)
    assert ran.returncode == code, ran.stderr
    assert said in ran.stderr.decode()
    assert (tmp_path / "in.jpg").read_bytes() == Path(photo).read_bytes()
    assert (tmp_path / "out.png").exists() == (code == 0)
