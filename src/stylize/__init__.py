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
    from .callbacks.film import Timelapse
    from .settings.recipe import read_recipe
    from .transfer.result import Result
    from .transfer.step import Losses, Step
    from .transfer.stylizer import Stylizer, stylize

__all__ = [
    "PRESETS",
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
    "Losses": ".transfer.step",
    "Result": ".transfer.result",
    "Step": ".transfer.step",
    "Stylizer": ".transfer.stylizer",
    "Timelapse": ".callbacks.film",
    "read_recipe": ".settings.recipe",
    "stylize": ".transfer.stylizer",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("neural-stylize")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name], __name__), name)


def __dir__() -> list[str]:
    return __all__
