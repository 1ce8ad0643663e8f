"""The command for one picture, with a stand-in for the network that takes no time."""

import io
import json
import os
import re
import shutil
import signal
import sys
from dataclasses import asdict, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import GIVEN, GREEN, Painter, save_with_recipe
from PIL import Image

from stylize import Options, errors
from stylize.callbacks import film, progress
from stylize.callbacks.progress import Forecast
from stylize.images import encode
from stylize.settings.options import flag
from stylize.settings.recipe import Recipe, read_recipe

pytestmark = pytest.mark.usefixtures("painter")

ERRORS = [
    error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, errors.StylizeError)
]


def test_the_picture_is_written_and_the_last_line_says_so(
    run: Any, tmp_path: Path, photo: str
) -> None:
    result = run("PHOTO", "PAINTING", "-o", "out.png")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "stylize: wrote out.png (451 x 300 in 0.5 s)\n"
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (451, 300)
        assert image.getpixel((0, 0)) == GREEN
    assert Painter.calls[0].options == Options()
    assert Painter.calls[0].names[0] == photo
    Image.new("RGB", (900, 600)).save("large.png")
    larger = run("large.png", "PAINTING", "-o", "larger.png")
    assert larger.stderr == ("stylize: wrote larger.png (512 x 341 in 0.5 s; larger with --size)\n")


@pytest.mark.parametrize("option", fields(Options), ids=lambda option: option.name)
def test_every_option_is_passed_to_the_stylizer(option: Any, run: Any) -> None:
    typed, value = GIVEN[option.name]
    assert value != option.default
    Image.new("L", (451, 300), "white").save("mask.png")
    save_with_recipe("small.png", Options())
    given = [flag(option.name), typed] if typed else [flag(option.name)]
    assert run("PHOTO", "PAINTING", "-o", "a.tif", *given).exit_code == 0
    assert Painter.calls[0].options == Options(**{option.name: value})


def test_the_command_line_overrides_a_preset(run: Any) -> None:
    run("PHOTO", "PAINTING", "-o", "a.png", "--preset", "paper", "-n", "9")
    assert Painter.calls[0].options == Options.from_preset("paper", iterations=9)


def test_options_come_from_a_file_a_variable_and_a_recipe(run: Any) -> None:
    save_with_recipe("made.png", Options(seed=3))
    Path("a.toml").write_text("output = 'a.webp'\nseed = 1\nformat = 'avif'\nquiet = true")
    args = ["PHOTO", "PAINTING", "--config", "a.toml", "--existing", "skip", "--json"]
    first = run(*args, "--recipe", "made.png", env={"STYLIZE_DEVICE": "cpu"})
    assert first.exit_code == 0
    (painter,) = Painter.calls
    assert painter.options == Options(seed=3, device="cpu")
    used = json.loads(first.stdout)["options"]
    assert (used["format"], used["existing"]) == ("avif", "skip")
    again = run(*args, "--no-json", env={"STYLIZE_OUTPUT": "b.png"})
    assert (again.exit_code, again.output) == (0, "")
    assert Path("a.webp").exists()
    assert Path("b.png").exists()


@pytest.mark.parametrize(
    ("name", "value", "wrong"), [("existing", "skip", "ask"), ("format", "webp", "gif")]
)
@pytest.mark.parametrize("place", ["command line", "variable", "a.toml"])
def test_existing_and_format_are_options_of_the_command(
    name: str, value: str, wrong: str, place: str, run: Any
) -> None:
    """They are not fields of `Options`, but can be given in the same places."""
    origin = f"STYLIZE_{name.upper()}" if place == "variable" else place

    def run_with(value: str, *args: str) -> Any:
        Path("a.toml").write_text(f"{name} = '{value}'")
        more = {"command line": [f"--{name}", value], "a.toml": ["--config", "a.toml"]}
        env = {origin: value} if place == "variable" else {}
        return run(*args, *more.get(place, []), env=env)

    done = run_with(value, "PHOTO", "PAINTING", "-o", "a.png", "--json")
    assert json.loads(done.stdout)["options"][name] == value
    assert Painter.calls[-1].options == Options()
    shown = run_with(value, "--print-config").stdout
    assert re.search(rf'^{name} = "{value}" +# {origin}$', shown, re.M)
    refused = run_with(wrong, "PHOTO", "PAINTING", "-o", "a.png")
    assert refused.exit_code == 2
    prefix = "" if place == "command line" else f"{origin}: "
    assert refused.stderr.startswith(f"stylize: {prefix}Invalid value for '--{name}': '{wrong}'")
    assert refused.stderr.count("\n") == 1


def test_files_of_a_recipe_must_be_named_again(run: Any) -> None:
    save_with_recipe("made.png", Options(init="start.png"))
    result = run("PHOTO", "PAINTING", "-o", "a.png", "--recipe", "made.png")
    assert result.exit_code == 2
    assert "as --init; name it again" in result.stderr
    over = run("PHOTO", "PAINTING", "-o", "made.png", "--recipe", "made.png", "--init", "PHOTO")
    assert "-o made.png: is an input too" in over.stderr
    assert not Painter.calls
    named = run("PHOTO", "PAINTING", "-o", "a.png", "--recipe", "made.png", "--init", "PHOTO")
    assert named.exit_code == 0


def test_a_recipe_repeats_a_picture_and_differences_are_reported(run: Any) -> None:
    assert run("PHOTO", "PAINTING", "-o", "a.png", "--seed", "3", "-s", "64").exit_code == 0
    shown = json.loads(run("--show-recipe", "a.png").stdout)
    assert (shown["options"]["seed"], shown["options"]["size"]) == (3, 64)
    again = run("PHOTO", "PAINTING", "-o", "b.png", "--recipe", "a.png")
    assert (again.exit_code, again.stdout, again.stderr.count("\n")) == (0, "", 1)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    other = run("PAINTING", "PAINTING", "-o", "c.png", "--recipe", "a.png", "--seed", "4")
    assert other.exit_code == 0, "other pictures are allowed, and reported"
    assert other.stderr.startswith(
        "stylize: --recipe: the photo: not the same as in the recipe\nstylize: wrote c.png ("
    )
    assert Painter.calls[-1].options == Options(seed=4, size=64)


def test_snapshots_and_a_timelapse_are_written(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Painter, "iterations", 7)
    args = ["-o", "a.jpg", "-s", "64", "--snapshot-every", "3", "--timelapse", "b.gif"]
    done = run("PHOTO", "PAINTING", *args)
    assert done.exit_code == 0
    written = "wrote a.jpg (64 x 43 in 0.5 s), b.gif, snapshots in a-snapshots"
    assert done.stderr == f"stylize: {written}\n"
    names = sorted(path.name for path in (tmp_path / "a-snapshots").iterdir())
    assert names == ["000003.jpg", "000006.jpg"]
    with Image.open("a-snapshots/000003.jpg") as image:
        assert image.size == (64, 43)
    assert '"complete": false' in run("--show-recipe", "a-snapshots/000003.jpg").stdout
    with Image.open("b.gif") as shown:
        assert shown.size == (64, 43)
        assert getattr(shown, "n_frames", 1) == 7


@pytest.mark.parametrize("suffix", film.SIDES)
def test_a_film_a_trace_and_a_page_replace_their_like_and_on_request_all(
    suffix: str, run: Any
) -> None:
    besides = ["--timelapse", f"b{suffix}", "--trace", "b.jsonl", "--report", "b.html"]
    args = ["PHOTO", "PAINTING", "-o", "a.png", "-s", "64", *besides]
    for _ in range(2):
        assert run(*args).exit_code == 0
    for path in besides[1::2]:
        Path(path).write_text("Dear diary")
        assert run(*args).exit_code == 4
        assert Path(path).read_text() == "Dear diary"
        assert run(*args, "--existing", "replace").exit_code == 0
        assert "Dear diary" not in Path(path).read_text(errors="replace")


@pytest.mark.parametrize("failing", ["film", "snapshots"])
def test_the_picture_is_written_although_the_film_or_a_snapshot_fails(
    failing: str, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise errors.OutputError("x.gif: cannot be written (No space left on device)")

    monkeypatch.setattr(film.Timelapse if failing == "film" else film.Snapshots, "__call__", fail)
    args = ["-o", "a.png", "--timelapse", "b.gif", "--snapshot-every", "2"]
    result = run("PHOTO", "PAINTING", *args)
    assert result.exit_code == 4
    assert result.stderr == (
        "stylize: x.gif: cannot be written (No space left on device); the picture itself is done\n"
    )
    assert Image.open("a.png").getpixel((0, 0)) == GREEN
    assert Path("b.gif").exists() == (failing == "snapshots"), "the other one is written"


@pytest.mark.parametrize("method", ["__call__", "close"])
def test_json_tells_that_the_picture_is_done_although_the_film_failed(
    method: str, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise errors.OutputError("b.gif: cannot be written (No space left on device)")

    monkeypatch.setattr(film.Timelapse, method, fail)
    result = run("PHOTO", "PAINTING", "-o", "a.png", "--timelapse", "b.gif", "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["exit_code"], told["status"]) == (4, 4, "done")
    assert told["reason"].endswith("(No space left on device); the picture itself is done")
    assert told["losses"]
    assert result.stderr == f"stylize: {told['reason']}\n"


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf"])
def test_a_checkpoint_needs_a_finite_number_of_seconds(seconds: str, run: Any) -> None:
    result = run("PHOTO", "PAINTING", "-o", "a.png", "--checkpoint-every", seconds)
    assert result.exit_code == 2
    assert "--checkpoint-every" in result.stderr
    assert not Path("a.png").exists()


def test_snapshots_are_not_written_through_a_link(run: Any, tmp_path: Path, photo: str) -> None:
    (tmp_path / "in.jpg").write_bytes(Path(photo).read_bytes())
    (tmp_path / "a-snapshots").mkdir()
    (tmp_path / "a-snapshots" / "000002.png").symlink_to("../in.jpg")
    result = run("in.jpg", "PAINTING", "-o", "a.png", "--snapshot-every", "2")
    assert result.exit_code == 2
    assert "is a link to an input" in result.stderr
    assert Path("in.jpg").read_bytes() == Path(photo).read_bytes()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("-o a.webp --timelapse ./a.webp", "is the file of OUTPUT too"),
        ("-o a.png --timelapse in.gif --init in.gif", "--timelapse in.gif: is an input too"),
        ("-o a.png --timelapse a.mov", "unknown suffix '.mov'"),
        ("-o a.png --snapshot-every 0", "--snapshot-every"),
        ("-o - --snapshot-every 5", "named after OUTPUT"),
        ("-o in.png --snapshot-every 5 --init in-snapshots/a.png", "contains inputs or outputs"),
        ("-o a.png --depth 16", "--depth 16: png is written in 8 bits"),
        (
            "-o a.tif --depth 16 --keep-exif",
            "--keep-exif: is not possible in 16 bits",
        ),
        ("-o a.png --mask m.png --blend equal", "leave --blend out"),
        ("-o a.png --mask m.png --mask m.png", "--mask: 2 masks for 1 style"),
        ("-o a.png --mask -", "--mask: cannot come from standard input"),
        ("-o m.png --mask m.png", "-o m.png: is an input too"),
        ("-o a.png --mask in.gif", "in.gif: is black all over"),
        ("-o a.png --mask color.png", "color.png: is a colour picture"),
        ("-o a.png --background nocolor", "'nocolor' is not a colour"),
        ("-o a.png --color red", "'red' is not one of 'style', 'content', 'match'"),
        ("-o a.png --recipe in.gif", "in.gif: not a picture in a format that stylize writes"),
        ("--show-recipe none.png", "none.png: cannot be read"),
        ("-o a.png --preset impressive", "'impressive' is not one of"),
    ],
)
def test_contradictory_arguments_are_refused_before_any_work(
    args: str, message: str, run: Any, tmp_path: Path
) -> None:
    Image.new("L", (5, 5)).save("in.gif")
    Image.new("L", (5, 5), 255).save("m.png")
    Image.new("RGB", (5, 5), "red").save("color.png")
    (tmp_path / "in-snapshots").mkdir()
    Image.new("L", (5, 5)).save("in-snapshots/a.png")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    result = run("PHOTO", "PAINTING", *args.split())
    assert result.exit_code in (2, 3, 4)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Painter.calls
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ("PHOTO PAINTING --learning-rate 0.1", "--learning-rate: has no effect without"),
        ("PHOTO PAINTING --learning-rate 0.1 -q", None),
        ("PHOTO PAINTING --blend equal", "--blend: has no effect with one STYLE"),
        ("PHOTO PAINTING PAINTING --blend equal", None),
        ("PHOTO PAINTING --try learning-rate=0.1,0.2", "--learning-rate: has no effect without"),
        ("PHOTO PAINTING --learning-rate 0.1 --try optimizer=lbfgs,adam", None),
    ],
)
def test_options_without_effect_are_told_in_one_line(args: str, told: str | None, run: Any) -> None:
    result = run(*args.split(), "-o", "out.png")
    assert result.exit_code == 0
    notes = [line for line in result.stderr.splitlines() if "no effect" in line]
    assert len(notes) == bool(told)
    assert all(note.startswith(f"stylize: {told}") for note in notes)


def test_list_layers_prints_all_layers(run: Any) -> None:
    lines = run("--list-layers").stdout.split()
    assert (len(lines), lines[0], lines[-1]) == (16, "relu1_1", "relu5_4")


def test_version_prints_the_installed_version(run: Any) -> None:
    from importlib.metadata import version

    assert run("--version").stdout == f"stylize {version('neural-stylize')}\n"


def test_several_styles_need_a_blend(run: Any, painting: str) -> None:
    assert run("PHOTO", "PAINTING", painting, "--blend", "equal", "-o", "a.png").exit_code == 0
    assert len(Painter.calls[0].names) == 3
    refused = run("PHOTO", "PAINTING", painting, "-o", "a.png")
    assert refused.exit_code == 2
    assert "--blend equal" in refused.stderr


def test_standard_input_and_output_can_be_used_for_pictures(
    run: Any, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Painter, "at_step", lambda *_: print("a library that prints"))
    data = Path(photo).read_bytes()
    result = run("-", "PAINTING", "-o", "-", stdin=data)
    assert result.exit_code == 0
    assert "a library that prints" in result.stderr
    with Image.open(io.BytesIO(result.stdout_bytes)) as image:
        assert (image.format, image.size) == ("PNG", (451, 300))
    assert result.stdout_bytes.startswith(b"\x89PNG")
    assert result.stdout_bytes.endswith(b"IEND\xaeB`\x82"), "nothing else is written"
    assert Painter.calls[0].names[0] == "standard input"
    as_style = run("PHOTO", "-", "-o", "-", "--format", "jpeg", stdin=data)
    assert as_style.stdout_bytes.startswith(b"\xff\xd8")
    assert run("-", "-", "-o", "a.png", stdin=data).exit_code == 2


def test_a_picture_is_not_written_to_a_terminal(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import _NamedTextIOWrapper

    monkeypatch.setattr(_NamedTextIOWrapper, "isatty", lambda _: True)
    result = run("PHOTO", "PAINTING", "-o", "-")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is a terminal" in result.stderr


def test_the_bar_is_shown_only_on_a_terminal(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import _NamedTextIOWrapper

    monkeypatch.setattr(_NamedTextIOWrapper, "isatty", lambda _: True)
    shown = run("PHOTO", "PAINTING", "-o", "a.png").stderr
    assert "a.png  25%" in shown
    assert "content 1, style 2" not in shown
    assert "left" in shown
    verbose = run("PHOTO", "PAINTING", "-o", "a.png", "-v").stderr
    assert "a.png 451x300 4/4" in verbose
    assert "content 1, style 2" in verbose
    assert run("PHOTO", "PAINTING", "-o", "a.png", "-q").output == ""


def test_a_warning_says_that_a_run_will_take_long(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(Painter, "iterations", 40)
    monkeypatch.setattr(Painter, "at_step", lambda *_: vars(clock).update(now=clock.now + 60))
    messages = run("PHOTO", "PAINTING", "-o", "a.png", "--device", "cpu").stderr
    assert messages.count("this will take about 36 minutes (") == 1
    assert " thread" in messages
    assert ", float32); a smaller --size or --effort draft takes less" in messages
    draft = run("PHOTO", "PAINTING", "-o", "b.png", "--device", "cpu", "--effort", "draft").stderr
    assert "; a smaller --size takes less" in draft
    assert run("PHOTO", "PAINTING", "-o", "a.png", "-q").stderr == ""


def test_after_ctrl_c_no_time_is_foretold(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(Painter, "iterations", 40)

    def press(_: Painter, iteration: int) -> None:
        clock.now += 60
        if iteration == Forecast.TIMED + 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Painter, "at_step", press)
    stopped = run("PHOTO", "PAINTING", "-o", "a.png")
    assert stopped.exit_code == 130
    assert "this will take" not in stopped.stderr


def test_a_picture_on_standard_output_is_told_too(run: Any) -> None:
    result = run("PHOTO", "PAINTING", "-o", "-", "-s", "64")
    assert result.stderr == "stylize: wrote the picture to standard output (64 x 43 in 0.5 s)\n"


@pytest.mark.parametrize(
    "kind", ["content", "style", "init", "weights", "weights:caffe", "symlink", "hard link"]
)
def test_an_input_is_never_overwritten(kind: str, run: Any, tmp_path: Path, photo: str) -> None:
    (tmp_path / "in.jpg").write_bytes(Path(photo).read_bytes())
    args = ["in.jpg", "PAINTING", "-o", "in.jpg"]
    if kind == "style":
        args[:2] = ["PHOTO", "in.jpg"]
    elif kind in ("init", "weights"):
        args = ["PHOTO", "PAINTING", f"--{kind}", "in.jpg", "-o", "./in.jpg"]
    elif kind == "weights:caffe":
        args = ["PHOTO", "PAINTING", "--weights", "in.jpg:caffe", "-o", "in.jpg"]
    elif kind == "symlink":
        (tmp_path / "link.jpg").symlink_to("in.jpg")
        args[3] = "link.jpg"
    elif kind == "hard link":
        (tmp_path / "link.jpg").hardlink_to(tmp_path / "in.jpg")
        args[3] = "link.jpg"
    result = run(*args)
    assert result.exit_code == 2
    assert "is an input too" in result.stderr
    assert (tmp_path / "in.jpg").read_bytes() == Path(photo).read_bytes()


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_is_reported_in_one_line_and_by_its_exit_code(
    error: type[errors.StylizeError], run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(_: Painter, __: int) -> None:
        raise error("a\nb: is not valid")

    monkeypatch.setattr(Painter, "at_step", fail)
    result = run("PHOTO", "PAINTING", "-o", "a.png")
    assert result.exit_code == error.exit_code
    assert result.stderr.endswith("stylize: a\\nb: is not valid\n")
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())
    debugged = run("PHOTO", "PAINTING", "-o", "a.png", "--debug")
    assert debugged.exit_code == error.exit_code
    assert "Traceback" in debugged.stderr


def test_every_error_has_its_exit_code() -> None:
    assert {error.__name__: error.exit_code for error in ERRORS} == {
        "StylizeError": 1,
        "OptionError": 2,
        "PictureError": 3,
        "OutputError": 4,
        "CheckpointError": 3,
        "WeightsError": 5,
        "DeviceError": 6,
        "OptimizationError": 7,
    }


def test_a_bug_is_reported_in_one_line(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Painter, "at_step", lambda *_: 1 / 0)
    result = run("PHOTO", "PAINTING", "-o", "a.png")
    assert result.exit_code == 1
    assert "a bug: ZeroDivisionError" in result.stderr
    assert "Traceback" not in result.stderr


def test_ctrl_c_saves_the_picture_so_far(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def press(_: Painter, iteration: int) -> None:
        if iteration == 3:
            signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL, "a second one ends it at once"

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Painter, "at_step", press)
    result = run("PHOTO", "PAINTING", "-o", "a.png")
    assert result.exit_code == 130
    assert result.stderr.count("a.png holds the picture so far") == 1
    assert "wrote" not in result.stderr
    assert Image.open(tmp_path / "a.png").getpixel((0, 0)) == GREEN
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_the_first_step_leaves_no_file(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Painter, "at_step", lambda *_: signal.raise_signal(signal.SIGINT))
    result = run("PHOTO", "PAINTING", "-o", "a.png")
    assert result.exit_code == 130
    assert "before there was a picture" in result.stderr
    assert not list(tmp_path.iterdir())


def test_an_output_folder_that_disappears_during_the_run_is_reported(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(
        Painter, "at_step", lambda _, i: shutil.rmtree("folder") if i == 1 else None
    )
    result = run("PHOTO", "PAINTING", "-o", "folder/a.png")
    assert result.exit_code == 4
    assert "folder" in result.stderr


def test_json_describes_the_picture(run_on_folders: Any) -> None:
    done = json.loads(
        run_on_folders("photos/a.png", "styles/x.png", "-o", "a.png", "--json").stdout
    )
    assert done.pop("version")
    assert done.pop("peak_memory") > 10**7
    assert done.pop("peak_device_memory") is None
    assert done == {
        "status": "done",
        "content": "photos/a.png",
        "styles": ["styles/x.png"],
        "output": "a.png",
        "width": 40,
        "height": 30,
        "iterations": 4,
        "seconds": 0.5,
        "device": "cpu",
        "precision": "float32",
        "losses": {"content": 1.0, "style": 2.0, "tv": 0.0, "gamut": 0.0, "total": 3.0},
        "reason": None,
        "exit_code": 0,
        "options": {**asdict(Options()), "mask": [], "existing": "auto", "format": "png"},
    }
    failed = run_on_folders("none.png", "styles/x.png", "-o", "a.png", "--json")
    row = json.loads(failed.stdout)
    assert (row["status"], row["exit_code"], failed.exit_code) == ("failed", 3, 3)
    assert row["reason"] == "none.png: no such file"
    assert row["losses"] is row["width"] is None
    refused = run_on_folders("photos/a.png", "styles/x.png", "-o", "-", "--json")
    assert (refused.exit_code, refused.stdout) == (2, "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not allow such names")
@pytest.mark.parametrize(
    "name", ["a b", "it's", 'q"q', "new\nline", "-o", "--help", "ü ß 画", "$(x)`y`"]
)
def test_files_may_have_odd_names(name: str, run_on_folders: Any) -> None:
    """As a shell script gives them: after --, or with ./ before them."""
    os.rename("photos/a.png", f"{name}.png")
    result = run_on_folders("-o", f"out{name}.jpg", "--", f"{name}.png", "styles/x.png")
    assert (result.exit_code, result.stdout) == (0, "")
    assert Path(f"out{name}.jpg").is_file()
    other = run_on_folders(f"./{name}.png", "styles/x.png", "-o", f"./{name}.webp", "--json")
    assert json.loads(other.stdout)["content"] == f"./{name}.png"
    assert other.stdout.count("\n") == 1


def test_a_recipe_that_is_too_long_for_the_format_is_found_before_the_work(run: Any) -> None:
    """A JPEG can hold that of some 900 paintings."""
    many = ["PAINTING"] * 1000
    for more in ((), ("--dry-run",)):
        refused = run("PHOTO", *many, "--blend", "equal", "-o", "out.jpg", *more)
        assert refused.exit_code == 4
        assert "jpeg cannot hold the recipe of so many pictures; use .png or .tif" in refused.stderr
    assert not Painter.painted
    assert run("PHOTO", *many, "--blend", "equal", "-o", "out.png").exit_code == 0
    assert len(read_recipe("out.png").digests["styles"]) == 1000
    assert run("PHOTO", *many[:900], "--blend", "equal", "-o", "out.jpg").exit_code == 0
    assert len(read_recipe("out.jpg").digests["styles"]) == 900


@pytest.mark.parametrize(
    "more", [(), ("-s", "fit"), ("PAINTING", "--blend", "equal"), ("--mask", "not:MASK")]
)
def test_the_recipe_that_is_foreseen_is_not_shorter_than_the_real_one(
    more: tuple[str, ...], run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreseen: list[Recipe] = []
    monkeypatch.setattr(encode, "check_recipe", lambda _, recipe: foreseen.append(recipe))
    Image.linear_gradient("L").save("mask.png")
    more = tuple(word.replace("MASK", "mask.png") for word in more)
    assert run("PHOTO", "PAINTING", *more, "-o", "a.png").exit_code == 0
    assert len(foreseen) == 1
    assert len(foreseen[0].xmp()) >= len(read_recipe("a.png").xmp())


@pytest.mark.parametrize("error", [ValueError, RuntimeError, OSError])
def test_a_picture_that_cannot_be_encoded_is_not_lost(
    error: type[Exception], run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a fault in a library that writes pictures."""

    def fail(*_: object) -> bytes:
        raise error("no reason")

    monkeypatch.setitem(encode.ENCODERS, "avif", fail)
    result = run("PHOTO", "PAINTING", "-o", "out.avif")
    assert result.exit_code == 4
    found = re.search(r"avif: cannot .*no reason\); the picture is saved as (.*)$", result.stderr)
    assert found
    with Image.open(found[1]) as image:
        assert image.format == "PNG"
        assert image.convert("RGB").getpixel((0, 0)) == GREEN
