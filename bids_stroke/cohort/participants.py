"""``participants.tsv``: read and merged with the group table."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from bids_stroke.bids.names import with_prefix
from bids_stroke.errors import DatasetError
from bids_stroke.utils.files import PathLike
from bids_stroke.utils.text import enumeration


def read_participants(path: PathLike) -> pd.DataFrame | None:
    """Read ``participants.tsv``: one row for each participant; None where there is no file.

    Blanks around a value are removed, and ``participant_id`` starts with ``sub-`` whether the file has
    it or not.

    Raises
    ------
    DatasetError
        If it is no table with a column participant_id.
    """
    if not Path(path).is_file():
        return None
    try:
        # index_col=False: a tab too many at the end of each row shifts no column.
        table = pd.read_csv(
            path,
            sep="\t",
            dtype=str,
            keep_default_na=False,
            index_col=False,
            quoting=csv.QUOTE_NONE,  # BIDS has none: a lone quote would swallow the rows after it
            encoding="utf-8-sig",
        )
    except (ValueError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path} is not a table with tabs ({reason}); mend it.") from None
    table = table.rename(columns=str.strip).apply(lambda column: column.str.strip())
    if "participant_id" not in table:
        raise DatasetError(f"{path} has no column participant_id; add it.")
    table["participant_id"] = table["participant_id"].map(lambda text: with_prefix(text, "sub-"))
    table = table[table["participant_id"] != ""].replace(["n/a", ""], np.nan).drop_duplicates()
    twice = table["participant_id"][table["participant_id"].duplicated()]
    if len(twice):
        raise DatasetError(
            f"{path} has several rows of {twice.iloc[0]} that differ; keep one for each participant."
        )
    return table


def merge_participants(table: pd.DataFrame, people: pd.DataFrame | None) -> pd.DataFrame:
    """Add the columns of ``participants.tsv``, where there is one; clashing names are prefixed."""
    if people is None:
        return table
    clashing = set(people) & set(table) - {"participant_id"}
    renamed = people.rename(columns={name: f"participants_{name}" for name in clashing})
    return table.merge(renamed, on="participant_id", how="left")


def unmatched_participants(
    participants: Iterable[str], people: pd.DataFrame, path: PathLike
) -> Iterator[str]:
    """Name, in sentences, the participants without a row, and the rows without a participant.

    Parameters
    ----------
    participants : iterable of str
        ``sub-XX``, of the sessions.
    people : pandas.DataFrame
        Of :func:`bids_stroke.cohort.participants.read_participants`.
    path : path
        Its file.
    """
    with_images, listed = set(participants), set(people["participant_id"])
    without_row, without_session = sorted(with_images - listed), sorted(listed - with_images)
    if without_row:
        yield (
            f"{path} has no row of {enumeration(without_row)}; zeros and case of participant_id must "
            "be those of the folders."
        )
    if without_session:
        yield f"{path} has rows of participants without a session here: {enumeration(without_session)}."
