"""Make the pictures of the reports in docs/pictures.

    python studies/pictures.py FOLDER

FOLDER is that of the sample reports (studies/sample_report.py).
"""

import shutil
import sys
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


def main(folder):
    out = folder / "derivatives"
    PICTURES.mkdir(exist_ok=True)
    viewer = min(out.glob("sub-*_viewer.html"))
    report = out / f"{viewer.name.partition('_')[0]}.html"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 850})
        page.goto(report.absolute().as_uri())
        save(page.screenshot(), "participant")
        page.click("#lesion > summary")
        save(page.locator("#lesion-1 svg").screenshot(), "lesion")
        page.set_viewport_size({"width": 1280, "height": 1100})
        page.goto((out / "group.html").absolute().as_uri())
        save(page.screenshot(), "group")
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(viewer.absolute().as_uri())
        page.wait_for_selector("body[data-ready]", timeout=300_000)
        save(page.screenshot(), "viewer")
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
