"""Tests of normalization with a lesion, which is excluded or replaced by healthy tissue."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine, from_matvec, voxel_sizes
from nibabel.eulerangles import euler2mat
from scipy import ndimage

from bids_stroke.settings import NORMALIZATIONS
from bids_stroke.spatial import enantiomorphic, grid, image, normalization, templates, transforms

pytestmark = pytest.mark.slow

ants = pytest.importorskip("ants")
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def brain():
    """Return the template at 2 mm with its brain mask."""
    target = templates.template()
    t1w = grid.regrid(target.t1w, (2, 2, 2))
    return t1w, image.like(t1w.get_fdata() > 0.1, t1w, np.uint8)


def motion(angles_deg, shift_mm):
    """Return a rigid motion of world coordinates about the origin; angles about z, y and x."""
    return from_matvec(euler2mat(*np.deg2rad(angles_deg)), shift_mm)


@pytest.mark.parametrize("method", NORMALIZATIONS)
def test_normalization_recovers_a_warp_and_ignores_the_lesion(brain, method, tmp_path):
    """A brain that is stretched by 8%, with a hole of 60 ml, is normalized; left stays left."""
    t1w, mask = brain
    stretch = np.diag([1.08, 0.95, 1.04, 1.0])
    affine = motion((6, 3, -8), (8, -5, 12)) @ stretch @ t1w.affine
    points = apply_affine(t1w.affine, np.moveaxis(np.indices(t1w.shape), 0, -1))
    hole = np.linalg.norm(points - (-38, -10, 22), axis=-1) < 24
    data = np.where(hole, 0.05, t1w.get_fdata())
    patient = nib.Nifti1Image(data.astype(np.float32), affine)
    lesion = nib.Nifti1Image(hole.astype(np.uint8), affine)
    patient_brain = nib.Nifti1Image(mask.get_fdata().astype(np.uint8), affine)
    forward, back = normalization.normalize(patient, patient_brain, lesion, tmp_path, None, method)
    target = templates.template()
    moved = transforms.apply(patient_brain, target.brain, [forward], "mask").get_fdata() > 0
    truth = target.brain.get_fdata() > 0
    assert 2 * (moved & truth).sum() / (moved.sum() + truth.sum()) > 0.97
    # The normalized hole is at its original position: on the left, with its volume before the stretch.
    normalized_hole = transforms.apply(lesion, t1w, [forward], "mask").get_fdata() > 0
    overlap = 2 * (normalized_hole & hole).sum() / (normalized_hole.sum() + hole.sum())
    assert overlap > 0.9
    native_brain = transforms.apply(target.brain, patient, [back], "mask").get_fdata() > 0
    inside = patient_brain.get_fdata() > 0
    assert 2 * (native_brain & inside).sum() / (native_brain.sum() + inside.sum()) > 0.97


def test_lesion_of_the_entire_brain_is_ignored(brain, tmp_path):
    """No healthy tissue is left to register."""
    t1w, mask = brain
    forward, _ = normalization.normalize(t1w, mask, mask, tmp_path)
    points = apply_affine(t1w.affine, np.argwhere(mask.get_fdata() > 0)[::5000])
    moved = transforms.move_points(points, [forward])
    assert np.linalg.norm(moved - points, axis=1).max() < 2


def test_lesion_is_filled_from_the_other_hemisphere(brain, tmp_path):
    """A hole in the darker right hemisphere of a tilted and shifted brain is restored."""
    t1w, mask = brain
    moved = motion((4, -5, 6), (9, -7, 5))
    inside = mask.get_fdata() > 0
    points = apply_affine(t1w.affine, np.moveaxis(np.indices(t1w.shape), 0, -1))
    hole = (np.linalg.norm(points - (36, -12, 20), axis=-1) < 20) & inside
    shade = np.where(points[..., 0] > 0, 0.9, 1.0)
    intact = (t1w.get_fdata() * shade * inside).astype(np.float32)
    patient = nib.Nifti1Image(np.where(hole, 0.05, intact).astype(np.float32), moved @ t1w.affine)
    # A transform of points from the patient to the template, in ITK coordinates.
    matrix = LPS @ np.linalg.inv(moved) @ LPS
    affine = ants.create_ants_transform(
        transform_type="AffineTransform",
        dimension=3,
        parameters=[*matrix[:3, :3].ravel(), *matrix[:3, 3]],
        fixed_parameters=[0.0, 0.0, 0.0],
    )
    ants.write_transform(affine, str(tmp_path / "affine.mat"))
    other, usable = enantiomorphic.mirror(patient, inside, hole, tmp_path / "affine.mat")
    filled, unfilled = enantiomorphic.fill(patient, inside, hole, other, usable)
    data = filled.get_fdata()
    np.testing.assert_array_equal(data[~hole], patient.get_fdata()[~hole])
    deep = ndimage.binary_erosion(hole, iterations=2)
    assert unfilled.sum() < 0.03 * hole.sum()
    assert np.abs(data - intact)[deep].mean() < 0.25 * np.abs(patient.get_fdata() - intact)[deep].mean()
    assert np.corrcoef(data[deep], intact[deep])[0, 1] > 0.8
    assert data[deep].mean() == pytest.approx(intact[deep].mean(), rel=0.03)


def test_lesion_is_not_filled_with_lesioned_tissue(brain):
    """Where both hemispheres are lesioned, there is no healthy tissue for the filling."""
    t1w, mask = brain
    inside = mask.get_fdata() > 0
    points = apply_affine(t1w.affine, np.moveaxis(np.indices(t1w.shape), 0, -1))
    right = (np.linalg.norm(points - (30, -12, 20), axis=-1) < 15) & inside
    lesion = right | ((np.linalg.norm(points - (-30, -12, 26), axis=-1) < 15) & inside)
    # The template is symmetric: its mirror image is the reversed array.
    healthy = (inside & ~lesion)[::-1]
    filled, unfilled = enantiomorphic.fill(t1w, inside, lesion, t1w.get_fdata()[::-1], healthy)
    both = lesion & lesion[::-1]
    assert both.any()
    np.testing.assert_array_equal(unfilled & inside[::-1], both)
    np.testing.assert_array_equal(filled.get_fdata()[both], t1w.get_fdata()[both])


def test_intensity_and_contrast_of_the_tissue_are_matched(brain):
    t1w, mask = brain
    inside = mask.get_fdata() > 0
    points = apply_affine(t1w.affine, np.moveaxis(np.indices(t1w.shape), 0, -1))
    lesion = (np.linalg.norm(points - (30, -12, 20), axis=-1) < 15) & inside
    data = t1w.get_fdata()
    lesioned = image.like(np.where(lesion, 0, data), t1w, np.float32)
    filled, _ = enantiomorphic.fill(lesioned, inside, lesion, 0.5 * data + 0.3, inside)
    deep = ndimage.distance_transform_edt(lesion, voxel_sizes(t1w.affine)) > enantiomorphic.BLEND_MM
    np.testing.assert_allclose(filled.get_fdata()[deep], data[deep], atol=1e-4)
