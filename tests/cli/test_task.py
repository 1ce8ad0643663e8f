"""No output is written over an input or another output, also with several tasks and links."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stylize import OptionError, Options
from stylize.cli.arguments import Arguments
from stylize.cli.task import Task, check_overwrites

LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")


@pytest.fixture(autouse=True)
def _inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory contains a.jpg, b.jpg and style.jpg."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg", "style.jpg"):
        Path(name).touch()


def check(outputs: dict[str, str], options: Options | None = None, **arguments: Any) -> None:
    """Check one task for each content image in `outputs`, whose values are the outputs."""
    common = Arguments("", (), "", options or Options(), **arguments)
    check_overwrites(
        [Task(content, ("style.jpg",), output, common) for content, output in outputs.items()]
    )


def test_different_names_are_accepted() -> None:
    Path("old.png").touch()
    check({"a.jpg": "old.png", "b.jpg": "new.png"}, snapshot_every=1)


@LINKS
@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
@pytest.mark.parametrize("target", ["b.jpg", "style.jpg"])
def test_an_output_that_links_to_an_input_of_another_task_is_refused(
    target: str, link: Callable[[Path, str], None]
) -> None:
    link(Path("link.png"), target)
    with pytest.raises(OptionError, match=r"^-o link\.png: is an input too; choose another name$"):
        check({"a.jpg": "link.png", "b.jpg": "out.png"})


@pytest.mark.parametrize("output", ["b.jpg", "./b.jpg", "../{folder}/b.jpg"])
def test_an_output_that_is_an_input_of_another_task_is_refused(output: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is an input too"):
        check({"a.jpg": output.format(folder=tmp_path.name), "b.jpg": "out.png"})


@pytest.mark.parametrize("option", ["init", "mask", "weights", "weights:caffe", "settings_files"])
def test_every_file_that_is_read_is_an_input(option: str) -> None:
    Path("read.png").touch()
    arguments: dict[str, Any] = {}
    if option == "settings_files":
        arguments["settings_files"] = ("read.png",)
    else:
        name, _, convention = option.partition(":")
        value = f"read.png:{convention}" if convention else "read.png"
        arguments["options"] = Options(**{name: value})
    with pytest.raises(OptionError, match=r"-o read\.png: is an input too"):
        check({"a.jpg": "out.png", "b.jpg": "read.png"}, **arguments)


def test_a_file_whose_name_is_a_word_of_an_option_is_no_input() -> None:
    for word in ("faint", "noise", "auto"):
        Path(word).touch()
        check({"a.jpg": word})


@LINKS
def test_two_outputs_with_one_real_path_are_refused(tmp_path: Path) -> None:
    Path("folder").mkdir()
    Path("linked").symlink_to("folder")
    Path("link.png").symlink_to("out.png")
    for first, second in (
        ("out.png", "out.png"),
        ("out.png", "./folder/../out.png"),
        ("out.png", str(tmp_path / "out.png")),
        ("out.png", "link.png"),
        ("folder/out.png", "linked/out.png"),
    ):
        with pytest.raises(OptionError, match=r"^-o .*(out|link)\.png: two results would have"):
            check({"a.jpg": first, "b.jpg": second})


@LINKS
def test_outputs_that_are_hard_links_of_one_file_are_accepted() -> None:
    """Each name gets a file of its own, because results replace files and do not change them."""
    Path("one.png").touch()
    Path("other.png").hardlink_to("one.png")
    check({"a.jpg": "one.png", "b.jpg": "other.png"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"timelapse": "./out.png"}, r"^--timelapse \./out\.png: is the file of OUTPUT too"),
        ({"trace": "out.png"}, r"^--trace out\.png: is the file of OUTPUT too"),
        ({"checkpoint": "out.png"}, r"^--checkpoint out\.png: is the file of OUTPUT too"),
        ({"trace": "t", "checkpoint": "./t"}, r"^--checkpoint \./t: is the file of --trace too"),
        ({"trace": "out.png.checkpoint"}, r"^--checkpoint .*: is the file of --trace too"),
        ({"timelapse": "a.jpg"}, r"^--timelapse a\.jpg: is an input too"),
        ({"trace": "style.jpg"}, r"^--trace style\.jpg: is an input too"),
        ({"checkpoint": "a.jpg"}, r"^--checkpoint a\.jpg: is an input too"),
    ],
)
def test_the_other_outputs_of_a_task_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        check({"a.jpg": "out.png"}, **arguments)


@pytest.mark.parametrize(
    "outputs",
    [
        {"a.jpg": "out.png", "out-snapshots/b.jpg": "b.png"},
        {"a.jpg": "out.png", "b.jpg": "out-snapshots/b.png"},
        {"a.jpg": "out.png", "b.jpg": "./folder/../out-snapshots/b.png"},
    ],
)
def test_a_snapshots_folder_with_files_of_another_task_is_refused(outputs: dict[str, str]) -> None:
    message = r"^--snapshot-every: out-snapshots also contains inputs or outputs"
    with pytest.raises(OptionError, match=message):
        check(outputs, snapshot_every=1)
    check(outputs)


@LINKS
@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_a_link_to_an_input_in_a_snapshots_folder_is_refused(
    link: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    Path("out-snapshots").mkdir()
    link(Path("out-snapshots/000001.png"), tmp_path / "b.jpg")
    outputs = {"a.jpg": "out.png", "b.jpg": "other.png"}
    with pytest.raises(OptionError, match=r"000001\.png is a link to an input$"):
        check(outputs, snapshot_every=1)
    check(outputs)
