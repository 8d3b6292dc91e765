"""Prediction of outcomes from lesion maps on a small grid."""

import nibabel as nib
import numpy as np
import pytest
from scipy import sparse
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import KFold, LeaveOneOut, cross_val_predict

from bids_stroke.cohort import multivariate
from bids_stroke.cohort.lesion_matrix import LesionMatrix
from bids_stroke.cohort.multivariate import ALPHAS, block_features, predict_outcome
from bids_stroke.cohort.regressions import FOLDS, SEED, gain_interval

SHAPE = (9, 8, 5)
NUMBER = 60


def lesions_of(number=NUMBER, radius=2.5):
    """Lesions around random centers."""
    rng = np.random.default_rng(0)
    points = np.argwhere(np.ones(SHAPE))
    centers = rng.uniform(0, SHAPE, size=(number, 3))
    sizes = rng.uniform(0.8, radius, size=number)
    return np.linalg.norm(points[None] - centers[:, None], axis=2) < sizes[:, None]


def matrix_of(lesions):
    grid = nib.Nifti1Image(np.zeros(SHAPE, np.uint8), np.eye(4))
    return LesionMatrix(sparse.csc_array(lesions.astype(float)), grid)


def test_features_are_volumes_of_blocks():
    """Blocks have 4 voxels per side; the norm of each participant is 1."""
    lesions = lesions_of(5)
    lesions[4] = False
    features = block_features(matrix_of(lesions))
    counts = {}
    for participant, voxel in np.argwhere(lesions):
        block = tuple(np.array(np.unravel_index(voxel, SHAPE)) // 4)
        counts.setdefault(block, np.zeros(5))[participant] += 1
    expected = np.column_stack([counts[block] for block in sorted(counts)])
    expected[:4] /= np.linalg.norm(expected[:4], axis=1, keepdims=True)
    np.testing.assert_allclose(features, expected)
    assert not features[4].any()


@pytest.fixture(scope="module")
def cohort():
    """Lesions, their volumes, and an outcome of lesions in one half of the grid."""
    lesions = lesions_of()
    volume = lesions.sum(axis=1) * 0.008
    nuisance = np.column_stack([volume, np.log(np.maximum(volume, 0.01))])
    half = lesions.reshape(NUMBER, *SHAPE)[:, :4].sum((1, 2, 3)) / np.maximum(lesions.sum(1), 1)
    rng = np.random.default_rng(1)
    return matrix_of(lesions), 10 * volume + 4 * half + rng.normal(size=NUMBER), nuisance


def leave_one_out(features, y, alpha):
    """Mean squared error of ridge regression with an intercept, from the hat matrix."""
    centered = features - features.mean(axis=0)
    gram = centered.T @ centered + alpha * np.eye(features.shape[1])
    hat = 1 / len(y) + centered @ np.linalg.solve(gram, centered.T)
    return np.square((y - hat @ y) / (1 - np.diag(hat))).mean()


def test_leave_one_out(cohort):
    matrix, y, _ = cohort
    features = block_features(matrix)
    predicted = cross_val_predict(Ridge(0.5), features, y, cv=LeaveOneOut())
    assert leave_one_out(features, y, 0.5) == pytest.approx(np.square(y - predicted).mean())


def test_nested_cross_validation_by_a_plain_loop(cohort, monkeypatch):
    """The penalty is chosen by leave-one-out errors of the training data only."""
    monkeypatch.setattr(multivariate, "REPEATS", 1)
    matrix, y, nuisance = cohort
    features = block_features(matrix)
    losses = np.zeros((3, NUMBER))
    for train, test in KFold(FOLDS, shuffle=True, random_state=SEED).split(y):
        linear = LinearRegression().fit(nuisance[train], y[train])
        residuals = y - linear.predict(nuisance)
        errors = [leave_one_out(features[train], residuals[train], alpha) for alpha in ALPHAS]
        ridge = Ridge(ALPHAS[int(np.argmin(errors))]).fit(features[train], residuals[train])
        losses[0, test] = (y[test] - y[train].mean()) ** 2
        losses[1, test] = residuals[test] ** 2
        losses[2, test] = (residuals[test] - ridge.predict(features[test])) ** 2
    null, before, after = losses
    result = predict_outcome(matrix, y, nuisance)
    assert result.r2_volume == pytest.approx(1 - before.sum() / null.sum(), rel=1e-8)
    assert result.r2_map == pytest.approx(1 - after.sum() / null.sum(), rel=1e-6)
    assert result.gain == pytest.approx(result.r2_map - result.r2_volume)
    assert (result.gain_low, result.gain_high) == pytest.approx(gain_interval(*losses), rel=1e-5)


def test_the_map_improves_the_prediction_of_a_regional_effect(cohort):
    matrix, y, nuisance = cohort
    result = predict_outcome(matrix, y, nuisance)
    assert result.r2_volume > 0.1 and result.gain > 0.15 and result.gain_low > 0


def test_the_map_does_not_improve_an_effect_of_volume(cohort):
    matrix, _, nuisance = cohort
    y = 10 * nuisance[:, 0] + np.random.default_rng(3).normal(size=NUMBER)
    result = predict_outcome(matrix, y, nuisance)
    assert result.r2_volume > 0.3 and result.gain_low < 0 and abs(result.gain) < 0.1


def test_identical_results(cohort):
    assert predict_outcome(*cohort) == predict_outcome(*cohort)


def test_ridge_is_kernel_ridge(cohort):
    """The documentation states the equivalence, for centered features."""
    matrix, y, _ = cohort
    features = block_features(matrix)
    features -= features.mean(axis=0)
    ridge = Ridge(2.0).fit(features, y).predict(features)
    kernel = KernelRidge(alpha=2.0).fit(features, y - y.mean()).predict(features)
    np.testing.assert_allclose(ridge, kernel + y.mean())


def test_participants_without_a_lesion(cohort):
    matrix, y, nuisance = cohort
    lesions = matrix.lesions.toarray()
    lesions[:30] = 0
    result = predict_outcome(matrix_of(lesions), y, nuisance)
    assert np.isfinite([result.r2_volume, result.r2_map, result.gain_low, result.gain_high]).all()
