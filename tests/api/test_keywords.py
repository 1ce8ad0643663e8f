"""Signatures and documentation, which are made from `Options`."""

import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

import stylize
from stylize import Options, Stylizer
from stylize.api.keywords import AllOptions, PictureOptions

NAMES = [option.name for option in fields(Options)]


def test_type_checkers_know_every_option() -> None:
    assert set(AllOptions.__annotations__) == set(NAMES)
    assert set(NAMES) - set(PictureOptions.__annotations__) == set(Stylizer.FIXED)


@pytest.mark.parametrize("call", [stylize.stylize, Stylizer])
def test_a_signature_lists_every_option_with_its_default(call: Callable[..., Any]) -> None:
    parameters = inspect.signature(call).parameters
    for option in fields(Options):
        assert parameters[option.name].default == option.default, option.name
        assert parameters[option.name].kind == inspect.Parameter.KEYWORD_ONLY
    assert "size: int | str = 'auto'" in str(inspect.signature(call))


def test_the_signature_of_a_call_leaves_out_what_is_fixed() -> None:
    parameters = inspect.signature(Stylizer.__call__).parameters
    assert set(NAMES) - set(parameters) == set(Stylizer.FIXED)
    assert "size: int | str = <as before>" in str(inspect.signature(Stylizer.__call__))


@pytest.mark.parametrize("call", [stylize.stylize, Stylizer])
def test_the_documentation_describes_every_option_by_its_name_in_python(call: object) -> None:
    text = inspect.getdoc(call)
    assert text
    for name in NAMES:
        assert len(re.findall(rf"^    {name}: .{{20,}}", text, re.M)) == 1, name
    options = text.partition("Options:")[2]
    assert options
    assert not re.search(r"--[a-z]|(?<!\w)'?-[a-z]\b", options)
    assert "without `iterations`" in options
    assert "One of 'lbfgs', 'adam'. Default: 'lbfgs'." in options
    assert max(map(len, text.splitlines())) <= 100


def test_the_version_is_that_of_the_package() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", stylize.__version__)
