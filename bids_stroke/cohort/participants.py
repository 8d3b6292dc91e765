"""Read ``participants.tsv`` and merge it with the group table."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from bids_stroke.bids.names import with_prefix
from bids_stroke.errors import DatasetError
from bids_stroke.utils.files import PathLike
from bids_stroke.utils.tables import read_table
from bids_stroke.utils.text import enumeration


def read_participants(path: PathLike) -> pd.DataFrame | None:
    """Read ``participants.tsv``, one row for each participant; return None if the file does not exist.

    Blanks around values are removed, and ``sub-`` is added to ``participant_id`` if it is missing.

    Raises
    ------
    DatasetError
        If the file is not a table with the column participant_id, or has duplicate column names.
    """
    if not Path(path).is_file():
        return None
    try:
        table = read_table(path)
    except (ValueError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path} is not a tab-separated table ({reason}); fix it.") from None
    if "participant_id" not in table:
        raise DatasetError(f"{path} has no column participant_id; add it.")
    table["participant_id"] = table["participant_id"].map(lambda text: with_prefix(text, "sub-"))
    table = table[table["participant_id"] != ""].replace(["n/a", ""], np.nan).drop_duplicates()
    duplicates = table["participant_id"][table["participant_id"].duplicated()]
    if len(duplicates):
        raise DatasetError(
            f"{path} has different rows for {duplicates.iloc[0]}; keep one row for each participant."
        )
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
