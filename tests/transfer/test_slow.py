"""Tests that take minutes: `pytest -m slow`."""

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

from stylize import Step, Stylizer
from stylize.images import encode
from stylize.network.names import LAYERS
from stylize.transfer.job import Job
from stylize.transfer.start import start_image

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.slow


def _compute_forever() -> None:
    while True:
        sum(range(10**6))


@contextmanager
def busy_machine(processes: int) -> Iterator[None]:
    """Runs so many other processes in the block, each of which uses one core."""
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_compute_forever) for _ in range(processes)]
    for process in others:
        process.start()
    try:
        yield
    finally:
        for process in others:
            process.kill()
            process.join()


def test_the_same_bytes_are_written_on_an_idle_and_a_busy_machine(
    photo: str, painting: str, tmp_path: Path
) -> None:
    """384 pixels, 100 iterations: alone, and while every core is also used by another process."""

    def paint(name: str) -> bytes:
        out = tmp_path / name
        args = ["-o", str(out), "-s", "384", "-n", "100", "--scales", "1", "--threads", "2"]
        subprocess.run([sys.executable, "-m", "stylize", photo, painting, *args], check=True)
        return out.read_bytes()

    alone = paint("a.png")
    with busy_machine(os.cpu_count() or 1):
        assert paint("b.png") == alone


def test_no_run_gets_stuck_or_diverges() -> None:
    """200 random combinations: the loss of every scale is finite, and lower at its end."""
    draw = random.Random(0)
    stylizers = {
        (pooling, precision): Stylizer(pooling=pooling, precision=precision)
        for pooling in ("avg", "max")
        for precision in ("float32", "bfloat16")
    }
    for number in range(200):
        pooling, precision = draw.choice(list(stylizers))
        content = draw.choice(sorted(ROOT.glob("contents/*.jpg")))
        style = draw.choice(sorted(ROOT.glob("styles/*.jpg")))
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
        run = f"{number}: {content.name}, {style.name}, {pooling}, {precision}, {options}"
        losses: dict[tuple[int, int], list[float]] = {}

        def watch(step: Step, losses: dict[tuple[int, int], list[float]] = losses) -> None:
            losses.setdefault(step.scale.size, []).append(step.losses.total)

        stylizer = stylizers[pooling, precision]
        job = Job.prepare(stylizer.options.replace(**options), str(content), [str(style)])
        result = stylizer.paint(job, [watch])
        for totals in losses.values():
            assert all(map(math.isfinite, totals)), run
            assert len(totals) == 1 or totals[-1] < totals[0], run
        first = start_image(job, job.size)[0].permute(1, 2, 0).clamp(0, 1)
        start = encode.to_image(first.numpy())
        moved = ImageStat.Stat(ImageChops.difference(result.image, start)).mean
        assert max(moved) > 2, run
