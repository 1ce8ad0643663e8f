"""The first moments of the command, in a process: signals, standard streams, variables, memory."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stylize.cli import startup

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other streams")

COMMAND = [sys.executable, "-m", "stylize"]


def run(*command: object, **options: Any) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([*map(str, command)], capture_output=True, check=False, **options)


@pytest.mark.parametrize("shown", [(), ("-v",), ("--debug",)])
def test_what_libraries_print_is_not_in_the_picture_nor_beside_the_messages(
    shown: tuple[str, ...], photo: str, painting: str
) -> None:
    code = """
import os
from stylize.cli import single, startup
paint = single.paint
def paint_with_noise(*arguments):
    os.write(1, b"library to 1\\n")
    os.write(2, b"library to 2\\n")
    return paint(*arguments)
single.paint = paint_with_noise
startup.main()
"""
    args = [photo, painting, "-o", "-", "-s", "32", "-n", "1", *shown]
    process = run(sys.executable, "-c", code, *args)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith(b"\x89PNG\r\n")
    assert process.stdout.endswith(b"IEND\xaeB`\x82")
    Image.open(io.BytesIO(process.stdout)).load()
    for line in (b"library to 1\n", b"library to 2\n"):
        assert process.stderr.count(line) == bool(shown)
    assert b"stylize: wrote the picture" in process.stderr


@pytest.mark.parametrize("option", ["--help", "--version", "--list-layers", "--print-config"])
def test_a_text_that_cannot_be_printed_is_an_output_error(option: str) -> None:
    for target in ("/dev/full", "&-"):
        process = run("sh", "-c", f"'{sys.executable}' -m stylize {option} >{target}")
        assert process.returncode == 4, target
        assert process.stderr.count(b"\n") == 1
        assert process.stderr.startswith(b"stylize: standard output: ")


def test_closed_descriptors_lead_nowhere(tmp_path: Path) -> None:
    """Otherwise the next file that is opened would be number 1, and a print would go into it."""
    code = f"""
import os
from stylize.cli import startup
try:
    startup.main()
finally:
    with open({str(tmp_path / "found")!r}, "w") as file:
        file.write(str([os.stat(number).st_rdev for number in range(3)] + [file.fileno() > 2]))
"""
    (tmp_path / "code.py").write_text(code)
    line = f"'{sys.executable}' '{tmp_path}/code.py' --version <&- >&- 2>&-"
    process = run("sh", "-c", line)
    assert process.returncode == 4
    nowhere = os.stat(os.devnull).st_rdev
    assert (tmp_path / "found").read_text() == str([nowhere] * 3 + [True])


@pytest.mark.parametrize(
    ("imported", "message"),
    [
        ("stylize.cli.main", b""),
        ("cloup", b""),
        ("stylize.cli.folders", b"stylize: interrupted before there was a picture\n"),
        ("torch", b"stylize: interrupted before there was a picture\n"),
    ],
)
def test_ctrl_c_while_the_command_is_loaded(
    imported: str, message: bytes, photo: str, painting: str, tmp_path: Path
) -> None:
    code = f"""
import os, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == {imported!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from stylize.cli.startup import main
main()
"""
    process = run(sys.executable, "-c", code, photo, painting, "-o", tmp_path / "out.png")
    assert (process.returncode, process.stderr) == (130, message)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("ignored", [True, False])
def test_ctrl_c_that_a_shell_ignores_stays_ignored(ignored: bool) -> None:
    code = """
import signal
from stylize.cli import startup
try:
    startup.main()
finally:
    print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
"""
    trap = "trap '' INT; " if ignored else ""
    process = run("sh", "-c", f"{trap}'{sys.executable}' -c '{code}' --version")
    assert process.stdout.decode().splitlines()[1] == str(ignored)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are those of Linux")
@pytest.mark.parametrize("megabytes", [900, 400, 100])
def test_too_little_memory_to_load_a_library(
    megabytes: int, photo: str, painting: str, tmp_path: Path
) -> None:
    line = f"ulimit -v {megabytes}000; exec '{sys.executable}' -m stylize '{photo}' '{painting}'"
    process = run("sh", "-c", f"{line} -o '{tmp_path}/out.png'")
    assert process.returncode == 6, process.stderr
    assert process.stderr.count(b"\n") == 1
    assert b"not enough memory" in process.stderr


@pytest.mark.parametrize(
    ("name", "value", "library"),
    [
        ("TQDM_MININTERVAL", "x", "tqdm"),
        ("TQDM_NCOLS", "wide", "tqdm"),
        ("TORCH_LOGS", "foo", "torch"),
        ("PYTORCH_CUDA_ALLOC_CONF", "foo", "torch"),
    ],
)
def test_a_faulty_variable_of_a_library_is_named(
    name: str, value: str, library: str, photo: str, painting: str, tmp_path: Path
) -> None:
    import torch

    if name == "PYTORCH_CUDA_ALLOC_CONF" and not torch.version.cuda:
        pytest.skip("this build of torch does not read it")
    args = [photo, painting, "-o", tmp_path / "out.png", "-s", "32", "-n", "1"]
    process = run(*COMMAND, *args, env={**os.environ, name: value})
    assert process.returncode == 2
    assert process.stderr.startswith(f"stylize: {name}='{value}': {library} ".encode())
    assert process.stderr.count(b"\n") == 1


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_faulty_variable_ends_a_run_over_a_folder(
    jobs: str, photo: str, painting: str, tmp_path: Path
) -> None:
    """No picture can be painted, and each would fail for a reason of its own."""
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "photos" / name).write_bytes(Path(photo).read_bytes())
    args = [tmp_path / "photos", painting, "-o", f"{tmp_path}/out/", "-s", "32", "-j", jobs]
    process = run(*COMMAND, *args, env={**os.environ, "TORCH_LOGS": "foo"})
    assert process.returncode == 2
    assert process.stderr.endswith(
        b"\nstylize: TORCH_LOGS='foo': torch does not accept it; correct or unset it\n"
    )
    assert b"2 pictures: 2 not started" in process.stderr


@pytest.mark.parametrize(
    "value",
    [
        "expandable_segments:True",
        "max_split_size_mb:512",
        "garbage_collection_threshold:0.8,max_split_size_mb:128",
    ],
)
def test_torch_is_not_asked_about_common_values(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", value)
    monkeypatch.setattr(subprocess, "run", None)
    assert startup._faulty_variable() == ""
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", f"{value},")
    with pytest.raises(TypeError):
        startup._faulty_variable()


def test_debug_escapes_what_it_prints(tmp_path: Path) -> None:
    process = run(*COMMAND, "x\x1b[31my.jpg", "z.jpg", "-o", tmp_path / "o.png", "--debug")
    assert process.returncode == 3
    assert b"Traceback" in process.stderr
    assert b"\\x1b[31my.jpg" in process.stderr
    assert b"\x1b" not in process.stderr
