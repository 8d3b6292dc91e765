"""Quality control of a cohort: sessions that stand out, and the ratings of those who looked."""

import numpy as np
import pandas as pd

from bids_stroke.bids.names import TRACE

from . import image_quality
from .ratings import KEYS

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
LEAST = 8  # sessions that an outlier can stand out of
_CONTRASTS = {name.upper() for name in (*image_quality.CONTRASTS, TRACE)}


def outliers(table):
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
    rows = []
    names = [name for name in table if _kind(name)]
    for _, group in table.groupby("reference", dropna=False):
        for name in names:
            values = pd.to_numeric(group[name], errors="coerce")
            compared = np.log(values.where(values > 0)) if MEASURES[_kind(name)] else values
            if compared.notna().sum() < LEAST:
                continue
            scores = robust_z(compared)
            for index in scores.index[scores.abs() > LIMIT]:
                keys = {key: table.at[index, key] for key in KEYS}
                measured = {"value": values[index], "median": values.median(), "z": scores[index]}
                rows.append({**keys, "measure": name, **measured})
    found = pd.DataFrame(rows, columns=[*KEYS, "measure", "value", "median", "z"])
    return found.sort_values("z", key=np.abs, ascending=False, kind="stable", ignore_index=True)


def _kind(name):
    """The measure that a column is of: ``snr`` of ``flair_snr``; None for other columns."""
    start, _, rest = name.partition("_")
    measure = rest if start.upper() in _CONTRASTS else name
    return measure if measure in MEASURES else None


def robust_z(values):
    """Distance of each value from the median in robust standard deviations.

    0.6745 (x - median) / MAD (Iglewicz and Hoaglin 1993); where more than half of the values are
    equal, the mean absolute deviation times 1.2533 takes the place of MAD / 0.6745.

    Parameters
    ----------
    values : pandas.Series
        NaN where there is no value.

    Returns
    -------
    pandas.Series
        NaN where there is no value, 0 where all are equal.
    """
    away = values - values.median()
    scale = away.abs().median() / 0.6745 or 1.2533 * away.abs().mean()
    return away / scale if scale else away
