"""Accessibility and printing of the group report of a large cohort, in a real browser."""

import numpy as np
import pandas as pd
import pytest
from group_pages import GROUPS, write_report

from bids_stroke.reports.figures.overlap import draw_overlap
from bids_stroke.reports.group.report import group_report
from bids_stroke.reports.group.table import ExcludedSession
from bids_stroke.spatial import image
from bids_stroke.spatial.templates import template

pytestmark = pytest.mark.slow

SESSIONS = 300
PAPER = 1032  # width of A4 in landscape without margins, pixels


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Report with all sections except evaluation and outcomes."""
    out = tmp_path_factory.mktemp("out")
    counts = np.zeros(template().t1w.shape, np.int32)
    counts[60:80, 90:130, 80:100] = 1
    figure = draw_overlap(image.like(counts, template().t1w), template().t1w, out / "overlap.svg")
    names = [f"load_{number}_ml" for number in range(20)]
    return write_report(
        out,
        SESSIONS,
        overlap_svg_path=figure,
        failed=[ExcludedSession("sub-301", None, "no T1w")],
        rejected=[ExcludedSession("sub-302", None, "motion")],
        summary=pd.DataFrame([["cst", "all", *[1.0] * 20]], columns=["tract", "group", *names]),
        notices=["A notice."],
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_no_accessibility_violation(report, browser_page, violations, scheme, width):
    page = browser_page(report, color_scheme=scheme, viewport={"width": width, "height": 900})
    assert violations(page) == []
    page.select_option("#color", label="sex")
    page.fill("#filter", "lesion_volume_ml>20 volume>1")
    assert violations(page) == []
    page.click("#rate")
    assert violations(page, "#rating") == []


def test_landmarks_and_headings(report, browser_page):
    page = browser_page(report)
    assert page.locator("h1").all_inner_texts() == ["Group report"]
    assert page.locator("main").count() == 1 and page.locator("main h2").count() >= 6


def test_wide_tables_are_scrolled_with_the_keyboard(report, browser_page):
    page = browser_page(report, viewport={"width": 700, "height": 900})
    region = page.locator("#loads .wide")
    assert region.get_attribute("aria-label") == "Table: Loads and categories"
    region.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('#loads .wide').scrollLeft > 0")
    assert page.locator("#failed .wide").get_attribute("tabindex") is None, "nothing to scroll"


@pytest.mark.parametrize("all_columns", [False, True])
def test_no_column_is_lost_in_print(tmp_path, browser_page, all_columns):
    """Each title is on the paper, also with more columns than the group table has."""
    table = pd.DataFrame({"participant_id": [f"sub-{i}" for i in range(9)], "lesion_volume_ml": 12.345})
    more = pd.DataFrame(123.456, table.index, [f"measure_{i}_of_the_quality_ml" for i in range(90)])
    table = pd.concat([table, more], axis="columns")
    groups = [*more] if all_columns else GROUPS
    page = browser_page(
        group_report(tmp_path, table, groups=groups), viewport={"width": PAPER, "height": 700}
    )
    if all_columns:
        boxes = page.locator("#columns input:not(:checked)")
        boxes.evaluate_all("boxes => boxes.forEach(box => box.click())")
    page.emulate_media(media="print")
    edges = page.locator("#cohort th").evaluate_all(
        "titles => titles.map(title => title.getBoundingClientRect().right)"
    )
    assert len(edges) == (len(table.columns) + 1 if all_columns else 3) and max(edges) <= PAPER
    cells = page.locator("#cohort td").evaluate_all(
        "cells => cells.every(cell => cell.scrollWidth <= cell.clientWidth + 1)"
    )
    assert cells, "no text is cut"
