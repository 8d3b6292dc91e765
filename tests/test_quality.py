import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_mni152_template

from bids_stroke import image, quality


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


def template(kind):
    """The template's T1w (1), or its brain mask (2), at 2 mm."""
    img = load_mni152_template(resolution=2)
    return img if kind == 1 else image.like(img.get_fdata() > 0.1, img, np.uint8)


@pytest.mark.parametrize("contrast", quality.CONTRASTS)
def test_contrast_is_recognized(contrast):
    t1w, brain = template(1), template(2)
    levels = {"T1w": (0.2, 0.7, 1.0), "FLAIR": (0.2, 1.3, 1.0), "T2w": (3.0, 1.5, 1.0)}[contrast]
    painted = np.interp(t1w.get_fdata(), (0.27, 0.65, 0.87), levels) * np.asarray(brain.dataobj)
    found = quality.measure(t1w, brain, image.like(painted, t1w, np.float32), brain, brain)
    for said in quality.CONTRASTS:
        told = quality.doubts(found, said, {})
        assert bool(told) == (said != contrast)
    assert f"looks like a {contrast}" in quality.doubts(
        found, "FLAIR" if contrast != "FLAIR" else "T1w", {}
    )[0]


def test_volumes_outside_the_trained_range_are_told():
    trained = {"brain_volume_ml": [900, 1900], "lesion_volume_ml": [0, 300]}
    told = quality.doubts({"brain_volume_ml": 700.0, "lesion_volume_ml": 20}, "T1w", trained)
    assert told == ["Brain volume is 700, outside the 900 to 1900 that the model was trained on."]


def test_measure_fills_every_column():
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    mask = np.zeros((20, 20, 20), np.uint8)
    mask[5:15, 5:15, 5:15] = 1
    brain = nib.Nifti1Image(mask, affine)
    measured = quality.measure(
        nib.Nifti1Image(noisy(5.0, mask.shape), affine), brain, template(1), *[template(2)] * 2
    )
    assert list(measured) == list(quality.COLUMNS)
    assert measured["brain_volume_ml"] == pytest.approx(2.0)  # 1000 voxels of 2 mm³
    assert measured["template_brain_dice"] == 1
