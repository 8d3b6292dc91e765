"""Quality control of a cohort: sessions that stand out, and the ratings of those who looked."""

import numpy as np
import pandas as pd

from . import quality, statistics
from .bids import TRACE
from .errors import DatasetError

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
RATINGS = ("accept", "reject")
_CONTRASTS = {name.upper() for name in (*quality.CONTRASTS, TRACE)}
KEYS = ["participant_id", "session_id"]


def outliers(table):
    """Find the sessions that stand out of the cohort.

    Sessions are compared with those that have the same reference image. Measures that are skewed
    (SNR, CNR, the lesion's volume) are compared by their logarithm.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :func:`cohort.collect`.

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
            scores = statistics.robust_z(compared)
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


def ratings(path):
    """Read ratings: a table with the columns ``participant_id``, ``rating`` and, if any,
    ``session_id`` and ``notes``, as the group report exports it.

    Returns
    -------
    pandas.DataFrame
        These four columns, texts; ``session_id`` is empty where none is given.

    Raises
    ------
    DatasetError
        If it is no such table.
    """
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path} cannot be read as a table with tabs ({reason}); mend it.") from None
    if not {"participant_id", "rating"} <= set(table):
        raise DatasetError(f"{path} lacks the column participant_id or rating; add it.")
    unknown = sorted(set(table["rating"]) - {*RATINGS, "", "n/a"})
    if unknown:
        raise DatasetError(f"{path} has the rating {unknown[0]!r}; use {' or '.join(RATINGS)}.")
    table = table.reindex(columns=[*KEYS, "rating", "notes"], fill_value="").replace("n/a", "")
    table["participant_id"] = "sub-" + table["participant_id"].str.removeprefix("sub-")
    return table


def rejected(rated, participant, session):
    """The rating that rejects a session, or None. A rating without a session is of all sessions.

    Parameters
    ----------
    rated : pandas.DataFrame
        Of :func:`ratings`.
    participant, session : str
        ``session`` is empty for a participant without sessions.
    """
    mine = rated[(rated["participant_id"] == participant) & rated["session_id"].isin(["", session])]
    against = mine[mine["rating"] == "reject"]
    return None if against.empty else against.iloc[0]
