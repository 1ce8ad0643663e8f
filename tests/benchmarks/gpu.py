"""Speed and memory on a GPU, beside pastiche 1.6.0 on the same one.

    python tests/benchmarks/gpu.py [DEVICE] [SIZE ...]

By default on the GPU that torch can use, at 256 to 4096 pixels square. For each size and precision:
seconds and memory of a whole picture with the default options, and what 1000 steps of pastiche take
by the median of 20. Then milliseconds of an evaluation at small scales: at 32 pixels nearly all of
them go to launching kernels.
"""

import statistics
import sys
import time

import torch
from speed import PAINTING, PHOTO, Pastiche, evaluations

from stylize import Stylizer
from stylize.errors import DeviceError
from stylize.transfer import device

SIZES = (256, 512, 1024, 2048, 4096)


def synchronize(where: torch.device) -> None:
    if where.type != "cpu":
        torch.accelerator.synchronize()


def whole_picture(where: str, size: int, precision: str) -> str:
    """The cells of one row: seconds, GB, and iterations."""
    stylizer = Stylizer(device=where, precision=precision)
    stylizer(PHOTO, PAINTING, size=64, iterations=4)  # the first calls load the libraries
    device.reset_peak_memory(stylizer.device)
    try:
        result = stylizer(PHOTO, PAINTING, size=size)
    except DeviceError as error:
        return f"{error} | | "
    peak = device.peak_memory(stylizer.device)
    memory = f"{peak / 1e9:.2f}" if peak else ""
    return f"{result.seconds:.2f} | {memory} | {len(result.losses)}"


def pastiche_seconds(where: str, size: int) -> str:
    """Of 1000 steps."""
    artist = Pastiche(size, device=where)
    try:
        for _ in range(3):
            artist()
        times = []
        for _ in range(20):
            started = time.perf_counter()
            artist()  # its step fetches the loss, and so waits for the GPU
            times.append(time.perf_counter() - started)
        artist.end()
    except (BrokenPipeError, ValueError):
        return "out of memory"
    return f"{1000 * statistics.median(times):.1f}"


def milliseconds(where: str, size: int, precision: str) -> float:
    """Of one evaluation, with the optimiser."""
    step = evaluations(size, precision, where)
    for _ in range(10):
        step()
    synchronize(torch.device(where))
    started = time.perf_counter()
    for _ in range(50):
        step()
    synchronize(torch.device(where))
    return 1000 * (time.perf_counter() - started) / 50


def main(given: list[str]) -> None:
    where = given[0] if given else device.accelerator() or "cpu"
    sizes = [int(size) for size in given[1:]] or SIZES
    print(f"On {device.describe(torch.device(where))}, torch {torch.__version__}.\n")
    print("| pixels | precision | stylize, s | GB | iterations | pastiche, 1000 steps, s |")
    print("|---|---|---|---|---|---|")
    for size in sizes:
        theirs = pastiche_seconds(where, size)
        for precision in ("bfloat16", "float32"):
            cells = whole_picture(where, size, precision)
            print(f"| {size} x {size} | {precision} | {cells} | {theirs} |", flush=True)
    print()
    for precision in ("bfloat16", "float32"):
        for size in (32, 128, 256):
            took = milliseconds(where, size, precision)
            print(f"{precision}, an evaluation at {size} x {size}: {took:.2f} ms", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
