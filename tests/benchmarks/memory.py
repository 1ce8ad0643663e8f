"""Estimated memory compared with the measured peak of the process, at several sizes.

    python tests/benchmarks/memory.py [SIZE ...]

Paints a square photo at two scales, until L-BFGS has stored all of its pairs. The estimate is that
of `--dry-run`. Takes about seven minutes on two cores.
"""

import json
import subprocess
import sys
import tempfile

from speed import COMMAND, ROOT

from stylize.transfer.memory import LARGE

PAIR = (f"{ROOT}/contents/astronaut.jpg", f"{ROOT}/styles/great-wave.jpg")
SIZES = ("256", "512", "1024", "2048")


def peak_memory(*options: str) -> int:
    """The memory that a command reports, in bytes."""
    command = [*COMMAND, *PAIR, *options, "-q", "--json"]
    done = subprocess.run(command, check=True, capture_output=True)
    return int(json.loads(done.stdout)["peak_memory"])


def main(sizes: list[str]) -> None:
    print("| pixels | precision | estimated, GB | measured, GB | ratio |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes or SIZES:
            iterations = "52" if int(size) ** 2 < LARGE else "20"
            how = ["-o", f"{folder}/out.png", "-s", size, "-n", iterations, "--scales", "2"]
            for precision in ("bfloat16", "float32"):
                estimated = peak_memory(*how, "--precision", precision, "--dry-run")
                measured = peak_memory(*how, "--precision", precision)
                numbers = (
                    f"{estimated / 1e9:.2f} | {measured / 1e9:.2f} | {estimated / measured:.2f}"
                )
                print(f"| {size} x {size} | {precision} | {numbers} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
