"""Paint the pictures for the figures, each by one command, and store them.

A picture that was painted before is used again (`--existing update`), so that an interrupted figure
can be resumed. The pictures are stored in figs/.parts, which can be deleted to paint all of them
again.
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
#: Where the pictures are painted. The same machine gives the same bytes again.
DEVICE = os.environ.get("FIGURES_DEVICE", "cpu")
STYLIZE = [sys.executable, "-m", "stylize"]


@dataclass(frozen=True)
class Painted:
    """A picture, and how it was painted.

    Attributes:
        command: the command that painted it, as one would type it.
        image: the picture.
        report: what `--json` printed about it, and under "machine" what `machine` returned.
        trace: what `--trace` wrote: a dict for each evaluation.
    """

    command: str
    image: Image.Image
    report: dict[str, Any]
    trace: list[dict[str, Any]]


#: The pictures of the figure that is being made.
painted: list[Painted] = []


def paint(photo: str, painting: str, options: str = "", out: str = "out.png") -> Painted:
    """Paint a photo in the style of a painting, or use the picture that was stored before.

    Args:
        photo, painting: paths from the repository's root, or bare names from contents/ and styles/.
        options: further arguments, as they are typed.
        out: path of the picture in the repository; "out.png" stores it only in figs/.parts.
    """
    photo = photo if "/" in photo else f"contents/{photo}.jpg"
    painting = painting if "/" in painting else f"styles/{painting}.jpg"
    inputs = " ".join(f"{photo} {painting} {options}".split())
    PARTS.mkdir(exist_ok=True)
    part = PARTS / hashlib.sha256(inputs.encode()).hexdigest()[:16]
    book, trace = part.with_suffix(".json"), part.with_suffix(".jsonl")
    target = ROOT / out if out != "out.png" else part.with_suffix(".png")
    known = json.loads(book.read_text()) if book.exists() else {}
    # The record belongs to exactly this file, and is written only when the file is complete. An
    # interrupted run starts over, because its seconds are reported.
    existing = "update" if known.get("sha256") == files.digest(target) else "replace"
    run = [*STYLIZE, *shlex.split(inputs), "-o", str(target), "--trace", f"{part}.new", "--json"]
    run += ["--existing", existing, "--no-resume", "--device", DEVICE]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("STYLIZE_")}
    print("stylize", inputs, file=sys.stderr)
    said = subprocess.run(run, cwd=ROOT, env=plain, check=True, stdout=subprocess.PIPE).stdout
    report = json.loads(said)
    if report["status"] == "done":
        known = {**report, "machine": machine(), "sha256": files.digest(target)}
        os.replace(f"{part}.new", trace)
        Path(f"{part}.report").write_text(json.dumps(known))
        os.replace(f"{part}.report", book)
    result = Painted(
        f"stylize {inputs} -o {out}",
        Image.open(target).convert("RGB"),
        known,
        [json.loads(line) for line in trace.read_text().splitlines()],
    )
    painted.append(result)
    return result


def machines() -> str:
    """Return the machines that painted the figure that is being made."""
    return "; ".join(dict.fromkeys(part.report["machine"] for part in painted))


@cache
def machine() -> str:
    """Return the class of this machine, its precision and the version of torch.

    The names of processors say little, and those of virtual processors nothing. The speed of a
    product of matrices on the CPU, the best of ten, is what the seconds beside a picture depend on.
    """
    import torch

    from stylize.transfer import device

    where = torch.device(DEVICE)
    dtype = device.network_dtype("auto", where)
    said = device.precision_name(dtype)
    cores = device.describe(where)
    if where.type == "cpu":
        matrix = torch.rand(2048, 2048).to(dtype)
        seconds = []
        for _ in range(10):
            started = time.perf_counter()
            (matrix @ matrix).sum().item()
            seconds.append(time.perf_counter() - started)
        rate = 2 * len(matrix) ** 3 / min(seconds) / 1e12
        cores = f"{os.cpu_count()} cores ({platform.machine()})"
        said = f"{said} at {rate:.2f} TFLOP/s"
    return f"{cores}, {said}, torch {torch.__version__.split('+')[0]}"
