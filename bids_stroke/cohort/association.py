"""Association of measures of lesions with an outcome."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse, stats
from statsmodels.stats.multitest import multipletests

from .coding import BINARY, Outcome
from .measures import Measure
from .permutation import LinearModel
from .regressions import FOLDS, REPEATS, RESAMPLES, SEED, cross_validate, r_squared

#: Smallest number of participants with complete data; each covariate requires one more.
MIN_PARTICIPANTS = 10
#: Smallest number of participants with a measure above 0.
MIN_NONZERO = 5
_INTERVAL = "limit of the 95% percentile bootstrap interval over participants"
_BASELINE = (
    "logarithm of the lesion volume and the covariates; for the volume itself, the covariates only"
)
_R2 = "R² (numeric outcome), or R² of Nagelkerke of the logistic or proportional-odds model"
#: The columns of :func:`bids_stroke.cohort.association.associations`.
COLUMNS: dict[str, dict[str, object]] = {
    "outcome": {"Description": "Column of the outcome"},
    "kind": {
        "Description": "Kind of the outcome",
        "Levels": {
            "numeric": "Numbers; linear regression",
            "ordinal": "Ordered values; proportional-odds regression",
            "two-valued": "Two values; logistic regression",
        },
    },
    "measure": {
        "Description": "Measure of the lesion: a column of group_lesion.tsv, or the name of a region, "
        "whose measure is the lesioned share of the region. A tract load is that of the side of the "
        "lesion, and the larger side for a bilateral lesion"
    },
    "atlas": {"Description": "Value of the atlas- entity of a region; n/a for other measures"},
    "n": {"Description": "Number of participants with the measure, the outcome and all covariates"},
    "n_nonzero": {"Description": "Number of these participants with a measure above 0"},
    "spearman": {"Description": "Spearman correlation of the measure with the outcome"},
    "spearman_low": {"Description": f"Spearman correlation, lower {_INTERVAL}"},
    "spearman_high": {"Description": f"Spearman correlation, upper {_INTERVAL}"},
    "spearman_p": {"Description": "p value of the Spearman correlation (t distribution)"},
    "spearman_p_holm": {"Description": "spearman_p, corrected for the number of measures (Holm 1979)"},
    "pearson": {"Description": "Pearson correlation of the measure with the coded outcome"},
    "pearson_low": {"Description": f"Pearson correlation, lower {_INTERVAL}"},
    "pearson_high": {"Description": f"Pearson correlation, upper {_INTERVAL}"},
    "auc": {
        "Description": "Area under the ROC curve of the measure for the second of two values; n/a for "
        "other outcomes"
    },
    "auc_low": {"Description": f"Area under the ROC curve, lower {_INTERVAL}"},
    "auc_high": {"Description": f"Area under the ROC curve, upper {_INTERVAL}"},
    "partial_r": {
        "Description": "Partial Pearson correlation of the measure (of the volume: its logarithm) with "
        f"the coded outcome, given the {_BASELINE}"
    },
    "partial_p": {"Description": "p value of the partial correlation (t distribution)"},
    "partial_p_holm": {"Description": "partial_p, corrected for the number of measures (Holm 1979)"},
    "r2_baseline": {"Description": f"{_R2} with the {_BASELINE}"},
    "r2": {"Description": "The same with the measure added; the volume is added as its logarithm"},
    "cv_r2_baseline": {
        "Description": "Cross-validated r2_baseline: 1 - loss / loss of a model without predictors, "
        f"for held-out participants ({FOLDS} folds, mean of {REPEATS} repetitions). The loss is the "
        "squared error, the Brier score (two-valued) or the ranked probability score (ordinal)"
    },
    "cv_r2": {"Description": "The same with the measure added"},
    "cv_gain": {"Description": "cv_r2 - cv_r2_baseline"},
    "cv_gain_low": {"Description": f"cv_gain, lower {_INTERVAL}; the models are not fitted again"},
    "cv_gain_high": {"Description": f"cv_gain, upper {_INTERVAL}; the models are not fitted again"},
}


def associations(
    outcome: Outcome,
    values: NDArray[np.float64],
    measures: Sequence[Measure],
    covariates: NDArray[np.float64],
    log_volume: NDArray[np.float64],
) -> pd.DataFrame:
    """Relate each measure to an outcome.

    Parameters
    ----------
    outcome : Outcome
    values : ndarray, (participants,)
        Values of the outcome; all are finite.
    measures : sequence of Measure
        Measures of the same participants. Measures without variance, above 0 in fewer than
        :data:`bids_stroke.cohort.association.MIN_NONZERO` participants, or of too few participants,
        have only counts.
    covariates : ndarray, (participants, covariates)
    log_volume : ndarray, (participants,)

    Returns
    -------
    pandas.DataFrame
        A row for each measure; columns as in :data:`bids_stroke.cohort.association.COLUMNS`.
    """
    rows = [_associate(outcome, values, measure, covariates, log_volume) for measure in measures]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in ("spearman_p", "partial_p"):
        tested = table[name].notna()
        if tested.any():
            corrected = multipletests(table.loc[tested, name], method="holm")[1]
            table.loc[tested, f"{name}_holm"] = corrected
    return table


def _associate(
    outcome: Outcome,
    values: NDArray[np.float64],
    measure: Measure,
    covariates: NDArray[np.float64],
    log_volume: NDArray[np.float64],
) -> dict[str, Any]:
    finite = np.isfinite(measure.values)
    x, y, volume, covariates = (a[finite] for a in (measure.values, values, log_volume, covariates))
    row: dict[str, Any] = {
        "outcome": outcome.name,
        "kind": outcome.kind,
        "measure": measure.name,
        "atlas": measure.atlas,
        "n": len(x),
        "n_nonzero": int((x > 0).sum()),
    }
    required = MIN_PARTICIPANTS + covariates.shape[1]
    if len(x) < required or row["n_nonzero"] < MIN_NONZERO or not np.ptp(x) or not np.ptp(y):
        return row
    is_volume = measure.kind == "volume"
    baseline = covariates if is_volume else np.column_stack([volume, covariates])
    added = volume if is_volume else x
    full = np.column_stack([added, baseline])
    row |= _correlations(x, y, outcome.kind)
    row |= _partial(y, full)
    row["r2_baseline"], row["r2"] = (r_squared(y, z, outcome.kind) for z in (baseline, full))
    return row | cross_validate(y, baseline, full, outcome.kind)


def _correlations(x: NDArray[np.float64], y: NDArray[np.float64], kind: str) -> dict[str, float]:
    """Compute correlations and the area under the ROC curve, with bootstrap intervals."""
    resamples = np.random.default_rng(SEED).integers(len(x), size=(RESAMPLES, len(x)))
    samples = np.vstack([np.arange(len(x)), resamples])  # the first sample is the data
    xs, ys = x[samples], y[samples]
    x_ranks, y_ranks = (stats.rankdata(values, axis=1) for values in (xs, ys))
    values = {"spearman": _row_correlations(x_ranks, y_ranks), "pearson": _row_correlations(xs, ys)}
    if kind == BINARY:
        values["auc"] = _areas(x_ranks, ys)
    result = {"spearman_p": float(stats.spearmanr(x, y).pvalue)}
    for name, (estimate, *resampled) in values.items():
        low, high = np.nanpercentile(resampled, (2.5, 97.5))
        result |= {name: float(estimate), f"{name}_low": float(low), f"{name}_high": float(high)}
    return result


def _row_correlations(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the Pearson correlation of each pair of rows; NaN without variance."""
    a, b = (values - values.mean(axis=1, keepdims=True) for values in (a, b))
    squares = np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(squares > 0, np.einsum("ij,ij->i", a, b) / np.sqrt(squares), np.nan)


def _areas(ranks: NDArray[np.float64], codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the area under the ROC curve of each row, from ranks and codes 0 and 1; NaN with one
    code only.

    It is the Mann-Whitney statistic divided by the number of pairs (Hanley and McNeil 1982).
    """
    positive = codes.sum(axis=1)
    negative = codes.shape[1] - positive
    statistic = (ranks * codes).sum(axis=1) - positive * (positive + 1) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(positive * negative > 0, statistic / (positive * negative), np.nan)


def _partial(y: NDArray[np.float64], predictors: NDArray[np.float64]) -> dict[str, float]:
    """Compute the partial correlation of the first predictor given the others; NaN if it is a
    combination of them."""
    fit = LinearModel(sparse.csc_array(predictors[:, :1]), y, predictors[:, 1:]).fit()
    t = float(fit.t[0])
    return {"partial_r": t / np.sqrt(t**2 + fit.df), "partial_p": float(fit.p()[0])}
