"""The drawing page in a real browser: tools, unsaved work, and the saved files."""

import gzip
import hashlib
import json

import nibabel as nib
import numpy as np
import oriented
import pytest
from nibabel.affines import apply_affine
from scipy import ndimage

from bids_stroke import __version__
from bids_stroke.atlases.native_loads import Weights
from bids_stroke.bids.collection import Collector
from bids_stroke.lesion.postprocessing import threshold
from bids_stroke.reports.viewer import drawing as drawing_page
from bids_stroke.reports.viewer.drawing import write_drawing
from bids_stroke.spatial import image
from bids_stroke.spatial.grid import voxel_volume
from bids_stroke.utils.files import checksum

pytestmark = pytest.mark.slow

READY = "body[data-ready]"
WRITTEN = "form:not([data-writing])"
NAME = "sub-01_space-T1w_label-L_desc-corrected_mask"
DESKTOP = {"viewport": {"width": 820, "height": 400}}
PHONE = {"viewport": {"width": 390, "height": 600}, "has_touch": True, "device_scale_factor": 1.5}


@pytest.fixture
def draw(tmp_path, browser_page):
    """Function that opens the drawing page of a session; returns its record and the page."""
    pages = []

    def open_page(axes="RAS", tilt=0.0, context=DESKTOP, name="sub-01", **options):
        record = oriented.session(tmp_path, name, axes, tilt, **options)
        path = write_drawing(tmp_path, record, [])
        pages.append(browser_page(path, **context))
        pages[0].wait_for_selector(READY)
        return record, pages[0]

    yield open_page
    assert pages[0].errors == []


def mask_of(record, out):
    """Return the image of the mask of a session."""
    return nib.load(record.path(out, "lesion_mask"))


def point(page, voxel):
    """Return the position of a voxel of the page on the screen."""
    box = page.locator("canvas").bounding_box()
    x, y = page.evaluate("voxel => nv.frac2canvasPos(nv.vox2frac(voxel))", voxel)
    ratio = page.evaluate("nv.uiData.dpr")
    return box["x"] + x / ratio, box["y"] + y / ratio


def go_to(page, voxel):
    page.evaluate("voxel => goTo(voxel)", voxel)


def stroke(page, start, end):
    """Drag the pointer from one voxel of the axial slice to another."""
    go_to(page, start)
    page.mouse.move(*point(page, start))
    page.mouse.down()
    page.mouse.move(*point(page, end), steps=12)
    page.mouse.up()


def drawing(page):
    """Return the drawing of the page, (x, y, z)."""
    values, sides = page.evaluate("[[...nv.drawBitmap], sides]")
    return np.reshape(values, sides, order="F")


def save(page, folder, name=NAME, confirm=False):
    """Save the mask to a folder; return the image and the sidecar."""
    page.get_by_label("Rater").fill("AB")
    with (
        page.expect_download(lambda item: item.suggested_filename.endswith(".json")) as sidecar,
        page.expect_download(lambda item: item.suggested_filename.endswith(".nii.gz")) as mask,
    ):
        page.get_by_role("button", name="Save the corrected mask").click()
        if confirm:
            page.get_by_role("button", name="Save this mask").click()
    paths = folder / f"{name}.nii.gz", folder / f"{name}.json"
    for item, path in zip((mask, sidecar), paths, strict=True):
        assert item.value.suggested_filename == path.name
        item.value.save_as(path)
    page.get_by_text(f"{name}.nii.gz was saved.").wait_for()
    content = json.loads(paths[1].read_text())
    assert content["MaskSHA256"] == hashlib.sha256(gzip.decompress(paths[0].read_bytes())).hexdigest()
    return nib.load(paths[0]), content


def status(page):
    return page.locator("#status").inner_text()


@pytest.mark.parametrize(
    ("axes", "tilt", "name", "contrast", "entities"),
    [
        ("RAS", 0.25, "sub-01", "T1w", "_acq-mprage_run-2"),
        ("LAS", 0.25, "sub-01_ses-1", "FLAIR", ""),
        ("LPI", 0, "sub-01_ses-1", "T2w", "_acq-a_rec-norm"),
        ("PSR", 0.25, "sub-01", "T1w", ""),
    ],
)
def test_a_stroke_is_saved_on_the_stored_grid(tmp_path, draw, axes, tilt, name, contrast, entities):
    record, page = draw(axes, tilt, name=name, contrast=contrast, entities=entities)
    original = np.asanyarray(mask_of(record, tmp_path).dataobj) > 0
    page.keyboard.press("d")
    page.locator("[name=brush]").fill("1")
    # A row without drawing, far from the lesion.
    row = np.argwhere(~(drawing(page)[3:9].any(0)))[40].tolist()
    drawn = [[x, *row] for x in range(3, 9)]
    stroke(page, drawn[0], drawn[-1])
    stem = f"{name}_space-{contrast}_label-L_desc-corrected_mask"
    saved, sidecar = save(page, tmp_path / "downloads", stem)

    raw = nib.load(record.inputs[contrast])
    assert page.evaluate("sides") == list(oriented.SHAPE), "all voxels of the scan"
    points = apply_affine(nib.as_closest_canonical(raw).affine, drawn)
    for key in ("qform_code", "sform_code", "xyzt_units", "srow_x", "srow_y", "srow_z", "quatern_b"):
        assert (saved.header[key] == raw.header[key]).all(), key
    assert (saved.header["pixdim"] == raw.header["pixdim"]).all()
    assert (saved.affine == raw.affine).all() and saved.shape == raw.shape
    assert saved.get_data_dtype() == np.uint8
    data = np.asanyarray(saved.dataobj)
    assert set(np.unique(data)) == {0, 1} and (data[original] == 1).all()
    added = apply_affine(saved.affine, np.argwhere((data > 0) & ~original))
    assert len(added) == len(drawn)
    distances = np.linalg.norm(added[:, None] - points[None], axis=-1)
    assert distances.min(axis=0).max() < 1e-3

    result = Collector(tmp_path / "corrections", tmp_path).collect(tmp_path / "downloads")
    assert (len(result.collected), result.notes, result.refused) == (1, [], [])
    filed = nib.load(next((tmp_path / "corrections").glob(f"sub-*/**/{stem}.nii.gz")))
    assert np.array_equal(filed.dataobj, data) and np.allclose(filed.affine, raw.affine, atol=1e-5)

    date = sidecar.pop("Date")
    assert date.endswith("Z") and "T" in date
    del sidecar["MaskSHA256"]
    assert sidecar == {
        "Rater": "AB",
        "ReferenceImage": f"{name}{entities}_{contrast}.nii.gz",
        "ReferenceShape": list(raw.shape),
        "ReferenceAffine": raw.affine.tolist(),
        "Model": "simstroke",
        "ModelIdentity": "0123abcd",
        "SourceMask": record.path(tmp_path, "lesion_mask").name,
        "SourceMaskSHA256": checksum(record.path(tmp_path, "lesion_mask")),
        "Software": f"bids_stroke {__version__}",
    }


def weights_of_sides(size):
    """Return contributions of random voxels to the load of each side of a tract."""
    rng = np.random.default_rng(2)
    voxels = {side: np.sort(rng.choice(size, size // 2, replace=False)) for side in "LR"}
    return {side: Weights(voxels[side], rng.uniform(0, 0.01, size // 2)) for side in "LR"}


def test_threshold_of_the_probability(tmp_path, draw, monkeypatch):
    weights = weights_of_sides(np.prod(oriented.SHAPE))
    sides = {side: drawing_page._encode_weights(weights[side]) for side in "LR"}
    monkeypatch.setattr(drawing_page, "_tract", lambda *_: {"name": "tract", "sides": sides})
    record, page = draw("LPI", 0.25)
    assert page.evaluate("sides") == list(oriented.SHAPE)
    img = nib.load(record.path(tmp_path, "lesion_probability"))
    probability, voxel_mm3 = np.asanyarray(img.dataobj), voxel_volume(img)
    thresholds = page.evaluate("scene.probability.thresholds")
    shown = page.locator("[data-measures=threshold]")
    slider = page.get_by_label("Threshold of the lesion probability")
    session = int(page.locator("[data-measures=session]").get_attribute("data-voxels"))
    assert session == np.count_nonzero(mask_of(record, tmp_path).dataobj)
    assert int(shown.get_attribute("data-voxels")) == session, "the threshold of the model"
    for number in (19, 30, 60):
        slider.fill(str(number))
        minimum = oriented.MIN_COMPONENT_MM3
        expected = threshold(probability, thresholds[number], minimum, voxel_mm3)
        assert int(shown.get_attribute("data-voxels")) == expected.sum()
        volume, *loads = map(float, shown.locator("td").all_inner_texts())
        assert volume == pytest.approx(expected.sum() * voxel_mm3 / 1000, abs=0.0051)
        ordered = image.conform(image.like(expected, img)).get_fdata().ravel(order="F")
        for load, side in zip(loads, "LR", strict=True):
            inside = ordered[weights[side].voxels] > 0
            assert load == pytest.approx(weights[side].ml[inside].sum(), abs=0.001)
    slider.fill("19")
    expected = threshold(probability, thresholds[19], minimum, voxel_mm3)
    page.get_by_label("Rater").fill("AB")
    page.get_by_role("button", name="Save the corrected mask").click()
    page.get_by_text("Replace the drawing to use the threshold.").wait_for()
    page.get_by_role("button", name="Cancel").click()
    slider.focus()
    page.keyboard.press("t")
    saved, _ = save(page, tmp_path / "downloads")
    assert (np.asanyarray(saved.dataobj) == expected).all()


def test_thirty_steps_are_undone(draw):
    _, page = draw()
    states = [drawing(page)]
    page.keyboard.press("d")
    page.locator("canvas").focus()
    for step in range(30):
        go_to(page, [4 + step % 10, 12, 2 + step // 10])
        page.keyboard.press(" ")
        states.append(drawing(page))
    assert len({state.tobytes() for state in states}) == 31
    for key, view in (("v", 0), ("c", 1), ("a", 0)):
        page.keyboard.press(key)
        assert page.evaluate("[nv.opts.sliceType, nv.currentClipPlaneIndex]") == [view, 0]
    for state in states[-2::-1]:
        page.keyboard.press("u")
        assert (drawing(page) == state).all()
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.wait_for_selector(WRITTEN)
    assert page.evaluate("store.read()") is None


def test_drawings_survive_a_reload(tmp_path, draw):
    record, page = draw()
    page.keyboard.press("e")
    page.locator("[name=brush]").fill("5")
    page.locator("canvas").focus()
    page.keyboard.press(" ")
    changed = drawing(page)
    page.wait_for_selector(WRITTEN)
    page.reload()
    page.wait_for_selector(READY)
    assert not (drawing(page) == changed).all()
    page.get_by_text("There is unsaved work of").wait_for()
    page.get_by_role("button", name="Restore").click()
    page.get_by_text("The drawing was restored.").wait_for()
    assert (drawing(page) == changed).all()
    save(page, tmp_path / "downloads")
    page.reload()  # the browser may not have written the files
    page.get_by_text("There is a saved drawing of").wait_for()
    page.get_by_role("button", name="Restore").click()
    page.get_by_text("The drawing was restored.").wait_for()
    assert (drawing(page) == changed).all()
    assert page.get_by_label("Rater").input_value() == "AB"
    page.wait_for_selector(WRITTEN)
    # Another run of the session has the same grid.
    path = drawing_page.drawing_path(tmp_path, record.name)
    html = path.read_text("utf-8")
    path.write_text(html.replace("sub-01_T1w.nii.gz", "sub-01_run-2_T1w.nii.gz"), "utf-8")
    page.reload()
    page.get_by_text("There is unsaved work on another image").wait_for()
    path.write_text(html, "utf-8")
    page.reload()
    page.get_by_role("button", name="Discard").click()
    page.wait_for_function("store.read().then(entry => entry === undefined)")
    save(page, tmp_path / "downloads", confirm=True)
    page.wait_for_function("store.read().then(entry => entry === undefined)")


def test_a_session_is_drawn_in_one_tab(draw):
    _, page = draw()
    page.keyboard.press("e")
    page.locator("canvas").focus()
    page.keyboard.press(" ")
    changed = drawing(page)
    page.wait_for_selector(WRITTEN)
    other = page.context.new_page()
    other.set_default_timeout(120_000)
    other.goto(page.url)
    other.get_by_text("This session is open in another tab or window").wait_for()
    other.get_by_role("button", name="Continue").click()
    other.get_by_text("This session is open in another tab or window").wait_for()
    page.close()
    other.get_by_role("button", name="Continue").click()
    other.get_by_role("button", name="Restore").click()
    other.get_by_text("The drawing was restored.").wait_for()
    assert (drawing(other) == changed).all()


def test_an_empty_drawing_needs_confirmation(tmp_path, draw):
    _, page = draw()
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Save the corrected mask").click()
    assert "Enter your name or initials" in status(page)
    page.get_by_label("Rater").fill("AB")
    page.get_by_role("button", name="Save the corrected mask").click()
    page.get_by_text("The drawing is empty").wait_for()
    page.get_by_role("button", name="Cancel").click()
    assert "was saved" not in status(page)
    saved, _ = save(page, tmp_path, confirm=True)
    assert not np.any(saved.dataobj)
    page.keyboard.press("u")
    assert status(page) == "" and drawing(page).any()
    page.get_by_role("button", name="Clear").click()
    page.keyboard.press("g")
    assert "Draw in the lesion, and mark the outside around it" in status(page)
    assert not drawing(page).any()


def signed_distances(shape):
    """Distances (mm) to the boundary of a shape in an axial slice, positive inside."""
    inside, outside = (
        ndimage.distance_transform_edt(mask, oriented.ZOOMS[:2]) for mask in (shape, ~shape)
    )
    return inside - outside


def test_interpolation_between_slices(draw):
    _, page = draw()
    page.get_by_role("button", name="Clear").click()
    sides = drawing(page).shape
    expected = np.zeros(sides, np.uint8)
    x, y = np.indices(sides[:2])
    low, high = (x - 9) ** 2 + (y - 11) ** 2 < 30, (x - 11) ** 2 + (y - 12) ** 2 < 8
    expected[..., 3], expected[..., 8] = low, high
    other = np.zeros(sides[:2], bool)
    other[1:3, 1:3] = True  # a shape in another place is not changed
    expected[..., 5] = other
    flat = expected.ravel(order="F").tolist()
    page.evaluate("values => apply(Uint8Array.from(values), '')", flat)
    go_to(page, [9, 11, 3])
    page.keyboard.press("i")
    assert status(page) == "4 slices were filled."
    for step in range(1, 5):
        distance = (1 - step / 5) * signed_distances(low) + step / 5 * signed_distances(high)
        expected[..., 3 + step] |= (distance > 1e-9).astype(np.uint8)
    assert (drawing(page) == expected).all()
    page.keyboard.press("i")
    assert "There is no gap" in status(page)


def test_filled_outline_growth_and_removal_of_a_component(draw):
    _, page = draw(flair=True)
    states = [drawing(page)]
    page.get_by_role("button", name="Clear").click()
    states.append(drawing(page))
    page.keyboard.press("f")
    page.locator("[name=brush]").fill("1")
    corners = [[4, 8, 9], [10, 8, 9], [10, 14, 9], [4, 14, 9], [4, 8, 9]]
    go_to(page, corners[0])
    page.mouse.move(*point(page, corners[0]))
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*point(page, corner), steps=8)
    page.mouse.up()
    filled = drawing(page)
    assert (filled[4:11, 8:15, 9] == 1).all() and filled.sum() == 49
    states.append(filled)
    # A bright cube of the image that is shown, of which one voxel is marked, within a marked box.
    page.keyboard.press("b")
    assert page.evaluate("nv.volumes[0] === backgrounds[1] && nv.volumes.length === 2")
    assert (drawing(page) == filled).all()
    page.evaluate(
        """() => {
          const cube = [5, 6, 7, 8], {img} = background();
          const at = (i, j, k) => i + sides[0] * (j + sides[1] * k);
          img.fill(20);
          for (const i of cube) for (const j of cube) for (const k of cube) img[at(i, j, k)] = 200;
          const seeds = new Uint8Array(img.length);
          for (const corner of [3, 11]) seeds[at(corner, corner, corner)] = 2;
          seeds[at(6, 6, 6)] = 1;
          seeds[at(14, 20, 5)] = 1;
          apply(seeds, "");
        }"""
    )
    states.append(drawing(page))
    page.keyboard.press("g")
    grown = drawing(page)
    states.append(grown)
    assert (grown[5:9, 5:9, 5:9] == 1).all()
    assert grown.sum() == 64 + 1 and grown[14, 20, 5] == 1
    page.keyboard.press("k")
    page.keyboard.press("a")
    go_to(page, [14, 20, 5])
    box = page.locator("canvas").bounding_box()
    page.mouse.click(box["x"] + 2, box["y"] + 2)  # beside the slice
    page.mouse.click(*point(page, [14, 20, 5]), button="middle")
    assert (drawing(page) == grown).all()
    page.mouse.click(*point(page, [14, 20, 5]))
    assert drawing(page).sum() == 64
    assert "was removed" in status(page)
    for state in states[::-1]:
        page.keyboard.press("u")
        assert (drawing(page) == state).all()


def row_of(page):
    """Return the voxels of an empty row of the axial slice, after the drawing is cleared."""
    page.get_by_role("button", name="Clear").click()
    page.locator("[name=brush]").fill("1")
    page.evaluate("scrollTo(0, 0)")
    go_to(page, [4, 12, 8])
    return [[x, 12, 8] for x in range(4, 14)]


def drawn(page):
    """Return the voxels of the drawing."""
    return np.argwhere(drawing(page)).tolist()


def test_an_interrupted_stroke_is_complete(draw):
    _, page = draw()
    row = row_of(page)
    page.keyboard.press("d")
    # The slice and the tool cannot be changed during a stroke.
    page.mouse.move(*point(page, row[0]))
    page.mouse.down()
    page.mouse.move(*point(page, row[3]), steps=3)
    page.mouse.wheel(0, 300)
    page.keyboard.press("PageUp")
    page.keyboard.press("v")
    page.mouse.move(*point(page, row[4]))
    page.mouse.up()
    assert drawn(page) == row[:5]
    # A stroke that leaves the image ends at its last voxel.
    page.mouse.move(*point(page, row[6]))
    page.mouse.down()
    page.mouse.move(*point(page, row[8]), steps=3)
    page.mouse.move(*(page.locator("canvas").bounding_box()[side] for side in ("width", "y")))
    page.locator("canvas").dispatch_event("mouseleave")
    assert drawn(page) == row[:5] + row[6:9]
    page.mouse.up()
    # The button was released in another window.
    page.mouse.move(*point(page, row[9]))
    page.mouse.down()
    x, y = point(page, row[5])
    page.locator("canvas").dispatch_event("mousemove", {"clientX": x, "clientY": y, "buttons": 0})
    page.mouse.up()
    assert drawn(page) == row[:5] + row[6:10]
    for expected in (row[:5] + row[6:9], row[:5], []):
        page.keyboard.press("u")
        assert drawn(page) == expected


def test_touch_and_a_resized_window(draw):
    _, page = draw(context=PHONE)
    session = page.context.new_cdp_session(page)

    def touch(kind, *indices):
        points = [dict(zip("xy", places[index], strict=True)) for index in indices]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def wait_for_pen():
        page.wait_for_function("isDrawing()")

    row = row_of(page)
    places = [point(page, voxel) for voxel in row]
    page.evaluate("form.tool.value = 'pen'; show()")
    window = "[backgrounds[0].cal_min, backgrounds[0].cal_max]"
    contrast = page.evaluate(window)
    touch("touchStart", 0)
    wait_for_pen()
    for index in (1, 2, 3):
        touch("touchMove", index)
    touch("touchEnd")
    touch("touchStart", 5)  # at once
    wait_for_pen()
    touch("touchEnd")
    assert drawn(page) == row[:4] + row[5:6]
    assert page.evaluate(window) == contrast
    # Two fingers change the slice, and an interruption by the system removes the stroke.
    touch("touchStart", 7)
    wait_for_pen()
    touch("touchStart", 7, 9)
    for left, right in ((6, 8), (4, 9), (2, 8)):
        touch("touchMove", left, right)
    touch("touchEnd")
    assert page.evaluate("nv.frac2vox(nv.scene.crosshairPos)[2]") != 8
    go_to(page, row[0])
    touch("touchStart", 7)
    wait_for_pen()
    touch("touchCancel")
    assert drawn(page) == row[:4] + row[5:6]
    page.set_viewport_size({"width": 600, "height": 390})
    page.wait_for_function("canvas.width === Math.round(canvas.offsetWidth * devicePixelRatio)")
    places = [point(page, voxel) for voxel in row]
    touch("touchStart", 9)
    wait_for_pen()
    touch("touchMove", 8)
    touch("touchEnd")
    assert drawn(page) == row[:4] + row[5:6] + row[8:]
    page.evaluate("form.tool.value = 'component'; show()")
    touch("touchStart", 0)
    touch("touchStart", 0, 9)
    touch("touchEnd")
    assert drawn(page) == row[:4] + row[5:6] + row[8:]
    for expected in (row[:4] + row[5:6], row[:4], []):
        page.evaluate("undo()")
        assert drawn(page) == expected


def test_accessibility_at_desktop_and_phone_width(tmp_path, browser_page, violations):
    page = browser_page(write_drawing(tmp_path, oriented.session(tmp_path), []))
    page.wait_for_selector(READY)
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_browser_without_storage_warns(tmp_path, browser_page):
    path = write_drawing(tmp_path, oriented.session(tmp_path), [])
    without = "<script>IDBFactory.prototype.open = () => { throw new Error(); };</script>"
    path.write_text(path.read_text("utf-8").replace("<head>", f"<head>{without}"), "utf-8")
    page = browser_page(path)
    page.get_by_text("This browser cannot keep unsaved work").wait_for()
    page.get_by_role("button", name="Clear").click()
    page.wait_for_selector(WRITTEN)
    assert not drawing(page).any() and page.errors == []
