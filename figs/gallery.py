"""Make the gallery in outputs/, and the figures that show the options for control."""

import re
from collections.abc import Sequence
from pathlib import Path

from drawing import FIGS, sheet
from painting import ROOT, Painted, machines, paint
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from stylize import PRESETS

#: Photo, painting, and the other options of the command.
PAIRS = [
    ("summer-palace", "village-street-in-auvers", ""),
    ("rocket", "great-wave", ""),
    ("astronaut", "composition-viii", ""),
    ("chelsea", "summertime", "-s 512"),
    ("coffee", "poppies", ""),
    ("summer-palace", "spring", ""),
    ("rocket", "ramparts-at-aigues-mortes", "--preset impasto"),
    ("astronaut", "bal-du-moulin-de-la-galette", ""),
    ("chelsea", "great-wave", "-s 512 --preset miniature"),
    ("coffee", "village-street-in-auvers", "--preset impasto"),
    ("summer-palace", "composition-viii", "--preset abstract"),
    ("chelsea", "poppies", "-s 512 --preset glaze"),
    ("chelsea", "summertime", "-s 512 --preset paper"),
]
#: An option for all but the first, so that the README loads quickly.
SMALLER = "--jpeg-quality 85"
#: The sky in one painting's style, everything else in another's; `masks` makes the files.
MASKS = "--mask figs/masks/sky.png --mask figs/masks/building.png"
MASKED = ("figs/masks/auvers-sky.png styles/great-wave.jpg", MASKS)


def gallery() -> None:
    """Paint the pictures in outputs/, and write outputs/README.md with the commands."""
    masks()
    parts: list[tuple[str, Painted]] = []
    for photo, painting, given in PAIRS:
        options = f"{given} {SMALLER}" if parts else given
        preset = given.partition("--preset ")[2]
        name = f"{photo}-{painting}{f'-{preset}' if preset else ''}.jpg"
        parts.append((name, paint(photo, painting, options, f"outputs/{name}")))
    name = "summer-palace-two-paintings.jpg"
    parts.append((name, paint("summer-palace", *MASKED, f"outputs/{name}")))
    write_page(parts)


def write_page(parts: Sequence[tuple[str, Painted]]) -> None:
    """Write outputs/README.md: photos, paintings and results side by side, then the commands."""
    lines = [
        "# Generated artwork",
        "",
        "Painted without options or with a preset; the cat with `-s 512`, because its photo is",
        "smaller, and all but the first with `--jpeg-quality 85`. `python figs/make.py gallery`",
        "paints them again. The pavilion's photo is by danielbuechele, CC BY 2.0.",
        "",
        "| Photo | Painting | Result |",
        "|---|---|---|",
    ]
    for (photo, painting, given), (name, _) in zip(PAIRS, parts, strict=False):
        preset = re.findall(r"--preset \w+", given)
        cells = [
            f"[![{photo}](../figs/thumbnails/{photo}.jpg)](../contents/{photo}.jpg)",
            f"[![{painting}](../figs/thumbnails/{painting}.jpg)](../styles/{painting}.jpg)",
            " ".join([f"![{Path(name).stem}]({name})", *(f"`{option}`" for option in preset)]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "Two paintings, each with its mask:",
        "",
        f"![{parts[-1][0]}]({parts[-1][0]})",
        "",
    ]
    lines += ["## Commands", "", f"With seed 0, on {machines()}.", ""]
    lines += ["| command | iterations | seconds |", "|---|---|---|"]
    for _, part in parts:
        seconds = round(part.report["seconds"])
        lines.append(f"| `{part.command}` | {part.report['iterations']} | {seconds} |")
    (ROOT / "outputs" / "README.md").write_text("\n".join(lines) + "\n")


def masks() -> None:
    """Make the pavilion's masks, of sky and lake and of the rest, and a painting with only its sky.

    Sky and lake are the bright area that is connected with two places in them. The edge of the mask
    is a little soft.
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
    upper = Image.new("RGBA", painting.size)  # transparent parts of a painting do not count
    upper.paste(painting.crop((0, 0, painting.width, painting.height // 4)))
    upper.save(FIGS / "masks" / "auvers-sky.png")


def control() -> None:
    """Show one photo under all colour modes, masks, stroke sizes, starts and presets."""
    masks()
    pair = ("summer-palace", "village-street-in-auvers")
    both = ("two paintings, two masks", paint("summer-palace", MASKED[0], f"-s 288 {MASKS}").image)
    rows = [
        [f"--color {kind}" for kind in ("style", "content", "match")],
        [f"--mask figs/masks/{name}.png" for name in ("sky", "building")],
        [f"--style-scale {scale}" for scale in ("0.5", "1", "2")],
        [
            f"--init {start} --content-weight 0.1"
            for start in ("noise", "content", "style", "contents/rocket.jpg")
        ],
        [f"--preset {name}" for name, options in PRESETS.items() if options],
    ]
    drawn = []
    for row in rows:
        texts = [re.sub(r" --.*|[a-z/]+/", "", choice) for choice in row]
        images = [paint(*pair, f"-s 288 {choice}").image for choice in row]
        drawn.append(list(zip(texts, images, strict=True)))
    drawn[1].append(both)
    sheet("control", drawn, longer=240)


def thumbnails() -> None:
    """Make the small photos and paintings in the README's tables, which link to the full ones."""
    (FIGS / "thumbnails").mkdir(exist_ok=True)
    for folder in ("contents", "styles"):
        for path in (ROOT / folder).glob("*.jpg"):
            small = Image.open(path).convert("RGB")
            small.thumbnail((288, 288), Image.Resampling.LANCZOS)
            small.save(FIGS / "thumbnails" / path.name, quality=82)


def timelapse() -> None:
    """Make a film with `--timelapse`; as a draft, to keep the README small."""
    film = "--timelapse figs/timelapse.webp"
    paint("rocket", "great-wave", f"-s 192 --effort draft {film}")
