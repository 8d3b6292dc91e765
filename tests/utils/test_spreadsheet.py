"""Excel workbooks, read by openpyxl."""

import numpy as np
import pandas as pd
import pytest

from bids_stroke.utils.spreadsheet import write_workbook

openpyxl = pytest.importorskip("openpyxl")


def read(path):
    """Return the names of the worksheets, and the cells of the first one."""
    book = openpyxl.load_workbook(path)
    return book.sheetnames, [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]


def test_texts_and_numbers(tmp_path):
    table = pd.DataFrame(
        {
            "name": ["sub-01", ' <a> & "b"\x01', np.nan],
            "volume": [0.1 + 0.2, np.nan, -1e-20],
            "count": [3, 0, 2**40],
        }
    )
    names, rows = read(write_workbook(table, tmp_path / "book.xlsx", "A & B"))
    assert names == ["A & B"] and rows[0] == ["name", "volume", "count"]
    assert rows[1] == ["sub-01", pytest.approx(0.3, rel=1e-14), 3]
    assert rows[2] == [' <a> & "b"', None, 0]
    assert rows[3] == [None, -1e-20, 2**40]


def test_many_columns(tmp_path):
    table = pd.DataFrame([np.arange(800)], columns=[f"c{number}" for number in range(800)])
    _, rows = read(write_workbook(table, tmp_path / "book.xlsx", "Sheet"))
    assert rows[1] == list(range(800))
