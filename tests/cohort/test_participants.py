import numpy as np
import pandas as pd
import pytest

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.cohort import participants
from bids_stroke.errors import DatasetError

TABLE = pd.DataFrame(
    {
        "participant_id": ["sub-01", "sub-01", "sub-02"],
        "session_id": ["ses-1", "ses-2", np.nan],
        "model": ["m", "m", "m"],
    }
)


def merge(tmp_path, text, encoding="utf-8"):
    (tmp_path / "participants.tsv").write_bytes(text.encode(encoding))
    people = participants.read_participants(tmp_path / "participants.tsv")
    return participants.merge_participants(TABLE, people)


def test_participants_are_merged_in_the_order_of_the_table(tmp_path):
    text = "participant_id\tage\tnihss\nsub-02\t060\tn/a\nsub-09\t5\t6\nsub-01\t71\t4\n"
    merged = merge(tmp_path, text)
    assert merged["participant_id"].tolist() == ["sub-01", "sub-01", "sub-02"]
    assert merged["age"].tolist() == ["71", "71", "060"]  # as text
    assert merged["nihss"].tolist()[:2] == ["4", "4"] and pd.isna(merged["nihss"][2])


def test_participants_without_a_row(tmp_path):
    merged = merge(tmp_path, "participant_id\tage\nsub-01\t71\n")
    assert len(merged) == 3 and pd.isna(merged["age"][2])


def test_conflicting_columns_are_renamed(tmp_path):
    merged = merge(tmp_path, "participant_id\tsession_id\tmodel\nsub-01\tx\ty\n")
    assert merged["session_id"].tolist()[:2] == ["ses-1", "ses-2"]
    assert merged["model"].tolist() == ["m", "m", "m"]
    assert merged["participants_session_id"][0] == "x"
    assert merged["participants_model"][0] == "y"


def test_equal_rows_of_a_participant_count_once(tmp_path):
    merged = merge(tmp_path, "participant_id\tage\nsub-01\t71\nsub-01\t71\nsub-02\t5\n")
    assert merged["age"].tolist() == ["71", "71", "5"]


def test_rows_without_a_label_are_ignored(tmp_path):
    rows = "sub-02\t71\nn/a\t5\n\t6\nn/a\t7\n"
    (tmp_path / "participants.tsv").write_text(f"participant_id\tage\n{rows}")
    people = participants.read_participants(tmp_path / "participants.tsv")
    assert people["participant_id"].tolist() == ["sub-02"]


def test_a_table_from_a_spreadsheet(tmp_path):
    # Byte order mark, Windows line ends, an empty cell, a tab too many at the ends of rows.
    text = "\ufeffparticipant_id\tage\tsex\r\nsub-01\t71\tF\t\r\nsub-02\t\tM\t\r\n"
    merged = merge(tmp_path, text)
    assert merged["sex"].tolist() == ["F", "F", "M"]
    assert merged["age"].tolist()[:2] == ["71", "71"] and pd.isna(merged["age"][2])
    path = write_tsv(merged, tmp_path / "x.tsv")
    assert path.read_text().splitlines()[3] == "sub-02\tn/a\tm\tn/a\tM"


@pytest.mark.parametrize(
    "text, encoding, message",
    [
        ("id\tage\n1\t2\n", "utf-8", "no column participant_id"),
        ("participant_id\tage\nsub-01\t1\nsub-01\t2\n", "utf-8", "different rows for sub-01"),
        ("participant_id,age\nsub-01,2\n", "utf-8", "no column participant_id"),
        ("", "utf-8", "not a tab-separated table"),
        ("participant_id\tcity\nsub-01\tDüsseldorf\n", "latin-1", "not a tab-separated table"),
        ("participant_id\tage\nsub-01\t2\n", "utf-16", "not a tab-separated table"),
    ],
)
def test_invalid_participants_tsv(tmp_path, text, encoding, message):
    with pytest.raises(DatasetError, match=message) as caught:
        merge(tmp_path, text, encoding)
    assert "participants.tsv" in str(caught.value) and "\n" not in str(caught.value)


def test_no_participants_tsv(tmp_path):
    people = participants.read_participants(tmp_path / "participants.tsv")
    merged = participants.merge_participants(TABLE, people)
    pd.testing.assert_frame_equal(merged, TABLE)
