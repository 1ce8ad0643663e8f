"""Folders by the command, with a stand-in for the network that takes no time."""

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import pytest
from conftest import GREEN, Painter, files_in, statuses
from PIL import Image

from stylize import Options, files
from stylize.cli import resources, workers
from stylize.network import weights

pytestmark = pytest.mark.usefixtures("painter")

Run = Callable[..., Any]

ALL = ["a-x.png", "a-y.png", "b-x.png", "b-y.png"]


def test_every_photo_is_painted_in_every_style(run_on_folders: Run) -> None:
    result = run_on_folders("photos", "styles", "-o", "out")
    assert (result.exit_code, result.stdout) == (0, "")
    assert files_in("out") == ALL
    assert Image.open("out/b-y.png").getpixel((0, 0)) == GREEN
    painted = [f"{Path(photo).stem}-{Path(style).stem}.png" for photo, style in Painter.painted]
    assert painted == ["a-x.png", "b-x.png", "a-y.png", "b-y.png"], "style by style"
    assert len(Painter.calls) == 1, "one network for all"
    assert Painter.calls[0].options == Options()
    lines = result.stderr.splitlines()
    assert lines[0] == "stylize: 1/4  done  out/a-x.png  40 x 30, 0.5 s"
    assert re.fullmatch(r"stylize: 4 pictures: 4 done; \d.\d s", lines[-1])
    assert len(lines) == 5


def test_single_files_can_be_painted_into_a_folder_or_by_a_pattern(run_on_folders: Run) -> None:
    assert run_on_folders("photos/a.png", "styles/x.png", "-o", "new/").exit_code == 0
    assert files_in("new") == ["a-x.png"]
    args = ["photos/a.png", "styles/x.png", "styles/y.png", "--seed", "7"]
    assert run_on_folders(*args, "-o", "new/{style}/{seed}.webp").exit_code == 0
    assert files_in("new") == ["a-x.png", "x/7.webp", "y/7.webp"]
    blend = run_on_folders(*args, "-o", "new", "--blend", "equal", "--format", "jpeg")
    assert blend.exit_code == 0
    assert "a-x+y.jpg" in files_in("new")
    assert len(Painter.painted[-1]) == 3


def test_an_interrupted_picture_is_painted_to_its_end_by_the_next_run(
    run_on_folders: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C saves the picture so far, and no other picture is started."""

    def press_ctrl_c(_: Painter, iteration: int) -> None:
        if len(Painter.painted) == 2 and iteration == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Painter, "at_step", press_ctrl_c)
    result = run_on_folders("photos", "styles", "-o", "out", "--json")
    assert result.exit_code == 130
    assert statuses(result.stdout) == {"a-x.png": "done", "b-x.png": "interrupted"}
    assert files_in("out") == ["a-x.png", "b-x.png"]
    assert "4 pictures: 1 done, 1 interrupted, 2 not started" in result.stderr
    monkeypatch.setattr(Painter, "at_step", lambda *_: None)
    again = run_on_folders("photos", "styles", "-o", "out", "--json")
    expected = {"a-x.png": "skipped", "b-x.png": "done", "a-y.png": "done", "b-y.png": "done"}
    assert statuses(again.stdout) == expected


def test_ctrl_c_before_the_first_step_of_a_picture_leaves_no_file(
    run_on_folders: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press_ctrl_c(_: Painter, iteration: int) -> None:
        if len(Painter.painted) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Painter, "at_step", press_ctrl_c)
    result = run_on_folders("photos", "styles", "-o", "out")
    assert result.exit_code == 130
    assert files_in("out") == ["a-x.png"]
    assert "1 done, 3 not started" in result.stderr
    assert "interrupted; run the same command again to resume" in result.stderr


def test_a_bad_file_does_not_stop_the_others(run_on_folders: Run) -> None:
    good_file = Path("photos/a.png").read_bytes()
    Path("photos/cut.png").write_bytes(good_file[: len(good_file) // 2])
    Path("photos/text.jpg").write_text("Dear diary")
    Image.new("RGB", (1, 1)).save("photos/dot.png")
    Path("photos/notes.txt").write_text("ignored")
    odd = ["-o", " x", "'q\"", "ü\nß", "$(rm)", "100%", "{style}"]
    bad = {"cut-x.png", "text-x.png", "dot-x.png"}
    if sys.platform != "win32":
        Path("photos/loop.png").symlink_to("loop.png")
        bad.add("loop-x.png")
        odd.append(os.fsdecode(b"\xff"))
    else:
        odd = ["-o", "ü", "{style}"]
    for name in odd:
        Path("photos", f"{name}.png").write_bytes(good_file)
    result = run_on_folders("photos", "styles/x.png", "-o", "out", "--json")
    assert result.exit_code == 123
    good = {f"{name}-x.png" for name in ["a", "b", *odd]}
    assert statuses(result.stdout) == dict.fromkeys(good, "done") | dict.fromkeys(bad, "failed")
    assert set(files_in("out")) == good
    for message in (
        "cut.png: damaged or cut short",
        "text.jpg: not a picture",
        "dot.png: has only 1 x 1",
    ):
        assert result.stderr.count(message) == 1
    assert "Traceback" not in result.stderr
    quiet = run_on_folders("photos", "styles/x.png", "-o", "out", "-q")
    assert quiet.stderr.count("\n") == len(bad), "errors alone"
    assert all("  failed  out/" in line for line in quiet.stderr.splitlines())


def test_fail_fast_starts_no_more_pictures_after_a_failure(run_on_folders: Run) -> None:
    Path("photos/a.png").write_text("Dear diary")
    result = run_on_folders("photos", "styles", "-o", "out", "--fail-fast", "--json")
    assert result.exit_code == 123
    assert statuses(result.stdout) == {"a-x.png": "failed"}
    assert "4 pictures: 1 failed, 3 not started" in result.stderr
    assert files_in("out") == []


def test_a_bug_costs_one_picture(run_on_folders: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Painter, "at_step", lambda *_: 1 / (len(Painter.painted) - 2))
    result = run_on_folders("photos", "styles/x.png", "styles/y.png", "-o", "out")
    assert result.exit_code == 123
    assert result.stderr.count("failed  out/b-x.png  a bug: ZeroDivisionError") == 1
    assert len(files_in("out")) == 3


def test_without_a_network_no_picture_is_tried(
    run_on_folders: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []

    def fail(self: Painter, options: Options) -> None:
        tried.append(options)
        raise weights.WeightsError("the embedded weights are missing")

    monkeypatch.setattr(Painter, "__init__", fail)
    result = run_on_folders("photos", "styles", "-o", "out")
    assert result.exit_code == 5
    assert len(tried) == 1
    lines = result.stderr.splitlines()
    assert lines[0].startswith("stylize: 4 pictures: 4 not started")
    assert lines[1:] == ["stylize: the embedded weights are missing"]
    assert files_in("out") == []


def test_a_picture_that_another_run_is_painting_comes_last_and_is_painted_once(
    run_on_folders: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("out").mkdir()
    lock_of_other_run = files.lock("out/a-x.png")
    lock_of_other_run.__enter__()
    order: list[str] = []

    def step(_: Painter, iteration: int) -> None:
        order.append(Path(Painter.painted[-1][0]).stem + Path(Painter.painted[-1][1]).stem)
        if order[-1] == "by" and iteration == 4:
            lock_of_other_run.__exit__(None, None, None)  # as if the other run was killed

    monkeypatch.setattr(Painter, "at_step", step)
    result = run_on_folders("photos", "styles", "-o", "out", "--json")
    assert result.exit_code == 0
    assert "waiting for another run, which locked pictures: 1" in result.stderr
    assert list(dict.fromkeys(order)) == ["bx", "ay", "by", "ax"]
    assert statuses(result.stdout) == dict.fromkeys(ALL, "done")
    assert files_in("out") == ALL


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ("photos styles -o -", 2, "'-' cannot be used with folders"),
        ("- styles -o out", 2, "'-' cannot be used with folders"),
        ("photos styles -o", 2, "requires an argument"),
        ("photos styles -o out.png", 2, "is one file; name a folder"),
        ("photos styles -o photos", 2, "the next run would take the results for inputs"),
        ("photos styles -o styles/{content}-{style}.png", 2, "would take the results for inputs"),
        ("photos styles -o out --blend equal", 2, "--blend: styles is a folder"),
        ("photos styles -o out --mask photos/a.png", 2, "--mask: styles is a folder"),
        ("photos styles/x.png -o out --blend 1,2", 2, "2 shares for 1 style"),
        ("photos styles/x.png -o out --pair zip", 2, "2 photos and 1 paintings"),
        ("photos styles -o out --timelapse a.gif", 2, "--timelapse: films one picture"),
        ("photos styles -o out --trace a.jsonl", 2, "--trace: is for one picture"),
        ("photos styles -o out --checkpoint a", 2, "--checkpoint: is for one picture"),
        ("photos styles -o {content}-{style}.bmp", 4, "unknown suffix '.bmp'"),
        ("photos styles/z.png -o out", 3, "styles/z.png: no such file"),
        ("none styles -o out", 3, "none: no such file"),
        ("photos photos/sub -o out", 3, "photos/sub: no pictures in this folder"),
        ("photos styles -o a.txt/deep/", 4, "a.txt is not a folder"),
        ("photos styles -o out --depth 16", 2, "--depth 16: png is written in 8 bits"),
        ("photos styles/x.png -o out --mask none.png", 3, "none.png: no such file"),
        ("photos styles -o out --init none.png", 3, "none.png: no such file"),
        (
            "photos styles -o new/{content}/../{style}.png",
            2,
            "-o new/b/../x.png: two results would have this name",
        ),
        (
            "photos styles -o ./ --snapshot-every 2 --init b-x-snapshots/2.png",
            2,
            "./b-x-snapshots also contains inputs or outputs",
        ),
        ("photos styles -o ./ --init a-x-snapshots/2.png", 2, "-o ./a-x.png: is an input too"),
        ("photos styles -o ./ --recipe a-x.png", 2, "-o ./a-x.png: is an input too"),
        ("photos styles -o out --jobs 0", 2, "--jobs"),
        ("photos styles -o out --pair some", 2, "'some' is not one of"),
    ],
)
def test_errors_that_concern_all_pictures_are_reported_before_any_work(
    args: str, code: int, message: str, run_on_folders: Run
) -> None:
    Path("a.txt").write_text("Dear diary")
    for folder in ("a-x-snapshots", "b-x-snapshots", "photos/sub"):
        Path(folder).mkdir()
    assert run_on_folders("photos/a.png", "styles/x.png", "-o", "a-x.png").exit_code == 0
    os.link("a-x.png", "a-x-snapshots/2.png")
    Path("b-x-snapshots/2.png").write_bytes(Path("a-x.png").read_bytes())
    Painter.calls.clear()
    before = files_in(".")
    result = run_on_folders(*args.split())
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Painter.calls
    assert files_in(".") == before


def test_options_for_folders_can_come_from_files_and_variables(run_on_folders: Run) -> None:
    Path("a.toml").write_text("jobs = 1\nrecursive = true\njson = true\npair = 'zip'\n")
    Path("photos/sub").mkdir()
    os.rename("photos/b.png", "photos/sub/b.png")
    result = run_on_folders("photos", "styles", "-o", "out", "--config", "a.toml")
    assert statuses(result.stdout) == {"a-x.png": "done", "b-y.png": "done"}
    assert files_in("out") == ["a-x.png", "sub/b-y.png"]
    assert "recursive = true" in run_on_folders("--config", "a.toml", "--print-config").stdout
    env = {"STYLIZE_FAIL_FAST": "1", "STYLIZE_OUTPUT": "new"}
    assert run_on_folders("photos", "styles", env=env).exit_code == 0
    assert files_in("new") == ["a-x.png", "a-y.png"]


def test_one_bar_is_for_the_folder_and_one_for_the_picture(
    run_on_folders: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import _NamedTextIOWrapper

    monkeypatch.setattr(_NamedTextIOWrapper, "isatty", lambda _: True)
    shown = run_on_folders("photos", "styles", "-o", "out").stderr
    assert "0/4 pictures   0%" in shown
    assert "4/4 pictures 100%" in shown
    assert "a-x.png  25%" in shown
    assert run_on_folders("photos", "styles", "-o", "out", "-q").stderr == ""


def test_each_picture_has_its_folder_of_snapshots(run_on_folders: Run) -> None:
    args = ["photos", "styles/x.png", "-o", "out", "--snapshot-every", "2"]
    assert run_on_folders(*args).exit_code == 0
    assert files_in("out/a-x-snapshots") == ["000002.png", "000004.png"]
    assert run_on_folders(*args).exit_code == 0
    assert len(Painter.painted) == 2, "none is painted again"


def test_style_images_are_read_once(run_on_folders: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    load = resources.load_picture

    def load_and_record(source: Any, name: str = "picture") -> Any:
        read.append(source)
        return load(source, name)

    monkeypatch.setattr(resources, "load_picture", load_and_record)
    assert run_on_folders("photos", "styles", "-o", "out").exit_code == 0
    assert [name for name in read if name.startswith("styles")] == ["styles/x.png", "styles/y.png"]


def test_a_worker_that_dies_costs_its_picture(
    run_on_folders: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DyingProcesses:
        def __init__(self, *_: object) -> None: ...

        def run(self, tasks: Any, on_message: Any) -> Any:
            for number, _ in tasks:
                yield number, workers.WorkerDied(-9)

        def close(self) -> None: ...

    monkeypatch.setattr(workers, "Processes", DyingProcesses)
    result = run_on_folders("photos", "styles/x.png", "-o", "out", "--jobs", "2", "--json")
    assert result.exit_code == 123
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert {row["exit_code"] for row in rows} == {6}
    assert rows[0]["reason"] == "its worker died (signal 9), perhaps for want of memory"


def test_a_style_that_is_named_twice_counts_twice_in_a_blend_alone(run_on_folders: Run) -> None:
    args = ["photos", "styles/x.png", "styles/x.png", "styles/y.png", "-o", "out"]
    assert run_on_folders(*args, "--blend", "0.2,0.3,0.5").exit_code == 0
    assert files_in("out") == ["a-x+x+y.png", "b-x+x+y.png"]
    assert run_on_folders(*args[:3], "-o", "pairs", "--pair", "zip").exit_code == 0
    assert files_in("pairs") == ["a-x.png", "b-x.png"]
    assert run_on_folders(*args[:3], "-o", "all").exit_code == 0
    assert files_in("all") == ["a-x.png", "b-x.png"]


def test_an_unreadable_folder_is_a_failure(
    run_on_folders: Run, make_unreadable: Callable[[str], None]
) -> None:
    Path("photos/closed").mkdir()
    make_unreadable(os.path.join("photos", "closed"))
    args = ["photos", "styles/x.png", "-o", "out", "--recursive", "--json"]
    fast = run_on_folders(*args, "--fail-fast")
    assert fast.exit_code == 123
    assert "3 pictures: 1 failed, 2 not started" in fast.stderr
    result = run_on_folders(*args)
    assert result.exit_code == 123
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["failed", "done", "done"]
    assert rows[0]["output"] == ""
    assert rows[0]["reason"] == "photos/closed: cannot be read (Permission denied)"
    assert "stylize: failed  photos/closed  cannot be read" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
@pytest.mark.parametrize("args", [(), ("--dry-run",)], ids=str)
@pytest.mark.usefixtures("painter", "_never_waits")
def test_a_pipe_that_has_a_results_name_fails_at_once(
    args: tuple[str, ...], run_on_folders: Run
) -> None:
    """Nobody writes to it. The others are painted."""
    Path("out").mkdir()
    os.mkfifo("out/a-x.png")
    result = run_on_folders("photos", "styles/x.png", "-o", "out", "--json", *args)
    assert result.exit_code == 123
    assert statuses(result.stdout)["a-x.png"] == "failed"
    assert "failed" not in statuses(result.stdout)["b-x.png"]
    assert "is not a regular file" in result.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not delete the current folder")
def test_a_deleted_current_folder_is_reported(run_on_folders: Run, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    os.chdir("gone")
    (tmp_path / "gone").rmdir()
    try:
        folders = [str(tmp_path / name) for name in ("photos", "styles")]
        result = run_on_folders(*folders, "-o", "out")
        assert result.exit_code == 4
        expected = "stylize: the current folder was deleted; change to another one\n"
        assert result.stderr == expected
    finally:
        os.chdir(tmp_path)


def test_processes_that_cannot_be_started_are_reported(
    run_on_folders: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(BaseContext, "Pipe", fail)
    result = run_on_folders("photos", "styles", "-o", "out", "--jobs", "9")
    assert result.exit_code == 6
    assert "4 not started" in result.stderr
    assert "--jobs 9: " in result.stderr
    assert "(Too many open files); give fewer" in result.stderr
