"""Checks of option values: each returns the value in the option's own type or refuses it.

Every check, and every function that makes one, raises `OptionError` for a value that is not valid;
the message names the option.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from math import inf, isfinite
from typing import Any

from PIL import ImageColor

from ..errors import OptionError, shortened, shown
from ..network.names import parse_layers
from . import printing
from .guesses import keyword_meant

#: A function of the value as given and the option's name, which returns the value in its own type.
Check = Callable[[Any, str], Any]

#: Stands before the path of a mask that applies where it is black.
INVERTED = "not:"
#: The longer sides, in pixels, of the screens whose names are sizes too.
SCREENS = {"4k": 3840, "8k": 7680}
_MULTIPLE = re.compile(r"(\d{1,6}\.?\d{0,6}|\.\d{1,6})(%|x)")


def number(low: float, high: float) -> Check:
    """Make a check for a finite number from `low` to `high`."""

    def check(value: Any, option: str) -> float:
        try:
            result = float("no" if isinstance(value, bool) else value)
        except (TypeError, ValueError, OverflowError):
            raise OptionError(f"{option}: {shown(value)} is not a number{_hint(value)}") from None
        if not (isfinite(result) and low <= result <= high):
            raise OptionError(f"{option} must be {low:g} to {high:g} (got {shortened(str(value))})")
        return result

    return check


def _hint(value: Any) -> str:
    """How "50%" or "0,5" is to be written; "" for what is no number in any way."""
    text = str(value).replace(",", ".")
    percent = text.endswith("%")
    try:
        return f"; write {float(text.rstrip('%')) / (100 if percent else 1):g}"
    except ValueError:
        return ""


def integer(low: int, high: int, *words: str) -> Check:
    """Make a check for a whole number from `low` to `high`, or one of `words`."""

    def check(value: Any, option: str) -> int | str:
        if isinstance(value, str) and value in words:
            return value
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            number = low - 1
        is_whole = isinstance(value, str) or (number == value and not isinstance(value, bool))
        if not is_whole or not low <= number <= high:
            expected = _any_of(f"{low} to {high}", *words)
            raise OptionError(f"{option} must be {expected} (got {shown(value)})")
        return number

    return check


def _any_of(*words: str) -> str:
    """Words as in "16 to 65536, original or fit"."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def size(low: int, high: int, *words: str) -> Check:
    """Make a check for a size; one size has one value, however it was written.

    Pixels from `low` to `high` are whole numbers (also "4k"); a multiple of the photo's own size is
    a text as in "200%" (also "2x"); a size on paper is a text, as is one of `words`.
    """
    pixels = integer(low, high, *words)

    def check(value: Any, option: str) -> Any:
        text = str(value).replace(" ", "").lower()
        if isinstance(value, str):
            if text in SCREENS:
                return SCREENS[text]
            if printing.sides(text):
                return text
            if match := re.fullmatch(r"(\d{1,6})x(\d{1,6})", text):
                raise OptionError(
                    f"{option} {text}: in pixels give the longer side alone, as in"
                    f" {max(map(int, match.groups()))}; on paper add the unit, as in {text}cm"
                )
            if match := _MULTIPLE.fullmatch(text):
                percent = float(match[1]) * (100 if match[2] == "x" else 1)
                if percent:
                    return f"{percent:.10g}%"
        try:
            return pixels(text.removesuffix("px") if isinstance(value, str) else value, option)
        except OptionError:
            others = ("a multiple as in 200%", "a size on paper as in 20cm, 8x10in or A4")
            shown_words = (word for word in words if word != "auto")  # which is to give none
            expected = _any_of(f"{low} to {high} pixels", *shown_words, *SCREENS, *others)
            raise OptionError(f"{option} must be {expected} (got {shown(value)})") from None

    return check


def choice(*words: str) -> Check:
    """Make a check for one of `words`."""

    def check(value: Any, option: str) -> str:
        if value not in words:
            raise OptionError(f"{option} must be {_any_of(*words)} (got {shown(value)})")
        return str(value)

    return check


def layers(value: Any, option: str) -> str:
    """Check layer names with optional factors, and return them as `parse_layers` reads them.

    Args:
        value: a text, a sequence of names, or a mapping from name to factor.
        option: the option's name, for messages.
    """
    if isinstance(value, Mapping):
        value = [f"{name}:{factor}" for name, factor in value.items()]
    factors = parse_layers(value, option)
    return ",".join(name if f == 1 else f"{name}:{f!r}" for name, f in factors.items())


def blend(value: Any, option: str) -> str | None:
    """Check the shares of a blend: None, "equal", or numbers from 0 whose sum is positive.

    Args:
        value: None, "equal", a text as in "0.7,0.3", or a sequence of numbers.
        option: the option's name, for messages.
    """
    if value is None:
        return None
    if isinstance(value, str) and value == "equal":
        return "equal"
    parts = value.split(",") if isinstance(value, str) else value
    try:
        shares = [float(part) for part in parts]
    except (TypeError, ValueError):
        shares = []
    if not shares or not all(isfinite(s) and s >= 0 for s in shares) or not 0 < sum(shares) < inf:
        raise OptionError(
            f"{option}: {shown(value)} is not valid; give equal, or shares as in 0.7,0.3"
        )
    return ",".join(map(repr, shares))


def device(value: Any, option: str) -> str:
    """Check the name of a device; whether the machine has that device is not checked here."""
    if re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:(0|[1-9][0-9]?))?", str(value)):
        return str(value)
    raise OptionError(
        f"{option}: {shown(value)} is not valid; give auto, cpu, cuda, cuda:N, mps or xpu"
    )


def one_of(*numbers: int) -> Check:
    """Make a check for one of a few numbers."""

    def check(value: Any, option: str) -> int:
        for number in numbers:
            if not isinstance(value, bool) and (value == number or value == str(number)):
                return number
        expected = " or ".join(map(str, numbers))
        raise OptionError(f"{option}: {shown(value)} is not valid; give {expected}")

    return check


def boolean(value: Any, option: str) -> bool:
    """Check a truth value, which may be written as true, yes, on, 1, false, no, off or 0."""
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("true", "yes", "on", "1"):
        return True
    if str(value).lower() in ("false", "no", "off", "0"):
        return False
    raise OptionError(f"{option}: {shown(value)} is not valid; give true or false")


def color(value: Any, option: str) -> str:
    """Check a colour, which may be written in any form that Pillow reads; return it as #rrggbb."""
    try:
        levels: tuple[int, ...] = ImageColor.getrgb(value)[:3]
    except (ValueError, AttributeError, TypeError):
        levels = (-1,)
    if not all(0 <= level <= 255 for level in levels):
        raise OptionError(
            f"{option}: {shown(value)} is not a colour; give a name or #rrggbb, as in black or"
            " #ff8000"
        )
    return "#" + bytes(levels).hex()


def masks(value: Any, option: str) -> tuple[str, ...]:
    """Check one path or several, each with or without `INVERTED`; the files need not exist."""
    if isinstance(value, (str, os.PathLike)):
        value = [value]
    paths = tuple(path(item, option) for item in value)
    if INVERTED in paths:
        raise OptionError(f"{option}: {INVERTED} stands before a path, as in {INVERTED}sky.png")
    return paths


def path(value: Any, option: str) -> str:
    """Check a path, or a word that the option takes instead of one; the file need not exist."""
    path = os.fspath(value)
    if not isinstance(path, str) or not path or "\0" in path:
        raise OptionError(f"{option}: {shown(value)} is not valid; give a word or a path")
    return path


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Check that all names that were given in Python are known.

    Args:
        given: names of arguments.
        known: names of the options and other arguments that there are.

    Raises:
        OptionError: a name is not known; the message says which one may be meant.
    """
    names = list(known)
    unknown = [name for name in given if name not in names]
    if unknown:
        meant = keyword_meant(unknown[0], names)
        hint = f"did you mean {meant}?" if meant else "the function's help() explains them all"
        raise OptionError(f"no such option: {', '.join(unknown)}; {hint}")
