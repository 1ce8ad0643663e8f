"""The options as click declares them, and where click found each value. No torch."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import click
from click.core import ParameterSource

from ..settings import config
from ..settings.config import Given
from ..settings.options import Options, flag

#: For the shell's completion alone; what a path leads to is seen when it is opened. Several of
#: them in a variable are set apart by the system's own separator, as in PATH.
PATH = click.Path(allow_dash=True, readable=False)

#: An option that only the command line can give.
typed_option = functools.partial(click.option, allow_from_autoenv=False)


def painting_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare every field of `Options`, without a value of its own."""
    for option in reversed(fields(Options)):
        said, default = option.metadata, option.default
        name = flag(option.name)
        several = isinstance(default, tuple)
        type: Any = click.STRING
        if isinstance(default, bool):
            # Both ways, so that the command line can take back what a file says.
            name, type = f"{name}/--no-{name.lstrip('-')}", click.BOOL
        elif several:
            type = PATH
        elif said["choices"]:
            type = click.Choice(said["choices"])
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        # Long lists of layers are broken at their blanks.
        shown = said["shown"] or shown.replace(",", ", ")
        function = click.option(
            *([name, said["short"]] if said["short"] else [name]),
            type=type,
            multiple=several,
            default=None,  # what was not given stays open, and a preset can fill it
            metavar=said["metavar"] or None,
            help=f"{said['help']}  [default: {shown}]",
        )(function)
    return function


def settable(command: click.Command) -> set[str]:
    """The options that can also be given in the environment and, but for `config`, in a file."""
    options = (param for param in command.params if isinstance(param, click.Option))
    return {option.name for option in options if option.allow_from_autoenv and option.name}


def origin(context: click.Context, name: str) -> str:
    """Where a parameter's value is from, in words."""
    source = context.get_parameter_source(name)
    if source is ParameterSource.COMMANDLINE:
        return config.COMMAND_LINE
    if source is ParameterSource.ENVIRONMENT:
        return f"{config.PREFIX}_{name.upper()}"
    if source is ParameterSource.DEFAULT_MAP:
        return str(context.params["config"])
    return config.DEFAULT


def options_given(
    context: click.Context, recipe: Mapping[str, Any]
) -> tuple[Options, dict[str, str]]:
    """The options and the origin of each, out of all places in which they can be given.

    Args:
        context: of the command, parsed: what was typed, found in variables, or read from a file.
        recipe: values by name out of the picture that `--recipe` names; they yield to what was
            typed, and to nothing else.

    Raises:
        OptionError: a value will not do.
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
    place = f"recipe {context.params['recipe']}"
    said = {name: Given(value, place) for name, value in recipe.items()}
    return config.merge([typed, said, environment, file])


def as_toml(context: click.Context, options: Options, origins: Mapping[str, str]) -> str:
    """The options, and what else was given, as a file for `--config`.

    Args:
        context: of the command.
        options: as `options_given` says.
        origins: where each is from.

    Raises:
        OptionError: a value cannot be written as TOML.
    """
    others = settable(context.command) - origins.keys() - {"config"}
    settings = {
        param.name: Given(context.params[param.name], origin(context, param.name))
        for param in context.command.params
        if param.name in others and origin(context, param.name) != config.DEFAULT
    }
    settings |= {name: Given(getattr(options, name), origins[name]) for name in origins}
    return config.as_toml(settings)
