"""Plots of the group report: distributions, loads against volumes, and plots by group."""

from collections.abc import Mapping, Sequence

import pandas as pd
from markupsafe import Markup

from bids_stroke.cohort import columns
from bids_stroke.reports.figures import cohort
from bids_stroke.reports.rendering import Picture

MAX_GROUPS = 6


def plot_cohort(
    table: pd.DataFrame, volumes: pd.Series, groups: Sequence[str], links: Mapping[str, str]
) -> list[Picture]:
    """Plot volumes and loads of all sessions and by the grouping columns ``groups``.

    Parameters
    ----------
    table : pandas.DataFrame
        The group table.
    volumes : pandas.Series
        Lesion volumes (ml), in the order of the table.
    groups : sequence of str
        Grouping columns; columns that do not define groups are omitted.
    links : mapping of str to str
        Report addresses by participant.
    """
    if not volumes.notna().any():
        return []
    table = table.assign(volume=volumes)
    measures = [cohort.Measure("volume", "Lesion volume (ml)")]
    scatters = []
    for name in columns.tract_prefixes(table)[:1]:
        tract = name.upper()
        loads = [
            cohort.Measure(f"{name}_weighted_load_ml_total", f"{tract} weighted load (ml)"),
            cohort.Measure(f"{name}_max_slice_load_total", f"{tract} share of a cross-section", True),
        ]
        measures += [load for load in loads if table[load.column].notna().any()]
        for load in loads:
            scatter = cohort.load_against_volume(table, volumes, load, links)
            scatters.append((f"{load.title} against lesion volume, by hemisphere", scatter))
    distributions = ("Distribution over the sessions", cohort.distributions(table, measures))
    by_group = ((f"By {name}", cohort.groups(table, name, measures)) for name in groups)
    grouped = [(title, svg) for title, svg in by_group if svg][:MAX_GROUPS]
    return [Picture(title, Markup(svg)) for title, svg in (distributions, *scatters, *grouped)]
