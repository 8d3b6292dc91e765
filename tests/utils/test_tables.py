"""Tables of users."""

import warnings

import pytest

from bids_stroke.utils.tables import read_table


def write(folder, text):
    path = folder / "x.tsv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "a\tb\n1\t\n\t2\n",
        "a\tb\n1\n\t2\n",  # a missing cell at the end of a row
        "a\tb\n1\t\t\n\t2\t\t\n",  # more tabs than columns
        "a\tb\t\n1\t\t\n\n\t2\t\n",  # and in the header, with a blank line
        "\ta\tb\n0\t1\t\n1\t\t2\n",  # an index without a name, as pandas writes it
        "a\tb\r\n1\t\r\n\t2\r\n",
    ],
)
def test_supported_tables(tmp_path, text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = read_table(write(tmp_path, text))
    assert table.to_dict("list") == {"a": ["1", ""], "b": ["", "2"]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\tb\nx\t1\t2\n", "line 2 has 3 cells, but there are 2 columns"),
        ("a\tb\n1\t2\n\n3\t\t4\n", "line 4 has 3 cells"),  # a tab too many within a row
        ("a\tb\ta\n1\t2\t3\n", "several columns are named a"),
        ("\n", "it is empty"),
    ],
)
def test_refused_tables(tmp_path, text, words):
    """Cells of such rows would be read as those of another column."""
    with pytest.raises(ValueError, match=words):
        read_table(write(tmp_path, text))
