"""Draw sheets of pictures, and curves of losses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from PIL import Image, ImageDraw, ImageFont, ImageOps

from stylize.transfer.scales import scaled_size

FIGS = Path(__file__).parent
GAP, LINE = 8, 30


def sheet(
    name: str,
    rows: Sequence[Sequence[tuple[str, Image.Image]]],
    sides: Sequence[str] = (),
    longer: int = 0,
) -> None:
    """Draw rows of pictures of one size, each with a line of text below, as figs/NAME.jpg.

    Args:
        name: the name of the file, without its suffix.
        rows: for each row, its texts and pictures.
        sides: a text for each row, shown at its left.
        longer: the longer side of each picture in the sheet, in pixels; 0 for the size of the first
            picture.
    """
    size = rows[0][0][1].size
    width, height = scaled_size(size, longer / max(size)) if longer else size
    font = ImageFont.load_default(18)
    columns = max(map(len, rows))
    lines = [LINE if any(text for text, _ in row) else GAP for row in rows]
    left = 150 if sides else 0
    page = Image.new(
        "RGB", (left + columns * (width + GAP) - GAP, len(rows) * height + sum(lines)), "white"
    )
    draw = ImageDraw.Draw(page)
    for down, pictures in enumerate(rows):
        top = down * height + sum(lines[:down])
        if sides:
            place = (left / 2, top + height / 2)
            draw.multiline_text(place, sides[down], "black", font, anchor="mm", align="center")
        for across, (text, picture) in enumerate(pictures):
            at = left + across * (width + GAP)
            page.paste(ImageOps.fit(picture, (width, height)), (at, top))
            below = (at + width / 2, top + height + lines[down] / 2)
            draw.text(below, text, "black", font, anchor="mm")
    page.save(FIGS / f"{name}.jpg", quality=82)


def curves(name: str, pairs: dict[str, dict[str, Sequence[dict[str, Any]]]]) -> None:
    """Draw the lowest loss so far against evaluations and seconds, as figs/NAME.png.

    Args:
        name: the name of the file, without its suffix.
        pairs: for each pair, which is one column, its runs by label, as `--trace` wrote them.
    """
    figure, rows = plt.subplots(
        2, len(pairs), figsize=(11, 5.4), sharex="row", sharey="col", layout="constrained"
    )
    for axes, (pair, runs) in zip(rows.T, pairs.items(), strict=True):
        for at, key in zip(axes, ("iteration", "elapsed"), strict=True):
            for said, trace in runs.items():
                at.semilogy([e[key] for e in trace], [e["best"] for e in trace], label=said, lw=1.2)
            at.grid(alpha=0.3, which="both")
            at.tick_params(labelsize=7, which="both")
            for axis_formatter in (at.yaxis.set_major_formatter, at.yaxis.set_minor_formatter):
                axis_formatter("{x:.1f}")
        axes[0].set_title(pair, fontsize=9)
        lowest = min(trace[-1]["best"] for trace in runs.values())
        axes[0].set_ylim(0.95 * lowest, 3 * lowest)  # above that, all runs fall alike
    rows[0, 0].set_ylabel("lowest total loss,\nby evaluations", fontsize=9)
    rows[1, 0].set_ylabel("by seconds", fontsize=9)
    labels = rows[0, 0].get_legend_handles_labels()
    figure.legend(*labels, loc="outside lower center", ncols=5, fontsize=9)
    figure.savefig(FIGS / f"{name}.png", dpi=100)
