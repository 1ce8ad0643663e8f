"""What newcomers read: --help, and what is said where something is missing or misspelled."""

import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest

from stylize import Options, errors
from stylize.cli.groups import GROUPS
from stylize.cli.main import command
from stylize.settings.guesses import option_meant

OPTIONS = [param for param in command.params if isinstance(param, click.Option)]


def test_help_shows_every_option_with_its_default(run: Any) -> None:
    for spelling in ("-h", "--help"):
        shown = " ".join(run(spelling).stdout.split())
        for option in fields(Options):
            metadata = option.metadata
            default = metadata["shown"] or option.default
            default = f"{default:g}" if isinstance(default, float) else str(default)
            default = default.replace(",relu", ", relu")
            assert f"{metadata['help']} [default: {default}]" in shown, option.name
        for other in OPTIONS:
            # A line may end after a hyphen.
            assert "".join((other.help or "?").split()) in shown.replace(" ", ""), other.name


def test_help_lists_every_exit_code(run: Any) -> None:
    _, _, text = " ".join(run("--help").stdout.split()).partition("Exit codes: ")
    listed = [int(part.split()[0]) for part in text.partition(".")[0].split(", ")]
    assert sorted(listed) == sorted(errors.ExitCode)


def test_every_option_has_its_place_under_one_heading(run: Any) -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert len(set(grouped)) == len(grouped)
    assert set(grouped) == {option.name for option in OPTIONS}, "cli/groups.py lists them"
    headings = re.findall(r"^(\S.*):$", run("--help").stdout, re.M)
    assert headings == [*GROUPS, "Examples"]


def test_the_ten_options_of_every_day_come_first() -> None:
    first = next(iter(GROUPS.values()))
    assert len(first) == 10
    assert [option.name for option in OPTIONS][:10] == list(first)


def test_help_is_plain_text_that_fits_into_80_columns(run: Any) -> None:
    shown = run("--help").stdout
    assert shown.isprintable() or set(filter(lambda c: not c.isprintable(), shown)) == {"\n"}
    assert max(map(len, shown.splitlines())) <= 80


def test_the_examples_come_last_and_are_valid(run: Any, tmp_path: Path) -> None:
    examples = run("--help").stdout.partition("\nExamples:\n")[2].splitlines()
    assert len(examples) >= 5
    for example in examples:
        name, *args = shlex.split(example)
        assert name == "stylize"
        params = command.make_context("stylize", args).params
        assert params["content"], example
        assert params["styles"], example
        assert params["output"], example


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("", "give a photo, a painting and a name for the result (-o)"),
        ("a.jpg", "give a painting and a name for the result (-o)"),
        ("a.jpg b.jpg", "give a name for the result (-o)"),
        ("-o c.jpg", "give a photo and a painting"),
    ],
)
def test_what_is_missing_is_asked_for_with_an_example(args: str, message: str, run: Any) -> None:
    result = run(*args.split())
    assert result.exit_code == 2
    example = "stylize photo.jpg painting.jpg -o out.jpg"
    assert result.stderr == f"stylize: {message}, as in {example} (stylize --help tells more)\n"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--steps", "--iterations"),
        ("--gpu", "--device cuda"),
        ("--overwrite", "--existing replace"),
        ("--colour", "--color"),
        ("--output-dir", "--output"),
        ("--style-wieght", "--style-weight"),
        ("--no-resum", "--no-resume"),
        ("-size", "--size"),
        ("-style-scale", "--style-scale"),
        ("-lr", "--learning-rate"),
        ("--quality", "--effort or --jpeg-quality"),
        ("--compare", "--try"),
        ("--content", "stylize photo.jpg painting.jpg -o out.png"),
        ("-content_image", "stylize photo.jpg painting.jpg -o out.png"),
        ("-c", "stylize photo.jpg painting.jpg -o out.png"),
    ],
)
def test_a_wrong_option_is_answered_with_the_right_one(typed: str, meant: str, run: Any) -> None:
    result = run("PHOTO", "PAINTING", "-o", "a.png", typed, "5")
    assert result.exit_code == 2
    expected = f"stylize: no option {typed}; did you mean {meant}? (see stylize --help)\n"
    assert result.stderr == expected


@pytest.mark.parametrize("args", [["-s300"], ["-qv"], ["-n5", "--", "-size"]])
def test_short_options_may_stand_together_with_their_values(args: list[str]) -> None:
    params = command.make_context("stylize", ["-oa.png", *args]).params
    assert params["output"] == "a.png"


def test_nothing_is_guessed_from_a_name_that_is_like_no_other(run: Any) -> None:
    result = run("PHOTO", "PAINTING", "-o", "a.png", "--xyzzy")
    assert result.stderr == "stylize: no option --xyzzy (see stylize --help)\n"


def test_a_wrong_option_in_a_file_is_answered_alike(run: Any) -> None:
    Path("a.toml").write_text("steps = 3")
    result = run("PHOTO", "PAINTING", "-o", "a.png", "--config", "a.toml")
    assert "a.toml: steps: no such option for a file; did you mean --iterations?" in result.stderr


def test_every_guess_leads_to_an_option() -> None:
    from stylize.settings import guesses

    flags = [flag for option in OPTIONS for flag in option.opts if flag.startswith("--")]
    names = {flag[2:].replace("-", "_") for flag in flags}
    for guess, meant in guesses._GUESSES.items():
        assert guess not in names, guess
        assert option_meant(guess, names) == meant
        assert option_meant(guess, set()) is None
        command.make_context("stylize", meant.split()[:1], resilient_parsing=True)


@pytest.mark.parametrize(
    ("option", "wrong", "right"),
    [("preset", "impasta", "impasto"), ("color", "contents", "content"), ("pair", "zap", "zip")],
)
def test_a_wrong_word_is_answered_with_the_right_one(
    option: str, wrong: str, right: str, run: Any
) -> None:
    result = run("PHOTO", "PAINTING", "-o", "a.png", f"--{option}", wrong)
    assert result.exit_code == 2
    assert f"Did you mean {right!r}?" in result.stderr
    assert result.stderr.count("\n") == 1
