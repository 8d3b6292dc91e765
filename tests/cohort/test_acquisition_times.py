"""Acquisition times from sessions.tsv."""

import pytest

from bids_stroke.cohort.acquisition_times import read_times

SESSIONS = ["ses-1", "ses-2"]


def times(folder, text):
    """Write a sessions.tsv and read its times."""
    (folder / "sub-01").mkdir()
    (folder / "sub-01/sub-01_sessions.tsv").write_text(text)
    return read_times(folder, "sub-01", SESSIONS)


def test_labels_may_lack_their_prefix(tmp_path):
    text = "session_id\tacq_time\nses-1\t1902-03-01T10:00:00\n2\t1902-04-01\nses-3\tlater\n"
    result = times(tmp_path, text)
    assert result.times == {"ses-1": "1902-03-01T10:00:00", "ses-2": "1902-04-01"}
    assert result.problem is None, "other sessions do not matter"


@pytest.mark.parametrize(
    ("text", "known_times", "problem"),
    [
        ("session_id\tage\nses-1\t61\n", [], "has no column acq_time"),
        ("session_id\tacq_time\nses-1\tn/a\nses-2\tsoon\n", [], "no valid acq_time of ses-1, ses-2"),
        ("session_id\tacq_time\nses-1\t1902-03-01\n", ["ses-1"], "no valid acq_time of ses-2"),
        ("acq_time\n1902-03-01\n", [], "has no column session_id"),
    ],
)
def test_missing_times_have_a_reason(tmp_path, text, known_times, problem):
    result = times(tmp_path, text)
    assert list(result.times) == known_times
    assert problem in result.problem and "sub-01_sessions.tsv" in result.problem


def test_a_missing_file_has_a_reason(tmp_path):
    assert read_times(tmp_path, "sub-01", SESSIONS).problem == (
        "sub-01_sessions.tsv is missing, so the days between sessions are unknown."
    )
