"""Plot of the volumes of several sessions."""

import re
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from bids_stroke.bids.record import Record
from bids_stroke.cohort.longitudinal import Alignment, LesionSession, change_rows, change_table
from bids_stroke.lesion.changes import LesionChange
from bids_stroke.reports.figures.longitudinal import draw_changes


def sessions(days, interval=None, models=("a", "a", "a")):
    """Return three sessions with two components each; ``days`` are None without acquisition times."""
    start = datetime(2020, 1, 1)
    return [
        LesionSession(
            Record(f"sub-01_ses-{number}", "", "ok", model=model, contrasts=["T1w"]),
            "T1w",
            (8.0 + number, 1.0),
            interval,
            None if day is None else start + timedelta(days=day),
        )
        for number, (day, model) in enumerate(zip(days, models, strict=True), 1)
    ]


def drawn(folder, compared):
    """Draw the plot of sessions in which the small component disappears and reappears."""
    changes = [LesionChange((1,), (1,), 1), LesionChange((2,), (), 0), LesionChange((), (2,), 0)]
    rows = [
        row
        for pair in pairwise(compared)
        for row in change_rows(*pair, changes, 0.001, Alignment(0, 1))
    ]
    return draw_changes(compared, change_table(rows), folder / "plot.svg").read_text()


def texts(svg):
    """Return the texts of a plot; matplotlib draws their letters, and adds the text as comments."""
    return {text.strip() for text in re.findall(r"<!--(.*?)-->", svg, re.DOTALL)}


def test_days_and_intervals(tmp_path):
    shown = texts(drawn(tmp_path, sessions((0, 30, 75.4), (5.0, 20.0))))
    assert {"entire lesion", "component", "new component", "gone component", "95% interval"} <= shown
    assert {"ses-1", "0 d", "ses-2", "30 d", "ses-3", "75 d"} <= shown


@pytest.mark.parametrize("days", [(None, None, None), (0, 30, None)])
def test_without_all_times_sessions_have_equal_distances(tmp_path, days):
    shown = texts(drawn(tmp_path, sessions(days)))
    assert {"Session", "ses-1", "ses-2", "ses-3"} <= shown and "95% interval" not in shown


def test_lines_of_incomparable_sessions_are_dashed(tmp_path):
    assert "stroke-dasharray" not in drawn(tmp_path, sessions((0, 30, 60))).partition("legend")[0]
    svg = drawn(tmp_path, sessions((0, 30, 60), models=("a", "a", "b")))
    assert "stroke-dasharray: 8" in svg.partition("legend")[0]
