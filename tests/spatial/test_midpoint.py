"""Midpoint space of several scans, and symmetric registration of moved heads."""

import longitudinals
import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy import linalg

from bids_stroke.spatial import grid, image, midpoint, templates, transforms
from bids_stroke.spatial.linear_registration import metric_region

MOTION = longitudinals.motion((6, -5, 4), (8, -6, 5))
FURTHER = longitudinals.motion((-3, 8, 2), (-4, 9, 12))


def test_the_space_of_two_scans_is_half_way():
    first, second = midpoint.midpoint_maps([MOTION])
    np.testing.assert_allclose(first @ second, np.eye(4), atol=1e-9)
    np.testing.assert_allclose(np.linalg.inv(first) @ second, MOTION, atol=1e-9)
    rotation = first[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)


def test_the_space_of_three_scans_favors_none():
    maps = midpoint.midpoint_maps([MOTION, FURTHER])
    assert np.abs(sum(np.real(linalg.logm(matrix)) for matrix in maps)).max() < 1e-8
    np.testing.assert_allclose(np.linalg.inv(maps[1]) @ maps[2], FURTHER, atol=1e-9)
    steps = [np.linalg.inv(FURTHER), np.linalg.inv(MOTION)]
    for matrix, other in zip(maps, reversed(midpoint.midpoint_maps(steps)), strict=True):
        np.testing.assert_allclose(matrix, other, atol=1e-8)


def test_the_grid_contains_the_brains_of_all_scans():
    brain = nib.Nifti1Image(np.pad(np.ones((20, 30, 10), np.uint8), 3), np.diag([2, 2, 4, 1]))
    maps = midpoint.midpoint_maps([MOTION])
    target = midpoint.midpoint_grid([brain, brain], maps)
    voxels = np.argwhere(np.asarray(brain.dataobj) > 0)
    for matrix in maps:
        inside = apply_affine(np.linalg.inv(target.affine) @ matrix @ brain.affine, voxels)
        assert inside.min() >= 9 and (np.array(target.shape) - inside).min() >= 9
    assert np.allclose(nib.affines.voxel_sizes(target.affine), midpoint.SPACING_MM)


def test_transforms_move_images_with_the_points(tmp_path):
    paths = tmp_path / "to.mat", tmp_path / "from.mat"
    midpoint.write_maps(MOTION, *paths)
    np.testing.assert_allclose(transforms.point_matrix(paths[1]), MOTION, atol=1e-5)
    np.testing.assert_allclose(transforms.point_matrix(paths[0]) @ MOTION, np.eye(4), atol=1e-5)
    mask = np.zeros((60, 60, 60), np.uint8)
    mask[20:28, 30:36, 25:35] = 1
    img = nib.Nifti1Image(mask, np.eye(4))
    moved = transforms.apply(img, img, paths[:1], "mask")
    centers = [np.argwhere(np.asarray(part.dataobj)).mean(0) for part in (img, moved)]
    np.testing.assert_allclose(centers[1], apply_affine(MOTION, centers[0]), atol=0.3)


def test_the_metric_leaves_the_lesion_out():
    brain = nib.Nifti1Image(np.pad(np.ones((8, 8, 8), np.uint8), 12), np.diag([2, 2, 2, 1]))
    lesion = np.zeros(brain.shape, np.uint8)
    lesion[14:17, 14:17, 14:17] = 1
    region = metric_region(brain, image.like(lesion, brain)).get_fdata()
    assert region[13, 13, 13] == 1 and region[15, 15, 15] == 0
    assert region[8, 15, 15] == 1 and region[5, 15, 15] == 0, "the margin has 10 mm"


def scan(lesion_mm, moved, inverted=False):
    """Return the template's brain at 3 mm, moved, with a ball as lesion (radius in mm)."""
    target = templates.template()
    t1w = grid.regrid(target.t1w, (3, 3, 3))
    brain = image.like(t1w.get_fdata() > 0.1, t1w, np.uint8)
    points = apply_affine(t1w.affine, np.moveaxis(np.indices(t1w.shape), 0, -1))
    lesion = np.linalg.norm(points - (-30, 0, 20), axis=-1) < lesion_mm
    data = t1w.get_fdata() / t1w.get_fdata().max()
    data = np.where(lesion, 0.1, 0.9 * data * (1 - data) * 4 if inverted else data)
    images = {"img": data.astype(np.float32), "brain": brain.get_fdata(), "lesion": lesion}
    shifted = {
        name: nib.Nifti1Image(values.astype(np.float32), moved @ t1w.affine)
        for name, values in images.items()
    }
    return midpoint.Scan(
        **{
            name: grid.resample(img, t1w, order=1 if name == "img" else 0)
            for name, img in shifted.items()
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("inverted", [False, True], ids=["same contrast", "another contrast"])
def test_registration_is_symmetric_and_ignores_lesions(inverted):
    """The lesion of the second session is large and absent in the first."""
    scans = scan(0, np.eye(4)), scan(28, MOTION, inverted)
    step, disagreement = midpoint.register_pair(*scans)
    points = np.random.default_rng(0).uniform(-45, 45, (200, 3))
    errors = np.linalg.norm(apply_affine(step @ MOTION, points) - points, axis=1)
    assert errors.max() < 0.6 and 0 < disagreement < 0.6
    swapped, _ = midpoint.register_pair(*scans[::-1])
    np.testing.assert_allclose(swapped @ step, np.eye(4), atol=1e-6)
