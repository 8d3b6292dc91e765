"""Percentiles of a session in its cohort: lesion volume and tract loads."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bids_stroke.qc.ratings import KEYS
from bids_stroke.utils.files import PathLike

from .columns import tract_prefixes
from .table import lesion_volumes, numeric_column

GROUP_TABLE = "group_lesion.tsv"
#: Loads of a tract with percentiles, without the prefix of their columns.
_LOADS = ("weighted_load_ml_total", "max_slice_load_total")


@dataclass(frozen=True)
class Place:
    """Percentile of a session among the other sessions of a cohort.

    Attributes
    ----------
    value : float
        Value of the session.
    percentile : float
        Percentage of the other sessions with a smaller value; sessions with the same value count half.
    sessions : int
        Number of the other sessions.
    """

    value: float
    percentile: float
    sessions: int


def session_places(table: pd.DataFrame, row: Mapping[str, Any]) -> dict[str, Place]:
    """Return the percentiles of a session by measure.

    Parameters
    ----------
    table : pandas.DataFrame
        Group table from :func:`bids_stroke.cohort.table.collect`. It may contain the session.
    row : mapping
        Row of the session, from :func:`bids_stroke.cohort.table.session_row`.

    Returns
    -------
    dict of str to Place
        ``lesion_volume_ml``, native or in the template if there is no native volume, and the loads of
        each tract in the table. Measures that the session or all others lack are omitted.

    Examples
    --------
    >>> table = pd.DataFrame({"participant_id": list("abcd"), "session_id": np.nan,
    ...                       "lesion_volume_ml": [1.0, 5.0, 20.0, 80.0]})
    >>> session_places(table, {"participant_id": "c", "lesion_volume_ml": 20.0})
    {'lesion_volume_ml': Place(value=20.0, percentile=66.66666666666667, sessions=3)}
    """
    others = _measures(table[~_is_session(table, row)])
    session = _measures(pd.DataFrame([row]))
    return _places(pd.concat([others, session], ignore_index=True))[-1]


def cohort_places(table: pd.DataFrame) -> list[dict[str, Place]]:
    """Return the percentiles of each session of a group table, as :func:`session_places` does."""
    return _places(_measures(table))


def _measures(table: pd.DataFrame) -> pd.DataFrame:
    """Return the measures with percentiles, with missing values as NaN."""
    loads = [f"{tract}_{load}" for tract in tract_prefixes(table) for load in _LOADS]
    columns = {name: numeric_column(table, name) for name in loads if name in table}
    return pd.DataFrame({"lesion_volume_ml": lesion_volumes(table), **columns})


def _places(measures: pd.DataFrame) -> list[dict[str, Place]]:
    """Return the percentiles of each row; measures that it or all other rows lack are omitted."""
    others = measures.notna().sum().to_numpy() - 1
    # The mean rank of equal values exceeds the number of smaller values by one half for each of them.
    percentiles = 100 * (measures.rank().to_numpy() - 1) / np.maximum(others, 1)
    names = list(map(str, measures))
    return [
        {
            name: Place(float(value), float(percentile), int(number))
            for name, value, percentile, number in zip(names, row, ranks, others, strict=True)
            if np.isfinite(value) and number
        }
        for row, ranks in zip(measures.to_numpy(float), percentiles, strict=True)
    ]


def read_places(output_dir: PathLike, row: Mapping[str, Any]) -> dict[str, Place]:
    """Return the percentiles of a session in the cohort of the latest run of the group level.

    Parameters
    ----------
    output_dir : path
    row : mapping
        Row of the session, from :func:`bids_stroke.cohort.table.session_row`.

    Returns
    -------
    dict of str to Place
        See :func:`session_places`; empty if the group level has not run, or its table cannot be read: a
        session does not depend on it.
    """
    path = Path(output_dir) / GROUP_TABLE
    try:
        table = _read(path, path.stat().st_mtime_ns)
    except (OSError, ValueError):
        return {}
    return session_places(table, row) if set(KEYS) <= set(table) else {}


@lru_cache(maxsize=1)
def _read(path: Path, modified: int) -> pd.DataFrame:
    """Read a group table, once for each version of the file."""
    return pd.read_csv(path, sep="\t", dtype={"participant_id": str, "session_id": str})


def _is_session(table: pd.DataFrame, row: Mapping[str, Any]) -> pd.Series:
    session = row.get("session_id", np.nan)
    sessions = table["session_id"]
    is_same = sessions.isna() if pd.isna(session) else sessions == session
    return (table["participant_id"] == row["participant_id"]) & is_same
