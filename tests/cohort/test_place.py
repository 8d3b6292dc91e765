"""Place of a session in its cohort."""

import os

import numpy as np
import pandas as pd
import pytest

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.cohort.place import Place, read_places, session_places


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "participant_id": ["sub-1", "sub-1", "sub-2", "sub-3", "sub-4"],
            "session_id": ["ses-1", "ses-2", "ses-1", "ses-1", np.nan],
            "lesion_volume_ml": [10.0, 5.0, 10.0, np.nan, 40.0],
            "lesion_volume_mni_ml": [11.0, 6.0, 11.0, 30.0, 41.0],
            "cst_weighted_load_ml_total": [1.0, 0.0, np.nan, 0.0, 3.0],
            "cst_max_slice_load_total": [0.5, 0.0, 0.2, 0.0, 1.0],
            "cst_category_status": "unvalidated",
        }
    )


def test_places_among_the_other_sessions(table):
    """The same value counts half; the session itself and missing values do not count."""
    places = session_places(table, table.iloc[0].to_dict())
    assert places == {
        "lesion_volume_ml": Place(10.0, 37.5, 4),  # 5 < 10 = 10 < 30 (in the template) < 40
        "cst_weighted_load_ml_total": Place(1.0, pytest.approx(200 / 3), 3),
        "cst_max_slice_load_total": Place(0.5, 75.0, 4),
    }


@pytest.mark.parametrize(("row", "percentile"), [(1, 0), (4, 100)])
def test_the_smallest_and_the_largest(table, row, percentile):
    place = session_places(table, table.iloc[row].to_dict())["lesion_volume_ml"]
    assert (place.percentile, place.sessions) == (percentile, 4)


def test_a_session_that_is_not_in_the_table(table):
    row = {"participant_id": "sub-9", "session_id": np.nan, "lesion_volume_mni_ml": 20.0}
    assert session_places(table, row) == {"lesion_volume_ml": Place(20.0, 60.0, 5)}


def test_a_cohort_of_one_session_has_no_places(table):
    assert session_places(table[:1], table.iloc[0].to_dict()) == {}


def test_places_are_those_of_the_latest_group_table(tmp_path, table):
    row = table.iloc[4].to_dict()
    assert read_places(tmp_path, row) == {}
    path = write_tsv(table, tmp_path / "group_lesion.tsv")
    assert read_places(tmp_path, row) == session_places(table, row)
    write_tsv(table[2:], path)
    os.utime(path, ns=(0, 0))  # a file with another time is read again
    assert read_places(tmp_path, row)["lesion_volume_ml"].sessions == 2
    write_tsv(table.assign(session_id=np.nan)[3:], path)
    os.utime(path, ns=(1, 1))
    assert read_places(tmp_path, row)["lesion_volume_ml"].sessions == 1


@pytest.mark.parametrize(
    "content", [b"", b"a\tb\n1\n", b"model\nx\n", b"participant_id\tsession_id\n\xff"]
)
def test_a_session_does_not_depend_on_a_damaged_group_table(tmp_path, table, content):
    (tmp_path / "group_lesion.tsv").write_bytes(content)
    assert read_places(tmp_path, table.iloc[0].to_dict()) == {}
