"""Make the figures that show what the options do: optimisers, network, weights, size."""

import sys
from typing import Any

import matplotlib.pyplot as plt
from drawing import FIGS, curves, sheet
from painting import paint

WAVE = ("summer-palace", "great-wave")
#: Measurements are made on all of these pairs; the pictures shown are those of the first.
PAIRS = (
    WAVE,
    ("coffee", "poppies"),
    ("rocket", "village-street-in-auvers"),
    ("chelsea", "composition-viii"),
)
#: Adam's learning rates, for pixels in [0, 1].
RATES = ("0.005", "0.02", "0.05", "0.1")
SIZED, SIZES = ("rocket", "great-wave"), (128, 256, 512, 1024)


def _strip(name: str, pair: tuple[str, str], how: str, choices: dict[str, str]) -> None:
    """Show one pair under several choices of options, each with its label below the picture."""
    parts = {label: paint(*pair, f"{how} {choice}") for label, choice in choices.items()}
    sheet(name, [[(label, part.image) for label, part in parts.items()]])


def _values(flag: str, values: tuple[str, ...]) -> dict[str, str]:
    """Return choices that differ in one option, which is also their label."""
    return {choice: choice for choice in (f"{flag} {value}" for value in values)}


def _measured(name: str, how: str, choices: dict[str, str]) -> None:
    """Compare choices of options on all pairs.

    Draws the loss at the full size and the pictures of the first pair, and prints the numbers.

    Args:
        name: the name of the figure; that of the curves has "-loss" at its end.
        how: the options that all runs have in common.
        choices: the options by label.
    """
    curved: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for pair in PAIRS:
        parts = {label: paint(*pair, f"{how} {choice}") for label, choice in choices.items()}
        if pair == PAIRS[0]:
            sheet(name, [[(label, part.image) for label, part in parts.items()]], longer=256)
        print(" x ".join(pair), file=sys.stderr)
        runs = curved["\n".join(pair)] = {}
        for label, part in parts.items():
            full = part.trace[-1]["width"]
            runs[label] = [at for at in part.trace if at["width"] == full]
            ends = runs[label][-1]
            report = f"{ends['best']:.4g} after {ends['iteration']}, {ends['elapsed']:.1f} s"
            print(f"  {label}: {report}", file=sys.stderr)
    curves(f"{name}-loss", curved)


def optimizer() -> None:
    """Compare L-BFGS with Adam at several rates, at one size from the same noise."""
    choices = {"L-BFGS": ""}
    choices |= {f"Adam, {rate}": f"--optimizer adam --learning-rate {rate}" for rate in RATES}
    _measured("optimizer", "-s 256 --scales 1 -n 200", choices)


def scales() -> None:
    """Compare one size with coarse to fine, and bfloat16 with float32."""
    choices = {
        "coarse to fine": "",
        "coarse to fine, float32": "--precision float32",
        "one size": "--scales 1",
        "one size, float32": "--scales 1 --precision float32",
    }
    _measured("scales", "-s 384 -n 120", choices)


def style_weight() -> None:
    choices = _values("--style-weight", ("0.25", "1", "4", "16"))
    _strip("style-weight", ("astronaut", "composition-viii"), "-s 320", choices)


def style_scale() -> None:
    choices = _values("--style-scale", ("0.5", "1", "2"))
    _strip("style-scale", ("chelsea", "village-street-in-auvers"), "-s 320", choices)


def tv_weight() -> None:
    choices = _values("--tv-weight", ("0", "1", "10", "100"))
    _strip("tv-weight", ("rocket", "spring"), "-s 320", choices)


def size() -> None:
    """Show that a picture looks alike at all sizes; all are shown at one size."""
    parts = {f"-s {side}": paint(*SIZED, f"-s {side}") for side in SIZES}
    sheet("size", [[(label, part.image) for label, part in parts.items()]], longer=320)


def effort() -> None:
    choices = _values("--effort", ("draft", "normal", "best"))
    _strip("effort", ("coffee", "village-street-in-auvers"), "-s 384", choices)


def pooling() -> None:
    """Compare poolings under both objectives; under the balanced one they differ little."""
    objectives = {"balanced": "", "paper": "--preset paper -n 300"}
    choices = {
        f"{name}, {kind}": f"{options} --pooling {kind}"
        for name, options in objectives.items()
        for kind in ("avg", "max")
    }
    _strip("pooling", ("coffee", "summertime"), "-s 320", choices)


def network() -> None:
    """Compare both objectives, each in the plain and in the normalised network."""
    paper = "--preset paper -n 300"
    choices = {
        "paper, plain": paper,
        "paper, normalized": f"{paper} --network normalized --style-weight 1e7",
        "balanced, plain": "",
        "balanced, normalized": "--network normalized",
    }
    _strip("network", WAVE, "-s 320", choices)


def weights() -> None:
    """Compare the embedded weights with torchvision's, a download of 548 MB."""
    _strip("weights", WAVE, "-s 320", _values("--weights", ("oxford", "torchvision")))


def trace() -> None:
    """Draw the loss of every picture tried, and the steps, as `--trace` wrote them."""
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
