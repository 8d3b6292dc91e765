"""Tables of the user."""

import csv

import pandas as pd

from .files import PathLike


def read_table(path: PathLike) -> pd.DataFrame:
    """Read a table with tabs as text, empty where a row has no cell.

    Blanks around a cell are removed, and then a pair of quotes. BIDS has none: any other quote is a
    character as others, and does not swallow the rows behind it.

    Raises
    ------
    OSError, ValueError
        If the file is no such table, or two of its columns have one name.
    """
    table = pd.read_csv(
        path,
        sep="\t",
        dtype=str,
        keep_default_na=False,
        index_col=False,  # a tab too many at the end of each row shifts no column
        quoting=csv.QUOTE_NONE,
        encoding="utf-8-sig",
    ).fillna("")
    table = table.rename(columns=_bare).apply(lambda column: column.map(_bare))
    if not table.columns.is_unique:
        raise ValueError(f"several columns are named {table.columns[table.columns.duplicated()][0]}")
    return table


def _bare(text: str) -> str:
    """A cell without blanks and quotes around.

    >>> _bare(' "a" '), _bare('"c')
    ('a', '"c')
    """
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('""', '"').strip()
    return text
