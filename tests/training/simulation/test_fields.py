"""Volume operations against scipy."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from bids_stroke.spatial import image
from bids_stroke.training.simulation import fields


@pytest.fixture
def volume():
    return np.random.default_rng(0).standard_normal((30, 34, 28)).astype(np.float32)


@pytest.mark.parametrize(("sigma", "tolerance"), [(0.7, 0.01), (2.0, 0.01), (4.0, 0.02)])
def test_blur_is_gaussian(volume, sigma, tolerance):
    point = np.zeros((41, 41, 41), np.float32)
    point[20, 20, 20] = 1
    blurred = fields.blur(torch.from_numpy(point), sigma).numpy()
    expected = ndimage.gaussian_filter(point, sigma, truncate=2.5)
    np.testing.assert_allclose(blurred.sum(), 1, atol=0.01)
    assert np.abs(blurred - expected).max() < tolerance * max(1, 3 * expected.max())
    spread = np.sqrt((blurred.sum((1, 2)) * (np.arange(41) - 20) ** 2).sum())
    assert spread == pytest.approx(sigma, rel=0.12)


def test_resize_keeps_the_corners(volume):
    out = fields.resize(torch.from_numpy(volume), (11, 12, 13)).numpy()
    assert out.shape == (11, 12, 13)
    corners = ([0, -1], [0, -1], [0, -1])
    np.testing.assert_allclose(out[corners], volume[corners], rtol=1e-5)


@pytest.mark.parametrize("radius", [1, 2])
def test_morphology(volume, radius):
    mask = volume > 1
    cube = np.ones((2 * radius + 1,) * 3)
    dilated = ndimage.binary_dilation(mask, cube)
    np.testing.assert_array_equal(fields.dilate(torch.from_numpy(mask), radius).numpy(), dilated)
    eroded = ndimage.binary_erosion(dilated, cube, border_value=1)
    np.testing.assert_array_equal(fields.erode(torch.from_numpy(dilated), radius).numpy(), eroded)


def test_standardize_equals_the_zscore_of_inference(volume):
    mask = volume > -0.5
    standardized = fields.standardize(torch.from_numpy(volume), torch.from_numpy(mask)).numpy()
    np.testing.assert_allclose(standardized, image.zscore(volume, mask), atol=1e-5)


def test_draws_depend_on_the_seed():
    draws = [fields.Draw(seed) for seed in (4, 4, 5)]
    noise = [draw.noise((3, 3, 3)) + draw.uniform(0, 1) for draw in draws]
    assert torch.equal(noise[0], noise[1])
    assert not torch.equal(noise[0], noise[2])
