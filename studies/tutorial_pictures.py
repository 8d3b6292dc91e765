"""Run the commands of docs/tutorial.md on a simulated patient, correct its mask, and make the pictures.

    python studies/tutorial_pictures.py FOLDER

In Chromium, the pointer removes the components that are outside of the true lesion, and draws outlines
of the lesion in the SLICES in which the model misses most of it. The patients are simulated on the
template in nilearn (ICBM 2009a, copyright McConnell Brain Imaging Centre, free to use and share with
its notice).
"""

import shutil
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from common import DOCS, run
from contourpy import contour_generator
from PIL import Image
from playwright.sync_api import sync_playwright
from scipy import ndimage

from bids_stroke.bids import record
from bids_stroke.reports.viewer.native import drawing_field
from bids_stroke.spatial import image

PICTURES = DOCS / "pictures"
NAME = "sub-01"
SLICES = 5
QUALITY = 60  # of AVIF
SIZE = {"width": 1280, "height": 800}


def save(png, name):
    """Write a screenshot as AVIF."""
    path = PICTURES / f"tutorial-{name}.avif"
    Image.open(BytesIO(png)).convert("RGB").save(path, quality=QUALITY)
    print(path)


def true_lesion(folder):
    """Return the true lesion and the mask of the model on the grid of the drawing page."""
    out = folder / "out"
    entry = record.read(out, NAME)
    kinds = ("image", "brain_mask", "lesion_mask")
    field = drawing_field(*(image.load(entry.require(out, kind)) for kind in kinds))
    (path,) = (folder / "bids/derivatives/truth" / NAME / "anat").glob("*_desc-truth_mask.nii.gz")
    return np.asanyarray(image.conform(image.load(path)).dataobj)[field.box], field.mask


def false_components(truth, mask):
    """Return a voxel of each component of the mask without a voxel of the true lesion."""
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    for label in set(range(1, count + 1)) - set(labels[truth > 0].tolist()):
        yield np.argwhere(labels == label)[0].tolist()


def missed_outlines(truth, mask):
    """Return outlines of the true lesion in slices that the model misses, as voxels."""
    missed = (truth > mask).sum(axis=(0, 1))
    for number in np.argsort(missed)[-SLICES:].tolist():
        lines = contour_generator(z=truth[..., number].T.astype(float)).lines(0.5)
        points = np.round(max(lines, key=len)[::2]).astype(int).tolist()
        yield [[*point, number] for point in (*points, points[0])]


def drag(page, voxels):
    """Drag the pointer over voxels of an axial slice."""
    page.evaluate("voxel => goTo(voxel)", voxels[0])
    box = page.locator("canvas").bounding_box()
    ratio = page.evaluate("nv.uiData.dpr")
    places = page.evaluate(
        "voxels => voxels.map(voxel => nv.frac2canvasPos(nv.vox2frac(voxel)))", voxels
    )
    for number, (x, y) in enumerate(places):
        page.mouse.move(box["x"] + x / ratio, box["y"] + y / ratio)
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def correct(browser, folder):
    """Correct the mask in the drawing page, and save it to the folder of downloads."""
    page = browser.new_page(viewport=SIZE)
    page.set_default_timeout(300_000)
    page.goto((folder / "out" / f"{NAME}_drawing.html").absolute().as_uri())
    page.wait_for_selector("body[data-ready]")
    masks = true_lesion(folder)
    page.keyboard.press("k")
    for voxel in false_components(*masks):
        drag(page, [voxel])
    page.keyboard.press("f")
    page.locator("[name=brush]").fill("1")
    for voxels in missed_outlines(*masks):
        drag(page, voxels)
    save(page.screenshot(), "drawing")
    page.get_by_label("Rater").fill("AB")
    downloads = []
    page.on("download", lambda item: downloads.append(item))
    page.get_by_role("button", name="Save the corrected mask").click()
    page.get_by_text("was saved").wait_for()
    for item in downloads:
        item.save_as(folder / "downloads" / item.suggested_filename)
    page.close()


def show(browser, path, selector, name):
    """Make a picture of a part of a page with all sections open."""
    page = browser.new_page(viewport=SIZE)
    page.goto(path.absolute().as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    page.add_style_tag(content="header {position: static !important}")
    save((page.locator(selector).first if selector else page).screenshot(), name)
    page.close()


def main(folder):
    """Run all steps; those that are complete are not repeated."""
    bids, out, corrections = folder / "bids", folder / "out", folder / "corrections"
    if not bids.is_dir():
        run("bids_stroke.cli.simulate", bids, "--participants", 3, "--resolution", 2)
    participant = ("bids_stroke", bids, out, "participant", "--participant-label", "01")
    options = ("--brain-extraction", "deepbet", "--work-dir", folder / "work")
    with sync_playwright() as driver:
        path = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        if not corrections.is_dir():
            run(*participant, *options)
            show(browser, out / f"{NAME}.html", "", "report")
            correct(browser, folder)
            run(
                "bids_stroke.cli.review",
                "collect",
                folder / "downloads",
                corrections,
                "--derivatives",
                out,
            )
        run(*participant, *options, "--corrections", corrections)
        run("bids_stroke", bids, out, "group")
        show(browser, out / f"{NAME}.html", "[id^=correction] svg", "correction")
        show(browser, out / "group.html", "#agreement", "agreement")
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
