"""Categories and loads of a cohort, by group."""

import numpy as np
import pandas as pd

from bids_stroke.errors import UsageError

from .columns import CATEGORIES, tracts

#: The columns of :func:`summary`.
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
}
for _name, _text in {
    "lesion_volume": "lesion volume after normalization",
    "raw_load": "raw load of the affected side, that with the larger weighted load",
    "weighted_load": "weighted load of the affected side",
}.items():
    for _statistic, _long in {
        "median": "Median",
        "q1": "First quartile",
        "q3": "Third quartile",
    }.items():
        SUMMARY_COLUMNS[f"{_name}_{_statistic}_ml"] = {
            "Description": f"{_long} of the {_text}",
            "Units": "mL",
        }


def summary(table, group_by=None):
    """Count categories and summarize loads, of all sessions and of each group.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :func:`bids_stroke.cohort.table.collect`, with the columns of ``participants.tsv``.
    group_by : str, optional
        A column of it.

    Returns
    -------
    pandas.DataFrame
        A row for each tract and group; columns as in :data:`SUMMARY_COLUMNS`.

    Raises
    ------
    UsageError
        If there is no such column.
    """
    groups = {"all": table}
    if group_by:
        if group_by not in table:
            raise UsageError(f"participants.tsv has no column {group_by}; check --group-by.")
        groups |= {str(value): rows for value, rows in table.groupby(group_by, dropna=True)}
    return pd.DataFrame(
        [_summarized(name, group, rows) for name in tracts(table) for group, rows in groups.items()],
        columns=list(SUMMARY_COLUMNS),
    )


def affected_load(table, name, measure="weighted_load"):
    """Load (ml) of the affected side, that with the larger weighted load, on the tract whose columns
    start with ``name``; a series."""
    left = table[f"{name}_weighted_load_ml_left"] >= table[f"{name}_weighted_load_ml_right"]
    return table[f"{name}_{measure}_ml_left"].where(left, table[f"{name}_{measure}_ml_right"])


def _summarized(name, group, rows):
    values = {kind: affected_load(rows, name, kind) for kind in ("raw_load", "weighted_load")}
    values["lesion_volume"] = rows["lesion_volume_mni_ml"]
    category = rows[f"{name}_category"].fillna("none")
    status = rows[f"{name}_category_status"].dropna().unique()
    quartiles = {"median": 0.5, "q1": 0.25, "q3": 0.75}
    return {
        "tract": name,
        "group": group,
        "n_sessions": len(rows),
        **{f"n_{kind}": int((category == kind).sum()) for kind in CATEGORIES},
        "category_status": "+".join(sorted(status)) or np.nan,
        **{
            f"{measure}_{key}_ml": numbers.quantile(part)
            for measure, numbers in values.items()
            for key, part in quartiles.items()
        },
    }
