"""Tests of the binarization of masks, and of resampling that keeps their volume and position."""

import ants
import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy import ndimage

from bids_stroke.errors import ImageError
from bids_stroke.spatial import grid, image, masks, template_transforms, templates, transforms

# Binarization


def write(folder, values, dtype=np.float64, slope=None):
    """Write an image with the given stored values, and the slope of its header."""
    img = nib.Nifti1Image(np.array(values, dtype).reshape(-1, 1, 1), np.eye(4), dtype=dtype)
    if slope:
        img.header.set_slope_inter(slope, 0)
    path = folder / "mask.nii"
    nib.save(img, path)
    if slope:  # undo the scaling by nibabel
        raw = bytearray(path.read_bytes())
        raw[112:116] = np.float32(slope).tobytes()
        size = np.dtype(dtype).itemsize * len(values)
        raw[-size:] = np.array(values, dtype).tobytes()
        path.write_bytes(bytes(raw))
    return path


@pytest.mark.parametrize(
    ("values", "dtype", "slope", "inside"),
    [
        ([0, 100, 128, 255], np.uint8, 1 / 255, [0, 0, 1, 1]),  # the maximum is 1.00000006
        ([0, 0.4, 0.6, 1.0000001], np.float64, None, [0, 0, 1, 1]),
        ([-0.13, 0.49, 0.51, 1.31], np.float32, None, [0, 0, 1, 1]),  # from a cubic spline
        ([0, 49, 50, 100], np.uint8, 0.01, [0, 0, 1, 1]),  # 50 is stored as 0.4999999888
        ([0, 49, 50, 50], np.uint8, 0.01, [0, 0, 1, 1]),
        ([0, 255, 0, 255], np.uint8, 1 / 255, [0, 1, 0, 1]),
        ([0, 255, 0, 255], np.uint8, None, [0, 1, 0, 1]),
        ([0, 100, 0, 100], np.int16, None, [0, 1, 0, 1]),
        ([0, 1, 2, 20], np.int64, None, [0, 1, 1, 1]),
        ([0, 1e-9, 1, 2], np.float32, None, [0, 0, 1, 1]),
        ([0, 0, 0, 0], np.float32, None, [0, 0, 0, 0]),
    ],
)
def test_binarize(tmp_path, values, dtype, slope, inside):
    mask = masks.binarize(image.load(write(tmp_path, values, dtype, slope)))
    assert mask.get_data_dtype() == np.uint8
    assert np.ravel(mask.dataobj).tolist() == inside


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0, 12, 50, 100], r"labels 12, 50, 100; .*percentages by 1/100"),  # percent
        ([0, 12.5, 50, 99.5], r"from 0 to 99.5, but probabilities range from 0 to 1"),
        (list(range(256)), "labels 1, 2, 3, 4, 5 and 250 more up to 255"),  # gray values
        ([0, 0.2, 0.3], "from 0 to 0.3, so no voxel reaches 0.5"),
        ([0, 1 / 255], "no voxel reaches 0.5"),
        ([0, -1, 1], "negative value -1"),
        ([-0.9, 0.2, 0.8], "from -0.9 to 0.8, but"),
        ([0, 3.7], "from 0 to 3.7, but"),
    ],
)
def test_image_that_is_not_a_mask_is_refused_with_its_values(tmp_path, values, words):
    with pytest.raises(ImageError, match=words) as caught:
        masks.binarize(image.load(write(tmp_path, values)))
    assert str(tmp_path / "mask.nii") in str(caught.value)


def test_several_labels_are_refused_unless_merged():
    img = nib.Nifti1Image(np.array([0, 1, 2], np.uint8).reshape(3, 1, 1), np.eye(4))
    with pytest.raises(ImageError, match="labels 1, 2"):
        masks.binarize(img, several_labels=False)


# Resampling

CENTER = (-24.0, -18.0, 24.0)
#: Voxel sizes (mm) of the grid of a mask, and its shift (mm) relative to the grid of the template.
GRIDS = {
    "2 to 1 mm, aligned centers": ((2, 2, 2), 0),
    "2 to 1 mm, aligned faces": ((2, 2, 2), 0.5),
    "1.5 to 1 mm": ((1.5, 1.5, 1.5), 0),
    "1.5 to 1 mm, shifted": ((1.5, 1.5, 1.5), 0.5),
    "1 to 1 mm, shifted by half": ((1, 1, 1), 0.5),
    "0.5 to 1 mm": ((0.5, 0.5, 0.5), 0.25),
    "thick slices": ((1, 1, 5), 0.5),
}


def sphere(radius, zooms, shift=0.0, side=80):
    """Return a sphere on a grid around it, optionally shifted relative to the grid of the template."""
    affine = np.diag([*map(float, zooms), 1])
    affine[:3, 3] = np.floor(CENTER) - side // 2 + shift
    shape = [int(side / zoom) for zoom in zooms]
    points = apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    inside = np.linalg.norm(points - CENTER, axis=-1) <= radius
    return nib.Nifti1Image(inside.astype(np.uint8), affine)


def volume_ml(mask):
    return np.count_nonzero(mask.dataobj) * grid.voxel_volume(mask) / 1000


def center(mask):
    return apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj))).mean(0)


def resample_with_ants(mask, reference, folder):
    path = folder / "identity.mat"
    ants.write_transform(ants.create_ants_transform("AffineTransform", dimension=3), str(path))
    return transforms.apply(mask, reference, [path], "mask")


#: Methods of resampling masks.
METHODS = {
    "grid": lambda mask, reference, _: masks.resample_mask(mask, reference),
    "ANTs": resample_with_ants,
    "template": lambda mask, _, __: template_transforms.mask_to_template(mask, templates.TEMPLATE),
}


@pytest.fixture(scope="module")
def reference():
    return templates.template_grid()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", GRIDS)
def test_volume_and_position_are_kept_at_any_offset(reference, tmp_path, name, method):
    mask = sphere(6, *GRIDS[name])
    moved = METHODS[method](mask, reference, tmp_path)
    assert moved.shape == reference.shape and np.array_equal(moved.affine, reference.affine)
    assert volume_ml(moved) == pytest.approx(volume_ml(mask), rel=0.01)
    np.testing.assert_allclose(center(moved), center(mask), atol=0.1)


@pytest.mark.parametrize("shift", [0, 0.3, 0.5, 1])
@pytest.mark.parametrize("method", ["grid", "ANTs"])
def test_resampling_from_1_to_2_mm(tmp_path, shift, method):
    mask, coarse = sphere(12, (1, 1, 1)), sphere(12, (2, 2, 2), shift)
    moved = METHODS[method](mask, coarse, tmp_path)
    assert volume_ml(moved) == pytest.approx(volume_ml(mask), rel=0.01)
    np.testing.assert_allclose(center(moved), center(mask), atol=0.15)


def test_mask_on_the_same_grid_is_unchanged(reference, tmp_path):
    mask = masks.resample_mask(sphere(9, (1, 1, 1)), reference)
    for resample in METHODS.values():
        assert np.array_equal(resample(mask, reference, tmp_path).dataobj, mask.dataobj)


def test_oblique_grid(reference):
    mask = sphere(12, (2, 2, 2))
    rotation = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.2, -0.1, 0.3))
    mask = nib.Nifti1Image(mask.dataobj, rotation @ mask.affine)
    moved = masks.resample_mask(mask, reference)
    assert volume_ml(moved) == pytest.approx(volume_ml(mask), rel=0.01)
    np.testing.assert_allclose(center(moved), center(mask), atol=0.1)


def test_small_lesions_beside_a_large_lesion_are_kept(reference):
    mask = sphere(20, (1, 1, 1), 0.5)
    data = np.asarray(mask.dataobj).copy()
    data[2, 2, 2] = data[70, 5, 5] = 1
    moved = masks.resample_mask(nib.Nifti1Image(data, mask.affine), reference)
    labels, count = ndimage.label(moved.dataobj)
    sizes = sorted(np.bincount(labels.ravel())[1:])
    assert count == 3 and sizes[:2] == [1, 1]


def test_half_covered_voxels_are_distributed_evenly():
    fraction = np.zeros((24, 24, 24))
    fraction[6:18, 6:18, 6:18] = 0.5
    fraction[7:17, 7:17, 7:17] = 1
    mask = masks.from_fractions(fraction)
    assert mask.sum() == round(fraction.sum())
    for axis in range(3):
        faces = [np.take(mask, index, axis).sum() for index in (6, 17)]
        assert abs(faces[0] - faces[1]) < 0.15 * sum(faces)


@pytest.mark.parametrize("shape", [(3, 3, 3), (5, 9, 2), (16, 16, 16)])
def test_volume_is_the_sum_of_fractions(shape):
    fraction = np.random.default_rng(0).uniform(0, 1, shape)
    assert masks.from_fractions(fraction).sum() == pytest.approx(fraction.sum(), abs=0.51)


def test_empty_mask_stays_empty(reference):
    empty = sphere(0.1, (2, 2, 2), 0.5)
    assert not np.any(masks.resample_mask(empty, reference).dataobj)
