"""The combinations of option values that `--try` asks for."""

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..errors import OptionError
from ..settings import guesses
from ..settings.options import Options
from ..settings.presets import PRESETS

#: Longer side of the pictures, in pixels, unless `--size` says another.
SIZE = 256
#: Combinations at most: more are hardly meant.
MOST = 200
#: Options that cannot be tried: they name files, or belong to another picture.
EXCLUDED = ("mask", "enlarge")
#: Options whose values have commas in them.
WITH_COMMAS = ("blend", "content_layers", "style_layers")
#: What booleans can be called.
_BOOLEANS = {"yes": True, "true": True, "no": False, "false": False}


@dataclass(frozen=True)
class Trial:
    """One combination.

    Attributes:
        settings: name and value of each option that is tried, as typed.
        options: all options.
    """

    settings: tuple[tuple[str, str], ...]
    options: Options

    @property
    def labels(self) -> list[str]:
        """Each option with its value, as typed on the command line."""
        return [f"--{name} {value}" for name, value in self.settings]

    @property
    def name(self) -> str:
        """What its file is called, without suffix."""
        text = ",".join(f"{name}={value}" for name, value in self.settings)
        return re.sub(r"[^\w.,=+-]", "_", text)


def combine(
    texts: Sequence[str], options_with: Callable[[str | None], Options], size_given: bool
) -> tuple[Trial, ...]:
    """All combinations of the values that are tried; the last option varies fastest.

    Args:
        texts: as typed: NAME=VALUE,VALUE; where values have commas in them, NAME=VALUE/VALUE.
        options_with: gives the options that all have in common, with a preset in the place of the
            one that was typed, or with that one for None.
        size_given: whether the size was given.

    Raises:
        OptionError: an option or a value is not valid, or there are too many combinations.
    """
    tried = dict(map(_parse, texts))
    if len(tried) < len(texts):
        raise OptionError("--try: names an option twice; give all of its values together")
    if math.prod(map(len, tried.values())) > MOST:
        raise OptionError(f"--try: more than {MOST} combinations; give fewer values")
    small = {} if size_given else {"size": SIZE}
    trials = []
    for values in itertools.product(*tried.values()):
        settings = dict(zip(tried, values, strict=True))
        options = options_with(_preset(settings))
        changes = {name: _value(name, v) for name, v in settings.items() if name != "preset"}
        shown = tuple((name.replace("_", "-"), value) for name, value in settings.items())
        trials.append(Trial(shown, options.replace(**{**small, **changes})))
    return tuple(trials)


def _parse(text: str) -> tuple[str, list[str]]:
    """The field of `Options`, or "preset", and the values."""
    name, equals, values = text.partition("=")
    name = name.strip().lstrip("-").replace("-", "_")
    if not equals:
        raise OptionError(f"--try {text}: give NAME=VALUE,VALUE, as in style-weight=0.3,1,3")
    known = {option.name for option in fields(Options)} - {*EXCLUDED} | {"preset"}
    if name not in known:
        similar = guesses.closest(name, known)
        hint = f"; did you mean {similar.replace('_', '-')}?" if similar else ""
        shown = name.replace("_", "-") or "this"
        raise OptionError(f"--try {text}: {shown} is not an option that can be tried{hint}")
    separator = "/" if "/" in values and name in WITH_COMMAS else ","
    parts = [value.strip() for value in values.split(separator)]
    if "" in parts or len(set(parts)) < len(parts):
        raise OptionError(f"--try {text}: a value is empty, or there twice")
    return name, parts


def _preset(settings: Mapping[str, str]) -> str | None:
    name = settings.get("preset")
    if name is not None and name not in PRESETS:
        raise OptionError(f"--try preset: no preset {name!r}; give {' or '.join(PRESETS)}")
    return name


def _value(name: str, text: str) -> Any:
    """A value as `Options` takes it, which checks it."""
    if isinstance(getattr(Options(), name), bool):
        if text.lower() not in _BOOLEANS:
            raise OptionError(f"--try {name.replace('_', '-')}: give yes or no, not {text!r}")
        return _BOOLEANS[text.lower()]
    return text
