"""The lesion does not lead the warp: it is left out, or healthy tissue stands in for it."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine, from_matvec, voxel_sizes
from nibabel.eulerangles import euler2mat
from scipy import ndimage

from bids_stroke.settings import NORMALIZATIONS
from bids_stroke.spatial import enantiomorphic, grid, image, normalization, templates, transforms

ants = pytest.importorskip("ants")
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def brain():
    """The template at 2 mm with its mask."""
    target = templates.template()
    t1w = grid.regrid(target.t1w, (2, 2, 2))
    return t1w, image.like(t1w.get_fdata() > 0.1, t1w, np.uint8)


def motion(angles_deg, shift_mm):
    """World-to-world rigid motion about the origin; angles about z, y, x."""
    return from_matvec(euler2mat(*np.deg2rad(angles_deg)), shift_mm)


@pytest.mark.parametrize("method", NORMALIZATIONS)
def test_normalization_recovers_a_warp_and_ignores_the_lesion(brain, method, tmp_path):
    """A brain stretched by 8% with a 60 ml hole comes back; left stays left."""
    t1w, mask = brain
    stretch = np.diag([1.08, 0.95, 1.04, 1.0])
    affine = motion((6, 3, -8), (8, -5, 12)) @ stretch @ t1w.affine
    points = apply_affine(t1w.affine, np.moveaxis(np.indices(t1w.shape), 0, -1))
    hole = np.linalg.norm(points - (-38, -10, 22), axis=-1) < 24
    data = np.where(hole, 0.05, t1w.get_fdata())
    patient = nib.Nifti1Image(data.astype(np.float32), affine)
    lesion = nib.Nifti1Image(hole.astype(np.uint8), affine)
    skull = nib.Nifti1Image(mask.get_fdata().astype(np.uint8), affine)
    forward, back = normalization.normalize(patient, skull, lesion, tmp_path, None, method)
    target = templates.template()
    moved = transforms.apply(skull, target.brain, [forward], "mask").get_fdata() > 0
    truth = target.brain.get_fdata() > 0
    assert 2 * (moved & truth).sum() / (moved.sum() + truth.sum()) > 0.97
    # The hole returns to where it was cut: on the left, its volume divided by the stretch.
    hole_back = transforms.apply(lesion, t1w, [forward], "mask").get_fdata() > 0
    overlap = 2 * (hole_back & hole).sum() / (hole_back.sum() + hole.sum())
    assert overlap > 0.9
    there_and_back = transforms.apply(target.brain, patient, [back], "mask").get_fdata() > 0
    inside = skull.get_fdata() > 0
    assert 2 * (there_and_back & inside).sum() / (there_and_back.sum() + inside.sum()) > 0.97


def test_a_lesion_of_the_whole_brain_is_as_none(brain, tmp_path):
    """Nothing healthy is left that could lead the warp."""
    t1w, mask = brain
    forward, _ = normalization.normalize(t1w, mask, mask, tmp_path)
    points = apply_affine(t1w.affine, np.argwhere(mask.get_fdata() > 0)[::5000])
    moved = transforms.move_points(points, [forward])
    assert np.linalg.norm(moved - points, axis=1).max() < 2


def test_a_lesion_is_filled_from_the_other_side(brain, tmp_path):
    """A tilted and shifted brain with a hole on its darker right side gets back what was there."""
    t1w, mask = brain
    moved = motion((4, -5, 6), (9, -7, 5))
    inside = mask.get_fdata() > 0
    points = apply_affine(t1w.affine, np.moveaxis(np.indices(t1w.shape), 0, -1))
    hole = (np.linalg.norm(points - (36, -12, 20), axis=-1) < 20) & inside
    shade = np.where(points[..., 0] > 0, 0.9, 1.0)
    intact = (t1w.get_fdata() * shade * inside).astype(np.float32)
    patient = nib.Nifti1Image(np.where(hole, 0.05, intact).astype(np.float32), moved @ t1w.affine)
    # A transform of points: from the patient to the template, in the coordinates of ITK.
    matrix = LPS @ np.linalg.inv(moved) @ LPS
    affine = ants.create_ants_transform(
        transform_type="AffineTransform",
        dimension=3,
        parameters=[*matrix[:3, :3].ravel(), *matrix[:3, 3]],
        fixed_parameters=[0.0, 0.0, 0.0],
    )
    ants.write_transform(affine, str(tmp_path / "affine.mat"))
    other, usable = enantiomorphic.mirror(patient, inside, hole, tmp_path / "affine.mat")
    filled, left_over = enantiomorphic.fill(patient, inside, hole, other, usable)
    data = filled.get_fdata()
    np.testing.assert_array_equal(data[~hole], patient.get_fdata()[~hole])
    deep = ndimage.binary_erosion(hole, iterations=2)
    assert left_over.sum() < 0.03 * hole.sum()
    assert np.abs(data - intact)[deep].mean() < 0.25 * np.abs(patient.get_fdata() - intact)[deep].mean()
    assert np.corrcoef(data[deep], intact[deep])[0, 1] > 0.8
    assert data[deep].mean() == pytest.approx(intact[deep].mean(), rel=0.03)


def test_no_lesion_is_filled_with_lesion(brain):
    """Where both sides are hurt, nothing healthy is there to be taken."""
    t1w, mask = brain
    inside = mask.get_fdata() > 0
    points = apply_affine(t1w.affine, np.moveaxis(np.indices(t1w.shape), 0, -1))
    right = (np.linalg.norm(points - (30, -12, 20), axis=-1) < 15) & inside
    lesion = right | ((np.linalg.norm(points - (-30, -12, 26), axis=-1) < 15) & inside)
    # The template is symmetric: its mirror image is the array turned round.
    healthy = (inside & ~lesion)[::-1]
    filled, left_over = enantiomorphic.fill(t1w, inside, lesion, t1w.get_fdata()[::-1], healthy)
    both = lesion & lesion[::-1]
    assert both.any()
    np.testing.assert_array_equal(left_over & inside[::-1], both)
    np.testing.assert_array_equal(filled.get_fdata()[both], t1w.get_fdata()[both])


def test_tissue_of_another_brightness_and_contrast_is_adjusted(brain):
    t1w, mask = brain
    inside = mask.get_fdata() > 0
    points = apply_affine(t1w.affine, np.moveaxis(np.indices(t1w.shape), 0, -1))
    lesion = (np.linalg.norm(points - (30, -12, 20), axis=-1) < 15) & inside
    data = t1w.get_fdata()
    hurt = image.like(np.where(lesion, 0, data), t1w, np.float32)
    filled, _ = enantiomorphic.fill(hurt, inside, lesion, 0.5 * data + 0.3, inside)
    deep = ndimage.distance_transform_edt(lesion, voxel_sizes(t1w.affine)) > enantiomorphic.BLEND_MM
    np.testing.assert_allclose(filled.get_fdata()[deep], data[deep], atol=1e-4)
