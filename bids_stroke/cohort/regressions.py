"""Regressions of numeric, ordinal and two-valued outcomes: R² and cross-validation."""

import warnings
from typing import Any

import numpy as np
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy import special, stats
from sklearn.model_selection import KFold
from statsmodels.miscmodels.ordinal_model import OrderedModel

from .coding import NUMERIC

#: Number of resamples of bootstrap intervals.
RESAMPLES = 1000
FOLDS, REPEATS = 10, 5
SEED = 0
#: Smallest variation of a combination of standardized predictors; less is rounding.
MIN_VARIATION = 1e-8


def r_squared(y: NDArray[np.float64], predictors: NDArray[np.float64], kind: str) -> float:
    """Compute R² of a regression; for ordinal and two-valued outcomes that of Nagelkerke (1991).

    Parameters
    ----------
    y : ndarray, (participants,)
    predictors : ndarray, (participants, predictors)
        Predictors without an intercept.
    kind : str
        Kind of the outcome.

    Returns
    -------
    float
        NaN if there is no maximum-likelihood estimate, as for perfectly separated values.
    """
    predictors = _uncorrelated(predictors, np.arange(len(y)))
    if not predictors.shape[1]:
        return 0.0
    if kind == NUMERIC:
        return float(sm.OLS(y, sm.add_constant(predictors, has_constant="add")).fit().rsquared)
    fit = _fit_ordered(y, predictors)
    if fit is None:
        return float("nan")
    n = len(y)
    shares = np.unique(y, return_counts=True)[1] / n
    null = n * float((shares * np.log(shares)).sum())
    return float((1 - np.exp(2 * (null - fit.llf) / n)) / (1 - np.exp(2 * null / n)))


def _uncorrelated(predictors: NDArray[np.float64], train: NDArray[np.intp]) -> NDArray[np.float64]:
    """Transform predictors linearly to uncorrelated ones with a standard deviation of 1 in ``train``.

    Predictions are the same. Constant and collinear predictors are left out, and the fit converges for
    predictors of any scale.
    """
    centered = predictors - predictors[train].mean(axis=0)
    sizes = np.linalg.norm(predictors[train], axis=0)
    norms = np.linalg.norm(centered[train], axis=0)
    varying = norms > MIN_VARIATION * sizes
    scaled = centered[:, varying] / norms[varying]
    _, sizes, directions = np.linalg.svd(scaled[train], full_matrices=False)
    independent = sizes > MIN_VARIATION
    weights = directions[independent].T / sizes[independent]
    return np.sqrt(len(train)) * (scaled @ weights)


class _Logistic(stats.rv_continuous):
    """Logistic distribution without the checks of scipy, which take most of the time of a fit."""

    def cdf(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the cumulative distribution function."""
        return np.asarray(special.expit(x))

    def ppf(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the quantiles."""
        return np.asarray(special.logit(q))


def _fit_ordered(y: NDArray[np.float64], predictors: NDArray[np.float64]) -> Any | None:
    """Fit a proportional-odds model, which is a logistic model for two values.

    Returns None if the fit does not converge, or if the predictors separate the values perfectly: every
    observed value has a probability above one half, and larger coefficients increase all of them.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            fit = OrderedModel(y, predictors, distr=_Logistic()).fit(
                method="lbfgs", disp=False, maxiter=200, skip_hessian=True
            )
        except (np.linalg.LinAlgError, ValueError):
            return None
    codes = np.unique(y, return_inverse=True)[1]
    is_separated = (fit.predict()[np.arange(len(y)), codes] > 0.5).all()
    return None if is_separated or not fit.mle_retvals["converged"] else fit


def cross_validate(
    y: NDArray[np.float64],
    baseline: NDArray[np.float64],
    full: NDArray[np.float64],
    kind: str,
) -> dict[str, float]:
    """Compare both models on held-out participants."""
    nothing = np.empty((len(y), 0))
    null, before, after = (_losses(y, predictors, kind) for predictors in (nothing, baseline, full))
    result = {
        "cv_r2_baseline": 1 - before.sum() / null.sum(),
        "cv_r2": 1 - after.sum() / null.sum(),
        "cv_gain": (before - after).sum() / null.sum(),
    }
    low, high = gain_interval(null, before, after)
    return result | {"cv_gain_low": low, "cv_gain_high": high}


def gain_interval(
    null: NDArray[np.float64], before: NDArray[np.float64], after: NDArray[np.float64]
) -> tuple[float, float]:
    """Compute the 95% percentile bootstrap interval of a difference of cross-validated R².

    Parameters
    ----------
    null, before, after : ndarray, (participants,)
        Losses without predictors, and with those of two models.
    """
    resamples = np.random.default_rng(SEED).integers(len(null), size=(RESAMPLES, len(null)))
    gains = (before - after)[resamples].sum(axis=1) / null[resamples].sum(axis=1)
    low, high = np.percentile(gains, (2.5, 97.5))
    return float(low), float(high)


def _losses(y: NDArray[np.float64], predictors: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """Return the loss of each held-out participant, averaged over repeated cross-validations.

    The loss is the squared error; for ordinal outcomes the ranked probability score (Epstein 1969),
    which is the Brier score for two values.
    """
    losses = np.zeros(len(y))
    for repeat in range(REPEATS):
        for train, test in KFold(FOLDS, shuffle=True, random_state=repeat).split(y):
            losses[test] += _held_out(y, _uncorrelated(predictors, train), train, test, kind)
    return losses / REPEATS


def _held_out(
    y: NDArray[np.float64],
    predictors: NDArray[np.float64],
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    kind: str,
) -> NDArray[np.float64]:
    """Fit a model to the participants ``train`` and return the losses of those of ``test``."""
    if kind == NUMERIC:
        design = np.column_stack([np.ones(len(y)), predictors])
        solution = np.linalg.lstsq(design[train], y[train], rcond=None)[0]
        return np.square(y[test] - design[test] @ solution)
    levels = np.unique(y)
    reached = y[test, None] <= levels[:-1]
    if not predictors.shape[1] or not np.ptp(y[train]):
        cumulative = (y[train, None] <= levels[:-1]).mean(axis=0)
        return np.square(cumulative - reached).sum(axis=1)
    fit = _fit_ordered(y[train], predictors[train])
    if fit is None:
        return np.full(len(test), np.nan)
    probabilities = np.asarray(fit.model.predict(fit.params, exog=predictors[test]))
    trained = np.unique(y[train])  # a rare level may be absent
    cumulative = np.column_stack(
        [probabilities[:, trained <= level].sum(axis=1) for level in levels[:-1]]
    )
    return np.square(cumulative - reached).sum(axis=1)
