"""The fields of `Options` and `Arguments` as click options, and where click found each value."""

import functools
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

import click
from click.core import ParameterSource

from ..settings import config
from ..settings.checks import INVERTED
from ..settings.config import Given
from ..settings.options import Options, flag
from .arguments import Arguments, Choice

#: Declares an option that can be given on the command line only.
command_line_option = functools.partial(click.option, allow_from_autoenv=False)


class _Masks(click.Path):
    """Paths that may have `INVERTED` before them, whose colon separates no paths in a variable."""

    def split_envvar_value(self, rv: str) -> list[str]:
        word = re.escape(INVERTED.removesuffix(os.pathsep))
        return re.split(rf"(?<!^{word})(?<!{os.pathsep}{word}){os.pathsep}", rv)


def painting_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare every field of `Options` as a click option, without a default of its own."""
    for option in reversed(fields(Options)):
        metadata, default = option.metadata, option.default
        name = flag(option.name)
        several = isinstance(default, tuple)
        type: Any = click.STRING
        if isinstance(default, bool):
            name, type = _on_and_off(name), click.BOOL
        elif several:
            type = _Masks(allow_dash=True, readable=False)
        elif metadata["choices"]:
            type = Choice(metadata["choices"])
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        # Blanks let long lists of layers be wrapped.
        shown = metadata["shown"] or shown.replace(",", ", ")
        function = click.option(
            *([metadata["short"], name] if metadata["short"] else [name]),
            type=type,
            multiple=several,
            default=None,  # an option that was not given stays open for a preset
            metavar=metadata["metavar"] or None,
            help=f"{metadata['help']}  [default: {shown}]",
        )(function)
    return function


def command_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare the fields of `Arguments` that are options to click."""
    for option in reversed(fields(Arguments)):
        declared, default, name = {**option.metadata}, option.default, flag(option.name)
        if "help" in declared:
            if isinstance(default, bool) and "is_flag" not in declared:
                name = _on_and_off(name)
            function = click.option(
                *declared.pop("names", []),
                name,
                default=None if default is MISSING else default,
                **declared,
            )(function)
    return function


def _on_and_off(name: str) -> str:
    """Two flags, so that the command line can undo what a file says."""
    return f"{name}/--no-{name.lstrip('-')}"


def settable(command: click.Command) -> set[str]:
    """The options that can also be given in the environment and, except `config`, in a file."""
    options = (param for param in command.params if isinstance(param, click.Option))
    return {option.name for option in options if option.allow_from_autoenv and option.name}


def origin(context: click.Context, name: str) -> str:
    """Where a parameter's value comes from, in words."""
    source = context.get_parameter_source(name)
    if source is ParameterSource.COMMANDLINE:
        return config.COMMAND_LINE
    if source is ParameterSource.ENVIRONMENT:
        return f"{config.PREFIX}_{name.upper()}"
    if source is ParameterSource.DEFAULT_MAP:
        return str(context.params["config"])
    return config.DEFAULT


def options_given(
    context: click.Context, recipe: Mapping[str, Any], preset: str | None = None
) -> tuple[Options, dict[str, str]]:
    """The options, and the origin of each, from all places in which they can be given.

    Args:
        context: of the parsed command: what was typed, found in variables, or read from a file.
        recipe: values by name from the picture that `--recipe` names. What was typed wins over
            them; they win over everything else.
        preset: in the place of the one that was typed, if any.

    Raises:
        OptionError: a value is not valid.
    """
    typed: dict[str, Given] = {}
    environment: dict[str, Given] = {}
    file: dict[str, Given] = {}
    levels = {
        ParameterSource.COMMANDLINE: typed,
        ParameterSource.ENVIRONMENT: environment,
        ParameterSource.DEFAULT_MAP: file,
    }
    for name in ["preset", *(option.name for option in fields(Options))]:
        source = context.get_parameter_source(name)
        if source in levels:
            levels[source][name] = Given(context.params[name], origin(context, name))
    if preset:
        typed["preset"] = Given(preset, config.COMMAND_LINE)
    place = f"recipe {context.params['recipe']}"
    recorded = {name: Given(value, place) for name, value in recipe.items()}
    return config.merge([typed, recorded, environment, file])


def as_toml(context: click.Context, options: Options, origins: Mapping[str, str]) -> str:
    """All options, and whatever else was given, as a file for `--config`.

    Args:
        context: of the command.
        options: as `options_given` returns them.
        origins: where each comes from.

    Raises:
        OptionError: a value cannot be written as TOML.
    """
    command_options = settable(context.command) - origins.keys() - {"config"}
    settings = {
        param.name: Given(context.params[param.name], origin(context, param.name))
        for param in context.command.params
        if param.name in command_options and origin(context, param.name) != config.DEFAULT
    }
    settings |= {name: Given(getattr(options, name), origins[name]) for name in origins}
    return config.as_toml(settings)
