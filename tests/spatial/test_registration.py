"""Tests of rigid registration of known motions, and of the application of transforms."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine, from_matvec
from nibabel.eulerangles import euler2mat
from scipy import ndimage

from bids_stroke.errors import ImageError
from bids_stroke.spatial import image, linear_registration, registration, templates, transforms
from bids_stroke.spatial.grid import regrid, resample

pytestmark = pytest.mark.slow

ants = pytest.importorskip("ants")
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def brain():
    """Return the template at 2 mm with its brain mask."""
    target = templates.template()
    t1w = regrid(target.t1w, (2, 2, 2))
    return t1w, image.like(t1w.get_fdata() > 0.1, t1w, np.uint8)


def motion(angles_deg, shift_mm):
    """Return a rigid motion of world coordinates about the origin; angles about z, y and x."""
    return from_matvec(euler2mat(*np.deg2rad(angles_deg)), shift_mm)


def map_points(path, points):
    """Map world (RAS) points with ITK: for images, from the fixed to the moving space."""
    transform = ants.read_transform(str(path))
    return np.array([transform.apply_to_point(list(LPS[:3, :3] @ p)) for p in points]) @ LPS[:3, :3]


def flair_like(t1w, rng):
    """Return another contrast of the same brain, with bright gray matter, dark CSF, and noise."""
    data = t1w.get_fdata() / t1w.get_fdata().max()
    other = np.interp(data, [0, 0.25, 0.55, 0.8, 1], [0, 0.1, 1.0, 0.7, 0.65])
    return image.like(other + rng.normal(0, 0.03, other.shape), t1w, np.float32)


@pytest.mark.parametrize("shift", [(4, -6, 3), (40, -35, 50)], ids=["near", "far"])
def test_rigid_registration_recovers_a_known_motion(brain, shift, tmp_path):
    t1w, mask = brain
    moved = motion((5, -4, 7), shift)
    other = flair_like(t1w, np.random.default_rng(0))
    # Move the head: the same voxels with another affine, resampled to a shifted grid.
    head = nib.Nifti1Image(other.get_fdata(dtype=np.float32), moved @ other.affine)
    grid = nib.Nifti1Image(
        np.zeros((110, 125, 42), np.uint8),
        moved @ from_matvec(np.diag([2.0, 2.0, 4.5]), (-110, -130, -75)),
    )
    scan = resample(head, grid)
    forward, inverse = linear_registration.rigid(scan, t1w, mask, tmp_path)
    points = apply_affine(t1w.affine, np.argwhere(mask.get_fdata() > 0)[::997])
    mapped = map_points(forward, points)
    error = np.linalg.norm(mapped - apply_affine(moved, points), axis=1)
    assert error.max() < 0.5
    np.testing.assert_allclose(map_points(inverse, mapped), points, atol=1e-2)


def test_single_threaded_registrations_are_independent_of_the_number_of_threads(
    brain, tmp_path, monkeypatch
):
    """Both stages of SyN, of which the affine stage is not repeatable with several threads."""
    fixed = regrid(brain[0], (5, 5, 5))
    head = nib.Nifti1Image(fixed.get_fdata(), motion((5, -4, 7), (4, -6, 3)) @ fixed.affine)
    images, moved = {"fixed": fixed, "moving": head}, []
    points = np.array([[0.0, 0, 0], [30, -40, 20], [-50, 10, 5]])
    for number in ("1", "2"):
        monkeypatch.setenv(registration.THREADS, number)
        options = {"type_of_transform": "SyN", "reg_iterations": (10, 5)}
        prefix = f"{tmp_path}/{number}-"
        result = registration.register_single_threaded(images, prefix, **options)
        assert len(result.forward) == 2
        moved.append(transforms.move_points(points, result.forward))
    np.testing.assert_array_equal(*moved)


def test_conversion_to_ants_keeps_world_coordinates():
    affine = from_matvec(euler2mat(0.3, -0.2, 0.5) @ np.diag([1.0, 2.0, 3.0]), (5, -7, 11))
    img = nib.Nifti1Image(np.arange(24, dtype=np.float32).reshape(2, 3, 4), affine)
    converted = transforms.to_ants(img)
    point = np.array(ants.transform_index_to_physical_point(converted, [1, 2, 3]))
    np.testing.assert_allclose(LPS[:3, :3] @ point, apply_affine(affine, [1, 2, 3]), atol=1e-4)
    np.testing.assert_array_equal(converted.numpy(), img.get_fdata())


def test_transforms_are_applied_in_order_and_keep_the_volume(brain, tmp_path):
    _, mask = brain
    first, second = motion((90, 0, 0), (0, 0, 0)), motion((0, 0, 0), (20.3, 0, 0))
    paths = []
    for number, matrix in enumerate((first, second)):
        # A transform of images maps points from the target to the source.
        inverse = LPS @ np.linalg.inv(matrix) @ LPS
        transform = ants.create_ants_transform(
            transform_type="AffineTransform",
            dimension=3,
            parameters=[*inverse[:3, :3].ravel(), *inverse[:3, 3]],
            fixed_parameters=[0.0, 0.0, 0.0],
        )
        paths.append(tmp_path / f"{number}.mat")
        ants.write_transform(transform, str(paths[-1]))
    points = apply_affine(mask.affine, np.moveaxis(np.indices(mask.shape), 0, -1))
    ball = image.like(np.linalg.norm(points - (0, 40, 10), axis=-1) < 15, mask, np.uint8)
    moved = transforms.apply(ball, mask, paths, "mask")
    center = apply_affine(moved.affine, ndimage.center_of_mass(moved.get_fdata()))
    # (0, 40, 10) rotated by 90 degrees about z is (-40, 0, 10), then shifted 20.3 mm to the right.
    # A binary mask moves by whole voxels, with an error of at most half a voxel.
    np.testing.assert_allclose(center, (-19.7, 0, 10), atol=1)
    assert moved.get_data_dtype() == np.uint8
    assert abs(moved.get_fdata().sum() / ball.get_fdata().sum() - 1) < 0.05


def test_points_move_with_the_image(tmp_path):
    """The inverse of the transform of an image moves points with the image."""
    angle = np.deg2rad(20)
    rotation = [np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1]
    forward = ants.create_ants_transform(
        transform_type="AffineTransform", dimension=3, parameters=[*rotation, 5, -8, 3]
    )
    paths = {name: tmp_path / f"{name}.mat" for name in ("forward", "inverse")}
    ants.write_transform(forward, str(paths["forward"]))
    ants.write_transform(forward.invert(), str(paths["inverse"]))
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -80, -90, -70
    mask = np.zeros((80, 90, 80), np.uint8)
    mask[20:30, 30:42, 50:57] = 1
    img = nib.Nifti1Image(mask, affine)
    moved = transforms.apply(img, img, [paths["forward"]], "mask")
    points = apply_affine(affine, np.argwhere(mask))
    moved_points = transforms.move_points(points, [paths["inverse"]])
    center = apply_affine(affine, np.argwhere(np.asarray(moved.dataobj))).mean(0)
    np.testing.assert_allclose(moved_points.mean(0), center, atol=0.3)
    back = transforms.move_points(moved_points, [paths["forward"]])
    np.testing.assert_allclose(back, points, atol=1e-3)
    both = transforms.move_points(points, [paths["inverse"], paths["forward"]])
    np.testing.assert_allclose(both, points, atol=1e-3)
    assert transforms.move_points(np.zeros((0, 3)), [paths["inverse"]]).shape == (0, 3)


def test_supplied_template_is_skull_stripped(brain, tmp_path):
    t1w, mask = brain
    head = image.like(t1w.get_fdata() + 0.3, t1w, np.float32)
    flipped = mask.as_reoriented([[0, -1], [1, 1], [2, 1]])
    nib.save(head, tmp_path / "t1w.nii.gz")
    nib.save(flipped, tmp_path / "brain.nii.gz")
    target = templates.load_template(tmp_path / "t1w.nii.gz", tmp_path / "brain.nii.gz")
    inside = mask.get_fdata() > 0
    np.testing.assert_allclose(target.t1w.get_fdata()[inside], head.get_fdata()[inside], rtol=1e-6)
    assert not target.t1w.get_fdata()[~inside].any()
    nib.save(mask.slicer[:-1], tmp_path / "brain.nii.gz")
    with pytest.raises(ImageError, match=r"brain\.nii\.gz is not on the grid of"):
        templates.load_template(tmp_path / "t1w.nii.gz", tmp_path / "brain.nii.gz")
