"""What an option's value may be: checks that return it in its own type, or refuse it. No torch."""

import os
import re
from collections.abc import Callable, Mapping
from math import inf, isfinite
from typing import Any

from PIL import ImageColor

from ..errors import OptionError
from ..network.names import parse_layers

# A check takes what was given and the option's name, and returns the value in its own type.
Check = Callable[[Any, str], Any]


def number(low: float, high: float) -> Check:
    def check(value: Any, option: str) -> float:
        try:
            given = float("no" if isinstance(value, bool) else value)
        except (TypeError, ValueError, OverflowError):
            raise OptionError(f"{option}: {value!r} is not a number") from None
        if not (isfinite(given) and low <= given <= high):
            raise OptionError(
                f"{option}: {value} is out of range; give a number from {low:g} to {high:g}"
            )
        return given

    return check


def integer(low: int, high: int, *words: str) -> Check:
    """A whole number from `low` to `high`, or one of `words`."""

    def check(value: Any, option: str) -> int | str:
        if isinstance(value, str) and value in words:
            return value
        wanted = " or ".join([f"a whole number from {low} to {high}", *words])
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            number = low - 1
        exact = isinstance(value, str) or (number == value and not isinstance(value, bool))
        if not exact or not low <= number <= high:
            raise OptionError(f"{option}: {value!r} will not do; give {wanted}")
        return number

    return check


def choice(*words: str) -> Check:
    def check(value: Any, option: str) -> str:
        if value not in words:
            raise OptionError(f"{option}: {value!r} will not do; give {' or '.join(words)}")
        return str(value)

    return check


def layers(value: Any, option: str) -> str:
    if isinstance(value, Mapping):
        value = [f"{name}:{factor}" for name, factor in value.items()]
    factors = parse_layers(value, option)
    return ",".join(name if f == 1 else f"{name}:{f!r}" for name, f in factors.items())


def blend(value: Any, option: str) -> str | None:
    if value is None:
        return None
    if value == "equal":
        return "equal"
    parts = value.split(",") if isinstance(value, str) else value
    try:
        shares = [float(part) for part in parts]
    except (TypeError, ValueError):
        shares = []
    if not shares or not all(isfinite(s) and s >= 0 for s in shares) or not 0 < sum(shares) < inf:
        raise OptionError(f"{option}: {value!r} will not do; give equal, or shares as in 0.7,0.3")
    return ",".join(map(repr, shares))


def device(value: Any, option: str) -> str:
    if re.fullmatch(r"auto|cpu|mps|cuda(:(0|[1-9][0-9]?))?", str(value)):
        return str(value)
    raise OptionError(f"{option}: {value!r} will not do; give auto, cpu, cuda, cuda:N or mps")


def one_of(*numbers: int) -> Check:
    """One of a few numbers."""

    def check(value: Any, option: str) -> int:
        for number in numbers:
            if not isinstance(value, bool) and (value == number or value == str(number)):
                return number
        raise OptionError(f"{option}: {value!r} will not do; give {' or '.join(map(str, numbers))}")

    return check


def boolean(value: Any, option: str) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("true", "yes", "on", "1"):
        return True
    if str(value).lower() in ("false", "no", "off", "0"):
        return False
    raise OptionError(f"{option}: {value!r} will not do; give true or false")


def color(value: Any, option: str) -> str:
    """A colour as #rrggbb."""
    try:
        levels: tuple[int, ...] = ImageColor.getrgb(value)[:3]
    except (ValueError, AttributeError, TypeError):
        levels = (-1,)
    if not all(0 <= level <= 255 for level in levels):
        raise OptionError(
            f"{option}: {value!r} is no colour; give a name or #rrggbb, as in black or #ff8000"
        )
    return "#" + bytes(levels).hex()


def paths(value: Any, option: str) -> tuple[str, ...]:
    """One path, or several."""
    if isinstance(value, (str, os.PathLike)):
        value = [value]
    return tuple(path(each, option) for each in value)


def path(value: Any, option: str) -> str:
    path = os.fspath(value)
    if not isinstance(path, str) or not path or "\0" in path:
        raise OptionError(f"{option}: {value!r} will not do; give a word or a path")
    return path
