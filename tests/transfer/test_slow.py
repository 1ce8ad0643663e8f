"""What takes minutes: `pytest -m slow`."""

import math
import multiprocessing
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import ImageChops, ImageStat

from stylize import Stylizer
from stylize.images import encode as output
from stylize.network.names import LAYERS
from stylize.transfer.job import Job
from stylize.transfer.stylizer import Step

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.slow


def _burn() -> None:
    while True:
        sum(range(10**6))


@contextmanager
def load(processes: int) -> Iterator[None]:
    """A machine busy with other things."""
    context = multiprocessing.get_context("spawn")
    burning = [context.Process(target=_burn) for _ in range(processes)]
    for process in burning:
        process.start()
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.join()


def test_same_file_byte_for_byte_under_load(photo: str, painting: str, tmp_path: Path) -> None:
    """384 px, 100 iterations: on the machine alone, and with every core busy otherwise."""

    def paint(name: str) -> bytes:
        out = tmp_path / name
        args = ["-o", str(out), "-s", "384", "-n", "100", "--scales", "1", "--threads", "2"]
        subprocess.run([sys.executable, "-m", "stylize", photo, painting, *args], check=True)
        return out.read_bytes()

    alone = paint("a.png")
    with load(os.cpu_count() or 1):
        assert paint("b.png") == alone


def test_never_stuck_never_diverging() -> None:
    """200 random combinations: every scale of every run ends lower than it began, in numbers."""
    draw = random.Random(0)
    stylizers = {
        (pooling, precision): Stylizer(pooling=pooling, precision=precision)
        for pooling in ("avg", "max")
        for precision in ("float32", "bfloat16")
    }
    for number in range(200):
        pooling, precision = draw.choice(list(stylizers))
        photo = draw.choice(sorted(ROOT.glob("contents/*.jpg")))
        painting = draw.choice(sorted(ROOT.glob("styles/*.jpg")))
        options = {
            "size": draw.randint(48, 320),
            "content_weight": 10 ** draw.uniform(-3, 3),
            "style_weight": 10 ** draw.uniform(-3, 3),
            "content_layers": draw.choice(["relu4_2", "relu2_2:0.1,relu4_2", "relu1_1", "relu3_3"]),
            "style_layers": ",".join(draw.sample(LAYERS[:13], draw.randint(1, 5))),
            "objective": draw.choice(["balanced", "paper"]),
            "scales": draw.choice(["auto", 1]),
            "iterations": draw.randint(30, 50),
            "seed": draw.randint(0, 9),
        }
        what = f"{number}: {photo.name}, {painting.name}, {pooling}, {precision}, {options}"
        seen: dict[tuple[int, int], list[float]] = {}

        def watch(step: Step, seen: dict[tuple[int, int], list[float]] = seen) -> None:
            size = (step.scale.width, step.scale.height)
            seen.setdefault(size, []).append(step.losses.total)

        stylizer = stylizers[pooling, precision]
        job = Job.prepare(stylizer.options.but(**options), str(photo), [str(painting)])
        result = stylizer.paint(job, watch)
        for totals in seen.values():
            assert all(map(math.isfinite, totals)), what
            assert len(totals) == 1 or totals[-1] < totals[0], what
        first = stylizer.start(job, job.size)[0].permute(1, 2, 0).clamp(0, 1)
        start = output.to_image(first.numpy())
        moved = ImageStat.Stat(ImageChops.difference(result.image, start)).mean
        assert max(moved) > 2, what
