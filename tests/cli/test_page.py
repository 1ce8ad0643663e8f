"""The page of `--report`: what it says, what it embeds, what it does not let through."""

import html
import json
import math
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stylize import Options, files
from stylize.cli import page
from stylize.cli.arguments import Arguments
from stylize.cli.page import Page, curves
from stylize.cli.task import Outcome, Status, Task
from stylize.errors import ExitCode, OutputError
from stylize.images.picture import load_picture
from stylize.transfer.scales import Scale
from stylize.transfer.step import Losses, Step

Run = Callable[..., Any]

HOSTILE = '"><img src=x onerror=alert(1)>'
SCALES = (Scale(20, 15, 2), Scale(40, 30, 2))


def arguments(**given: Any) -> Arguments:
    return Arguments("photos", ("styles",), "out", Options(), report="page.html", **given)


def step(iteration: int, total: float, scale: int = 1) -> Step:
    losses = Losses({"content": total / 3, "style": total / 2}, total)
    none: Any = None
    return Step(iteration, 4, SCALES[scale], SCALES, losses, losses, 1.0, none, none, none)


def opened_page(tasks: Sequence[Task]) -> Page:
    page = Page(arguments(), tasks)
    page.open()
    return page


def text_of(path: str = "page.html") -> str:
    """What is read on a page: without style, script and tags."""
    text = re.sub(r"(?s)<(style|script)>.*?</\1>", "", Path(path).read_text("utf-8"))
    return html.unescape(re.sub(r"<[^>]*>", " ", text))


def attributes(text: str) -> set[str]:
    """The names of all attributes of all tags."""
    found: set[str] = set()

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.update(name for name, _ in attrs)

    Parser().feed(text)
    return found


# What is on it


@pytest.mark.usefixtures("painter")
def test_a_folder_gives_a_grid_of_photos_and_paintings(run_on_folders: Run) -> None:
    Path("photos/c.png").write_text("no picture")
    result = run_on_folders("photos", "styles", "-o", "out", "--report", "out/index.html")
    assert result.exit_code == 123
    written = Path("out/index.html").read_text()
    assert re.findall(r'<th scope="col">(?:<img[^>]*>)?<bdi>([^<]*)', written) == [
        "styles/x.png",
        "styles/y.png",
    ]
    assert re.findall(r'<th scope="row">(?:<img[^>]*>)?<bdi>([^<]*)', written) == [
        "photos/a.png",
        "photos/b.png",
        "photos/c.png",
    ]
    links = re.findall(r'class="open" href="([^"]*)"', written)
    assert links == ["./a-x.png", "./a-y.png", "./b-x.png", "./b-y.png"]
    assert written.count("data:image/webp;base64,") == 4 + 2 + 2, "a photo is embedded once"
    assert "6 pictures: 4 done, 2 failed" in text_of("out/index.html")
    assert "photos/c.png: not a picture" in text_of("out/index.html")
    assert "data-refresh" not in written, "the run is over"


@pytest.mark.usefixtures("painter")
def test_one_picture_has_its_recipe_and_its_options(run: Run) -> None:
    args = ["PHOTO", "PAINTING", "-o", "out.png", "--style-weight", "3", "--report", "page.html"]
    assert run(*args).exit_code == 0
    text = text_of()
    assert "1 picture: 1 done" in text
    assert re.search(r"--style-weight\s+3\.0 \(not the default\)", text)
    assert '"style_weight": 3.0' in text
    written = Path("page.html").read_text()
    assert written.count("data:image/webp;base64,") == 4, "photo twice, painting, result"
    assert 'href="./out.png"' in written


@pytest.mark.usefixtures("painter")
def test_a_failure_of_one_picture_is_on_its_page(run: Run) -> None:
    result = run("missing.jpg", "PAINTING", "-o", "out.png", "--report", "page.html")
    assert result.exit_code == 3
    assert "missing.jpg: no such file" in text_of()


def test_paired_pictures_are_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid would be nearly empty."""
    monkeypatch.chdir(tmp_path)
    tasks = [Task(f"{n}.png", (f"s{n}.png",), f"o{n}.png", arguments()) for n in range(5)]
    opened_page(tasks).close()
    written = Path("page.html").read_text()
    assert re.findall(r'<th scope="col"><bdi>([^<]*)', written) == ["results"]
    assert len(re.findall(r'<th scope="row"><bdi>\d.png', written)) == 5


# While the run goes on


def test_the_page_follows_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(page, "REFRESH", 0)
    tasks = [Task(f"{name}.png", ("s.png",), f"o-{name}.png", arguments()) for name in "ab"]
    live = Page(arguments(), tasks)
    assert not Path("page.html").exists(), "the run may still be refused"
    live.open()
    live.due = 0.0
    live.step(0, step(2, 5.0))
    text = text_of()
    assert "2 to do" in text
    assert "painting" in text
    assert "40 x 30 pixels, content 1.67, style 2.5" in text
    assert "waiting" in text
    assert 'data-refresh="0"' not in Path("page.html").read_text(), "no time to look at it"
    live.due = 0.0
    live.finish(0, Outcome(Status.DONE, size=(40, 30), seconds=2.0))
    assert "1 picture: 1 done; 1 to do" in text_of()


def test_writing_the_page_takes_a_small_part_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    written: list[float] = []

    def write(path: str, data: bytes) -> None:
        written.append(clock.now)
        clock.now += 3.0

    monkeypatch.setattr(files, "write", write)
    live = Page(arguments(), [Task("a.png", ("s.png",), "o.png", arguments())])
    live.open()
    while clock.now < 400:
        clock.now += 1
        live.step(0, step(1, 1.0))
    assert len(written) * 3.0 == pytest.approx(400 / page.PARTS, rel=0.5)


def test_a_page_that_cannot_be_written_costs_no_picture(
    run_on_folders: Run, painter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = files.write

    def refuse_pages(path: Any, data: bytes, untyped: int = 0) -> None:
        if str(path).endswith(".html"):
            raise OutputError(f"{path}: No space left on device")
        write(path, data, untyped)

    monkeypatch.setattr(files, "write", refuse_pages)
    result = run_on_folders("photos", "styles", "-o", "out", "--report", "page.html")
    assert result.exit_code == 4
    assert len(list(Path("out").glob("*.png"))) == 4
    assert result.stderr.count("No space left on device") == 2, "when it fails, and at the end"


@pytest.mark.usefixtures("painter")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("page.txt", "ends in .html"),
        ("-", "ends in .html"),
        ("missing/file.txt/page.html", "there is no folder"),
        ("photo.html", "is an input too"),
    ],
)
def test_a_page_that_cannot_be_is_refused_before_the_work(
    run: Run, name: str, message: str, photo: str
) -> None:
    shutil.copy(photo, "photo.html")
    Path("missing").write_text("")
    result = run("photo.html", "PAINTING", "-o", "out.png", "--report", name)
    assert result.exit_code in (2, 4)
    assert message in result.stderr or "is not a folder" in result.stderr
    assert not Path("out.png").exists()
    assert Path("photo.html").read_bytes() == Path(photo).read_bytes()
    assert not Path("page.txt").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.usefixtures("painter", "_never_waits")
def test_a_pipe_is_not_read_for_the_page(run: Run) -> None:
    os.mkfifo("pipe.jpg")
    result = run("pipe.jpg", "PAINTING", "-o", "out.png", "--report", "page.html")
    assert result.exit_code == 3
    assert "pipe.jpg: is a pipe or device" in result.stderr


@pytest.mark.usefixtures("painter")
def test_after_an_end_without_a_result_no_older_file_is_shown(run: Run) -> None:
    assert run("PHOTO", "PAINTING", "-o", "out.png").exit_code == 0
    run("missing.jpg", "PAINTING", "-o", "out.png", "--report", "page.html")
    written = Path("page.html").read_text()
    assert "./out.png" not in written
    assert "Recipe in the file" not in written
    terminated = Outcome(Status.INTERRUPTED, "", ExitCode.TERMINATED)
    assert not terminated.has_picture


def test_the_page_of_a_run_that_was_broken_off_does_not_reload(
    run: Run, painter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where it ends by a bug, or by Ctrl-C before the first step."""

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(painter, "__init__", broken)
    assert run("PHOTO", "PAINTING", "-o", "out.png", "--report", "page.html").exit_code == 130
    assert "data-refresh=" not in Path("page.html").read_text()
    assert "not started" in text_of()


def test_a_fault_of_the_page_does_not_end_the_run(
    run: Run, painter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> str:
        raise MemoryError

    monkeypatch.setattr(page, "encoded", fail)
    result = run("PHOTO", "PAINTING", "-o", "out.png", "--report", "page.html")
    assert result.exit_code == 4
    assert "the pictures themselves are not affected" in result.stderr
    assert Path("out.png").exists()


# What is kept out


@pytest.mark.usefixtures("painter")
def test_names_and_messages_are_escaped(run_on_folders: Run) -> None:
    Image.new("RGB", (40, 30)).save(f"photos/{HOSTILE}.png".replace("/al", ""))
    Path(f"photos/z{HOSTILE}.png").write_text("no picture")
    args = ["photos", "styles", "-o", "out", "--report", "page.html"]
    assert run_on_folders(*args).exit_code == 123
    written = Path("page.html").read_text()
    assert "onerror" in written
    assert "<img src=x" not in written
    assert not {name for name in attributes(written) if name.startswith("on")}
    assert HOSTILE in text_of() or "onerror=alert(1)" in text_of()


def test_names_that_are_no_text_are_shown_and_linked() -> None:
    assert page._name("a\udcff.png") == "a\ufffd.png"
    assert page._link("/x/a\udcff.png", "/x") == "./a%FF.png"
    assert page._link("/x/javascript:alert(1).png", "/x") == "./javascript%3Aalert%281%29.png"


def test_nothing_but_the_own_script_and_style_may_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opened_page([Task("a.png", ("s.png",), "o.png", arguments())]).close()
    written = Path("page.html").read_text()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', written)
    policy = html.unescape(policy)
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert "unsafe" not in policy
    for tag, kind in (("style", "style-src"), ("script", "script-src")):
        (content,) = re.findall(rf"(?s)<{tag}>(.*?)</{tag}>", written)
        assert f"{kind} '{page._hash(content)}'" in policy
    assert not re.search(r'(src|href)="(https?:)?//', written), "nothing from elsewhere"


# How large it is


def test_a_thousand_pictures_make_a_page_that_a_browser_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    noise = Image.effect_noise((640, 480), 90).convert("RGB")  # compresses worse than any picture
    thumbnail = page.encoded(load_picture(noise), page.thumbnail_side(1000))
    monkeypatch.setattr(Page, "_thumbnail", lambda self, path: thumbnail)
    tasks = [
        Task(f"{photo}.jpg", (f"{style}.jpg",), f"{photo}-{style}.png", arguments())
        for style in range(10)
        for photo in range(110)
    ]
    live = opened_page(tasks)
    for number in range(len(tasks)):
        live.finish(number, Outcome(Status.DONE))
    live.close()
    assert live.side == 120
    assert Path("page.html").stat().st_size < 20e6
    assert Path("page.html").read_text().count('class="open"') == 1000
    assert Path("page.html").read_text().count('<b class="done">') == 1100
    assert [page.thumbnail_side(n) for n in (1, 60, 61, 301, 5000)] == [320, 320, 200, 120, 120]


@given(st.lists(st.lists(st.floats(allow_nan=True), max_size=300), max_size=4))
def test_curves_stay_in_their_box(losses: list[list[float]]) -> None:
    lines = curves(losses)
    for line in lines:
        for point in line.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= 100
            assert 0.9 <= y <= 29.1
        assert len(line.split()) <= 2 * page.POINTS + 1


def test_a_curve_falls_with_its_losses() -> None:
    (line,) = curves([[math.e**3, math.e**2, math.e]])
    assert line == "0.0,1.0 50.0,15.0 100.0,29.0"


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    if not (path := next(found, None)):
        pytest.skip("needs chromium: apt-get install chromium")
    with driver.sync_playwright() as play:
        started = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[[str], Any]]:
    """Opens a page from disk; at the end nothing may have been said on its console."""
    said: list[str] = []
    context = browser.new_context(viewport={"width": 390, "height": 800})

    def open_page(path: str) -> Any:
        tab = context.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("dialog", lambda box: (said.append("a dialog"), box.dismiss()))
        tab.goto(Path(path).absolute().as_uri())
        return tab

    yield open_page
    context.close()
    assert not said


@pytest.mark.usefixtures("painter")
def test_in_a_browser_the_slider_uncovers_the_result(run: Run, opened: Any) -> None:
    assert run("PHOTO", "PAINTING", "-o", "out.png", "--report", "page.html").exit_code == 0
    tab = opened("page.html")
    over = tab.locator(".compare .over")
    covered = "e => getComputedStyle(e).clipPath"
    assert over.evaluate(covered) == "inset(0px 50% 0px 0px)"
    slider = tab.locator(".cut")
    slider.focus()
    tab.keyboard.press("End")
    assert over.evaluate(covered) == "inset(0px 0% 0px 0px)"
    tab.keyboard.press("Home")
    assert over.evaluate(covered) == "inset(0px 100% 0px 0px)"
    assert all(tab.locator("img").evaluate_all("all => all.map(i => i.naturalWidth > 0)"))
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390, "as wide as the phone"


@pytest.mark.usefixtures("painter")
def test_in_a_browser_a_thumbnail_opens_and_a_failure_is_shown(
    run_on_folders: Run, opened: Any
) -> None:
    Path(f"photos/{HOSTILE}.png").write_text("no picture")
    run_on_folders("photos", "styles", "-o", "out", "--report", "page.html")
    tab = opened("page.html")
    assert tab.locator(".failures li").count() == 2
    assert HOSTILE in tab.locator(".failures li").first.inner_text()
    tab.locator("a.open").nth(1).click()
    assert tab.locator("dialog").is_visible()
    assert tab.locator("dialog .file").get_attribute("href").endswith("out/a-y.png")
    tab.keyboard.press("Escape")
    assert not tab.locator("dialog").is_visible()
    assert tab.locator("img:not([alt])").count() == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390, "the grid scrolls inside"


def test_in_a_browser_a_live_page_loads_itself_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(page, "REFRESH", 1)
    live = Page(arguments(), [Task("a.png", ("s.png",), "o.png", arguments())])
    live.open()
    live.due = 0.0
    live.step(0, step(1, 7.0))
    tab = opened("page.html")
    assert "painting" in tab.inner_text("main")
    later = threading.Timer(
        0.2, lambda: (live.finish(0, Outcome(Status.DONE, seconds=3.0)), live.close())
    )
    later.start()
    tab.wait_for_selector("b.done", timeout=10_000)
    later.join()
    assert not tab.evaluate("'refresh' in document.body.dataset"), "it stays as it is now"


def test_the_json_of_a_run_is_not_changed_by_its_page(run: Run, painter: Any) -> None:
    args = ["PHOTO", "PAINTING", "-o", "out.png", "--json"]
    fields = [json.loads(run(*args, *more).stdout) for more in ([], ["--report", "page.html"])]
    changing = {"peak_memory"}
    assert [{k: f[k] for k in f.keys() - changing} for f in fields[:1]] == [
        {k: f[k] for k in f.keys() - changing} for f in fields[1:]
    ]
