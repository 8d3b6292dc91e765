"""Make the pictures of the reports in docs/pictures.

    python studies/pictures.py FOLDER
    python studies/pictures.py --outcome FOLDER

The first FOLDER is that of the sample reports (studies/sample_report.py), the second that of
studies/outcome.py.
"""

import argparse
import shutil
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
QUALITY = 80  # of WebP, for small files


def save(png, name):
    """Write a screenshot as WebP."""
    path = PICTURES / f"{name}.webp"
    Image.open(BytesIO(png)).convert("RGB").save(path, quality=QUALITY, method=6)
    print(path)


def reports(browser, out):
    """Make the pictures of the sample reports."""
    viewer = min(out.glob("sub-*_viewer.html"))
    report = out / f"{viewer.name.partition('_')[0]}.html"
    page = browser.new_page(viewport={"width": 1280, "height": 850})
    page.goto(report.absolute().as_uri())
    save(page.screenshot(), "participant")
    page.click("#lesion > summary")
    page.mouse.move(0, 0)  # a pointer over the figure would hide the contour
    save(page.locator("#lesion-1 svg").screenshot(), "lesion")
    page.set_viewport_size({"width": 1280, "height": 1100})
    page.goto((out / "group.html").absolute().as_uri())
    save(page.screenshot(), "group")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(viewer.absolute().as_uri())
    page.wait_for_selector("body[data-ready]", timeout=300_000)
    save(page.screenshot(), "viewer")


def outcome(browser, out):
    """Make the pictures of an outcome: plots and lesion-symptom map."""
    page = browser.new_page(viewport={"width": 1280, "height": 850})
    page.goto((out / "group.html").absolute().as_uri())
    page.add_style_tag(content="header {display: none}")
    figures = page.locator("section[id^='outcome-'] figure svg")
    for figure, name in zip((figures.first, figures.last), ("outcome", "symptom-map"), strict=True):
        save(figure.screenshot(), name)


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("folder", type=Path)
    command.add_argument("--outcome", action="store_true")
    arguments = command.parse_args()
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        path = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        if arguments.outcome:
            outcome(browser, arguments.folder / "out")
        else:
            reports(browser, arguments.folder / "derivatives")
        browser.close()


if __name__ == "__main__":
    main()
