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

from stylize import files

ROOT = Path(__file__).parent.parent
PARTS = ROOT / "figs" / ".parts"
STYLIZE = [sys.executable, "-m", "stylize"]


@dataclass(frozen=True)
class Painted:
    """A picture, and how it came about.

    Attributes:
        command: that painted it, as one would type it.
        image: itself.
        told: what `--json` said of it; and "machine", of `machine`.
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
    book, trace = part.with_suffix(".json"), part.with_suffix(".jsonl")
    target = ROOT / out if out != "out.png" else part.with_suffix(".png")
    known = json.loads(book.read_text()) if book.exists() else {}
    # Told is what is known of this very file, and written when all of it is there. A run that was
    # broken off begins anew: its seconds count.
    existing = "update" if known.get("sha256") == files.digest(target) else "replace"
    run = [*STYLIZE, *shlex.split(inputs), "-o", str(target), "--trace", f"{part}.new", "--json"]
    run += ["--existing", existing, "--no-resume", "--device", "cpu"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("STYLIZE_")}
    print("stylize", inputs, file=sys.stderr)
    said = subprocess.run(run, cwd=ROOT, env=plain, check=True, stdout=subprocess.PIPE).stdout
    told = json.loads(said)
    if told["status"] == "done":
        known = {**told, "machine": machine(), "sha256": files.digest(target)}
        os.replace(f"{part}.new", trace)
        Path(f"{part}.told").write_text(json.dumps(known))
        os.replace(f"{part}.told", book)
    result = Painted(
        f"stylize {inputs} -o {out}",
        Image.open(target).convert("RGB"),
        known,
        [json.loads(line) for line in trace.read_text().splitlines()],
    )
    painted.append(result)
    return result


def machines() -> str:
    """On which all of the figure that is being made was painted."""
    return "; ".join(dict.fromkeys(part.told["machine"] for part in painted))


@cache
def machine() -> str:
    """The class of the machine, and what computes on it.

    Names of processors say little, those of virtual ones nothing: how fast it multiplies
    matrices, the best of ten times, is what the seconds beside a picture go by.
    """
    import torch

    from stylize.transfer import device

    dtype = device.dtype("auto", torch.device("cpu"))
    matrix = torch.rand(2048, 2048).to(dtype)
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        (matrix @ matrix).sum().item()
        seconds.append(time.perf_counter() - started)
    rate = 2 * len(matrix) ** 3 / min(seconds) / 1e12
    cores, version = f"{os.cpu_count()} cores ({platform.machine()})", torch.__version__
    return f"{cores}, {device.name(dtype)} at {rate:.2f} TFLOP/s, torch {version.split('+')[0]}"
