"""How fast this machine paints, from painting a small picture for half a second."""

import time
from typing import NamedTuple

import numpy as np

from ..settings.options import Options
from .job import Job
from .step import STOP, Signal, Step
from .stylizer import Stylizer

#: For how many seconds a small picture is painted, and its longer side.
SECONDS, SIZE = 0.5, 192
#: What the speed depends on.
RELEVANT = ("content_layers", "style_layers", "pooling", "optimizer", "device", "precision")


class Pace(NamedTuple):
    """How long painting takes here.

    Attributes:
        work: seconds for each unit of `Scale.work`.
        picture: seconds for each picture beside its iterations: to show it to the network, and to
            encode and write the result.
    """

    work: float
    picture: float


def measure(options: Options, threads: int) -> Pace:
    """How long painting takes.

    Args:
        options: of the run.
        threads: of the run.

    Raises:
        DeviceError: there is no such device.
    """
    relevant = {name: getattr(options, name) for name in RELEVANT}
    stylizer = Stylizer(Options(size=SIZE, scales=1, init="noise", threads=threads, **relevant))
    picture = np.random.default_rng(0).random((SIZE * 2 // 3, SIZE, 3))
    ends: list[float] = []
    costs: list[int] = []

    def watch(step: Step) -> Signal | None:
        ends.append(time.perf_counter())
        costs.append(step.scale.cost)
        return STOP if ends[-1] - ends[0] > SECONDS else None

    stylizer.paint(Job.prepare(stylizer.options, picture, [picture]), [watch])
    # The first evaluation is slower than those after it.
    work = (ends[-1] - ends[0]) / sum(costs[1:])
    # As in a folder, the network is loaded now and knows the painting.
    started = time.perf_counter()
    job = Job.prepare(stylizer.options, picture, [picture])
    stylizer.paint(job, [lambda _: STOP]).encode("png")
    return Pace(work, max(0.0, time.perf_counter() - started - work * costs[0]))
