"""Corrected masks, and masks to correct, in the group report."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from bids_stroke.reports.group.corrections import LISTED
from bids_stroke.reports.group.methods import describe_cohort
from bids_stroke.reports.group.report import group_report
from bids_stroke.reports.group.table import ExcludedSession

AGREEMENT = pd.DataFrame(
    {
        "participant_id": ["sub-1", "sub-2", "sub-3"],
        "corrected_by": ["Ada", "Bo", "Ada"],
        "corrected_on": ["2026-05-04T10:30:21.000Z", "2026-05-05T09:00:00.000Z", np.nan],
        "dice": [0.9, 0.5, 0.8],
        "volume_difference_ml": [1.0, -4.0, 2.5],
    }
)


def page_data(html):
    """Return the data of the script of a page."""
    (text,) = re.findall(r'<script[^>]*id="data"[^>]*>(.*?)</script>', html, re.DOTALL)
    return json.loads(text)


@pytest.fixture
def table():
    number = LISTED + 2
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{n}" for n in range(1, number + 1)],
            "qc_flags": [None, "bright", *[None] * (number - 2)],
            "model": "simstroke",
            "corrected_by": [None, None, "Ada", *[None] * (number - 3)],
            "lesion_volume_ml": 3.0,
            "mean_probability": [0.9 - n / 100 for n in range(number)],
        }
    )


def test_the_queue_is_in_the_order_of_the_command(tmp_path, table):
    (tmp_path / "sub-2.html").touch()
    html = group_report(tmp_path, table, failed=[ExcludedSession("sub-0")]).read_text()
    section = html.partition('id="queue"')[2].partition("</section>")[0]
    items = re.findall(r"<li>(.*?)</li>", section)
    link = '<a href="sub-2.html">sub-2</a>: failed check: bright; mean probability 0.89'
    assert items[:2] == [link, "sub-12: mean probability 0.79"] and len(items) == LISTED
    assert "1 further sessions" in section
    data = page_data(html)
    names = [data["rows"][row][0] for row in data["queue"]]
    assert names == ["sub-2", *(f"sub-{n}" for n in range(12, 3, -1)), "sub-1"]


def test_a_page_without_masks_to_correct(tmp_path):
    html = group_report(tmp_path, pd.DataFrame({"participant_id": ["sub-1"]})).read_text()
    assert 'id="queue"' not in html and 'id="agreement"' not in html


def test_the_agreement_with_corrected_masks(tmp_path, table):
    html = group_report(tmp_path, table, agreement=AGREEMENT).read_text()
    section = html.partition('id="agreement"')[2].partition("</section>")[0]
    assert "Corrected sessions: 3. Raters: Ada (2), Bo (1)." in section
    assert "median 0.80 (0.50 to 0.90)" in section and "median 1 ml (-4 to 2.5 ml)" in section
    assert section.count("<tr>") == 4
    assert "<td>2026-05-04 10:30</td>" in section


def test_the_methods_text(table):
    text = describe_cohort(table, [], agreement=AGREEMENT)
    assert "Raters corrected the lesion masks (sessions: 3)" in text
    assert "was 0.80 (median, range 0.50 to 0.90)." in text
    assert "corrected" not in describe_cohort(table, [])
