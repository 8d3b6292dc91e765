"""Statistics against scipy, statsmodels and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.multitest import multipletests

from bids_stroke.evaluation import statistics


@pytest.fixture
def values():
    return np.random.default_rng(1).beta(4, 2, 60)


def test_summary_against_scipy(values):
    found = statistics.summarize([*values, np.nan])
    assert found.n == 60
    assert found[1:4] == pytest.approx((values.mean(), np.median(values), stats.tstd(values)))
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20000, rng=np.random.default_rng(0)
    ).confidence_interval
    # 1000 resamples place a percentile to within a twentieth of the interval.
    ends = found.low, found.high
    assert ends == pytest.approx(tuple(expected), abs=0.1 * (expected.high - expected.low))
    assert found.units == 60
    assert statistics.summarize(values) == statistics.summarize(values)


def test_summary_of_little():
    assert statistics.summarize([]).n == 0
    assert np.isnan(statistics.summarize([np.nan]).mean)
    one = statistics.summarize([0.4])
    assert (one.mean, one.low, one.high) == (0.4, 0.4, 0.4) and np.isnan(one.sd)


def test_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(3)
    inside = 0
    for trial in range(200):
        found = statistics.summarize(rng.normal(0.6, 0.2, 40), seed=trial)
        inside += found.low <= 0.6 <= found.high
    assert 0.90 <= inside / 200 <= 0.99


def test_intervals_are_those_of_units(values):
    """Copies of a scan add nothing: the interval is that of the scans; without units it is narrower."""
    copies, units = np.repeat(values, 9), np.repeat(np.arange(60), 9)
    alone, found = statistics.summarize(values), statistics.summarize(copies, units)
    assert (found.n, found.units) == (540, 60)
    assert found[1:3] == pytest.approx(alone[1:3])
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high))
    narrow = statistics.summarize(copies)
    assert narrow.high - narrow.low == pytest.approx((alone.high - alone.low) / 3, rel=0.15)


def test_intervals_of_units_against_a_loop():
    """Units of unequal size, with a missing value, drawn one by one."""
    rng = np.random.default_rng(9)
    units = np.repeat(["a", "b", "c", "d", "e"], (1, 2, 3, 4, 5))
    values = rng.normal(size=15)
    values[4] = np.nan
    groups = [values[(units == unit) & np.isfinite(values)] for unit in "abcde"]
    means = []
    for _ in range(4000):
        drawn = [groups[i] for i in rng.integers(5, size=5)]
        means.append(np.concatenate(drawn).mean())
    found = statistics.summarize(values, units)
    assert (found.n, found.units) == (14, 5) and found.mean == pytest.approx(np.nanmean(values))
    assert (found.low, found.high) == pytest.approx(np.percentile(means, (2.5, 97.5)), abs=0.1)


def test_quartiles_are_equal_groups():
    groups = statistics.size_quartiles([5, 1, 1, 1, 9, 7, 3, 2])
    assert groups.value_counts().tolist() == [2, 2, 2, 2]
    assert groups[4] == "75-100%" and groups[0] == "50-75%" and groups[1] == "0-25%"


def test_size_classes():
    found = statistics.size_classes([0, 0.99, 1, 10, 49.9, 50, 400]).tolist()
    assert found == ["< 1 ml", "< 1 ml", "1-10 ml", "10-50 ml", "10-50 ml", "> 50 ml", "> 50 ml"]


def test_comparison_of_models():
    rng = np.random.default_rng(2)
    base = rng.uniform(0.3, 0.9, 30)
    scores = pd.DataFrame(
        {"a": base, "b": base + rng.normal(0.05, 0.05, 30), "c": base + rng.normal(0, 0.05, 30)}
    )
    scores.loc[3, "c"] = np.nan
    found = statistics.compare(scores)
    assert [(one.a, one.b, one.n) for one in found] == [("a", "b", 30), ("a", "c", 29), ("b", "c", 29)]
    for one in found:
        both = scores[[one.a, one.b]].dropna()
        assert one.p == pytest.approx(stats.wilcoxon(both[one.a], both[one.b]).pvalue)
        assert one.median_difference == pytest.approx((both[one.a] - both[one.b]).median())
    expected = multipletests([one.p for one in found], method="holm")[1]
    assert [one.p_holm for one in found] == pytest.approx(list(expected))
    assert found[0].effect < -0.5 < abs(found[0].effect)


def test_tests_are_those_of_units():
    """Eight heads with twenty scans each: the p value of eight mean differences, and the interval of
    the mean difference of heads, against scipy."""
    rng = np.random.default_rng(7)
    heads = np.repeat(np.arange(8), 20)
    difference = rng.normal(0.05, 0.1, 8)[heads] + rng.normal(0, 0.01, 160)
    scores = pd.DataFrame({"a": difference, "b": np.zeros(160)})
    (found,) = statistics.compare(scores, heads)
    means = difference.reshape(8, 20).mean(1)
    assert (found.n, found.units) == (160, 8)
    assert found.p == pytest.approx(stats.wilcoxon(means).pvalue)
    assert found.p > 1000 * stats.wilcoxon(difference).pvalue
    assert found.median_difference == pytest.approx(np.median(means))
    assert found.mean_difference == pytest.approx(difference.mean())
    expected = stats.bootstrap(
        (means,), np.mean, method="percentile", n_resamples=20000, rng=rng
    ).confidence_interval
    width = expected.high - expected.low
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.1 * width)


def test_correlations_have_the_p_values_of_units():
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(2, 12))
    units = np.repeat(np.arange(12), 5)
    found, alone = statistics.regress(x[units], y[units], units), statistics.regress(x, y)
    assert (found.n, found.units, alone.units) == (60, 12, 12)
    assert found[1:8] == pytest.approx(alone[1:8])
    assert statistics.regress(x[units], y[units]).pearson_p < alone.pearson_p


def test_equal_models_do_not_differ():
    scores = pd.DataFrame({"a": [0.1, 0.5, 0.9], "b": [0.1, 0.5, 0.9]})
    (found,) = statistics.compare(scores)
    assert (found.p, found.effect, found.median_difference) == (1, 0, 0)


def test_rank_biserial_by_hand():
    # Ranks 1, 2, 3 of the sizes; 1 and 3 favour a: (1 + 3 - 2) / 6.
    assert statistics.rank_biserial([0.1, -0.2, 0.3, 0]) == pytest.approx(2 / 6)


def test_holm_leaves_missing_values_out():
    found = statistics.holm([0.01, np.nan, 0.04])
    assert found[0] == pytest.approx(0.02) and np.isnan(found[1]) and found[2] == pytest.approx(0.04)


def test_regression_against_scipy():
    rng = np.random.default_rng(4)
    x = rng.lognormal(2, 1, 40)
    y = 0.8 * x + rng.normal(0, 3, 40)
    found = statistics.regress([*x, np.nan], [*y, 1])
    assert found.n == 40
    assert (found.pearson, found.pearson_p) == pytest.approx(tuple(stats.pearsonr(x, y)))
    assert (found.spearman, found.spearman_p) == pytest.approx(tuple(stats.spearmanr(x, y)))
    assert (found.slope, found.intercept) == pytest.approx(tuple(np.polyfit(x, y, 1)))
    residual = y - np.polyval(np.polyfit(x, y, 1), x)
    assert found.r2 == pytest.approx(1 - (residual**2).sum() / ((y - y.mean()) ** 2).sum())
    assert np.isnan(statistics.regress([1, 1, 1], [1, 2, 3]).pearson)


def test_dice_against_volume_leaves_empty_truths_out():
    found = statistics.dice_against_volume([0.2, 0.4, 0.6, 1.0], [1, 10, 100, 0])
    assert found.n == 3
    assert (found.slope, found.intercept) == pytest.approx((0.2, 0.2))


def test_bland_altman_by_hand():
    found = statistics.bland_altman([10, 20, 30, np.nan], [11, 23, 32, 5])
    assert found.n == 3 and found.bias == pytest.approx(2)
    assert (found.low, found.high) == pytest.approx((2 - 1.96, 2 + 1.96))


def test_category_agreement_against_sklearn():
    levels = ["small", "medium", "large"]
    rng = np.random.default_rng(5)
    true, pred = rng.choice(levels, (2, 50))
    table, kappa = statistics.category_agreement(pred, true, levels)
    assert table.to_numpy().sum() == 50
    assert table.loc["small", "large"] == np.sum((true == "small") & (pred == "large"))
    expected = cohen_kappa_score(true, pred, labels=levels, weights="linear")
    assert kappa == pytest.approx(expected)
    assert np.isnan(statistics.category_agreement(["small"], ["small"], levels)[1])
