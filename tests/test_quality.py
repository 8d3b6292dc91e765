import nibabel as nib
import numpy as np
import pytest

from bids_stroke import quality


def noisy(sigma, shape=(48, 48, 48), signal=100.0):
    return np.random.default_rng(0).normal(signal, sigma, shape).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.5, 4.0, 20.0])
def test_snr_of_white_noise(sigma):
    snr = quality.signal_to_noise(noisy(sigma), np.ones((48, 48, 48)))
    assert snr == pytest.approx(100 / sigma, rel=0.05)


def test_snr_looks_through_a_gradient_and_at_the_mask_only():
    data = noisy(2.0) + np.linspace(-30, 30, 48, dtype=np.float32)[:, None, None]
    mask = np.zeros(data.shape)
    mask[10:38, 10:38, 10:38] = 1
    data[mask == 0] = 1e6
    assert quality.signal_to_noise(data, mask) == pytest.approx(50, rel=0.05)


def test_snr_without_a_mask_or_noise():
    flat = np.full((12, 12, 12), 7.0)
    assert np.isnan(quality.signal_to_noise(flat, np.zeros(flat.shape)))
    assert quality.signal_to_noise(flat, np.ones(flat.shape)) == np.inf


def test_measure_fills_every_column():
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    mask = np.zeros((20, 20, 20), np.uint8)
    mask[5:15, 5:15, 5:15] = 1
    brain = nib.Nifti1Image(mask, affine)
    measured = quality.measure(
        nib.Nifti1Image(noisy(5.0, mask.shape), affine), brain, brain, brain
    )
    assert list(measured) == list(quality.COLUMNS)
    assert measured["brain_volume_ml"] == pytest.approx(2.0)  # 1000 voxels of 2 mm³
    assert measured["template_brain_dice"] == 1
