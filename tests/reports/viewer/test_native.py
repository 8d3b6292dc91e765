"""Grid of the drawing page: cropping, black voxels, axis order and headers."""

from itertools import product

import nibabel as nib
import numpy as np
import oriented
import pytest
from scipy import ndimage

from bids_stroke.reports.viewer.layers import MARGIN_MM
from bids_stroke.reports.viewer.native import drawing_field, mask_header, near_brain, stored_order
from bids_stroke.spatial import image

ORDERS = ["".join(letters) for letters in product("LR", "AP", "IS")] + ["PSR", "SAL"]


@pytest.mark.parametrize("axes", ORDERS)
def test_positions_in_the_file(axes):
    img = oriented.reference(axes, tilt=0.3)
    numbers = np.arange(np.prod(img.shape)).reshape(img.shape, order="F")
    canonical = nib.as_closest_canonical(image.like(numbers, img, np.int32))
    box = (slice(2, 9), slice(3, 20), slice(1, 8))
    first, (x, y, z) = stored_order(img, box)
    i, j, k = np.indices((7, 17, 7))
    assert (first + i * x + j * y + k * z == np.asanyarray(canonical.dataobj)[box]).all()


def test_the_image_is_cropped_but_not_resampled():
    img = oriented.reference("PSR", tilt=0.2)
    brain = np.zeros(img.shape, np.uint8)
    brain[12:16, 8:10, 9:12] = 1
    lesion = np.zeros(img.shape, np.uint8)
    lesion[1, 1, 1] = 1  # far from the brain: the drawing must include it
    field = drawing_field(img, image.like(brain, img), image.like(lesion, img))
    canonical = nib.as_closest_canonical(img)
    assert (field.img.get_fdata() == canonical.get_fdata()[field.box]).all()
    assert field.mask.sum() == 1 and field.mask.shape == field.img.shape == field.near.shape
    assert np.asanyarray(field.brain_img.dataobj).sum() == brain.sum()


@pytest.mark.parametrize("zooms", [(1.0, 1.0, 1.0), (0.45, 0.5, 3.0), (0.3, 0.9, 1.2)])
def test_voxels_near_the_brain(zooms):
    shape = (np.array((60, 50, 70)) / zooms).astype(int)
    brain = np.zeros(shape, bool)
    brain[tuple(slice(int(0.4 * side), int(0.6 * side)) for side in shape)] = True
    distance = ndimage.distance_transform_edt(~brain, zooms)
    near = near_brain(brain, np.array(zooms))
    assert distance[near].max() <= MARGIN_MM
    assert near[distance < MARGIN_MM - 3].all()


def test_without_a_brain_mask_all_voxels_are_shown():
    assert near_brain(np.zeros((4, 4, 4), bool), np.ones(3)).all()


def loaded(header, img):
    """Return the image of a mask with a header."""
    return nib.Nifti1Image.from_bytes(header + bytes(int(np.prod(img.shape))))


def test_the_header_is_that_of_the_raw_image(tmp_path):
    raw = oriented.reference("LPS", tilt=0.2)
    raw.header["pixdim"][4:] = 2.5, 0, 0, 0
    raw.header["descrip"] = b"name of the patient"
    raw.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"name of the patient"))
    big = nib.Nifti1Image(raw.dataobj, raw.affine, raw.header.as_byteswapped(">"))
    nib.save(big, tmp_path / "raw.nii.gz")
    img = image.like(np.asanyarray(raw.dataobj), raw, np.float32)
    header = mask_header(img, str(tmp_path / "raw.nii.gz"))
    assert len(header) == 352 and b"patient" not in header
    mask = loaded(header, img)
    assert (mask.header["pixdim"] == raw.header["pixdim"]).all()
    assert (mask.affine == raw.affine).all()
    assert mask.header["sform_code"] == 2 and mask.header["qform_code"] == 1
    assert mask.header.get_xyzt_units() == ("mm", "sec")


def test_a_trailing_axis_of_the_raw_image_is_dropped(tmp_path):
    raw = oriented.reference()
    data = np.asanyarray(raw.dataobj)
    nib.save(nib.Nifti1Image(data[..., None], raw.affine), tmp_path / "raw.nii.gz")
    mask = loaded(mask_header(raw, str(tmp_path / "raw.nii.gz")), raw)
    assert mask.shape == raw.shape and (mask.affine == raw.affine).all()


def test_a_raw_header_without_orientation_is_not_used(tmp_path):
    raw = nib.Nifti1Image(np.zeros((8, 9, 10), np.uint8), None)
    raw.header.set_zooms((20, 21, 22))
    nib.save(raw, tmp_path / "raw.nii.gz")
    raw = nib.load(tmp_path / "raw.nii.gz")
    assert raw.header["sform_code"] == raw.header["qform_code"] == 0
    img = image.like(np.asanyarray(raw.dataobj), raw)  # --assume-orientation LAS
    mask = loaded(mask_header(img, str(tmp_path / "raw.nii.gz")), img)
    assert mask.header["sform_code"] == 1 and (mask.affine == raw.affine).all()


def test_without_a_usable_raw_header_it_is_that_of_the_derivative(tmp_path):
    img = oriented.reference("LPS")
    data = np.asanyarray(img.dataobj)
    moved = img.affine + np.eye(4)[[3, 3, 3, 3]] * 5
    unusable = {
        "moved.nii.gz": nib.Nifti1Image(data, np.where(np.eye(4) > 0, img.affine, moved)),
        "other.nii.gz": nib.Nifti1Image(data[:-1], img.affine),
        "second.nii.gz": nib.Nifti2Image(data, img.affine),
    }
    for name, raw in unusable.items():
        nib.save(raw, tmp_path / name)
    (tmp_path / "damaged.nii.gz").write_bytes(b"no image")
    for name in (*unusable, "damaged.nii.gz", "missing.nii.gz"):
        mask = loaded(mask_header(img, str(tmp_path / name)), img)
        assert (mask.affine == img.affine).all() and mask.header["sform_code"] == 2, name
    assert loaded(mask_header(img, None), img).shape == img.shape
