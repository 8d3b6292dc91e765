"""The group report in a real browser."""

import csv
import io
from datetime import datetime

import jinja2
import numpy as np
import pandas as pd
import pytest
from group_pages import names, write_session

from bids_stroke.qc import ratings
from bids_stroke.reports.group import table
from bids_stroke.reports.group.report import group_report

HOSTILE = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script>"
LONG = "x" * 10_000


@pytest.fixture
def page(tmp_path, browser_page):
    """Report of four sessions with a hostile participants.tsv."""
    table = pd.DataFrame(
        {
            "participant_id": ["sub-1", "sub-2", "sub-10", "sub-10"],
            "session_id": [np.nan, np.nan, "ses-1", "ses-2"],
            "lesion_volume_ml": [5.0, 100.0, 20.0, np.nan],
            "hemisphere": ["left", "right", "left", None],
            "site": [HOSTILE, LONG, "=1+1", None],
        }
    )
    (tmp_path / "sub-2.html").touch()
    write_session(tmp_path, "sub-1", ["lesion"])
    page = browser_page(group_report(tmp_path, table, groups=["site"]))
    yield page
    assert not [error for error in page.errors if not error.endswith(".svg")]


def title(page, text):
    return page.locator("#cohort th").filter(has_text=text)


def saved(page, button):
    """Content of the file that a button downloads."""
    with page.expect_download() as download:
        page.click(button)
    return download.value.path().read_text(encoding="utf-8")


def test_sorting_changes_the_rows(page):
    assert names(page) == ["sub-1", "sub-2", "sub-10", "sub-10"]
    volume = title(page, "Lesion volume (ml)")
    volume.locator("button").click()
    assert names(page) == ["sub-1", "sub-10", "sub-2", "sub-10"], "missing values last"
    assert volume.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert names(page) == ["sub-2", "sub-10", "sub-1", "sub-10"], "from the keyboard too"
    assert volume.get_attribute("aria-sort") == "descending"
    title(page, "Participant").locator("button").click()
    assert names(page)[-1] == "sub-10", "2 before 10"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("left", ["sub-1", "sub-10"]),
        ("lesion_volume_ml>10", ["sub-2", "sub-10"]),
        ("lesion_volume_ml<=20 hemisphere=LEFT sub-10", ["sub-10"]),
        ("no_column>1", []),
        ("alert", ["sub-1"]),
    ],
)
def test_filtering_changes_the_rows(page, text, expected):
    page.fill("#filter", text)
    assert names(page) == expected
    assert page.inner_text("#shown") == f"{len(expected)} of 4 sessions"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("volume>1", "There is no column volume; similar: lesion_volume_ml."),
        ("constructor>1 left", "There is no column constructor; Columns lists all columns."),
        ("lesion_volume_ml>1 left src=x", "There is no column src; Columns lists all columns."),
        ("lesion_volume_ml>1 left", ""),
    ],
)
def test_an_unknown_column_is_reported_beside_the_filter(page, text, message):
    page.fill("#filter", text)
    assert page.inner_text("#unknown") == message
    assert page.locator("#unknown").is_visible() == bool(message)


def test_a_large_table_is_shown_in_pages(tmp_path, browser_page, monkeypatch):
    monkeypatch.setattr(table, "PAGE_ROWS", 3)
    volumes = [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]
    sessions = [f"sub-{number}" for number in range(1, 8)]
    rows = pd.DataFrame({"participant_id": sessions, "lesion_volume_ml": volumes})
    page = browser_page(group_report(tmp_path, rows))
    before, after = (page.get_by_role("button", name=f"{name} rows") for name in ("Previous", "Next"))
    text = "Rows 1 to 3 of 7; the table shows 3 at a time."
    assert (names(page), page.inner_text("#range")) == (sessions[:3], text)
    assert before.is_disabled()
    after.click()
    after.click()
    assert (names(page), after.is_disabled()) == (sessions[6:], True)
    before.click()
    assert names(page) == sessions[3:6]
    title(page, "Lesion volume (ml)").locator("button").click()
    assert names(page) == ["sub-7", "sub-6", "sub-5"], "all rows are sorted, from the first page"
    page.fill("#filter", "lesion_volume_ml>5")
    assert names(page) == ["sub-3", "sub-2", "sub-1"], "all rows are filtered"
    assert not page.locator("#pages").is_visible(), "few rows need no pages"
    assert len(list(csv.reader(io.StringIO(saved(page, "#csv"))))) == 4
    assert not page.errors


def test_all_scripts_are_strict(page):
    """The property ``caller`` of a strict function cannot be read."""
    names = ["connectRating", "drawRow", "showSession", "select", "drawOverlap", "showThumbnail"]
    for name in names:
        read = f"() => {{ try {{ return {name}.caller === 0; }} catch {{ return true; }} }}"
        assert page.evaluate(read), name


def test_columns_are_chosen(page):
    page.click("#chooser summary")
    before = title(page, "Hemisphere").count()
    page.get_by_label("Hemisphere").uncheck()
    assert (before, title(page, "Hemisphere").count()) == (1, 0)


def test_the_downloaded_table_contains_no_formulas(page):
    page.fill("#filter", "lesion_volume_ml<50")
    rows = list(csv.DictReader(io.StringIO(saved(page, "#csv"))))
    assert [row["participant_id"] for row in rows] == ["sub-1", "sub-10"]
    assert rows[0]["site"] == HOSTILE and rows[0]["lesion_volume_ml"] == "5"
    assert rows[1]["site"] == "'=1+1"


def test_hostile_text_is_escaped(page):
    assert page.locator("#cohort td", has_text="onerror").inner_text() == HOSTILE
    assert page.locator("#cohort img").count() == 0
    cell = page.locator("#cohort td", has_text=LONG)
    assert cell.bounding_box()["width"] < 400 and cell.get_attribute("title") == LONG
    assert page.locator("#cohort a").all_inner_texts() == ["sub-2"]


def verdict(page):
    return page.inner_text(".rating .verdict")


def exported(page, path, button="#export"):
    """Rows of the exported table, without the dates."""
    path.write_text(saved(page, button), encoding="utf-8")
    header, *rows = (line.split("\t") for line in path.read_text().splitlines())
    assert tuple(header) == ratings.COLUMNS
    assert all(datetime.fromisoformat(row[6]).tzinfo for row in rows)
    return [[*row[:6], row[7]] for row in rows]


def test_ratings_by_keyboard_are_stored_exported_and_read(page, tmp_path):
    page.focus("#rate")
    page.keyboard.press("Enter")
    assert page.inner_text("#who") == "sub-1"
    picture = page.locator("#picture img")
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    page.keyboard.press("n")
    page.keyboard.type("moved\ta lot, r and a")
    page.keyboard.press("Escape")
    assert page.locator("#rating[open]").count() == 1, "Escape leaves the notes first"
    page.keyboard.press("1")
    page.keyboard.press("6")
    page.select_option(".rating .confidence", "low")
    page.focus("#rating")
    page.keyboard.press("r")
    assert page.inner_text("#who") == "sub-2"
    page.keyboard.press("a")
    page.keyboard.press("ArrowLeft")
    assert verdict(page) == "accept"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("r")
    assert page.inner_text(".rating .progress") == "3 of 4 rated"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("x")
    page.keyboard.press("Escape")
    # The table is redrawn after the browser has closed the dialog.
    page.locator("#cohort .status.reject").wait_for()
    page.reload()
    assert page.inner_text("#progress") == "2 of 4 rated"
    path = tmp_path / "ratings.tsv"
    reasons = "missed_lesion+image_quality"
    assert exported(page, path) == [
        ["sub-1", "n/a", "reject", reasons, "low", "n/a", "moved a lot, r and a"],
        ["sub-2", "n/a", "accept", "n/a", "n/a", "n/a", "n/a"],
    ]
    rated = ratings.rate_cohort([path], [("sub-1", ""), ("sub-2", ""), ("sub-10", "ses-1")])
    assert rated.merged["rating"].tolist() == ["reject", "accept"]
    assert rated.merged["reasons"][0] == reasons


def test_reasons_are_marked_and_removed(page):
    page.click("#rate")
    page.keyboard.press("3")
    page.get_by_label("alignment").check()
    page.keyboard.press("3")
    page.keyboard.press("ArrowRight")
    assert page.locator(".rating input:checked").count() == 0
    page.keyboard.press("ArrowLeft")
    assert page.locator(".rating input:checked").evaluate_all(
        "boxes => boxes.map(box => box.value)"
    ) == ["alignment"]
    assert verdict(page) == "not rated" and page.inner_text(".rating .progress") == "0 of 4 rated"


def name_rater(page, name):
    page.fill(".rating .rater", name)
    page.keyboard.press("Enter")


def test_several_raters_rate_blindly_and_are_exported_together(page, tmp_path):
    page.click("#rate")
    page.keyboard.press("r")
    name_rater(page, "anna")
    page.keyboard.press("ArrowLeft")
    assert verdict(page) == "reject", "the rating before the name was given is hers"
    name_rater(page, "ben")
    assert verdict(page) == "not rated" and page.inner_text(".rating .progress") == "0 of 4 rated"
    page.keyboard.press("a")
    assert page.inner_text("#progress") == "1 of 4 rated"
    rows = exported(page, tmp_path / "ratings.tsv", ".rating .export")
    assert [row[2:3] + row[5:6] for row in rows] == [["reject", "anna"], ["accept", "ben"]]
    name_rater(page, "anna")
    page.keyboard.press("ArrowLeft")
    assert verdict(page) == "reject"


def test_masks_are_reviewed_in_the_order_of_corrections(tmp_path, browser_page):
    rows = {"participant_id": ["sub-1", "sub-2", "sub-3"], "mean_probability": [0.9, 0.5, 0.7]}
    page = browser_page(group_report(tmp_path, pd.DataFrame(rows)))
    page.click("#review-queue")
    shown = []
    for _ in range(3):
        shown.append(page.inner_text("#who").strip())
        page.keyboard.press("ArrowRight")
    assert shown == ["sub-2", "sub-3", "sub-1"] and page.inner_text("#place") == "1 of 3"


def test_ratings_of_the_command_line_continue_in_another_browser(tmp_path, browser_page):
    """The table round-trips: exported, read by --qc-ratings, shown, changed and exported again."""
    path = tmp_path / "ratings.tsv"
    early = "2026-01-01T10:00:00Z"
    rows = [
        ["sub-1", "n/a", "accept", "n/a", "high", "n/a", early, "fine"],
        ["sub-3", "n/a", "reject", "alignment+of_my_own", "n/a", "n/a", early, "n/a"],
    ]
    path.write_text("\n".join(map("\t".join, [ratings.COLUMNS, *rows])))
    sessions = [("sub-1", ""), ("sub-2", ""), ("sub-3", "")]
    rated = ratings.rate_cohort([path], sessions)
    table = pd.DataFrame({"participant_id": ["sub-1", "sub-2"], "lesion_volume_ml": [1.0, 2.0]})
    page = browser_page(group_report(tmp_path, table, rated=rated))
    assert page.inner_text("#progress") == "1 of 2 rated"
    before = path.read_text()
    expected = [[*row[:6], row[7]] for row in rows]
    assert exported(page, path) == expected, "also of a session that is excluded from the page"
    assert path.read_text().strip() == before
    page.click("#rate")
    assert verdict(page) == "accept" and page.input_value(".rating .notes") == "fine"
    page.keyboard.press("r")
    page.keyboard.press("Escape")
    page.reload()
    assert exported(page, path) == [["sub-1", "n/a", "reject", *expected[0][3:]], expected[1]]
    page.click("#rate")
    name_rater(page, "ben")
    page.keyboard.press("a")
    named = ["sub-1", "n/a", "accept", *expected[0][3:5], "ben", "fine"]
    assert exported(page, path, ".rating .export") == [*expected, named], "the table keeps its own"


@pytest.mark.parametrize("notes", ['"left" and "right"', 'a "b" c', '"', '""', "it's n/a"])
def test_quotes_in_notes_are_read_as_they_were_written(page, tmp_path, notes):
    page.click("#rate")
    page.fill(".rating .notes", notes)
    page.focus("#rating")
    page.keyboard.press("a")
    path = tmp_path / "ratings.tsv"
    path.write_text(saved(page, ".rating .export"), encoding="utf-8")
    assert ratings.read_ratings([path])["notes"].tolist() == [notes]
    assert pd.read_csv(path, sep="\t")["notes"].tolist() == [notes], "in other programs, too"


def test_a_page_of_one_participant_shares_the_ratings(page, tmp_path):
    """The block in a page of its own, as in the participant report."""
    text = (
        "{% from 'rating.html' import rating_block %}{{ rating_block('sub-10', 'ses-1') }}"
        "{{ rating_block('sub-10', 'ses-2') }}"
        "<script>{% include 'rating.js' %} connectRatings();</script>"
    )
    loader = jinja2.PackageLoader("bids_stroke", "data/templates")
    path = tmp_path / "sub-10.html"
    path.write_text(jinja2.Environment(loader=loader, autoescape=True).from_string(text).render())
    other = page.context.new_page()
    other.goto(path.as_uri())
    first, second = other.locator(".rating").all()
    assert first.get_attribute("aria-label") == "Rating sub-10 ses-1"
    second.get_by_text("Reject").click()
    second.get_by_label("brain mask").check()
    assert [block.locator(".verdict").inner_text() for block in (first, second)] == [
        "not rated",
        "reject",
    ]
    assert second.locator(".progress").inner_text() == "1 of 2 rated"
    page.wait_for_function("document.querySelector('#progress').textContent === '1 of 4 rated'")
    assert exported(page, tmp_path / "ratings.tsv") == [
        ["sub-10", "ses-2", "reject", "brain_mask", "n/a", "n/a", "n/a"]
    ]


def test_flagged_sessions_are_rated_first(tmp_path, browser_page):
    """The dialog shows the sentence and the figure of the check, and the table never shows "done"."""
    table = pd.DataFrame(
        {
            "participant_id": ["sub-1", "sub-2", "sub-3"],
            "qc_flags": [None, None, "agreement"],
            "lesion_volume_ml": [5.0, 6.0, 7.0],
        }
    )
    write_session(tmp_path, "sub-1", ["lesion", "brain"])
    write_session(tmp_path, "sub-3", ["lesion", "coreg"], {"agreement": "The FLAIR differs."})
    page = browser_page(group_report(tmp_path, table))
    badges = page.locator("#cohort .status")
    assert badges.all_inner_texts() == ["done", "done", "check: agreement"]
    colors = badges.evaluate_all("badges => badges.map(badge => getComputedStyle(badge).color)")
    assert len({*colors}) == 2 and colors[2] not in colors[:2]
    marks = page.locator("#cohort td:first-child").evaluate_all(
        "cells => cells.map(cell => getComputedStyle(cell).boxShadow)"
    )
    assert [mark == "none" for mark in marks] == [True, True, False], (
        "visible however the table is scrolled"
    )
    assert page.locator("#columns input:disabled").count() == 2, "the status cannot be hidden"
    page.click("#rate")
    assert page.inner_text("#who") == "sub-3"
    assert page.inner_text("#state") == "check: agreement"
    assert page.inner_text("#messages") == "The FLAIR differs."
    assert page.get_attribute("#picture img", "src") == "sub-3/figures/sub-3_desc-coreg_T1w.svg"
    page.keyboard.press("ArrowRight")
    assert (page.inner_text("#who"), page.inner_text("#state")) == ("sub-1", "done")
    assert page.inner_text("#messages") == ""
    page.keyboard.press("p")
    assert page.get_attribute("#picture img", "src").endswith("desc-brain_T1w.svg")
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute("#picture img", "src").endswith("desc-coreg_T1w.svg")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrast(page, scheme):
    """Text has a contrast of at least 4.5 to 1 (WCAG 2.1, 1.4.3)."""
    page.emulate_media(color_scheme=scheme)
    colors = page.evaluate(
        """() => {
          const pairs = [["--ink", "--paper"], ["--soft", "--paper"], ["--soft", "--back"],
            ["--blue", "--paper"], ["--red", "--red-back"], ["--amber", "--amber-back"],
            ["--green", "--green-back"]];
          const probe = document.body.appendChild(document.createElement("i"));
          const value = name => {
            probe.style.color = `var(${name})`;
            return getComputedStyle(probe).color;
          };
          return pairs.map(pair => pair.map(value));
        }"""
    )

    def luminance(color):
        parts = np.array([float(part) for part in color[4:-1].split(",")]) / 255
        linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    for pair in colors:
        dark, light = sorted(map(luminance, pair))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, pair
