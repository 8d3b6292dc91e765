"""Plots of outcomes against measures of lesions, as SVG text."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import statsmodels.api as sm
from numpy.typing import NDArray

from bids_stroke.cohort.coding import BINARY, Outcome
from bids_stroke.cohort.measures import MIN_VOLUME_ML, Measure

from . import plots
from .cohort import INK, RED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_POINTS = 2000
CURVE_POINTS = 100


def outcome_plots(outcome: Outcome, measures: Sequence[Measure], links: Mapping[str, str]) -> str:
    """Plot an outcome against measures; points link to participant reports.

    Lines are linear regressions on the measure, or on the logarithm of the volume, with 95% confidence
    intervals. The measures of a two-valued outcome are shown as box plots.

    Parameters
    ----------
    outcome : Outcome
    measures : sequence of Measure
        Measures of the participants of the outcome.
    links : mapping of str to str
        Report addresses by participant.
    """
    figure = plots.figure(4 * len(measures), 3.6)
    panels = np.ravel(figure.subplots(1, len(measures)))
    shown = drawn_points(len(outcome.values))
    addresses = [links.get(str(name)) for name in outcome.values.index[shown]]
    y = outcome.values.to_numpy(float)
    for axes, measure in zip(panels, measures, strict=True):
        if outcome.kind == BINARY:
            _boxes(axes, measure, y, outcome, shown, addresses)
        else:
            _scatter(axes, measure, y, outcome, shown, addresses)
    return plots.svg_text(figure, f"outcome {outcome.name}")


def drawn_points(number: int) -> NDArray[np.intp]:
    """Return the positions of the participants that are drawn, at most :data:`MAX_POINTS`."""
    if number <= MAX_POINTS:
        return np.arange(number)
    return np.sort(np.random.default_rng(0).choice(number, MAX_POINTS, replace=False))


def _scatter(
    axes: "Axes",
    measure: Measure,
    y: NDArray[np.float64],
    outcome: Outcome,
    shown: NDArray[np.intp],
    addresses: Sequence[str | None],
) -> None:
    """Plot a numeric or ordinal outcome against a measure."""
    is_volume = measure.kind == "volume"
    x = np.maximum(measure.values, MIN_VOLUME_ML) if is_volume else measure.values
    points = axes.scatter(x[shown], y[shown], s=14, color=INK, alpha=0.35, linewidths=0)
    points.set_urls(addresses)
    finite = np.isfinite(x)
    scale = np.log if is_volume else np.asarray
    design = sm.add_constant(scale(x[finite]), has_constant="add")
    ends = x[finite].min(), x[finite].max()
    curve = np.geomspace(*ends, CURVE_POINTS) if is_volume else np.linspace(*ends, CURVE_POINTS)
    fit = sm.OLS(y[finite], design).fit()
    interval = fit.get_prediction(sm.add_constant(scale(curve), has_constant="add")).summary_frame()
    axes.plot(curve, interval["mean"], color=RED)
    axes.fill_between(
        curve, interval["mean_ci_lower"], interval["mean_ci_upper"], color=RED, alpha=0.2, linewidth=0
    )
    if is_volume:
        axes.set_xscale("log")
    axes.set(xlabel=measure.title, ylabel=plots.plain(outcome.name))
    if outcome.levels:
        axes.set_yticks([*outcome.levels.values()], [*map(plots.plain, outcome.levels)])
    axes.grid(alpha=0.25)


def _boxes(
    axes: "Axes",
    measure: Measure,
    y: NDArray[np.float64],
    outcome: Outcome,
    shown: NDArray[np.intp],
    addresses: Sequence[str | None],
) -> None:
    """Plot a measure by the values of a two-valued outcome."""
    is_volume = measure.kind == "volume"
    x = np.maximum(measure.values, MIN_VOLUME_ML) if is_volume else measure.values
    groups = [x[(y == code) & np.isfinite(x)] for code in range(len(outcome.levels))]
    axes.boxplot(groups, widths=0.5, showfliers=False, medianprops={"color": RED})
    jitter = np.random.default_rng(0).uniform(-0.15, 0.15, len(shown))
    points = axes.scatter(1 + y[shown] + jitter, x[shown], s=14, color=INK, alpha=0.35, linewidths=0)
    points.set_urls(addresses)
    names = [
        f"{plots.plain(level)} ({len(group)})"
        for level, group in zip(outcome.levels, groups, strict=True)
    ]
    axes.set_xticks(range(1, len(names) + 1), names)
    if is_volume:
        axes.set_yscale("log")
    axes.set(xlabel=plots.plain(outcome.name), ylabel=measure.title)
    axes.grid(alpha=0.25, axis="y")
