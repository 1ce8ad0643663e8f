"""Bad input, with its exit code and message; and unusual input that is painted all the same."""

import io
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from stylize import Stylizer
from stylize.cli.main import command
from stylize.cli.resources import Resources
from stylize.images.picture import load_picture


@pytest.fixture(scope="module")
def picture_files(photo: str, painting: str) -> dict[str, bytes]:
    """Good and bad picture files by name, which are encoded once for all tests."""
    good = load_picture(photo).image.resize((60, 40))
    images = {
        "photo.jpg": good,
        "painting.png": load_picture(painting).image.resize((50, 40)),
        "dot.png": good.resize((1, 1)),
        "thin.png": good.resize((400, 17)),
        "bomb.png": Image.new("1", (14000, 14000)),
    }
    data = {}
    for name, image in images.items():
        file = io.BytesIO()
        image.save(file, "JPEG" if name.endswith("jpg") else "PNG")
        data[name] = file.getvalue()
    return {**data, "cut.jpg": data["photo.jpg"][: len(data["photo.jpg"]) // 2], "empty.png": b""}


@pytest.fixture
def folder(
    tmp_path: Path, picture_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The working directory, with good, bad and unusual pictures."""
    monkeypatch.chdir(tmp_path)
    for name, data in picture_files.items():
        Path(name).write_bytes(data)
    Path("text.jpg").write_text("Dear diary")
    Path("weights.pth").write_text("not weights")
    Path("a photo.jpg").write_bytes(picture_files["photo.jpg"])
    Path("-c.jpg").write_bytes(picture_files["photo.jpg"])
    Path("film.gif").write_bytes(b"GIF89a")
    Path("page.html").write_text("<!DOCTYPE html><title>My page</title>")
    Path("folder").mkdir()
    Path("folder.png").mkdir()
    if sys.platform != "win32":
        Path("link.png").symlink_to("photo.jpg")
        Path("dangling.png").symlink_to("nowhere.png")
        os.mkfifo("fifo.png")
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket.png")
    return tmp_path


#: Arguments, exit code, part of the message. {p} is "photo.jpg painting.png -o out.png".
BAD: list[tuple[str, int, str]] = [
    ("", 2, "give a photo, a painting and a name"),
    ("photo.jpg", 2, "give a painting and a name"),
    ("photo.jpg painting.png", 2, "give a name for the result (-o)"),
    ("photo.jpg painting.png dot.png", 2, "give a name for the result (-o)"),
    (
        "photo.jpg painting.png new.jpg",
        2,
        "put -o before the name of the result, as in stylize photo.jpg painting.png -o new.jpg",
    ),
    ("photo.jpg -s painting.png -o out.png", 2, "-s is the size; a painting needs no option"),
    ("{p} -s", 2, "'-s' requires an argument"),
    ("photo.jpg painting.png -o -s 300", 2, "-o needs a value before -s"),
    ("{p} --timelapse --size=300", 2, "--timelapse needs a value before --size=300"),
    ("-c.jpg painting.png -o out.png", 2, "-c.jpg: a name that begins with a dash is written ./-c"),
    ("photo.jpg painting.png -o=out.png", 2, "-o=out.png: write -o out.png"),
    ("{p} --size 20 cm", 3, "cm: no such file; write the size without a space, as in -s 20cm"),
    ("a photo.jpg painting.png -o out.png", 3, "a: no such file; a name with spaces needs quotes"),
    ("a b photo.jpg painting.png -o out.png", 3, "a: no such file"),
    ("{p} --try strength=0,1 seed=0,1", 3, "seed=0,1: no such file; put --try before it, as in"),
    ("{p} --sise 3", 2, "no option --sise; did you mean --size?"),
    ("{p} --size 8", 2, "--size must be 16 to 65536 pixels, original, fit"),
    ("{p} --size huge", 2, "8x10in or A4 (got 'huge')"),
    ("{p} --pooling min", 2, "'min' is not one of"),
    ("{p} --preset papper", 2, "'papper' is not"),
    ("{p} -n 0", 2, "--iterations must be 1 to 1000000000 or auto (got '0')"),
    ("{p} --content-weight nan", 2, "--content-weight must be 0 to 1e+30 (got nan)"),
    ("{p} --style-weight inf", 2, "--style-weight must be 0 to 1e+30 (got inf)"),
    ("{p} --style-weight -1", 2, "--style-weight must be 0 to 1e+30 (got -1)"),
    ("{p} --content-weight 0 --style-weight 0", 2, "both 0"),
    ("{p} --style-layers relu7_1", 2, "--style-layers: no layer 'relu7_1' in VGG-19"),
    ("{p} --content-layers relu4_2:0", 2, "needs a number from 1e-9"),
    ("{p} --device gpu", 2, "--device: 'gpu' is not valid"),
    ("{p} --blend 1,2,3", 2, "--blend: 3 shares for 1"),
    ("photo.jpg painting.png painting.png -o out.png", 2, "--blend equal"),
    ("photo.jpg painting.png -o photo.jpg", 2, "is an input too"),
    ("photo.jpg painting.png -o painting.png", 2, "is an input too"),
    ("- - -o out.png", 2, "only one picture can come from standard input"),
    ("none.jpg painting.png -o out.png", 3, "none.jpg: no such file"),
    ("photo.jpg none.png -o out.png", 3, "none.png: no such file"),
    ("https://a.org/b.jpg painting.png -o out.png", 3, "b.jpg: is a web address; download"),
    ("photo.jpg https://a.org/b.jpg -o out/", 3, "b.jpg: is a web address; download"),
    ("cut.jpg painting.png -o out.png", 3, "cut.jpg: damaged or cut short"),
    ("text.jpg painting.png -o out.png", 3, "text.jpg: not a picture"),
    ("photo.jpg empty.png -o out.png", 3, "empty.png: not a picture"),
    ("folder painting.png -o out/", 3, "folder: no pictures in this folder"),
    ("photo.jpg painting.png -o out.png --init folder", 3, "folder: is a folder"),
    ("bomb.png painting.png -o out.png", 3, "bomb.png: larger than 89 megapixels"),
    ("- painting.png -o out.png", 3, "standard input: not a picture"),
    ("dot.png painting.png -o out.png", 3, "dot.png: has only 1 x 1 pixels, but"),
    ("photo.jpg dot.png -o out.png", 3, "dot.png: has only 1 x 1 pixels, but"),
    (
        "thin.png painting.png -o out.png -s 100",
        3,
        "thin.png: the result would have 100 x 4 pixels",
    ),
    ("{p} -s 16", 3, "photo.jpg: the result would have 16 x 11 pixels"),
    ("{p} --init -", 2, "--init: cannot come from standard input"),
    ("{p} --init none.png", 3, "none.png: no such file"),
    ("{p} --init photo", 3, "--init photo: no such file, and none of faint, noise, content, style"),
    ("{p} --trace run.csv", 2, "--trace run.csv: its lines are JSON; give a name as in run.jsonl"),
    ("{p} --trace text.jpg", 4, "--trace text.jpg: was not written by stylize; choose another"),
    ("{p} --trace text.jpg --dry-run", 4, "--trace text.jpg: was not written by stylize"),
    ("{p} --timelapse film.gif", 4, "--timelapse film.gif: was not written by stylize; choose"),
    ("{p} --report page.html", 4, "--report page.html: was not written by stylize; choose"),
    ("{p} --report page.html --dry-run", 4, "--report page.html: was not written by stylize"),
    ("photo.jpg painting.png -o text.jpg/out.png", 4, "text.jpg is not a folder"),
    ("photo.jpg painting.png -o out.gif", 4, "out.gif: unknown suffix '.gif'"),
    ("photo.jpg painting.png -o out.gif", 4, "; a film is made by --timelapse"),
    ("photo.jpg painting.png -o film.gif", 4, "film.gif: unknown suffix '.gif'"),
    ("photo.jpg painting.png -o film.gif --try style-scale=1,2", 4, "unknown suffix '.gif'"),
    ("photo.jpg painting.png -o out", 4, "out: no suffix; use one of .png"),
    ("photo.jpg painting.png -o none/out.png", 4, "none; make it first"),
    ("photo.jpg painting.png -o out.png --timelapse folder.png", 4, "unknown suffix"),
    ("photo.jpg painting.png -o out.webp -s 17000", 4, "webp holds 16383 pixels a side"),
    ("dangling.png painting.png -o out.png", 3, "dangling.png: is a link to no file"),
    ("link.png painting.png -o link.png", 2, "is an input too"),
    (
        "photo.jpg painting.png -o fifo.png",
        4,
        "fifo.png: exists already, and does not seem to be made by stylize",
    ),
    ("fifo.png painting.png -o out.png", 3, "fifo.png: is a pipe or device; save it to a file"),
    ("fifo.png painting.png -o out.png --dry-run", 3, "fifo.png: is a pipe or device"),
    ("photo.jpg fifo.png -o out.png", 3, "fifo.png: is a pipe or device"),
    ("photo.jpg fifo.png -o out.png --dry-run", 3, "fifo.png: is a pipe or device"),
    ("{p} --mask fifo.png", 3, "fifo.png: is a pipe or device"),
    ("{p} --init fifo.png", 3, "fifo.png: is a pipe or device"),
    ("{p} --enlarge fifo.png", 3, "fifo.png: cannot be read (is not a regular file)"),
    ("{p} --recipe fifo.png", 3, "fifo.png: cannot be read (is not a regular file)"),
    ("{p} --weights fifo.png", 5, "fifo.png: no such weights file"),
    ("{p} --checkpoint fifo.png", 4, "--checkpoint fifo.png: is not a regular file"),
    ("photo.jpg painting.png -o fifo.png --existing update", 4, "is not a regular file"),
    ("photo.jpg painting.png -o fifo.png --dry-run", 4, "is not a regular file"),
    ("/dev/zero painting.png -o out.png", 3, "/dev/zero: is a pipe or device"),
    ("socket.png painting.png -o out.png", 3, "socket.png: is a pipe or device"),
    ("{p} --config /dev/zero", 2, "/dev/zero: is larger than 1 MB"),
    ("{long}.jpg painting.png -o out.png", 3, ".jpg: cannot be read (File name too long)"),
    ("photo.jpg painting.png -o {long}.png", 4, ".png: cannot be written (File name too long)"),
    ("{p} --init {long}", 3, "cannot be read (File name too long)"),
    ("{p} --weights {long}", 5, "no such weights file"),
    ("{p} --device cuda:00", 2, "--device: 'cuda:00' is not valid"),
    ("{p} --weights none.pth", 5, "none.pth: no such weights file"),
    ("{p} --weights weights.pth", 5, "weights.pth: not a readable state dict"),
    ("{p} --device cuda:7", 6, "--device cuda:7: torch sees"),
]


#: Words in arguments that need what Windows has not.
_NOT_ON_WINDOWS = ("link.png", "fifo", "long", "socket", "/dev")


@pytest.mark.parametrize(("args", "code", "message"), BAD, ids=[row[0] for row in BAD])
@pytest.mark.usefixtures("_never_waits")
def test_bad_input_is_reported_before_anything_is_written(
    args: str, code: int, message: str, folder: Path
) -> None:
    if sys.platform == "win32" and any(word in args for word in _NOT_ON_WINDOWS):
        pytest.skip(
            "Windows has no pipes, sockets and devices with names, other limits of names, and needs"
            " a privilege for links"
        )
    before = sorted(os.listdir(folder))
    typed = args.format(p="photo.jpg painting.png -o out.png", long="a" * 300).split()
    result = CliRunner().invoke(command, typed, input=b"nothing")
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert result.stderr.startswith("stylize: ")
    assert result.stderr.count("\n") == 1, "one line"
    assert sorted(os.listdir(folder)) == before, "nothing is written"


def _oriented(image: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save("odd.jpg", exif=exif)


#: How an unusual picture is made, and the size of the result at --size 48.
ODD: dict[str, tuple[Callable[[Image.Image], Any], tuple[int, int]]] = {
    "rotated by EXIF": (_oriented, (32, 48)),
    "grey": (lambda i: i.convert("L").save("odd.png"), (48, 32)),
    "black and white": (lambda i: i.convert("1").save("odd.png"), (48, 32)),
    "palette": (lambda i: i.convert("P").save("odd.gif"), (48, 32)),
    "grey with alpha": (lambda i: i.convert("LA").save("odd.png"), (48, 32)),
    "alpha": (lambda i: i.convert("RGBA").save("odd.webp"), (48, 32)),
    "CMYK": (lambda i: i.convert("CMYK").save("odd.jpg"), (48, 32)),
    "LAB": (lambda i: i.convert("LAB").save("odd.tif"), (48, 32)),
    "16 bits": (lambda i: i.convert("L").convert("I;16").save("odd.png"), (48, 32)),
    "floats": (lambda i: i.convert("F").save("odd.tif"), (48, 32)),
    "all white": (lambda i: Image.new("RGB", i.size, "white").save("odd.png"), (48, 32)),
    "all black": (lambda i: Image.new("RGB", i.size).save("odd.png"), (48, 32)),
    "just large enough": (lambda i: i.resize((48, 16)).save("odd.png"), (48, 16)),
    "tall": (lambda i: i.resize((17, 50)).save("odd.png"), (16, 48)),
    "a name with spaces, quotes and more": (lambda i: i.save('ö d\'d\n"x".jpg'), (48, 32)),
    "a wrong suffix": (lambda i: i.save("odd.jpg", "PNG"), (48, 32)),
    "a name like an option": (lambda i: i.save("-odd.jpg"), (48, 32)),
}


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    """One network for all tests, with the options of the command."""
    return Stylizer()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not allow such names")
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("role", ["content", "style"])
def test_an_unusual_picture_is_painted(
    kind: str, role: str, folder: Path, stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Resources, "stylizer", lambda *_: stylizer)
    make, size = ODD[kind]
    before = set(os.listdir(folder))
    with Image.open("photo.jpg") as good:
        make(good.copy())
    (odd,) = set(os.listdir(folder)) - before
    pair = [odd, "painting.png"] if role == "content" else ["photo.jpg", odd]
    result = CliRunner().invoke(command, ["-s", "48", "-n", "2", "-o", "out.png", "--", *pair])
    assert result.exit_code == 0
    assert result.output.startswith("stylize: wrote out.png (")
    assert result.output.count("\n") == 1
    with Image.open("out.png") as image:
        assert image.size == (size if role == "content" else (48, 32))
        assert image.mode == "RGB"
        # Not one colour: also the result for a white photo starts from noise.
        assert max(high - low for low, high in image.getextrema()) > 20  # type: ignore[misc,operator]
