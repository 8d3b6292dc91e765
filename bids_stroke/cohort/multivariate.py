"""Multivariate prediction of an outcome from the lesion map."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.model_selection import KFold
from sklearn.preprocessing import normalize

from .lesion_matrix import SPACING_MM, LesionMatrix
from .regressions import FOLDS, SEED, gain_interval

#: Side of the blocks of voxels whose lesioned volumes are the features.
BLOCK_MM = 8
#: Penalties among which the inner cross-validation chooses.
ALPHAS = tuple(np.logspace(-3, 4, 15))
REPEATS = 3


@dataclass(frozen=True)
class Prediction:
    """Cross-validated R² of the models without and with the lesion map, and the difference with its
    95% percentile bootstrap interval over participants."""

    r2_volume: float
    r2_map: float
    gain: float
    gain_low: float
    gain_high: float


def predict_outcome(
    matrix: LesionMatrix, outcome: NDArray[np.float64], nuisance: NDArray[np.float64]
) -> Prediction:
    """Predict an outcome of held-out participants from volume and covariates, without and with the map.

    A linear regression on the nuisance variables is followed by a ridge regression of its residuals on
    the lesion map, which is equivalent to kernel ridge regression with a linear kernel. The features
    are the lesioned volumes of blocks of :data:`bids_stroke.cohort.multivariate.BLOCK_MM` mm, divided
    by their norm in each participant to remove the lesion volume (Zhang et al. 2014). The penalty is
    chosen by leave-one-out cross-validation within the training data of each fold.

    Parameters
    ----------
    matrix : LesionMatrix
        Lesions of the participants.
    outcome : ndarray, (participants,)
    nuisance : ndarray, (participants, variables)
        Lesion volume and covariates.
    """
    features = block_features(matrix)
    losses = np.zeros((3, len(outcome)))
    for repeat in range(REPEATS):
        for train, test in KFold(FOLDS, shuffle=True, random_state=SEED + repeat).split(outcome):
            linear = LinearRegression().fit(nuisance[train], outcome[train])
            residuals = outcome - linear.predict(nuisance)
            ridge = RidgeCV(ALPHAS, gcv_mode="eigen").fit(features[train], residuals[train])
            errors = (
                outcome[test] - outcome[train].mean(),
                residuals[test],
                residuals[test] - ridge.predict(features[test]),
            )
            losses[:, test] += np.square(errors)
    null, before, after = losses
    low, high = gain_interval(null, before, after)
    return Prediction(
        r2_volume=float(1 - before.sum() / null.sum()),
        r2_map=float(1 - after.sum() / null.sum()),
        gain=float((before - after).sum() / null.sum()),
        gain_low=low,
        gain_high=high,
    )


def block_features(matrix: LesionMatrix) -> NDArray[np.float64]:
    """Return the lesioned volume of each block of voxels, divided by the norm over the blocks.

    Returns
    -------
    ndarray, (participants, blocks)
        Blocks that are lesioned in no participant are left out.
    """
    side = BLOCK_MM // SPACING_MM
    shape = matrix.grid.shape
    blocks = np.indices(shape, sparse=True)
    sizes = [-(-length // side) for length in shape]
    numbers = np.ravel_multi_index(
        np.broadcast_arrays(*(axis // side for axis in blocks)), sizes
    ).ravel()
    voxels = np.arange(len(numbers))
    grouping = sparse.csr_array(
        (np.ones(len(numbers)), (voxels, numbers)), (len(numbers), np.prod(sizes))
    )
    counts = matrix.lesions @ grouping
    lesioned = np.diff(counts.tocsc().indptr) > 0
    return normalize(counts.tocsc()[:, lesioned].toarray())
