"""Plots of outcomes against measures of lesions, as SVG text."""

from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

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
AMBER = "#d29500"  # rings of participants whose session failed QC checks


class _Points(NamedTuple):
    """Participants that are drawn: positions, report addresses, and which have a ring."""

    shown: NDArray[np.intp]
    addresses: list[str | None]
    flagged: list[bool]

    def draw(self, axes: "Axes", x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Draw the points; the coordinates are those of the participants that are drawn."""
        points = axes.scatter(
            x,
            y,
            s=14,
            facecolors=(INK, 0.35),
            edgecolors=[AMBER if is_flagged else "none" for is_flagged in self.flagged],
            linewidths=[1.5 if is_flagged else 0 for is_flagged in self.flagged],
        )
        points.set_urls(self.addresses)


def outcome_plots(
    outcome: Outcome,
    measures: Sequence[Measure],
    links: Mapping[str, str],
    flagged: Container[str] = (),
) -> str:
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
    flagged : container of str
        Participants whose session failed QC checks; their points have a ring.
    """
    figure = plots.figure(4 * len(measures), 3.6)
    panels = np.ravel(figure.subplots(1, len(measures)))
    shown = drawn_points(len(outcome.values))
    participants = [str(name) for name in outcome.values.index[shown]]
    drawn = _Points(shown, [*map(links.get, participants)], [name in flagged for name in participants])
    y = outcome.values.to_numpy(float)
    for axes, measure in zip(panels, measures, strict=True):
        if outcome.kind == BINARY:
            _boxes(axes, measure, y, outcome, drawn)
        else:
            _scatter(axes, measure, y, outcome, drawn)
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
    drawn: _Points,
) -> None:
    """Plot a numeric or ordinal outcome against a measure."""
    is_volume = measure.kind == "volume"
    x = np.maximum(measure.values, MIN_VOLUME_ML) if is_volume else measure.values
    drawn.draw(axes, x[drawn.shown], y[drawn.shown])
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
    drawn: _Points,
) -> None:
    """Plot a measure by the values of a two-valued outcome."""
    is_volume = measure.kind == "volume"
    x = np.maximum(measure.values, MIN_VOLUME_ML) if is_volume else measure.values
    groups = [x[(y == code) & np.isfinite(x)] for code in range(len(outcome.levels))]
    axes.boxplot(groups, widths=0.5, showfliers=False, medianprops={"color": RED})
    jitter = np.random.default_rng(0).uniform(-0.15, 0.15, len(drawn.shown))
    drawn.draw(axes, 1 + y[drawn.shown] + jitter, x[drawn.shown])
    names = [
        f"{plots.plain(level)} ({len(group)})"
        for level, group in zip(outcome.levels, groups, strict=True)
    ]
    axes.set_xticks(range(1, len(names) + 1), names)
    if is_volume:
        axes.set_yscale("log")
    axes.set(xlabel=plots.plain(outcome.name), ylabel=measure.title)
    axes.grid(alpha=0.25, axis="y")
