"""Pictures side by side, and curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from PIL import Image, ImageDraw, ImageFont, ImageOps

FIGS = Path(__file__).parent
GAP, LINE = 8, 30


def sheet(
    name: str, rows: Sequence[Sequence[tuple[str, Image.Image]]], sides: Sequence[str] = ()
) -> None:
    """Rows of pictures of one size, each with a line of text below; as figs/NAME.jpg.

    Args:
        name: of the file.
        rows: texts and pictures.
        sides: a text for each row, at its left.
    """
    width, height = rows[0][0][1].size
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


def strip(name: str, pictures: Sequence[tuple[str, Image.Image]]) -> None:
    """Pictures side by side; as figs/NAME.jpg."""
    sheet(name, [pictures])


def curves(name: str, lines: Sequence[tuple[str, Sequence[dict[str, Any]]]], **more: Any) -> None:
    """The lowest loss so far against evaluations and against seconds; as figs/NAME.png.

    Args:
        name: of the file.
        lines: a label, and a run as `--trace` wrote it.
        **more: for the axes.
    """
    figure, both = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
    for axes, key, label in zip(
        both, ("iteration", "elapsed"), ("evaluations of the network", "seconds"), strict=True
    ):
        for said, trace in lines:
            axes.semilogy([at[key] for at in trace], [at["best"] for at in trace], label=said)
        axes.set(xlabel=label, **more)
        axes.grid(alpha=0.3)
    both[0].set(ylabel="lowest total loss so far")
    both[1].legend(fontsize=8)
    figure.savefig(FIGS / f"{name}.png", dpi=110)
