"""Small pictures painted once and kept: whatever changes them must be meant to.

Other processors round otherwise, and L-BFGS makes more of it at every step; so few steps are
taken, and a mean difference of `TOLERANCE` grey levels is allowed. `python tests/test_golden.py`
paints them anew.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stylize import Options, stylize

ROOT = Path(__file__).parent
TOLERANCE = 2.0

GOLDEN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "default": ("chelsea", "great-wave", {}),
    "paper": ("coffee", "composition-viii", {"preset": "paper"}),
    "adam-max-content": (
        "astronaut",
        "poppies",
        {"optimizer": "adam", "pooling": "max", "init": "content", "style_scale": 0.5},
    ),
}


def paint(name: str) -> Image.Image:
    photo, painting, options = GOLDEN[name]
    files = (f"{ROOT.parent}/contents/{photo}.jpg", f"{ROOT.parent}/styles/{painting}.jpg")
    return stylize(*files, **{**options, "size": 64, "iterations": 16, "device": "cpu"}).image


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    with Image.open(ROOT / "golden" / f"{name}.png") as golden:
        expected = np.asarray(golden.convert("RGB"), dtype=int)
    difference = np.abs(np.asarray(paint(name), dtype=int) - expected)
    counts, edges = np.histogram(difference, bins=[0, 1, 2, 4, 8, 16, 32, 64, 256])
    histogram = ", ".join(f"{e}+: {c}" for c, e in zip(counts, edges, strict=False))
    assert difference.mean() <= TOLERANCE, f"values by grey levels apart: {histogram}"


def test_the_tolerance_tells_pictures_apart() -> None:
    """One iteration fewer, another seed, a fiftieth of the style: each is too far off."""
    photo, painting, _ = GOLDEN["default"]
    files = (f"{ROOT.parent}/contents/{photo}.jpg", f"{ROOT.parent}/styles/{painting}.jpg")
    golden = np.asarray(Image.open(ROOT / "golden" / "default.png"), dtype=int)
    weight = Options().style_weight
    for changed in ({"iterations": 15}, {"seed": 1}, {"style_weight": weight / 50}):
        options = {"size": 64, "iterations": 16, **changed}
        other = np.asarray(stylize(*files, **options).image, dtype=int)
        assert np.abs(other - golden).mean() > TOLERANCE, changed


if __name__ == "__main__":
    (ROOT / "golden").mkdir(exist_ok=True)
    for each in GOLDEN:
        paint(each).save(ROOT / "golden" / f"{each}.png")
