"""Tests of the comparison of grids, of bounding boxes and of resampling."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import from_matvec
from scipy import ndimage

from bids_stroke.spatial import grid


def shifted(mm, shape=(20, 30, 25), axis=2):
    """Return a grid of 1×1×3 mm, shifted along an axis."""
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[axis, 3] += mm
    return grid.blank(shape, affine)


@pytest.mark.parametrize(
    ("mm", "same", "fitted"),
    [
        (0, True, True),
        (0.09, True, True),
        (0.11, False, True),
        (0.49, False, True),
        (0.51, False, False),
        (np.nan, False, False),
    ],
)
@pytest.mark.parametrize("axis", [0, 2])
def test_grids_that_differ_by_rounding_are_equal(axis, mm, same, fitted):
    assert grid.same_grid(shifted(mm, axis=axis), shifted(0)) == same
    assert grid.same_grid(shifted(mm, axis=axis), shifted(0), grid.FIT_TOLERANCE_VOXELS) == fitted


def test_grids_that_differ_at_a_corner_or_in_shape_are_not_equal():
    stretched = np.diag([1.006, 1.0, 3.0, 1.0])  # 0.11 mm at the far side
    assert not grid.same_grid(grid.blank((20, 30, 25), stretched), shifted(0))
    assert not grid.same_grid(shifted(0, (20, 30, 26)), shifted(0))


def test_axes_are_compared_in_stored_order():
    img = shifted(0, (20, 20, 20))
    reoriented = img.as_reoriented(nib.orientations.axcodes2ornt("LAS"))
    assert not grid.same_grid(reoriented, img)


def test_arrays_on_the_same_grid_need_no_interpolation():
    data = np.random.default_rng(0).integers(0, 9, (20, 30, 25)).astype(np.uint8)
    img = nib.Nifti1Image(data, shifted(0.49).affine)
    assert np.array_equal(grid.resample(img, shifted(0), order=0).dataobj, data)


@pytest.mark.parametrize("margin", [0, 2, (0, 1, 100)])
def test_bounding_box(margin):
    mask = np.zeros((12, 9, 7), bool)
    mask[1, 4, 2] = mask[9, 5, 3] = True
    box = grid.bounding_box(mask, margin)
    inside_box = np.zeros_like(mask)
    inside_box[box] = True
    expected = np.ones_like(mask)
    tight_box = ndimage.find_objects(mask.astype(np.uint8))[0]
    for axis, (side, width) in enumerate(zip(tight_box, np.broadcast_to(margin, 3), strict=True)):
        index = np.arange(mask.shape[axis])
        inside = (index >= side.start - width) & (index < side.stop + width)
        expected &= inside.reshape([-1 if n == axis else 1 for n in range(3)])
    assert np.array_equal(inside_box, expected)
    assert all(side.start >= 0 and side.stop <= n for side, n in zip(box, mask.shape, strict=True))


@pytest.mark.parametrize("offset", [(0, 0, 0), (2, -1, 3), (-9, 0, 0), (0, 8, 0), (0, 0, 3.9999)])
@pytest.mark.parametrize(("order", "cval"), [(0, -1), (1, 0)])
def test_voxels_that_coincide_are_copied(offset, order, cval):
    """As by interpolation, between grids of any extent, including those that do not overlap."""
    affine = from_matvec(np.diag([-2.0, 3, 1.5]), [5, -7, 9])
    data = np.random.default_rng(0).integers(0, 99, (6, 7, 8)).astype(np.int16)
    img = nib.Nifti1Image(data, affine)
    reference = grid.blank((5, 8, 7), affine @ from_matvec(np.eye(3), offset))
    moved = grid.resample(img, reference, order, cval)
    assert moved.get_data_dtype() == (np.int16 if order == 0 else np.float32)
    nearly = grid.blank(reference.shape, reference.affine @ from_matvec(np.eye(3), [0.002, 0, 0]))
    interpolated = grid.resample(img, nearly, order, cval)
    np.testing.assert_allclose(moved.get_fdata(), interpolated.get_fdata(), atol=0.3)
