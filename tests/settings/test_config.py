"""Configuration files, variables and presets: what they accept, and which one has priority."""

import json
import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from conftest import GIVEN, save_with_recipe
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stylize import PRESETS, OptionError, Options
from stylize.cli.main import command
from stylize.cli.parameters import settable
from stylize.network.names import LAYERS
from stylize.settings import config
from stylize.settings.config import COMMAND_LINE, Given
from stylize.settings.options import flag

NAMES = {option.name for option in fields(Options)} | {"output", "preset", "quiet"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(text: str | bytes) -> dict[str, Any]:
    Path("a.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return config.read_file("a.toml", NAMES)


def run(*args: str, **env: str) -> Result:
    return CliRunner().invoke(command, args, env=env)


def printed(*args: str, **env: str) -> dict[str, tuple[str, str]]:
    """Return the value and the origin of each option that --print-config shows."""
    result = run("--print-config", *args, **env)
    assert result.exit_code == 0, result.output
    lines = (line.partition(" = ") for line in result.stdout.splitlines() if line[0] != "#")
    return {name: tuple(re.split(" +# ", rest, maxsplit=1)) for name, _, rest in lines}  # type: ignore[misc]


def test_a_file_accepts_dashes_underscores_lists_and_tables() -> None:
    assert read("style-weight = 2\ntv_weight = 1e3\nsize = 'original'\nkeep-exif = true") == {
        "style_weight": 2.0,
        "tv_weight": 1000.0,
        "size": "original",
        "keep_exif": True,
    }
    assert read("style-layers = ['relu2_1:0.5', 'conv1_1']\nblend = [1, 3]\nmask = ['a', 'b']") == {
        "style_layers": "relu1_1,relu2_1:0.5",
        "blend": "1.0,3.0",
        "mask": ("a", "b"),
    }
    assert read("mask = 'a'\n[style_layers]\nrelu1_1 = 0.2") == {
        "mask": ("a",),
        "style_layers": "relu1_1:0.2",
    }
    assert read("output = 'out.png'\nquiet = true") == {"output": "out.png", "quiet": "True"}
    assert read(b"\xef\xbb\xbfseed = 3\r\n") == {"seed": 3}, "as Windows writes it"
    assert read("") == {}


LONG = "x" * 100_000


@pytest.mark.parametrize(
    "text",
    [
        f"{LONG} = 1",
        f"seed = '{LONG}'",
        f"seed = {'9' * 4000}",
        f"seed = [{'1, ' * 50_000}]",
        f"style-weight = {'9' * 4000}",
        f"style-layers = '{LONG}'",
        f"existing = '{LONG}'",
        f"preset = '{LONG}'",
        f"jobs = '{LONG}'",
        f"pair = '{LONG}'",
        f"{LONG}.a = 1\n{LONG} = 2",
        f"{LONG}",
    ],
    ids=lambda text: text[:30],
)
@pytest.mark.usefixtures("painter")
def test_a_value_in_a_file_is_never_printed_longer_than_a_line(text: str, run: Any) -> None:
    Path("a.toml").write_text(text)
    result = run("PHOTO", "PAINTING", "-o", "out.png", "--config", "a.toml")
    assert result.exit_code == 2, result.stderr
    assert len(result.stderr) < 450


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = 1\nsize 3", "is not valid TOML: .*line 2"),
        ("seed = 1\nseed = 2\n", "is not valid TOML: .*line 2"),
        (b"seed = 1\n# gr\xfcn", r"is not UTF-8 \(at line 2\)"),
        ("seed = " + "[" * 9999, "is not valid TOML: "),
        ("style-wieght = 1", "style-wieght: no such option .*; did you mean --style-weight[?]"),
        ("STYLE_WEIGHT = 1", "STYLE_WEIGHT: no such option .*mean --style-weight"),
        ("xyz = 1", "xyz: no such option for a file; stylize --help lists them"),
        ("config = 'b.toml'", "config: no such option"),
        ("try = 'seed=1'", "try: no such option for a file; it is given on the command line"),
        ("[stylize]\nsize = 300", "stylize: no such option"),
        ("style-weight = 1\nstyle_weight = 2", "--style-weight: is set twice"),
        ("size = 8", "--size must be 16 to 65536 pixels, original, fit, .*got 8"),
        ("size = [300]", r"--size must be 16 to 65536.*got \[300\]"),
        ("seed = 2020-01-01", "--seed must be 0 to "),
        ("init = 3", "--init: 3 is not valid"),
        ("mask = [3]", "--mask: "),
        ("mask = 3", "--mask: 3 is not valid"),
        ("pooling = 'min'", "--pooling must be avg or max"),
        ("style-weight = nan", "--style-weight must be 0 to "),
        ("style-layers = ['relu9_1']", "--style-layers: no layer 'relu9_1'"),
        ("style-layers = [['relu1_1']]", "--style-layers: "),
        ("output = ['a.png']", "--output: takes one value"),
    ],
)
def test_the_error_for_a_bad_file_names_the_file(text: str | bytes, message: str) -> None:
    with pytest.raises(OptionError, match=f"^a[.]toml: {message}"):
        read(text)


@pytest.mark.parametrize("path", ["none.toml", ".", "a\0b"])
def test_the_error_for_an_unreadable_file_names_the_file(path: str) -> None:
    with pytest.raises(OptionError, match="cannot be read") as caught:
        config.read_file(path, NAMES)
    assert str(caught.value).startswith(f"{path}: ")


PAPER = PRESETS["paper"]["style_weight"]


@pytest.mark.parametrize(
    ("levels", "value", "origin"),
    [
        ([{}, {}], 1.0, "default"),
        ([{}, {"style_weight": 2}], 2.0, "B"),
        ([{"style_weight": 3}, {"style_weight": 2}], 3.0, "A"),
        ([{"preset": "paper"}, {"style_weight": 2}], PAPER, "preset paper, A"),
        ([{"preset": "paper", "style_weight": 3}, {"style_weight": 2}], 3.0, "A"),
        ([{"style_weight": 3}, {"preset": "paper"}], 3.0, "A"),
        ([{"seed": 3}, {"preset": "paper"}], PAPER, "preset paper, B"),
        ([{"preset": "mine"}, {"preset": "paper"}], 1.0, "default"),
        ([{"preset": "mine"}, {"preset": "paper", "style_weight": 2}], 2.0, "B"),
        ([{"seed": 1}, {"preset": "mine"}, {"preset": "paper"}], 1.0, "default"),
    ],
)
def test_a_higher_level_has_priority_and_a_preset_ranks_below_its_level(
    levels: list[dict[str, Any]], value: float, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "mine", {"seed": 7})
    named = [{k: Given(v, "ABC"[i]) for k, v in level.items()} for i, level in enumerate(levels)]
    options, origins = config.merge(named)
    assert (options.style_weight, origins["style_weight"]) == (value, origin)
    assert list(origins) == [option.name for option in fields(Options)]


def test_the_error_for_a_bad_value_names_its_origin() -> None:
    with pytest.raises(OptionError, match=r"^STYLIZE_SIZE: --size must be 16"):
        config.merge([{"size": Given("8", "STYLIZE_SIZE")}])
    with pytest.raises(OptionError, match=r"^--size must be 16"):
        config.merge([{"size": Given("8", COMMAND_LINE)}])
    with pytest.raises(OptionError, match=r"^recipe a.png: no such option: colour"):
        config.merge([{"colour": Given("red", "recipe a.png")}])
    levels = [{"mask": Given("a.png", COMMAND_LINE)}, {"blend": Given("equal", "recipe a.png")}]
    with pytest.raises(OptionError, match=r"leave --blend out \(--blend is from recipe a.png\)$"):
        config.merge(levels)
    zeros = {"style_weight": Given("0", COMMAND_LINE), "content_weight": Given("0", COMMAND_LINE)}
    with pytest.raises(OptionError, match=r"nothing to paint; give one a higher weight$"):
        config.merge([zeros])


def test_as_toml_aligns_origins_and_escapes_texts() -> None:
    settings = {
        "size": Given(300, COMMAND_LINE),
        "style_weight": Given(1000.0, "preset paper, command line"),
        "style_layers": Given(",".join(LAYERS), "default"),
        "blend": Given(None, "default"),
        "mask": Given((), "default"),
        "init": Given('ü \\ "\n\x7f\U0001f3a8\U0010ffff', "a\nb.toml"),
        "keep_exif": Given(True, "a.toml"),
    }
    assert config.as_toml(settings).splitlines() == [
        "size = 300                               # command line",
        "style-weight = 1000.0                    # preset paper, command line",
        f'style-layers = "{",".join(LAYERS)}"  # default',
        "# blend =                                # default",
        "# mask =                                 # default",
        'init = "ü \\\\ \\"\\u000a\\u007f🎨\\U0010ffff"  # a\\u000ab.toml',
        "keep-exif = true                         # a.toml",
    ]
    assert config.as_toml({}) == ""
    with pytest.raises(OptionError, match=r"--mask: .* is not Unicode"):
        config.as_toml({"mask": Given(("a", "b\udcff"), COMMAND_LINE)})


WEIGHTS = st.floats(min_value=1e-9, max_value=1e9)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
BLEND_OR_MASK = st.one_of(
    st.fixed_dictionaries({"blend": st.one_of(st.none(), st.lists(WEIGHTS, min_size=1))}),
    st.fixed_dictionaries({"mask": st.lists(TEXT).map(tuple)}),
)
OPTIONS = st.builds(
    lambda blend_or_mask, **others: Options(**blend_or_mask, **others),
    BLEND_OR_MASK,
    size=st.sampled_from(["auto", "original", 300]),
    content_weight=st.floats(0, 1e30),
    style_weight=WEIGHTS,
    style_layers=st.dictionaries(st.sampled_from(LAYERS), WEIGHTS, min_size=1),
    pooling=st.sampled_from(["avg", "max"]),
    init=TEXT,
    seed=st.integers(0, 2**63 - 1),
    weights=TEXT,
    keep_exif=st.booleans(),
    background=st.sampled_from(["black", "#123456"]),
)


@settings(deadline=None)
@given(OPTIONS)
def test_options_are_the_same_after_as_toml_and_read(options: Options) -> None:
    text = config.as_toml(
        {o.name: Given(getattr(options, o.name), "a\n#b\udcff") for o in fields(options)}
    )
    level = {name: Given(value, "a.toml") for name, value in read(text).items()}
    assert config.merge([level])[0] == options


def test_preset_none_undoes_the_preset_of_a_file() -> None:
    levels = [
        {"preset": Given("none", COMMAND_LINE)},
        {"preset": Given("paper", "a.toml"), "seed": Given(7, "a.toml")},
    ]
    assert config.merge(levels)[0] == Options(seed=7)


def test_only_unknown_variables_with_the_prefix_cause_a_warning() -> None:
    names = ["PATH", "STYLIZE_SIZE", "STYLIZE_SISE", "STYLIZE_", "STYLIZER_X", "_STYLIZE_COMPLETE"]
    warnings = config.unknown_variables([*names, "STYLIZE_TRY"], NAMES)
    assert [line.split(":")[0] for line in warnings] == ["STYLIZE_", "STYLIZE_SISE", "STYLIZE_TRY"]
    assert warnings[1].endswith("; did you mean STYLIZE_SIZE?")
    assert warnings[2].endswith(
        ": no such option for a variable; ignored; it is given on the command line"
    )
    assert "did you mean" not in warnings[0]


# Tests of the whole command.


@pytest.mark.parametrize("option", fields(Options), ids=lambda option: option.name)
def test_every_option_can_be_set_by_a_file_and_by_a_variable(option: Any) -> None:
    typed, value = GIVEN[option.name]
    key, variable = flag(option.name)[2:], f"STYLIZE_{option.name.upper()}"
    shown = config.as_toml({option.name: Given(value, "x")}).partition(" = ")[2].split("  #")[0]
    Path("a.toml").write_text(f"{key} = {json.dumps(typed or True)}")
    assert printed("--config", "a.toml")[key] == (shown, "a.toml")
    assert printed(**{variable: typed or "true"})[key] == (shown, variable)
    others = printed().items() - {(key, printed().get(key))}
    assert others == printed("--config", "a.toml").items() - {(key, (shown, "a.toml"))}


def test_priority_is_command_line_recipe_variable_file_default() -> None:
    save_with_recipe("made.png", Options(seed=3))
    Path("a.toml").write_text("seed = 1\nstyle-scale = 2\njpeg_quality = 50\nformat = 'webp'")
    given = printed(
        *("--config", "a.toml", "--recipe", "made.png", "--jpeg-quality", "70"),
        STYLIZE_SEED="2",
        STYLIZE_JPEG_QUALITY="60",
        STYLIZE_FORMAT="tiff",
        STYLIZE_EXISTING="skip",
    )
    assert given["seed"] == ("3", "recipe made.png")
    assert given["style-scale"] == ("1.0", "recipe made.png")
    assert given["jpeg-quality"] == ("70", "command line")
    assert given["format"] == ('"tiff"', "STYLIZE_FORMAT")
    assert given["existing"] == ('"skip"', "STYLIZE_EXISTING")
    assert given["device"] == ('"auto"', "default")
    assert printed("--recipe", "made.png", "--seed", "4")["seed"] == ("4", "command line")
    assert json.loads(run("--show-recipe", "made.png").stdout)["options"]["seed"] == 3


@pytest.mark.parametrize(
    "args", [("--recipe",), ("--show-recipe",), ("--print-config", "--recipe")]
)
def test_a_picture_without_a_recipe_is_refused(args: tuple[str, ...]) -> None:
    Image.new("RGB", (1, 1)).save("plain.png")
    for name in ("plain.png", "none.png"):
        required = [] if len(args) > 1 else ["a.jpg", "b.jpg", "-o", "c.png"]
        result = run(*args, name, *required)
        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr.startswith(f"stylize: {name}: ")


def test_a_preset_has_the_rank_of_the_place_that_names_it() -> None:
    Path("a.toml").write_text("preset = 'paper'\nseed = 5")
    given = printed("--config", "a.toml", STYLIZE_ITERATIONS="9")
    assert given["preset"] == ('"paper"', "a.toml")
    assert given["iterations"] == ("9", "STYLIZE_ITERATIONS")
    assert given["style-weight"] == ("1000.0", "preset paper, a.toml")
    Path("a.toml").write_text("style-weight = 2")
    typed = printed("--config", "a.toml", "--preset", "paper")
    assert typed["style-weight"] == ("1000.0", "preset paper, command line")
    variable = printed("--config", "a.toml", "--style-weight", "3", STYLIZE_PRESET="paper")
    assert variable["style-weight"] == ("3.0", "command line")
    assert variable["objective"] == ('"paper"', "preset paper, STYLIZE_PRESET")


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--preset", "paper", "-s", "300", "-o", "ä b.png", "-q", "PHOTO", "STYLE"],
        ["--mask", "a", "--mask", "b\n", "--keep-exif", "--no-verbose"],
        ["--blend", "1,3", "--style-layers", "relu1_1:0.25", "--init", "C:\\new"],
    ],
)
def test_the_output_of_print_config_is_a_config_file(args: list[str]) -> None:
    first = run("--print-config", *args)
    Path("again.toml").write_bytes(first.stdout_bytes)
    again = run("--print-config", STYLIZE_CONFIG="again.toml")
    values = [re.sub(" +# .*", "", text.stdout) for text in (first, again)]
    assert values[0] == values[1]
    assert all(
        line[0] == "#" or line.endswith("# again.toml") for line in again.stdout.split("\n")[:-1]
    )


def test_the_command_line_can_reset_what_a_file_sets() -> None:
    Path("a.toml").write_text("keep-exif = true\nquiet = true\nverbose = true")
    options = printed("--config=a.toml", "--no-keep-exif", "--no-quiet", "--no-verbose")
    assert {options[name] for name in ("keep-exif", "quiet", "verbose")} == {
        ("false", "command line")
    }
    assert printed("--config=", STYLIZE_CONFIG="a.toml")["keep-exif"] == ("false", "default")
    assert printed(STYLIZE_CONFIG="")["keep-exif"] == ("false", "default")


def test_a_variable_can_name_several_masks() -> None:
    masks = printed(STYLIZE_MASK=os.pathsep.join(["a.png", "b.png"]))["mask"]
    assert masks == ('["a.png", "b.png"]', "STYLIZE_MASK")
    names = ["not:a.png", "knot", "b.png", "not:c.png"]
    masks = printed(STYLIZE_MASK=os.pathsep.join(names))["mask"]
    assert masks == ('["not:a.png", "knot", "b.png", "not:c.png"]', "STYLIZE_MASK")


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"STYLIZE_SIZE": "8"}, "STYLIZE_SIZE: --size must be 16 "),
        ({"STYLIZE_POOLING": "min"}, "STYLIZE_POOLING: Invalid value for '--pooling': 'min' is"),
        ({"STYLIZE_PRESET": "x"}, "STYLIZE_PRESET: Invalid value for '--preset'"),
        ({"STYLIZE_KEEP_EXIF": "maybe"}, "STYLIZE_KEEP_EXIF: Invalid value for '--keep-exif'"),
        ({"STYLIZE_QUIET": "maybe"}, "STYLIZE_QUIET: Invalid value for '-q' / '--quiet'"),
        ({"STYLIZE_CONFIG": "none.toml"}, "none.toml: cannot be read"),
        ({"STYLIZE_CONFIG": "a.toml"}, "a.toml: Invalid value for '--preset': '3' is not"),
    ],
)
def test_the_message_for_a_bad_value_names_where_it_was_given(
    env: dict[str, str], message: str
) -> None:
    Path("a.toml").write_text("preset = 3")
    for args in ([], ["--print-config"]):
        result = run("a.jpg", "b.jpg", "-o", "c.png", *args, **env)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"stylize: {message}")
        assert result.stderr.count("\n") == 1


def test_options_that_print_and_exit_work_on_the_command_line_alone() -> None:
    typed = sorted(config.TYPED_ONLY)
    options = [param for param in command.params if isinstance(param, click.Option)]
    flags = {o.opts[-1].lstrip("-").replace("-", "_"): o.name for o in options}
    assert {flag for flag, name in flags.items() if name not in settable(command)} == set(typed)
    assert settable(command) >= NAMES
    env = {f"STYLIZE_{name.upper()}": "1" for name in typed}
    result = run("--print-config", **env)
    assert result.exit_code == 0
    assert [line.split(":")[1].strip() for line in result.stderr.splitlines()] == sorted(env)
    assert result.stdout == run("--print-config").stdout
    assert run("--print-config", "-q", **env).stderr == ""
    for name in (*typed, "config", "content", "styles"):
        Path("a.toml").write_text(f"{name} = '1'")
        refused = run("--print-config", "--config", "a.toml")
        assert refused.exit_code == 2
        assert refused.stderr.startswith(f"stylize: a.toml: {name}: no such option")


def test_nothing_is_printed_while_the_shell_completes(capfd: pytest.CaptureFixture[str]) -> None:
    for args in (["--list-layers"], ["--show-recipe", "a.png"], ["--config", "none.toml"]):
        command.make_context("stylize", args, resilient_parsing=True)
    assert capfd.readouterr().out == ""


def test_a_required_option_may_come_from_a_file_or_a_variable() -> None:
    assert "give a name for the result (-o)" in run("a.jpg", "b.jpg").stderr
    Path("a.toml").write_text("output = 'c.gif'")
    for result in (
        run("a.jpg", "b.jpg", "--config", "a.toml"),
        run("a.jpg", "b.jpg", STYLIZE_OUTPUT="c.gif"),
    ):
        assert result.exit_code == 4
        assert "c.gif: unknown suffix" in result.stderr


def test_an_input_file_is_not_overwritten() -> None:
    Path("a.png").write_text("seed = 1")
    assert "is an input too" in run("x", "y", "-o", "a.png", "--config", "a.png").stderr
    assert "is an input too" in run("x", "y", "-o", "a.png", "--mask", "a.png").stderr
    assert "is an input too" in run("x", "y", "-o", "a.png", "--mask", "not:a.png").stderr
    assert "--mask: cannot come from" in run("x", "y", "-o", "b.png", "--mask", "-").stderr
