"""Tests of lesion filling with tissue of the other hemisphere, which leaves other voxels unchanged."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine, from_matvec
from nibabel.eulerangles import euler2mat
from scipy import ndimage

from bids_stroke.spatial import grid, image, templates
from bids_stroke.spatial.lesion_filling import RIM_MM, fill_lesion

ants = pytest.importorskip("ants")
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
IDENTITY = np.eye(4)
CENTER = np.array([-36.0, -12.0, 20.0])


@pytest.fixture(scope="module")
def head():
    """Return the symmetric template at 2 mm with a bright shell as skull, its brain mask, and the world
    coordinates of its voxels."""
    t1w = grid.regrid(templates.template().t1w, (2, 2, 2))
    brain = t1w.get_fdata() > 0.1
    shell = ndimage.binary_dilation(brain, iterations=5) & ~ndimage.binary_dilation(brain, iterations=2)
    data = np.where(shell, 1.5, np.where(brain, t1w.get_fdata(), 0.02)).astype(np.float32)
    points = apply_affine(t1w.affine, np.moveaxis(np.indices(t1w.shape), 0, -1))
    return nib.Nifti1Image(data, t1w.affine), brain, points


def ball(points, center, radius):
    return np.linalg.norm(points - center, axis=-1) < radius


def write_transforms(folder, motion):
    """Write the transforms to the template and back for a head that is the template moved by
    ``motion``."""
    paths = []
    # ITK maps points of the fixed image: a transform of images to the template maps points from it.
    for name, points in (("to", motion), ("from", np.linalg.inv(motion))):
        matrix = LPS @ points @ LPS
        affine = ants.create_ants_transform(
            transform_type="AffineTransform",
            dimension=3,
            parameters=[*matrix[:3, :3].ravel(), *matrix[:3, 3]],
            fixed_parameters=[0.0, 0.0, 0.0],
        )
        paths.append(folder / f"{name}.mat")
        ants.write_transform(affine, str(paths[-1]))
    return paths


def fill(folder, data, affine, brain, lesion, motion=IDENTITY):
    """Fill a lesion that is a hole in the data; return the filling and the data with the hole."""
    lesioned = np.where(lesion, 0.05, data).astype(np.float32)
    masks = (nib.Nifti1Image(mask.astype(np.uint8), affine) for mask in (brain, lesion))
    paths = write_transforms(folder, motion)
    return fill_lesion(nib.Nifti1Image(lesioned, affine), *masks, *paths), lesioned


def test_symmetric_head_is_restored(head, tmp_path):
    img, brain, points = head
    lesion = ball(points, CENTER, 18)
    intact = img.get_fdata()
    filling, lesioned = fill(tmp_path, intact, img.affine, brain, lesion)
    filled = filling.img.get_fdata()
    np.testing.assert_allclose(filled[lesion], intact[lesion], atol=0.03)
    far = ndimage.distance_transform_edt(~lesion, (2, 2, 2)) >= RIM_MM
    np.testing.assert_array_equal(filled[far], lesioned[far])
    np.testing.assert_array_equal(filled[~brain & ~lesion], lesioned[~brain & ~lesion])
    assert filling.mirrored_mm3 == pytest.approx(8 * lesion.sum(), rel=1e-3)
    assert filling.interpolated_mm3 == pytest.approx(0, abs=8)


def test_tilted_and_stretched_head(head, tmp_path):
    """The mirror plane is that of the template, independent of the position in the scanner."""
    img, brain, points = head
    motion = from_matvec(euler2mat(*np.deg2rad((7, -6, 9))) @ np.diag([1.08, 0.95, 1.04]), (11, -8, 6))
    lesion = ball(points, CENTER, 18)
    intact = img.get_fdata()
    filling, _ = fill(tmp_path, intact, motion @ img.affine, brain, lesion, motion)
    np.testing.assert_allclose(filling.img.get_fdata()[lesion], intact[lesion], atol=0.03)


def test_intensity_is_matched_around_the_lesion(head, tmp_path):
    """Intensities rise by a third from left to right: unmatched, the mirrored tissue is off by 17%."""
    img, brain, points = head
    lesion = ball(points, CENTER, 18)
    intact = img.get_fdata() * (1 + points[..., 0] / 420)
    filling, _ = fill(tmp_path, intact, img.affine, brain, lesion)
    filled = filling.img.get_fdata()
    other = intact[::-1]
    assert np.mean(other[lesion] / intact[lesion]) == pytest.approx(1.19, abs=0.02)
    assert np.mean(filled[lesion] / intact[lesion]) == pytest.approx(1, abs=0.02)
    # There is no seam: differences between neighbors across the border are those of the intact head.
    border = ndimage.binary_dilation(lesion) & ~ndimage.binary_erosion(lesion) & brain
    steps = [np.abs(np.diff(data, axis=1))[border[:, 1:]].mean() for data in (filled, intact)]
    assert steps[0] == pytest.approx(steps[1], rel=0.1)


def test_bilateral_lesion_is_filled_with_local_means(head, tmp_path):
    img, brain, points = head
    left, right = ball(points, CENTER, 18), ball(points, CENTER * (-1, 1, 1) + (0, 12, 0), 18)
    lesion = left | right
    both = lesion & lesion[::-1]
    filling, _ = fill(tmp_path, img.get_fdata(), img.affine, brain, lesion)
    assert filling.mirrored_mm3 + filling.interpolated_mm3 == pytest.approx(8 * lesion.sum())
    # Near a lesion of the other hemisphere, tissue has a weight below 1.
    grown = lesion & (ndimage.distance_transform_edt(~lesion[::-1], (2, 2, 2)) < RIM_MM)
    assert 8 * both.sum() <= filling.interpolated_mm3 <= 8 * grown.sum()
    tissue = np.percentile(img.get_fdata()[brain], (10, 90))
    filled = filling.img.get_fdata()[both]
    assert tissue[0] < filled.min() and filled.max() < tissue[1]


def test_lesion_across_the_midline(head, tmp_path):
    """The part whose mirror image is also lesioned is interpolated; the rest is mirrored."""
    img, brain, points = head
    lesion = ball(points, (-9, 20, 22), 18) & brain
    both = lesion & lesion[::-1]
    intact = img.get_fdata()
    filling, _ = fill(tmp_path, intact, img.affine, brain, lesion)
    filled = filling.img.get_fdata()
    assert filled[both].min() > 0.2 * np.median(intact[brain])
    unilateral = lesion & (ndimage.distance_transform_edt(~lesion[::-1], (2, 2, 2)) > RIM_MM)
    np.testing.assert_allclose(filled[unilateral], intact[unilateral], atol=0.05)


def test_image_without_lesion_is_unchanged(head, tmp_path):
    img, brain, _ = head
    filling, lesioned = fill(tmp_path, img.get_fdata(), img.affine, brain, np.zeros(img.shape, bool))
    np.testing.assert_array_equal(filling.img.get_fdata(), lesioned)
    assert filling[1:] == (0, 0)


def test_thick_slices(head, tmp_path):
    """With slices of 6 mm, no voxel outside the lesion is within the rim in the slice direction."""
    img, brain, _ = head
    coarse = grid.regrid(img, (2, 2, 6))
    mask = grid.resample(image.like(brain, img, np.float32), coarse).get_fdata() > 0.5
    points = apply_affine(coarse.affine, np.moveaxis(np.indices(coarse.shape), 0, -1))
    lesion = ball(points, CENTER, 18) & mask
    intact = coarse.get_fdata()
    filling, _ = fill(tmp_path, intact, coarse.affine, mask, lesion)
    np.testing.assert_allclose(filling.img.get_fdata()[lesion], intact[lesion], atol=0.03)
