"""Statistics over scans: intervals, groups, comparison of models, agreement of measures.

Scans of one unit, such as the sessions of a participant, are not independent: intervals resample units
with all of their scans, and tests compare means of units.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

RESAMPLES = 1000
SEED = 0
_NAN = float("nan")
#: Size classes of lesions (ml).
SIZES = {"< 1 ml": (0, 1), "1-10 ml": (1, 10), "10-50 ml": (10, 50), "> 50 ml": (50, np.inf)}


class Summary(NamedTuple):
    """``n`` values, their mean, median and standard deviation (n - 1), the 95% percentile bootstrap
    interval of the mean, and the number of independent units."""

    n: int
    mean: float
    median: float
    sd: float
    low: float
    high: float
    units: int


def summarize(values: ArrayLike, units: ArrayLike | None = None, seed: int = SEED) -> Summary:
    """Summary of the finite values.

    The interval is the percentile bootstrap of the mean: 2.5th and 97.5th percentile over
    :data:`bids_stroke.evaluation.statistics.RESAMPLES` resamples of the units, each with all of its
    values (Efron and Tibshirani 1993; Davison and Hinkley 1997).

    Parameters
    ----------
    values : array-like, (n,)
    units : array-like, (n,), optional
        What each value belongs to, such as the participant; without it, each value is a unit.
    seed : int
    """
    array = np.asarray(values, float)
    finite = np.isfinite(array)
    inside = array[finite]
    n = len(inside)
    if not n:
        return Summary(0, _NAN, _NAN, _NAN, _NAN, _NAN, 0)
    labels = np.arange(n) if units is None else pd.factorize(np.asarray(units)[finite])[0]
    sums, counts = np.bincount(labels, inside), np.bincount(labels)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(RESAMPLES, len(sums)))
    low, high = np.percentile(sums[drawn].sum(1) / counts[drawn].sum(1), (2.5, 97.5))
    return Summary(
        n=n,
        mean=float(inside.mean()),
        median=float(np.median(inside)),
        sd=float(inside.std(ddof=1)) if n > 1 else float("nan"),
        low=float(low),
        high=float(high),
        units=len(sums),
    )


def _unit_means(table: pd.DataFrame, units: ArrayLike | None) -> pd.DataFrame:
    """Means of the rows of each unit."""
    return table if units is None else table.groupby(np.asarray(units), sort=False).mean()


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, float)
    return array[np.isfinite(array)]


def size_quartiles(volumes: pd.Series | Sequence[float]) -> pd.Series:
    """Quartile of each volume: ``0-25%`` to ``75-100%`` (Tomita et al. 2020, Table 4)."""
    names = ["0-25%", "25-50%", "50-75%", "75-100%"]
    ranks = pd.Series(volumes).rank(method="first", pct=True)
    return pd.cut(ranks, [0, 0.25, 0.5, 0.75, 1], labels=names).astype(object)


def size_classes(volumes: pd.Series | Sequence[float]) -> pd.Series:
    """Class of each volume (ml) by :data:`bids_stroke.evaluation.statistics.SIZES`."""
    edges = [low for low, _ in SIZES.values()] + [np.inf]
    return pd.cut(pd.Series(volumes), edges, right=False, labels=list(SIZES)).astype(object)


class Comparison(NamedTuple):
    """Paired comparison of two models by a - b: number of scans and of units; over means of units, the
    median difference, Wilcoxon's p value, the same after Holm's correction, and the rank-biserial
    correlation (-1 to 1); the mean difference of scans, and its 95% percentile bootstrap interval."""

    a: str
    b: str
    n: int
    median_difference: float
    p: float
    p_holm: float
    effect: float
    units: int
    mean_difference: float
    low: float
    high: float


def compare(scores: pd.DataFrame, units: ArrayLike | None = None) -> list[Comparison]:
    """Compare every pair of models on the scans that both have.

    Wilcoxon signed-rank test of the mean differences of the units, two-sided, ties with zero split
    (Pratt 1959); Holm's step-down correction over the pairs; matched-pairs rank-biserial correlation
    (Kerby 2014); interval as :func:`bids_stroke.evaluation.statistics.summarize`.

    Parameters
    ----------
    scores : pandas.DataFrame
        One column for each model, one row for each scan.
    units : array-like, optional
        What each row belongs to; without it, each row is a unit.

    Returns
    -------
    list of Comparison
    """
    columns = list(map(str, scores))
    labels = np.arange(len(scores)) if units is None else np.asarray(units)
    tested = [
        _compare_two(scores[a], scores[b], labels)
        for i, a in enumerate(columns)
        for b in columns[i + 1 :]
    ]
    corrected = holm([comparison.p for comparison in tested])
    return [comparison._replace(p_holm=p) for comparison, p in zip(tested, corrected, strict=True)]


def _compare_two(a: pd.Series, b: pd.Series, units: NDArray) -> Comparison:
    """Compare two models; Holm's correction is missing."""
    both = (a.notna() & b.notna()).to_numpy()
    differences = (a - b)[both]
    whole = summarize(differences, units[both])
    means = _unit_means(differences.to_frame(), units[both]).to_numpy(float).ravel()
    if len(means) and (means != 0).any():
        p = float(stats.wilcoxon(means, zero_method="zsplit").pvalue)
    else:
        p = 1.0 if len(means) else float("nan")
    return Comparison(
        a=str(a.name),
        b=str(b.name),
        n=whole.n,
        median_difference=float(np.median(means)) if len(means) else float("nan"),
        p=p,
        p_holm=float("nan"),
        effect=rank_biserial(means),
        units=whole.units,
        mean_difference=whole.mean,
        low=whole.low,
        high=whole.high,
    )


def holm(p_values: ArrayLike) -> list[float]:
    """Holm's step-down correction (Scand J Stat 1979); NaN stays NaN and is not counted."""
    p = np.asarray(p_values, float)
    adjusted = np.full(len(p), np.nan)
    finite = np.flatnonzero(np.isfinite(p))
    order = finite[np.argsort(p[finite], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted.tolist()


def rank_biserial(differences: ArrayLike) -> float:
    """Matched-pairs rank-biserial correlation: share of favourable minus unfavourable ranks."""
    unequal = np.asarray(differences, float)
    unequal = unequal[unequal != 0]
    if not len(unequal):
        return 0.0
    ranks = stats.rankdata(np.abs(unequal))
    return float((ranks * np.sign(unequal)).sum() / ranks.sum())


class Regression(NamedTuple):
    """Pearson and Spearman correlation of scans with p values of the means of units, the least-squares
    line of scans, and the number of units."""

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
    """Correlate ``y`` with ``x`` over the pairs where both are finite; NaN below three pairs or
    without variance.

    Parameters
    ----------
    x, y : array-like, (n,)
    units : array-like, (n,), optional
        What each pair belongs to: p values are those of the correlations of the means of units.
        Without it, each pair is a unit.
    """
    points = pd.DataFrame({"x": np.asarray(x, float), "y": np.asarray(y, float)})
    finite = np.isfinite(points.to_numpy()).all(axis=1)
    points = points[finite]
    means = _unit_means(points, None if units is None else np.asarray(units)[finite])
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
    """Whether there are three points that vary in both directions."""
    return len(points) >= 3 and bool((np.ptp(points.to_numpy(), axis=0) > 0).all())


def dice_against_volume(
    dice: ArrayLike, volumes: ArrayLike, units: ArrayLike | None = None
) -> Regression:
    """Regression of Dice on log10 of the true volume (Tomita et al. 2020); empty truths left out."""
    ml = np.asarray(volumes, float)
    some = ml > 0
    labels = None if units is None else np.asarray(units)[some]
    return regress(np.log10(ml[some]), np.asarray(dice, float)[some], labels)


class BlandAltman(NamedTuple):
    """Mean difference (b - a) and the 95% limits of agreement (Bland and Altman 1986)."""

    n: int
    bias: float
    low: float
    high: float


def bland_altman(a: ArrayLike, b: ArrayLike) -> BlandAltman:
    """Limits of agreement of two measures: mean difference ± 1.96 standard deviations (n - 1)."""
    difference = _finite(np.asarray(b, float) - np.asarray(a, float))
    if len(difference) < 2:
        return BlandAltman(len(difference), *[float("nan")] * 3)
    bias, spread = difference.mean(), 1.96 * difference.std(ddof=1)
    return BlandAltman(len(difference), float(bias), float(bias - spread), float(bias + spread))


def category_agreement(
    predicted: Iterable[str], true: Iterable[str], levels: Sequence[str]
) -> tuple[pd.DataFrame, float]:
    """Agreement of ordered categories.

    Returns
    -------
    tuple of (pandas.DataFrame, float)
        Confusion table (rows true, columns predicted), and Cohen's kappa with linear weights (Cohen
        1968); NaN where only one category occurs.
    """
    names = list(levels)
    table = pd.crosstab(
        pd.Categorical(list(true), names), pd.Categorical(list(predicted), names), dropna=False
    ).reindex(index=names, columns=names, fill_value=0)
    observed = table.to_numpy(float)
    total = observed.sum()
    weights = np.abs(np.subtract.outer(np.arange(len(names)), np.arange(len(names))))
    expected = np.outer(observed.sum(1), observed.sum(0)) / total if total else observed
    chance = (weights * expected).sum()
    kappa = 1 - (weights * observed).sum() / chance if chance else float("nan")
    return table, float(kappa)
