"""``participants.tsv``: read and merged with the group table."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from bids_stroke.errors import DatasetError
from bids_stroke.utils.files import PathLike


def read_participants(path: PathLike) -> pd.DataFrame | None:
    """Read ``participants.tsv``: one row for each participant; None where there is no file.

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
    if "participant_id" not in table:
        raise DatasetError(f"{path} has no column participant_id; add it.")
    table = table.replace(["n/a", ""], np.nan).drop_duplicates()
    twice = table["participant_id"][table["participant_id"].duplicated()]
    if len(twice):
        raise DatasetError(
            f"{path} has several rows of {twice.iloc[0]} that differ; keep one for each participant."
        )
    return table


def merge_participants(table: pd.DataFrame, path: PathLike) -> pd.DataFrame:
    """Add the columns of ``participants.tsv``, where there is one; clashing names are prefixed."""
    people = read_participants(path)
    if people is None:
        return table
    clashing = set(people) & set(table) - {"participant_id"}
    renamed = people.rename(columns={name: f"participants_{name}" for name in clashing})
    return table.merge(renamed, on="participant_id", how="left")
