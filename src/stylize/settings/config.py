"""Where options come from besides the command line: a TOML file, variables, a preset.

This module does not depend on click: it takes the values as given, and returns `Options` and the
origin of each value.
"""

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from ..errors import OptionError, shortened, shown
from .guesses import closest, option_meant
from .options import Options, flag
from .presets import PRESETS

#: How the name of an option's environment variable starts, as in STYLIZE_STYLE_WEIGHT.
PREFIX = "STYLIZE"
#: The origins that are neither a file nor a variable.
COMMAND_LINE, DEFAULT = "command line", "default"
#: Options, with underscores, that are about one command, and are neither in a file nor a variable.
TYPED_ONLY = (
    *("recipe", "try", "pairs", "dry_run", "debug"),
    *("print_config", "show_recipe", "list_layers", "version", "help"),
)
#: The most bytes of a file of options.
_LONGEST_FILE = 10**6
#: `as_toml` aligns the origins behind all lines that have at most this many characters.
_LONGEST_ALIGNED_LINE = 40


class Given(NamedTuple):
    """A value, and where it was given.

    Attributes:
        value: the value as it was given, not yet checked.
        origin: `COMMAND_LINE`, a file's path, or a variable's name.
    """

    value: Any
    origin: str


def read_file(path: str, names: Collection[str]) -> dict[str, Any]:
    """Read the options that a TOML file sets.

    Args:
        path: path of a file without nested options: `style-weight = 2`, or `style_weight = 2`.
        names: the options that a file may set, with underscores.

    Returns:
        Value by name. Values of `Options` are checked and in their own type; values of other
        options are texts, as they would be typed.

    Raises:
        OptionError: the file cannot be read or is not valid TOML, or it has an unknown option or a
            value that is not valid; the message names the file.
    """
    painting_options = {option.name for option in fields(Options)}
    values: dict[str, Any] = {}
    for key, value in _parse_file(path).items():
        name = key.replace("-", "_")
        if name not in names:
            meant = option_meant(name, names)
            hint = f"did you mean {meant}?" if meant else "stylize --help lists them"
            if name in TYPED_ONLY:
                hint = "it is given on the command line"
            raise OptionError(f"{path}: {shortened(key)}: no such option for a file; {hint}")
        if name in values:
            raise OptionError(f"{path}: {flag(name)}: is set twice")
        if name in painting_options:
            values[name] = _checked_value(name, Given(value, path))
        elif isinstance(value, (str, bool, float)) or (isinstance(value, int) and value < 10**18):
            values[name] = str(value)
            if "\0" in values[name]:
                raise OptionError(f"{path}: {flag(name)}: contains a NUL character; remove it")
        else:
            raise OptionError(f"{path}: {flag(name)}: takes one value, a text or a number")
    return values


def _parse_file(path: str) -> dict[str, Any]:
    """Return the values of a TOML file by key; errors are `OptionError`s that name the file."""
    try:
        with open(path, "rb") as file:  # it may be a pipe, but must end
            data = file.read(_LONGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"{path}: cannot be read ({reason})") from error
    if len(data) > _LONGEST_FILE:
        raise OptionError(f"{path}: is larger than 1 MB; name a file of options")
    try:
        # Windows editors may put a byte order mark in front, which "utf-8-sig" removes.
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise OptionError(f"{path}: is not UTF-8 (at line {line})") from error
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{path}: is not valid TOML: {shortened(str(error))}") from error


def unknown_variables(environment: Iterable[str], names: Collection[str]) -> list[str]:
    """Return a warning for each variable that starts with `PREFIX` but sets no option.

    Args:
        environment: names of variables.
        names: the options that a variable may set, with underscores.
    """
    warnings = []
    for variable in sorted(environment):
        prefix, _, name = variable.partition("_")
        if prefix == PREFIX and name.lower() not in names:
            similar = closest(name, names)
            hint = f"; did you mean {PREFIX}_{similar.upper()}?" if similar else ""
            if name.lower() in TYPED_ONLY:
                hint = "; it is given on the command line"
            warnings.append(f"{variable}: no such option for a variable; ignored{hint}")
    return warnings


def merge(levels: Iterable[Mapping[str, Given]]) -> tuple[Options, dict[str, str]]:
    """Merge the options that were given in several places.

    A preset has the rank of the level that names it, just below the other values of that level.
    Only the preset of the highest level counts.

    Args:
        levels: in descending order of priority; each has values by the names of `Options`, and
            under "preset" a preset's name, if it has one.

    Returns:
        The options, and the origin of each.

    Raises:
        OptionError: a value is not valid, or two values contradict each other; the message names
            the origins, except for the command line.
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
            _checked_value(name, given)
    origins = {name: given.origin for name, given in chosen.items()}
    try:
        options = Options().replace(**{name: given.value for name, given in chosen.items()})
    except OptionError as error:  # values that contradict each other may have several origins
        sources = [
            f"{flag(name)} is from {origin}"
            for name, origin in origins.items()
            if origin != COMMAND_LINE and flag(name) in str(error)
        ]
        raise OptionError(f"{error} ({', '.join(sources)})" if sources else str(error)) from error
    return options, {option.name: origins.get(option.name, DEFAULT) for option in fields(Options)}


def _checked_value(name: str, given: Given) -> Any:
    """Return a value in the type of its option; the message of an error names the origin."""
    try:
        return getattr(Options().replace(**{name: given.value}), name)
    except OptionError as error:
        raise OptionError(f"{given.origin}: {error}") from error


def as_toml(settings: Mapping[str, Given]) -> str:
    """Write values as a file that `read_file` accepts, each with its origin in a comment.

    Args:
        settings: value and origin by name, in the order of the lines. An option without a value
            becomes a comment as a whole.

    Raises:
        OptionError: a value cannot be written, because it is a path that is not valid Unicode.
    """
    lines = [_toml_line(name, given.value) for name, given in settings.items()]
    aligned = (len(line) for line in lines if len(line) <= _LONGEST_ALIGNED_LINE)
    column = max(aligned, default=0)
    origins = (_escape_unprintable(given.origin) for given in settings.values())
    return "".join(
        f"{line.ljust(column)}  # {origin}\n" for line, origin in zip(lines, origins, strict=True)
    )


def _toml_line(name: str, value: Any) -> str:
    """Return the line of a TOML file that sets an option."""
    key = flag(name).lstrip("-")
    if value is None or value == ():
        return f"# {key} ="
    try:
        return f"{key} = {_toml_literal(value)}"
    except UnicodeEncodeError:
        raise OptionError(
            f"{flag(name)}: {shown(value)} is not Unicode, which TOML needs; rename the file"
        ) from None


def _toml_literal(value: Any) -> str:
    """Return a value in TOML's notation.

    Raises:
        UnicodeEncodeError: a text holds surrogates, which TOML cannot represent.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        value.encode()  # raises for surrogates
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{_escape_unprintable(escaped)}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml_literal, value))}]"
    return repr(value)


def _escape_unprintable(text: str) -> str:
    """Replace characters that are invisible or break lines by TOML's escapes."""
    return "".join(
        c if c.isprintable() else f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"
        for c in text
    )
