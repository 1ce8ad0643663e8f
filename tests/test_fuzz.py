"""Damaged files of every kind that is read: refused in one line, in bounded memory and time."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are kept by Linux alone")
def test_no_damaged_file_is_a_fault(tmp_path: Path) -> None:
    script = ROOT / "tests" / "benchmarks" / "fuzz.py"
    command = [sys.executable, str(script), "--seconds", "120", "--keep", str(tmp_path / "faults")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert result.stdout.splitlines()[-1].endswith("faults 0")
