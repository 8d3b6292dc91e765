"""Statistics over scans: intervals, groups, agreement of measures.

Scans of one unit, such as the sessions of a participant, are not independent. Intervals therefore
resample units with all their scans, and tests compare means of units.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from .units import unit_means

RESAMPLES = 1000
SEED = 0
_NAN = float("nan")
#: Size classes of lesions (ml).
SIZES = {"< 1 ml": (0, 1), "1-10 ml": (1, 10), "10-50 ml": (10, 50), "> 50 ml": (50, np.inf)}


class Summary(NamedTuple):
    """Number of values, their mean, median and standard deviation (n - 1), the 95% percentile bootstrap
    interval of the mean, and the number of independent units."""

    n: int
    mean: float
    median: float
    sd: float
    low: float
    high: float
    units: int


def summarize(values: ArrayLike, units: ArrayLike | None = None, seed: int = SEED) -> Summary:
    """Summarize the finite values.

    The interval is the percentile bootstrap of the mean: 2.5th and 97.5th percentile over
    :data:`bids_stroke.evaluation.statistics.RESAMPLES` resamples of the units with all their values
    (Efron and Tibshirani 1993; Davison and Hinkley 1997).

    Parameters
    ----------
    values : array-like, (n,)
    units : array-like, (n,), optional
        Unit of each value, such as the participant; by default, each value is a unit.
    seed : int
        Seed of the resampling.

    Examples
    --------
    >>> dice, participants = [0.5, 0.5, 0.75, 0.75, np.nan], ["a", "a", "b", "b", "b"]
    >>> result = summarize(dice, participants)
    >>> result.n, result.units, result.mean
    (4, 2, 0.625)
    >>> result.low, result.high
    (0.5, 0.75)
    """
    array = np.asarray(values, float)
    finite = np.isfinite(array)
    selected = array[finite]
    n = len(selected)
    if not n:
        return Summary(0, _NAN, _NAN, _NAN, _NAN, _NAN, 0)
    labels = np.arange(n) if units is None else pd.factorize(np.asarray(units)[finite])[0]
    sums, counts = np.bincount(labels, selected), np.bincount(labels)
    low, high = _interval_of_mean(sums, counts, seed)
    return Summary(
        n=n,
        mean=float(selected.mean()),
        median=float(np.median(selected)),
        sd=float(selected.std(ddof=1)) if n > 1 else float("nan"),
        low=low,
        high=high,
        units=len(sums),
    )


def _interval_of_mean(sums: NDArray, counts: NDArray, seed: int) -> tuple[float, float]:
    """Compute the bootstrap interval of the mean from the sum and the number of values of each unit."""
    if len(sums) == 1:  # all resamples are equal
        return float(sums[0] / counts[0]), float(sums[0] / counts[0])
    interval = stats.bootstrap(
        (sums, counts),
        lambda sums, counts, axis: sums.sum(axis) / counts.sum(axis),
        n_resamples=RESAMPLES,
        paired=True,
        method="percentile",
        rng=seed,
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, float)
    return array[np.isfinite(array)]


def size_quartiles(volumes: pd.Series | Sequence[float]) -> pd.Series:
    """Assign each volume to a quartile: ``0-25%`` to ``75-100%`` (Tomita et al. 2020, Table 4).

    >>> size_quartiles([4.0, 1.0, 80.0, 20.0]).tolist()
    ['25-50%', '0-25%', '75-100%', '50-75%']
    """
    names = ["0-25%", "25-50%", "50-75%", "75-100%"]
    ranks = pd.Series(volumes).rank(method="first", pct=True)
    return pd.cut(ranks, [0, 0.25, 0.5, 0.75, 1], labels=names).astype(object)


def size_classes(volumes: pd.Series | Sequence[float]) -> pd.Series:
    """Assign each volume (ml) to a class of :data:`bids_stroke.evaluation.statistics.SIZES`.

    >>> size_classes([0.4, 1.0, 75.0]).tolist()
    ['< 1 ml', '1-10 ml', '> 50 ml']
    """
    edges = [low for low, _ in SIZES.values()] + [np.inf]
    return pd.cut(pd.Series(volumes), edges, right=False, labels=list(SIZES)).astype(object)


class Regression(NamedTuple):
    """Correlations and least-squares line over scans.

    The p values are those of the correlations over means of units.
    """

    n: int
    pearson: float
    pearson_p: float
    spearman: float
    spearman_p: float
    slope: float
    intercept: float
    r2: float
    units: int


def regress(x: ArrayLike, y: ArrayLike, units: ArrayLike | None = None) -> Regression:
    """Correlate ``y`` with ``x`` over the pairs with finite values.

    The results are NaN for fewer than three pairs or without variance.

    Parameters
    ----------
    x, y : array-like, (n,)
    units : array-like, (n,), optional
        Unit of each pair; by default, each pair is a unit. The p values are those of the
        correlations over means of units.

    Examples
    --------
    >>> line = regress([1, 2, 3], [2, 4, 6])  # true and predicted volume (ml)
    >>> round(line.slope, 6), round(line.intercept, 6), round(line.r2, 6)
    (2.0, 0.0, 1.0)
    """
    points = pd.DataFrame({"x": np.asarray(x, float), "y": np.asarray(y, float)})
    finite = np.isfinite(points.to_numpy()).all(axis=1)
    points = points[finite]
    means = unit_means(points, None if units is None else np.asarray(units)[finite])
    n = len(points)
    if not _is_regressable(points):
        return Regression(n, _NAN, _NAN, _NAN, _NAN, _NAN, _NAN, _NAN, len(means))
    line = stats.linregress(points["x"], points["y"])
    pearson_p, spearman_p = _NAN, _NAN
    if _is_regressable(means):
        pearson_p = float(stats.pearsonr(means["x"], means["y"]).pvalue)
        spearman_p = float(stats.spearmanr(means["x"], means["y"]).pvalue)
    return Regression(
        n=n,
        pearson=float(line.rvalue),
        pearson_p=pearson_p,
        spearman=float(stats.spearmanr(points["x"], points["y"]).statistic),
        spearman_p=spearman_p,
        slope=float(line.slope),
        intercept=float(line.intercept),
        r2=float(line.rvalue**2),
        units=len(means),
    )


def _is_regressable(points: pd.DataFrame) -> bool:
    """Check that there are at least three points that vary in both coordinates."""
    return len(points) >= 3 and bool((np.ptp(points.to_numpy(), axis=0) > 0).all())


def dice_against_volume(
    dice: ArrayLike, volumes: ArrayLike, units: ArrayLike | None = None
) -> Regression:
    """Regress Dice on log10 of the true volume (Tomita et al. 2020); empty truths are excluded.

    Parameters
    ----------
    dice, volumes : array-like, (n,)
        Dice coefficient and true volume (ml) of each scan.
    units : array-like, (n,), optional
        Unit of each scan; by default, each scan is a unit.
    """
    ml = np.asarray(volumes, float)
    not_empty = ml > 0
    labels = None if units is None else np.asarray(units)[not_empty]
    return regress(np.log10(ml[not_empty]), np.asarray(dice, float)[not_empty], labels)


class BlandAltman(NamedTuple):
    """Mean difference (b - a) and the 95% limits of agreement (Bland and Altman 1986)."""

    n: int
    bias: float
    low: float
    high: float


def bland_altman(a: ArrayLike, b: ArrayLike) -> BlandAltman:
    """Compute the limits of agreement: mean difference (b - a) ± 1.96 standard deviations (n - 1).

    >>> limits = bland_altman([10, 20, 30], [11, 23, 32])  # true and predicted volume (ml)
    >>> limits.bias, round(limits.low, 2), round(limits.high, 2)
    (2.0, 0.04, 3.96)
    """
    difference = _finite(np.asarray(b, float) - np.asarray(a, float))
    if len(difference) < 2:
        return BlandAltman(len(difference), *[float("nan")] * 3)
    bias, spread = difference.mean(), 1.96 * difference.std(ddof=1)
    return BlandAltman(len(difference), float(bias), float(bias - spread), float(bias + spread))


def category_agreement(
    predicted: Iterable[str], true: Iterable[str], levels: Sequence[str]
) -> tuple[pd.DataFrame, float]:
    """Measure the agreement of ordered categories.

    Parameters
    ----------
    predicted, true : iterable of str
        Categories of the same scans. Pairs with another value are not counted.
    levels : sequence of str
        Categories in their order.

    Returns
    -------
    tuple of (pandas.DataFrame, float)
        Confusion table (rows: true, columns: predicted), and Cohen's kappa with linear weights (Cohen
        1968); NaN if only one category occurs.

    Examples
    --------
    >>> true = ["small", "small", "medium", "large"]
    >>> predicted = ["small", "medium", "medium", "large"]
    >>> table, kappa = category_agreement(predicted, true, ["small", "medium", "large"])
    >>> table.to_numpy().tolist()
    [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    >>> round(kappa, 2)
    0.71
    """
    names = list(levels)
    table = pd.crosstab(
        pd.Categorical(list(true), names), pd.Categorical(list(predicted), names), dropna=False
    ).reindex(index=names, columns=names, fill_value=0)
    counts = table.to_numpy()
    if np.count_nonzero(counts.sum(0) + counts.sum(1)) < 2:
        return table, float("nan")
    rows, columns = np.indices(counts.shape).reshape(2, -1)
    kappa = cohen_kappa_score(rows, columns, weights="linear", sample_weight=counts.ravel())
    return table, float(kappa)
