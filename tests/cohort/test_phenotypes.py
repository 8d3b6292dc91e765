"""Columns of participants.tsv, sessions.tsv and phenotype tables."""

import json

import numpy as np
import pandas as pd
import pytest

from bids_stroke.cohort.coding import code_covariate
from bids_stroke.cohort.phenotypes import Tables
from bids_stroke.errors import DatasetError

SESSIONS = {"sub-01": "ses-2", "sub-02": "ses-1", "sub-03": ""}
MEASURED = pd.DataFrame({"participant_id": list(SESSIONS), "hemisphere": ["left", np.nan, "right"]})


def write(path, *rows):
    """Write a table whose cells are separated by blanks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(row.split(" ")) + "\n" for row in rows))
    return path


@pytest.fixture
def bids(tmp_path):
    """Dataset with a participants.tsv in another order."""
    write(
        tmp_path / "bids/participants.tsv",
        *("participant_id age nihss", "sub-03 58 3", "sub-09 1 2", "sub-01 61 n/a", "02 70 12"),
    )
    return tmp_path / "bids"


def values(tables, name):
    """Return the texts of a column in the order of the participants; None if missing."""
    texts = tables.column(name).texts
    assert texts.index.tolist() == list(SESSIONS)
    return texts.astype(object).where(texts.notna(), None).tolist()


def test_participants(bids):
    column = Tables(bids, SESSIONS, MEASURED).column("nihss")
    assert (column.name, column.source) == ("nihss", "participants.tsv")
    assert values(Tables(bids, SESSIONS, MEASURED), "nihss") == [None, "12", "3"]


def test_the_hemisphere_is_a_covariate(tmp_path):
    column = Tables(tmp_path, SESSIONS, MEASURED).column("hemisphere")
    assert column.source == "group_lesion.tsv"
    assert code_covariate(column)["hemisphere: right"].fillna(-1).tolist() == [0, -1, 1]


def test_a_session_id_in_participants_tsv_does_not_select_rows(bids):
    """The table has one row for each participant; the column may describe anything."""
    write(bids / "participants.tsv", "participant_id session_id nihss", "01 1 4", "02 V1 5", "03 n/a 6")
    assert values(Tables(bids, SESSIONS, MEASURED), "nihss") == ["4", "5", "6"]


def test_sessions_of_participants(bids):
    """The row of the selected session counts."""
    write(bids / "sub-01/sub-01_sessions.tsv", "session_id mrs", "ses-1 1", "2 3")
    write(bids / "sub-02/sub-02_sessions.tsv", "session_id mrs days", "ses-1 4 10", "ses-2 5 100")
    tables = Tables(bids, SESSIONS, MEASURED)
    assert values(tables, "mrs") == ["3", "4", None]
    assert values(tables, "days") == [None, "10", None]
    assert tables.column("mrs").source == "sessions.tsv"


def test_a_phenotype_of_participants(bids, tmp_path):
    path = write(tmp_path / "scores.tsv", "participant_id mrs", "sub-02 4", "01 3")
    assert values(Tables(bids, SESSIONS, MEASURED, path), "mrs") == ["3", "4", None]


def test_a_phenotype_of_sessions(bids, tmp_path):
    """A participant without sessions has a row without session, or with n/a."""
    for missing in ("n/a", ""):
        path = write(
            tmp_path / "scores.tsv",
            *("participant_id session_id mrs", "01 1 1", "01 ses-2 3", "02 2 6", f"03 {missing} 5"),
        )
        tables = Tables(bids, SESSIONS, MEASURED, path)
        assert values(tables, "mrs") == ["3", None, "5"]
        assert tables.column("mrs").source == "scores.tsv"


def test_a_phenotype_with_the_name_of_another_table(bids, tmp_path):
    path = write(tmp_path / "clinic/participants.tsv", "participant_id mrs age", "01 3 60", "02 4 70")
    tables = Tables(bids, SESSIONS, MEASURED, path)
    assert values(tables, "mrs") == ["3", "4", None] and values(tables, "nihss") == [None, "12", "3"]
    with pytest.raises(
        DatasetError, match=r"The column age is in .*bids/participants.tsv and .*clinic/"
    ):
        tables.column("age")


def test_participants_tsv_as_phenotype(bids):
    tables = Tables(bids, SESSIONS, MEASURED, bids / "participants.tsv")
    assert values(tables, "nihss") == [None, "12", "3"]


def test_sidecars(bids, tmp_path):
    description = {
        "age": {"Units": "year"},
        "nihss": {"Levels": {"0": "none", "1": "mild"}},
        "sex": "female or male",
    }
    (bids / "participants.json").write_text(json.dumps(description))
    (bids / "sessions.json").write_text('\ufeff{"mrs": {"Levels": ["none", "mild"]}}', "utf-8")
    write(bids / "sub-01/sub-01_sessions.tsv", "session_id mrs", "2 mild")
    path = write(tmp_path / "scores.tsv", "participant_id sex", "01 F")
    (tmp_path / "scores.json").write_text('{"sex": {"Levels": {"F": "female", "M": "male"}}}')
    tables = Tables(bids, SESSIONS, MEASURED, path)
    columns = {name: tables.column(name) for name in ("age", "nihss", "mrs", "sex", "hemisphere")}
    assert {name: column.levels for name, column in columns.items()} == {
        "age": (),
        "nihss": ("0", "1"),
        "mrs": ("none", "mild"),
        "sex": ("F", "M"),
        "hemisphere": (),
    }
    assert [name for name, column in columns.items() if column.has_units] == ["age"]


@pytest.mark.parametrize("content", ["[]", '{"nihss": ["x"]}', '{"nihss": {"Levels": "0-42"}}', "{}"])
def test_a_sidecar_without_levels(bids, content):
    (bids / "participants.json").write_text(content)
    assert Tables(bids, SESSIONS, MEASURED).column("nihss").levels == ()


def test_a_damaged_sidecar(bids):
    (bids / "participants.json").write_text('{"nihss": ')
    with pytest.raises(DatasetError, match=r"participants.json is not valid JSON .*; fix the file"):
        Tables(bids, SESSIONS, MEASURED).column("nihss")


def test_a_column_of_two_tables_is_refused(bids, tmp_path):
    path = write(tmp_path / "scores.tsv", "participant_id nihss", "01 3")
    with pytest.raises(
        DatasetError,
        match=r"column nihss is in .*/participants.tsv and .*/scores.tsv; rename it in one",
    ):
        Tables(bids, SESSIONS, MEASURED, path).column("nihss")
    write(bids / "participants.tsv", "participant_id hemisphere", "01 dominant")
    with pytest.raises(
        DatasetError, match=r"hemisphere is in group_lesion.tsv and .*/participants.tsv;"
    ):
        Tables(bids, SESSIONS, MEASURED).column("hemisphere")


@pytest.mark.parametrize("name", ["NIHSS", "participant_id", "session_id"])
def test_a_missing_column_lists_the_columns(bids, tmp_path, name):
    path = write(tmp_path / "scores.tsv", "participant_id session_id mrs", "01 2 3")
    with pytest.raises(DatasetError) as caught:
        Tables(bids, SESSIONS, MEASURED, path).column(name)
    assert str(caught.value) == f"There is no column {name}; choose one of hemisphere, age, nihss, mrs."


def test_no_tables(tmp_path):
    with pytest.raises(DatasetError, match="because there is no table with outcomes; add participants"):
        Tables(tmp_path, SESSIONS, MEASURED[["participant_id"]]).column("nihss")


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        (
            "scores.tsv",
            ("participant_id mrs", "01 3", "01 4"),
            "scores.tsv has different rows for sub-01",
        ),
        (
            "scores.tsv",
            ("participant_id session_id mrs", "01 2 3", "02 1 3", "sub-02 ses-1 4"),
            "scores.tsv has different rows for sub-02 ses-1; keep one row for each session",
        ),
        ("scores.tsv", ("id mrs", "01 3"), "scores.tsv has no column participant_id; add it"),
        ("bids/participants.tsv", ("participant_id mrs", "01 3", "01 4"), "different rows for sub-01"),
        ("bids/sub-01/sub-01_sessions.tsv", ("session mrs", "2 1"), "no column session_id; add it"),
        (
            "bids/sub-01/sub-01_sessions.tsv",
            ("session_id mrs", "2 1", "ses-2 2"),
            "sub-01_sessions.tsv has different rows for ses-2",
        ),
    ],
)
def test_tables_that_cannot_be_used(bids, tmp_path, name, rows, message):
    path = write(tmp_path / name, *rows)
    phenotype = path if name == "scores.tsv" else None
    with pytest.raises(DatasetError, match=message) as caught:
        Tables(bids, SESSIONS, MEASURED, phenotype)
    assert str(path) in str(caught.value)


def test_equal_rows_of_a_phenotype_count_once(bids, tmp_path):
    path = write(tmp_path / "scores.tsv", "participant_id mrs", "01 3", "sub-01 3", "02 4")
    assert values(Tables(bids, SESSIONS, MEASURED, path), "mrs") == ["3", "4", None]


def test_a_missing_phenotype(bids):
    with pytest.raises(DatasetError, match=r"scores.tsv does not exist; check --phenotype"):
        Tables(bids, SESSIONS, MEASURED, bids / "scores.tsv")
