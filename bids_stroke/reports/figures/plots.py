"""Plots of a cohort: tables in, SVG text out."""

import re
from io import StringIO

import numpy as np
import pandas as pd

INK, RED = "#1f5fa8", "#b3261e"
#: Marker and color of a hemisphere: told apart without colors too.
SIDES = {"left": ("o", "#1f5fa8"), "right": ("^", "#c2410c"), "bilateral": ("s", "#5b3a8c")}
MOST_LEVELS = 8  # of a column that sessions are divided by
LEAST_SESSIONS = 3  # of a number, on average, for it to divide them
MOST_POINTS = 300  # drawn of a group, beside its box
LINEAR_ML = 0.1
#: Axis of volumes: logarithmic, linear below a tenth of a millilitre, so that zero has its place.
VOLUMES = {"linthresh": LINEAR_ML, "linscale": 0.3}


def figure(width, height):
    """An empty matplotlib figure (inches) that belongs to no window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def svg(drawn, salt):
    """A matplotlib figure as an SVG element; the same data and ``salt`` draw the same text."""
    import matplotlib

    stream = StringIO()
    with matplotlib.rc_context({"svg.hashsalt": salt}):
        drawn.savefig(stream, format="svg", metadata={"Date": None})
    return re.sub(r"^.*?(?=<svg)", "", stream.getvalue(), flags=re.DOTALL)


def distributions(table, measures):
    """Histograms of columns over the sessions, the volumes (ml) on a logarithmic axis.

    Parameters
    ----------
    table : pandas.DataFrame
    measures : dict
        Column to its title.
    """
    drawn, panels = _panels(measures)
    for axes, name, title in panels:
        values = table[name].dropna()
        edges = np.geomspace(LINEAR_ML, max(values.max(), 1), 25) if len(values) else [0, 1]
        axes.hist(np.maximum(values, LINEAR_ML), [0, *edges], color=INK, alpha=0.8)
        axes.set_xscale("symlog", **VOLUMES)
        axes.set(xlabel=title, ylabel="sessions", xlim=_span(values))
    return svg(drawn, "distributions")


def groups(table, column, measures):
    """Columns over the sessions, divided by another: boxes and points for texts, a scatter plot for
    numbers; None where the column divides nothing.

    Parameters
    ----------
    table : pandas.DataFrame
    column : str
        The column that divides, such as those of participants.tsv.
    measures : dict
        Column to its title.
    """
    numbers = pd.to_numeric(table[column], errors="coerce")
    texts = table[column].dropna().astype(str)
    most = min(MOST_LEVELS, len(texts) / LEAST_SESSIONS)
    if numbers.notna().sum() == len(texts) and texts.nunique() > most:
        return _scatters(table, column, numbers, measures)
    levels = sorted(texts.unique())
    if not 2 <= len(levels) <= MOST_LEVELS:
        return None
    drawn, panels = _panels(measures)
    jitter = np.random.default_rng(0)
    for axes, name, title in panels:
        found = [table.loc[texts.index[texts == level], name].dropna() for level in levels]
        axes.boxplot(found, widths=0.5, showfliers=False, medianprops={"color": RED})
        for place, values in enumerate(found, 1):
            some = values.sample(min(len(values), MOST_POINTS), random_state=0)
            beside = place + jitter.uniform(-0.15, 0.15, len(some))
            axes.scatter(beside, some, s=9, color=INK, alpha=0.5)
        counted = zip(levels, found, strict=True)
        names = [f"{_short(level)} ({len(values)})" for level, values in counted]
        axes.set_xticks(range(1, len(levels) + 1), names, fontsize=8)
        axes.set_yscale("symlog", **VOLUMES)
        axes.set(ylabel=title, xlabel=_short(column), ylim=_span(table[name]))
    return svg(drawn, f"groups {column}")


def _scatters(table, column, numbers, measures):
    drawn, panels = _panels(measures)
    for axes, name, title in panels:
        axes.scatter(numbers, table[name], s=9, color=INK, alpha=0.5)
        axes.set_yscale("symlog", **VOLUMES)
        axes.set(ylabel=title, xlabel=_short(column), ylim=_span(table[name]))
    return svg(drawn, f"scatter {column}")


def load_against_volume(table, volume, load, title, links):
    """The load of the affected side against the lesion's volume, by hemisphere; points are links.

    Parameters
    ----------
    table : pandas.DataFrame
        With ``hemisphere`` and ``participant_id``.
    volume, load : pandas.Series
        ml.
    links : dict
        Participant to the address of the report.
    """
    drawn = figure(7, 4.2)
    axes = drawn.subplots()
    for side, (marker, color) in SIDES.items():
        mine = table["hemisphere"].eq(side) & volume.notna() & load.notna()
        points = axes.scatter(volume[mine], load[mine], s=26, marker=marker, color=color, alpha=0.65,
                              label=f"{side} ({mine.sum()})")  # fmt: skip
        points.set_urls([links.get(name) for name in table.loc[mine, "participant_id"]])
    axes.set_xscale("symlog", **VOLUMES)
    axes.set_yscale("symlog", **VOLUMES)
    axes.set(xlabel="Lesion volume (ml)", ylabel=title, xlim=_span(volume), ylim=_span(load))
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.25)
    return svg(drawn, "load against volume")


def _panels(measures):
    """A figure with a panel for each measure: figure, and triples of axes, column and title."""
    drawn = figure(12, 3.2)
    axes = np.ravel(drawn.subplots(1, len(measures)))
    return drawn, list(zip(axes, measures, measures.values(), strict=True))


def _span(values):
    """Limits of an axis of volumes."""
    most = values.max()
    return 0, 1.5 * most if most > LINEAR_ML else 1


def _short(text, most=24):
    text = str(text).replace("$", r"\$")  # no mathematics in names
    return text if len(text) <= most else f"{text[:most]}…"
