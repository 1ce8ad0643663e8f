"""What takes minutes: `pytest -m slow`."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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
