"""Paired comparison of models, compared with scipy and calculated by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bids_stroke.evaluation import comparison


def test_comparison_of_models():
    rng = np.random.default_rng(2)
    base = rng.uniform(0.3, 0.9, 30)
    scores = pd.DataFrame(
        {"a": base, "b": base + rng.normal(0.05, 0.05, 30), "c": base + rng.normal(0, 0.05, 30)}
    )
    scores.loc[3, "c"] = np.nan
    result = comparison.compare(scores)
    assert [(pair.a, pair.b, pair.n) for pair in result] == [
        ("a", "b", 30),
        ("a", "c", 29),
        ("b", "c", 29),
    ]
    for pair in result:
        both = scores[[pair.a, pair.b]].dropna()
        assert pair.p == pytest.approx(stats.wilcoxon(both[pair.a], both[pair.b]).pvalue)
        assert pair.median_difference == pytest.approx((both[pair.a] - both[pair.b]).median())
    assert [pair.p_holm for pair in result] == comparison.holm([pair.p for pair in result])
    assert result[0].effect < -0.5 < abs(result[0].effect)


def test_tests_are_those_of_units():
    """Eight heads with twenty scans each: the p value of eight mean differences, and the interval of
    the mean difference of heads, against scipy."""
    rng = np.random.default_rng(7)
    heads = np.repeat(np.arange(8), 20)
    difference = rng.normal(0.05, 0.1, 8)[heads] + rng.normal(0, 0.01, 160)
    scores = pd.DataFrame({"a": difference, "b": np.zeros(160)})
    (result,) = comparison.compare(scores, heads)
    means = difference.reshape(8, 20).mean(1)
    assert (result.n, result.units) == (160, 8)
    assert result.p == pytest.approx(stats.wilcoxon(means).pvalue)
    assert result.p > 1000 * stats.wilcoxon(difference).pvalue
    assert result.median_difference == pytest.approx(np.median(means))
    assert result.mean_difference == pytest.approx(difference.mean())
    expected = stats.bootstrap(
        (means,), np.mean, method="percentile", n_resamples=20000, rng=rng
    ).confidence_interval
    width = expected.high - expected.low
    assert (result.low, result.high) == pytest.approx(tuple(expected), abs=0.1 * width)


def test_equal_models_do_not_differ():
    scores = pd.DataFrame({"a": [0.1, 0.5, 0.9], "b": [0.1, 0.5, 0.9]})
    (result,) = comparison.compare(scores)
    assert (result.p, result.effect, result.median_difference) == (1, 0, 0)


def test_rank_biserial_by_hand():
    # Ranks 1, 2, 3; ranks 1 and 3 favor a: (1 + 3 - 2) / 6.
    assert comparison.rank_biserial([0.1, -0.2, 0.3, 0]) == pytest.approx(2 / 6)


def test_holm_by_hand():
    # Sorted: 3 * 0.01, 2 * 0.03, and 0.04, which is raised to the value before it.
    assert comparison.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert comparison.holm([0.5, 0.9]) == [1, 1]


def test_holm_ignores_missing_values():
    result = comparison.holm([0.01, np.nan, 0.04])
    assert result == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
    assert np.isnan(comparison.holm([np.nan])).all()
