"""Make the pictures of the README again: `python figs/make.py [NAME...]`, all without a name.

They are painted by the code as it is, but for `quality`, which draws measured numbers: the gallery
by the commands in outputs/README.md, the strips through the Python API with the options written
below each picture. All take about half an hour on two cores, and need what
`pip install -e ".[dev]"` brings.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

from stylize import PRESETS, stylize

ROOT = Path(__file__).parent.parent
FIGS = ROOT / "figs"

#: The gallery: photo, painting, and what the command has beside them.
GALLERY = [
    ("summer-palace", "village-street-in-auvers", ""),
    ("rocket", "great-wave", ""),
    ("astronaut", "composition-viii", ""),
    ("chelsea", "summertime", "-s 512"),
    ("coffee", "poppies", ""),
    ("chelsea", "summertime", "-s 512 --preset paper"),
]
#: The sky by one painter, all else by another; `masks` makes what it needs.
MASKED = (
    "stylize contents/summer-palace.jpg figs/masks/auvers-sky.png styles/great-wave.jpg"
    " --mask figs/masks/sky.png --mask figs/masks/building.png"
    " -o outputs/summer-palace-two-paintings.jpg"
)


def command(photo: str, painting: str, options: str) -> tuple[str, Path]:
    """The command that paints a pair into outputs/, and the file it writes."""
    suffix = "-paper" if "paper" in options else ""
    out = Path("outputs") / f"{photo}-{painting}{suffix}.jpg"
    typed = f"stylize contents/{photo}.jpg styles/{painting}.jpg {options} -o {out}"
    return " ".join(typed.split()), out


def gallery() -> None:
    """outputs/, and outputs/README.md with the commands."""
    lines = [
        "# Results",
        "",
        "Painted by stylize on a CPU; `python figs/make.py gallery` paints them again.",
        "The pavilion is after a photo by danielbuechele, CC BY 2.0.",
        "",
    ]
    masks()
    commands = [command(*row) for row in GALLERY]
    commands.append((MASKED, Path(MASKED.rpartition(" ")[2])))
    for typed, out in commands:
        subprocess.run([sys.executable, "-m", *typed.split(), "-v"], cwd=ROOT, check=True)
        lines += [f"![{out.stem}]({out.name})", "", f"    {typed}", ""]
    (ROOT / "outputs" / "README.md").write_text("\n".join(lines).rstrip() + "\n")


def masks() -> None:
    """Of the pavilion: where the sky and the lake are, and where they are not; and a painted sky.

    The sky is what is bright and hangs together with two places in it, its edge a little soft.
    """
    (FIGS / "masks").mkdir(exist_ok=True)
    photo = Image.open(ROOT / "contents" / "summer-palace.jpg").convert("RGB")
    red, green, blue = photo.split()
    least = ImageChops.darker(ImageChops.darker(red, green), blue)
    bright = least.filter(ImageFilter.MedianFilter(5)).point(lambda value: 255 * (value > 135))
    sky = bright.filter(ImageFilter.MedianFilter(7))
    for place in ((5, 5), (450, 250)):
        ImageDraw.floodfill(sky, place, 128)
    sky = sky.point(lambda value: 255 * (value == 128)).filter(ImageFilter.GaussianBlur(1.5))
    sky.save(FIGS / "masks" / "sky.png")
    ImageChops.invert(sky).save(FIGS / "masks" / "building.png")
    painting = Image.open(ROOT / "styles" / "village-street-in-auvers.jpg").convert("RGBA")
    upper = Image.new("RGBA", painting.size)  # what is transparent in a painting does not count
    upper.paste(painting.crop((0, 0, painting.width, painting.height // 4)))
    upper.save(FIGS / "masks" / "auvers-sky.png")


def paint(photo: str, painting: str, **options: object) -> Image.Image:
    files = (f"{ROOT}/contents/{photo}.jpg", f"{ROOT}/styles/{painting}.jpg")
    print(photo, painting, options, file=sys.stderr)
    return stylize(*files, **options).image


def strip(name: str, pictures: list[tuple[str, Image.Image]]) -> None:
    """Pictures side by side, each with a line of text below."""
    sheet(name, [pictures])


def sheet(name: str, rows: list[list[tuple[str, Image.Image]]]) -> None:
    """Rows of pictures of one size, each with a line of text below."""
    width, height = rows[0][0][1].size
    font = ImageFont.load_default(18)
    columns = max(map(len, rows))
    page = Image.new("RGB", (columns * (width + 8) - 8, len(rows) * (height + 32)), "white")
    draw = ImageDraw.Draw(page)
    for down, pictures in enumerate(rows):
        for across, (text, picture) in enumerate(pictures):
            left, top = across * (width + 8), down * (height + 32)
            page.paste(picture, (left, top))
            draw.text((left + width / 2, top + height + 16), text, "black", font, anchor="mm")
    page.save(FIGS / f"{name}.jpg", quality=88)


def style_weight() -> None:
    betas = (0.25, 1, 4, 16)
    pictures = [
        (f"{beta:g}", paint("astronaut", "composition-viii", size=320, style_weight=beta))
        for beta in betas
    ]
    strip("style-weight", [(f"--style-weight {text}", image) for text, image in pictures])


def style_scale() -> None:
    pictures = [
        (
            f"--style-scale {scale:g}",
            paint("chelsea", "village-street-in-auvers", size=320, style_scale=scale),
        )
        for scale in (0.5, 1.0, 2.0)
    ]
    strip("style-scale", pictures)


def control() -> None:
    """One photo under all colour modes, masks, scales, starts and presets."""
    masks()
    pair = ("summer-palace", "village-street-in-auvers")
    sky, building = (str(FIGS / "masks" / f"{name}.png") for name in ("sky", "building"))
    rocket = str(ROOT / "contents" / "rocket.jpg")
    photo = str(ROOT / "contents" / "summer-palace.jpg")

    def small(**options: object) -> Image.Image:
        return paint(*pair, size=288, **options)

    both = stylize(
        photo,
        str(FIGS / "masks" / "auvers-sky.png"),
        str(ROOT / "styles" / "great-wave.jpg"),
        mask=[sky, building],
        size=288,
    ).image
    sheet(
        "control",
        [
            [(f"--color {kind}", small(color=kind)) for kind in ("style", "content", "match")],
            [
                ("--mask sky.png", small(mask=sky)),
                ("--mask building.png", small(mask=building)),
                ("two paintings, two masks", both),
            ],
            [(f"--style-scale {scale:g}", small(style_scale=scale)) for scale in (0.5, 1, 2)],
            [
                (f"--init {Path(init).name}", small(init=init, content_weight=0.1))
                for init in ("noise", "content", "style", rocket)
            ],
            [(f"--preset {name}", small(preset=name)) for name in PRESETS],
        ],
    )


def timelapse() -> None:
    """The command's own film."""
    typed = "contents/rocket.jpg styles/great-wave.jpg -s 192 -o figs/.film.png"
    film = ["--timelapse", "figs/timelapse.webp"]
    subprocess.run([sys.executable, "-m", "stylize", *typed.split(), *film], cwd=ROOT, check=True)
    (FIGS / ".film.png").unlink()


def pooling() -> None:
    pictures = [
        (f"--pooling {kind}", paint("coffee", "summertime", size=320, pooling=kind))
        for kind in ("avg", "max")
    ]
    strip("pooling", pictures)


def network() -> None:
    pictures = [
        (f"--network {kind}", paint("summer-palace", "great-wave", size=384, network=kind))
        for kind in ("plain", "normalized")
    ]
    strip("network", pictures)


def effort() -> None:
    pictures = [
        (f"--effort {kind}", paint("coffee", "village-street-in-auvers", size=384, effort=kind))
        for kind in ("draft", "normal", "best")
    ]
    strip("effort", pictures)


def quality() -> None:
    """Style against lost contours, ours and pastiche's; the numbers are in quality.json."""
    pairs = json.loads((FIGS / "quality.json").read_text())
    figure, rows = plt.subplots(2, 3, figsize=(9, 5.4), layout="constrained")
    for axes, (name, curves) in zip(rows.flat, pairs.items(), strict=True):
        for who, marker in (("stylize", "o-"), ("pastiche", "s--")):
            points = sorted(curves[who], key=lambda point: point["weight"])
            edges, style = [p["edges"] for p in points], [p["style"] for p in points]
            axes.plot(edges, style, marker, label=who)
            for point in points:
                place = (point["edges"], point["style"])
                axes.annotate(
                    f"{point['weight']:g}", place, (4, 4), textcoords="offset points", fontsize=7
                )
        axes.set(title=name, ylim=(0, None))
        axes.title.set_fontsize(8)
        axes.grid(alpha=0.3)
    figure.supxlabel("lost contours")
    figure.supylabel("distance of style")
    rows.flat[0].legend()
    figure.savefig(FIGS / "quality.png", dpi=110)


def scales() -> None:
    pictures = [
        (f"--scales {count}", paint("rocket", "great-wave", size=384, scales=count, iterations=270))
        for count in ("1", "auto")
    ]
    strip("scales", pictures)


def optimizer() -> None:
    """Loss against evaluations from the same noise, at one size, and the pictures."""
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    pictures = []
    for kind in ("lbfgs", "adam"):
        files = (f"{ROOT}/contents/summer-palace.jpg", f"{ROOT}/styles/great-wave.jpg")
        result = stylize(*files, size=256, scales=1, iterations=300, optimizer=kind)
        totals = [losses.total for losses in result.losses]
        axes.semilogy(range(1, len(totals) + 1), totals, label=f"{kind}: {totals[-1]:.3g}")
        pictures.append((f"--optimizer {kind}", result.image))
        print(kind, len(totals), totals[99], totals[-1], f"{result.seconds:.0f} s")
    axes.set(xlabel="evaluations of the network", ylabel="lowest total loss so far")
    axes.legend(title="at the end")
    axes.grid(alpha=0.3)
    figure.savefig(FIGS / "optimizer-loss.png", dpi=110)
    strip("optimizer", pictures)


def trace() -> None:
    """The loss of every picture tried, and the steps, out of a file that `--trace` wrote."""
    with tempfile.TemporaryDirectory() as folder:
        typed = f"stylize contents/rocket.jpg styles/great-wave.jpg -o {folder}/out.png"
        command = [sys.executable, "-m", *typed.split(), "--trace", f"{folder}/out.jsonl"]
        subprocess.run(command, cwd=ROOT, check=True)
        lines = [json.loads(line) for line in Path(f"{folder}/out.jsonl").read_text().splitlines()]
    figure, (losses, steps) = plt.subplots(
        2, 1, figsize=(7, 4.6), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    for width in dict.fromkeys(line["width"] for line in lines):
        here = [line for line in lines if line["width"] == width]
        at = [line["iteration"] for line in here]
        seconds = sum(line["seconds"] for line in here)
        (drawn,) = losses.semilogy(
            at, [line["best"] for line in here], label=f"{width} pixels: {seconds:.0f} s"
        )
        turned_down = [line for line in here if line["total"] > line["best"]]
        for axes, key in ((losses, "total"), (steps, "step")):
            axes.plot(
                [line["iteration"] for line in turned_down],
                [line[key] for line in turned_down],
                "x",
                color=drawn.get_color(),
                markersize=4,
            )
        steps.semilogy(at, [line["step"] or None for line in here], ".", color=drawn.get_color())
    losses.plot([], [], "kx", markersize=4, label="turned down")
    losses.set(ylabel="total loss")
    losses.legend()
    steps.set(xlabel="evaluations of the network", ylabel="step")
    for axes in (losses, steps):
        axes.grid(alpha=0.3)
    figure.savefig(FIGS / "trace.png", dpi=110)


def illustration() -> None:
    """A drawing of the method: the two pictures, the network with its taps, losses, the loop."""
    figure = plt.figure(figsize=(11, 5.6), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 110), ylim=(0, 56))
    axes.axis("off")

    def picture(path: Path, x: float, y: float, text: str) -> None:
        thumbnail = ImageOps.fit(Image.open(path).convert("RGB"), (360, 270))
        axes.imshow(thumbnail, extent=(x, x + 16, y, y + 12), aspect="auto", zorder=2)
        axes.text(x + 8, y - 1.8, text, ha="center", va="center", fontsize=12)

    def box(x: float, y: float, w: float, h: float, text: str, color: str) -> None:
        shape = FancyBboxPatch((x, y), w, h, "round,pad=0.2,rounding_size=0.8", fc=color, ec="#444")
        axes.add_patch(shape)
        axes.text(x + w / 2, y + h / 2, text, ha="center", va="center", fontsize=11)

    def arrow(start: tuple[float, float], end: tuple[float, float], color: str) -> None:
        shape = FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=14,
            color=color,
            lw=1.6,
            shrinkA=0,
            shrinkB=0,
        )
        axes.add_patch(shape)

    def line(points: list[tuple[float, float]], color: str) -> None:
        axes.plot(*zip(*points, strict=True), color=color, lw=1.6, solid_joinstyle="round")

    blue, orange, green, dark = "#2b6cb0", "#c05621", "#2f855a", "#333333"
    picture(ROOT / "styles" / "village-street-in-auvers.jpg", 4, 42, "painting a")
    picture(ROOT / "contents" / "summer-palace.jpg", 4, 6.5, "photo p")
    noise = Image.effect_noise((120, 90), 60).resize((360, 270), Image.Resampling.NEAREST)
    painted = Image.open(ROOT / "outputs" / "summer-palace-village-street-in-auvers.jpg")
    half = ImageOps.fit(painted.convert("RGB"), (360, 270))
    half.paste(noise.convert("RGB").crop((0, 0, 130, 270)), (0, 0))
    half.save(path := FIGS / ".half.png")
    picture(path, 4, 24.2, "picture x, from noise")
    path.unlink()

    for y in (48, 30, 12.5):
        arrow((20.6, y), (27.2, 30 + (y - 30) * 0.18), dark)
    for block, convolutions in enumerate((2, 2, 4, 4, 4)):
        x, height = 28 + block * 8.4, 17 - 2 * block
        box(x, 30 - height / 2, 5, height, f"{convolutions}\nconv", "#e2e8f0")
        if block < 4:
            arrow((x + 5.2, 30), (x + 8.2, 30), dark)
        line([(x + 2.5, 30.2 + height / 2), (x + 2.5, 48)], orange)
        axes.text(x + 3, 44, f"conv{block + 1}_1", fontsize=9, color=orange)
    line([(30.5, 48), (72, 48)], orange)
    arrow((72, 48), (74.6, 48), orange)
    line([(55.7, 24.3), (55.7, 10), (72, 10)], blue)
    arrow((72, 10), (74.6, 10), blue)
    axes.text(56.3, 11.2, "conv4_2", fontsize=9, color=blue)
    text = "VGG-19, frozen\n16 convolutions,\n5 average poolings"
    axes.text(30, 12, text, ha="left", va="center", fontsize=10, color=dark)

    box(75, 44, 24, 8, "style loss\nGram matrices of x and a", "#feebc8")
    box(75, 6, 24, 8, "content loss\nfeatures of x and p", "#bee3f8")
    box(79, 26, 26, 8, "alpha content + beta style", "#c6f6d5")
    arrow((88, 43.6), (91, 34.6), orange)
    arrow((88, 14.4), (91, 25.6), blue)
    line([(105.2, 30), (108, 30), (108, 1.6), (1.6, 1.6), (1.6, 30), (2, 30)], green)
    arrow((2, 30), (3.8, 30), green)
    text = "gradient: L-BFGS moves the pixels of x, and of nothing else"
    axes.text(64, 3.1, text, ha="center", fontsize=10, color=green)
    figure.savefig(FIGS / "illustration.png", dpi=100)


FIGURES = {
    "gallery": gallery,
    "illustration": illustration,
    "control": control,
    "timelapse": timelapse,
    "style-weight": style_weight,
    "style-scale": style_scale,
    "scales": scales,
    "optimizer": optimizer,
    "trace": trace,
    "pooling": pooling,
    "network": network,
    "effort": effort,
    "quality": quality,
}

if __name__ == "__main__":
    for each in sys.argv[1:] or FIGURES:
        FIGURES[each]()
