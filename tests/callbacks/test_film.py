"""Snapshots and films, read back with Pillow and PyAV. The run is a pretended one."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stylize.callbacks import film
from stylize.callbacks.film import (
    FIRST,
    FRAMES,
    LAST,
    MILLISECONDS,
    RATE,
    SIDES,
    Snapshots,
    Timelapse,
)
from stylize.errors import OptionError, OutputError
from stylize.images import encode

#: What codecs may change a flat colour by, of 255.
NEAR = 6


class Run:
    """A run whose picture goes from black to orange as a share of the iterations, on a blue stripe.

    Attributes:
        asked: the iterations whose picture was asked for.
    """

    def __init__(self, planned: int, size: tuple[int, int] = (24, 16), alpha: bool = False) -> None:
        self.planned, self.size, self.alpha = planned, size, alpha
        self.asked: list[int] = []

    def color(self, iteration: int) -> tuple[float, ...]:
        share = iteration / self.planned
        return (255 * share, 128 * share, 0.0)

    def pixels(self, iteration: int) -> NDArray[np.float32]:
        width, height = self.size
        pixels = np.zeros((height, width, 3), np.float32)
        pixels[:] = np.array(self.color(iteration)) / 255
        pixels[-height // 4 :] = (0, 0, 1)
        if self.alpha:
            seen = np.zeros((height, width, 1), np.float32)
            seen[:, width // 2 :] = 1
            pixels = np.concatenate([pixels, seen], 2)
        return pixels

    def step(self, iteration: int) -> Any:
        def picture() -> NDArray[np.float32]:
            self.asked.append(iteration)
            return self.pixels(iteration)

        return SimpleNamespace(
            inputs=(), iteration=iteration, iterations=self.planned, picture=picture
        )

    def show(self, watcher: Callable[[Any], None], iterations: Iterable[int] = ()) -> "Run":
        for iteration in iterations or range(1, self.planned + 1):
            watcher(self.step(iteration))
        return self


def read(path: Path) -> tuple[list[Image.Image], list[float]]:
    """The frames of a film, and what each lasts in milliseconds."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            frames = [  # the range is said because older PyAVs' `to_image` does not mind it
                frame.reformat(format="rgb24", src_color_range="MPEG", dst_color_range="JPEG")
                for frame in container.decode(video=0)
            ]
            rate = container.streams.video[0].average_rate
        assert rate == RATE
        return [frame.to_image() for frame in frames], [1000 / RATE] * len(frames)
    frames, durations = [], []
    with Image.open(path) as image:
        for place in range(getattr(image, "n_frames", 1)):
            image.seek(place)
            frames.append(image.convert("RGB"))
            durations.append(image.info.get("duration", 0))
    return frames, durations


def top(image: Image.Image) -> tuple[float, ...]:
    """The mean colour of the upper half's right side."""
    width, height = image.size
    upper = np.asarray(image, float)[: height // 2, width * 2 // 3 :]
    return tuple(upper.mean((0, 1)))


@pytest.fixture(params=SIDES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"film{request.param}"


def test_a_film_of_every_iteration(path: Path) -> None:
    with Timelapse(path) as timelapse:
        run = Run(20).show(timelapse)
        assert os.listdir(path.parent) == []
    assert run.asked == list(range(1, 21))
    frames, durations = read(path)
    assert {frame.size for frame in frames} == {(24, 16)}
    if path.suffix == ".mp4":
        assert len(frames) == 20 + FIRST + LAST
        frames = [*frames[FIRST : FIRST + 20]]
    else:
        assert len(frames) == 20
        expected = [MILLISECONDS * (1 + FIRST), *[MILLISECONDS] * 18, MILLISECONDS * (1 + LAST)]
        assert durations == expected
        with Image.open(path) as image:
            assert image.info["loop"] == 0
    for iteration, frame in enumerate(frames, start=1):
        assert top(frame) == pytest.approx(run.color(iteration), abs=NEAR), iteration
    assert os.listdir(path.parent) == [path.name]


def test_the_first_and_the_last_picture_are_shown_longer(tmp_path: Path) -> None:
    """In an mp4 by repetition, for as long as in the others: 0.7 and 2.5 seconds."""
    with Timelapse(tmp_path / "film.mp4") as timelapse:
        run = Run(5).show(timelapse)
    frames, _ = read(tmp_path / "film.mp4")
    of = [min(range(1, 6), key=lambda i: abs(run.color(i)[0] - top(f)[0])) for f in frames]
    assert of == [1] * (1 + FIRST) + [2, 3, 4] + [5] * (1 + LAST)
    for seconds in ((1 + FIRST) / RATE, (1 + FIRST) * MILLISECONDS / 1000):
        assert seconds == pytest.approx(0.7, abs=0.05)
    for seconds in ((1 + LAST) / RATE, (1 + LAST) * MILLISECONDS / 1000):
        assert seconds == pytest.approx(2.5, abs=0.15)


def test_ten_thousand_iterations(path: Path) -> None:
    with Timelapse(path) as timelapse:
        run = Run(10_000).show(timelapse)
    assert len(run.asked) == FRAMES
    assert run.asked[0] == 1
    assert run.asked[-1] == 10_000
    steps = np.diff(run.asked)
    assert steps.max() - steps.min() <= 1
    frames, durations = read(path)
    extra = FIRST + LAST if path.suffix == ".mp4" else 0
    # Neighbours that look alike may have been made one, of twice the time.
    assert FRAMES / 3 < len(frames) <= FRAMES + extra
    assert sum(durations) == pytest.approx(1000 * (8 + 0.7 + 2.5), rel=0.1)
    assert top(frames[0]) == pytest.approx((0, 0, 0), abs=NEAR)
    assert top(frames[-1]) == pytest.approx((255, 128, 0), abs=NEAR)


@pytest.mark.parametrize("planned", [1, 2, 3, FRAMES - 1, FRAMES, FRAMES + 1, 500])
def test_no_more_pictures_than_frames_wherever_it_ends(planned: int, tmp_path: Path) -> None:
    for end in {1, max(1, planned // 2), max(1, planned - 1), planned}:
        with Timelapse(tmp_path / "film.webp") as timelapse:
            asked = Run(planned, (4, 4)).show(timelapse, range(1, end + 1)).asked
        assert len(asked) <= FRAMES
        assert asked == sorted(set(asked))
        assert asked[0] == 1
        assert asked[-1] == end


def test_numbers_skipped_where_scales_end_early(path: Path) -> None:
    """And a run that was ended: what was painted last is the last frame."""
    iterations = [*range(1, 300), *range(500, 520), *range(900, 951)]
    with Timelapse(path) as timelapse:
        run = Run(1000).show(timelapse, iterations)
    assert set(run.asked) <= set(iterations)
    assert run.asked == sorted(set(run.asked))
    assert {1, 500, 900, 950} <= set(run.asked)
    assert len(run.asked) < FRAMES / 2
    frames, _ = read(path)
    assert top(frames[-1]) == pytest.approx(run.color(950), abs=NEAR)


def test_a_single_picture(path: Path) -> None:
    with Timelapse(path) as timelapse:
        run = Run(1000).show(timelapse, [1])
    assert run.asked == [1]
    frames, _ = read(path)
    assert len(frames) == (1 + FIRST + LAST if path.suffix == ".mp4" else 1)
    assert top(frames[0]) == pytest.approx(run.color(1), abs=NEAR)


def test_pictures_that_are_all_the_same(path: Path) -> None:
    with Timelapse(path) as timelapse:
        for iteration in range(1, 4):
            step = Run(1000).step(7)
            step.iteration = iteration
            timelapse(step)
    assert top(read(path)[0][-1]) == pytest.approx((2, 1, 0), abs=NEAR)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((2000, 1000), {".gif": (480, 240), ".webp": (640, 320), ".mp4": (1280, 640)}),
        ((1001, 3003), {".gif": (160, 480), ".webp": (213, 640), ".mp4": (426, 1280)}),
        ((31, 17), {".gif": (31, 17), ".webp": (31, 17), ".mp4": (30, 16)}),
        ((4000, 2), {".gif": (480, 1), ".webp": (640, 1), ".mp4": (1280, 2)}),
        ((1, 1), {".gif": (1, 1), ".webp": (1, 1), ".mp4": (2, 2)}),
    ],
)
def test_the_size_of_the_film(
    path: Path, size: tuple[int, int], shown: dict[str, tuple[int, int]]
) -> None:
    with Timelapse(path) as timelapse:
        Run(3, size).show(timelapse)
    wanted = shown[".gif" if path.suffix == ".apng" else path.suffix]
    assert {frame.size for frame in read(path)[0]} == {wanted}


@pytest.mark.parametrize(
    ("background", "color"), [("#ffffff", (255, 255, 255)), ("#208040", (32, 128, 64))]
)
def test_a_transparent_picture_shows_the_background(
    path: Path, background: str, color: tuple[int, ...]
) -> None:
    with Timelapse(path, background) as timelapse:
        run = Run(3, alpha=True).show(timelapse)
    last = read(path)[0][-1]
    assert top(last) == pytest.approx(run.color(3), abs=NEAR)
    left = np.asarray(last, float)[:, :8].mean((0, 1))
    assert tuple(left) == pytest.approx(color, abs=NEAR)


def test_same_pictures_same_film(path: Path) -> None:
    """To the byte, but for .mp4: about once in twenty times x264 decides something otherwise."""
    noise = np.random.default_rng(0).random((30, 64, 96, 3), np.float32)
    made = []
    for _ in range(2):
        with Timelapse(path) as timelapse:
            for place, pixels in enumerate(noise, start=1):
                timelapse(
                    SimpleNamespace(
                        inputs=(), iteration=place, iterations=30, picture=lambda p=pixels: p
                    )
                )
        frames = [np.asarray(frame, np.float32) for frame in read(path)[0]]
        made.append(np.stack(frames) if path.suffix == ".mp4" else path.read_bytes())
    if path.suffix == ".mp4":
        assert np.abs(made[0] - made[1]).mean() < 2  # levels; of noise, 60 if it were another one
    else:
        assert made[0] == made[1]


def test_a_gif_has_one_palette(tmp_path: Path, photo: str) -> None:
    """So that it does not flicker; and it is not far from the picture."""
    with Image.open(photo) as image:
        image = image.convert("RGB").resize((240, 160))
    pixels = np.asarray(image, np.float32) / 255
    with Timelapse(tmp_path / "film.gif") as timelapse:
        for place in range(1, 31):
            shown = pixels * (place / 30)
            timelapse(
                SimpleNamespace(
                    inputs=(), iteration=place, iterations=30, picture=lambda p=shown: p
                )
            )
    with Image.open(tmp_path / "film.gif") as image:
        colors = set()
        for place in (0, 15, 29):
            image.seek(place)
            colors |= {color for _, color in image.convert("RGB").getcolors(1 << 16)}
        assert len(colors) <= 256
        last = np.asarray(image.convert("RGB"), float)
    assert np.abs(last - pixels * 255).mean() < 5


def test_a_gif_is_not_dithered(tmp_path: Path) -> None:
    """What is flat stays flat, whatever else is in the picture."""
    noise = np.random.default_rng(0).random((40, 60, 3), np.float32)
    with Timelapse(tmp_path / "film.gif") as timelapse:
        for place in range(1, 11):
            pixels = noise.copy()
            pixels[:20, :30] = place / 37
            timelapse(
                SimpleNamespace(
                    inputs=(), iteration=place, iterations=10, picture=lambda p=pixels: p
                )
            )
    for frame in read(tmp_path / "film.gif")[0]:
        assert len(frame.crop((0, 0, 30, 20)).getcolors()) == 1


def test_an_mp4_for_every_player(tmp_path: Path) -> None:
    """Subsampled as every player can decode, index first, with its colour space."""
    with Timelapse(tmp_path / "film.mp4") as timelapse:
        Run(FRAMES).show(timelapse)
    with av.open(str(tmp_path / "film.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.frames == FRAMES + FIRST + LAST
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (1, 1)  # BT.709, 16 to 235
    data = (tmp_path / "film.mp4").read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")


def test_an_mp4_without_libx264(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    with Timelapse(tmp_path / "film.mp4") as timelapse:
        run = Run(20).show(timelapse)
    frames, _ = read(tmp_path / "film.mp4")
    assert len(frames) == 20 + FIRST + LAST
    assert top(frames[-1]) == pytest.approx(run.color(20), abs=NEAR)
    monkeypatch.setattr(av, "codecs_available", {"vp9"})
    with pytest.raises(
        OutputError, match=r"film\.mp4: this PyAV has no encoder for mp4; use .webp"
    ):
        Timelapse(tmp_path / "film.mp4")


def test_an_mp4_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(OutputError, match=r'film\.mp4: .*pip install "neural-stylize\[video\]"'):
        Timelapse(tmp_path / "film.mp4")
    with Timelapse(tmp_path / "film.gif") as timelapse:
        Run(3).show(timelapse)
    assert os.listdir(tmp_path) == ["film.gif"]


def test_importing_costs_neither_torch_nor_av() -> None:
    code = "import sys, stylize.callbacks.film; sys.exit(bool({'torch', 'av'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_exception_leaves_the_existing_file(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for before in ([], [path.name]):
        with pytest.raises(ZeroDivisionError), Timelapse(path) as timelapse:
            Run(20).show(timelapse, (i if i < 9 else i // 0 for i in range(1, 10)))
        assert os.listdir(path.parent) == before
        path.write_bytes(b"as it was")
    assert path.read_bytes() == b"as it was"
    del timelapse
    assert capfd.readouterr() == ("", "")


def test_a_run_without_a_step_writes_no_file(path: Path) -> None:
    with Timelapse(path):
        pass
    assert os.listdir(path.parent) == []


def test_closing_twice_writes_once_and_a_film_can_be_used_again(path: Path) -> None:
    timelapse = Timelapse(path)
    Run(5).show(timelapse)
    timelapse.close()
    path.unlink()
    timelapse.close()
    assert not path.exists()
    with timelapse:
        assert Run(3, (40, 20)).show(timelapse).asked == [1, 2, 3]
    assert read(path)[0][-1].size == (40, 20)


def test_a_full_disk_leaves_the_existing_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path.write_bytes(b"as it was")
    timelapse = Timelapse(path)
    Run(5).show(timelapse)
    monkeypatch.setattr(encode.os, "fsync", full)
    with pytest.raises(OutputError, match=r"film\.\w+: cannot be written \(No space left"):
        timelapse.close()
    monkeypatch.undo()
    assert path.read_bytes() == b"as it was"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.skipif(os.name == "nt", reason="links and rights as POSIX has them")
def test_a_film_goes_through_a_link_and_keeps_the_rights(path: Path) -> None:
    path.write_bytes(b"old")
    path.chmod(0o600)
    link = path.with_name(f"link{path.suffix}")
    link.symlink_to(path.name)
    with Timelapse(link) as timelapse:
        Run(3).show(timelapse)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(read(path)[0]) >= 3


def test_a_path_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.gif").mkdir()
    (tmp_path / "locked.gif").write_bytes(b"")
    for name, match in (
        ("a.png", r"a\.png: unknown suffix '.png'; use one of .gif .webp .apng .mp4"),
        ("a", "a: no suffix; use one of .gif"),
        ("none/a.gif", "no folder .*none; make it first"),
        ("folder.gif", "is a folder; give a file name"),
        ("a" * 300 + ".gif", "cannot be written"),
        ("a\0.gif", "cannot be written"),
    ):
        with pytest.raises(OutputError, match=match):
            Timelapse(tmp_path / name)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo.gif")
        with pytest.raises(OutputError, match="is not a regular file"):
            Timelapse(tmp_path / "fifo.gif")
        (tmp_path / "fifo.gif").unlink()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="exists already and is write-protected"):
        Timelapse(tmp_path / "locked.gif")
    monkeypatch.setattr(os, "open", _denied)
    with pytest.raises(OutputError, match=r"a\.gif: cannot be written \(Permission denied\)"):
        Timelapse(tmp_path / "a.gif")
    monkeypatch.setattr(film.features, "check", lambda _: False)
    with pytest.raises(OutputError, match="built without webp; use"):
        Timelapse(tmp_path / "a.webp")
    assert sorted(os.listdir(tmp_path)) == ["folder.gif", "locked.gif"]


def test_an_unknown_colour_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'nocolour' is not a colour"):
        Timelapse(tmp_path / "a.gif", background="nocolour")


def _denied(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def _save(pixels: NDArray[Any], path: Path) -> None:
    encode.to_image(pixels).save(path)


def test_snapshots(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "shots"
    snapshots = Snapshots(folder, 10, _save)
    assert os.listdir(tmp_path) == []
    run = Run(35).show(snapshots, range(1, 10))
    assert os.listdir(tmp_path) == []
    run.show(snapshots, range(10, 36))
    assert run.asked == [10, 20, 30]
    assert sorted(os.listdir(folder)) == ["000010.png", "000020.png", "000030.png"]
    for iteration in run.asked:
        with Image.open(folder / f"{iteration:06}.png") as image:
            assert image.size == (24, 16)
            assert top(image) == pytest.approx(run.color(iteration), abs=1)


def test_snapshots_where_numbers_are_skipped(tmp_path: Path) -> None:
    seen: list[tuple[int, Path]] = []
    snapshots = Snapshots(tmp_path, 10, lambda p, path: seen.append((p.shape[2], path)), ".tif")
    iterations = [*range(1, 8), 13, 14, 19, 41, 49, 50, 1_000_000]
    run = Run(1_000_000, alpha=True).show(snapshots, iterations)
    assert run.asked == [13, 41, 50, 1_000_000]
    names = ["000013.tif", "000041.tif", "000050.tif", "1000000.tif"]
    assert seen == [(4, tmp_path / name) for name in names]
    assert Run(5).show(Snapshots(tmp_path, 1, lambda *_: None)).asked == [1, 2, 3, 4, 5]


def test_snapshots_of_one_run_after_another(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, 2, lambda *_: None)
    assert Run(5).show(snapshots).asked == [2, 4]
    assert Run(5).show(snapshots).asked == [2, 4]


def test_a_snapshot_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in ("file", "file/in/it"):
        with pytest.raises(OutputError, match=r"file.*: .*file is not a folder; give another name"):
            Snapshots(tmp_path / folder, 10, _save)
    for folder in ("a" * 300, "a\0"):
        with pytest.raises(OutputError, match="cannot be written"):
            Snapshots(tmp_path / folder, 10, _save)
    with pytest.raises(OptionError, match="every 0 iterations: give a number of 1 or more"):
        Snapshots(tmp_path, 0, _save)
    late = Snapshots(tmp_path / "late", 1, _save)
    (tmp_path / "late").write_bytes(b"")
    with pytest.raises(OutputError, match=r"late.*: cannot be written \(File exists\)"):
        late(Run(1).step(1))
    monkeypatch.setattr(os, "open", _denied)
    with pytest.raises(OutputError, match=r"none: cannot be written \(Permission denied\)"):
        Snapshots(tmp_path / "none", 10, _save)
    assert sorted(os.listdir(tmp_path)) == ["file", "late"]
