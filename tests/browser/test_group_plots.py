"""Plots, thumbnails and lesion overlap of the group report in a real browser."""

import base64
import io

import numpy as np
import pytest
from group_pages import cohort, names, write_report
from PIL import Image

from bids_stroke.cohort.coarse_lesions import coarse_cells, encode
from bids_stroke.reports.figures.overlap import draw_overlap
from bids_stroke.reports.group.report import group_report
from bids_stroke.spatial import image
from bids_stroke.spatial.templates import template

SESSIONS = 40
CENTERS = (60, 130)  # of the lesions of odd and even participants, voxels of the template


@pytest.fixture(scope="module")
def lesions():
    """A mask for odd and one for even participants."""
    grid = template().t1w
    points = np.indices(grid.shape)
    return [
        ((points[0] - x) ** 2 + (points[1] - 110) ** 2 + (points[2] - 90) ** 2) < 25**2 for x in CENTERS
    ]


@pytest.fixture(scope="module")
def report(tmp_path_factory, lesions):
    out = tmp_path_factory.mktemp("out")
    odd, even = lesions
    count = image.like((odd + 2 * even).astype(np.int32), template().t1w)
    figure = draw_overlap(count, template().t1w, out / "overlap.svg")
    cells = [
        encode(coarse_cells(np.flatnonzero(mask.ravel(order="F")), mask.shape)) for mask in lesions
    ]
    encoded = [cells[number % 2] for number in range(SESSIONS)]
    return write_report(out, SESSIONS, overlap_svg_path=figure, lesions=encoded)


@pytest.fixture
def page(report, browser_page):
    page = browser_page(report, viewport={"width": 1440, "height": 900})
    page.add_style_tag(content="html {scroll-behavior: auto !important}")
    yield page
    assert not [error for error in page.errors if "desc-lesion" not in error]


def plot(page, label):
    """Return the panel whose label starts with a text."""
    return page.locator(f'.panel[aria-label^="{label}"]')


def drag(page, panel, start, end):
    """Drag from a point to another; points are shares of the axes, (right, up)."""
    panel.scroll_into_view_if_needed()
    frame = page.evaluate("data.frame")
    box = panel.bounding_box()
    scale = box["width"] / 340
    places = [
        (
            box["x"] + scale * (frame["left"] + x * (frame["right"] - frame["left"])),
            box["y"] + scale * (frame["bottom"] - y * (frame["bottom"] - frame["top"])),
        )
        for x, y in (start, end)
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=3)
    page.mouse.up()


def expected(condition):
    """Participants of the cohort that match a condition."""
    return cohort(SESSIONS).query(condition)["participant_id"].tolist()


def test_brushing_a_histogram_selects_a_range(page):
    panel = plot(page, "Lesion volume (ml): 40 sessions")
    drag(page, panel, (0.6, 0.5), (0.8, 0.5))
    terms = page.input_value("#filter").split()
    low, high = (float(term.partition("=")[2]) for term in terms)
    assert [term.partition("=")[0] for term in terms] == ["lesion_volume_ml>", "lesion_volume_ml<"]
    assert 1 < low < high < 100
    selected = expected(f"{low} <= lesion_volume_ml <= {high}")
    assert 3 < len(selected) < 30 and names(page) == selected
    assert page.locator("#selection .shown").inner_text() == f"{len(selected)} of 40 sessions"
    points = page.locator(".large .panel").first.locator("[data-i]:not(.out)")
    assert points.evaluate_all("points => points.map(point => +point.dataset.i + 1)") == [
        int(name[4:]) for name in selected
    ]
    brush = panel.locator(".brush").bounding_box()
    box = panel.bounding_box()
    assert brush["width"] == pytest.approx(0.2 * box["width"] * 256 / 340, rel=0.1)
    assert panel.locator(".selected").get_attribute("d")
    page.locator("#selection .clear").click()
    assert len(names(page)) == SESSIONS and not panel.locator(".brush").get_attribute("d")


def test_the_place_of_zero_selects_the_sessions_without_a_lesion(page):
    panel = plot(page, "Lesion volume (ml): 40 sessions")
    drag(page, panel, (0.0, 0.5), (0.1, 0.5))
    assert page.input_value("#filter") == "lesion_volume_ml=0"
    assert names(page) == expected("lesion_volume_ml == 0")
    page.fill("#filter", "sub-1 lesion_volume_ml=0")
    drag(page, panel, (0.15, 0.5), (1.0, 0.5))
    assert page.input_value("#filter") == "sub-1 lesion_volume_ml>0", "words remain"
    page.fill("#filter", "")
    drag(page, panel, (0.0, 0.5), (1.0, 0.5))
    assert page.input_value("#filter") == "lesion_volume_ml>=0", "sessions with a value"


def test_brushing_a_scatter_plot_selects_a_rectangle_and_keeps_other_conditions(page):
    page.fill("#filter", "hemisphere=left lesion_volume_ml<5")
    panel = plot(page, "CST weighted load (ml) against")
    drag(page, panel, (0.5, 0.3), (0.9, 0.8))
    terms = page.input_value("#filter").split()
    assert terms[0] == "hemisphere=left" and len(terms) == 5, "its columns have new conditions"
    selected = expected(" and ".join(["hemisphere == 'left'", *terms[1:]]))
    assert selected and names(page) == selected
    panel.click(position={"x": 3, "y": 3})
    assert page.input_value("#filter") == "hemisphere=left", "a click clears its own conditions"


def test_conditions_are_drawn_in_all_plots_of_their_column(page):
    page.fill("#filter", '"time since stroke">100 lesion_volume_ml>2')
    columns = """brushes => brushes.map(brush => ["x", "y"].map(
        name => JSON.parse(brush.parentNode.dataset[name] ?? "{}").column))"""
    drawn = page.locator(".brush[d]").evaluate_all(columns)
    assert len(drawn) == 8, "a histogram, two loads, and volumes and loads by the columns"
    assert all({"lesion_volume_ml", "time since stroke"} & {*pair} for pair in drawn)
    drag(page, plot(page, "Lesion volume (ml) by time since stroke"), (0.1, 0.2), (0.6, 0.9))
    assert '"time since stroke"<=' in page.input_value("#filter")


@pytest.mark.parametrize("name", ["age>=65", 'the "real" age', "=1<2", '"'])
def test_a_column_with_any_name_is_brushed(tmp_path, browser_page, name):
    table = cohort(SESSIONS).rename(columns={"age": name})
    page = browser_page(group_report(tmp_path, table, groups=[name]))
    panel = page.locator(".panel[aria-label^='Lesion volume (ml) by']")
    drag(page, panel, (0.2, 0.0), (0.6, 1.0))
    terms = page.evaluate("state.terms")
    low, high = (float(term["wanted"]) for term in terms if term["column"] == name)
    assert names(page) == expected(f"{low} <= age.astype('float') <= {high}")
    assert page.inner_text("#unknown") == "" and panel.locator(".brush").get_attribute("d")


def test_points_link_to_the_participant(page):
    panel = page.locator(".large .panel").first
    point = panel.locator('a[href="sub-7.html"]')
    point.scroll_into_view_if_needed()
    with page.expect_navigation():
        point.click()
    assert page.title() == "sub-7"
    page.errors.clear()


def test_a_brush_that_starts_on_a_point_does_not_open_its_link(page):
    point = page.locator('.large .panel a[href="sub-7.html"]').first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 40, steps=3)
    page.mouse.up()
    assert page.title().startswith("Group report") and page.input_value("#filter")


def test_points_are_colored_by_a_column_of_participants(page):
    choices = page.locator("#color option").all_inner_texts()
    assert choices == ["hemisphere", "age", "sex", "time since stroke"]
    colors = """points => points.slice(0, 6).map(point =>
        getComputedStyle(point.firstElementChild ?? point).fill)"""
    points = page.locator(".large .panel").first.locator("[data-i]")
    by_side = points.evaluate_all(colors)
    page.select_option("#color", label="sex")
    by_sex = points.evaluate_all(colors)
    female = by_sex[2]
    assert [color == female for color in by_sex] == [False, False, True, False, False, True]
    assert page.locator("#colors > span").all_inner_texts() == ["M (27)", "F (13)"]
    page.select_option("#color", label="age")
    assert len({*points.evaluate_all(colors)}) > 3, "a ramp"
    page.select_option("#color", label="hemisphere")
    assert points.evaluate_all(colors) == by_side and page.inner_text("#colors") == ""


def test_thumbnails_on_hover_and_on_focus(page):
    thumbnail = page.locator("#thumbnail")
    row = page.locator("#cohort tbody tr").nth(2)
    row.hover()
    thumbnail.wait_for()
    assert thumbnail.inner_text().split() == ["sub-3", "check:", "agreement", "1.41", "ml"]
    source = thumbnail.locator("img")
    assert source.get_attribute("src") == "sub-3/figures/sub-3_desc-lesion_T1w.svg"
    assert source.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    page.mouse.move(2, 2)
    thumbnail.wait_for(state="hidden")
    page.locator("#cohort .wide").focus()
    page.keyboard.press("Tab")  # first title
    while page.evaluate("document.activeElement.textContent") != "sub-1":
        page.keyboard.press("Tab")
    assert thumbnail.is_visible() and "sub-1" in thumbnail.inner_text()
    page.keyboard.press("Escape")
    assert thumbnail.is_hidden()


def test_points_are_reached_with_one_tab_and_arrows(page):
    panel = page.locator(".large .panel").first
    assert panel.locator('[tabindex="0"]').count() == 1
    assert panel.locator('[tabindex="-1"]').count() == SESSIONS - 1
    panel.locator('[tabindex="0"]').focus()
    label = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(label).startswith("sub-5: no lesion found, Lesion volume (ml) 0,")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(label).startswith("sub-39: done"), "the largest lesion"
    assert "sub-39" in page.inner_text("#thumbnail")
    assert panel.locator('[tabindex="0"]').count() == 1


def pixels(page):
    """Return where the overlap is colored."""
    href = page.locator("#overlap .counts").get_attribute("href")
    picture = Image.open(io.BytesIO(base64.b64decode(href.partition(",")[2]))).convert("RGBA")
    return np.asarray(picture)[..., 3] > 0


def test_the_overlap_shows_the_selected_sessions(page, tmp_path, lesions):
    everything = pixels(page)
    page.fill("#filter", "hemisphere=left")
    selected = pixels(page)
    assert (
        page.inner_text("#overlapped") == "Selected: 16 of 40 sessions, at most 16 in a cell of 4 mm."
    )
    even = image.like(lesions[1].astype(np.int32), template().t1w)
    text = draw_overlap(even, template().t1w, tmp_path / "even.svg").read_text()
    href = text.partition('href="data:image/png;base64,')[2].partition('"')[0]
    reference = np.asarray(Image.open(io.BytesIO(base64.b64decode(href)))) > 0
    assert 2 * (selected & reference).sum() / (selected.sum() + reference.sum()) > 0.9
    ticks = page.locator("#overlap .scale text").all_text_contents()
    assert ticks[0] == "1" and "16" in ticks
    page.fill("#filter", "")
    assert np.array_equal(pixels(page), everything) and page.inner_text("#overlapped") == ""
    page.fill("#filter", "nobody")
    assert not pixels(page).any()


def test_a_cohort_too_large_for_the_overlap_says_so(tmp_path, browser_page, report, monkeypatch):
    monkeypatch.setattr("bids_stroke.reports.group.overlap.MAX_BYTES", 10)
    figure = report.parent / "overlap.svg"
    page = browser_page(write_report(tmp_path, 6, overlap_svg_path=figure, lesions=["AwOr"] * 6))
    assert "the figure always shows all sessions" in page.inner_text("#overlap figcaption")
    before = page.locator("#overlap .counts").get_attribute("href")
    page.fill("#filter", "sub-1")
    assert page.locator("#overlap .counts").get_attribute("href") == before


def test_plots_are_visible_without_javascript(report, browser_page):
    page = browser_page(report, java_script_enabled=False)
    points = page.locator(".large .panel").first.locator("a")
    assert points.count() == SESSIONS and points.first.is_visible()
    assert page.locator(".panel .bars").first.is_visible()
    assert "needs JavaScript" in page.locator("#cohort noscript").inner_text()
    assert page.locator("#selection").is_hidden(), "controls without function"
