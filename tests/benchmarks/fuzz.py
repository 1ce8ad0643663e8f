"""Damage files of every kind that stylize reads, and look for what is not a clean refusal.

Each damaged file is read in a child process with limited memory and time. A fault is an exception
that is not a `StylizeError`, memory that runs out, too long a time, or a child that dies. The file
of a fault is kept. Pictures may have a megapixel here instead of 89, so that each takes little.

    python tests/benchmarks/fuzz.py --seconds 300
"""

import hashlib
import io
import itertools
import mmap
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import safetensors.torch
import tifffile
import torch
from PIL import Image

from stylize import DeviceError, Options, StylizeError
from stylize.images.picture import load_picture
from stylize.images.probe import is_complete, picture_size
from stylize.network import weights
from stylize.settings import config, recipe
from stylize.transfer.checkpoint import Checkpoint
from stylize.transfer.job import Job
from stylize.transfer.optimize import State
from stylize.transfer.step import Losses

PIXELS = 1_000_000
#: What one file may cost, in bytes beside what the process has, and in seconds.
MEMORY, SECONDS = 10**9, 20
#: Files between two looks at the clock.
BATCH = 200
_MARKS = struct.Struct("qqqq")  # number in progress, read, refused, and whether all are done


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: of the file, whose suffix may count.
        seed: a good file.
        read: reads a file by its path.
        repair: makes checksums right again, so that damage gets past them.
    """

    name: str
    seed: bytes
    read: Callable[[str], Any]
    repair: Callable[[bytes], bytes] = bytes


def picture(format: str, mode: str = "RGB", **settings: Any) -> bytes:
    """A small picture as Pillow writes it, with metadata of every kind that it takes."""
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8))
    image.convert(mode).save(file, format, exif=exif, **settings)
    return file.getvalue()


def tiff(type: str, photometric: str = "rgb", channels: int = 3, **settings: Any) -> bytes:
    """A small TIFF as tifffile writes it."""
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 200, (40, 50, channels)).astype(type)
    tifffile.imwrite(file, pixels, photometric=photometric, metadata=None, **settings)
    return file.getvalue()


def saved(**settings: Any) -> bytes:
    """A small state dict as torch writes it."""
    file = io.BytesIO()
    state = {"features.0.weight": torch.ones(4, 3), "features.0.bias": torch.ones(4).half()}
    torch.save(state, file, **settings)
    return file.getvalue()


def read_picture(path: str) -> None:
    """Read a file in all the ways in which a picture is read."""
    for read in (picture_size, is_complete, recipe.read_recipe):
        try:
            read(path)
        except DeviceError:
            raise
        except StylizeError:
            pass
    load_picture(path)


def repair_png(data: bytes) -> bytes:
    """Compute the checksum of each chunk anew."""
    out, place = data[:8], 8
    while place + 12 <= len(data):
        (size,) = struct.unpack(">I", data[place : place + 4])
        body = data[place + 4 : place + 8 + size]
        out += data[place : place + 4] + body + struct.pack(">I", zlib.crc32(body))
        place += 12 + size
    return out


def repair_checkpoint(data: bytes) -> bytes:
    """Compute the digest anew, and put the recipe back."""
    lines = data.split(b"\n", 3)
    rest = b"\n".join([RECIPE.text().encode(), *lines[3:]])
    return HEAD + hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest


def small_job() -> Job:
    """Something to paint, for which a checkpoint can be."""
    image = Image.linear_gradient("L").resize((48, 40)).convert("RGB")
    options = Options(size=40, scales=2, iterations=30, style_layers="relu1_1")
    return Job.prepare(options.replace(content_layers="relu1_1"), image, [image])


JOB = small_job()
RECIPE = recipe.Recipe.of(
    JOB.options, torch="2", device="cpu", precision="float32", complete=True, digests=JOB.digests
)
HEAD = b"stylize checkpoint 4\n"


def checkpoint() -> bytes:
    """A good checkpoint."""

    def image(number: int) -> torch.Tensor:
        width, height = JOB.scales[number].size
        return torch.rand(1, 3, height, width)

    losses = Losses(dict.fromkeys(("content", "style", "tv", "gamut"), 1.0), 4.0)
    pictures = tuple(image(1) for _ in range(4))
    state = State(3, image(1), losses, 4.0, (4.0, 5.0), (4.0, 0.5), pictures)
    made = Checkpoint(RECIPE, 1, image(0), state, (losses,) * 8, 1.5)
    with tempfile.TemporaryDirectory() as folder:
        made.save(f"{folder}/a")
        return Path(folder, "a").read_bytes()


def kinds() -> dict[str, Kind]:
    """Every kind of file that stylize reads."""
    text = Options()
    facts = {"torch": "2", "device": "cpu", "precision": "float32", "complete": True}
    xmp = recipe.Recipe.of(text, **facts, digests=JOB.digests).xmp()
    pictures = {
        "a.jpg": picture("JPEG", xmp=xmp),
        "progressive.jpg": picture("JPEG", progressive=True),
        "cmyk.jpg": picture("JPEG", "CMYK"),
        "a.webp": picture("WEBP", xmp=xmp),
        "a.avif": picture("AVIF"),
        "a.gif": picture("GIF"),
        "a.bmp": picture("BMP"),
        "a.jp2": picture("JPEG2000"),
        "a.ppm": picture("PPM"),
        "a.tga": picture("TGA", compression="tga_rle"),
        "a.tif": picture("TIFF", compression="tiff_lzw"),
        "jpeg.tif": picture("TIFF", compression="jpeg"),
        "deep.tif": tiff("u2", compression="zlib", predictor=True),
        "float.tif": tiff("f4", tile=(16, 16), compression="zlib"),
        "planes.tif": tiff("u2", extrasamples=["assocalpha"], channels=4, bigtiff=True),
        "ink.tif": tiff("u2", "separated", 4, compression="lzw"),
    }
    pngs = {"a.png": picture("PNG"), "palette.png": picture("PNG", "P"), "deep.png": deep_png()}
    found = {name: Kind(name, data, read_picture) for name, data in pictures.items()}
    found |= {name: Kind(name, data, read_picture, repair_png) for name, data in pngs.items()}

    def read_weights(path: str) -> None:
        weights._read_state(Path(path))

    def read_checkpoint(path: str) -> None:
        Checkpoint.load(path, RECIPE, JOB, torch.device("cpu"))

    def read_config(path: str) -> None:
        config.read_file(path, {"size", "seed", "mask", "style_layers", "output"})

    toml = b'size = 300\nseed = 9\nmask = ["a", "b"]\nstyle-layers = "relu1_1:0.5"\noutput = "o"\n'
    state = {"a": torch.ones(4, 3)}
    for name, data in (
        ("new.pth", saved()),
        ("old.pth", saved(_use_new_zipfile_serialization=False)),
        ("a.safetensors", safetensors.torch.save(state)),
    ):
        found[name] = Kind(name, data, read_weights)
    found["a.checkpoint"] = Kind("a.checkpoint", checkpoint(), read_checkpoint, repair_checkpoint)
    found["a.toml"] = Kind("a.toml", toml, read_config)
    return found


def deep_png() -> bytes:
    """A PNG of 16 bits."""
    image = Image.linear_gradient("L").resize((50, 40)).convert("I;16")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def damaged(kind: Kind, number: int) -> bytes:
    """The file with a number, always the same one."""
    chance = random.Random(f"{kind.name} {number}")
    data = bytearray(kind.seed)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        # Most damage goes to the start, where headers are.
        place = int(chance.random() ** chance.choice((1, 3)) * len(data))
        length = chance.choice((1, 2, 4, 16, 200))
        action = chance.randrange(7)
        if action == 0:
            data[place : place + 1] = bytes([chance.randrange(256)])
        elif action == 1:
            size = chance.choice((1, 2, 4, 8))
            value = chance.choice((0, 1, 2**7, 2**8 - 1, 2**15, 2**31, 2**32 - 1, 2**63, 1000))
            value %= 2 ** (8 * size)
            data[place : place + size] = value.to_bytes(size, chance.choice(("big", "little")))
        elif action == 2:
            data[place:place] = chance.randbytes(length)
        elif action == 3:
            del data[place : place + length]
        elif action == 4:
            data[place:place] = data[place : place + length] * chance.choice((1, 10, 300))
        elif action == 5:
            del data[place:]
        else:
            other = chance.randrange(len(data) + 1)
            data[place : place + length] = data[other : other + length]
    changed = bytes(data)
    return kind.repair(changed) if chance.random() < 0.8 else changed


def run_child(kind: Kind, first: int, folder: str, marks: mmap.mmap) -> None:
    """Read files from a number on, and note how far it came; exit with 1 at a fault."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    good = refused = 0
    path = os.path.join(folder, kind.name)
    for number in range(first, (first // BATCH + 1) * BATCH):
        Path(path).write_bytes(damaged(kind, number))
        marks[: _MARKS.size] = _MARKS.pack(number, good, refused, 0)
        signal.alarm(SECONDS)
        try:
            kind.read(path)
            good += 1
        except DeviceError:
            os._exit(1)
        except StylizeError as error:
            refused += 1
            if "\n" in str(error) or len(str(error)) > 500:
                os._exit(1)
        except BaseException as error:
            print(f"{kind.name} {number}: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)
        signal.alarm(0)
    marks[: _MARKS.size] = _MARKS.pack(number + 1, good, refused, 1)
    os._exit(0)


def fuzz(kind: Kind, first: int, folder: str, counts: Counter[str]) -> list[int]:
    """Read a batch of damaged files; gives the numbers of those with a fault."""
    faults: list[int] = []
    marks = mmap.mmap(-1, _MARKS.size)
    while True:
        marks[: _MARKS.size] = _MARKS.pack(first, 0, 0, 0)
        child = os.fork()
        if child == 0:
            run_child(kind, first, folder, marks)
        _, status = os.waitpid(child, 0)
        number, good, refused, done = _MARKS.unpack(marks[: _MARKS.size])
        counts["read"] += good
        counts["refused"] += refused
        if done:
            return faults
        how = os.waitstatus_to_exitcode(status)
        print(f"{kind.name}: fault at number {number} (exit status {how})", flush=True)
        faults.append(number)
        first = number + 1
        if first % BATCH == 0:
            return faults


@click.command()
@click.option("--seconds", default=300, show_default=True, help="In all.")
@click.option("--only", help="The name of one kind of file.")
@click.option("--start", default=0, show_default=True, help="Number of the first file.")
@click.option(
    "--keep", default="fuzz-faults", show_default=True, help="Folder for files of faults."
)
def main(seconds: int, only: str | None, start: int, keep: str) -> None:
    """Read damaged files until the time is over, and exit with 1 if there was a fault."""
    torch.set_num_threads(1)  # threads would not survive a fork
    Image.MAX_IMAGE_PIXELS = PIXELS
    chosen = {name: kind for name, kind in kinds().items() if only in (None, name)}
    counts: dict[str, Counter[str]] = {name: Counter() for name in chosen}
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        for kind in chosen.values():  # the seeds are good; and all that is imported later is
            path = Path(folder, kind.name)
            path.write_bytes(kind.seed)
            kind.read(str(path))
        for first in itertools.count(start // BATCH * BATCH, BATCH):
            for name, kind in chosen.items():
                if time.monotonic() > end:
                    break
                for number in fuzz(kind, first, folder, counts[name]):
                    counts[name]["faults"] += 1
                    Path(keep).mkdir(exist_ok=True)
                    Path(keep, f"{number}-{name}").write_bytes(damaged(kind, number))
            else:
                continue
            break
    for name, count in counts.items():
        print(
            f"{name:16} read {count['read']:7} refused {count['refused']:7}"
            f" faults {count['faults']}"
        )
    total = sum(counts.values(), Counter[str]())
    print(
        f"{'all':16} read {total['read']:7} refused {total['refused']:7} faults {total['faults']}"
    )
    sys.exit(1 if total["faults"] else 0)


if __name__ == "__main__":
    main()
