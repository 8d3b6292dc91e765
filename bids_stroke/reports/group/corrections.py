"""Corrected masks, and masks to correct, in the group report."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from bids_stroke.bids.names import split_session_name
from bids_stroke.cohort.queue import order_corrections
from bids_stroke.utils.text import date_and_time

#: Number of sessions that the page lists.
LISTED = 10


class Queue(NamedTuple):
    """Masks to correct.

    ``rows`` are the rows of all sessions in the table, in order. ``listed`` has the name, the address
    of the participant report and the reasons of the first sessions.
    """

    rows: list[int]
    listed: list[tuple[str, str | None, str]]


def correction_queue(table: pd.DataFrame, links: Mapping[str, str]) -> Queue:
    """Order the sessions of a table for correction; those without a reason are left out.

    Parameters
    ----------
    table : pandas.DataFrame
        Table from :func:`bids_stroke.reports.group.table.arrange_table`.
    links : mapping of str to str
        Report addresses by participant.
    """
    failed = set(table.index[table["status"] == "failed"])
    queue = [item for item in order_corrections(table) if item.reasons and item.row not in failed]
    listed = [
        (
            item.name.replace("_", " "),
            links.get(split_session_name(item.name)[0]),
            "; ".join(item.reasons),
        )
        for item in queue[:LISTED]
    ]
    return Queue([item.row for item in queue], listed)


def describe_agreement(table: pd.DataFrame) -> str:
    """Describe the agreement of the model with the corrected masks of a cohort.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of ``group_agreement.tsv``.
    """
    raters = ", ".join(f"{name} ({n})" for name, n in table["corrected_by"].value_counts().items())
    dice, difference = table["dice"], table["volume_difference_ml"]
    return (
        f"Corrected sessions: {len(table)}. Raters: {raters}. Dice of the model with the corrected "
        f"masks: median {dice.median():.2f} ({dice.min():.2f} to {dice.max():.2f}). Corrected minus "
        f"original volume: median {difference.median():.3g} ml ({difference.min():.3g} to "
        f"{difference.max():.3g} ml)."
    )


def with_short_dates(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``group_agreement.tsv`` with dates and times to the minute."""
    dates = table["corrected_on"].map(date_and_time, na_action="ignore")
    return table.assign(corrected_on=dates)
