"""Plots of the group table, as SVG panels.

The indices of the tables are the row numbers of the page, by which its script finds the sessions.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import panels, scales
from .panels import Point
from .scales import Scale

INK, RED = "#1f5fa8", "#b3261e"
#: Hemispheres, with the symbol of their points.
SIDES = {"left": "●", "right": "▲", "bilateral": "■"}
MAX_LEVELS = 8  # levels of a grouping column
MIN_SESSIONS = 3  # sessions per value, on average, for a numeric column to define groups
MAX_POINTS = 300  # points drawn for each level of a grouping column
MAX_NUMBERS = 1000  # points drawn for a numeric column
MAX_LINKED = 5000  # points drawn for a load against the volume
LARGEST = 1e100  # absolute value of a number on an axis; infinity is larger
BINS = 24
SIZE, SMALL_SIZE = 3.0, 2.5  # half height of points, pixels


class Measure(NamedTuple):
    """Column of the table: a volume (ml), shown on a logarithmic axis, or a ``share`` (0-1)."""

    column: str
    title: str
    share: bool = False

    def values(self, table: pd.DataFrame) -> pd.Series:
        """Return the values of the measure in a table."""
        return numbers(table, self.column)

    def scale(self, table: pd.DataFrame) -> Scale:
        """Return an axis that shows all values in a table."""
        create = scales.share_scale if self.share else scales.volume_scale
        return create(self.title, self.column, self.values(table))


def numbers(table: pd.DataFrame, column: str) -> pd.Series:
    """Return a column as numbers; NaN for other values, and for those that no axis can show."""
    values = pd.to_numeric(table[column], errors="coerce")
    return values.where(values.abs() <= LARGEST)


def distributions(table: pd.DataFrame, measures: Sequence[Measure]) -> str:
    """Plot histograms of measures over the sessions, with a separate bar for zero.

    A line marks the median of the other values.
    """
    return "".join(_histogram(table, measure) for measure in measures)


def _histogram(table: pd.DataFrame, measure: Measure) -> str:
    values = measure.values(table).dropna()
    x = measure.scale(table)
    edges = _edges(x)
    counts = _count(x.position(values), edges)
    y = scales.count_scale("sessions", int(counts.max()))
    positive = values[values > 0]
    marks, text = [panels.bars(x, y, edges, counts)], f"{len(values)} sessions"
    if len(positive) < len(values):
        text += f", {len(values) - len(positive)} of them with none"
    if len(positive):
        median = float(positive.median())
        marks.append(panels.median(x, median))
        text += f"; median of the others {median:.3g}"
    bins = json.dumps({"edges": edges.round(4).tolist(), "high": y.high})
    return panels.panel(x, y, marks, f"{measure.title}: {text}", f' data-bins="{escape(bins)}"')


def _edges(scale: Scale) -> NDArray[np.float64]:
    """Return the positions of the left and right edge of each bar, (bars, 2)."""
    edges = np.linspace(scale.start, 1, BINS + 1)
    bars = np.column_stack([edges[:-1], edges[1:]])
    none = [[0.01, 2 * scales.NONE - 0.01]] if scale.start else np.empty((0, 2))
    return np.vstack([none, bars])


def _count(positions: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    """Count the positions in each bar."""
    bars = np.searchsorted(edges[:, 0], positions, side="right") - 1
    return np.bincount(bars, minlength=len(edges))


def groups(table: pd.DataFrame, column: str, measures: Sequence[Measure]) -> str | None:
    """Plot measures by a grouping column: boxes for categories, scatter plots for numbers.

    The boxes show the quartiles of the values above zero. Returns None if the column does not define
    groups.

    Parameters
    ----------
    table : pandas.DataFrame
    column : str
        Grouping column, such as a column of participants.tsv.
    measures : sequence of Measure
    """
    values = numbers(table, column)
    labels = table[column].dropna().astype(str)
    max_levels = min(MAX_LEVELS, len(labels) / MIN_SESSIONS)
    if values.notna().sum() == len(labels) and labels.nunique() > max_levels:
        return _scatters(table, column, measures)
    levels = sorted(labels.unique())
    if not 2 <= len(levels) <= MAX_LEVELS:
        return None
    return "".join(_boxes(table, column, labels, levels, measure) for measure in measures)


def _boxes(
    table: pd.DataFrame, column: str, labels: pd.Series, levels: Sequence[str], measure: Measure
) -> str:
    values, y = measure.values(table), measure.scale(table)
    members = [values[labels.index[labels == level]].dropna() for level in levels]
    names = [f"{level} ({len(group)})" for level, group in zip(levels, members, strict=True)]
    x = scales.level_scale(column, names)
    width = float(panels.across(x, 0.2) - panels.across(x, 0))
    jitter = np.random.default_rng(0)
    marks = []
    for number, group in enumerate(members):
        drawn = group.sample(min(len(group), MAX_POINTS), random_state=0).sort_index()
        center = float(panels.across(x, number))
        columns = center + width * jitter.uniform(-1, 1, len(drawn))
        marks.append(
            panels.points(_points(table, drawn.index, columns, panels.up(y, drawn)), SMALL_SIZE)
        )
        positive = group[group > 0]
        if len(positive):
            marks.append(panels.box(y, center, width, positive.quantile([0.25, 0.5, 0.75])))
    return panels.panel(x, y, marks, f"{measure.title} by {column}: {', '.join(names)}")


def _scatters(table: pd.DataFrame, column: str, measures: Sequence[Measure]) -> str:
    values = numbers(table, column).dropna()
    x = scales.number_scale(column, column, values)
    drawn = values.sample(min(len(values), MAX_NUMBERS), random_state=0).sort_index()
    return "".join(_scatter(table, x, drawn, measure) for measure in measures)


def _scatter(table: pd.DataFrame, x: Scale, values: pd.Series, measure: Measure) -> str:
    y = measure.scale(table)
    heights = measure.values(table)[values.index].dropna()
    columns = panels.across(x, values[heights.index])
    marks = panels.points(_points(table, heights.index, columns, panels.up(y, heights)), SMALL_SIZE)
    return panels.panel(x, y, [marks], f"{measure.title} by {x.title}: {len(heights)} sessions")


def load_against_volume(
    table: pd.DataFrame, volume: Measure, load: Measure, links: Mapping[str, str]
) -> str:
    """Plot a load against lesion volume, by hemisphere; points link to participant reports.

    At most ``MAX_LINKED`` sessions are drawn, which are the same for each load.

    Parameters
    ----------
    table : pandas.DataFrame
        Table with ``hemisphere`` and ``participant_id``.
    volume, load : Measure
    links : mapping of str to str
        Report addresses by participant.
    """
    values = pd.concat([volume.values(table), load.values(table)], axis="columns").dropna()
    x, y = volume.scale(table), load.scale(table)
    number = len(values)
    values = values.sample(min(number, MAX_LINKED), random_state=0).sort_index()
    columns, heights = panels.across(x, values.iloc[:, 0]), panels.up(y, values.iloc[:, 1])
    marks = panels.points(_points(table, values.index, columns, heights, links), SIZE)
    drawn = f"{len(values)} of " if len(values) < number else ""
    label = f"{load.title} against {volume.title}: {drawn}{number} sessions"
    return panels.panel(x, y, [marks], label, role="group")


def _points(
    table: pd.DataFrame,
    rows: pd.Index,
    columns: NDArray[np.float64],
    heights: NDArray[np.float64],
    links: Mapping[str, str] | None = None,
) -> list[Point]:
    """Create the points of the given rows of a table."""
    sides = table["hemisphere"] if "hemisphere" in table else pd.Series(index=table.index, dtype=object)
    flagged = table["qc_flags"].notna() if "qc_flags" in table else pd.Series(False, table.index)
    return [
        Point(
            row,
            x,
            y,
            sides[row] if sides[row] in SIDES else "",
            bool(flagged[row]),
            (links or {}).get(table["participant_id"][row]),
        )
        for row, x, y in zip(rows, columns, heights, strict=True)
    ]
