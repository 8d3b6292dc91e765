from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_mni152_template
from sklearn.metrics import mutual_info_score

from bids_stroke.qc import checks, image_quality
from bids_stroke.spatial import grid, image

#: Volumes of a session that passes all checks.
ROW = {"lesion_volume_ml": 20.0, "lesion_volume_mni_ml": 20.0, "brain_volume_ml": 1400.0}


def noisy(sigma, shape=(48, 48, 48), signal=100.0):
    return np.random.default_rng(0).normal(signal, sigma, shape).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.5, 4.0, 20.0])
def test_snr_of_white_noise(sigma):
    snr = image_quality.signal_to_noise(noisy(sigma), np.ones((48, 48, 48)))
    assert snr == pytest.approx(100 / sigma, rel=0.05)


def test_snr_is_measured_inside_the_mask_and_ignores_gradients():
    data = noisy(2.0) + np.linspace(-30, 30, 48, dtype=np.float32)[:, None, None]
    mask = np.zeros(data.shape)
    mask[10:38, 10:38, 10:38] = 1
    data[mask == 0] = 1e6
    assert image_quality.signal_to_noise(data, mask) == pytest.approx(50, rel=0.05)


def test_snr_without_a_mask_or_noise():
    flat = np.full((12, 12, 12), 7.0)
    assert np.isnan(image_quality.signal_to_noise(flat, np.zeros(flat.shape)))
    assert image_quality.signal_to_noise(flat, np.ones(flat.shape)) == np.inf


@pytest.fixture(scope="module")
def template():
    """T1w and brain mask of the template at 2 mm."""
    img = load_mni152_template(resolution=2)
    return img, image.like(img.get_fdata() > 0.1, img, np.uint8)


@pytest.mark.parametrize("contrast", image_quality.CONTRASTS)
def test_contrast_is_recognized(template, contrast):
    t1w, brain = template
    levels = {"T1w": (0.2, 0.7, 1.0), "FLAIR": (0.2, 1.3, 1.0), "T2w": (3.0, 1.5, 1.0)}[contrast]
    intensities = np.interp(t1w.get_fdata(), (0.27, 0.65, 0.87), levels) * np.asarray(brain.dataobj)
    img = image.like(intensities, t1w, np.float32)
    tissues = {
        name: grid.resample(tissue, t1w, order=0)
        for name, tissue in image_quality.tissue_maps(brain).items()
    }
    measured = image_quality.measure(img, img, brain, tissues)
    for named in image_quality.CONTRASTS:
        failed = checks.run_checks({**ROW, **measured, "reference": named}, {named: Path("missing")})
        assert ("contrast" in failed) == (named != contrast)
        prefix = f"{named.lower()}_"  # the same measures for a non-reference image
        other = {prefix + name: value for name, value in measured.items()}
        failed = checks.run_checks({**ROW, **other, "reference": "other"}, {named: Path("missing")})
        assert (f"The {named} looks like a {contrast}" in failed.get("contrast", "")) == (
            named != contrast
        )
    assert np.isnan(measured["snr_dietrich"]) and np.isnan(measured["fber"]), (
        "the background is removed"
    )
    assert np.isnan(measured["similarity"])


def ball(radius, shape=(64, 64, 64)):
    return ((np.indices(shape) - 31.5) ** 2).sum(0) <= radius**2


@pytest.mark.parametrize("sigma", [2.0, 10.0])
def test_noise_of_the_air_estimates_the_noise_of_the_head(sigma):
    """A head of signal 100 in a magnitude image with known noise."""
    rng = np.random.default_rng(1)
    real, imaginary = rng.normal(0, sigma, (2, 64, 64, 64))
    head, brain = ball(18), ball(12)
    raw = nib.Nifti1Image(np.hypot(100 * head + real, imaginary).astype(np.float32), np.eye(4))
    mask = nib.Nifti1Image(brain.astype(np.uint8), np.eye(4))
    halves = brain & (np.arange(64) < 32), brain & (np.arange(64) >= 32)
    tissues = {
        name: nib.Nifti1Image(half.astype(np.uint8), np.eye(4))
        for name, half in zip(("white", "gray", "fluid"), (*halves, np.zeros_like(brain)), strict=True)
    }
    measured = image_quality.measure(raw, raw, mask, tissues, raw)
    assert measured["snr_dietrich"] == pytest.approx(100 / sigma, rel=0.06)
    assert measured["snr"] == pytest.approx(100 / sigma, rel=0.1)
    # The median of squared Rayleigh noise is 2 ln 2 sigma².
    assert measured["fber"] == pytest.approx(100**2 / (2 * np.log(2) * sigma**2), rel=0.15)
    assert measured["brain_volume_ml"] == pytest.approx(brain.sum() / 1000)
    assert np.isnan(measured["fluid_gray_ratio"])
    assert measured["similarity"] == pytest.approx(2)


def test_contrast_to_noise_by_hand():
    rng = np.random.default_rng(2)
    brain, left = ball(20), np.arange(64) < 32
    data = np.where(left, 130.0, 100.0) + rng.normal(0, 3, (64, 64, 64))
    img = nib.Nifti1Image((data * ball(22)).astype(np.float32), np.eye(4))
    tissues = {
        name: nib.Nifti1Image(part.astype(np.uint8), np.eye(4))
        for name, part in {"white": brain & left, "gray": brain & ~left, "fluid": ~brain}.items()
    }
    mask = nib.Nifti1Image(brain.astype(np.uint8), np.eye(4))
    measured = image_quality.measure(img, img, mask, tissues)
    assert measured["cnr"] == pytest.approx(30 / np.sqrt(2 * 3**2), rel=0.05)
    assert measured["white_gray_ratio"] == pytest.approx(1.3, rel=0.01)


def test_entropy_focus_against_the_formula_of_mriqc():
    data = np.abs(noisy(20.0, (20, 22, 24)))
    n, energy = data.size, np.sqrt((data.astype(float) ** 2).sum())
    maximum = 1.0 * n * (1 / np.sqrt(n)) * np.log(1 / np.sqrt(n))
    expected = (1 / maximum) * np.sum((data / energy) * np.log((data + 1e-16) / energy))
    assert image_quality.entropy_focus(data) == pytest.approx(expected, rel=1e-5)
    point = np.zeros((10, 10, 10))
    point[5, 5, 5] = 3
    assert image_quality.entropy_focus(point) == 0
    assert image_quality.entropy_focus(np.ones((10, 10, 10))) == pytest.approx(1)
    assert np.isnan(image_quality.entropy_focus(np.zeros((10, 10, 10))))


def test_mutual_information_against_scikit_learn():
    rng = np.random.default_rng(3)
    x = rng.normal(size=20000)
    y = 0.7 * x**2 + 0.3 * rng.normal(size=x.size)
    labels = []
    for values in (x, y):
        low, high = np.percentile(values, (0.5, 99.5))
        edges = np.linspace(low, high, 65)[1:-1]
        labels.append(np.digitize(np.clip(values, low, high), edges))
    shared = mutual_info_score(*labels)
    entropies = [mutual_info_score(label, label) for label in labels]
    expected = sum(entropies) / (sum(entropies) - shared)
    assert image_quality.mutual_information(x, y) == pytest.approx(expected, rel=1e-3)
    assert image_quality.mutual_information(x, rng.normal(size=x.size)) < 1.05 < expected
