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
    """Read ratings: a table with the columns ``participant_id``, ``rating`` and, if any,
    ``session_id`` and ``notes``, as the group report exports it.

    Returns
    -------
    pandas.DataFrame
        These four columns, texts without blanks around; ids start with ``sub-`` and ``ses-``, and
        ``session_id`` is empty where none is given.

    Raises
    ------
    DatasetError
        If it is no such table.
    """
    try:
        table = read_table(path)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path} cannot be read as a table with tabs ({reason}); mend it.") from None
    if not {"participant_id", "rating"} <= set(table):
        raise DatasetError(f"{path} lacks the column participant_id or rating; add it.")
    unknown = sorted(set(table["rating"]) - {*RATINGS, "", "n/a"})
    if unknown:
        raise DatasetError(f"{path} has the rating {unknown[0]!r}; use {' or '.join(RATINGS)}.")
    table = table.reindex(columns=[*KEYS, "rating", "notes"], fill_value="").replace("n/a", "")
    for column, prefix in zip(KEYS, ("sub-", "ses-"), strict=True):
        table[column] = table[column].map(lambda text, prefix=prefix: with_prefix(text, prefix))
    return table


def find_rejection(rated: pd.DataFrame, participant: str, session: str) -> pd.Series | None:
    """Find the rating that rejects a session; None where none does.

    A rating without a session is of all sessions of its participant.

    Parameters
    ----------
    rated : pandas.DataFrame
        Of :func:`bids_stroke.qc.ratings.read_ratings`.
    participant, session : str
        ``session`` is empty for a participant without sessions.
    """
    mine = rated[(rated["participant_id"] == participant) & rated["session_id"].isin(["", session])]
    against = mine[mine["rating"] == "reject"]
    return None if against.empty else against.iloc[0]


def unmatched_rejections(rated: pd.DataFrame, sessions: Iterable[tuple[str, str]]) -> list[str]:
    """Name the rejected sessions that are not among ``sessions``.

    Parameters
    ----------
    rated : pandas.DataFrame
        Of :func:`bids_stroke.qc.ratings.read_ratings`.
    sessions : iterable of (str, str)
        Participants and sessions; the session is empty for a participant without sessions.
    """
    known = list(sessions)
    keys = {*known, *((participant, "") for participant, _ in known)}
    rejected = rated.loc[rated["rating"] == "reject", KEYS].itertuples(index=False, name=None)
    return [join_session_name(*key) for key in rejected if key not in keys]
