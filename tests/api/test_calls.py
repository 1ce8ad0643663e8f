"""What Python programs and notebooks call: pictures in any form, bars, interruption, remarks."""

import io
import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stylize import (
    STOP,
    OptionError,
    Options,
    OutputError,
    PictureError,
    Step,
    Stylizer,
    stylize,
)

#: Layers that are computed at once, and few iterations.
FAST: dict[str, Any] = {
    "size": 40,
    "iterations": 3,
    "content_layers": "relu2_2",
    "style_layers": "relu1_1,relu2_1",
}


@pytest.fixture
def grey() -> Image.Image:
    """A mask that also serves as a start: white on the left."""
    return Image.linear_gradient("L").rotate(90).resize((40, 27))


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        *(("mask", kind) for kind in ("Path", "PIL", "array", "truths", "file")),
        *(("init", "PIL"), ("init", "array"), ("enlarge", "PIL"), ("enlarge", "file")),
    ],
)
def test_options_take_pictures_in_every_form(
    option: str,
    kind: str,
    stylizer: Stylizer,
    photo: str,
    painting: str,
    grey: Image.Image,
    tmp_path: Path,
) -> None:
    if kind == "truths":
        grey = grey.point(lambda level: 255 * (level > 99))
    path = tmp_path / "grey.png"
    grey.save(path)
    given: dict[str, Any] = {
        "Path": path,
        "PIL": grey,
        "array": np.asarray(grey),
        "truths": np.asarray(grey) > 0,
        "file": io.BytesIO(path.read_bytes()),
    }
    size = {"size": 80} if option == "enlarge" else {}
    by_path = stylizer(photo, painting, **{**FAST, **size, option: str(path)})
    result = stylizer(photo, painting, **{**FAST, **size, option: given[kind]})
    assert np.array_equal(result.pixels, by_path.pixels)
    assert getattr(result.options, option) != getattr(Options(), option)


def test_options_with_pictures_can_be_compared_copied_and_used_again(
    stylizer: Stylizer, photo: str, painting: str, grey: Image.Image
) -> None:
    result = stylizer(photo, painting, mask=grey, **FAST)
    again = stylizer(photo, painting, mask=np.asarray(grey), **FAST)
    other = stylizer(photo, painting, mask=Image.new("L", (9, 9), "white"), **FAST)
    assert result.options == again.options != other.options
    copied = pickle.loads(pickle.dumps(result.options))
    assert copied == result.options
    from_copy = Stylizer(copied, precision="float32")(photo, painting)
    assert np.array_equal(from_copy.pixels, result.pixels)
    assert len(repr(result.options)) < 300


def test_a_picture_in_an_option_that_is_none_is_named(photo: str, painting: str) -> None:
    with pytest.raises(PictureError, match=r"^mask 2: has the shape"):
        stylize(photo, painting, painting, mask=["a.png", np.zeros((2, 2, 2))])
    with pytest.raises(PictureError, match=r"^init picture: has the type"):
        stylize(photo, painting, init=np.zeros((9, 9), np.int64))
    with pytest.raises(OptionError, match=r"^--init: None"):
        stylize(photo, painting, init=None)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("style_wieght", "style_weight"),
        ("colour", "color"),
        ("Size", "size"),
        ("on_steps", "on_step"),
        ("progres", "progress"),
        ("stylescale", "style_scale"),
        ("steps", "iterations"),
        ("gpu", 'device="cuda"'),
        ("style", 'stylize("photo.jpg", "painting.jpg")'),
        ("output", 'stylize(...).save("out.jpg")'),
    ],
)
def test_a_wrong_name_is_told_the_right_one(
    given: str, meant: str, stylizer: Stylizer, photo: str, painting: str
) -> None:
    wrong: dict[str, Any] = {given: 1}
    for call in (
        lambda: stylize(photo, painting, **wrong),
        lambda: Stylizer(**wrong),
        lambda: stylizer(photo, painting, **wrong),
    ):
        with pytest.raises(OptionError) as error:
            call()
        assert str(error.value) == f"no such option: {given}; did you mean {meant}?"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "is None; give a path, an open file, a PIL image or an array of pixels"),
        (3, "is 3; give a path, an open file, a PIL image or an array of pixels"),
        (b"\x89PNG", "is bytes; for the bytes of a file give io.BytesIO(...)"),
        (["a.jpg", "b.jpg"], "is a list of paths; give each picture by itself"),
        (
            np.zeros((3, 40, 50), np.uint8),
            "has the shape (3, 40, 50); give H x W, or H x W x 1, 3 or 4, with the channels last",
        ),
        (np.zeros((40, 50, 2)), "has the shape (40, 50, 2); give H x W, or H x W x 1, 3 or 4"),
    ],
)
def test_what_is_no_picture_is_told_what_one_is(given: Any, message: str, painting: str) -> None:
    with pytest.raises(PictureError) as error:
        stylize(given, painting)
    assert str(error.value) == f"content picture: {message}"


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "20000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_openmps_threads_soon_sleep_unless_the_user_says_otherwise(
    given: dict[str, str], expected: str
) -> None:
    code = (
        "import os, sys, stylize; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    )
    kept = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, env={**kept, **given}, capture_output=True, check=True).stdout
    assert printed.decode().split() == [expected, "False"]


def test_a_preset_is_given_when_a_stylizer_is_made(stylizer: Stylizer, photo: str) -> None:
    wrong: dict[str, Any] = {"preset": "paper"}
    with pytest.raises(OptionError, match=r"^preset: is given when the Stylizer is made"):
        stylizer(photo, photo, **wrong)


def test_no_mask_may_be_said(stylizer: Stylizer, photo: str, painting: str) -> None:
    nowhere: dict[str, Any] = {"mask": None}
    assert stylizer(photo, painting, **nowhere, **FAST).options.mask == ()


def test_a_result_is_not_saved_to_an_open_file(painted: Any) -> None:
    with pytest.raises(OutputError, match=r"give a path; .* result.encode\('png'\)"):
        painted.save(io.BytesIO())


def test_a_stylizer_shows_its_options() -> None:
    assert repr(Stylizer(size=64)) == "Stylizer(size=64)"


def test_a_name_like_no_other_is_sent_to_the_help(photo: str, painting: str) -> None:
    wrong: dict[str, Any] = {"qqq": 1}
    with pytest.raises(OptionError, match=r"qqq; the function's help\(\) explains them all"):
        stylize(photo, painting, **wrong)


@pytest.mark.parametrize("progress", [False, True])
def test_a_bar_is_shown_on_request(
    progress: bool, stylizer: Stylizer, photo: str, painting: str, capsys: Any
) -> None:
    stylizer(photo, painting, progress=progress, **FAST)
    shown = capsys.readouterr()
    assert ("chelsea... 100%" in shown.err) is progress
    assert shown.out == ""


def interrupt_at(iteration: int) -> Any:
    def on_step(step: Step) -> None:
        if step.iteration == iteration:
            raise KeyboardInterrupt

    return on_step


def test_an_interrupted_call_keeps_its_picture(
    stylizer: Stylizer, photo: str, painting: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Jupyter's button does the same as Ctrl-C."""
    stopped = stylizer(
        photo, painting, on_step=lambda step: STOP if step.iteration == 2 else None, **FAST
    )
    result = stylizer(photo, painting, on_step=interrupt_at(2), progress=True, **FAST)
    assert not result.complete
    assert np.array_equal(result.pixels, stopped.pixels)
    assert result.recipe is not None
    assert not result.recipe.complete
    assert "interrupted after iteration 2 of 3; the result is the picture so far" in caplog.text


def test_an_interrupted_call_without_a_picture_ends_like_any_other(
    stylizer: Stylizer, photo: str, painting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stylizer, "make_optimizer", interrupt)
    with pytest.raises(KeyboardInterrupt):
        stylizer(photo, painting, **FAST)


def test_options_without_effect_are_told_once(
    photo: str, painting: str, caplog: pytest.LogCaptureFixture
) -> None:
    paint = Stylizer(**FAST, learning_rate=0.1)
    for seed in (1, 2):
        paint(photo, painting, blend="equal", seed=seed)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == [
        "--learning-rate: has no effect without --optimizer adam",
        "--blend: has no effect with one STYLE",
    ]


def test_options_and_a_preset_together_are_refused() -> None:
    with pytest.raises(OptionError, match="either options or a preset"):
        Stylizer(Options(), preset="paper")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked there")
def test_a_forked_process_is_refused_rather_than_left_to_hang(photo: str, painting: str) -> None:
    code = f"""
import os, warnings
from stylize import DeviceError, Stylizer, stylize
warnings.simplefilter("ignore")  # newer Pythons warn of forks
painter = Stylizer(size=32, iterations=1)
painter({photo!r}, {painting!r})
if not os.fork():
    for paint in (painter, stylize):
        try:
            paint({photo!r}, {painting!r}, **({{}} if paint is painter else {{"size": 32}}))
        except DeviceError as error:
            print(error, flush=True)
    os._exit(0)
os.wait()
painter({photo!r}, {painting!r})
print("the parent paints on")
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    *refusals, last = process.stdout.decode().splitlines()
    assert last == "the parent paints on", process.stderr
    assert len(refusals) == 2
    assert all('get_context("spawn")' in line for line in refusals)


def test_a_dictionary_in_the_place_of_options_is_an_option_error() -> None:
    options: Any = {"size": 32}
    with pytest.raises(OptionError, match=r"options: give Options, not \{'size': 32\}"):
        Stylizer(options)
