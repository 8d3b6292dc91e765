"""Mirrored channels against scipy, and the alignment of a displaced head."""

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.affines import apply_affine
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_stroke.models import mirroring
from bids_stroke.spatial import image
from bids_stroke.spatial.grid import regrid
from bids_stroke.spatial.templates import template

pytestmark = pytest.mark.slow


@pytest.fixture
def tilted():
    """Affine from voxels to template coordinates of a tilted grid."""
    matrix = np.diag([1.5, 1.4, 1.6, 1])
    matrix[:3, :3] = Rotation.from_euler("xyz", (4, -7, 9), degrees=True).as_matrix() @ matrix[:3, :3]
    matrix[:3, 3] = (-22, -25, -20)
    return matrix


def test_reflection_is_its_own_inverse_and_preserves_the_midsagittal_plane(tilted):
    across = mirroring.reflection(tilted)
    np.testing.assert_allclose(across @ across, np.eye(4), atol=1e-9)
    midsagittal = np.linalg.inv(tilted) @ np.array([0, 12.0, -7, 1])
    np.testing.assert_allclose(across @ midsagittal, midsagittal, atol=1e-9)
    left = np.linalg.inv(tilted) @ np.array([-15, 12.0, -7, 1])
    np.testing.assert_allclose(tilted @ across @ left, [15, 12, -7, 1], atol=1e-9)


def test_reflected_images_equal_those_of_scipy(tilted):
    rng = np.random.default_rng(0)
    volume = ndimage.gaussian_filter(rng.standard_normal((2, 31, 36, 27)), (0, 1, 1, 1))
    across = mirroring.reflection(tilted)
    reflected = mirroring.reflect(torch.from_numpy(volume.astype(np.float32)), across).numpy()
    expected = [
        ndimage.affine_transform(part, across[:3, :3], across[:3, 3], order=1, mode="grid-constant")
        for part in volume
    ]
    np.testing.assert_allclose(reflected, expected, atol=1e-5)


def test_without_alignment_the_mirrored_channels_are_zero():
    channels = np.ones((2, 4, 4, 4), np.float32)
    both = mirroring.append_mirrored(channels, None)
    assert both.shape == (4, 4, 4, 4) and not both[2:].any()
    np.testing.assert_array_equal(both[:2], channels)


def moved(degrees, shift):
    """The template's T1w and brain mask at 2 mm, rotated and translated, and the matrix."""
    move = np.eye(4)
    move[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    move[:3, 3] = shift
    parts = regrid(template().t1w, (2, 2, 2)), regrid(template().brain, (2, 2, 2), order=0)
    return *(nib.Nifti1Image(np.asanyarray(p.dataobj), move @ p.affine) for p in parts), move


def test_a_moved_head_is_aligned():
    t1w, brain, move = moved((5, -8, 10), (6, -4, 9))
    affine = mirroring.align(t1w, brain)
    points = np.array([[0, -60, 20], [0, 30, 50], [0, 0, -20], [-50, 0, 10]], float)
    error = apply_affine(affine, apply_affine(move, points)) - points
    assert np.abs(error[:, 0]).max() < 1.5


def test_failed_alignment_is_reported(caplog):
    t1w, brain, _ = moved((0, 0, 0), (0, 0, 0))
    data = np.asanyarray(brain.dataobj).copy()
    data[:, :, data.shape[2] // 3 :] = 0  # only the lowest slices are left
    assert mirroring.align(t1w, image.like(data, brain)) is None
    assert "without mirrored channels" in caplog.text
