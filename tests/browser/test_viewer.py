"""The viewer in a real browser: rendering and keyboard shortcuts."""

import io

import derived
import numpy as np
import pytest
from PIL import Image

from bids_stroke.bids.record import Record
from bids_stroke.reports.participant import report as participant_report
from bids_stroke.reports.viewer import session as viewer_session
from bids_stroke.reports.viewer.overlap import write_overlap_viewer
from bids_stroke.spatial import image
from bids_stroke.spatial.templates import template

pytestmark = pytest.mark.slow

READY = "body[data-ready]"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Derivatives with the viewers of two sessions: one with all layers, and one with a user-supplied
    mask in template space."""
    out = tmp_path_factory.mktemp("derivatives")
    tract = str(derived.tract(out))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIDS_STROKE_HOME", str(out / "home"))
        viewer_session.write_viewer(out, derived.session(out), [tract])
        viewer_session.write_viewer(out, derived.template_session(out), [tract])
    return out


@pytest.fixture
def page(out, browser_page):
    page = browser_page(out / "sub-01_viewer.html", viewport={"width": 900, "height": 600})
    page.wait_for_selector(READY)
    page.keyboard.press("x")  # the crosshair would cover counted pixels
    yield page
    assert page.errors == []


def picture(page):
    """Pixels of the canvas as an array (rows, columns, 3)."""
    shot = page.locator("canvas").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def crimson(pixels):
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return (red > 100) & (red > 1.6 * green) & (red > 1.3 * blue)


def teal(pixels):
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return (green > 80) & (green > 1.25 * red) & (blue > 1.15 * red)


def position(page):
    return [float(page.locator(f"[name={axis}]").input_value()) for axis in "xyz"]


def test_it_opens_at_the_lesion(page):
    pixels = picture(page)
    assert (pixels.sum(axis=-1) > 90).mean() > 0.2, "the head"
    assert crimson(pixels).sum() > 100 and teal(pixels).sum() > 100
    assert page.locator("#message").inner_text() == ""
    assert np.linalg.norm(np.subtract(position(page), derived.LESION_MM)) < 2
    values = page.locator("[data-value]").all_inner_texts()
    assert 50 < float(values[0]) < 500 and 700 < float(values[1]) < 900
    assert values[2] == "inside" and float(values[3]) > 0.95 and float(values[4]) == 0


def test_left_is_on_the_left(page):
    page.keyboard.press("a")
    shown = np.argwhere(crimson(picture(page)))
    rows, columns = picture(page).shape[:2]
    assert len(shown) > 100
    assert shown[:, 1].max() < columns / 2, "the lesion is in the left hemisphere"
    assert shown[:, 0].mean() < rows / 2, "and in front of the middle"


def test_overlays_are_shown_and_hidden_by_keys_and_boxes(page):
    assert crimson(picture(page)).any() and teal(picture(page)).any()
    page.keyboard.press("1")
    assert not page.get_by_label("Lesion", exact=False).first.is_checked()
    assert not crimson(picture(page)).any() and teal(picture(page)).any()
    page.locator("[name=overlay]").nth(2).uncheck()
    without = picture(page)
    assert not teal(without).any()
    page.keyboard.press("2")
    red, green, blue = np.moveaxis(picture(page), -1, 0)
    yellow = (red > 150) & (green > 120) & (blue < 100)
    assert yellow.sum() > 50, "a large probability"
    page.keyboard.press("2")
    assert (picture(page) == without).all()


def test_opacity_changes_by_slider_and_keys(page):
    before = picture(page)
    slider = page.get_by_label("Opacity of Lesion")
    slider.focus()
    page.keyboard.press("End")
    after = picture(page)
    where = crimson(before)
    assert after[where][:, 0].mean() > before[where][:, 0].mean() + 20
    slider.focus()
    page.keyboard.press("Home")
    assert slider.input_value() == "0" and not crimson(picture(page)).any()


def test_backgrounds_are_cycled(page):
    t1w = picture(page)
    page.keyboard.press("b")
    assert page.get_by_label("FLAIR", exact=False).first.is_checked()
    flair = picture(page)
    assert (np.abs(flair - t1w).sum(axis=-1) > 30).mean() > 0.05
    page.keyboard.press("b")
    assert (picture(page) == t1w).all()


def test_the_crosshair_moves_by_keys_and_numbers(page):
    start = position(page)
    page.keyboard.press("a")
    page.locator("canvas").focus()
    for key, change in (
        ("ArrowRight", (2, 0, 0)),
        ("ArrowUp", (0, 2, 0)),
        ("PageDown", (0, 0, -2)),
    ):
        before = position(page)
        page.keyboard.press(key)
        np.testing.assert_allclose(np.subtract(position(page), before), change, atol=0.11)
    page.keyboard.press("s")
    before = position(page)
    page.keyboard.press("ArrowLeft")
    np.testing.assert_allclose(np.subtract(position(page), before), (0, -2, 0), atol=0.11)
    page.locator("[name=x]").fill("40")
    page.keyboard.press("Enter")
    assert position(page)[0] == pytest.approx(40, abs=1)
    assert page.locator("[data-value]").nth(2).inner_text() == "outside"
    page.locator("canvas").focus()
    page.keyboard.press("Home")
    assert position(page) == pytest.approx(start, abs=1)


def test_3d_shows_the_brain_and_the_lesion(page):
    slices = picture(page)
    page.keyboard.press("r")
    rendered = picture(page)
    assert (rendered.sum(axis=-1) > 90).mean() > 0.1
    assert (rendered != slices).any(axis=-1).mean() > 0.1
    assert crimson(rendered).any() or teal(rendered).any()
    page.locator("canvas").focus()
    page.keyboard.press("ArrowRight")
    assert (picture(page) != rendered).any(axis=-1).mean() > 0.02
    page.keyboard.press("m")
    page.evaluate("document.activeElement.blur()")  # also removes the focus ring
    assert (picture(page) == slices).all(), "the head is back in the slices"


FOCUSED = """() => {
  const at = document.activeElement, ring = getComputedStyle(at);
  return {
    tag: at.tagName,
    name: at.ariaLabel || at.labels?.[0]?.textContent.trim() || at.textContent.trim(),
    seen: ring.outlineStyle !== "none" || ring.boxShadow !== "none",
  };
}"""


def test_all_controls_are_labeled_and_reachable_by_keyboard(page):
    stops = []
    for _ in range(30):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(FOCUSED))
    stops = [stop for stop in stops if stop["tag"] != "BODY"]
    assert all(stop["name"] and stop["seen"] for stop in stops), stops
    names = " ".join(stop["name"] for stop in stops)
    for wanted in (
        "Slices or 3D",
        "T1w",
        "Opacity of FLAIR",
        "Lesion 1",
        "Opacity of Lesion",
        "All planes",
        "Crosshair",
        "x right",
        "Reset position",
        "Keys",
    ):
        assert wanted in names


def test_file_names_are_escaped(page):
    assert page.get_by_text("<img src=x onerror=alert(1)>").count() >= 1
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrast_in_light_and_dark_mode(out, browser_page, scheme):
    page = browser_page(out / "sub-01_viewer.html", color_scheme=scheme)
    page.wait_for_selector(READY)
    ink, back = page.evaluate(
        """() => ["color", "backgroundColor"].map(
             key => getComputedStyle(document.body)[key].match(/\\d+/g).slice(0, 3).map(Number))"""
    )
    assert contrast(ink, back) > 7
    assert (np.mean(ink) < np.mean(back)) == (scheme == "light")
    assert page.errors == []


def contrast(color, background):
    """Contrast of two colors (WCAG 2)."""

    def luminance(color):
        share = np.array(color) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        return linear @ (0.2126, 0.7152, 0.0722)

    dark, light = sorted((luminance(color), luminance(background)))
    return (light + 0.05) / (dark + 0.05)


def test_user_supplied_mask_in_template_space(out, browser_page):
    page = browser_page(out / "sub-02_viewer.html", viewport={"width": 900, "height": 600})
    page.wait_for_selector(READY)
    assert crimson(picture(page)).sum() > 100
    assert page.get_by_label("Probability").count() == 0
    assert page.errors == []


def test_embedded_in_the_report(out, tmp_path, browser_page):
    Record("sub-02", "identity", "ok", outputs={"image": "of no interest here"}).write(tmp_path)
    (tmp_path / "sub-02_viewer.html").write_bytes((out / "sub-02_viewer.html").read_bytes())
    page = browser_page(participant_report.participant_report(tmp_path, "02", embed_viewers=True))
    page.locator("iframe").scroll_into_view_if_needed()
    frame = page.frame_locator("iframe")
    frame.locator(READY).wait_for()
    shot = Image.open(io.BytesIO(frame.locator("canvas").screenshot())).convert("RGB")
    assert crimson(np.asarray(shot).astype(int)).sum() > 100
    assert page.errors == []


def test_overlap_of_a_cohort(tmp_path, browser_page):
    t1w = template().t1w
    counts = np.zeros(t1w.shape, np.int32)
    counts[60:80, 100:130, 80:110] = 2
    counts[65:75, 110:120, 90:100] = 12
    made = write_overlap_viewer(image.like(counts, t1w), t1w, tmp_path / "group_viewer.html")
    page = browser_page(made, viewport={"width": 900, "height": 600})
    page.wait_for_selector(READY)
    assert page.locator(".scale").inner_text().split() == ["1", "12", "sessions"]
    assert page.locator("[data-value]").nth(1).inner_text() == "12 sessions"
    red, green, blue = np.moveaxis(picture(page), -1, 0)
    assert ((red > 150) & (green > 150) & (blue < 100)).sum() > 50, "the most are yellow"
    assert ((blue > green + 40) & (red > green)).sum() > 50, "the few are violet"
    assert page.errors == []


def test_a_browser_without_webgl_shows_a_message(out, tmp_path, browser_page):
    html = (out / "sub-02_viewer.html").read_text(encoding="utf-8")
    without = "<script>HTMLCanvasElement.prototype.getContext = () => null;</script>"
    (tmp_path / "viewer.html").write_text(html.replace("<head>", f"<head>{without}"), "utf-8")
    page = browser_page(tmp_path / "viewer.html")
    page.get_by_text("It needs a browser with WebGL2").wait_for()
