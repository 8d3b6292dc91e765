"""Statistics over scans: intervals, groups, comparison of models, agreement of measures."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

RESAMPLES = 1000
SEED = 0
#: Size classes of lesions (ml).
SIZES = {"< 1 ml": (0, 1), "1-10 ml": (1, 10), "10-50 ml": (10, 50), "> 50 ml": (50, np.inf)}


class Summary(NamedTuple):
    """``n`` values, their mean, median and standard deviation (n - 1), and the 95% percentile
    bootstrap interval of the mean."""

    n: int
    mean: float
    median: float
    sd: float
    low: float
    high: float


def summarize(values: ArrayLike, seed: int = SEED) -> Summary:
    """Summary of the finite values.

    The interval is the percentile bootstrap of the mean: 2.5th and 97.5th percentile over
    :data:`bids_stroke.evaluation.statistics.RESAMPLES` resamples of the scans (Efron and Tibshirani
    1993).
    """
    finite = _finite(values)
    n = len(finite)
    if not n:
        return Summary(0, *[float("nan")] * 5)
    rng = np.random.default_rng(seed)
    means = finite[rng.integers(n, size=(RESAMPLES, n))].mean(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Summary(
        n=n,
        mean=float(finite.mean()),
        median=float(np.median(finite)),
        sd=float(finite.std(ddof=1)) if n > 1 else float("nan"),
        low=float(low),
        high=float(high),
    )


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
    """Paired comparison of two models: number of pairs, median difference (a - b), Wilcoxon's
    p value, the same after Holm's correction, and the rank-biserial correlation (-1 to 1)."""

    a: str
    b: str
    n: int
    median_difference: float
    p: float
    p_holm: float
    effect: float


def compare(scores: pd.DataFrame) -> list[Comparison]:
    """Compare every pair of models on the scans that both have.

    Wilcoxon signed-rank test, two-sided, ties with zero split (Pratt 1959); Holm's step-down
    correction over the pairs; matched-pairs rank-biserial correlation (Kerby 2014).

    Parameters
    ----------
    scores : pandas.DataFrame
        One column for each model, one row for each scan.

    Returns
    -------
    list of Comparison
    """
    columns = list(map(str, scores))
    pairs = [(a, b) for i, a in enumerate(columns) for b in columns[i + 1 :]]
    tested = []
    for a, b in pairs:
        both = scores[[a, b]].dropna()
        difference = (both[a] - both[b]).to_numpy(float)
        if len(difference) and (difference != 0).any():
            p = float(stats.wilcoxon(difference, zero_method="zsplit").pvalue)
        else:
            p = 1.0 if len(difference) else float("nan")
        median = float(np.median(difference)) if len(difference) else float("nan")
        tested.append(
            Comparison(a, b, len(difference), median, p, float("nan"), rank_biserial(difference))
        )
    corrected = holm([comparison.p for comparison in tested])
    return [comparison._replace(p_holm=p) for comparison, p in zip(tested, corrected, strict=True)]


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
    """Pearson and Spearman correlation with p values, and the least-squares line."""

    n: int
    pearson: float
    pearson_p: float
    spearman: float
    spearman_p: float
    slope: float
    intercept: float
    r2: float


def regress(x: ArrayLike, y: ArrayLike) -> Regression:
    """Correlate ``y`` with ``x`` over the pairs where both are finite; NaN below three pairs or
    without variance."""
    points = np.stack([np.asarray(x, float), np.asarray(y, float)])
    points = points[:, np.isfinite(points).all(0)]
    n = points.shape[1]
    if n < 3 or (np.ptp(points, axis=1) == 0).any():
        return Regression(n, *[float("nan")] * 7)
    line = stats.linregress(*points)
    rank = stats.spearmanr(*points)
    return Regression(
        n=n,
        pearson=float(line.rvalue),
        pearson_p=float(line.pvalue),
        spearman=float(rank.statistic),
        spearman_p=float(rank.pvalue),
        slope=float(line.slope),
        intercept=float(line.intercept),
        r2=float(line.rvalue**2),
    )


def dice_against_volume(dice: ArrayLike, volumes: ArrayLike) -> Regression:
    """Regression of Dice on log10 of the true volume (Tomita et al. 2020); empty truths left out."""
    ml = np.asarray(volumes, float)
    return regress(np.log10(ml[ml > 0]), np.asarray(dice, float)[ml > 0])


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
