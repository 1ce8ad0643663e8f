"""Sets of options by name; whatever is given beside a preset wins. No torch."""

from typing import Any

#: What each is for, in a few words.
PURPOSES = {
    "glaze": "a thin layer of paint over the photo and its colours",
    "miniature": "a small brush and much detail",
    "impasto": "a broad brush, large strokes over simple forms",
    "abstract": "the painting, and of the photo no more than where things are",
    "paper": "arXiv:1508.06576",
}

#: Values by field of `Options`. Chosen by eye on four pairs of photo and painting, but for `paper`.
PRESETS: dict[str, dict[str, Any]] = {
    "glaze": {"style_weight": 0.3, "color": "match"},
    "miniature": {"style_scale": 0.5, "style_weight": 2.0},
    "impasto": {"style_scale": 1.8, "style_weight": 3.0},
    "abstract": {"style_scale": 1.5, "style_weight": 20.0, "content_layers": "relu4_2"},
    # The terms as sums at one scale, alpha/beta = 1e-3, relu4_2 alone, all style layers alike, and
    # time to converge. All else that the paper says (noise, average pooling) is the default
    # already; L-BFGS is from the authors' later one (CVPR 2016). Not the authors' normalised
    # network: with it, at this ratio, the photo is all that is seen.
    "paper": {
        "objective": "paper",
        "network": "plain",
        "content_weight": 1.0,
        "style_weight": 1000.0,
        "content_layers": "relu4_2",
        "style_layers": "relu1_1,relu2_1,relu3_1,relu4_1,relu5_1",
        "scales": 1,
        "iterations": 500,
    },
}
