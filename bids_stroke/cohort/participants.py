"""Read ``participants.tsv`` and merge it with the group table."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bids_stroke.bids.names import with_prefix
from bids_stroke.errors import DatasetError
from bids_stroke.utils.files import PathLike
from bids_stroke.utils.tables import read_table
from bids_stroke.utils.text import enumeration

#: Prefixes of the values of the columns that identify rows.
_PREFIXES = {"participant_id": "sub-", "session_id": "ses-"}


def read_participants(path: PathLike) -> pd.DataFrame | None:
    """Read ``participants.tsv``, one row for each participant; return None if the file does not exist.

    Raises
    ------
    DatasetError
        If the file is not a table with the column participant_id, or has duplicate column names or
        different rows for a participant.
    """
    return read_keyed_table(path, ["participant_id"]) if Path(path).is_file() else None


def read_keyed_table(
    path: PathLike, required: Sequence[str], optional: Sequence[str] = ()
) -> pd.DataFrame:
    """Read a table whose rows are identified by the columns participant_id or session_id.

    Blanks around values are removed, and ``sub-`` and ``ses-`` are added to the labels of participants
    and sessions if they are missing. Rows without a required label are ignored.

    Parameters
    ----------
    path : path
    required : sequence of str
        Columns that identify the rows.
    optional : sequence of str
        Columns that identify the rows if they exist.

    Raises
    ------
    DatasetError
        If the file is not such a table, or has duplicate column names or different rows with the same
        labels.
    """
    try:
        table = read_table(path)
    except (ValueError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path} is not a tab-separated table ({reason}); fix it.") from None
    for key in required:
        if key not in table:
            raise DatasetError(f"{path} has no column {key}; add it.")
    keys = [*required, *(key for key in optional if key in table)]
    for key in keys:
        prefix = _PREFIXES[key]
        table[key] = [with_prefix("" if text == "n/a" else text, prefix) for text in table[key]]
    labeled = (table[list(required)] != "").all(axis=1)
    table = table[labeled].replace(["n/a", ""], np.nan).drop_duplicates()
    duplicates = table.loc[table.duplicated(keys), keys]
    if len(duplicates):
        label = " ".join(duplicates.iloc[0].dropna())
        unit = "session" if "session_id" in keys else "participant"
        raise DatasetError(f"{path} has different rows for {label}; keep one row for each {unit}.")
    return table


def merge_participants(table: pd.DataFrame, people: pd.DataFrame | None) -> pd.DataFrame:
    """Add the columns of ``participants.tsv`` if it exists; conflicting names are prefixed.

    Raises
    ------
    DatasetError
        If ``participants.tsv`` already has a column with a prefixed name.

    Examples
    --------
    >>> table = pd.DataFrame({"participant_id": ["sub-01"], "model": ["simstroke"]})
    >>> people = pd.DataFrame({"participant_id": ["sub-01"], "model": ["Prisma"], "age": ["61"]})
    >>> merge_participants(table, people).iloc[0].to_dict()
    {'participant_id': 'sub-01', 'model': 'simstroke', 'participants_model': 'Prisma', 'age': '61'}
    """
    if people is None:
        return table
    conflicts = set(people) & set(table) - {"participant_id"}
    for name in conflicts:
        if f"participants_{name}" in people:
            raise DatasetError(
                f"participants.tsv has the columns {name} and participants_{name}; rename one of them."
            )
    renamed = people.rename(columns={name: f"participants_{name}" for name in conflicts})
    return table.merge(renamed, on="participant_id", how="left")


def unmatched_participants(
    participants: Iterable[str], people: pd.DataFrame, path: PathLike
) -> Iterator[str]:
    """Yield notices on participants without a row and rows without a session.

    Parameters
    ----------
    participants : iterable of str
        Participants (``sub-XX``) of the sessions.
    people : pandas.DataFrame
        Table from :func:`bids_stroke.cohort.participants.read_participants`.
    path : path
        File of the table.
    """
    with_images, listed = set(participants), set(people["participant_id"])
    without_row, without_session = sorted(with_images - listed), sorted(listed - with_images)
    if without_row:
        yield (
            f"{path} has no row for {enumeration(without_row)}; participant_id must match the folder "
            "names, including zeros and case."
        )
    if without_session:
        yield f"{path} has rows for participants without a session: {enumeration(without_session)}."
