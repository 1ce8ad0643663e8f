"""`--try`: one photo in one painting's style, with several values of some options, side by side.

Each combination is a picture like any other, in a folder beside OUTPUT, with its own recipe. OUTPUT
is a sheet of them all, made from these files.
"""

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import ExitCode, OptionError, PictureError
from ..images import encode
from ..images.picture import load_picture
from ..settings.options import Options
from .batch import run_tasks
from .combinations import SIZE, Trial
from .page import Label, Page, check_page
from .task import Arguments, Task, check_overwrites

if TYPE_CHECKING:
    from PIL import Image

#: Of the sheet, in pixels: between the pictures, and the height of a line of text.
GAP, LINE = 12, 18


def run_trials(arguments: Arguments) -> ExitCode:
    """The command with `--try`.

    Raises:
        StylizeError: one of its subclasses, for an error that concerns all pictures.
    """
    tasks = list_trials(arguments)
    labels = list(map(_label, arguments.trials, tasks))
    code = run_tasks(arguments, tasks, Page(arguments, tasks, labels=labels))
    if code in (ExitCode.DONE, ExitCode.SOME_FAILED):
        write_sheet(arguments.output, arguments.trials, [task.output for task in tasks])
    return code


def list_trials(arguments: Arguments) -> list[Task]:
    """One task for each combination.

    Raises:
        OptionError: the arguments contradict each other, or a file would be written over an input.
        OutputError: the sheet or the page cannot be written.
    """
    _check_arguments(arguments)
    arguments.options.style_shares(len(arguments.styles))
    if arguments.existing == "auto":
        arguments = replace(arguments, existing="update")
    tasks = [_task(arguments, trial) for trial in arguments.trials]
    sheet = Task(arguments.content, arguments.styles, arguments.output, arguments)
    check_overwrites([sheet, *tasks])
    encode.check_output(arguments.output)
    check_page(arguments)
    return tasks


def command(task: Task) -> str:
    """The command that makes the large picture from one of the trials."""
    large = f"{os.path.splitext(task.output)[0]}-large{os.path.splitext(task.output)[1]}"
    words = [task.content, *task.styles, "--enlarge", task.output, "-s", "1024", "-o", large]
    return shlex.join(["stylize", *words])


def write_sheet(path: str, trials: Sequence[Trial], pictures: Sequence[str]) -> None:
    """Lay pictures out as a grid with a label under each, and write that.

    The last option varies from left to right, the others from top to bottom.

    Args:
        path: of the sheet.
        trials: what to write under each.
        pictures: paths; one that is missing leaves its place empty.

    Raises:
        OutputError: it cannot be written.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    images = [_image(picture) for picture in pictures]
    width = max((image.width for image in images if image), default=SIZE)
    height = max((image.height for image in images if image), default=SIZE)
    columns = len({trial.settings[-1] for trial in trials})
    rows = -(-len(trials) // columns)
    lines = len(trials[0].settings)
    across, down = width + GAP, height + lines * LINE + GAP
    sheet = Image.new("RGB", (columns * across + GAP, rows * down + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for number, (trial, image) in enumerate(zip(trials, images, strict=True)):
        left, top = GAP + number % columns * across, GAP + number // columns * down
        if image:
            sheet.paste(image, (left, top))
        else:
            draw.text((left, top), "failed", "#a8201a", font)
        for line, (name, value) in enumerate(trial.settings):
            text = _fitting(f"--{name} {value}", width, font)
            draw.text((left, top + height + line * LINE + 2), text, "black", font)
    pixels = np.asarray(sheet).astype(np.float32) / np.float32(255)
    encode.save(pixels, path, Options())


def _check_arguments(arguments: Arguments) -> None:
    if "-" in (arguments.content, *arguments.styles, arguments.output):
        raise OptionError("--try: '-' cannot be used; name files")
    for path in filter(os.path.isdir, (arguments.content, *arguments.styles)):
        raise OptionError(f"--try: {path} is a folder; name one picture")
    given = {
        "--timelapse": arguments.timelapse,
        "--trace": arguments.trace,
        "--checkpoint": arguments.checkpoint,
    }
    for option in filter(given.get, given):
        raise OptionError(f"{option}: is for one picture; leave it out with --try")


def _task(arguments: Arguments, trial: Trial) -> Task:
    base, suffix = os.path.splitext(arguments.output)
    output = os.path.join(f"{base}-trials", f"{trial.name}{suffix}")
    return Task(
        arguments.content,
        arguments.styles,
        output,
        replace(arguments, options=trial.options, output=output, trials=()),
    )


def _label(trial: Trial, task: Task) -> Label:
    *row, column = (f"--{name} {value}" for name, value in trial.settings)
    return Label(" ".join(row), column, command(task))


def _image(path: str) -> "Image.Image | None":
    """A picture on white; None if there is none."""
    if not os.path.exists(path):
        return None
    try:
        return encode.lay_over(load_picture(path).image, "white")
    except PictureError:
        return None


def _fitting(text: str, width: int, font: Any) -> str:
    """A text, shortened to a width in pixels."""
    while font.getlength(text) > width and len(text) > 1:
        text = f"{text[:-2]}…"
    return text
