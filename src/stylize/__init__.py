"""Neural style transfer by the method of Gatys, Ecker and Bethge (arXiv:1508.06576).

Example:
    >>> from stylize import stylize
    >>> stylize("photo.jpg", "painting.jpg", size=512).save("out.jpg")
"""

import importlib
from typing import TYPE_CHECKING, Any

from .errors import (
    DeviceError,
    OptimizationError,
    OptionError,
    OutputError,
    PictureError,
    StylizeError,
    WeightsError,
)
from .settings.options import Options
from .settings.presets import PRESETS

if TYPE_CHECKING:
    from .api.calls import Stylizer, stylize
    from .callbacks.film import Timelapse
    from .settings.recipe import read_recipe
    from .transfer.result import Result
    from .transfer.step import STOP, Losses, Step

    __version__: str

__all__ = [
    "PRESETS",
    "STOP",
    "DeviceError",
    "Losses",
    "OptimizationError",
    "OptionError",
    "Options",
    "OutputError",
    "PictureError",
    "Result",
    "Step",
    "StylizeError",
    "Stylizer",
    "Timelapse",
    "WeightsError",
    "read_recipe",
    "stylize",
]

#: The modules of the names that are imported only when they are asked for: torch takes seconds.
_LAZY = {
    "STOP": ".transfer.step",
    "Losses": ".transfer.step",
    "Result": ".transfer.result",
    "Step": ".transfer.step",
    "Stylizer": ".api.calls",
    "Timelapse": ".callbacks.film",
    "read_recipe": ".settings.recipe",
    "stylize": ".api.calls",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("neural-stylize")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name], __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
