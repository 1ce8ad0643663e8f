"""Make the pictures of the README: `python figs/make.py [NAME...]`, all of them without a name.

Each picture is painted by a command; figs/COMMANDS.md and outputs/README.md list the commands.
Pictures that were painted before are used again, so that an interrupted run can be resumed. They
are stored in figs/.parts, which can be deleted to start over. Needs what `pip install -e ".[dev]"`
installs.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import experiments
import gallery
import illustration
import painting
import paper
import quality
import report

FIGURES: dict[str, Callable[[], None]] = {
    "gallery": gallery.gallery,
    "thumbnails": gallery.thumbnails,
    "reconstructions": paper.reconstructions,
    "grid": paper.grid,
    "grid-normalized": paper.grid_normalized,
    "paintings": paper.paintings,
    "optimizer": experiments.optimizer,
    "scales": experiments.scales,
    "tv-weight": experiments.tv_weight,
    "network": experiments.network,
    "pooling": experiments.pooling,
    "size": experiments.size,
    "style-weight": experiments.style_weight,
    "style-scale": experiments.style_scale,
    "effort": experiments.effort,
    "control": gallery.control,
    "timelapse": gallery.timelapse,
    "trace": experiments.trace,
    "illustration": illustration.illustration,
}
#: Made only if they are named: `quality` takes hours and needs more packages, `weights` downloads
#: 548 MB, `layer-losses` draws nothing, and `report` needs chromium.
NAMED_ONLY = {
    "quality": quality.quality,
    "weights": experiments.weights,
    "layer-losses": paper.layer_losses,
    "report": report.page,
}


def make(name: str) -> None:
    """Make a figure, and list the commands that painted its pictures in figs/COMMANDS.md."""
    painting.painted.clear()
    {**FIGURES, **NAMED_ONLY}[name]()
    book = painting.ROOT / "figs" / "commands.json"
    known = json.loads(book.read_text()) if book.exists() else {}
    rows = [
        [part.command, part.report["iterations"], round(part.report["seconds"], 1)]
        for part in painting.painted
    ]
    if rows and name != "gallery":
        known[name] = {"machine": painting.machines(), "painted": rows}
        book.write_text(json.dumps(known, indent=1) + "\n")
    write_list(known)


def write_list(known: dict[str, dict[str, Any]]) -> None:
    """Write figs/COMMANDS.md from what commands.json has stored."""
    lines = [
        "# The commands of the figures",
        "",
        "`python figs/make.py NAME` makes a figure. Each picture was painted by a command, with",
        "seed 0, on a CPU or (with FIGURES_DEVICE=cuda) on a GPU. Machines differ from figure to",
        "figure; their TFLOP/s are those of a product of matrices. Some did other work meanwhile.",
    ]
    for figure, said in known.items():
        lines += ["", f"## {figure}", "", f"On {said['machine']}.", ""]
        lines += ["| command | iterations | seconds |", "|---|---|---|"]
        lines += [f"| `{command}` | {count} | {took} |" for command, count, took in said["painted"]]
    (painting.ROOT / "figs" / "COMMANDS.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    for each in sys.argv[1:] or FIGURES:
        make(each)
