"""Paired comparison of models."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from .statistics import summarize
from .units import unit_means


class Comparison(NamedTuple):
    """Paired comparison of two models by a - b.

    ``n`` is the number of scans, ``units`` the number of units. ``median_difference``, ``p``
    (Wilcoxon), ``p_holm`` (after Holm's correction) and ``effect`` (rank-biserial correlation, -1 to 1)
    are computed over means of units. ``mean_difference`` is computed over scans; ``low`` and ``high``
    are its 95% percentile bootstrap interval.
    """

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
    """Compare each pair of models on the scans with scores of both.

    Two-sided Wilcoxon signed-rank test of the mean differences of the units, zero differences split
    (Pratt 1959); Holm's step-down correction over the pairs; matched-pairs rank-biserial correlation
    (Kerby 2014); interval as in :func:`bids_stroke.evaluation.statistics.summarize`.

    Parameters
    ----------
    scores : pandas.DataFrame
        One column for each model, one row for each scan.
    units : array-like, optional
        Unit of each row; by default, each row is a unit.

    Returns
    -------
    list of Comparison
    """
    columns = list(map(str, scores))
    labels = np.arange(len(scores)) if units is None else np.asarray(units)
    comparisons = [
        _compare_two(scores[a], scores[b], labels)
        for i, a in enumerate(columns)
        for b in columns[i + 1 :]
    ]
    corrected = holm([comparison.p for comparison in comparisons])
    return [comparison._replace(p_holm=p) for comparison, p in zip(comparisons, corrected, strict=True)]


def _compare_two(a: pd.Series, b: pd.Series, units: NDArray) -> Comparison:
    """Compare two models, without Holm's correction."""
    both = (a.notna() & b.notna()).to_numpy()
    differences = (a - b)[both]
    differences_summary = summarize(differences, units[both])
    means = unit_means(differences.to_frame(), units[both]).to_numpy(float).ravel()
    if len(means) and (means != 0).any():
        p = float(stats.wilcoxon(means, zero_method="zsplit").pvalue)
    else:
        p = 1.0 if len(means) else float("nan")
    return Comparison(
        a=str(a.name),
        b=str(b.name),
        n=differences_summary.n,
        median_difference=float(np.median(means)) if len(means) else float("nan"),
        p=p,
        p_holm=float("nan"),
        effect=rank_biserial(means),
        units=differences_summary.units,
        mean_difference=differences_summary.mean,
        low=differences_summary.low,
        high=differences_summary.high,
    )


def holm(p_values: ArrayLike) -> list[float]:
    """Apply Holm's step-down correction (Scand J Stat 1979); NaN values are ignored and returned.

    >>> holm([0.01, 0.5, 0.02])
    [0.03, 0.5, 0.04]
    """
    p = np.array(p_values, float)
    finite = np.isfinite(p)
    if np.count_nonzero(finite) > 1:  # statsmodels collects garbage at each call, which is slow
        p[finite] = multipletests(p[finite], method="holm")[1]
    return p.tolist()


def rank_biserial(differences: ArrayLike) -> float:
    """Compute the matched-pairs rank-biserial correlation: favorable minus unfavorable rank share.

    >>> rank_biserial([0.1, 0.2, 0.3]), rank_biserial([0.1, -0.1])
    (1.0, 0.0)
    """
    unequal = np.asarray(differences, float)
    unequal = unequal[unequal != 0]
    if not len(unequal):
        return 0.0
    ranks = stats.rankdata(np.abs(unequal))
    return float((ranks * np.sign(unequal)).sum() / ranks.sum())
