"""What a Ray cluster costs and gains on one machine: 12 pictures by `--jobs` and by `--cluster`.

    python tests/benchmarks/cluster.py [OPTIONS of stylize]

12 photos of 64 pixels, one painting, by default with -s 64 -n 60 --threads 1. By turns, twice. Then
the same once more with nothing to compute (-n 1), which shows the start; and that all files are the
same bytes.
"""

import filecmp
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

from PIL import Image
from speed import COMMAND, ROOT, seconds

ROUNDS = 2
WAYS = {"--jobs 2": ["--jobs", "2"], "--cluster auto": ["--cluster", "auto"]}


def main(given: list[str]) -> None:
    options = [*(given or ["-s", "64", "-n", "60", "--threads", "1"]), "-q"]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.mkdir("photos")
        with Image.open(ROOT / "contents" / "chelsea.jpg") as image:
            for number in range(12):
                image.resize((64 + number, 48)).save(f"photos/{number}.png")
        painting = str(ROOT / "styles" / "great-wave.jpg")
        for name, more in (("12 pictures", []), ("12 pictures, 1 iteration", ["-n", "1"])):
            times: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(ROUNDS):
                for number, (way, words) in enumerate(WAYS.items()):
                    shutil.rmtree(f"out{number}", ignore_errors=True)
                    command = [*COMMAND, "photos", painting, "-o", f"out{number}", *options]
                    run = [*command, *more, *words]
                    times[way].append(seconds(lambda run=run: subprocess.run(run, check=True)))
            for way in WAYS:
                print(f"{name}, {way}: {statistics.median(times[way]):.1f} s")
            files = os.listdir("out0")
            same, _, _ = filecmp.cmpfiles("out0", "out1", files, shallow=False)
            print(f"{len(same)} of {len(files)} files are the same bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
