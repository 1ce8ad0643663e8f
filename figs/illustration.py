"""Draw the method."""

from pathlib import Path

import matplotlib.pyplot as plt
from drawing import FIGS
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from painting import ROOT
from PIL import Image, ImageOps

BLUE, ORANGE, GREEN, DARK, GREY = "#2b6cb0", "#c05621", "#2f855a", "#333333", "#e2e8f0"
BLOCKS = (2, 2, 4, 4, 4)


def illustration() -> None:
    """Draw the pictures, the network, the layers that are read, the losses and the loop.

    The text is large enough for a phone. The background is white, so that the drawing can be read
    on a dark page too.
    """
    figure = plt.figure(figsize=(8, 8.6), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 80), ylim=(0, 86))
    axes.axis("off")

    def text(x: float, y: float, said: str, color: str = DARK, size: int = 17) -> None:
        axes.text(x, y, said, ha="center", va="center", fontsize=size, color=color)

    def picture(image: Image.Image, x: float, said: str) -> None:
        thumbnail = ImageOps.fit(image.convert("RGB"), (440, 330))
        axes.imshow(thumbnail, extent=(x, x + 20, 65, 80), aspect="auto", zorder=2)
        text(x + 10, 82.6, said)

    def box(x: float, y: float, w: float, h: float, said: str, color: str) -> None:
        shape = FancyBboxPatch((x, y), w, h, "round,pad=0.2,rounding_size=0.8", fc=color, ec="#444")
        axes.add_patch(shape)
        text(x + w / 2, y + h / 2, said)

    def arrow(start: tuple[float, float], end: tuple[float, float], color: str) -> None:
        style = {"arrowstyle": "-|>", "mutation_scale": 20, "lw": 2.2, "shrinkA": 0, "shrinkB": 0}
        axes.add_patch(FancyArrowPatch(start, end, color=color, **style))

    def line(points: list[tuple[float, float]], color: str) -> None:
        axes.plot(*zip(*points, strict=True), color=color, lw=2.2, solid_joinstyle="round")

    def opened(path: Path) -> Image.Image:
        return Image.open(ROOT / path)

    picture(opened(Path("styles/village-street-in-auvers.jpg")), 6, "painting a")
    picture(opened(Path("contents/summer-palace.jpg")), 54, "photo p")
    painted = opened(Path("outputs/summer-palace-village-street-in-auvers.jpg"))
    half = ImageOps.fit(painted.convert("RGB"), (440, 330))
    noise = Image.effect_noise((110, 83), 60).resize((440, 330), Image.Resampling.NEAREST)
    half.paste(noise.convert("RGB").crop((0, 0, 170, 330)), (0, 0))
    picture(half, 30, "picture x")

    for x in (16, 40, 64):
        arrow((x, 64.4), (x, 59.2), DARK)
    box(5, 42, 70, 16.4, "", "#f7fafc")
    text(40, 55.6, "VGG-19, frozen: 16 convolutions, average pooling", size=14)
    for place, convs in enumerate(BLOCKS):
        height = 9.5 - 1.1 * place
        box(8 + 13.6 * place, 48.3 - height / 2, 9, height, f"{convs}", GREY)
        if place:
            arrow((8 + 13.6 * place - 4.2, 48.3), (8 + 13.6 * place - 0.4, 48.3), DARK)

    for place in range(5):
        x = 10 + 13.6 * place
        line([(x, 48.3 - (9.5 - 1.1 * place) / 2), (x, 36)], ORANGE)
        text(x + (2.9 if place == 4 else -2.9), 39.2, f"{place + 1}_1", ORANGE, 15)
    line([(10, 36), (64.4, 36)], ORANGE)
    arrow((22, 36), (22, 30.6), ORANGE)
    line([(55, 48.3 - (9.5 - 3.3) / 2), (55, 36.7)], BLUE)
    line([(55, 35.3), (55, 33)], BLUE)
    arrow((55, 34), (55, 30.6), BLUE)
    text(57.7, 39.2, "4_2", BLUE, 15)

    box(5, 21, 34, 9, "style loss: Gram\nmatrices of x and a", "#feebc8")
    box(41, 21, 34, 9, "content loss:\nfeatures of x and p", "#bee3f8")
    arrow((22, 20.6), (30, 15.2), ORANGE)
    arrow((58, 20.6), (50, 15.2), BLUE)
    box(18, 7.6, 44, 7, r"$\alpha$ content + $\beta$ style", "#c6f6d5")
    line([(18, 11), (2.2, 11), (2.2, 61.8), (34, 61.8)], GREEN)
    arrow((34, 61.8), (34, 64.6), GREEN)
    text(40, 3.6, "its gradient: L-BFGS moves the pixels of x, nothing else", GREEN, 15)
    figure.savefig(FIGS / "illustration.png", dpi=100)
