"""Temperature and volume intervals against closed forms and simulated coverage."""

import numpy as np
import pytest

from bids_stroke.models import calibration


def test_scaling_divides_the_logits():
    probability = np.linspace(0.01, 0.99, 50, dtype=np.float32)
    logits = np.log(probability / (1 - probability))
    expected = 1 / (1 + np.exp(-logits / 1.7))
    np.testing.assert_allclose(calibration.scale(probability, 1.7), expected, rtol=1e-4)
    assert calibration.scale(np.array([0, 1], np.float32), 0.5).tolist() == [0, 1]


def test_the_temperature_of_overconfident_probabilities():
    """Lesions are drawn with probability p; a model with doubled logits needs a temperature of 2."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, 200_000)
    lesion = rng.random(logits.size) < 1 / (1 + np.exp(-logits))
    predicted = 1 / (1 + np.exp(-2 * logits))
    assert calibration.fit_temperature(predicted, lesion) == pytest.approx(2, rel=0.03)


@pytest.mark.parametrize("coverage", [80, 95])
def test_intervals_cover_new_volumes(coverage):
    rng = np.random.default_rng(1)
    true = np.exp(rng.normal(2, 1.5, 40_000))
    predicted = true * np.exp(rng.normal(-0.2, 0.5, true.size))
    covered = []
    for start in range(0, 4000, 100):
        part = slice(start, start + 100)
        errors = {coverage: calibration.fit_volume(predicted[part], true[part], coverage)}
        fitted = calibration.Calibration(volume=errors)
        new = rng.integers(4000, true.size, 200)
        ends = [fitted.volume_interval(predicted[i], coverage) for i in new]
        covered += [low <= true[i] <= high for i, (low, high) in zip(new, ends, strict=True)]
    assert coverage / 100 - 0.01 < np.mean(covered) < coverage / 100 + 0.03


def test_too_few_lesions_give_infinite_bounds():
    low, high = calibration.fit_volume([1.0, 2.0], [1.5, 2.5], 95)
    assert low == -np.inf and high == np.inf
    assert calibration.Calibration(volume={95: (low, high)}).volume_interval(3.0, 95) == (0, np.inf)


def test_quantiles_by_hand():
    """With 9 errors, a coverage of 80% leaves (9 + 1) * 0.1 = 1 on each side: minimum and maximum."""
    errors = np.linspace(-0.4, 0.4, 9)
    true = np.expm1(np.log1p(5.0) + errors)
    assert calibration.fit_volume(np.full(9, 5.0), true, 80) == pytest.approx((-0.4, 0.4))
