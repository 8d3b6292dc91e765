"""Agreement of models with corrected masks at the group level."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bids_stroke.bids.derivatives import write_described
from bids_stroke.bids.names import split_session_name
from bids_stroke.bids.record import Record
from bids_stroke.cohort.columns import COLUMNS as COHORT_COLUMNS
from bids_stroke.cohort.columns import Description
from bids_stroke.cohort.table import read_rows
from bids_stroke.evaluation.correction import COLUMNS as AGREEMENT

#: Name of the table, without extension.
TABLE = "group_agreement"
_KEYS = ("participant_id", "session_id", "model", "corrected_by")
COLUMNS: dict[str, Description] = {
    **{name: COHORT_COLUMNS[name] for name in _KEYS},
    "corrected_on": {"Description": "Date and time of the correction"},
    **AGREEMENT,
}


def write_agreement(out: Path, records: Sequence[Record]) -> pd.DataFrame | None:
    """Write the table with a row for each corrected session, or remove that of an earlier run.

    Returns
    -------
    pandas.DataFrame or None
        The table, or None without a corrected session.
    """
    rows = []
    for record in records:
        path = record.path(out, "agreement")
        if path is None:
            continue
        participant, session = split_session_name(record.name)
        keys = (participant, session or np.nan, record.model, record.corrected_by, record.corrected_on)
        rows.append(dict(zip(COLUMNS, keys, strict=False)) | read_rows(path)[0])
    table = pd.DataFrame(rows, columns=list(COLUMNS)) if rows else None
    write_described(table, COLUMNS, out / TABLE)
    return table
