"""Excel workbooks (Office Open XML, ECMA-376) with one worksheet of texts and numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

import pandas as pd

from .files import PathLike, atomic

_START = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_CONTENT_TYPES = (
    f'{_START}<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPES}.worksheet+xml"/>'
    f'<Override PartName="/xl/sharedStrings.xml" ContentType="{_TYPES}.sharedStrings+xml"/></Types>'
)


def write_workbook(table: pd.DataFrame, path: PathLike, sheet: str) -> Path:
    """Write a table as a worksheet of an Excel workbook (``.xlsx``).

    The first row contains the column names. Missing values are empty cells.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns of texts or numbers.
    path : path
    sheet : str
        Name of the worksheet.
    """
    texts: dict[str, int] = {}
    rows = [[str(name) for name in table], *table.itertuples(index=False, name=None)]
    cells = "".join(_row(number, row, texts) for number, row in enumerate(rows, 1))
    strings = "".join(f'<si><t xml:space="preserve">{_escaped(text)}</t></si>' for text in texts)
    parts = {
        "[Content_Types].xml": _CONTENT_TYPES,
        "_rels/.rels": _relationships({"officeDocument": "xl/workbook.xml"}),
        "xl/workbook.xml": (
            f'{_START}<workbook {_MAIN} xmlns:r="{_OFFICE}"><sheets>'
            f'<sheet name="{_escaped(sheet)}" sheetId="1" r:id="rId1"/></sheets></workbook>'
        ),
        "xl/_rels/workbook.xml.rels": _relationships(
            {"worksheet": "worksheets/sheet1.xml", "sharedStrings": "sharedStrings.xml"}
        ),
        "xl/worksheets/sheet1.xml": (
            f"{_START}<worksheet {_MAIN}><sheetData>{cells}</sheetData></worksheet>"
        ),
        "xl/sharedStrings.xml": f"{_START}<sst {_MAIN}>{strings}</sst>",
    }
    with atomic(path) as partial, ZipFile(partial, "w", ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return Path(path)


def column_letters(number: int) -> str:
    """Return the letters of a column, counted from 1.

    >>> column_letters(26), column_letters(27), column_letters(703)
    ('Z', 'AA', 'AAA')
    """
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _row(number: int, values: Sequence[Any], texts: dict[str, int]) -> str:
    """Return the XML of a row; add its texts to the shared texts."""
    cells = []
    for column, value in enumerate(values, 1):
        place = f'r="{column_letters(column)}{number}"'
        if isinstance(value, str):
            cells.append(f'<c {place} t="s"><v>{texts.setdefault(value, len(texts))}</v></c>')
        elif not pd.isna(value):
            cells.append(f"<c {place}><v>{value:.15g}</v></c>")
    return f'<row r="{number}">{"".join(cells)}</row>'


def _escaped(text: str) -> str:
    """Escape a text for XML, without the control characters that XML forbids."""
    printable = "".join(character for character in text if character >= " " or character in "\t\n")
    return escape(printable, {'"': "&quot;"})


def _relationships(targets: dict[str, str]) -> str:
    """Return the XML of the parts that a part refers to, by type."""
    entries = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets.items(), 1)
    )
    return f'{_START}<Relationships xmlns="{_PACKAGE}/relationships">{entries}</Relationships>'
