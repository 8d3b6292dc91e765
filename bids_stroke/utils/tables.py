"""User-supplied tables."""

import csv

import pandas as pd

from .files import PathLike


def read_table(path: PathLike) -> pd.DataFrame:
    """Read a tab-separated table as text, with empty text for missing cells.

    Whitespace around a cell is removed, and then a pair of quotes around it. BIDS does not use quoting:
    any other quote is an ordinary character, and does not merge the following rows.

    Raises
    ------
    OSError, ValueError
        If the file is not such a table, or two columns have the same name.
    """
    table = pd.read_csv(
        path,
        sep="\t",
        dtype=str,
        keep_default_na=False,
        index_col=False,  # an extra tab at the end of each row does not shift the columns
        quoting=csv.QUOTE_NONE,
        encoding="utf-8-sig",
    ).fillna("")
    table = table.rename(columns=_strip).apply(lambda column: column.map(_strip))
    if not table.columns.is_unique:
        raise ValueError(f"several columns are named {table.columns[table.columns.duplicated()][0]}")
    return table


def _strip(text: str) -> str:
    """Remove whitespace and a pair of quotes around a cell.

    >>> _strip(' "a" '), _strip('"c')
    ('a', '"c')
    """
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('""', '"').strip()
    return text
