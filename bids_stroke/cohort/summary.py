"""Categories and loads of a cohort, by group."""

from typing import Any

import numpy as np
import pandas as pd

from bids_stroke.errors import UsageError

from .columns import CATEGORIES, tracts

#: Quantiles of :func:`bids_stroke.cohort.summary.summary`, by the part of a column's name, and what
#: they are called.
QUANTILES = {"median": (0.5, "Median"), "q1": (0.25, "First quartile"), "q3": (0.75, "Third quartile")}
#: Measures whose quantiles are in :func:`bids_stroke.cohort.summary.summary`.
MEASURES = {
    "lesion_volume": "lesion volume after normalization",
    "raw_load": "raw load of the affected side, that with the larger weighted load",
    "weighted_load": "weighted load of the affected side",
}
#: The columns of :func:`bids_stroke.cohort.summary.summary`.
SUMMARY_COLUMNS = {
    "tract": {"Description": "Tract: the start of its columns in group_lesion.tsv"},
    "group": {"Description": "Value of the column that sessions are grouped by; all: every session"},
    "n_sessions": {"Description": "Number of sessions"},
    **{
        f"n_{name}": {"Description": f"Number of sessions of category {name}"}
        for name in CATEGORIES[1:]
    },
    "n_none": {"Description": "Number of sessions without any load"},
    "category_status": {"Description": "Whether the cut-offs were derived on this tract map"},
    **{
        f"{measure}_{key}_ml": {"Description": f"{quantile} of the {text}", "Units": "mL"}
        for measure, text in MEASURES.items()
        for key, (_, quantile) in QUANTILES.items()
    },
}


def summary(table: pd.DataFrame, group_by: str | None = None) -> pd.DataFrame:
    """Count categories and summarize loads, of all sessions and of each group.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :func:`bids_stroke.cohort.table.collect`, with the columns of ``participants.tsv``.
    group_by : str, optional
        A column of ``participants.tsv``, or another of the table.

    Returns
    -------
    pandas.DataFrame
        A row for each tract and group; columns as in
        :data:`bids_stroke.cohort.summary.SUMMARY_COLUMNS`.

    Raises
    ------
    UsageError
        If there is no such column, or no session has a value in it.
    """
    groups = {"all": table}
    if group_by:
        groups |= _groups(table, group_by)
    return pd.DataFrame(
        [_summary_row(name, group, rows) for name in tracts(table) for group, rows in groups.items()],
        columns=list(SUMMARY_COLUMNS),
    )


def _groups(table: pd.DataFrame, group_by: str) -> dict[str, pd.DataFrame]:
    """Rows of the table by the values of a column."""
    clashing = f"participants_{group_by}"  # the column of participants.tsv, as it is merged
    column = clashing if clashing in table else group_by
    if column not in table:
        raise UsageError(f"participants.tsv has no column {group_by}; check --group-by.")
    groups = {str(value): rows for value, rows in table.groupby(column, dropna=True)}
    if not groups:
        raise UsageError(
            f"participants.tsv has no value of {group_by} for any session of the table; check "
            "--group-by, and participant_id against the names of the folders."
        )
    return groups


def affected_load(table: pd.DataFrame, name: str, measure: str = "weighted_load") -> pd.Series:
    """Load (ml) of the affected side, that with the larger weighted load, on the tract whose columns
    start with ``name``; a series."""
    left = table[f"{name}_weighted_load_ml_left"] >= table[f"{name}_weighted_load_ml_right"]
    return table[f"{name}_{measure}_ml_left"].where(left, table[f"{name}_{measure}_ml_right"])


def _summary_row(name: str, group: str, rows: pd.DataFrame) -> dict[str, Any]:
    values = {
        "lesion_volume": rows["lesion_volume_mni_ml"],
        "raw_load": affected_load(rows, name, "raw_load"),
        "weighted_load": affected_load(rows, name, "weighted_load"),
    }
    category = rows[f"{name}_category"].fillna("none")
    status = rows[f"{name}_category_status"].dropna().unique()
    return {
        "tract": name,
        "group": group,
        "n_sessions": len(rows),
        **{f"n_{kind}": int((category == kind).sum()) for kind in CATEGORIES},
        "category_status": "+".join(sorted(status)) or np.nan,
        **{
            f"{measure}_{key}_ml": numbers.quantile(quantile)
            for measure, numbers in values.items()
            for key, (quantile, _) in QUANTILES.items()
        },
    }
