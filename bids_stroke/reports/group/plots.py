"""Plots of the group report: distributions, loads against volumes, and plots by group."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from markupsafe import Markup

from bids_stroke.cohort import columns
from bids_stroke.reports.figures import cohort
from bids_stroke.reports.figures.cohort import Measure

from .table import volume_column

MAX_GROUPS = 6


class Plot(NamedTuple):
    """Plots of the page that belong together.

    Attributes
    ----------
    title : str
    panels : Markup
    is_large : bool
        Whether the panels are large; others are three in a row.
    legend : sequence of (str, str)
        CSS class and text of the symbols.
    """

    title: str
    panels: Markup
    is_large: bool = False
    legend: Sequence[tuple[str, str]] = ()


def plot_cohort(table: pd.DataFrame, groups: Sequence[str], links: Mapping[str, str]) -> list[Plot]:
    """Plot volumes and loads of all sessions and by the grouping columns ``groups``.

    Parameters
    ----------
    table : pandas.DataFrame
        Table of the page, from :func:`bids_stroke.reports.group.table.arrange_table`.
    groups : sequence of str
        Grouping columns; columns that do not define groups are omitted.
    links : mapping of str to str
        Report addresses by participant.
    """
    column = volume_column(table)
    if column is None:
        return []
    volume = Measure(column, "Lesion volume (ml)")
    loads = list(_loads(table))
    measures = [volume, *loads]
    plots = [Plot("Distribution over the sessions", Markup(cohort.distributions(table, measures)))]
    if loads:
        panels = "".join(cohort.load_against_volume(table, volume, load, links) for load in loads)
        title = "Loads against lesion volume, by hemisphere"
        plots.append(Plot(title, Markup(panels), is_large=True, legend=_legend(table)))
    by_group = ((name, cohort.groups(table, name, measures)) for name in groups if name in table)
    grouped = [Plot(f"By {name}", Markup(svg)) for name, svg in by_group if svg]
    return plots + grouped[:MAX_GROUPS]


def _loads(table: pd.DataFrame) -> Iterator[Measure]:
    """Yield the plotted loads of the first tract."""
    for name in columns.tract_prefixes(table)[:1]:
        tract = name.upper()
        loads = (
            Measure(f"{name}_weighted_load_ml_total", f"{tract} weighted load (ml)"),
            Measure(f"{name}_max_slice_load_total", f"{tract} share of a cross-section", share=True),
        )
        yield from (load for load in loads if load.column in table)


def _legend(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the symbols of the hemispheres and of sessions that failed QC checks."""
    sides = table["hemisphere"] if "hemisphere" in table else pd.Series(dtype=str)
    counts = {side: int((sides == side).sum()) for side in cohort.SIDES}
    legend = [
        (side, f"{cohort.SIDES[side]} {side} ({number})") for side, number in counts.items() if number
    ]
    if "qc_flags" in table:
        legend.append(("check", f"○ failed QC checks ({table['qc_flags'].notna().sum()})"))
    if len(table) > cohort.MAX_LINKED:
        legend.append(("", f"{cohort.MAX_LINKED} sessions, drawn at random"))
    return legend
