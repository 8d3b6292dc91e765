"""Associations of measures with outcomes against scipy, statsmodels and scikit-learn."""

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from sklearn.metrics import roc_auc_score

from bids_stroke.cohort import association
from bids_stroke.cohort.association import COLUMNS, associations
from bids_stroke.cohort.coding import BINARY, NUMERIC, ORDINAL, Outcome
from bids_stroke.cohort.measures import Measure, log_volume
from bids_stroke.cohort.regressions import RESAMPLES, SEED, cross_validate, r_squared

NUMBER = 50


@pytest.fixture(autouse=True)
def no_warnings():
    """Users see no warnings of the libraries."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def cohort():
    """Volumes and loads with ties at 0, two covariates, and a severity that depends on them."""
    rng = np.random.default_rng(7)
    volume = rng.gamma(0.5, 40, NUMBER)
    load = np.where(rng.random(NUMBER) < 0.3, 0, volume * rng.random(NUMBER) / 20)
    covariates = np.column_stack([rng.normal(70, 10, NUMBER), rng.integers(0, 2, NUMBER)])
    severity = log_volume(volume) + load + 0.05 * covariates[:, 0] + 2 * rng.normal(size=NUMBER)
    return volume, load, covariates, severity


def relate(y, measures, covariates, volume, kind=NUMERIC):
    values = pd.Series(y, [f"sub-{number}" for number in range(len(y))])
    outcome = Outcome("score", kind, values, {}, "participants.tsv")
    return associations(outcome, y, measures, covariates, log_volume(volume))


def measures_of(volume, load):
    return [
        Measure("volume", "lesion_volume_ml", "Volume", volume),
        Measure("tract", "cst_load", "Load", load),
        Measure("region", "R1", "R1", np.sqrt(load), "Regions"),
    ]


def test_columns_are_described(cohort):
    volume, load, covariates, severity = cohort
    table = relate(severity, measures_of(volume, load), covariates, volume)
    assert list(table) == list(COLUMNS)
    assert all("Description" in description for description in COLUMNS.values())
    assert table["measure"].tolist() == ["lesion_volume_ml", "cst_load", "R1"]
    assert table["atlas"].fillna("").tolist() == ["", "", "Regions"]
    assert table["n_nonzero"].tolist() == [NUMBER, *[int((load > 0).sum())] * 2]


def test_correlations_of_scipy(cohort):
    volume, load, covariates, severity = cohort
    table = relate(severity, measures_of(volume, load), covariates, volume)
    for (_, row), x in zip(table.iterrows(), (volume, load, np.sqrt(load)), strict=True):
        spearman = stats.spearmanr(x, severity)
        assert row["spearman"] == pytest.approx(spearman.statistic, rel=1e-10)
        assert row["spearman_p"] == pytest.approx(spearman.pvalue, rel=1e-10)
        assert row["pearson"] == pytest.approx(stats.pearsonr(x, severity).statistic, rel=1e-10)
        assert np.isnan(row["auc"])


def test_partial_correlation_of_residuals(cohort):
    volume, load, covariates, severity = cohort
    table = relate(severity, measures_of(volume, load), covariates, volume)
    for position, x, given in (
        (0, log_volume(volume), covariates),
        (1, load, np.column_stack([log_volume(volume), covariates])),
    ):
        design = sm.add_constant(given)
        residuals = [sm.OLS(values, design).fit().resid for values in (x, severity)]
        r = stats.pearsonr(*residuals).statistic
        df = NUMBER - design.shape[1] - 1
        p = 2 * stats.t.sf(abs(r) * np.sqrt(df / (1 - r**2)), df)
        assert table.loc[position, "partial_r"] == pytest.approx(r, rel=1e-9)
        assert table.loc[position, "partial_p"] == pytest.approx(p, rel=1e-8)
        full = sm.OLS(severity, np.column_stack([x, design])).fit()
        assert table.loc[position, "partial_p"] == pytest.approx(full.pvalues[0], rel=1e-8)
        assert table.loc[position, "r2"] == pytest.approx(full.rsquared, rel=1e-8)
        baseline = sm.OLS(severity, design).fit()
        assert table.loc[position, "r2_baseline"] == pytest.approx(baseline.rsquared, rel=1e-8)


def test_the_volume_without_covariates_has_no_baseline(cohort):
    volume, load, _, severity = cohort
    row = relate(severity, measures_of(volume, load), np.empty((NUMBER, 0)), volume).iloc[0]
    assert row["r2_baseline"] == row["cv_r2_baseline"] == 0
    r = stats.pearsonr(log_volume(volume), severity).statistic
    assert row["partial_r"] == pytest.approx(r) and row["r2"] == pytest.approx(r**2)


@pytest.mark.parametrize("kind", [ORDINAL, BINARY])
def test_models_of_levels(cohort, kind):
    volume, load, covariates, severity = cohort
    levels = np.digitize(severity, np.quantile(severity, [0.5] if kind == BINARY else [0.3, 0.6, 0.9]))
    y = levels.astype(float)
    row = relate(y, measures_of(volume, load)[1:2], covariates, volume, kind).iloc[0]
    baseline = np.column_stack([log_volume(volume), covariates])
    full = np.column_stack([load, baseline])
    assert row["r2_baseline"] == pytest.approx(r_squared(y, baseline, kind), rel=1e-9)
    assert row["r2"] == pytest.approx(r_squared(y, full, kind), rel=1e-9)
    assert 0.1 < row["r2_baseline"] < row["r2"] < 0.9
    expected = cross_validate(y, baseline, full, kind)
    assert row[list(expected)].to_dict() == pytest.approx(expected)


def test_area_under_the_curve_of_sklearn(cohort):
    volume, load, covariates, severity = cohort
    y = (severity > np.median(severity)).astype(float)
    table = relate(y, measures_of(volume, load), covariates, volume, BINARY)
    for (_, row), x in zip(table.iterrows(), (volume, load, np.sqrt(load)), strict=True):
        assert row["auc"] == pytest.approx(roc_auc_score(y, x), rel=1e-12)
    samples = np.random.default_rng(SEED).integers(NUMBER, size=(RESAMPLES, NUMBER))
    areas = [roc_auc_score(y[sample], load[sample]) for sample in samples]
    limits = table.loc[1, ["auc_low", "auc_high"]].astype(float)
    np.testing.assert_allclose(limits, np.percentile(areas, [2.5, 97.5]), rtol=1e-9)


def test_intervals_of_a_plain_loop(cohort):
    volume, load, covariates, severity = cohort
    row = relate(severity, measures_of(volume, load), covariates, volume).iloc[1]
    samples = np.random.default_rng(SEED).integers(NUMBER, size=(RESAMPLES, NUMBER))
    for name, correlate in (("spearman", stats.spearmanr), ("pearson", stats.pearsonr)):
        values = [correlate(load[sample], severity[sample]).statistic for sample in samples]
        limits = np.percentile(values, [2.5, 97.5])
        assert [row[f"{name}_low"], row[f"{name}_high"]] == pytest.approx(limits.tolist(), rel=1e-9)


def test_intervals_of_scipy(cohort):
    """The intervals of other resamples are the same within the sampling error."""
    volume, load, covariates, severity = cohort
    row = relate(severity, measures_of(volume, load), covariates, volume).iloc[1]
    theirs = stats.bootstrap(
        (load, severity),
        lambda x, y: stats.spearmanr(x, y).statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=2000,
        rng=np.random.default_rng(11),
    ).confidence_interval
    assert row["spearman_low"] == pytest.approx(theirs.low, abs=0.04)
    assert row["spearman_high"] == pytest.approx(theirs.high, abs=0.03)


def test_holm_by_hand():
    """Ordered p values are multiplied by 3, 2 and 1, do not decrease, and are at most 1."""
    rng = np.random.default_rng(1)
    y = rng.normal(size=NUMBER)
    volume = rng.gamma(1, 10, NUMBER)
    noise = [0.8, 2.5, 3]
    measures = [
        Measure("tract", f"load{number}", "", np.exp(y + scale * rng.normal(size=NUMBER)))
        for number, scale in enumerate(noise)
    ]
    measures.insert(1, Measure("tract", "few", "", np.eye(NUMBER)[0]))
    table = relate(y, measures, np.empty((NUMBER, 0)), volume)
    assert table.loc[1, ["spearman_p", "spearman_p_holm", "partial_p_holm"]].isna().all()
    for name in ("spearman_p", "partial_p"):
        p = table[name].drop(1)
        smallest, second, largest = p.sort_values()
        assert smallest < 0.02 < largest
        expected = np.maximum.accumulate([3 * smallest, 2 * second, largest]).clip(max=1)
        corrected = table[f"{name}_holm"].drop(1)[p.sort_values().index]
        np.testing.assert_allclose(corrected, expected, rtol=1e-12)


def test_missing_measures_and_rare_measures(cohort):
    """Only participants with the measure count; too few have only counts."""
    volume, load, covariates, severity = cohort
    missing = np.where(np.arange(NUMBER) < 15, np.nan, load)
    few = np.where(np.arange(NUMBER) < NUMBER - 11, np.nan, load)
    rare = np.where(np.arange(NUMBER) < 4, 1.0, 0.0)
    measures = [
        Measure("tract", "missing", "", missing),
        Measure("tract", "few", "", few),
        Measure("tract", "rare", "", rare),
        Measure("tract", "constant", "", np.ones(NUMBER)),
        Measure("tract", "all missing", "", np.full(NUMBER, np.nan)),
    ]
    table = relate(severity, measures, covariates, volume)
    assert table["n"].tolist() == [35, 11, NUMBER, NUMBER, 0]
    subset = slice(15, None)
    expected = stats.spearmanr(load[subset], severity[subset]).statistic
    assert table["spearman"][0] == pytest.approx(expected)
    names = list(COLUMNS)[6:]
    assert table.loc[1:, names].isna().all(axis=None)
    assert table.loc[0, names].drop(["auc", "auc_low", "auc_high"]).notna().all()


def test_a_measure_that_is_a_covariate_has_no_partial_correlation(cohort):
    volume, load, covariates, severity = cohort
    both = np.column_stack([covariates, load, 2 * load])
    row = relate(severity, measures_of(volume, load)[1:2], both, volume).iloc[0]
    assert np.isnan(row["partial_r"]) and np.isnan(row["partial_p"]) and np.isnan(row["partial_p_holm"])
    assert row["r2"] == pytest.approx(row["r2_baseline"])
    assert row["spearman"] == pytest.approx(stats.spearmanr(load, severity).statistic)


def test_collinear_covariates_change_nothing(cohort):
    volume, load, covariates, severity = cohort
    several = np.column_stack([covariates, covariates[:, 0] * 12 + 5, np.ones(NUMBER)])
    expected, result = (
        relate(severity, measures_of(volume, load), values, volume) for values in (covariates, several)
    )
    names = [name for name in COLUMNS if name not in ("outcome", "kind", "measure", "atlas")]
    np.testing.assert_allclose(result[names].astype(float), expected[names].astype(float), atol=1e-6)


def test_a_resample_with_one_value_is_ignored():
    """A rare value is absent from some resamples, whose correlation and area do not exist."""
    rng = np.random.default_rng(0)
    y = np.zeros(20)
    y[:2] = 1
    volume = rng.gamma(1, 10, 20) + 20 * y
    table = relate(y, [Measure("volume", "volume", "", volume)], np.empty((20, 0)), volume, BINARY)
    limits = table.loc[0, ["auc_low", "auc_high", "spearman_low", "pearson_high"]].astype(float)
    assert np.isfinite(limits).all()
    assert table.loc[0, "n_nonzero"] >= association.MIN_NONZERO


def test_perfect_separation_is_missing():
    y = np.repeat([0.0, 1], 15)
    volume = np.concatenate([np.linspace(1, 5, 15), np.linspace(10, 90, 15)])
    load = np.random.default_rng(0).random(30)
    table = relate(y, measures_of(volume, load), np.empty((30, 0)), volume, BINARY)
    assert table.loc[0, "auc"] == 1
    assert np.isnan(table["r2"].astype(float)).all()
    assert np.isnan(
        table.loc[0, ["cv_r2", "cv_gain", "cv_gain_low", "cv_gain_high"]].astype(float)
    ).all()
    assert np.isfinite(table["partial_p"].astype(float)).all()
