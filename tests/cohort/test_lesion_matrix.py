"""Lesion masks on the 2 mm grid of the template."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine

from bids_stroke.cohort.lesion_matrix import read_lesions, template_2mm
from bids_stroke.errors import ImageError
from bids_stroke.spatial.templates import template


def save(path, *balls, reverse=False):
    """Write a mask of balls (center and radius in mm) on the grid of the template."""
    grid = template().t1w
    data = np.zeros(grid.shape, np.uint8)
    for center, radius in balls:
        start = np.rint(apply_affine(np.linalg.inv(grid.affine), center)).astype(int) - 15
        box = np.moveaxis(np.indices((31, 31, 31)), 0, -1) + start
        inside = np.linalg.norm(apply_affine(grid.affine, box) - center, axis=-1) <= radius
        data[tuple(box[inside].T)] = 1
    affine = grid.affine
    if reverse:  # the same mask, stored in another order
        data, affine = data[:, ::-1], affine @ np.diag([1, -1, 1, 1])
        affine[:3, 3] = apply_affine(grid.affine, [0, grid.shape[1] - 1, 0])
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """Masks of a left, a right and a bilateral lesion, and an empty one."""
    folder = tmp_path_factory.mktemp("masks")
    return [
        save(folder / "left.nii.gz", ((-30.0, -10, 20), 11)),
        save(folder / "right.nii.gz", ((31.0, -12.5, 18), 6)),
        save(folder / "both.nii.gz", ((-20.0, 0, 0), 5), ((41.0, 3, 3), 7)),
        save(folder / "empty.nii.gz"),
    ]


def coordinates(matrix, row):
    """World coordinates of the lesioned voxels of a participant."""
    voxels = matrix.lesions.tocsr()[[row]].indices
    return apply_affine(matrix.grid.affine, np.transpose(np.unravel_index(voxels, matrix.grid.shape)))


def test_the_grid_is_symmetric_and_covers_the_template():
    grid = template_2mm()
    x = grid.affine[0, 0] * np.arange(grid.shape[0]) + grid.affine[0, 3]
    np.testing.assert_array_equal(x, -x[::-1])
    np.testing.assert_allclose(np.abs(grid.affine[:3, :3]), 2 * np.eye(3))
    brain = template().brain
    corners = apply_affine(brain.affine, np.argwhere(np.asanyarray(brain.dataobj)))
    inside = apply_affine(np.linalg.inv(grid.affine), corners)
    assert (inside > -0.5).all() and (inside < np.array(grid.shape) - 0.5).all()


def test_lesions_keep_their_volume_and_place(masks):
    matrix = read_lesions(masks, [False] * 4)
    assert matrix.lesions.shape == (4, np.prod(matrix.grid.shape))
    assert set(matrix.lesions.data) == {1.0}
    for row, path in enumerate(masks):
        mask = nib.load(path)
        points = np.argwhere(np.asanyarray(mask.dataobj))
        ml = 0.008 * len(coordinates(matrix, row))
        assert ml == pytest.approx(0.001 * len(points), abs=0.0045)
        if len(points):
            center = apply_affine(mask.affine, points).mean(axis=0)
            np.testing.assert_allclose(coordinates(matrix, row).mean(axis=0), center, atol=0.2)


def test_mirrored_lesions_are_the_mirror_image(masks):
    """The voxels are those of the lesion, mirrored about x = 0."""
    straight = read_lesions(masks, [False] * 4)
    mirrored = read_lesions(masks, [False, True, False, True])
    for row in (0, 2, 3):
        np.testing.assert_array_equal(coordinates(mirrored, row), coordinates(straight, row))
    expected = coordinates(straight, 1) * (-1, 1, 1)
    result = coordinates(mirrored, 1)
    assert set(map(tuple, result)) == set(map(tuple, expected)) and len(result) == len(expected)
    assert (coordinates(straight, 1)[:, 0] > 0).all() and (result[:, 0] < 0).all()


def test_the_order_of_storage_does_not_matter(masks, tmp_path):
    reverse = save(tmp_path / "reverse.nii.gz", ((-30.0, -10, 20), 11), reverse=True)
    matrix = read_lesions([masks[0], reverse], [False, False])
    np.testing.assert_array_equal(coordinates(matrix, 0), coordinates(matrix, 1))


def test_images_of_voxels(masks):
    matrix = read_lesions(masks[:2], [False, False])
    voxels = matrix.lesions.tocsr()[[1]].indices
    img = matrix.image(np.arange(1, len(voxels) + 1, dtype=np.float32), voxels, fill=-1)
    data = img.get_fdata()
    assert img.get_data_dtype() == np.float32 and img.shape == matrix.grid.shape
    np.testing.assert_array_equal(img.affine, matrix.grid.affine)
    assert data.ravel()[voxels].tolist() == list(range(1, len(voxels) + 1))
    assert np.count_nonzero(data == -1) == data.size - len(voxels)
    inside = apply_affine(img.affine, np.argwhere(data > 0))
    np.testing.assert_array_equal(inside, coordinates(matrix, 1))


def test_no_lesion_at_all(masks):
    matrix = read_lesions(masks[3:] * 2, [False, True])
    assert matrix.lesions.shape[0] == 2 and matrix.lesions.nnz == 0


def test_a_mask_that_cannot_be_read(tmp_path):
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(b"x")
    with pytest.raises(ImageError, match=r"mask.nii.gz"):
        read_lesions([path], [False])
