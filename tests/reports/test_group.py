import json
import re

import numpy as np
import pandas as pd
import pytest

from bids_stroke.cohort import COLUMNS, described
from bids_stroke.reports.group import FIRST, group_report

HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "age": [70, 61, np.nan],
            "participant_id": ["sub-10", "sub-2", "sub-2"],
            "session_id": ["ses-1", "ses-2", "ses-1"],
            "lesion_volume_ml": [40.0, 0.0, 10.0],
            "hemisphere": ["left", np.nan, "right"],
            "unused": [np.nan] * 3,
        }
    )


def cells(path):
    """Titles and rows of the cohort's table, tags removed."""

    def plain(html):
        return re.sub(r"<[^>]*>", "", html).strip()

    html = path.read_text(encoding="utf-8").split('id="cohort">')[1].split("</table>")[0]
    titles = [plain(title) for title in re.findall(r"<th[ >].*?</th>", html)]
    rows = re.findall(r"<tr>\n<td.*?</tr>", html, re.DOTALL)
    return titles, [[plain(td) for td in re.findall(r"<td.*?</td>", row)] for row in rows]


def test_known_columns_first_and_participants_in_natural_order(tmp_path, table):
    titles, rows = cells(group_report(tmp_path, table))
    assert titles == [
        "Participant ID",
        "Session ID",
        "Status",
        "Lesion volume (ml)",
        "Hemisphere",
        "Age",
    ]
    assert rows == [
        ["sub-2", "ses-1", "done", "10", "right", "n/a"],
        ["sub-2", "ses-2", "no lesion found", "0", "n/a", "61"],
        ["sub-10", "ses-1", "done", "40", "left", "70"],
    ]


def test_numbers_on_top(tmp_path, table):
    (tmp_path / "dataset_description.json").write_text(
        json.dumps({"GeneratedBy": [{"Name": "bids_stroke", "Version": "9.8"}]})
    )
    html = group_report(tmp_path, table).read_text(encoding="utf-8")
    tiles = dict(re.findall(r'class="tile"><span>(.*?)</span><b>(.*?)</b>', html))
    assert tiles == {
        "Participants": "2",
        "Sessions measured": "3",
        "Sessions without a lesion": "1",
        "Sessions failed": "0",
        "Median lesion volume": "25 ml",
        "Quartiles of lesion volume": "17.5–32.5 ml",
    }
    assert "bids_stroke 9.8" in html


def test_only_reports_that_exist_are_linked(tmp_path, table):
    (tmp_path / "sub-2.html").touch()
    html = group_report(tmp_path, table).read_text(encoding="utf-8")
    assert set(re.findall(r'<a href="(sub.*?)">', html)) == {"sub-2.html"}


def test_failed_sessions_are_listed_and_in_the_table(tmp_path, table):
    failed = [{"participant_id": "sub-3", "session_id": "ses-1", "reason": "2D <image>"}]
    out = group_report(tmp_path, table, failed=failed)
    html = out.read_text(encoding="utf-8")
    assert "2D &lt;image&gt;" in html
    _, rows = cells(out)
    assert [row[0] for row in rows] == ["sub-2", "sub-2", "sub-3", "sub-10"]
    assert rows[2] == ["sub-3", "ses-1", "failed", "n/a", "n/a", "n/a"]


def test_what_comes_from_the_data_is_escaped(tmp_path):
    table = pd.DataFrame({"participant_id": [HOSTILE], HOSTILE: [HOSTILE]})
    failed = [{"participant_id": HOSTILE, "reason": HOSTILE}]
    (tmp_path / "dataset_description.json").write_text(
        json.dumps({"GeneratedBy": [{"Name": HOSTILE, "Version": HOSTILE}]})
    )
    html = group_report(tmp_path, table, failed=failed).read_text(encoding="utf-8")
    assert "alert(1)" in html and "<script>alert" not in html
    assert html.count("<script") == 1, "the page's own"


def test_the_page_holds_the_figure_and_loads_nothing(tmp_path, table):
    figure = tmp_path / "overlap.svg"
    figure.write_text('<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>\n')
    html = group_report(tmp_path, table, figure).read_text(encoding="utf-8")
    assert "<svg xmlns" in html and "<?xml" not in html
    assert not re.search(r"<(link|img|iframe|object)\b", html)
    assert not re.search(r"<script[^>]+src", html) and "url(" not in html


def test_participants_alone_or_failures_alone_make_a_report(tmp_path):
    titles, rows = cells(group_report(tmp_path, pd.DataFrame({"participant_id": ["sub-1"]})))
    assert titles == ["Participant ID", "Status"] and rows == [["sub-1", "done"]]
    empty = pd.DataFrame({"participant_id": []})
    failed = [{"participant_id": "sub-1", "reason": "no T1w"}]
    _, rows = cells(group_report(tmp_path, empty, failed=failed))
    assert rows == [["sub-1", "failed"]]


def test_the_first_columns_are_columns_of_the_cohort():
    assert {name for name in FIRST if not name.startswith("cst_")} <= {*COLUMNS, "status"}
    loads = [name for name in FIRST if name.startswith("cst_")]
    columns = described(dict.fromkeys([*loads, "cst_category_status"]))
    assert not any("participants.tsv" in columns[name]["Description"] for name in loads)


def test_summary_of_loads(tmp_path, table):
    summary = pd.DataFrame({"tract": ["cst"], "group": ["all"], "n_small": [3], "empty": [np.nan]})
    html = group_report(tmp_path, table, summary=summary).read_text(encoding="utf-8")
    assert 'id="loads"' in html and "Number of small" in html and "Empty" not in html
    assert 'id="loads"' not in group_report(tmp_path, table).read_text(encoding="utf-8")
