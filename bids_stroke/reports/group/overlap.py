"""Lesions in the data of the group report, for the overlap of selected sessions."""

from collections.abc import Sequence

import pandas as pd

from .files import table_keys

MAX_BYTES = 3_000_000  # size of the lesions in a page


def lesion_cells(
    table: pd.DataFrame, lesions: Sequence[str], arranged: pd.DataFrame
) -> list[str] | None:
    """Return the lesion of each row of the page, or None if there are none or they are too large.

    Parameters
    ----------
    table : pandas.DataFrame
    lesions : sequence of str
        Lesion of each row of ``table``, from :func:`bids_stroke.cohort.overlap.overlap`.
    arranged : pandas.DataFrame
        Table of the page; sessions that are not in ``table`` have no lesion.
    """
    if not lesions or sum(map(len, lesions)) > MAX_BYTES:
        return None
    lesion_of = dict(zip(table_keys(table), lesions, strict=True))
    return [lesion_of.get(key, "") for key in table_keys(arranged)]
