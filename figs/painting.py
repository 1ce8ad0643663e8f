"""Pictures for the figures, each painted by a command of its own, and kept.

What was painted before is taken as it is (`--existing update`), so that a figure that was broken
off goes on. What is kept lies in figs/.parts, which can be deleted to paint all of it anew.
"""

import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parent.parent
PARTS = ROOT / "figs" / ".parts"
STYLIZE = [sys.executable, "-m", "stylize"]


@dataclass(frozen=True)
class Painted:
    """A picture, and how it came about.

    Attributes:
        command: that painted it, as one would type it.
        image: itself.
        told: what `--json` said of it.
        trace: what `--trace` wrote, a dict for each evaluation.
    """

    command: str
    image: Image.Image
    told: dict[str, Any]
    trace: list[dict[str, Any]]


#: Of the figure that is being made.
painted: list[Painted] = []


def paint(photo: str, painting: str, options: str = "", out: str = "out.png") -> Painted:
    """Paint a photo after a painting.

    Args:
        photo, painting: paths from the top, or bare names out of contents/ and styles/.
        options: as they are typed.
        out: where to, if it is to stay; a name that is not kept otherwise.
    """
    photo = photo if "/" in photo else f"contents/{photo}.jpg"
    painting = painting if "/" in painting else f"styles/{painting}.jpg"
    inputs = " ".join(f"{photo} {painting} {options}".split())
    PARTS.mkdir(exist_ok=True)
    part = PARTS / hashlib.sha256(inputs.encode()).hexdigest()[:16]
    told, trace = part.with_suffix(".json"), part.with_suffix(".jsonl")
    target = Path(out) if out != "out.png" else part.with_suffix(".png")
    existing = "update" if told.exists() and trace.exists() else "replace"
    fresh = part.with_suffix(".new")  # or a run that is broken off would spoil what there is
    run = [*STYLIZE, *shlex.split(inputs), "-o", str(target), "--trace", str(fresh), "--json"]
    run += ["--existing", existing]
    print("stylize", inputs, file=sys.stderr)
    said = subprocess.run(run, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    if json.loads(said)["status"] == "done":
        fresh.replace(trace)
        told.write_bytes(said)
    result = Painted(
        f"stylize {inputs} -o {out}",
        Image.open(ROOT / target).convert("RGB"),
        json.loads(told.read_text()),
        [json.loads(line) for line in trace.read_text().splitlines()],
    )
    painted.append(result)
    return result


@cache
def machine() -> str:
    """The class of the machine, and what computes on it.

    Names of processors say little, those of virtual ones nothing: how fast it multiplies
    matrices, the best of ten times, is what the seconds beside a picture go by.
    """
    import torch

    from stylize import Options, device

    on = device.pick(Options().device)
    dtype = device.dtype("auto", on)
    matrix = torch.rand(2048, 2048, device=on).to(dtype)
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        (matrix @ matrix).sum().item()
        seconds.append(time.perf_counter() - started)
    rate = 2 * len(matrix) ** 3 / min(seconds) / 1e12
    cores, version = f"{os.cpu_count()} cores ({platform.machine()})", torch.__version__
    return f"{cores}, {device.name(dtype)} at {rate:.2f} TFLOP/s, torch {version.split('+')[0]}"
