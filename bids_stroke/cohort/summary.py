"""Summary of loads and load categories of a cohort, by group."""

from typing import Any

import numpy as np
import pandas as pd

from bids_stroke.atlases import load_columns
from bids_stroke.errors import UsageError

from .columns import CATEGORIES, tract_prefixes

#: Quantiles of :func:`bids_stroke.cohort.summary.summary` and their descriptions, by the name in the
#: columns.
QUANTILES = {"median": (0.5, "Median"), "q1": (0.25, "First quartile"), "q3": (0.75, "Third quartile")}
#: Measures (ml) whose quantiles :func:`bids_stroke.cohort.summary.summary` computes.
MEASURES = {
    "lesion_volume": "lesion volume after normalization",
    "raw_load": "raw load of both sides",
    "weighted_load": "weighted load of both sides",
}
_SHARE = "largest share of a cross-section of the tract, larger side"
#: The columns of :func:`bids_stroke.cohort.summary.summary`.
SUMMARY_COLUMNS = {
    "tract": {
        "Description": "Tract: prefix of its columns in group_lesion.tsv; cst for the default tract"
    },
    "group": {"Description": "Value of the column by which sessions are grouped; all: all sessions"},
    "n_sessions": {"Description": "Number of sessions"},
    **{
        f"{measure}_{key}_ml": {"Description": f"{quantile} of the {text}", "Units": "mL"}
        for measure, text in MEASURES.items()
        for key, (_, quantile) in QUANTILES.items()
    },
    **{
        f"max_slice_load_{key}": {"Description": f"{quantile} of the {_SHARE} (0-1)"}
        for key, (_, quantile) in QUANTILES.items()
    },
    **{
        f"n_{name}": {"Description": f"Number of sessions in category {name}"}
        for name in CATEGORIES[1:]
    },
    "n_none": {
        "Description": "Number of sessions without a category: no load on the tract, or no cut-offs"
    },
    "category_status": load_columns.COLUMNS["category_status"],
}


def summary(table: pd.DataFrame, group_by: str | None = None) -> pd.DataFrame:
    """Summarize loads and count load categories for all sessions and for each group.

    Parameters
    ----------
    table : pandas.DataFrame
        Group table from :func:`bids_stroke.cohort.table.collect`, with the columns of
        ``participants.tsv``.
    group_by : str, optional
        Column of ``participants.tsv``, or another column of the table.

    Returns
    -------
    pandas.DataFrame
        A row for each tract and group; columns as in
        :data:`bids_stroke.cohort.summary.SUMMARY_COLUMNS`.

    Raises
    ------
    UsageError
        If the column does not exist or has no value for any session.
    """
    groups = {"all": table}
    if group_by:
        groups |= _groups(table, group_by)
    return pd.DataFrame(
        [
            _summary_row(name, group, rows)
            for name in tract_prefixes(table)
            for group, rows in groups.items()
        ],
        columns=list(SUMMARY_COLUMNS),
    )


def _groups(table: pd.DataFrame, group_by: str) -> dict[str, pd.DataFrame]:
    """Group the rows of the table by the values of a column."""
    prefixed = f"participants_{group_by}"  # column of participants.tsv with a conflicting name
    column = prefixed if prefixed in table else group_by
    if column not in table:
        raise UsageError(f"participants.tsv has no column {group_by}; check --group-by.")
    groups = {str(value): rows for value, rows in table.groupby(column, dropna=True)}
    if not groups:
        raise UsageError(
            f"participants.tsv has no value of {group_by} for any session; check --group-by, and that "
            "participant_id matches the folder names."
        )
    return groups


def _summary_row(name: str, group: str, rows: pd.DataFrame) -> dict[str, Any]:
    values = {
        "lesion_volume": rows["lesion_volume_mni_ml"],
        "raw_load": rows[f"{name}_raw_load_ml_total"],
        "weighted_load": rows[f"{name}_weighted_load_ml_total"],
    }
    share = rows[f"{name}_max_slice_load_total"]
    category = rows[f"{name}_category"].fillna("none")
    status = rows[f"{name}_category_status"].dropna().unique()
    return {
        "tract": name,
        "group": group,
        "n_sessions": len(rows),
        **{
            f"{measure}_{key}_ml": numbers.quantile(quantile)
            for measure, numbers in values.items()
            for key, (quantile, _) in QUANTILES.items()
        },
        **{f"max_slice_load_{key}": share.quantile(q) for key, (q, _) in QUANTILES.items()},
        **{f"n_{kind}": int((category == kind).sum()) for kind in CATEGORIES},
        "category_status": "+".join(sorted(status)) or np.nan,
    }
