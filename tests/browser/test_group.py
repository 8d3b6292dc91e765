"""The group report in a real browser."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from group_pages import names, write_session

from bids_stroke.qc import ratings
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
    page.keyboard.press("r")
    assert page.inner_text("#who") == "sub-2"
    page.keyboard.press("a")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#verdict") == "accept"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("r")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("x")
    page.keyboard.press("Escape")
    # The table is redrawn after the browser has closed the dialog.
    page.locator("#cohort .status.reject").wait_for()
    page.reload()
    path = tmp_path / "ratings.tsv"
    path.write_text(saved(page, "#export"), encoding="utf-8")
    assert path.read_text() == (
        "participant_id\tsession_id\trating\tnotes\n"
        "sub-1\tn/a\treject\tmoved a lot, r and a\nsub-2\tn/a\taccept\tn/a\n"
    )
    rated = ratings.read_ratings(path)
    assert (
        ratings.find_rejection(rated, "sub-1", "") is not None
        and ratings.find_rejection(rated, "sub-2", "") is None
    )


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
