"""Outlier sessions of a cohort."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bids_stroke.bids.diffusion import DIFFUSION

from . import image_quality
from .ratings import KEYS
from .robust import robust_z

#: Measures that are screened for outliers, and whether their logarithm is compared.
MEASURES = {
    "brain_volume_ml": False,
    "template_brain_dice": False,
    "similarity": False,
    "snr": True,
    "cnr": True,
    "mean_probability": False,
    "lesion_volume_ml": True,
    "relative_lesion_scaling": True,
}
LIMIT = 3.5  # absolute robust z-score (Iglewicz and Hoaglin 1993)
MIN_SESSIONS = 8  # smallest group in which outliers are determined
_CONTRASTS = {name.upper() for name in (*image_quality.CONTRASTS, *DIFFUSION)}


def outliers(table: pd.DataFrame) -> pd.DataFrame:
    """Find the outlier sessions of a cohort.

    Sessions with the same contrast as the reference image are compared with each other. Skewed measures
    (SNR, CNR, lesion volume and scaling) are compared by their logarithm.

    Parameters
    ----------
    table : pandas.DataFrame
        Group table from :func:`bids_stroke.cohort.table.collect`.

    Returns
    -------
    pandas.DataFrame
        ``participant_id``, ``session_id``, ``measure`` (column), ``value``, ``median`` of the
        compared sessions, and ``z``; sorted by decreasing absolute ``z``.
    """
    measures = {column: measure for column in map(str, table) if (measure := _measure_of(column))}
    rows = [
        row
        for _, group in table.groupby("reference", dropna=False)
        for column, measure in measures.items()
        for row in _column_outliers(group, column, skewed=MEASURES[measure])
    ]
    result = pd.DataFrame(rows, columns=[*KEYS, "measure", "value", "median", "z"])
    return result.sort_values("z", key=np.abs, ascending=False, kind="stable", ignore_index=True)


def _measure_of(column: str) -> str | None:
    """Return the measure of a column, such as ``snr`` for ``flair_snr``; None for other columns."""
    prefix, _, rest = column.partition("_")
    measure = rest if prefix.upper() in _CONTRASTS else column
    return measure if measure in MEASURES else None


def _column_outliers(group: pd.DataFrame, column: str, *, skewed: bool) -> Iterator[dict[str, Any]]:
    """Yield a row for each outlier session of a group in one column."""
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
