"""The command, with a painter that takes no time in the place of the network."""

import io
import json
import logging
import shutil
import signal
import sys
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import GIVEN, GREEN, Painter, save_with_recipe
from PIL import Image

from stylize import Options, errors
from stylize.callbacks import film, progress
from stylize.cli import terminal as console
from stylize.settings.options import flag

pytestmark = pytest.mark.usefixtures("painter")


def test_writes_the_picture_and_says_nothing(run: Any, tmp_path: Path, photo: str) -> None:
    result = run("PHOTO", "PAINTING", "-o", "out.png")
    assert (result.exit_code, result.output) == (0, "")
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (451, 300)
        assert image.getpixel((0, 0)) == GREEN
    assert Painter.calls[0].options == Options()
    assert Painter.calls[0].names[0] == photo


@pytest.mark.parametrize("option", fields(Options), ids=lambda option: option.name)
def test_every_option_reaches_the_painter(option: Any, run: Any) -> None:
    typed, value = GIVEN[option.name]
    assert value != option.default
    Image.new("L", (451, 300), "white").save("mask.png")
    given = [flag(option.name), typed] if typed else [flag(option.name)]
    assert run("PHOTO", "PAINTING", "-o", "a.tif", *given).exit_code == 0
    assert Painter.calls[0].options == Options(**{option.name: value})


def test_command_line_wins_over_preset(run: Any) -> None:
    run("PHOTO", "PAINTING", "-o", "a.png", "--preset", "paper", "-n", "9")
    assert Painter.calls[0].options == Options.from_preset("paper", iterations=9)


def test_file_variable_and_recipe_reach_the_painter(run: Any) -> None:
    save_with_recipe("made.png", Options(seed=3))
    Path("a.toml").write_text("output = 'a.webp'\nseed = 1\nformat = 'avif'\nquiet = true")
    args = ["PHOTO", "PAINTING", "--config", "a.toml", "--existing", "skip"]
    assert run(*args, "--recipe", "made.png", env={"STYLIZE_DEVICE": "cpu"}).exit_code == 0
    (painter,) = Painter.calls
    assert painter.options == Options(seed=3, device="cpu", format="avif", existing="skip")
    again = run(*args, env={"STYLIZE_OUTPUT": "b.png"})
    assert (again.exit_code, again.output) == (0, "")
    assert Path("a.webp").exists()
    assert Path("b.png").exists()


def test_a_recipe_needs_its_files(run: Any) -> None:
    save_with_recipe("made.png", Options(init="start.png"))
    result = run("PHOTO", "PAINTING", "-o", "a.png", "--recipe", "made.png")
    assert result.exit_code == 2
    assert "as --init; name it again" in result.stderr
    over = run("PHOTO", "PAINTING", "-o", "made.png", "--recipe", "made.png", "--init", "PHOTO")
    assert "-o made.png: is an input too" in over.stderr
    assert not Painter.calls
    named = run("PHOTO", "PAINTING", "-o", "a.png", "--recipe", "made.png", "--init", "PHOTO")
    assert named.exit_code == 0


def test_a_recipe_paints_again_and_says_what_differs(run: Any, photo: str) -> None:
    assert run("PHOTO", "PAINTING", "-o", "a.png", "--seed", "3", "-s", "64").exit_code == 0
    shown = json.loads(run("--show-recipe", "a.png").stdout)
    assert (shown["options"]["seed"], shown["options"]["size"]) == (3, 64)
    again = run("PHOTO", "PAINTING", "-o", "b.png", "--recipe", "a.png")
    assert (again.exit_code, again.output) == (0, "")
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    other = run("PAINTING", "PAINTING", "-o", "c.png", "--recipe", "a.png", "--seed", "4")
    assert other.exit_code == 0, "other pictures are allowed, and told"
    assert other.stderr == "stylize: --recipe: the photo: not the recipe's\n"
    assert Painter.calls[-1].options == Options(seed=4, size=64)


def test_snapshots_and_timelapse(run: Any, tmp_path: Path, painter: type[Painter]) -> None:
    painter.iterations = 7
    args = ["-o", "a.jpg", "-s", "64", "--snapshot-every", "3", "--timelapse", "b.gif"]
    assert run("PHOTO", "PAINTING", *args).exit_code == 0
    names = sorted(path.name for path in (tmp_path / "a-snapshots").iterdir())
    assert names == ["000003.jpg", "000006.jpg"]
    with Image.open("a-snapshots/000003.jpg") as image:
        assert image.size == (64, 43)
    assert '"complete": false' in run("--show-recipe", "a-snapshots/000003.jpg").stdout
    with Image.open("b.gif") as shown:
        assert shown.size == (64, 43)
        assert getattr(shown, "n_frames", 1) == 7


@pytest.mark.parametrize("fault", ["film", "snapshots"])
def test_a_fault_of_the_film_does_not_cost_the_picture(
    fault: str, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise errors.OutputError("x.gif: cannot be written (No space left on device)")

    monkeypatch.setattr(film.Timelapse if fault == "film" else film.Snapshots, "__call__", fail)
    args = ["-o", "a.png", "--timelapse", "b.gif", "--snapshot-every", "2"]
    result = run("PHOTO", "PAINTING", *args)
    assert result.exit_code == 4
    assert result.stderr.count("the picture goes on without") == 1
    assert "the picture itself is done" in result.stderr
    assert Image.open("a.png").getpixel((0, 0)) == GREEN
    assert Path("b.gif").exists() == (fault == "snapshots"), "one costs itself alone"


def test_snapshots_are_not_written_through_a_link(run: Any, tmp_path: Path, photo: str) -> None:
    (tmp_path / "in.jpg").write_bytes(Path(photo).read_bytes())
    (tmp_path / "a-snapshots").mkdir()
    (tmp_path / "a-snapshots" / "000002.png").symlink_to("../in.jpg")
    result = run("in.jpg", "PAINTING", "-o", "a.png", "--snapshot-every", "2")
    assert result.exit_code == 2
    assert "leads to an input" in result.stderr
    assert Path("in.jpg").read_bytes() == Path(photo).read_bytes()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("-o a.webp --timelapse ./a.webp", "is OUTPUT too"),
        ("-o a.png --timelapse in.gif --init in.gif", "--timelapse in.gif: is an input too"),
        ("-o a.png --timelapse a.mov", "unknown suffix '.mov'"),
        ("-o a.png --snapshot-every 0", "--snapshot-every"),
        ("-o - --snapshot-every 5", "named after OUTPUT"),
        ("-o in.png --snapshot-every 5 --init in-snapshots/a.png", "other files lie in"),
        ("-o a.png --depth 16", "--depth 16: png is written in 8 bits"),
        ("-o a.tif --depth 16 --keep-exif", "--keep-exif: cannot be had"),
        ("-o a.png --mask m.png --blend equal", "leave --blend out"),
        ("-o a.png --mask m.png --mask m.png", "--mask: 2 for 1 STYLEs"),
        ("-o a.png --mask -", "--mask: cannot come from standard input"),
        ("-o m.png --mask m.png", "-o m.png: is an input too"),
        ("-o a.png --mask in.gif", "in.gif: is black all over"),
        ("-o a.png --mask color.png", "color.png: is a colour picture"),
        ("-o a.png --background nocolor", "'nocolor' is no colour"),
        ("-o a.png --color red", "'red' is not one of 'style', 'content', 'match'"),
        ("-o a.png --recipe in.gif", "in.gif: carries no recipe"),
        ("--show-recipe none.png", "none.png: cannot be read"),
        ("-o a.png --preset impressive", "'impressive' is not one of"),
    ],
)
def test_what_cannot_go_together_is_refused_before_any_work(
    args: str, message: str, run: Any, tmp_path: Path
) -> None:
    Image.new("L", (5, 5)).save("in.gif")
    Image.new("L", (5, 5), 255).save("m.png")
    Image.new("RGB", (5, 5), "red").save("color.png")
    (tmp_path / "in-snapshots").mkdir()
    Image.new("L", (5, 5)).save("in-snapshots/a.png")
    there = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    result = run("PHOTO", "PAINTING", *args.split())
    assert result.exit_code in (2, 3, 4)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Painter.calls
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert after.keys() == {path for path in there if path.is_file()}
    assert all(there[path] == time for path, time in after.items())


def test_help_shows_every_option_with_its_default(run: Any) -> None:
    for spelling in ("-h", "--help"):
        shown = " ".join(run(spelling).stdout.split())
        for option in fields(Options):
            said = option.metadata
            default = said["shown"] or option.default
            default = f"{default:g}" if isinstance(default, float) else str(default)
            default = default.replace(",relu", ", relu")
            assert f"{said['help']} [default: {default}]" in shown, option.name


def test_list_layers(run: Any) -> None:
    lines = run("--list-layers").stdout.split()
    assert (len(lines), lines[0], lines[-1]) == (16, "relu1_1", "relu5_4")


def test_version(run: Any) -> None:
    from importlib.metadata import version

    assert run("--version").stdout == f"stylize {version('neural-stylize')}\n"


def test_blend(run: Any, painting: str) -> None:
    assert run("PHOTO", "PAINTING", painting, "--blend", "equal", "-o", "a.png").exit_code == 0
    assert len(Painter.calls[0].names) == 3
    refused = run("PHOTO", "PAINTING", painting, "-o", "a.png")
    assert refused.exit_code == 2
    assert "--blend equal" in refused.stderr


def test_stdin_and_stdout(run: Any, photo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Painter, "at_step", lambda *_: print("a library that prints"))
    data = Path(photo).read_bytes()
    result = run("-", "PAINTING", "-o", "-", stdin=data)
    assert result.exit_code == 0
    assert "a library that prints" in result.stderr
    with Image.open(io.BytesIO(result.stdout_bytes)) as image:
        assert (image.format, image.size) == ("PNG", (451, 300))
    assert result.stdout_bytes.startswith(b"\x89PNG")
    assert result.stdout_bytes.endswith(b"IEND\xaeB`\x82"), "clean to the byte"
    assert Painter.calls[0].names[0] == "standard input"
    as_style = run("PHOTO", "-", "-o", "-", "--format", "jpeg", stdin=data)
    assert as_style.stdout_bytes.startswith(b"\xff\xd8")
    assert run("-", "-", "-o", "a.png", stdin=data).exit_code == 2


def test_terminal_is_refused(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import _NamedTextIOWrapper

    monkeypatch.setattr(_NamedTextIOWrapper, "isatty", lambda _: True)
    result = run("PHOTO", "PAINTING", "-o", "-")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is a terminal" in result.stderr


def test_bar_only_on_a_terminal(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import _NamedTextIOWrapper

    monkeypatch.setattr(_NamedTextIOWrapper, "isatty", lambda _: True)
    shown = run("PHOTO", "PAINTING", "-o", "a.png").stderr
    assert "451x300" in shown
    assert "content 1, style 2" in shown
    assert "left" in shown
    assert run("PHOTO", "PAINTING", "-o", "a.png", "-q").output == ""


def test_a_long_run_is_announced(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(Painter, "iterations", 40)
    monkeypatch.setattr(Painter, "at_step", lambda *_: vars(clock).update(now=clock.now + 60))
    said = run("PHOTO", "PAINTING", "-o", "a.png").stderr
    assert said.count("this will take about 36 minutes") == 1
    assert run("PHOTO", "PAINTING", "-o", "a.png", "-q").stderr == ""


def test_existing(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")
    skipped = run("PHOTO", "PAINTING", "-o", "a.png", "--existing", "skip")
    assert (skipped.exit_code, skipped.stdout) == (0, "")
    assert "skipped" in skipped.stderr
    failed = run("PHOTO", "PAINTING", "-o", "a.png", "--existing", "fail")
    assert failed.exit_code == 4
    assert (tmp_path / "a.png").read_bytes() == b"old"
    assert not Painter.calls, "found before the work"
    assert run("PHOTO", "PAINTING", "-o", "a.png").exit_code == 0
    assert (tmp_path / "a.png").read_bytes() != b"old"


@pytest.mark.parametrize(
    "how", ["itself", "style", "init", "weights", "weights:caffe", "symlink", "hard link"]
)
def test_an_input_is_never_overwritten(how: str, run: Any, tmp_path: Path, photo: str) -> None:
    (tmp_path / "in.jpg").write_bytes(Path(photo).read_bytes())
    args = ["in.jpg", "PAINTING", "-o", "in.jpg"]
    if how == "style":
        args[:2] = ["PHOTO", "in.jpg"]
    elif how in ("init", "weights"):
        args = ["PHOTO", "PAINTING", f"--{how}", "in.jpg", "-o", "./in.jpg"]
    elif how == "weights:caffe":
        args = ["PHOTO", "PAINTING", "--weights", "in.jpg:caffe", "-o", "in.jpg"]
    elif how == "symlink":
        (tmp_path / "link.jpg").symlink_to("in.jpg")
        args[3] = "link.jpg"
    elif how == "hard link":
        (tmp_path / "link.jpg").hardlink_to(tmp_path / "in.jpg")
        args[3] = "link.jpg"
    result = run(*args)
    assert result.exit_code == 2
    assert "is an input too" in result.stderr
    assert (tmp_path / "in.jpg").read_bytes() == Path(photo).read_bytes()


def test_verbose_says_what_was_done(run: Any) -> None:
    assert (
        "a.png: 451 x 300 pixels in 0.5 s" in run("PHOTO", "PAINTING", "-o", "a.png", "-v").stderr
    )


@pytest.mark.parametrize("error", [e for e in vars(errors).values() if isinstance(e, type)])
def test_errors_are_one_line_and_a_code(
    error: type[errors.StylizeError], run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(_: Painter, __: int) -> None:
        raise error("a\nb: will not do")

    monkeypatch.setattr(Painter, "at_step", fail)
    result = run("PHOTO", "PAINTING", "-o", "a.png")
    assert result.exit_code == error.exit_code
    assert result.stderr.endswith("stylize: a\\nb: will not do\n")
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())
    debugged = run("PHOTO", "PAINTING", "-o", "a.png", "--debug")
    assert debugged.exit_code == error.exit_code
    assert "Traceback" in debugged.stderr


def test_exit_codes_are_distinct() -> None:
    codes = {e.__name__: e.exit_code for e in vars(errors).values() if isinstance(e, type)}
    assert codes == {
        "StylizeError": 1,
        "OptionError": 2,
        "PictureError": 3,
        "OutputError": 4,
        "CheckpointError": 3,
        "WeightsError": 5,
        "DeviceError": 6,
        "OptimizationError": 7,
    }


def test_a_bug_is_one_line_too(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Painter, "at_step", lambda *_: 1 / 0)
    result = run("PHOTO", "PAINTING", "-o", "a.png")
    assert result.exit_code == 1
    assert "a bug: ZeroDivisionError" in result.stderr
    assert "Traceback" not in result.stderr


def test_ctrl_c_keeps_the_picture(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def press(_: Painter, iteration: int) -> None:
        if iteration == 3:
            signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL, "the second leaves at once"

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Painter, "at_step", press)
    result = run("PHOTO", "PAINTING", "-o", "a.png")
    assert result.exit_code == 130
    assert "a.png holds the picture so far" in result.stderr
    assert Image.open(tmp_path / "a.png").getpixel((0, 0)) == GREEN
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_there_is_a_picture(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Painter, "at_step", lambda *_: signal.raise_signal(signal.SIGINT))
    result = run("PHOTO", "PAINTING", "-o", "a.png")
    assert result.exit_code == 130
    assert "before there was a picture" in result.stderr
    assert not list(tmp_path.iterdir())


def test_an_output_that_vanishes_meanwhile(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(
        Painter, "at_step", lambda _, i: shutil.rmtree("folder") if i == 1 else None
    )
    result = run("PHOTO", "PAINTING", "-o", "folder/a.png")
    assert result.exit_code == 4
    assert "folder" in result.stderr


def test_closed_stdout(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        """A pipe whose reader has gone."""

        def fileno(self) -> int:
            return 99

        def write(self, _: bytes) -> None:
            raise BrokenPipeError(32, "Broken pipe")

        @property
        def buffer(self) -> "Closed":
            return self

    replaced: list[int] = []
    monkeypatch.setattr(console.os, "dup2", lambda _, to: replaced.append(to))
    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(errors.OutputError, match="standard output: cannot be written"):
        console.write_stdout(b"data")
    assert replaced == [99]


def test_notes_never_take_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even where the shell has closed stderr."""
    monkeypatch.setattr(sys, "stderr", None)
    with console.notes(quiet=False, verbose=True):
        logging.getLogger("stylize").warning("a word")
    assert capsys.readouterr().out == ""
