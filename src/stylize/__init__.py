"""Neural style transfer by the method of Gatys, Ecker and Bethge (arXiv:1508.06576).

Example:
    >>> from stylize import stylize
    >>> stylize("photo.jpg", "painting.jpg", size=512).save("out.jpg")
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api.calls import Stylizer, stylize
    from .callbacks.film import Timelapse
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

#: Rounds of a loop, well under a millisecond in all, in which OpenMP's threads wait for work before
#: they sleep. By default they wait for milliseconds, and keep a processor from NNPACK's threads, or
#: from other programs: two runs at once may take five times as long.
SPINS = 20_000
# Read when torch is loaded, which is later; processes that are started inherit it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))

#: The modules of the names that are imported only when they are asked for. torch takes seconds, and
#: the command should be able to answer Ctrl-C at once.
_LAZY = {
    "PRESETS": ".settings.presets",
    "STOP": ".transfer.step",
    "DeviceError": ".errors",
    "Losses": ".transfer.step",
    "OptimizationError": ".errors",
    "OptionError": ".errors",
    "Options": ".settings.options",
    "OutputError": ".errors",
    "PictureError": ".errors",
    "Result": ".transfer.result",
    "Step": ".transfer.step",
    "StylizeError": ".errors",
    "Stylizer": ".api.calls",
    "Timelapse": ".callbacks.film",
    "WeightsError": ".errors",
    "read_recipe": ".settings.recipe",
    "stylize": ".api.calls",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("neural-stylize")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name], __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
