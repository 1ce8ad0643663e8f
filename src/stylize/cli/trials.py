"""`--try`: one photo in one painting's style, with several values of some options, side by side.

Each combination is a picture like any other, in a folder beside OUTPUT, with its own recipe. OUTPUT
is a sheet of them all, made from these files.
"""

import functools
import logging
import os
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import filterfalse

from ..errors import ExitCode, OptionError, OutputError, PictureError, not_found
from ..images import encode
from .arguments import Arguments
from .batch import run_tasks, scales_of
from .combinations import Trial
from .existing import check_sheet
from .naming import first_field, trials_folder
from .page import Label, Page, check_page
from .report import Row
from .sheet import sheet_size, write_sheet
from .task import Status, Task, check_overwrites

log = logging.getLogger(__name__)

#: Longer side of the picture that `command` makes, at least.
LARGE = 1024
#: Outcomes that leave a picture.
GOOD = (Status.DONE, Status.SKIPPED)


def run_trials(arguments: Arguments) -> ExitCode:
    """The command with `--try`.

    Raises:
        StylizeError: one of its subclasses, for an error that concerns all pictures.
    """
    if arguments.existing == "skip" and os.path.lexists(arguments.output):
        log.warning("%s: exists already, skipped", arguments.output)
        return ExitCode.DONE
    tasks = list_trials(arguments)
    labels = list(map(_label, arguments.trials, tasks))
    page = Page(arguments, tasks, labels=labels)

    def write(rows: Sequence[Row]) -> None:
        painted = {task.output for task, outcome in rows if outcome.status in GOOD}
        if painted:
            pictures = [task.output if task.output in painted else None for task in tasks]
            write_sheet(arguments.output, arguments.trials, pictures)
            log.warning("wrote %s", arguments.output)

    return run_tasks(arguments, tasks, page, at_end=write)


def list_trials(arguments: Arguments) -> list[Task]:
    """One task for each combination.

    Raises:
        OptionError: the arguments contradict each other, or a file would be written over an input.
        OutputError: the sheet or the page cannot be written.
    """
    _check_arguments(arguments)
    if arguments.existing == "auto":
        arguments = replace(arguments, existing="update")
    names = Counter(trial.name for trial in arguments.trials)
    tasks = []
    for number, trial in enumerate(arguments.trials, 1):
        trial.options.style_shares(len(arguments.styles))
        for path in filterfalse(os.path.lexists, trial.options.pictures_named.values()):
            raise PictureError(f"{path}: {not_found(path)}")
        # Characters that no file name should have are replaced, so that two may be alike.
        name = trial.name if names[trial.name] == 1 else f"{trial.name}-{number}"
        tasks.append(_task(arguments, trial, name))
    sheet = Task(arguments.content, arguments.styles, arguments.output, arguments)
    check_overwrites([sheet, *tasks])
    options = arguments.trials[0].options
    size = max((scales_of(task)[-1].size for task in tasks), key=max)
    encode.check_output(arguments.output, sheet_size(arguments.trials, size), options.depth)
    check_page(arguments, new_folder=True)
    return tasks


def command(task: Task, trial: Trial, size: tuple[int, int]) -> str:
    """The command that makes a large picture from one of the trials; "" where there is none.

    It goes on from the trial (`--enlarge`), unless what was tried belongs to its size.
    """
    options = task.options
    base, suffix = os.path.splitext(task.output)
    tried = {name for name, _ in trial.settings}
    how = "--recipe" if tried & {"iterations", "scales", "effort"} else "--enlarge"
    words = ["stylize", task.content, *task.styles, how, task.output]
    words += [word for mask in options.mask for word in ("--mask", mask)]
    words += ["--init", options.init] if "init" in options.pictures_named else []
    words += ["--weights", options.weights] if options.weights_file else []
    words += ["-s", str(max(LARGE, 2 * max(size))), "-o", f"{base}-large{suffix}"]
    # A path that begins with a dash would be taken for an option.
    files = {task.content, *task.styles, task.output}
    words = [f"./{word}" if word in files and word.startswith("-") else word for word in words]
    return shlex.join(words) if all(map(str.isprintable, words)) else ""


def _check_arguments(arguments: Arguments) -> None:
    if "-" in (arguments.content, *arguments.styles, arguments.output):
        raise OptionError("--try: '-' cannot be used; name files")
    folder = arguments.output.endswith(("/", os.sep)) or os.path.isdir(arguments.output)
    if folder or first_field(arguments.output) is not None:
        raise OptionError(f"-o {arguments.output}: with --try, name one file, for the sheet")
    if arguments.existing == "fail" and os.path.lexists(arguments.output):
        raise OutputError(f"{arguments.output}: exists already; name another sheet")
    encode.format_of(arguments.output)
    if arguments.existing in ("auto", "update"):
        check_sheet(arguments.output)
    for path in filter(os.path.isdir, (arguments.content, *arguments.styles)):
        raise OptionError(f"--try: {path} is a folder; name one picture")
    given = {
        "--timelapse": arguments.timelapse,
        "--trace": arguments.trace,
        "--checkpoint": arguments.checkpoint,
    }
    for option in filter(given.get, given):
        raise OptionError(f"{option}: is for one picture; leave it out with --try")


def _task(arguments: Arguments, trial: Trial, name: str) -> Task:
    suffix = os.path.splitext(arguments.output)[1]
    output = os.path.join(trials_folder(arguments.output), f"{name}{suffix}")
    return Task(
        arguments.content,
        arguments.styles,
        output,
        replace(arguments, options=trial.options, output=output, trials=()),
        untyped=2,  # the folder is not typed either
    )


def _label(trial: Trial, task: Task) -> Label:
    *row, column = trial.labels
    return Label(" ".join(row), column, functools.partial(command, task, trial))
