"""Where options come from besides the command line: a TOML file, the environment, a preset.

Knows no click: what was given comes in, `Options` and the origin of each value go out. No torch.
"""

import difflib
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from ..errors import OptionError
from .options import Options, flag
from .presets import PRESETS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: What an option's variable begins with, as in STYLIZE_STYLE_WEIGHT.
PREFIX = "STYLIZE"
#: The origins that are no file or variable.
COMMAND_LINE, DEFAULT = "command line", "default"
#: Origins are written in one column behind lines up to this long.
_COLUMN = 40


class Given(NamedTuple):
    """A value, and where it was given.

    Attributes:
        value: as it was given.
        origin: `COMMAND_LINE`, a file's path, or a variable's name.
    """

    value: Any
    origin: str


def read(path: str, names: Collection[str]) -> dict[str, Any]:
    """The options that a TOML file sets.

    Args:
        path: of a flat file: `style-weight = 2`, or `style_weight`.
        names: the options that a file may set, with underscores.

    Returns:
        Value by name: of `Options` checked and in its own type, of others as it would be typed.

    Raises:
        OptionError: the file cannot be read or is no TOML, or has an unknown option or a value
            that will not do; the message names the file.
    """
    known = {option.name for option in fields(Options)}
    found: dict[str, Any] = {}
    for key, value in _parsed(path).items():
        name = key.replace("-", "_")
        if name not in names:
            near = _near(name, names)
            hint = f"did you mean {flag(near)}?" if near else "stylize --help names all"
            raise OptionError(f"{path}: {key}: no such option for a file; {hint}")
        if name in found:
            raise OptionError(f"{path}: {flag(name)}: is set twice")
        if name in known:
            found[name] = _checked(name, Given(value, path))
        elif isinstance(value, (str, bool, float)) or (isinstance(value, int) and value < 10**18):
            found[name] = str(value)
            if "\0" in found[name]:
                raise OptionError(f"{path}: {flag(name)}: has a NUL in it")
        else:
            raise OptionError(f"{path}: {flag(name)}: takes one value, a text or a number")
    return found


def _parsed(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"{path}: cannot be read ({reason})") from error
    try:
        values: dict[str, Any] = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise OptionError(f"{path}: is not UTF-8 (at line {line})") from error
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{path}: is no TOML: {error}") from error
    return values


def unknown(environment: Iterable[str], names: Collection[str]) -> list[str]:
    """A warning for each variable that looks like an option's and is not.

    Args:
        environment: names of variables.
        names: the options that a variable may set, with underscores.
    """
    warnings = []
    for variable in sorted(environment):
        prefix, _, name = variable.partition("_")
        if prefix == PREFIX and name.lower() not in names:
            near = _near(name, names)
            hint = f"; did you mean {PREFIX}_{near.upper()}?" if near else ""
            warnings.append(f"{variable}: no such option for a variable, left alone{hint}")
    return warnings


def merge(levels: Iterable[Mapping[str, Given]]) -> tuple[Options, dict[str, str]]:
    """The options that come of what was given in several places.

    A preset stands right below what is given beside it, and only the first one counts.

    Args:
        levels: from the one that wins to the one that yields; each has values by the names of
            `Options`, and under "preset" a preset's name, if it has one.

    Returns:
        The options, and the origin of each.

    Raises:
        OptionError: a value will not do, or two contradict each other; the message names the
            origins, other than the command line.
    """
    chosen: dict[str, Given] = {}
    for level in levels:
        preset = level.get("preset") if "preset" not in chosen else None
        for name, given in level.items():
            chosen.setdefault(name, given)
        if preset:
            origin = f"preset {preset.value}, {preset.origin}"
            for name, value in PRESETS[preset.value].items():
                chosen.setdefault(name, Given(value, origin))
    chosen.pop("preset", None)
    for name, given in chosen.items():
        if given.origin != COMMAND_LINE:
            _checked(name, given)
    origins = {name: given.origin for name, given in chosen.items()}
    try:
        options = Options().but(**{name: given.value for name, given in chosen.items()})
    except OptionError as error:  # of values that contradict each other, from wherever they are
        there = [
            f"{flag(name)} is from {origin}"
            for name, origin in origins.items()
            if origin != COMMAND_LINE and flag(name) in str(error)
        ]
        raise OptionError(f"{error} ({', '.join(there)})" if there else str(error)) from error
    return options, {option.name: origins.get(option.name, DEFAULT) for option in fields(Options)}


def _checked(name: str, given: Given) -> Any:
    try:
        return getattr(Options().but(**{name: given.value}), name)
    except OptionError as error:
        raise OptionError(f"{given.origin}: {error}") from error


def as_toml(settings: Mapping[str, Given]) -> str:
    """Values as a file that `read` takes, each with its origin in a comment.

    Args:
        settings: in the order of the lines; what has no value becomes a comment as a whole.

    Raises:
        OptionError: a value cannot be written: a path that is no text.
    """
    lines = [_line(name, given.value) for name, given in settings.items()]
    column = max((len(line) for line in lines if len(line) <= _COLUMN), default=0)
    origins = (_printable(given.origin) for given in settings.values())
    return "".join(
        f"{line.ljust(column)}  # {origin}\n" for line, origin in zip(lines, origins, strict=True)
    )


def _line(name: str, value: Any) -> str:
    key = flag(name).lstrip("-")
    if value is None or value == ():
        return f"# {key} ="
    try:
        return f"{key} = {_literal(value)}"
    except UnicodeEncodeError:
        raise OptionError(
            f"{flag(name)}: {value!r} is not Unicode, which TOML needs; rename the file"
        ) from None


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        value.encode()  # or it is refused
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{_printable(escaped)}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    return repr(value)


def _printable(text: str) -> str:
    """With escapes, as TOML has them, in the place of what would be seen as nothing or break."""
    return "".join(
        c if c.isprintable() else f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"
        for c in text
    )


def _near(name: str, names: Collection[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name.lower(), sorted(names), 1)), None)
