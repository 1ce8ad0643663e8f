"""How long the tests of each room take. Writes the table of tests/README.md."""

import re
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parent.parent
PAGE = TESTS / "README.md"
#: In the order of src/stylize/README.md; `test_*.py` are those of the whole.
ROOMS = (
    "test_*.py",
    "files",
    "network",
    "settings",
    "images",
    "transfer",
    "callbacks",
    "api",
    "cli",
)


def measure(room: str) -> float:
    """The seconds that the tests of a room take, with the start."""
    started = time.perf_counter()
    paths = sorted(map(str, TESTS.glob(room)))
    command = [sys.executable, "-m", "pytest", "-q", *paths]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise SystemExit(process.stdout)
    return time.perf_counter() - started


if __name__ == "__main__":
    rows = ["| tests | seconds |", "|---|---|"]
    for room in ROOMS:
        rows.append(f"| `tests/{room}` | {measure(room):.0f} |")
        print(rows[-1], flush=True)
    text = PAGE.read_text(encoding="utf-8")
    table = re.compile(r"^\| tests \|(.*\n)+?(?=\n)", re.M)
    PAGE.write_text(table.sub("\n".join(rows) + "\n", text), encoding="utf-8")
