"""Make the pictures of the reports in docs/pictures from the simulated patients of the demo.

    python studies/demo.py FOLDER
    python studies/pictures.py FOLDER

The patients are simulated on the template in nilearn (ICBM 2009a, copyright McConnell Brain Imaging
Centre, free to use and share with its notice).
"""

import shutil
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
COLORS = 256  # number of colors, limited for small files


def save(png, name):
    """Write a screenshot with a limited number of colors."""
    picture = Image.open(BytesIO(png)).convert("RGB").quantize(COLORS)
    picture.save(PICTURES / f"{name}.png", optimize=True)
    print(PICTURES / f"{name}.png")


def main(folder):
    out = folder / "derivatives"
    PICTURES.mkdir(exist_ok=True)
    viewer = min(out.glob("sub-*_viewer.html"))
    report = out / f"{viewer.name.partition('_')[0]}.html"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1250})
        page.goto(report.absolute().as_uri())
        save(page.screenshot(), "participant")
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
