"""Visual ratings of sessions by one or several raters: accept or reject."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from bids_stroke.bids.names import join_session_name, with_prefix
from bids_stroke.errors import DatasetError
from bids_stroke.utils.files import PathLike
from bids_stroke.utils.tables import read_table

ACCEPT, REJECT = "accept", "reject"
KEYS = ["participant_id", "session_id"]
#: Columns of a table of ratings. ``reasons`` are joined by ``+``, and ``date`` is in ISO 8601.
COLUMNS = (*KEYS, "rating", "reasons", "confidence", "rater", "date", "notes")
#: Columns of :func:`bids_stroke.qc.ratings.merge_ratings`.
MERGED_COLUMNS = {
    "participant_id": {"Description": "Participant"},
    "session_id": {"Description": "Session"},
    "rating": {
        "Description": "Merged rating: reject if at least half of the raters reject the session",
        "Levels": {ACCEPT: "The session is used", REJECT: "The session is excluded"},
    },
    "n_raters": {"Description": "Number of raters who rated the session"},
    "n_reject": {"Description": "Number of raters who rejected the session"},
    "reasons": {"Description": "Reasons of all raters, joined by +"},
    "notes": {"Description": "Notes of all raters, joined by semicolons"},
}


@dataclass(frozen=True)
class CohortRatings:
    """Ratings of the sessions of a cohort.

    Attributes
    ----------
    table : pandas.DataFrame
        All ratings, from :func:`bids_stroke.qc.ratings.read_ratings`.
    verdicts : pandas.DataFrame
        Whether each rater rejects each session, from :func:`bids_stroke.qc.ratings.verdicts`.
    merged : pandas.DataFrame
        Rating of each session, from :func:`bids_stroke.qc.ratings.merge_ratings`.
    """

    table: pd.DataFrame
    verdicts: pd.DataFrame
    merged: pd.DataFrame


def rate_cohort(paths: Sequence[PathLike], sessions: Iterable[tuple[str, str]]) -> CohortRatings:
    """Read ratings and merge those of several raters.

    Parameters
    ----------
    paths : sequence of path
        Tables of ratings.
    sessions : iterable of (str, str)
        Participants and sessions; the session is empty for a participant without sessions.

    Raises
    ------
    DatasetError
        If a file is not a table of ratings.
    """
    table = read_ratings(paths)
    rated = rated_sessions(table, sessions)
    return CohortRatings(table, verdicts(rated), merge_ratings(rated))


def read_ratings(paths: Sequence[PathLike]) -> pd.DataFrame:
    """Read tables of ratings.

    A table has the columns ``participant_id`` and ``rating``; the other columns of :data:`COLUMNS` are
    optional. The reports export such tables. If a rater rated a session several times, the latest
    rating is read.

    Returns
    -------
    pandas.DataFrame
        The columns :data:`COLUMNS`, without leading and trailing blanks; identifiers start with
        ``sub-`` and ``ses-``, and ``session_id`` is empty for ratings without a session.

    Raises
    ------
    DatasetError
        If a file is not such a table.
    """
    table = pd.concat([_read(path) for path in paths], ignore_index=True).drop_duplicates()
    latest = table.groupby([*KEYS, "rater"])["date"].transform("max")
    return table[table["date"] == latest].reset_index(drop=True)


def _read(path: PathLike) -> pd.DataFrame:
    try:
        table = read_table(path)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path} is not a tab-separated table ({reason}); fix it.") from None
    if not {"participant_id", "rating"} <= set(table):
        raise DatasetError(
            f"{path} lacks the column participant_id or rating; add it, and separate columns by tabs."
        )
    unknown = sorted(set(table["rating"]) - {ACCEPT, REJECT, "", "n/a"})
    if unknown:
        raise DatasetError(f"{path} contains the rating {unknown[0]!r}; use {ACCEPT} or {REJECT}.")
    table = table.reindex(columns=list(COLUMNS), fill_value="").replace("n/a", "")
    for column, prefix in zip(KEYS, ("sub-", "ses-"), strict=True):
        table[column] = table[column].map(lambda text, prefix=prefix: with_prefix(text, prefix))
    return table


def rated_sessions(rated: pd.DataFrame, sessions: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Assign the ratings to sessions.

    A rating without a session applies to all sessions of its participant.

    Parameters
    ----------
    rated : pandas.DataFrame
        Table from :func:`bids_stroke.qc.ratings.read_ratings`.
    sessions : iterable of (str, str)
        Participants and sessions; the session is empty for a participant without sessions.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`COLUMNS`; a row for each session and each of its ratings that has a value.
    """
    keys = pd.DataFrame(list(sessions), columns=KEYS, dtype=object)
    valued = rated[rated["rating"] != ""]
    exact = keys.merge(valued, on=KEYS)
    general = valued[valued["session_id"] == ""].drop(columns="session_id")
    others = keys[keys["session_id"] != ""].merge(general, on="participant_id")
    return pd.concat([exact, others], ignore_index=True)[list(COLUMNS)]


def verdicts(rated: pd.DataFrame) -> pd.DataFrame:
    """Return whether each rater rejects each session; NaN if the rater did not rate it.

    If a rater has several ratings of a session, one rejection suffices.

    Parameters
    ----------
    rated : pandas.DataFrame
        Table from :func:`bids_stroke.qc.ratings.rated_sessions`.

    Returns
    -------
    pandas.DataFrame
        A row for each session (index: participant and session), a column for each rater.
    """
    rejects = (rated["rating"] == REJECT).astype(float)
    return rejects.groupby([*(rated[key] for key in KEYS), rated["rater"]], sort=False).max().unstack()


def merge_ratings(rated: pd.DataFrame) -> pd.DataFrame:
    """Merge the ratings of several raters.

    Parameters
    ----------
    rated : pandas.DataFrame
        Table from :func:`bids_stroke.qc.ratings.rated_sessions`.

    Returns
    -------
    pandas.DataFrame
        A row for each session; columns :data:`MERGED_COLUMNS`.

    Examples
    --------
    >>> rows = [("a", "accept", ""), ("b", "reject", "missed_lesion"), ("c", "reject", "alignment")]
    >>> rated = pd.DataFrame(rows, columns=["rater", "rating", "reasons"])
    >>> rated = rated.assign(participant_id="sub-1", session_id="", notes="")
    >>> merge_ratings(rated)[["rating", "n_raters", "n_reject", "reasons"]].to_dict("records")
    [{'rating': 'reject', 'n_raters': 3, 'n_reject': 2, 'reasons': 'missed_lesion+alignment'}]
    """
    rejects = verdicts(rated)
    merged = pd.DataFrame(
        {"n_raters": rejects.count(axis=1), "n_reject": rejects.sum(axis=1).astype(int)}
    )
    is_rejected = 2 * merged["n_reject"] >= merged["n_raters"]
    merged["rating"] = is_rejected.map({True: REJECT, False: ACCEPT})
    sessions = rated.groupby(KEYS, sort=False)
    merged["reasons"] = sessions["reasons"].agg(
        lambda texts: _join(texts.str.split("+").explode(), "+")
    )
    merged["notes"] = sessions["notes"].agg(lambda texts: _join(texts, "; "))
    return merged.reset_index()[list(MERGED_COLUMNS)]


def _join(texts: Iterable[str], separator: str) -> str:
    """Join the different texts that are not empty."""
    return separator.join(filter(None, dict.fromkeys(texts)))


def unmatched_rejections(rated: pd.DataFrame, sessions: Iterable[tuple[str, str]]) -> list[str]:
    """List the rejected sessions that are not in ``sessions``.

    Parameters
    ----------
    rated : pandas.DataFrame
        Table from :func:`bids_stroke.qc.ratings.read_ratings`.
    sessions : iterable of (str, str)
        Participants and sessions; the session is empty for a participant without sessions.

    Examples
    --------
    >>> rated = pd.DataFrame([["sub-01", "ses-a", "reject"]], columns=[*KEYS, "rating"])
    >>> unmatched_rejections(rated, [("sub-01", "ses-b")])
    ['sub-01_ses-a']
    """
    measured = list(sessions)
    keys = {*measured, *((participant, "") for participant, _ in measured)}
    rejected = rated.loc[rated["rating"] == REJECT, KEYS].drop_duplicates()
    return [
        join_session_name(*key)
        for key in rejected.itertuples(index=False, name=None)
        if key not in keys
    ]
