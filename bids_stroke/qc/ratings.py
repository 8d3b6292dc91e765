"""Visual ratings of sessions: accept or reject."""

from collections.abc import Iterable

import pandas as pd

from bids_stroke.bids.names import join_session_name, with_prefix
from bids_stroke.errors import DatasetError
from bids_stroke.utils.files import PathLike
from bids_stroke.utils.tables import read_table

RATINGS = ("accept", "reject")
KEYS = ["participant_id", "session_id"]


def read_ratings(path: PathLike) -> pd.DataFrame:
    """Read a table of ratings.

    The table has the columns ``participant_id`` and ``rating``, and optionally ``session_id`` and
    ``notes``. The group report exports such a table.

    Returns
    -------
    pandas.DataFrame
        These four columns, without leading and trailing blanks; identifiers start with ``sub-`` and
        ``ses-``, and ``session_id`` is empty for ratings without a session.

    Raises
    ------
    DatasetError
        If the file is not such a table.
    """
    try:
        table = read_table(path)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path} is not a tab-separated table ({reason}); fix it.") from None
    if not {"participant_id", "rating"} <= set(table):
        raise DatasetError(f"{path} lacks the column participant_id or rating; add it.")
    unknown = sorted(set(table["rating"]) - {*RATINGS, "", "n/a"})
    if unknown:
        raise DatasetError(f"{path} contains the rating {unknown[0]!r}; use {' or '.join(RATINGS)}.")
    table = table.reindex(columns=[*KEYS, "rating", "notes"], fill_value="").replace("n/a", "")
    for column, prefix in zip(KEYS, ("sub-", "ses-"), strict=True):
        table[column] = table[column].map(lambda text, prefix=prefix: with_prefix(text, prefix))
    return table


def find_rejection(rated: pd.DataFrame, participant: str, session: str) -> pd.Series | None:
    """Find the rating that rejects a session; None if the session is not rejected.

    A rating without a session applies to all sessions of its participant.

    Parameters
    ----------
    rated : pandas.DataFrame
        Table from :func:`bids_stroke.qc.ratings.read_ratings`.
    participant, session : str
        ``session`` is empty for a participant without sessions.

    Examples
    --------
    >>> rated = pd.DataFrame(
    ...     [["sub-01", "ses-a", "reject", "motion"]], columns=[*KEYS, "rating", "notes"]
    ... )
    >>> find_rejection(rated, "sub-01", "ses-a")["notes"]
    'motion'
    >>> find_rejection(rated, "sub-01", "ses-b") is None
    True
    """
    matching = rated[(rated["participant_id"] == participant) & rated["session_id"].isin(["", session])]
    rejections = matching[matching["rating"] == "reject"]
    return None if rejections.empty else rejections.iloc[0]


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
    rejected = rated.loc[rated["rating"] == "reject", KEYS].itertuples(index=False, name=None)
    return [join_session_name(*key) for key in rejected if key not in keys]
