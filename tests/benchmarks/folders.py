"""What it gains to name folders: 12 pictures by one command, by 12 commands, and by two workers.

    python tests/benchmarks/folders.py [OPTIONS of stylize]

4 photos x 3 paintings, by default with -s 256 --effort draft. By turns, twice; only the ratios
matter. At the end, that all ways gave the same bytes, two workers with as many threads each.
"""

import filecmp
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable

from speed import COMMAND, ROOT, seconds

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
PAINTINGS = ("composition-viii", "great-wave", "summertime")
ROUNDS = 2


def main(given: list[str]) -> None:
    options = [*(given or ["-s", "256", "--effort", "draft"]), "-q"]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for kind, names in (("contents", PHOTOS), ("styles", PAINTINGS)):
            os.mkdir(kind)
            for name in names:
                shutil.copy(ROOT / kind / f"{name}.jpg", kind)

        def folders(out: str, *more: str) -> None:
            command = [*COMMAND, "contents", "styles", "-o", out, *options, *more]
            subprocess.run(command, check=True)

        def one_by_one() -> None:
            os.mkdir("single")
            for photo, painting in itertools.product(PHOTOS, PAINTINGS):
                pair = [f"contents/{photo}.jpg", f"styles/{painting}.jpg"]
                out = f"single/{photo}-{painting}.png"
                subprocess.run([*COMMAND, *pair, "-o", out, *options], check=True)

        ways: dict[str, Callable[[], None]] = {
            "12 commands": one_by_one,
            "one command": lambda: folders("folder"),
            "--jobs 2": lambda: folders("jobs", "--jobs", "2"),
            "all skipped": lambda: folders("folder"),
        }
        rows: list[list[float]] = []
        for _ in range(ROUNDS):
            for out in ("single", "folder", "jobs"):
                shutil.rmtree(out, ignore_errors=True)
            rows.append([seconds(way) for way in ways.values()])
        times = dict(zip(ways, zip(*rows, strict=True), strict=True))
        for name, column in times.items():
            print(f"{name}: {statistics.median(column):.1f} s")
        for name in ("12 commands", "--jobs 2"):
            pairs = zip(times[name], times["one command"], strict=True)
            print(f"{name} / one command: {statistics.median(a / b for a, b in pairs):.2f}")
        folders("threads", "--threads", "1")
        folders("workers", "--threads", "1", "--jobs", "2")
        for one, other in (("single", "folder"), ("threads", "workers")):
            names = os.listdir(one)
            _, differ, missing = filecmp.cmpfiles(one, other, names, shallow=False)
            print(f"{len(names) - len(differ + missing)} of {len(names)} files are the same bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
