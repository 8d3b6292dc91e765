"""Plots of the group table, as SVG text."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, RED = "#1f5fa8", "#b3261e"
#: Marker and color of each hemisphere; the markers differ without color.
SIDES = {"left": ("o", "#1f5fa8"), "right": ("^", "#c2410c"), "bilateral": ("s", "#5b3a8c")}
MAX_LEVELS = 8  # levels of a grouping column
MIN_SESSIONS = 3  # sessions per value, on average, for a numeric column to define groups
MAX_POINTS = 300  # points drawn for each group
LINEAR_ML = 0.1
#: Volume axis: logarithmic, but linear below a tenth of a milliliter to include zero.
VOLUMES = {"linthresh": LINEAR_ML, "linscale": 0.3}


class Measure(NamedTuple):
    """Column of the table: a volume (ml), shown on a logarithmic axis, or a ``share`` (0-1)."""

    column: str
    title: str
    share: bool = False


def distributions(table: pd.DataFrame, measures: Sequence[Measure]) -> str:
    """Plot histograms of columns over the sessions.

    Parameters
    ----------
    table : pandas.DataFrame
    measures : sequence of Measure
    """
    figure, panels = _panels(measures)
    for axes, measure in panels:
        values = table[measure.column].dropna()
        if measure.share:
            edges = np.linspace(0, 1, 21).tolist()
        else:
            maximum = max(values.max(), 1) if len(values) else 1
            edges = [0, *np.geomspace(LINEAR_ML, maximum, 25).tolist()]
            values = values.clip(lower=LINEAR_ML)
        axes.hist(values, edges, color=INK, alpha=0.8)
        axes.set(xlabel=measure.title, ylabel="sessions")
        _scale(axes, "x", values, measure)
    return plots.svg_text(figure, "distributions")


def groups(table: pd.DataFrame, column: str, measures: Sequence[Measure]) -> str | None:
    """Plot columns by a grouping column: box plots for categories, scatter plots for numbers.

    Returns None if the column does not define groups.

    Parameters
    ----------
    table : pandas.DataFrame
    column : str
        Grouping column, such as a column of participants.tsv.
    measures : sequence of Measure
    """
    numbers = pd.to_numeric(table[column], errors="coerce")
    labels = table[column].dropna().astype(str)
    max_levels = min(MAX_LEVELS, len(labels) / MIN_SESSIONS)
    if numbers.notna().sum() == len(labels) and labels.nunique() > max_levels:
        return _scatters(table, column, numbers, measures)
    levels = sorted(labels.unique())
    if not 2 <= len(levels) <= MAX_LEVELS:
        return None
    figure, panels = _panels(measures)
    jitter = np.random.default_rng(0)
    for axes, measure in panels:
        name = measure.column
        values = [table.loc[labels.index[labels == level], name].dropna() for level in levels]
        axes.boxplot(values, widths=0.5, showfliers=False, medianprops={"color": RED})
        for position, level_values in enumerate(values, 1):
            points = level_values.sample(min(len(level_values), MAX_POINTS), random_state=0)
            x = position + jitter.uniform(-0.15, 0.15, len(points))
            axes.scatter(x, points, s=9, color=INK, alpha=0.5)
        counts = zip(levels, map(len, values), strict=True)
        names = [f"{plots.plain(level)} ({count})" for level, count in counts]
        axes.set_xticks(range(1, len(levels) + 1), names, fontsize=8)
        axes.set(ylabel=measure.title, xlabel=plots.plain(column))
        _scale(axes, "y", table[name], measure)
    return plots.svg_text(figure, f"groups {column}")


def _scatters(table: pd.DataFrame, column: str, numbers: pd.Series, measures: Sequence[Measure]) -> str:
    figure, panels = _panels(measures)
    for axes, measure in panels:
        axes.scatter(numbers, table[measure.column], s=9, color=INK, alpha=0.5)
        axes.set(ylabel=measure.title, xlabel=plots.plain(column))
        _scale(axes, "y", table[measure.column], measure)
    return plots.svg_text(figure, f"scatter {column}")


def load_against_volume(
    table: pd.DataFrame,
    volume: pd.Series,
    load: Measure,
    links: Mapping[str, str],
) -> str:
    """Plot a load against lesion volume, by hemisphere; points link to participant reports.

    Parameters
    ----------
    table : pandas.DataFrame
        Table with ``hemisphere`` and ``participant_id``.
    volume : pandas.Series
        Lesion volumes (ml).
    load : Measure
    links : mapping of str to str
        Report addresses by participant.
    """
    loads = table[load.column]
    figure = plots.figure(7, 4.2)
    axes = figure.subplots()
    for side, (marker, color) in SIDES.items():
        selected = table["hemisphere"].eq(side) & volume.notna() & loads.notna()
        label = f"{side} ({selected.sum()})"
        points = axes.scatter(
            volume[selected], loads[selected], s=26, marker=marker, color=color, alpha=0.65, label=label
        )
        points.set_urls([links.get(name) for name in table.loc[selected, "participant_id"]])
    axes.set_xscale("symlog", **VOLUMES)
    axes.set(xlabel="Lesion volume (ml)", ylabel=load.title, xlim=_span(volume))
    _scale(axes, "y", loads, load)
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.25)
    return plots.svg_text(figure, f"{load.column} against volume")


def _panels(measures: Sequence[Measure]) -> tuple["Figure", list[tuple["Axes", Measure]]]:
    """Create a figure with a panel for each measure."""
    figure = plots.figure(12, 3.2)
    axes = np.ravel(figure.subplots(1, len(measures)))
    return figure, list(zip(axes, measures, strict=True))


def _scale(axes: "Axes", direction: str, values: pd.Series, measure: Measure) -> None:
    """Set the scale and the limits of the axis of a measure."""
    if measure.share:
        axes.set(**{f"{direction}lim": (0, 1)})
        return
    axes.set(**{f"{direction}lim": _span(values)})
    {"x": axes.set_xscale, "y": axes.set_yscale}[direction]("symlog", **VOLUMES)


def _span(values: pd.Series) -> tuple[float, float]:
    """Return the limits of a volume axis."""
    maximum = values.max()
    return 0, 1.5 * maximum if maximum > LINEAR_ML else 1
