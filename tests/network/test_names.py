"""Layer names: parsing, errors, and the smallest picture that a layer needs."""

import pytest

from stylize import OptionError
from stylize.network.names import LAYERS, parse_layers, smallest_side


def test_vgg19_has_sixteen_layers() -> None:
    assert len(LAYERS) == 16
    assert (LAYERS[0], LAYERS[-1]) == ("relu1_1", "relu5_4")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("relu4_2", {"relu4_2": 1.0}),
        ("conv4_2", {"relu4_2": 1.0}),
        (" Conv1_1 , relu4_1:0.5", {"relu1_1": 1.0, "relu4_1": 0.5}),
        (["relu5_1", "relu1_1:2"], {"relu1_1": 2.0, "relu5_1": 1.0}),
    ],
)
def test_layer_names_are_parsed_with_their_factors(
    written: str, expected: dict[str, float]
) -> None:
    parsed = parse_layers(written, "--style-layers")
    assert parsed == expected
    assert list(parsed) == list(expected), "the order is from shallow to deep"


@pytest.mark.parametrize(
    "invalid",
    [
        "",
        "relu9_1",
        "relu1_3",
        "pool1",
        "relu1_1,conv1_1",
        "relu1_1:",
        "relu1_1:0",
        "relu1_1:1e-10",
        "relu1_1:1e10",
        "relu1_1:-1",
        "relu1_1:nan",
        "relu1_1:inf",
        "relu1_1:x",
        "relu1_1,,relu2_1",
    ],
)
def test_an_error_about_layers_names_the_option(invalid: str) -> None:
    with pytest.raises(OptionError, match="--style-layers"):
        parse_layers(invalid, "--style-layers")


@pytest.mark.parametrize(
    ("layers", "side"), [(["relu1_2"], 1), (["relu1_1", "relu3_1"], 4), (["relu5_1"], 16)]
)
def test_the_smallest_side_follows_from_the_deepest_layer(layers: list[str], side: int) -> None:
    assert smallest_side(layers) == side
