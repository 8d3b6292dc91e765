"""Rows of the table of changes, their intervals and flags, and the sentences on sessions."""

from datetime import datetime

import longitudinals
import numpy as np
import pandas as pd
import pytest

from bids_stroke.bids.record import SUPPLIED_MASKS, Record
from bids_stroke.cohort import longitudinal, longitudinal_notes
from bids_stroke.cohort.longitudinal import Alignment, LesionSession
from bids_stroke.errors import DatasetError
from bids_stroke.lesion.changes import LesionChange


def session(label, volumes, interval=None, time=None, drawn_on="T1w", **fields):
    """Return the lesion of a session of sub-01."""
    content = {"model": "a", "weights_sha256": "1", "contrasts": ["T1w"], "reference": "T1w"} | fields
    record = Record(f"sub-01_{label}", "", "ok", **content)
    return LesionSession(record, drawn_on, volumes, interval, time and datetime.fromisoformat(time))


def table(before, after, changes=()):
    rows = longitudinal.change_rows(before, after, changes, 0.001, Alignment(0.1, 0.97))
    return longitudinal.change_table(rows).set_index("lesion")


def test_volumes_and_days():
    before = session("ses-1", (8.0, 2.0, 0.5), time="2020-01-01T12:00:00")
    after = session("ses-2", (12.0, 1.0), time="2020-01-31T00:00:00")
    changes = [LesionChange((1, 2), (1,), 9500), LesionChange((3,), (), 0), LesionChange((), (2,), 0)]
    rows = table(before, after, changes)
    assert rows["class"].tolist()[1:] == ["merged", "gone", "new"]
    assert rows["change_ml"].tolist() == pytest.approx([2.5, 2.0, -0.5, 1.0])
    assert rows["change_percent"].tolist()[:3] == pytest.approx([100 * 2.5 / 10.5, 20, -100])
    assert np.isnan(rows["change_percent"][3])
    assert rows["previous_components"].tolist()[1:3] == ["1+2", "3"]
    assert rows["shared_ml"]["all"] == pytest.approx(9.5)
    assert (rows["days"] == 29.5).all() and (rows["comparable"] == "yes").all()


def test_the_interval_combines_those_of_both_volumes():
    """The true volumes may be anywhere in their intervals."""
    rows = table(session("ses-1", (10.0,), (8.0, 13.0)), session("ses-2", (15.0,), (12.5, 19.0)))
    assert rows.loc["all", ["change_low90_ml", "change_high90_ml"]].tolist() == [-0.5, 11.0]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": "b"}, "model"),
        ({"weights_sha256": "2"}, "model"),
        ({"contrasts": ["T1w", "FLAIR"]}, "contrasts"),
        ({"corrected_by": "rater"}, "correction"),
        ({"model": "b", "contrasts": ["T2w"]}, "model+contrasts"),
    ],
)
def test_differences_of_the_masks_are_flagged(fields, expected):
    before = session("ses-1", (10.0,), (8.0, 13.0))
    after = session("ses-2", (15.0,), (12.5, 19.0), **fields)
    row = table(before, after).loc["all"]
    assert row["comparable"] == "no" and row["differences"] == expected
    assert row["change_ml"] == 5 and pd.isna(row["change_low90_ml"])
    (note,) = longitudinal_notes.notes_on_pairs([before, after])
    assert f"not comparable, because they differ in {expected.replace('+', ' and ')}" in note


def test_user_supplied_masks_on_different_contrasts_are_flagged():
    fields = {"model": SUPPLIED_MASKS, "weights_sha256": None, "contrasts": []}
    before = session("ses-1", (10.0,), **fields)
    after = session("ses-2", (10.0,), drawn_on="FLAIR", **fields)
    assert longitudinal.differences(before, after) == ["contrasts"]
    (note,) = longitudinal_notes.notes_on_pairs([before, before])
    assert "no interval, because the accuracy of user-supplied masks is unknown" in note


def test_a_missing_interval_has_a_reason():
    sessions = [session(f"ses-{number}", (10.0,)) for number in (1, 2)]
    (note,) = longitudinal_notes.notes_on_pairs(sessions)
    assert note.endswith("because the card of the model a states no volume interval for T1w.")
    sessions = [session("ses-1", (1.0,), (0.0, 2.0)), session("ses-2", (2.0,), (1.0, 3.0))]
    assert list(longitudinal_notes.notes_on_pairs(sessions)) == []


@pytest.mark.parametrize(
    ("alignment", "is_noted"),
    [(Alignment(0.1, 0.97), False), (Alignment(4, 0.97), True), (Alignment(0.1, 0.6), True)],
)
def test_misaligned_sessions_are_noted(alignment, is_noted):
    sessions = session("ses-1", (10.0,)), session("ses-2", (10.0,))
    changes = [LesionChange((1,), (1,), 9000)]
    rows = longitudinal.change_rows(*sessions, changes, 0.001, alignment)
    notes = list(longitudinal_notes.notes_on_alignment(rows))
    assert len(notes) == is_noted
    assert not notes or notes[0].startswith("ses-1 and ses-2 may be misaligned")


def test_order_of_sessions():
    labels = "ses-10", "ses-2", "ses-1"
    by_name = longitudinal.in_order([session(label, ()) for label in labels])
    assert [item.session for item in by_name] == ["ses-1", "ses-2", "ses-10"]
    assert list(longitudinal_notes.notes_on_order(by_name)) == []
    times = "2020-01-02", "2020-01-01", "2020-01-03"
    dated = [session(label, (), time=time) for label, time in zip(labels, times, strict=True)]
    by_time = longitudinal.in_order(dated)
    assert [item.session for item in by_time] == ["ses-2", "ses-10", "ses-1"]
    (note,) = longitudinal_notes.notes_on_order(by_time)
    assert "acq_time: ses-2, ses-10, ses-1." in note
    partly = longitudinal.in_order([*dated[:2], session("ses-1", ())])
    assert [item.session for item in partly] == ["ses-1", "ses-2", "ses-10"]


def test_a_session_is_read_from_its_table(tmp_path):
    lesions = [((-30, 10, 20), 12), ((25, -30, 10), 9)]
    record = longitudinals.session(tmp_path, "sub-01_ses-1", lesions, interval=(5, 15))
    result = longitudinal.read_session(tmp_path, record, "2020-01-01")
    assert result.session == "ses-1" and result.drawn_on == "T1w" and result.interval_ml == (5, 15)
    labels = longitudinal.read_components(tmp_path, result)
    counts = np.bincount(np.asarray(labels.dataobj).ravel())[1:]
    assert 0.027 * counts == pytest.approx(result.volumes_ml, rel=1e-4)
    path = record.require(tmp_path, "components")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    with pytest.raises(DatasetError, match="has 2 components, but its table has 0"):
        longitudinal.read_components(tmp_path, longitudinal.read_session(tmp_path, record))
