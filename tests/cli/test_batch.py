"""Folders by the command, with a painter that takes no time in the place of the network."""

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from conftest import GREEN, Painter
from conftest import statuses as statuses_in
from PIL import Image, PngImagePlugin

from stylize import Options
from stylize import files as locks
from stylize.cli import workers as executors
from stylize.images import picture as images
from stylize.network import weights
from stylize.settings.recipe import KEY

pytestmark = pytest.mark.usefixtures("painter")

Run = Callable[..., Any]


@pytest.fixture
def here(run: Run, gradient: Callable[[int, int], Image.Image]) -> Run:
    """Two photos and two paintings in folders."""
    for folder, names in (("photos", "ab"), ("styles", "xy")):
        Path(folder).mkdir()
        for number, name in enumerate(names):
            gradient(40 + number, 30).save(f"{folder}/{name}.png")
    return run


def tree(folder: str = "out") -> list[str]:
    """All files, hidden ones too."""
    return sorted(
        path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()
    )


def statuses(result: Any) -> dict[str, str]:
    return statuses_in(result.stdout)


ALL = ["a-x.png", "a-y.png", "b-x.png", "b-y.png"]


def test_every_photo_with_every_painting(here: Run) -> None:
    result = here("photos", "styles", "-o", "out")
    assert (result.exit_code, result.stdout) == (0, "")
    assert tree() == ALL
    assert Image.open("out/b-y.png").getpixel((0, 0)) == GREEN
    painted = [f"{Path(photo).stem}-{Path(style).stem}.png" for photo, style in Painter.painted]
    assert painted == ["a-x.png", "b-x.png", "a-y.png", "b-y.png"], "painting by painting"
    assert len(Painter.calls) == 1, "one network for all"
    assert Painter.calls[0].options == Options(existing="update")
    lines = result.stderr.splitlines()
    assert lines[0] == "stylize: done  out/a-x.png  40 x 30, 0.5 s"
    assert re.fullmatch(r"stylize: 4 pictures: 4 done; \d.\d s", lines[-1])
    assert len(lines) == 5


def test_files_into_a_folder_or_pattern(here: Run) -> None:
    assert here("photos/a.png", "styles/x.png", "-o", "new/").exit_code == 0
    assert tree("new") == ["a-x.png"]
    args = ["photos/a.png", "styles/x.png", "styles/y.png", "--seed", "7"]
    assert here(*args, "-o", "new/{style}/{seed}.webp").exit_code == 0
    assert tree("new") == ["a-x.png", "x/7.webp", "y/7.webp"]
    assert here(*args, "-o", "new", "--blend", "equal", "--format", "jpeg").exit_code == 0
    assert "a-x+y.jpg" in tree("new")
    assert len(Painter.painted[-1]) == 3


def test_again_only_what_has_changed(here: Run) -> None:
    assert here("photos", "styles", "-o", "out").exit_code == 0
    before = {name: Path("out", name).read_bytes() for name in ALL}

    def again(*args: str) -> set[str]:
        result = here("photos", "styles", "-o", "out", "--json", *args)
        assert result.exit_code == 0
        found = statuses(result)
        assert sorted(found) == tree()
        assert set(found.values()) <= {"done", "skipped"}
        return {name for name, status in found.items() if status == "done"}

    assert again() == set()
    assert {name: Path("out", name).read_bytes() for name in ALL} == before
    Image.new("RGB", (50, 40), "red").save("photos/a.png")
    assert again() == {"a-x.png", "a-y.png"}
    Image.new("RGB", (50, 40), "blue").save("styles/y.png")
    assert again() == {"a-y.png", "b-y.png"}
    os.utime("photos/a.png")
    assert again() == set(), "a date is no change"
    for option in ("--seed 2", "--style-weight 3", "--threads 1", "--keep-exif"):
        assert again(*option.split()) == set(ALL), option
        assert again(*option.split()) == set()
    assert again("--seed", "3", "--jpeg-quality", "50") == set(ALL)
    assert again("--seed", "3", "--background", "red") == set(), "a PNG has neither"
    Image.new("RGB", (50, 40), "green").save("photos/c.png")
    assert again("--seed", "3") == {"c-x.png", "c-y.png"}
    Path("out/a-x.png").unlink()
    assert again("--seed", "3") == {"a-x.png"}
    whole = Path("out/a-x.png").read_bytes()
    for damaged in (b"", whole[:-60]):
        Path("out/a-x.png").write_bytes(damaged)
        assert again("--seed", "3") == {"a-x.png"}
    assert Path("out/a-x.png").read_bytes() == whole


def test_masks_and_starts_count(here: Run) -> None:
    for name, level in (("m.png", 255), ("n.png", 200)):
        Image.new("L", (40, 30), level).save(name)
    Image.new("RGB", (40, 30), "red").save("start.png")
    args = ["photos/a.png", "styles/x.png", "-o", "out/", "--json"]
    for more in (["--mask", "m.png"], ["--mask", "n.png"], ["--init", "start.png"]):
        assert statuses(here(*args, *more)) == {"a-x.png": "done"}
        assert statuses(here(*args, *more)) == {"a-x.png": "skipped"}
    Image.new("RGB", (40, 30), "blue").save("start.png")
    assert statuses(here(*args, "--init", "start.png")) == {"a-x.png": "done"}
    assert statuses(here(*args)) == {"a-x.png": "done"}


def test_an_interrupted_one_is_painted_to_its_end(
    here: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C keeps the picture so far, and begins no other; the next run goes on from there."""

    def press(_: Painter, iteration: int) -> None:
        if len(Painter.painted) == 2 and iteration == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Painter, "at_step", press)
    result = here("photos", "styles", "-o", "out", "--json")
    assert result.exit_code == 130
    assert statuses(result) == {"a-x.png": "done", "b-x.png": "interrupted"}
    assert tree() == ["a-x.png", "b-x.png"]
    assert "4 pictures: 1 done, 1 interrupted, 2 not begun" in result.stderr
    monkeypatch.setattr(Painter, "at_step", lambda *_: None)
    again = statuses(here("photos", "styles", "-o", "out", "--json"))
    assert again == {"a-x.png": "skipped", "b-x.png": "done", "a-y.png": "done", "b-y.png": "done"}


def test_ctrl_c_between_pictures(here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(_: Painter, iteration: int) -> None:
        if len(Painter.painted) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Painter, "at_step", press)
    result = here("photos", "styles", "-o", "out")
    assert result.exit_code == 130
    assert tree() == ["a-x.png"]
    assert "1 done, 3 not begun" in result.stderr


def test_existing(here: Run) -> None:
    assert here("photos", "styles/x.png", "-o", "out").exit_code == 0
    Painter.painted.clear()
    args = ["photos", "styles/x.png", "-o", "out", "--seed", "5", "--json", "--existing"]
    assert set(statuses(here(*args, "skip")).values()) == {"skipped"}
    failed = here(*args, "fail")
    assert (failed.exit_code, set(statuses(failed).values())) == (123, {"failed"})
    assert not Painter.painted
    assert set(statuses(here(*args, "replace")).values()) == {"done"}
    assert set(statuses(here(*args, "replace")).values()) == {"done"}
    # And of a single file.
    single = ["photos/a.png", "styles/x.png", "-o", "out/a-x.png", "--seed", "5"]
    assert "is up to date, skipped" in here(*single, "--existing", "update").stderr
    assert here(*single[:-1], "6", "--existing", "update").stderr == ""


def test_what_others_made_is_left_alone(here: Run, tmp_path: Path) -> None:
    """Whatever it is: a picture, or something by such a name."""
    Path("out").mkdir()
    Image.new("RGB", (9, 9), "red").save("out/a-x.png")
    for theirs in (Path("out/a-x.png").read_bytes(), b"Dear diary"):
        Path("out/a-x.png").write_bytes(theirs)
        result = here("photos", "styles/x.png", "-o", "out", "--json")
        assert result.exit_code == 123
        assert statuses(result)["a-x.png"] == "failed"
        assert "is there already, and was not made by stylize as far as can be" in result.stderr
        assert "--existing replace paints over it" in result.stderr
        assert Path("out/a-x.png").read_bytes() == theirs
    assert here("photos", "styles/x.png", "-o", "out", "--existing", "replace").exit_code == 0


def test_a_bad_file_does_not_stop_the_rest(here: Run) -> None:
    whole = Path("photos/a.png").read_bytes()
    Path("photos/cut.png").write_bytes(whole[: len(whole) // 2])
    Path("photos/text.jpg").write_text("Dear diary")
    Image.new("RGB", (1, 1)).save("photos/dot.png")
    Path("photos/notes.txt").write_text("passed over")
    odd = ["-o", " x", "'q\"", "ü\nß", "$(rm)", "100%", "{style}"]
    if sys.platform != "win32":
        Path("photos/loop.png").symlink_to("loop.png")
        odd.append(os.fsdecode(b"\xff"))
    else:
        odd = ["-o", "ü", "{style}"]
    for name in odd:
        Path("photos", f"{name}.png").write_bytes(whole)
    result = here("photos", "styles/x.png", "-o", "out", "--json")
    assert result.exit_code == 123
    found = statuses(result)
    bad = {"cut-x.png", "text-x.png", "dot-x.png"} | ({"loop-x.png"} & set(found))
    assert {name for name, status in found.items() if status == "failed"} == bad
    good = {f"{name}-x.png" for name in ["a", "b", *odd]}
    assert {name for name, status in found.items() if status == "done"} == good
    assert set(tree()) == good
    for said in ("cut.png: damaged or cut short", "text.jpg: not a picture", "dot.png: 1 x 1"):
        assert result.stderr.count(said) == 2, "at once, and in the table"
    assert "Traceback" not in result.stderr
    quiet = here("photos", "styles/x.png", "-o", "out", "-q")
    assert quiet.stderr.count("\n") == len(bad), "errors alone"
    assert all(": failed: " in line for line in quiet.stderr.splitlines())


def test_fail_fast(here: Run) -> None:
    Path("photos/a.png").write_text("Dear diary")
    result = here("photos", "styles", "-o", "out", "--fail-fast", "--json")
    assert result.exit_code == 123
    assert statuses(result) == {"a-x.png": "failed"}
    assert "4 pictures: 1 failed, 3 not begun" in result.stderr
    assert tree() == []


def test_a_bug_costs_one_picture(here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Painter, "at_step", lambda *_: 1 / (len(Painter.painted) - 2))
    result = here("photos", "styles/x.png", "styles/y.png", "-o", "out")
    assert result.exit_code == 123
    assert result.stderr.count("b-x.png: failed: a bug: ZeroDivisionError") == 1
    assert len(tree()) == 3


def test_without_a_network_there_is_nothing_to_go_on_with(
    here: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []

    def broken(self: Painter, options: Options) -> None:
        tried.append(options)
        raise weights.WeightsError("the embedded weights are missing")

    monkeypatch.setattr(Painter, "__init__", broken)
    result = here("photos", "styles", "-o", "out")
    assert result.exit_code == 5
    assert len(tried) == 1
    lines = result.stderr.splitlines()
    assert lines[0].startswith("stylize: 4 pictures: 4 not begun")
    assert lines[1:] == ["stylize: the embedded weights are missing"]
    assert tree() == []


def test_another_run_is_at_it(here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is at comes last, and is not made twice."""
    Path("out").mkdir()
    theirs = locks.held("out/a-x.png")
    theirs.__enter__()
    order: list[str] = []

    def step(_: Painter, iteration: int) -> None:
        order.append(Path(Painter.painted[-1][0]).stem + Path(Painter.painted[-1][1]).stem)
        if order[-1] == "by" and iteration == 4:
            theirs.__exit__(None, None, None)  # it was killed

    monkeypatch.setattr(Painter, "at_step", step)
    result = here("photos", "styles", "-o", "out", "--json")
    assert result.exit_code == 0
    assert "waiting for another run (pictures left to it: 1)" in result.stderr
    assert list(dict.fromkeys(order)) == ["bx", "ay", "by", "ax"]
    assert statuses(result) == dict.fromkeys(ALL, "done")
    assert tree() == ALL


def test_json_of_one_picture(here: Run) -> None:
    done = json.loads(here("photos/a.png", "styles/x.png", "-o", "a.png", "--json").stdout)
    assert done.pop("peak_memory") > 10**7
    done.pop("peak_device_memory")
    assert done == {
        "status": "done",
        "content": "photos/a.png",
        "styles": ["styles/x.png"],
        "output": "a.png",
        "width": 40,
        "height": 30,
        "iterations": 4,
        "seconds": 0.5,
        "losses": {"content": 1.0, "style": 2.0, "tv": 0.0, "gamut": 0.0, "total": 3.0},
        "reason": None,
        "exit_code": 0,
        "options": {**asdict(Options()), "mask": []},
    }
    failed = here("none.png", "styles/x.png", "-o", "a.png", "--json")
    said = json.loads(failed.stdout)
    assert (said["status"], said["exit_code"], failed.exit_code) == ("failed", 3, 3)
    assert said["reason"] == "none.png: no such file"
    assert said["losses"] is said["width"] is None
    refused = here("photos/a.png", "styles/x.png", "-o", "-", "--json")
    assert (refused.exit_code, refused.stdout) == (2, "")


def test_the_plan(here: Run) -> None:
    """Nothing is done, and nothing written; with an estimate of each."""
    assert here("photos/a.png", "styles/x.png", "-o", "out/").exit_code == 0
    Path("photos/c.png").write_text("Dear diary")
    Painter.calls.clear()
    before = tree(".")
    args = ["photos", "styles", "-o", "out", "--dry-run", "--device", "cpu"]
    result = here(*args)
    assert (result.exit_code, result.stderr) == (123, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "skipped  out/a-x.png  is up to date"
    assert re.fullmatch(r"planned  out/b-x\.png  41 x 30, \d+(\.\d)? s, \d\.\d GB", lines[1])
    assert lines[4].startswith("failed   out/c-x.png  photos/c.png: not a picture")
    assert lines[-2] == "6 pictures: 1 skipped, 3 planned, 2 failed"
    assert re.match(r"about \d+(\.\d)? s and \d\.\d GB on cpu in ", lines[-1])
    rows = [json.loads(line) for line in here(*args, "--json").stdout.splitlines()]
    assert [row["status"] for row in rows].count("planned") == 3
    planned = next(row for row in rows if row["status"] == "planned")
    assert (planned["width"], planned["iterations"]) == (41, 100)
    assert planned["seconds"] > 0
    assert planned["peak_memory"] > 10**8
    assert tree(".") == before
    assert not Painter.calls
    single = here("photos/a.png", "styles/x.png", "-o", "b.png", "--dry-run", "--jobs", "2")
    assert (single.exit_code, single.stdout.count("\n")) == (0, 3)


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ("photos styles -o -", 2, "'-' has no name"),
        ("- styles -o out", 2, "'-' has no name"),
        ("photos styles -o", 2, "requires an argument"),
        ("photos styles -o out.png", 2, "is one file; name a folder"),
        ("photos styles -o photos", 2, "among them the next time"),
        ("photos styles -o styles/{content}-{style}.png", 2, "among them the next time"),
        ("photos styles -o out --blend equal", 2, "--blend: styles is a folder"),
        ("photos styles -o out --mask photos/a.png", 2, "--mask: styles is a folder"),
        ("photos styles/x.png -o out --blend 1,2", 2, "2 shares for 1 STYLEs"),
        ("photos styles/x.png -o out --pair zip", 2, "2 photos and 1 paintings"),
        ("photos styles -o out --timelapse a.gif", 2, "--timelapse: films one picture"),
        ("photos styles -o {content}-{style}.bmp", 4, "unknown suffix '.bmp'"),
        ("photos styles/z.png -o out", 3, "styles/z.png: no such file"),
        ("none styles -o out", 3, "none: no such file"),
        ("photos photos/sub -o out", 3, "photos/sub: no pictures in this folder"),
        ("photos styles -o a.txt/deep/", 4, "a.txt is no folder"),
        ("photos styles -o out --depth 16", 2, "--depth 16: png is written in 8 bits"),
        ("photos styles/x.png -o out --mask none.png", 3, "none.png: no such file"),
        ("photos styles -o out --init none.png", 3, "none.png: no such file"),
        ("photos styles -o new/{content}/../{style}.png", 2, "two results would be new/"),
        ("photos styles -o ./ --snapshot-every 2 --init a-x-snapshots/2.png", 2, "inputs lie in"),
        ("photos styles -o ./ --recipe a-x.png", 2, "a-x.png is read, and would be written over"),
        ("photos/a.png styles/x.png -o new.xyz --dry-run", 4, "unknown suffix"),
        ("photos/a.png styles/x.png -o none/new.png --dry-run", 4, "no folder"),
        ("none.png styles/x.png -o new.png --dry-run", 3, "none.png: no such file"),
        ("- styles/x.png -o new.png --dry-run", 2, "does not read standard input"),
        ("a.txt styles/x.png -o new.png --dry-run", 3, "a.txt: not a picture"),
        ("photos styles -o out --jobs 0", 2, "--jobs"),
        ("photos styles -o out --pair some", 2, "'some' is not one of"),
    ],
)
def test_what_is_refused_before_any_work(args: str, code: int, message: str, here: Run) -> None:
    Path("a.txt").write_text("Dear diary")
    for folder in ("a-x-snapshots", "photos/sub"):
        Path(folder).mkdir()
    assert here("photos/a.png", "styles/x.png", "-o", "a-x.png").exit_code == 0
    os.link("a-x.png", "a-x-snapshots/2.png")
    Painter.calls.clear()
    before = tree(".")
    result = here(*args.split())
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Painter.calls
    assert tree(".") == before


def test_options_come_from_files_and_variables_too(here: Run) -> None:
    Path("a.toml").write_text("jobs = 1\nrecursive = true\njson = true\npair = 'zip'\n")
    Path("photos/sub").mkdir()
    os.rename("photos/b.png", "photos/sub/b.png")
    result = here("photos", "styles", "-o", "out", "--config", "a.toml")
    assert statuses(result) == {"a-x.png": "done", "b-y.png": "done"}
    assert tree() == ["a-x.png", "sub/b-y.png"]
    assert "recursive = true" in here("--config", "a.toml", "--print-config").stdout
    env = {"STYLIZE_FAIL_FAST": "1", "STYLIZE_OUTPUT": "new"}
    assert here("photos", "styles", env=env).exit_code == 0
    assert tree("new") == ["a-x.png", "a-y.png"]


def test_bars(here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the folder, and one of the picture."""
    from click.testing import _NamedTextIOWrapper

    monkeypatch.setattr(_NamedTextIOWrapper, "isatty", lambda _: True)
    shown = here("photos", "styles", "-o", "out").stderr
    assert "0/4 pictures   0%" in shown
    assert "4/4 pictures 100%" in shown
    assert "40x30 " in shown
    assert here("photos", "styles", "-o", "out", "-q").stderr == ""


def test_snapshots_of_each(here: Run) -> None:
    assert here("photos", "styles/x.png", "-o", "out", "--snapshot-every", "2").exit_code == 0
    assert tree("out/a-x-snapshots") == ["000002.png", "000004.png"]
    assert here("photos", "styles/x.png", "-o", "out", "--snapshot-every", "2").exit_code == 0
    assert len(Painter.painted) == 2


def test_paintings_are_read_once(here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    load = images.load

    def counted(source: Any, name: str = "picture") -> Any:
        if isinstance(source, str):
            read.append(source)
        return load(source, name)

    monkeypatch.setattr(images, "load", counted)
    assert here("photos", "styles", "-o", "out").exit_code == 0
    assert [name for name in read if name.startswith("styles")] == ["styles/x.png", "styles/y.png"]


def test_a_worker_that_dies(here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying:
        def __init__(self, *_: object) -> None: ...

        def run(self, tasks: Any, hear: Any) -> Any:
            for number, _ in tasks:
                yield number, executors.Lost(-9)

        def close(self) -> None: ...

    monkeypatch.setattr(executors, "Processes", Dying)
    result = here("photos", "styles/x.png", "-o", "out", "--jobs", "2", "--json")
    assert result.exit_code == 123
    said = [json.loads(line) for line in result.stdout.splitlines()]
    assert {row["exit_code"] for row in said} == {6}
    assert said[0]["reason"] == "its worker died (signal 9), perhaps for want of memory"


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell is asked for")
@pytest.mark.parametrize(
    "name", ["a b", "it's", 'q"q', "new\nline", "-o", "--help", "ü ß 画", "$(x)`y`"]
)
def test_odd_names_of_single_files(name: str, here: Run) -> None:
    """As a shell script gives them, behind -- or with a ./"""
    os.rename("photos/a.png", f"{name}.png")
    result = here("-o", f"out{name}.jpg", "--", f"{name}.png", "styles/x.png")
    assert (result.exit_code, result.output) == (0, "")
    assert Path(f"out{name}.jpg").is_file()
    other = here(f"./{name}.png", "styles/x.png", "-o", f"./{name}.webp", "--json")
    assert json.loads(other.stdout)["content"] == f"./{name}.png"
    assert other.stdout.count("\n") == 1


def test_a_painting_twice_in_one_picture(here: Run) -> None:
    args = ["photos", "styles/x.png", "styles/x.png", "styles/y.png", "-o", "out"]
    assert here(*args, "--blend", "0.2,0.3,0.5").exit_code == 0
    assert tree() == ["a-x+x+y.png", "b-x+x+y.png"]
    assert here(*args[:3], "-o", "pairs", "--pair", "zip").exit_code == 0
    assert tree("pairs") == ["a-x.png", "b-x.png"]
    assert here(*args[:3], "-o", "all").exit_code == 0
    assert tree("all") == ["a-x.png", "b-x.png"]


def test_a_closed_folder_is_a_failure(here: Run, close: Callable[[str], None]) -> None:
    Path("photos/closed").mkdir()
    close(os.path.join("photos", "closed"))
    args = ["photos", "styles/x.png", "-o", "out", "--recursive", "--json"]
    fast = here(*args, "--fail-fast")
    assert fast.exit_code == 123
    assert "3 pictures: 1 failed, 2 not begun" in fast.stderr
    result = here(*args)
    assert result.exit_code == 123
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["failed", "done", "done"]
    assert rows[0]["output"] == ""
    assert rows[0]["reason"] == "photos/closed: cannot be read (Permission denied)"
    assert "stylize: failed: photos/closed: cannot be read" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="has no pipes by name")
def test_a_pipe_is_read_once(here: Run) -> None:
    """By a single run, as ever; what would have to look at it first refuses."""
    photo = Path("photos/a.png").read_bytes()
    os.mkfifo("pipe.png")

    def feed() -> None:
        Path("pipe.png").write_bytes(photo)

    thread = threading.Thread(target=feed)
    thread.start()
    assert here("pipe.png", "styles/x.png", "-o", "a.png", "--existing", "update").exit_code == 0
    thread.join()
    planned = here("pipe.png", "styles/x.png", "-o", "b.png", "--dry-run")
    assert planned.exit_code == 3
    assert "pipe.png: is a pipe; save it to a file first" in planned.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="the current folder cannot go there")
def test_the_current_folder_is_gone(here: Run, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    os.chdir("gone")
    (tmp_path / "gone").rmdir()
    try:
        folders = [str(tmp_path / name) for name in ("photos", "styles")]
        result = here(*folders, "-o", "out")
        assert result.exit_code == 4
        assert result.stderr == "stylize: the current folder is gone; change to another one\n"
    finally:
        os.chdir(tmp_path)


def test_no_worker_can_be_had(here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(executors, "_Worker", none)
    result = here("photos", "styles", "-o", "out", "--jobs", "9")
    assert result.exit_code == 6
    assert "4 not begun" in result.stderr
    assert "--jobs 9: no process more can be had (Too many open files); give fewer" in result.stderr


def test_what_a_folder_holds_of_an_older_version(here: Run) -> None:
    """An option that its recipe does not know had what is now the default."""
    assert here("photos/a.png", "styles/x.png", "-o", "out/").exit_code == 0
    with Image.open("out/a-x.png") as image:
        held = json.loads(image.info[KEY])
        del held["options"]["tv_weight"]
        held["stylize"] = "0.0.1"
        text = PngImagePlugin.PngInfo()
        text.add_text(KEY, json.dumps(held))
        image.save("out/a-x.png", pnginfo=text)
    args = ["photos/a.png", "styles/x.png", "-o", "out/", "--json"]
    assert statuses(here(*args)) == {"a-x.png": "skipped"}
    assert statuses(here(*args, "--tv-weight", "1")) == {"a-x.png": "done"}
