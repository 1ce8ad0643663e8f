"""`Options`: checks of values, presets, and rules that involve several options."""

import re
from dataclasses import FrozenInstanceError, asdict, fields
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylize import PRESETS, OptionError, Options, Stylizer
from stylize.network.names import split_weights
from stylize.settings.options import flag


def test_defaults_pass_their_own_checks_unchanged() -> None:
    for option in fields(Options):
        assert getattr(Options(), option.name) == option.default, option.name


def test_texts_are_the_same_as_python_values() -> None:
    typed = Options(size="300", style_weight="10", seed="7", blend="1,3", scales="2")  # type: ignore[arg-type]
    assert typed == Options(size=300, style_weight=10.0, seed=7, blend="1.0,3.0", scales=2)


@settings(deadline=None)
@given(st.floats(min_value=0, max_value=1e8), st.integers(0, 2**63 - 1))
def test_options_are_the_same_after_conversion_to_text(weight: float, seed: int) -> None:
    options = Options(content_weight=weight, seed=seed, style_layers=f"relu2_1:{weight + 1e-6}")
    texts = {k: v if v is None or v == () else str(v) for k, v in asdict(options).items()}
    assert Options(**texts) == options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0),
        ("learning_rate", 1.5),
        ("size", 15),
        ("size", "large"),
        ("size", 10**6),
        ("size", 300.5),
        ("size", None),
        ("size", [1, 2]),
        ("size", np.array([1, 2])),
        ("size", np.float32(64.5)),
        ("iterations", True),
        ("content_weight", 10**400),
        ("content_weight", 1e31),
        ("content_layers", None),
        ("content_layers", [1]),
        ("content_layers", b"relu1_1"),
        ("blend", np.array([np.nan, 1])),
        ("pooling", np.array(["avg", "max"])),
        ("init", None),
        ("init", 3),
        ("iterations", 0),
        ("iterations", "1e3"),
        ("content_weight", -1),
        ("content_weight", "nan"),
        ("style_weight", "inf"),
        ("style_weight", "much"),
        ("content_layers", "relu6_1"),
        ("style_layers", ""),
        ("blend", "0.7;0.3"),
        ("blend", "0,0"),
        ("blend", "1,-1"),
        ("blend", "nan,1"),
        ("iterations", "original"),
        ("effort", "none"),
        ("effort", 3),
        ("objective", "sum"),
        ("network", "scaled"),
        ("precision", "float64"),
        ("precision", torch.float32),
        ("style_scale", 0),
        ("strength", 1.1),
        ("strength", -0.1),
        ("tv_weight", -0.1),
        ("pooling", "mean"),
        ("optimizer", "sgd"),
        ("init", ""),
        ("enlarge", ""),
        ("scales", 0),
        ("seed", -1),
        ("seed", 2**63),
        ("device", "gpu"),
        ("device", "cuda:x"),
        ("threads", -1),
        ("weights", ""),
        ("color", "gray"),
        ("mask", ""),
        ("mask", 3),
        ("mask", "not:"),
        ("background", "nocolor"),
        ("background", 3),
        ("background", "rgb(300,300,0)"),
        ("background", "hsl(0,500%,50%)"),
        ("mask", "a\0.png"),
        ("style_weight", True),
        ("dpi", 0),
        ("depth", 12),
        ("depth", True),
        ("keep_exif", "perhaps"),
        ("jpeg_quality", 0),
        ("jpeg_quality", 101),
    ],
)
def test_the_error_for_a_wrong_value_names_the_option(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=flag(name)):
        Options(**{name: value})


def test_a_number_with_too_many_digits_to_print_is_refused() -> None:
    with pytest.raises(OptionError, match=r"--seed must be .* \(got this int\)"):
        Options(seed=1 << 20000)


def test_every_option_has_a_wrong_value_above() -> None:
    cases = test_the_error_for_a_wrong_value_names_the_option.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {name for name, _ in cases} == {option.name for option in fields(Options)}


def test_two_weights_of_zero_are_refused() -> None:
    with pytest.raises(OptionError, match="both 0"):
        Options(content_weight=0, style_weight=0)


@pytest.mark.parametrize("weights", ["torchvision", "vgg.pth:caffe"])
def test_the_normalised_network_needs_the_embedded_weights(weights: str) -> None:
    with pytest.raises(OptionError, match=r"--network normalized: .* embedded weights"):
        Options(network="normalized", weights=weights)
    with pytest.raises(OptionError, match="use --network plain"):
        Options(network="normalized").replace(weights=weights)
    assert Options(network="plain", weights=weights).weights == weights
    for embedded in ("auto", "oxford"):
        assert Options(network="normalized", weights=embedded).network == "normalized"


def test_layers_may_be_a_mapping() -> None:
    assert Options(style_layers={"conv1_1": 0.5}).style_layers == "relu1_1:0.5"  # type: ignore[arg-type]


def test_a_weights_path_is_split_from_its_convention() -> None:
    assert split_weights("a/vgg.pth:caffe") == ("a/vgg.pth", "caffe")
    assert split_weights("C:\\vgg.pth") == ("C:\\vgg.pth", "")
    assert split_weights("caffe") == ("caffe", "")


def test_values_may_be_written_in_several_forms() -> None:
    for white in ("white", "#fff", "#FFFFFF", "rgb(255, 255, 255)"):
        assert Options(background=white) == Options()
    assert Options(keep_exif="yes") == Options(keep_exif=True)  # type: ignore[arg-type]
    assert Options(depth="16") == Options(depth=16)  # type: ignore[arg-type]
    assert Options(mask="a.png").mask == ("a.png",)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("4k", 3840),
        ("8K", 7680),
        ("300px", 300),
        ("Fit", "fit"),
        ("2x", "200%"),
        ("1.5 x", "150%"),
        ("200 %", "200%"),
        ("200.0%", "200%"),
        ("12.5%", "12.5%"),
        ("20 cm", "20cm"),
        ("8in", "8in"),
        ("A4", "a4"),
    ],
)
def test_a_size_has_one_value_however_it_is_written(written: str, size: int | str) -> None:
    assert Options(size=written).size == size
    assert Options(size=written) == Options(size=size)


@pytest.mark.parametrize("size", ["800x600", "600x800"])
def test_two_lengths_without_a_unit_are_answered_with_both_meanings(size: str) -> None:
    expected = (
        f"--size {size}: in pixels give the longer side alone, as in 800; on paper add the unit, as"
        f" in {size}cm"
    )
    with pytest.raises(OptionError, match=f"^{expected}$"):
        Options(size=size)


@pytest.mark.parametrize(
    ("value", "hint"),
    [("50%", "; write 0.5"), ("0,5", "; write 0.5"), ("12,5%", "; write 0.125"), ("half", "")],
)
def test_a_number_that_is_written_otherwise_is_answered_with_its_form_here(
    value: str, hint: str
) -> None:
    with pytest.raises(OptionError, match=f"^--strength: '{value}' is not a number{hint}$"):
        Options(strength=value)


@pytest.mark.parametrize("size", ["4k!", "16k", "0%", "0x", "-2x", "x", "%", "2xx", "1e3%", 2.5])
def test_the_message_for_a_wrong_size_says_which_ones_there_are(size: Any) -> None:
    expected = (
        "--size must be 16 to 65536 pixels, original, fit, 4k, 8k, a multiple as in 200% or a size"
        f" on paper as in 20cm, 8x10in or A4 (got {size!r})"
    )
    with pytest.raises(OptionError, match=f"^{re.escape(expected)}$"):
        Options(size=size)


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(OptionError, match="leave --blend out"):
        Options(mask=("a", "b"), blend="equal")
    with pytest.raises(OptionError, match="--keep-exif: is not possible in 16 bits"):
        Options(depth=16, keep_exif=True)
    assert Options(mask=("a", "b")).style_shares(2) == [1.0, 1.0]
    with pytest.raises(OptionError, match="--mask: 2 masks for 3 styles"):
        Options(mask=("a", "b")).style_shares(3)


def test_options_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Options().size = 3  # type: ignore[misc]


@pytest.mark.parametrize("name", PRESETS)
def test_given_options_override_those_of_a_preset(name: str) -> None:
    assert Options.from_preset(name) == Options(**PRESETS[name])
    assert Options.from_preset(name, iterations=3).iterations == 3


def test_the_paper_preset_has_the_settings_of_the_paper() -> None:
    paper = Options.from_preset("paper")
    assert paper.content_weight / paper.style_weight == pytest.approx(1e-3)
    assert (paper.objective, paper.tv_weight) == ("paper", 0)
    assert paper.scales == 1
    assert (paper.pooling, paper.init, paper.optimizer) == ("avg", "noise", "lbfgs")
    assert paper.content_layers == "relu4_2"
    assert paper.style_layers == "relu1_1,relu2_1,relu3_1,relu4_1,relu5_1"


def test_unknown_names_are_refused() -> None:
    with pytest.raises(OptionError, match="no preset 'papper'"):
        Options.from_preset("papper")
    with pytest.raises(OptionError, match=r"colour; did you mean color\?"):
        Options.from_preset(colour="red")


@pytest.mark.parametrize("name", ["existing", "format"])
def test_options_of_the_command_are_not_fields(name: str) -> None:
    """They concern the command's output file, and have no effect on a result in Python."""
    assert name not in {option.name for option in fields(Options)}
    for refuse in (Options().replace, Options.from_preset, Stylizer):
        with pytest.raises(OptionError, match=f"no such option: {name}"):
            refuse(**{name: "skip"})
    with pytest.raises(TypeError, match=name):
        Options(**{name: "skip"})  # type: ignore[arg-type]


def test_shares_of_a_blend_may_be_an_array() -> None:
    assert Options(blend=np.array([0.5, 0.25])) == Options(blend="0.5,0.25")


def test_shares_of_a_blend_add_up_to_one() -> None:
    assert Options().style_shares(1) == [1.0]
    assert Options(blend="equal").style_shares(4) == [0.25] * 4
    assert Options(blend="3,1").style_shares(2) == [0.75, 0.25]


def test_several_styles_without_a_blend_or_masks_are_refused() -> None:
    with pytest.raises(OptionError, match="--blend equal"):
        Options().style_shares(2)
    with pytest.raises(OptionError, match="2 shares for 3"):
        Options(blend="0.5,0.5").style_shares(3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"learning_rate": 0.1}, "learning-rate"),
        ({"learning_rate": 0.1, "optimizer": "adam"}, None),
        ({"effort": "draft", "iterations": 9}, "effort"),
        ({"effort": "draft"}, None),
        ({"blend": "1"}, "blend"),
        ({}, None),
    ],
)
def test_options_that_others_leave_without_effect_are_told(
    changes: dict[str, Any], told: str | None
) -> None:
    remarks = Options(**changes).without_effect(one_style=True)
    assert [remark.partition(":")[0] for remark in remarks] == ([f"--{told}"] if told else [])


def test_a_blend_of_several_styles_has_an_effect() -> None:
    assert Options(blend="equal").without_effect(one_style=False) == []
