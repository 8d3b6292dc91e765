"""User-supplied tables."""

from pathlib import Path

import pandas as pd

from .files import PathLike


def read_table(path: PathLike) -> pd.DataFrame:
    """Read a tab-separated table as text, with empty text for missing cells.

    Whitespace around a cell is removed, and then a pair of quotes around it. BIDS does not use quoting:
    any other quote is an ordinary character, and does not merge the following rows. Columns without a
    name, such as those of extra tabs at the ends of rows, are ignored.

    Raises
    ------
    OSError, ValueError
        If the file is not such a table, two columns have the same name, or a row has more cells than
        there are columns.
    """
    lines = Path(path).read_text("utf-8-sig").split("\n")
    cells = [[_strip(cell) for cell in line.split("\t")] for line in lines]
    numbered = [(number, row) for number, row in enumerate(cells, 1) if any(row)]
    if not numbered:
        raise ValueError("it is empty")
    (_, names), *rows = numbered
    for number, row in rows:
        if any(row[len(names) :]):
            raise ValueError(f"line {number} has {len(row)} cells, but there are {len(names)} columns")
    table = pd.DataFrame(
        [(row + [""] * len(names))[: len(names)] for _, row in rows], columns=names, dtype=str
    )
    table = table.loc[:, table.columns != ""]
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
