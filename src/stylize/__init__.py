"""Neural style transfer by the method of Gatys, Ecker and Bethge (arXiv:1508.06576).

Example:
    >>> from stylize import stylize
    >>> stylize("photo.jpg", "painting.jpg", size=512).save("out.jpg")
"""

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
    from .transfer.losses import Losses
    from .transfer.result import Result
    from .transfer.step import Step
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
    "WeightsError",
    "stylize",
]


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for: torch takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .transfer import losses, stylizer

    return getattr(stylizer, name) if hasattr(stylizer, name) else getattr(losses, name)


def __dir__() -> list[str]:
    return __all__
