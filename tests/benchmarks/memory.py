"""Memory foreseen against memory measured: the peak of the process, at several sizes.

    python tests/benchmarks/memory.py [SIZE ...]

A square photo at two scales, until L-BFGS's memory is full. What is foreseen is what `--dry-run`
says. About seven minutes on two cores.
"""

import json
import subprocess
import sys
import tempfile

from speed import COMMAND, ROOT

from stylize.settings.options import LARGE

PAIR = (f"{ROOT}/contents/astronaut.jpg", f"{ROOT}/styles/great-wave.jpg")
SIZES = ("256", "512", "1024", "2048")


def asked(*options: str) -> int:
    """The memory that a command tells in bytes."""
    command = [*COMMAND, *PAIR, *options, "-q", "--json"]
    done = subprocess.run(command, check=True, capture_output=True)
    return int(json.loads(done.stdout)["peak_memory"])


def main(sizes: list[str]) -> None:
    print("| pixels | precision | foreseen, GB | measured, GB | ratio |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes or SIZES:
            iterations = "52" if int(size) ** 2 < LARGE else "20"
            how = ["-o", f"{folder}/out.png", "-s", size, "-n", iterations, "--scales", "2"]
            for precision in ("bfloat16", "float32"):
                foreseen = asked(*how, "--precision", precision, "--dry-run")
                measured = asked(*how, "--precision", precision)
                numbers = f"{foreseen / 1e9:.2f} | {measured / 1e9:.2f} | {foreseen / measured:.2f}"
                print(f"| {size} x {size} | {precision} | {numbers} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
