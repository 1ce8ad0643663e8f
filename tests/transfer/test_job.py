"""What is read and checked before anything is computed: where a run starts from."""

from pathlib import Path

import pytest
from PIL import Image

from stylize import Options
from stylize.settings.options import STARTS
from stylize.transfer import job as module
from stylize.transfer.job import Job


def test_every_word_of_init_has_its_start(photo: str, painting: str) -> None:
    jobs = {init: Job.prepare(Options(init=init), photo, [painting]) for init in STARTS}
    expected = {
        "faint": None,
        "noise": None,
        "content": jobs["content"].content,
        "style": jobs["style"].styles[0],
    }
    assert {init: job.start for init, job in jobs.items()} == expected
    assert all("init" not in job.digests for job in jobs.values())


def test_any_other_init_is_a_path(photo: str, painting: str, tmp_path: Path) -> None:
    path = tmp_path / "start.png"
    Image.new("RGB", (20, 20), "red").save(path)
    job = Job.prepare(Options(init=path), photo, [painting])
    assert job.start is not None
    assert job.start.size == (20, 20)
    assert job.digests["init"] == job.start.digest


def test_a_word_of_init_without_a_start_is_an_error(
    photo: str, painting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither noise nor a path."""
    monkeypatch.setattr(module, "STARTS", (*STARTS, "mirror"))
    with pytest.raises(KeyError, match="mirror"):
        Job.prepare(Options(init="mirror"), photo, [painting])
