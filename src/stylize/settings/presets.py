"""Presets: sets of options by name; an option given beside a preset overrides it."""

from typing import Any

#: What each preset is for, in a few words; `stylize --help` shows them.
PURPOSES = {
    "none": "no preset",
    "glaze": "a thin layer of paint over the photo, in its colours",
    "miniature": "fine strokes and much detail",
    "impasto": "a broad brush, large strokes over simple forms",
    "abstract": "the painting, arranged as the things in the photo are",
    "paper": "arXiv:1508.06576",
}

#: Values by field of `Options`. All but `paper` were chosen by eye on four pairs of content image
#: and style image.
PRESETS: dict[str, dict[str, Any]] = {
    "none": {},  # to be compared with the others, or to undo what a file says
    "glaze": {"strength": 0.7, "color": "match"},
    "miniature": {"style_scale": 0.5, "style_weight": 2.0},
    "impasto": {"style_scale": 1.8, "style_weight": 3.0},
    "abstract": {"style_scale": 1.5, "style_weight": 20.0, "content_layers": "relu4_2"},
    # The paper's settings: losses as sums, one scale, alpha/beta = 1e-3, content from relu4_2
    # alone, equal weights for all style layers, a start from noise alone, and enough iterations to
    # converge. Average pooling is the default already; L-BFGS comes from the authors' later paper
    # (CVPR 2016). The authors' normalised network is not used: with it, at this ratio, the result
    # shows nothing but the content image ("What differs from the paper" in transfer/README.md).
    "paper": {
        "objective": "paper",
        "network": "plain",
        "content_weight": 1.0,
        "style_weight": 1000.0,
        "content_layers": "relu4_2",
        "style_layers": "relu1_1,relu2_1,relu3_1,relu4_1,relu5_1",
        "init": "noise",
        "scales": 1,
        "iterations": 500,
    },
}
