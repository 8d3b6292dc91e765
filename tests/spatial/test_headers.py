"""Tests of headers: stated and assumed orientation, voxel offset, shears and data types."""

import nibabel as nib
import numpy as np
import pytest

from bids_stroke.errors import ImageError
from bids_stroke.spatial import grid, headers, image, masks

SHAPE, ZOOMS = (40, 50, 45), (2.0, 3.0, 4.0)
#: World coordinates are (index - (side - 1) / 2) * zoom: the center of the image is the origin.
CORNER_RAS = (-39.0, -73.5, -88.0)


def write_without_orientation(folder, name="x.nii.gz", kind=nib.Nifti1Image):
    """Write a noise image without qform and sform codes; its first voxel is 1000."""
    data = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    data[0, 0, 0] = 1000
    img = kind(data, None)
    img.header.set_zooms(ZOOMS)
    nib.save(img, folder / name)
    assert not nib.load(folder / name).header["qform_code"]
    return folder / name


READERS = [image.check_header, image.load, image.load_supplied, image.load_scan]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_image_without_orientation_is_refused(tmp_path, read):
    path = write_without_orientation(tmp_path)
    with pytest.raises(ImageError, match=r"no orientation .* use --assume-orientation") as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [image.load_supplied, image.load_scan, image.open_image])
@pytest.mark.parametrize("orientation", ["RAS", "LAS"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_assumed_orientation_defines_the_affine(tmp_path, kind, orientation, read):
    img = read(write_without_orientation(tmp_path, kind=kind), orientation)
    assert "".join(nib.aff2axcodes(img.affine)) == orientation
    x, y, z = CORNER_RAS
    expected = (x if orientation == "RAS" else -x, y, z)
    np.testing.assert_allclose(img.affine @ [0, 0, 0, 1], [*expected, 1])
    # Files written from the image state the orientation, in the axis order of the raw image.
    conformed = image.conform(img)
    image.save(image.restore(conformed, img), tmp_path / "restored.nii.gz")
    image.save(conformed, tmp_path / "conformed.nii.gz")
    for name in ("restored", "conformed"):
        written = image.load(tmp_path / f"{name}.nii.gz")
        voxel = np.unravel_index(np.argmax(written.dataobj), SHAPE)
        np.testing.assert_allclose(written.affine @ [*voxel, 1], [*expected, 1])
    assert image.load(tmp_path / "restored.nii.gz").get_fdata()[0, 0, 0] == 1000


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (2, 4)])
def test_stated_orientation_is_not_replaced(tmp_path, codes):
    affine = np.diag([-2.0, 3, 4, 1])
    affine[:3, 3] = 10, 20, 30
    img = nib.Nifti1Image(np.zeros(SHAPE, np.uint8), None)
    img.set_qform(affine, codes[0])
    img.set_sform(affine, codes[1])
    nib.save(img, tmp_path / "x.nii.gz")
    np.testing.assert_allclose(image.load_supplied(tmp_path / "x.nii.gz", "RAS").affine, affine)
    assert headers.orientation_warning(tmp_path / "x.nii.gz", "RAS") is None


def test_contradictory_qform_and_sform_are_reported(tmp_path):
    img = nib.Nifti1Image(np.zeros(SHAPE, np.uint8), np.diag([*ZOOMS, 1]))
    shifted = img.affine.copy()
    shifted[0, 3] = 1.5
    img.set_qform(shifted, 1)
    nib.save(img, tmp_path / "x.nii.gz")
    assert "up to 1.5 mm apart" in headers.orientation_warning(tmp_path / "x.nii.gz")


# Voxel offset


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_voxels_that_start_inside_the_header_are_refused(tmp_path, kind, name):
    raw = bytearray(kind(np.ones(SHAPE, np.int16), np.eye(4)).to_bytes())
    if kind is nib.Nifti1Image:
        raw[108:112] = np.float32(0).tobytes()
    else:
        raw[168:176] = np.int64(0).tobytes()
    path = tmp_path / name
    with nib.openers.Opener(path, "wb") as stream:
        stream.write(bytes(raw))
    for read in READERS:
        with pytest.raises(ImageError, match="vox_offset is 0, but voxels start at byte"):
            read(path)


# Shears


def test_sheared_affine_has_no_qform(tmp_path):
    affine = np.array([[2.0, 0.5, 0, -40], [0, 3, 0, -70], [0, 0.4, 4, -80], [0, 0, 0, 1]])
    reference = nib.Nifti1Image(np.zeros(SHAPE, np.uint8), affine)
    assert (
        grid.largest_distance(SHAPE, reference.get_qform(), affine) > 8
    )  # a qform cannot represent it
    image.save(image.like(np.zeros(SHAPE), reference, np.uint8), tmp_path / "x.nii.gz")
    written = nib.load(tmp_path / "x.nii.gz")
    assert written.header["qform_code"] == 0 and written.header["sform_code"] > 0
    np.testing.assert_allclose(written.affine, affine)


def test_oblique_affine_keeps_its_qform():
    affine = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.2, 0.1, -0.3) @ np.diag(ZOOMS))
    img = image.like(np.zeros(SHAPE), nib.Nifti1Image(np.zeros(SHAPE, np.uint8), affine), np.uint8)
    assert img.header["qform_code"] > 0


# Data types


@pytest.mark.parametrize(
    ("dtype", "written"),
    [
        (np.int64, np.int32),
        (np.uint64, np.int32),
        (">f8", np.float64),
        (">i2", np.int16),
        (np.uint32, np.uint32),
    ],
)
def test_every_data_type_can_be_written_again(tmp_path, dtype, written):
    data = np.zeros(SHAPE, dtype)
    data[3, 4, 5] = 7
    header = nib.Nifti1Header(endianness=">") if isinstance(dtype, str) else None
    img = nib.Nifti1Image(data, np.eye(4), header, dtype=np.dtype(dtype))
    nib.save(img, tmp_path / "x.nii.gz")
    loaded = image.load(tmp_path / "x.nii.gz")
    assert np.asanyarray(loaded.dataobj).dtype == np.dtype(written)
    for img in (loaded, image.like(loaded.dataobj, loaded)):
        image.save(img, tmp_path / "y.nii.gz")
        assert nib.load(tmp_path / "y.nii.gz").get_data_dtype().newbyteorder("=") == written
        assert np.array_equal(nib.load(tmp_path / "y.nii.gz").get_fdata(), data)


def test_integers_beyond_32_bits_are_kept():
    data = image.to_storable(np.array([0, 2**40]))
    assert data.dtype == np.float64 and data.tolist() == [0, 2**40]


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.uint8])
def test_brain_mask_of_any_data_type_is_fitted(tmp_path, dtype):
    img = nib.Nifti1Image(np.zeros(SHAPE, np.float32), np.diag([*ZOOMS, 1]))
    data = np.zeros(SHAPE, dtype)
    data[5:30, 5:30, 5:30] = 1
    nib.save(nib.Nifti1Image(data, img.affine, dtype=dtype), tmp_path / "x.nii.gz")
    fitted = masks.fit_brain_mask(image.load_supplied(tmp_path / "x.nii.gz"), img)
    assert fitted.get_data_dtype() == np.uint8 and np.array_equal(fitted.dataobj, data)
