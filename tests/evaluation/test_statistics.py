"""Statistics, compared with scipy and scikit-learn, and calculated by hand."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from bids_stroke.evaluation import statistics


@pytest.fixture
def values():
    return np.random.default_rng(1).beta(4, 2, 60)


def test_summary_against_scipy(values):
    result = statistics.summarize([*values, np.nan])
    assert result.n == 60
    assert result[1:4] == pytest.approx((values.mean(), np.median(values), stats.tstd(values)))
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20000, rng=np.random.default_rng(0)
    ).confidence_interval
    # 1000 resamples estimate a percentile to within a twentieth of the interval.
    limits = result.low, result.high
    assert limits == pytest.approx(tuple(expected), abs=0.1 * (expected.high - expected.low))
    assert result.units == 60
    assert statistics.summarize(values) == statistics.summarize(values)


def test_summary_of_few_values():
    assert statistics.summarize([]).n == 0
    assert np.isnan(statistics.summarize([np.nan]).mean)
    single = statistics.summarize([0.4])
    assert (single.mean, single.low, single.high) == (0.4, 0.4, 0.4) and np.isnan(single.sd)


def test_coverage_of_the_interval():
    rng = np.random.default_rng(3)
    inside = 0
    for trial in range(200):
        result = statistics.summarize(rng.normal(0.6, 0.2, 40), seed=trial)
        inside += result.low <= 0.6 <= result.high
    assert 0.90 <= inside / 200 <= 0.99


def test_intervals_resample_units(values):
    """Copies of scans do not change the interval; without units, it is narrower."""
    copies, units = np.repeat(values, 9), np.repeat(np.arange(60), 9)
    expected_summary, result = statistics.summarize(values), statistics.summarize(copies, units)
    assert (result.n, result.units) == (540, 60)
    assert result[1:3] == pytest.approx(expected_summary[1:3])
    assert (result.low, result.high) == pytest.approx((expected_summary.low, expected_summary.high))
    narrow = statistics.summarize(copies)
    assert narrow.high - narrow.low == pytest.approx(
        (expected_summary.high - expected_summary.low) / 3, rel=0.15
    )


def test_intervals_of_units_against_a_loop():
    """Units of different sizes, with a missing value, resampled in a loop."""
    rng = np.random.default_rng(9)
    units = np.repeat(["a", "b", "c", "d", "e"], (1, 2, 3, 4, 5))
    values = rng.normal(size=15)
    values[4] = np.nan
    groups = [values[(units == unit) & np.isfinite(values)] for unit in "abcde"]
    means = []
    for _ in range(4000):
        resample = [groups[i] for i in rng.integers(5, size=5)]
        means.append(np.concatenate(resample).mean())
    result = statistics.summarize(values, units)
    assert (result.n, result.units) == (14, 5) and result.mean == pytest.approx(np.nanmean(values))
    assert (result.low, result.high) == pytest.approx(np.percentile(means, (2.5, 97.5)), abs=0.1)


def test_quartiles_are_equal_groups():
    groups = statistics.size_quartiles([5, 1, 1, 1, 9, 7, 3, 2])
    assert groups.value_counts().tolist() == [2, 2, 2, 2]
    assert groups[4] == "75-100%" and groups[0] == "50-75%" and groups[1] == "0-25%"


def test_size_classes():
    result = statistics.size_classes([0, 0.99, 1, 10, 49.9, 50, 400]).tolist()
    assert result == ["< 1 ml", "< 1 ml", "1-10 ml", "10-50 ml", "10-50 ml", "> 50 ml", "> 50 ml"]


def test_p_values_of_correlations_use_units():
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(2, 12))
    units = np.repeat(np.arange(12), 5)
    result, expected_summary = statistics.regress(x[units], y[units], units), statistics.regress(x, y)
    assert (result.n, result.units, expected_summary.units) == (60, 12, 12)
    assert result[1:8] == pytest.approx(expected_summary[1:8])
    assert statistics.regress(x[units], y[units]).pearson_p < expected_summary.pearson_p


def test_regression_against_scipy():
    rng = np.random.default_rng(4)
    x = rng.lognormal(2, 1, 40)
    y = 0.8 * x + rng.normal(0, 3, 40)
    result = statistics.regress([*x, np.nan], [*y, 1])
    assert result.n == 40
    assert (result.pearson, result.pearson_p) == pytest.approx(tuple(stats.pearsonr(x, y)))
    assert (result.spearman, result.spearman_p) == pytest.approx(tuple(stats.spearmanr(x, y)))
    assert (result.slope, result.intercept) == pytest.approx(tuple(np.polyfit(x, y, 1)))
    residual = y - np.polyval(np.polyfit(x, y, 1), x)
    assert result.r2 == pytest.approx(1 - (residual**2).sum() / ((y - y.mean()) ** 2).sum())
    assert np.isnan(statistics.regress([1, 1, 1], [1, 2, 3]).pearson)


def test_dice_against_volume_excludes_empty_truths():
    result = statistics.dice_against_volume([0.2, 0.4, 0.6, 1.0], [1, 10, 100, 0])
    assert result.n == 3
    assert (result.slope, result.intercept) == pytest.approx((0.2, 0.2))


def test_bland_altman_by_hand():
    result = statistics.bland_altman([10, 20, 30, np.nan], [11, 23, 32, 5])
    assert result.n == 3 and result.bias == pytest.approx(2)
    assert (result.low, result.high) == pytest.approx((2 - 1.96, 2 + 1.96))


def test_category_agreement_by_hand():
    """Two of four pairs are one level apart; by chance, the mean distance is 12/16."""
    levels = ["small", "medium", "large"]
    true = ["small", "small", "medium", "large"]
    predicted = ["small", "medium", "medium", "medium"]
    assert statistics.category_agreement(predicted, true, levels)[1] == pytest.approx(1 / 3)


def test_pairs_without_a_category_are_not_counted():
    levels = ["small", "large"]
    table, kappa = statistics.category_agreement(["small", np.nan], ["small", "large"], levels)
    assert table.to_numpy().tolist() == [[1, 0], [0, 0]] and np.isnan(kappa)
    assert np.isnan(statistics.category_agreement([], [], levels)[1])


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
