"""Known motions are recovered; grids, sides and volumes survive."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine, from_matvec
from nibabel.eulerangles import euler2mat
from scipy import ndimage

from bids_stroke import image, registration
from bids_stroke.errors import ImageError
from bids_stroke.settings import NORMALIZATIONS

ants = pytest.importorskip("ants")
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def brain():
    """The template at 2 mm with its mask."""
    target = registration.template()
    t1w = image.regrid(target.t1w, (2, 2, 2))
    return t1w, image.like(t1w.get_fdata() > 0.1, t1w, np.uint8)


def motion(angles_deg, shift_mm):
    """World-to-world rigid motion about the origin; angles about z, y, x."""
    return from_matvec(euler2mat(*np.deg2rad(angles_deg)), shift_mm)


def through(transform, points):
    """Map world (RAS) points as ITK does: for images, from the fixed to the moving space."""
    read = ants.read_transform(str(transform))
    return np.array([read.apply_to_point(list(LPS[:3, :3] @ p)) for p in points]) @ LPS[:3, :3]


def flair_like(t1w, rng):
    """Another contrast of the same brain: gray matter brightest, CSF dark, noise."""
    data = t1w.get_fdata() / t1w.get_fdata().max()
    other = np.interp(data, [0, 0.25, 0.55, 0.8, 1], [0, 0.1, 1.0, 0.7, 0.65])
    return image.like(other + rng.normal(0, 0.03, other.shape), t1w, np.float32)


@pytest.mark.parametrize("shift", [(4, -6, 3), (40, -35, 50)], ids=["near", "far"])
def test_rigid_recovers_a_known_motion(brain, shift, tmp_path):
    t1w, mask = brain
    moved = motion((5, -4, 7), shift)
    other = flair_like(t1w, np.random.default_rng(0))
    # The head lies elsewhere: the same voxels under another affine, resampled on a shifted grid.
    head = nib.Nifti1Image(other.get_fdata(dtype=np.float32), moved @ other.affine)
    grid = nib.Nifti1Image(
        np.zeros((110, 125, 42), np.uint8),
        moved @ from_matvec(np.diag([2.0, 2.0, 4.5]), (-110, -130, -75)),
    )
    scan = image.resample(head, grid)
    forward, inverse = registration.rigid(scan, t1w, mask, tmp_path)
    points = apply_affine(t1w.affine, np.argwhere(mask.get_fdata() > 0)[::997])
    found = through(forward, points)
    error = np.linalg.norm(found - apply_affine(moved, points), axis=1)
    assert error.max() < 0.5
    np.testing.assert_allclose(through(inverse, found), points, atol=1e-2)


def test_ants_images_keep_their_place():
    affine = from_matvec(euler2mat(0.3, -0.2, 0.5) @ np.diag([1.0, 2.0, 3.0]), (5, -7, 11))
    img = nib.Nifti1Image(np.arange(24, dtype=np.float32).reshape(2, 3, 4), affine)
    converted = registration.to_ants(img)
    point = np.array(ants.transform_index_to_physical_point(converted, [1, 2, 3]))
    np.testing.assert_allclose(LPS[:3, :3] @ point, apply_affine(affine, [1, 2, 3]), atol=1e-4)
    np.testing.assert_array_equal(converted.numpy(), img.get_fdata())


def test_apply_chains_in_order_and_keeps_volume(brain, tmp_path):
    _, mask = brain
    first, second = motion((90, 0, 0), (0, 0, 0)), motion((0, 0, 0), (20.3, 0, 0))
    paths = []
    for number, matrix in enumerate((first, second)):
        # An image transform maps points of the target back to the source.
        back = LPS @ np.linalg.inv(matrix) @ LPS
        transform = ants.create_ants_transform(
            transform_type="AffineTransform",
            dimension=3,
            parameters=[*back[:3, :3].ravel(), *back[:3, 3]],
            fixed_parameters=[0.0, 0.0, 0.0],
        )
        paths.append(tmp_path / f"{number}.mat")
        ants.write_transform(transform, str(paths[-1]))
    points = apply_affine(mask.affine, np.moveaxis(np.indices(mask.shape), 0, -1))
    ball = image.like(np.linalg.norm(points - (0, 40, 10), axis=-1) < 15, mask, np.uint8)
    moved = registration.apply(ball, mask, paths, "mask")
    centre = apply_affine(moved.affine, ndimage.center_of_mass(moved.get_fdata()))
    # (0, 40, 10) turned by 90 degrees about z is (-40, 0, 10), then 20 mm to the right.
    # A binary mask moves by whole voxels: half of one at most is lost.
    np.testing.assert_allclose(centre, (-19.7, 0, 10), atol=1)
    assert moved.get_data_dtype() == np.uint8
    assert abs(moved.get_fdata().sum() / ball.get_fdata().sum() - 1) < 0.05


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
    forward, back = registration.normalize(patient, skull, lesion, tmp_path, None, method)
    target = registration.template()
    moved = registration.apply(skull, target.brain, [forward], "mask").get_fdata() > 0
    truth = target.brain.get_fdata() > 0
    assert 2 * (moved & truth).sum() / (moved.sum() + truth.sum()) > 0.97
    # The hole returns to where it was cut: on the left, its volume divided by the stretch.
    hole_back = registration.apply(lesion, t1w, [forward], "mask").get_fdata() > 0
    overlap = 2 * (hole_back & hole).sum() / (hole_back.sum() + hole.sum())
    assert overlap > 0.9
    there_and_back = registration.apply(target.brain, patient, [back], "mask").get_fdata() > 0
    inside = skull.get_fdata() > 0
    assert 2 * (there_and_back & inside).sum() / (there_and_back.sum() + inside.sum()) > 0.97


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
    other, usable = registration.mirror(patient, inside, hole, tmp_path / "affine.mat")
    filled, left_over = registration.fill(patient, inside, hole, other, usable)
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
    filled, left_over = registration.fill(t1w, inside, lesion, t1w.get_fdata()[::-1], healthy)
    both = lesion & lesion[::-1]
    assert both.any()
    np.testing.assert_array_equal(left_over & inside[::-1], both)
    np.testing.assert_array_equal(filled.get_fdata()[both], t1w.get_fdata()[both])


def test_another_template_loses_its_skull(brain, tmp_path):
    t1w, mask = brain
    head = image.like(t1w.get_fdata() + 0.3, t1w, np.float32)
    flipped = nib.as_closest_canonical(mask).slicer[::-1]
    nib.save(head, tmp_path / "t1w.nii.gz")
    nib.save(flipped, tmp_path / "brain.nii.gz")
    target = registration.load_template(tmp_path / "t1w.nii.gz", tmp_path / "brain.nii.gz")
    inside = mask.get_fdata() > 0
    np.testing.assert_allclose(target.t1w.get_fdata()[inside], head.get_fdata()[inside], rtol=1e-6)
    assert not target.t1w.get_fdata()[~inside].any()
    nib.save(mask.slicer[:-1], tmp_path / "brain.nii.gz")
    with pytest.raises(ImageError, match=r"brain\.nii\.gz is on another grid"):
        registration.load_template(tmp_path / "t1w.nii.gz", tmp_path / "brain.nii.gz")
