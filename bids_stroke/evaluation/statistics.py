"""Statistics over scans: intervals, groups, comparison of models, agreement of measures."""

from typing import NamedTuple

import numpy as np
import pandas as pd
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


def summarize(values, seed=SEED):
    """Summary of the finite values.

    The interval is the percentile bootstrap of the mean: 2.5th and 97.5th percentile over
    :data:`RESAMPLES` resamples of the scans (Efron and Tibshirani 1993).
    """
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return Summary(0, *[float("nan")] * 5)
    rng = np.random.default_rng(seed)
    drawn = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    sd = values.std(ddof=1) if len(values) > 1 else float("nan")
    middle = float(np.median(values))
    return Summary(len(values), float(values.mean()), middle, float(sd), float(low), float(high))


def size_quartiles(volumes):
    """Quartile of each volume: ``0-25%`` to ``75-100%`` (Tomita et al. 2020, Table 4)."""
    names = ["0-25%", "25-50%", "50-75%", "75-100%"]
    ranks = pd.Series(volumes).rank(method="first", pct=True)
    return pd.cut(ranks, [0, 0.25, 0.5, 0.75, 1], labels=names).astype(object)


def size_classes(volumes):
    """Class of each volume (ml) by :data:`SIZES`."""
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


def compare(scores):
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
    columns = list(scores)
    pairs = [(a, b) for i, a in enumerate(columns) for b in columns[i + 1 :]]
    tested = []
    for a, b in pairs:
        both = scores[[a, b]].dropna()
        difference = (both[a] - both[b]).to_numpy(float)
        if len(difference) and (difference != 0).any():
            p = float(stats.wilcoxon(difference, zero_method="zsplit").pvalue)
        else:
            p = 1.0 if len(difference) else float("nan")
        middle = float(np.median(difference)) if len(difference) else float("nan")
        tested.append((a, b, len(difference), middle, p, rank_biserial(difference)))
    corrected = holm([p for *_, p, _ in tested])
    return [
        Comparison(a, b, n, middle, p, adjusted, effect)
        for (a, b, n, middle, p, effect), adjusted in zip(tested, corrected, strict=True)
    ]


def holm(p_values):
    """Holm's step-down correction (Scand J Stat 1979); NaN stays NaN and is not counted."""
    p = np.asarray(p_values, float)
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted.tolist()


def rank_biserial(differences):
    """Matched-pairs rank-biserial correlation: share of favourable minus unfavourable ranks."""
    differences = np.asarray(differences, float)
    differences = differences[differences != 0]
    if not len(differences):
        return 0.0
    ranks = stats.rankdata(np.abs(differences))
    return float((ranks * np.sign(differences)).sum() / ranks.sum())


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


def regress(x, y):
    """Correlate ``y`` with ``x`` over the pairs where both are finite; NaN below three pairs or
    without variance."""
    x, y = (np.asarray(values, float) for values in (x, y))
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Regression(len(x), *[float("nan")] * 7)
    line = stats.linregress(x, y)
    rank = stats.spearmanr(x, y)
    values = (line.rvalue, line.pvalue, rank.statistic, rank.pvalue, line.slope, line.intercept)
    return Regression(len(x), *map(float, values), float(line.rvalue**2))


def dice_against_volume(dice, volumes):
    """Regression of Dice on log10 of the true volume (Tomita et al. 2020); empty truths left out."""
    dice, volumes = np.asarray(dice, float), np.asarray(volumes, float)
    return regress(np.log10(volumes[volumes > 0]), dice[volumes > 0])


class BlandAltman(NamedTuple):
    """Mean difference (b - a) and the 95% limits of agreement (Bland and Altman 1986)."""

    n: int
    bias: float
    low: float
    high: float


def bland_altman(a, b):
    """Limits of agreement of two measures: mean difference ± 1.96 standard deviations (n - 1)."""
    difference = np.asarray(b, float) - np.asarray(a, float)
    difference = difference[np.isfinite(difference)]
    if len(difference) < 2:
        return BlandAltman(len(difference), *[float("nan")] * 3)
    bias, spread = difference.mean(), 1.96 * difference.std(ddof=1)
    return BlandAltman(len(difference), float(bias), float(bias - spread), float(bias + spread))


def category_agreement(predicted, true, levels):
    """Agreement of ordered categories.

    Returns
    -------
    tuple of (pandas.DataFrame, float)
        Confusion table (rows true, columns predicted), and Cohen's kappa with linear weights (Cohen
        1968); NaN where only one category occurs.
    """
    table = pd.crosstab(
        pd.Categorical(true, levels), pd.Categorical(predicted, levels), dropna=False
    ).reindex(index=levels, columns=levels, fill_value=0)
    seen = table.to_numpy(float)
    total = seen.sum()
    weights = np.abs(np.subtract.outer(np.arange(len(levels)), np.arange(len(levels))))
    expected = np.outer(seen.sum(1), seen.sum(0)) / total if total else seen
    chance = (weights * expected).sum()
    kappa = 1 - (weights * seen).sum() / chance if chance else float("nan")
    return table, float(kappa)
