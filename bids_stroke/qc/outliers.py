"""Quality control of a cohort: sessions that stand out."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bids_stroke.bids.names import TRACE

from . import image_quality
from .ratings import KEYS
from .robust import robust_z

#: What sessions are screened by: the end of a column's name, and whether its logarithm is taken.
MEASURES = {
    "brain_volume_ml": False,
    "template_brain_dice": False,
    "similarity": False,
    "snr": True,
    "cnr": True,
    "mean_probability": False,
    "lesion_volume_ml": True,
}
LIMIT = 3.5  # of the robust z-score (Iglewicz and Hoaglin 1993)
MIN_SESSIONS = 8  # sessions that an outlier can stand out of
_CONTRASTS = {name.upper() for name in (*image_quality.CONTRASTS, TRACE)}


def outliers(table: pd.DataFrame) -> pd.DataFrame:
    """Find the sessions that stand out of the cohort.

    Sessions are compared with those that have the same reference image. Measures that are skewed
    (SNR, CNR, the lesion's volume) are compared by their logarithm.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :func:`bids_stroke.cohort.table.collect`.

    Returns
    -------
    pandas.DataFrame
        ``participant_id``, ``session_id``, ``measure`` (column), ``value``, ``median`` of the
        compared sessions, and ``z``; the largest first.
    """
    measures = {column: measure for column in map(str, table) if (measure := _measure_of(column))}
    rows = [
        row
        for _, group in table.groupby("reference", dropna=False)
        for column, measure in measures.items()
        for row in _outliers_of(group, column, skewed=MEASURES[measure])
    ]
    result = pd.DataFrame(rows, columns=[*KEYS, "measure", "value", "median", "z"])
    return result.sort_values("z", key=np.abs, ascending=False, kind="stable", ignore_index=True)


def _measure_of(column: str) -> str | None:
    """The measure that a column is of: ``snr`` of ``flair_snr``; None for other columns."""
    start, _, rest = column.partition("_")
    measure = rest if start.upper() in _CONTRASTS else column
    return measure if measure in MEASURES else None


def _outliers_of(group: pd.DataFrame, column: str, *, skewed: bool) -> Iterator[dict[str, Any]]:
    """Rows of the sessions of a group that stand out by one column."""
    values = pd.to_numeric(group[column], errors="coerce")
    compared = np.log(values.where(values > 0)) if skewed else values
    if compared.notna().sum() < MIN_SESSIONS:
        return
    scores = robust_z(compared)
    for index in scores.index[scores.abs() > LIMIT]:
        yield {
            **{key: group.at[index, key] for key in KEYS},
            "measure": column,
            "value": values[index],
            "median": values.median(),
            "z": scores[index],
        }
