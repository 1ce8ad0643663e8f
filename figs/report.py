"""The figure of the page that `--report` writes, as a browser shows it. Needs chromium."""

import shutil
import subprocess

from painting import PARTS, ROOT, STYLIZE
from PIL import Image

PHOTOS = ("chelsea", "coffee", "summer-palace")
PAINTINGS = ("great-wave", "poppies", "village-street-in-auvers")
#: Of the two views: width, height, colours, and whether a picture is opened.
VIEWS = ((1000, 860, "light", False), (420, 860, "dark", True))


def page() -> None:
    """figs/report.jpg: the grid of a folder on a desk, and a picture of it on a phone."""
    from playwright.sync_api import sync_playwright

    folder = PARTS / "report"
    for name, pictures in (("contents", PHOTOS), ("styles", PAINTINGS)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for picture in pictures:
            shutil.copy(ROOT / name / f"{picture}.jpg", folder / name)
    words = (
        "contents styles -o painted --report index.html -s 384 --effort draft --existing replace"
    )
    subprocess.run([*STYLIZE, *words.split()], cwd=folder, check=True)
    shots = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for width, height, colors, opened in VIEWS:
            size = {"width": width, "height": height}
            context = browser.new_context(viewport=size, color_scheme=colors)
            view = context.new_page()
            view.goto((folder / "index.html").as_uri())
            if opened:
                view.locator("a.open").nth(4).click()
                view.wait_for_timeout(300)
            path = folder / f"{colors}.png"
            view.screenshot(path=path)
            shots.append(Image.open(path).convert("RGB"))
        browser.close()
    gap = 20
    whole = Image.new("RGB", (sum(shot.width for shot in shots) + gap, shots[0].height), "gray")
    left = 0
    for shot in shots:
        whole.paste(shot, (left, 0))
        left += shot.width + gap
    whole.save(ROOT / "figs" / "report.jpg", quality=88)
