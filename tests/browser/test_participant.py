"""The participant report in a real browser."""

from itertools import pairwise

import drawings
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import session_tables

from bids_stroke.bids.record import Record
from bids_stroke.reports.figures.axial import draw_axial
from bids_stroke.reports.figures.flicker import draw_flicker
from bids_stroke.reports.figures.lesion import draw_lesion
from bids_stroke.reports.figures.overview import draw_overview
from bids_stroke.reports.participant.report import participant_report

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
HEAD, BRAIN = drawings.head(), drawings.ball("RAS", (0, 0, 10), 60)
EMPTY = nib.Nifti1Image(np.zeros(HEAD.shape, np.uint8), HEAD.affine)
LESION = drawings.ball("RAS", (-30, 0, 31), 12)
TRACT = "A tract with a name that is much too long for one line of a small screen"


def write_session(out, name="sub-01", mask=LESION, **facts):
    """Write a session with a T1w and a FLAIR, its figures and tables, and a viewer."""
    figures = out / "sub-01" / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    probability = nib.Nifti1Image(0.9 * mask.get_fdata(), mask.affine)
    tracts = {TRACT: nib.Nifti1Image(drawings.ball("RAS", (20, 0, 10), 9).get_fdata(), mask.affine)}
    drawn = {
        "overview_figure": draw_overview(HEAD, mask, BRAIN, figures / f"{name}_desc-overview_T1w.svg")
    }
    for contrast in ("T1w", "FLAIR"):
        place = "" if contrast == "T1w" else f"@{contrast}"
        paths = {kind: figures / f"{name}_desc-{kind}_{contrast}.svg" for kind in ("axial", "lesion")}
        drawn[f"axial_figure{place}"] = draw_axial(
            HEAD, mask, BRAIN, paths["axial"], contrast, probability, tracts
        )
        drawn[f"lesion_figure{place}"] = draw_lesion(HEAD, mask, paths["lesion"], contrast, BRAIN)
    dim = nib.Nifti1Image(HEAD.get_fdata() * (1 - mask.get_fdata()), HEAD.affine)
    drawn["coreg_figure@FLAIR"] = draw_flicker(
        HEAD, dim, figures / f"{name}_desc-coreg_FLAIR.svg", BRAIN
    )
    outputs = {role: path.relative_to(out).as_posix() for role, path in drawn.items()}
    outputs |= session_tables.write(out, name)
    facts = {"status": "ok", "outputs": outputs, "reference": "T1w", "contrasts": ["T1w"]} | facts
    Record(name, "x", model="simstroke", **facts).write(out)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Report of a session."""
    out = tmp_path_factory.mktemp("report")
    write_session(out)
    return participant_report(out, "01")


@pytest.fixture
def page(report, browser_page):
    page = browser_page(report, viewport=DESKTOP)
    yield page
    assert not page.errors


def settled(page, selector):
    """Opacity of an element halfway through its animations."""
    return page.eval_on_selector(
        selector,
        """element => {
          for (const animation of element.getAnimations()) {
            animation.pause();
            animation.currentTime = 1900;
          }
          return Number(getComputedStyle(element).opacity);
        }""",
    )


def test_images_alternate_on_hover(page):
    page.click("#alignment > summary")
    assert settled(page, ".flicker .moving") == 1
    page.hover(".flicker")
    assert settled(page, ".flicker .moving") < 0.1


def test_images_alternate_on_focus(page):
    page.click("#alignment > summary")
    page.keyboard.press("Tab")
    while not page.evaluate("document.activeElement.classList.contains('flicker')"):
        assert page.evaluate("document.activeElement.tagName") != "BODY"
        page.keyboard.press("Tab")
    assert settled(page, ".flicker .moving") < 0.1


def test_the_contour_is_hidden_on_hover(page):
    page.click("#lesion > summary")
    contour = "#lesion-1 .fading .contour"
    assert settled(page, contour) == 1
    page.hover("#lesion-1 .fading")
    assert settled(page, contour) == 0


def test_all_figures_have_alternative_text(page):
    labels = page.eval_on_selector_all("figure svg", "all => all.map(svg => svg.ariaLabel)")
    assert len(labels) == 6 + 2 + 2 + 1 and all(labels)
    assert page.eval_on_selector_all("figure svg", "all => all.every(svg => svg.role === 'img')")


def test_error_messages_are_escaped(tmp_path, browser_page):
    Record("sub-01", "x", error="<script>alert(1)</script>").write(tmp_path)
    page = browser_page(participant_report(tmp_path, "01"))
    assert "<script>alert(1)</script>" in page.inner_text("#errors")
    assert "Failed" in page.inner_text(".state.red")
    assert not page.errors


BOTTOM = "element => element.getBoundingClientRect().bottom + scrollY"


@pytest.mark.parametrize(("viewport", "screens"), [(DESKTOP, 1), (PHONE, 2)])
def test_the_first_screen(report, browser_page, viewport, screens):
    page = browser_page(report, viewport=viewport)
    for selector in (".state.green", ".sentence", ".slices", ".views", ".key-numbers .fact"):
        bottom = page.eval_on_selector(selector, BOTTOM)
        assert bottom < screens * viewport["height"], selector
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert "1 ml, left; 29 components" in page.inner_text(".sentence")
    assert not page.errors


def view_boxes(page):
    return page.eval_on_selector_all(
        "#axial-1 svg", "all => all.map(svg => svg.getAttribute('viewBox'))"
    )


def open_slices(page):
    page.click("#lesion > summary")
    assert "z = 30 mm (scanner coordinates)" in page.inner_text("#axial-1 output")


def test_one_slider_moves_all_contrasts(page):
    open_slices(page)
    first, second = view_boxes(page)
    assert first == second
    page.locator("#axial-1 input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    moved = view_boxes(page)
    assert moved[0] == moved[1] != first
    captions = page.locator("#axial-1 figcaption").all_inner_texts()
    assert captions == ["T1w, z = 33 mm", "FLAIR, z = 33 mm"]
    page.locator("#axial-1 svg").nth(1).focus()
    page.keyboard.press("PageDown")
    assert "z = 18 mm" in page.inner_text("#axial-1 output")
    page.keyboard.press("ArrowUp")
    assert "z = 21 mm" in page.inner_text("#axial-1 output")
    assert page.locator("#axial-1 .edge").all_inner_texts() == ["L", "R"] * 2
    visible = page.locator("#axial-1 svg text >> visible=true")
    assert visible.count() == 0, "text of all slices does not scale with the single slice"


def visible_layers(page):
    return page.eval_on_selector_all(
        "#axial-1 svg",
        """all => all.map(svg => [...svg.querySelectorAll("[data-layer]")]
             .filter(layer => getComputedStyle(layer).visibility === "visible")
             .map(layer => layer.dataset.layer))""",
    )


def test_layers_are_switched_by_check_boxes_and_keys(page):
    open_slices(page)
    assert visible_layers(page) == [[TRACT, "lesion"]] * 2
    page.get_by_role("checkbox", name="probability").check()
    assert visible_layers(page) == [[TRACT, "probability", "lesion"]] * 2
    page.keyboard.press("1")
    page.keyboard.press("3")
    assert visible_layers(page) == [["probability"]] * 2
    assert not page.get_by_role("checkbox", name="lesion 1").is_checked()
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(0, 0)
    page.keyboard.press("1")
    assert visible_layers(page) == [["probability"]] * 2, "keys are those of the figure in use"


def test_a_figure_is_enlarged_by_click_or_enter_and_closed_by_escape(page):
    dialog = page.locator("dialog")
    page.click("#lesion > summary")
    figure = page.locator("#lesion-1 svg")
    width = figure.bounding_box()["width"]
    figure.click()
    assert dialog.is_visible() and dialog.locator("svg").bounding_box()["width"] > width
    page.keyboard.press("Escape")
    page.wait_for_function("document.querySelector('#lesion-1 svg') !== null")
    assert not dialog.is_visible()
    assert page.locator("#lesion-1 svg").bounding_box()["width"] == width, "it is back in its place"
    page.locator("#lesion-1 svg").focus()
    page.keyboard.press("Enter")
    assert dialog.is_visible()
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Enlarge slice z =").click()
    assert dialog.locator("svg").bounding_box()["height"] > 0.7 * DESKTOP["height"]
    page.keyboard.press("Escape")
    # The focus returns in an event after the dialog is closed.
    page.wait_for_function("document.activeElement.ariaLabel?.startsWith('Enlarge slice z =')")


def test_enlarged_slices_are_linked(page):
    open_slices(page)
    page.locator("#axial-1 svg").first.click()
    page.locator("dialog input[type=range]").focus()
    page.keyboard.press("ArrowUp")
    first, second = page.eval_on_selector_all(
        "dialog svg", "all => all.map(svg => svg.getAttribute('viewBox'))"
    )
    assert first == second
    page.keyboard.press("Escape")
    page.locator("#axial-1 svg").first.wait_for()
    assert view_boxes(page) == [first, second]
    assert "z = 33 mm" in page.inner_text("#axial-1 output")


SMALLEST = """() => Math.min(...[...document.querySelectorAll("main text, main figcaption, main .edge")]
  .filter(text => text.checkVisibility() && text.getBoundingClientRect().width)
  .map(text => {
    const svg = text.ownerSVGElement;
    const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
    return scale * parseFloat(getComputedStyle(text).fontSize);
  }))"""


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
@pytest.mark.parametrize("scripts", [True, False])
def test_text_in_figures_is_large_enough(report, browser_page, viewport, scripts):
    page = browser_page(report, viewport=viewport, java_script_enabled=scripts)
    for name in ("lesion", "alignment"):
        page.click(f"#{name} > summary")
    assert page.evaluate(SMALLEST) >= 11


def test_the_parts_of_a_title_do_not_overlap(report, browser_page):
    page = browser_page(report, viewport=DESKTOP, java_script_enabled=False)
    page.click("#lesion > summary")
    for figure in page.locator("#lesion svg").all():
        parts = figure.locator("tspan").all()
        boxes = [part.bounding_box() for part in parts]
        assert len(boxes) >= 4
        for before, after in pairwise(boxes):
            assert after["x"] >= before["x"] + before["width"] - 1


def test_the_brain_in_3d_leads_to_the_viewer(tmp_path, browser_page):
    write_session(tmp_path)
    (tmp_path / "sub-01_viewer.html").write_text("<title>The viewer</title>")
    page = browser_page(participant_report(tmp_path, "01"))
    page.get_by_role("link", name="Interactive viewer: brain in 3D, from above").click()
    assert page.title() == "The viewer"


def test_explanations_of_numbers_appear_on_hover_and_on_focus(page):
    explanation = page.locator(".explanation").first
    assert not explanation.is_visible()
    page.hover(".fact >> nth=0")
    assert explanation.is_visible() and "Volume of the lesion mask" in explanation.inner_text()
    page.mouse.move(0, 0)
    assert not explanation.is_visible()
    page.locator(".fact").first.focus()
    assert explanation.is_visible()


def test_explanations_of_numbers_are_visible_on_a_phone(report, browser_page):
    page = browser_page(report, viewport=PHONE)
    assert all(item.is_visible() for item in page.locator(".explanation").all())


def test_contents_open_their_section(page):
    assert not page.locator("#lesion-2").is_visible()
    page.get_by_role("link", name="Lesion on FLAIR").click()
    assert page.locator("#lesion-2").is_visible()
    page.reload()
    assert page.locator("#lesion-2").is_visible(), "open sections stay open"
    page.goto(page.url.partition("#")[0] + "#errors")
    assert page.get_by_text("No errors to report").is_visible()


def test_everything_is_printed(page):
    closed = page.locator("details:not([open])").count()
    assert closed >= 5
    boxes = view_boxes(page)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert all(box.startswith("0 0 1500") for box in view_boxes(page)), "all slices"
    assert page.get_by_text("Weighted load (ml)").is_visible()
    page.set_viewport_size({"width": 703, "height": 1000})  # A4 without margins, 96 pixels per inch
    assert page.evaluate("document.documentElement.scrollWidth") <= 703
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() == closed
    assert view_boxes(page) == boxes


def test_without_scripts_all_slices_are_visible(report, browser_page):
    page = browser_page(report, viewport=DESKTOP, java_script_enabled=False)
    assert page.locator(".slices svg").first.is_visible()
    page.click("#lesion > summary")
    figure = page.locator("#axial-1 svg").first
    assert figure.is_visible() and figure.get_attribute("viewBox").startswith("0 0 1500")
    assert not page.locator("#axial-1 .controls").is_visible()
    assert page.locator("button >> visible=true").count() == 0
    page.click("#numbers > summary")
    assert page.get_by_text("Weighted load (ml)").is_visible()


def test_a_flagged_session_and_one_without_a_lesion(tmp_path, browser_page):
    write_session(tmp_path, "sub-01_ses-1", EMPTY, flags={"no_lesion": "The lesion mask is empty."})
    write_session(tmp_path, "sub-01_ses-2")
    page = browser_page(participant_report(tmp_path, "01"), viewport=DESKTOP)
    assert page.locator(".sessions a").all_inner_texts() == [
        "Session 1 Check: no lesion",
        "Session 2 Passed all QC checks",
    ]
    colors = page.eval_on_selector_all(
        ".sessions a", "all => all.map(link => getComputedStyle(link).backgroundColor)"
    )
    assert colors[0] != colors[1]
    assert "The lesion mask is empty." in page.inner_text("#ses-1-session .head")
    assert "Check: no lesion" in page.inner_text("#ses-1-rating")
    assert page.locator("#ses-2-rating .state").count() == 0
    page.emulate_media(media="print")
    assert page.get_by_role("heading", name="Rating").count() == 0, "no heading without its section"
    page.emulate_media(media="screen")
    page.get_by_role("link", name="Axial slices of all contrasts").last.click()
    assert page.locator("#ses-2-axial-1").is_visible()
    assert not page.locator("#ses-1-axial-1").is_visible()
    assert not page.errors


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_accessibility(tmp_path, browser_page, violations, scheme, viewport):
    inputs = {"T1w": "/data/sub-01_T1w.nii.gz"}
    flags = {"brain_volume": "Check it."}
    write_session(tmp_path, "sub-01_ses-1", flags=flags, ambiguous=["A choice."], inputs=inputs)
    write_session(tmp_path, "sub-01_ses-2", error="It failed.", status="failed", inputs=inputs)
    (tmp_path / "sub-01_ses-1_viewer.html").write_text("<title>viewer</title>")
    page = browser_page(participant_report(tmp_path, "01"), viewport=viewport, color_scheme=scheme)
    assert page.locator("h1").count() == 1 and page.get_by_role("main").count() == 1
    assert violations(page) == []
    page.evaluate("for (const section of document.querySelectorAll('details')) section.open = true")
    assert violations(page) == []
    page.locator(".slices svg").first.click()
    assert violations(page) == []


def test_digits_in_notes_do_not_switch_the_layers_below_the_pointer(page):
    open_slices(page)
    before = visible_layers(page)
    page.locator("#axial-1 .contrasts").hover()
    page.locator(".rating .notes").evaluate("notes => notes.focus({preventScroll: true})")
    page.keyboard.type("123 ml")
    assert page.locator("#axial-1").evaluate("block => block.matches(':hover')")
    assert page.locator(".rating .notes").input_value() == "123 ml"
    assert visible_layers(page) == before


def test_ratings_are_shared_by_the_pages_of_a_folder(tmp_path, browser_page):
    """Of participants with several sessions, too; a failed session is not rated."""
    for name in ("sub-01_ses-1", "sub-01_ses-2"):
        write_session(tmp_path, name)
    Record("sub-01_ses-3", "x", status="failed", error="No scan.").write(tmp_path)
    page = browser_page(participant_report(tmp_path, "01"), viewport=DESKTOP)
    blocks = page.locator(".rating")
    assert blocks.count() == 2
    first, second = (blocks.nth(index) for index in range(2))
    first.locator(".rater").fill("AB")
    first.locator(".rater").press("Tab")
    first.get_by_label("false positive").check()
    first.get_by_role("button", name="Reject").click()
    assert first.locator(".verdict").text_content() == "reject"
    assert second.locator(".verdict").text_content() == "not rated"
    assert second.locator(".rater").input_value() == "AB"
    assert second.locator(".progress").text_content() == "1 of 2 rated"
    page.reload()
    assert first.locator(".verdict").text_content() == "reject"
    with page.expect_download() as download:
        second.locator(".export").click()
    table = pd.read_csv(download.value.path(), sep="\t", keep_default_na=False)
    columns = ["participant_id", "session_id", "rating", "reasons", "confidence", "rater"]
    assert table[columns].values.tolist() == [
        ["sub-01", "ses-1", "reject", "false_positive", "n/a", "AB"]
    ]
    assert not [error for error in page.errors if not error.startswith("request:")]
