"""The options as keyword arguments: for type checkers, for editors, and for `help`.

A type checker reads the classes below; a program that is running shows the signature that `signed`
makes from them and from `Options`, where the defaults and the descriptions are.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from typing import Any, TypedDict, TypeVar

from ..images.picture import Source
from ..settings.options import Options

Documented = TypeVar("Documented", bound=Callable[..., Any])


class PictureOptions(TypedDict, total=False):
    """The options that may differ from picture to picture. A test compares them with `Options`."""

    size: int | str
    effort: str
    iterations: int | str
    strength: float
    content_weight: float
    style_weight: float
    content_layers: str | Sequence[str] | Mapping[str, float]
    style_layers: str | Sequence[str] | Mapping[str, float]
    blend: str | Sequence[float] | None
    style_scale: float
    tv_weight: float
    objective: str
    optimizer: str
    learning_rate: float
    color: str
    mask: Source | Sequence[Source]
    init: Source
    enlarge: Source
    scales: int | str
    seed: int
    threads: int
    background: str
    depth: int
    keep_exif: bool
    jpeg_quality: int
    dpi: int | str


class AllOptions(PictureOptions, total=False):
    """These and what the network is made from (`Stylizer.FIXED`)."""

    network: str
    pooling: str
    device: str
    precision: str
    weights: str


class Shown(str):
    """A text that is shown in a signature without quotes."""

    __repr__ = str.__str__


def signed(
    kind: type[PictureOptions], default: object = None
) -> Callable[[Documented], Documented]:
    """Make a decorator that shows the options of a function one by one in its signature.

    Args:
        kind: what the function takes as `**options: Unpack[kind]`.
        default: what is shown as the default of all options; None for those of `Options`.
    """

    def decorate(function: Documented) -> Documented:
        own = inspect.signature(function)
        parameters = [
            parameter.replace(annotation=_shown(parameter.annotation))
            for parameter in own.parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        parameters += [
            inspect.Parameter(
                option.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=option.default if default is None else default,
                annotation=_shown(kind.__annotations__[option.name]),
            )
            for option in fields(Options)
            if option.name in kind.__annotations__
        ]
        shown = own.replace(parameters=parameters, return_annotation=_shown(own.return_annotation))
        function.__signature__ = shown  # type: ignore[attr-defined]
        return function

    return decorate


def documented(described: Documented) -> Documented:
    """Add a description of every option to the documentation of a function or class."""
    if described.__doc__:  # Python can be told to drop all of them
        options = "\n".join(map(_description, fields(Options)))
        described.__doc__ = f"{inspect.cleandoc(described.__doc__)}\n\nOptions:\n{options}\n"
    return described


def _shown(annotation: Any) -> Any:
    """An annotation as it is written in the code."""
    written = getattr(annotation, "__forward_arg__", annotation)
    return Shown(written) if isinstance(written, str) else annotation


def _description(option: Field[Any]) -> str:
    """An option's help text, with the names that options have in Python."""
    help: str = option.metadata["help"]
    shorts = {o.metadata["short"]: o.name for o in fields(Options) if o.metadata["short"]}
    for short, name in shorts.items():
        help = re.sub(rf"(?<!\w)'?{short}\b'?", f"`{name}`", help)
    help = re.sub(r"'?--([a-z-]+)'?", lambda found: f"`{found[1].replace('-', '_')}`", help)
    choices = ", ".join(map(repr, option.metadata["choices"]))
    if choices and isinstance(option.default, str):
        help += f" One of {choices}."
    text = f"{option.name}: {help} Default: {option.default!r}."
    return textwrap.fill(text, 96, initial_indent="    ", subsequent_indent="        ")
