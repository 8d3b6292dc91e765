"""Calibration scores, compared with scikit-learn and manual calculations."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from bids_stroke.evaluation import calibration


@pytest.fixture
def voxels():
    rng = np.random.default_rng(3)
    probability = rng.beta(0.5, 1, 3000)
    return probability, rng.random(3000) < probability**1.5


def test_the_curve_matches_scikit_learn(voxels):
    probability, truth = voxels
    share, mean = calibration_curve(truth, probability, n_bins=15, strategy="quantile")
    curve = calibration.reliability(probability, truth)
    np.testing.assert_allclose([bin_voxels.probability for bin_voxels in curve], mean, atol=2e-3)
    np.testing.assert_allclose([bin_voxels.lesion_share for bin_voxels in curve], share, atol=2e-2)
    expected = np.mean(np.abs(share - mean))
    error = calibration.expected_calibration_error(probability, truth)
    assert error == pytest.approx(expected, abs=3e-3)


def test_brier_matches_scikit_learn(voxels):
    assert calibration.brier(*voxels) == pytest.approx(brier_score_loss(voxels[1], voxels[0]))


def test_voxels_near_a_lesion():
    truth = np.zeros((30, 30, 10), bool)
    truth[10, 10, 5] = True
    near = calibration.near_lesion(np.zeros_like(truth), truth, (1, 2, 1))
    distance = np.sqrt(
        (np.arange(30) - 10)[:, None, None] ** 2
        + (2 * (np.arange(30) - 10))[None, :, None] ** 2
        + (np.arange(10) - 5)[None, None] ** 2
    )
    np.testing.assert_array_equal(near, distance <= 10)
    assert not calibration.near_lesion(truth & False, truth & False, (1, 1, 1)).any()
