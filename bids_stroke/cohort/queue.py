"""Order in which to correct the lesion masks of a cohort."""

from typing import NamedTuple

import pandas as pd

from bids_stroke.bids.names import join_session_name, natural_key
from bids_stroke.bids.record import SUPPLIED_MASKS

from .table import numeric_column


class QueuedSession(NamedTuple):
    """Session whose mask may need a correction: its row in the table, its name, and the reasons."""

    row: int
    name: str
    reasons: list[str]


def order_corrections(table: pd.DataFrame) -> list[QueuedSession]:
    """Return the sessions of a group table in the order in which to correct their masks.

    Sessions that failed QC checks are first, those with more failed checks before the others. Among
    sessions with as many failed checks, a lower mean probability in the mask, which means a less
    certain mask, is first. Corrected and user-supplied masks are left out.

    Parameters
    ----------
    table : pandas.DataFrame
        Group table from :func:`bids_stroke.cohort.table.collect`, with any index.

    Examples
    --------
    >>> rows = {"participant_id": ["sub-01", "sub-02"], "mean_probability": [0.9, 0.4]}
    >>> [session.name for session in order_corrections(pd.DataFrame(rows))]
    ['sub-02', 'sub-01']
    """
    flags = _texts(table, "qc_flags").str.split("+").map(lambda names: list(filter(None, names)))
    probabilities = numeric_column(table, "mean_probability")
    names = [
        join_session_name(*key)
        for key in zip(table["participant_id"], _texts(table, "session_id"), strict=True)
    ]
    is_corrected = _texts(table, "corrected_by") != ""
    is_supplied = _texts(table, "model") == SUPPLIED_MASKS
    certainty = probabilities.fillna(1)
    rows = [row for row, out in enumerate(is_corrected | is_supplied) if not out]
    rows.sort(
        key=lambda row: (
            -len(flags.iloc[row]),
            certainty.iloc[row],
            natural_key(names[row]),
        )
    )
    return [
        QueuedSession(row, names[row], _reasons(flags.iloc[row], probabilities.iloc[row]))
        for row in rows
    ]


def _texts(table: pd.DataFrame, name: str) -> pd.Series:
    """Return a column as texts, which are empty for missing values and without the column."""
    values = table[name] if name in table else pd.Series("", index=table.index)
    return values.fillna("").astype(str)


def _reasons(flags: list[str], probability: float) -> list[str]:
    """Describe the failed checks and the uncertainty of a mask."""
    checks = [f"failed check: {', '.join(flags).replace('_', ' ')}"] if flags else []
    certainty = [] if pd.isna(probability) else [f"mean probability {probability:.2f}"]
    return checks + certainty
