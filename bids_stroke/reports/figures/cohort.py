"""Plots of a cohort from the group table, as SVG text."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, RED = "#1f5fa8", "#b3261e"
#: Marker and color of a hemisphere, which differ without colors too.
SIDES = {"left": ("o", "#1f5fa8"), "right": ("^", "#c2410c"), "bilateral": ("s", "#5b3a8c")}
MAX_LEVELS = 8  # of a column that sessions are divided by
MIN_SESSIONS = 3  # of a number, on average, for it to divide them
MAX_POINTS = 300  # drawn of a group, beside its box
LINEAR_ML = 0.1
#: Axis of volumes: logarithmic, linear below a tenth of a milliliter, so that zero has its place.
VOLUMES = {"linthresh": LINEAR_ML, "linscale": 0.3}


class Measure(NamedTuple):
    """A column of the table: a volume (ml), on a logarithmic axis, or a ``share`` (0-1)."""

    column: str
    title: str
    share: bool = False


def distributions(table: pd.DataFrame, measures: Sequence[Measure]) -> str:
    """Histograms of columns over the sessions.

    Parameters
    ----------
    table : pandas.DataFrame
    measures : sequence of Measure
    """
    drawn, panels = _panels(measures)
    for axes, measure in panels:
        values = table[measure.column].dropna()
        if measure.share:
            edges = np.linspace(0, 1, 21).tolist()
        else:
            most = max(values.max(), 1) if len(values) else 1
            edges = [0, *np.geomspace(LINEAR_ML, most, 25).tolist()]
            values = values.clip(lower=LINEAR_ML)
        axes.hist(values, edges, color=INK, alpha=0.8)
        axes.set(xlabel=measure.title, ylabel="sessions")
        _scale(axes, "x", values, measure)
    return plots.svg_text(drawn, "distributions")


def groups(table: pd.DataFrame, column: str, measures: Sequence[Measure]) -> str | None:
    """Columns over the sessions, divided by another: boxes and points for texts, a scatter plot for
    numbers; None where the column does not divide the sessions.

    Parameters
    ----------
    table : pandas.DataFrame
    column : str
        The column that divides, such as those of participants.tsv.
    measures : sequence of Measure
    """
    numbers = pd.to_numeric(table[column], errors="coerce")
    texts = table[column].dropna().astype(str)
    most = min(MAX_LEVELS, len(texts) / MIN_SESSIONS)
    if numbers.notna().sum() == len(texts) and texts.nunique() > most:
        return _scatters(table, column, numbers, measures)
    levels = sorted(texts.unique())
    if not 2 <= len(levels) <= MAX_LEVELS:
        return None
    drawn, panels = _panels(measures)
    jitter = np.random.default_rng(0)
    for axes, measure in panels:
        name = measure.column
        values = [table.loc[texts.index[texts == level], name].dropna() for level in levels]
        axes.boxplot(values, widths=0.5, showfliers=False, medianprops={"color": RED})
        for place, of_level in enumerate(values, 1):
            points = of_level.sample(min(len(of_level), MAX_POINTS), random_state=0)
            beside = place + jitter.uniform(-0.15, 0.15, len(points))
            axes.scatter(beside, points, s=9, color=INK, alpha=0.5)
        counts = zip(levels, map(len, values), strict=True)
        names = [f"{_short(level)} ({count})" for level, count in counts]
        axes.set_xticks(range(1, len(levels) + 1), names, fontsize=8)
        axes.set(ylabel=measure.title, xlabel=_short(column))
        _scale(axes, "y", table[name], measure)
    return plots.svg_text(drawn, f"groups {column}")


def _scatters(table: pd.DataFrame, column: str, numbers: pd.Series, measures: Sequence[Measure]) -> str:
    drawn, panels = _panels(measures)
    for axes, measure in panels:
        axes.scatter(numbers, table[measure.column], s=9, color=INK, alpha=0.5)
        axes.set(ylabel=measure.title, xlabel=_short(column))
        _scale(axes, "y", table[measure.column], measure)
    return plots.svg_text(drawn, f"scatter {column}")


def load_against_volume(
    table: pd.DataFrame,
    volume: pd.Series,
    load: Measure,
    links: Mapping[str, str],
) -> str:
    """A load against the lesion's volume, by hemisphere; points are links.

    Parameters
    ----------
    table : pandas.DataFrame
        With ``hemisphere`` and ``participant_id``.
    volume : pandas.Series
        ml.
    load : Measure
    links : mapping of str to str
        Participants to the addresses of their reports.
    """
    loads = table[load.column]
    drawn = plots.figure(7, 4.2)
    axes = drawn.subplots()
    for side, (marker, color) in SIDES.items():
        mine = table["hemisphere"].eq(side) & volume.notna() & loads.notna()
        points = axes.scatter(volume[mine], loads[mine], s=26, marker=marker, color=color, alpha=0.65,
                              label=f"{side} ({mine.sum()})")  # fmt: skip
        points.set_urls([links.get(name) for name in table.loc[mine, "participant_id"]])
    axes.set_xscale("symlog", **VOLUMES)
    axes.set(xlabel="Lesion volume (ml)", ylabel=load.title, xlim=_span(volume))
    _scale(axes, "y", loads, load)
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.25)
    return plots.svg_text(drawn, f"{load.column} against volume")


def _panels(measures: Sequence[Measure]) -> tuple["Figure", list[tuple["Axes", Measure]]]:
    """A figure with a panel for each measure."""
    drawn = plots.figure(12, 3.2)
    axes = np.ravel(drawn.subplots(1, len(measures)))
    return drawn, list(zip(axes, measures, strict=True))


def _scale(axes: "Axes", direction: str, values: pd.Series, measure: Measure) -> None:
    """Set the scale and the limits of the axis of a measure."""
    if measure.share:
        axes.set(**{f"{direction}lim": (0, 1)})
        return
    axes.set(**{f"{direction}lim": _span(values)})
    {"x": axes.set_xscale, "y": axes.set_yscale}[direction]("symlog", **VOLUMES)


def _span(values: pd.Series) -> tuple[float, float]:
    """Limits of an axis of volumes."""
    most = values.max()
    return 0, 1.5 * most if most > LINEAR_ML else 1


def _short(text: str, most: int = 24) -> str:
    """A label of at most ``most`` letters."""
    text = str(text).replace("$", r"\$")  # no mathematics in names
    return text if len(text) <= most else f"{text[:most]}…"
