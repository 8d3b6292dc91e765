"""Regressions against statsmodels, and cross-validation."""

import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.linear_model import LinearRegression
from sklearn.metrics import brier_score_loss
from sklearn.model_selection import KFold, cross_val_predict
from statsmodels.miscmodels.ordinal_model import OrderedModel

from bids_stroke.cohort import regressions
from bids_stroke.cohort.coding import BINARY, NUMERIC, ORDINAL
from bids_stroke.cohort.regressions import FOLDS, REPEATS, cross_validate, gain_interval, r_squared

NUMBER = 60
KINDS = pytest.mark.parametrize("kind", [NUMERIC, ORDINAL, BINARY])


@pytest.fixture(autouse=True)
def no_warnings():
    """Users see no warnings of the libraries."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def predictors():
    """A volume and an age, as in a cohort."""
    rng = np.random.default_rng(1)
    return np.column_stack([rng.gamma(0.5, 60, NUMBER), rng.normal(70, 12, NUMBER)])


def outcome(predictors, kind):
    """An outcome that depends on the predictors."""
    standard = (predictors - predictors.mean(axis=0)) / predictors.std(axis=0)
    latent = standard.sum(axis=1) + np.random.default_rng(2).logistic(size=len(predictors))
    levels = {NUMERIC: latent, ORDINAL: np.clip(np.round(latent), -2, 3) + 2, BINARY: latent > 0.5}
    return levels[kind].astype(float)


def nagelkerke(likelihood, null, number):
    cox_snell = 1 - np.exp(2 * (null - likelihood) / number)
    return cox_snell / (1 - np.exp(2 * null / number))


def test_r_squared_of_numbers(predictors):
    y = outcome(predictors, NUMERIC)
    expected = sm.OLS(y, sm.add_constant(predictors)).fit().rsquared
    assert r_squared(y, predictors, NUMERIC) == pytest.approx(expected, rel=1e-8)
    score = LinearRegression().fit(predictors, y).score(predictors, y)
    assert r_squared(y, predictors, NUMERIC) == pytest.approx(score, rel=1e-8)


def test_r_squared_of_two_values(predictors):
    y = outcome(predictors, BINARY)
    fit = sm.Logit(y, sm.add_constant(predictors)).fit(disp=False)
    expected = nagelkerke(fit.llf, fit.llnull, NUMBER)
    assert r_squared(y, predictors, BINARY) == pytest.approx(expected, abs=1e-7)
    assert 0.1 < expected < 0.9


def test_r_squared_of_levels(predictors):
    y = outcome(predictors, ORDINAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        standard = (predictors - predictors.mean(axis=0)) / predictors.std(axis=0)
        fit = OrderedModel(y, standard, distr="logit").fit(method="bfgs", disp=False)
        expected = nagelkerke(fit.llf, fit.llnull, NUMBER)
    assert r_squared(y, predictors, ORDINAL) == pytest.approx(expected, abs=1e-6)
    assert len(np.unique(y)) == 6


@KINDS
def test_no_predictors_explain_nothing(predictors, kind):
    y = outcome(predictors, kind)
    assert r_squared(y, np.empty((NUMBER, 0)), kind) == 0
    assert r_squared(y, np.full((NUMBER, 1), 0.1), kind) == 0


@KINDS
@pytest.mark.parametrize(
    "change",
    [
        lambda x: np.column_stack([x, np.full(NUMBER, 0.1)]),
        lambda x: np.column_stack([x, 3 * x[:, 0] - x[:, 1]]),
        lambda x: np.column_stack([x[:, 0] * 1e6, 20200101 + x[:, 1]]),
        lambda x: x @ [[1, 2], [1, -1]],
    ],
    ids=["constant", "collinear", "scale", "rotation"],
)
def test_equivalent_predictors_have_the_same_r_squared(predictors, kind, change):
    y = outcome(predictors, kind)
    expected = r_squared(y, predictors, kind)
    assert r_squared(y, change(predictors), kind) == pytest.approx(expected, abs=1e-7)
    nothing = np.empty((NUMBER, 0))
    expected = cross_validate(y, nothing, predictors, kind)
    assert cross_validate(y, nothing, change(predictors), kind) == pytest.approx(expected, abs=1e-4)


def test_indicators_of_all_categories(predictors):
    """The sum of the indicators is constant, if the category without an indicator does not occur."""
    y = outcome(predictors, ORDINAL)
    site = np.arange(NUMBER) % 2
    expected = r_squared(y, np.column_stack([predictors, site]), ORDINAL)
    both = np.column_stack([predictors, site, 1 - site])
    assert r_squared(y, both, ORDINAL) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("kind", [ORDINAL, BINARY])
def test_perfectly_separated_values_have_no_estimate(kind):
    x = np.arange(NUMBER, dtype=float)[:, None]
    y = np.floor(x[:, 0] / (20 if kind == ORDINAL else 30))
    assert np.isnan(r_squared(y, x, kind))
    result = cross_validate(y, np.empty((NUMBER, 0)), x, kind)
    assert np.isnan([result[name] for name in ("cv_r2", "cv_gain", "cv_gain_low")]).all()
    assert result["cv_r2_baseline"] == 0
    y[[0, 40]] = y[[40, 0]]
    assert 0.3 < r_squared(y, x, kind) < 1


def test_predictions_of_held_out_participants(predictors):
    """Linear regressions of scikit-learn in the same folds."""
    y = outcome(predictors, NUMERIC)
    null, before, after = 0.0, 0.0, 0.0
    for repeat in range(REPEATS):
        folds = KFold(FOLDS, shuffle=True, random_state=repeat)
        errors = [
            y - cross_val_predict(LinearRegression(), x, y, cv=folds)
            for x in (np.zeros((NUMBER, 1)), predictors[:, :1], predictors)
        ]
        null, before, after = (
            total + error @ error for total, error in zip((null, before, after), errors, strict=True)
        )
    result = cross_validate(y, predictors[:, :1], predictors, NUMERIC)
    assert result["cv_r2_baseline"] == pytest.approx(1 - before / null, rel=1e-9)
    assert result["cv_r2"] == pytest.approx(1 - after / null, rel=1e-9)
    assert result["cv_gain"] == pytest.approx((before - after) / null, rel=1e-9)
    assert result["cv_gain_low"] < result["cv_gain"] < result["cv_gain_high"]


@KINDS
def test_a_predictor_without_relation_has_no_gain(predictors, kind):
    y = outcome(predictors, kind)
    noise = np.random.default_rng(9).normal(size=(NUMBER, 1))
    result = cross_validate(y, predictors, np.column_stack([noise, predictors]), kind)
    assert result["cv_gain"] < 0.01 and result["cv_r2_baseline"] > 0.15


def test_the_loss_of_two_values_is_the_brier_score(predictors):
    y = outcome(predictors, BINARY)
    train, test = np.arange(40), np.arange(40, NUMBER)
    fit = sm.Logit(y[train], sm.add_constant(predictors[train])).fit(disp=False)
    probabilities = fit.predict(sm.add_constant(predictors[test]))
    standard = regressions._uncorrelated(predictors, train)
    losses = regressions._held_out(y, standard, train, test, BINARY)
    np.testing.assert_allclose(losses, (probabilities - y[test]) ** 2, atol=1e-4)
    assert losses.mean() == pytest.approx(brier_score_loss(y[test], probabilities), abs=1e-4)


def test_the_ranked_probability_score_by_hand():
    """Shares of the levels 0, 1 and 3 in the training data: 1/2, 1/4, 1/4."""
    y = np.array([0.0, 0, 1, 3, 0, 1, 3])
    train, test = np.arange(4), np.arange(4, 7)
    losses = regressions._held_out(y, np.empty((7, 0)), train, test, ORDINAL)
    # Cumulative probabilities 1/2 and 3/4; the observed ones are (1, 1), (0, 1) and (0, 0).
    assert losses.tolist() == [0.25 + 0.0625, 0.25 + 0.0625, 0.25 + 0.5625]


def test_a_level_that_the_training_data_lack():
    """Its probability is 0: the cumulative probability of the lower level equals that of it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 1))
    y = np.where(x[:, 0] + rng.logistic(size=30) > 0, 2.0, 0.0)
    y[29] = 1
    train, test = np.arange(29), np.array([29])
    (loss,) = regressions._held_out(y, x, train, test, ORDINAL)
    probability = sm.Logit(y[train] > 0, sm.add_constant(x[train])).fit(disp=False)
    upper = probability.predict([[1, x[29, 0]]])[0]
    assert loss == pytest.approx((1 - upper) ** 2 + upper**2, abs=1e-4)


@pytest.mark.parametrize("kind", [ORDINAL, BINARY])
def test_a_value_of_one_participant(kind):
    """In one fold of each repetition, the training data have one value fewer."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(NUMBER, 1))
    y = np.zeros(NUMBER) if kind == BINARY else np.round(rng.random(NUMBER) + 0.3 * (x[:, 0] > 0))
    y[7] = 2
    result = cross_validate(y, np.empty((NUMBER, 0)), x, kind)
    assert np.isfinite(list(result.values())).all()


def test_a_category_that_the_training_data_lack(predictors):
    site = np.zeros(NUMBER)
    site[3] = 1
    for kind in (NUMERIC, ORDINAL, BINARY):
        y = outcome(predictors, kind)
        result = cross_validate(y, site[:, None], np.column_stack([predictors, site]), kind)
        assert np.isfinite(list(result.values())).all()


def test_the_interval_of_the_gain_by_a_plain_loop():
    rng = np.random.default_rng(4)
    null, before, after = rng.gamma(2, size=(3, 25))
    rng = np.random.default_rng(regressions.SEED)
    gains = []
    for sample in rng.integers(25, size=(regressions.RESAMPLES, 25)):
        gains.append(1 - after[sample].sum() / null[sample].sum())
        gains[-1] -= 1 - before[sample].sum() / null[sample].sum()
    expected = np.percentile(gains, [2.5, 97.5])
    np.testing.assert_allclose(gain_interval(null, before, after), expected, rtol=1e-9)
