"""Tests of loading, saving, reorienting, resampling and standardizing images."""

import gzip
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.orientations import aff2axcodes
from scipy.spatial.transform import Rotation

from bids_stroke.errors import ImageError
from bids_stroke.spatial import image
from bids_stroke.spatial.grid import fit_to_grid, regrid, resample, voxel_volume
from bids_stroke.utils import files

ORIENTATIONS = [
    "".join(letters[i] for i in order)
    for order in permutations(range(3))
    for letters in product("RL", "AP", "SI")
]


def affine_of(orientation, degrees=(0, 0, 0), zooms=(1.0, 2.0, 3.0)):
    """Return an affine with the axis codes ``orientation``, rotated by angles about x, y and z."""
    axes = nib.orientations.axcodes2ornt(tuple(orientation))
    affine = np.eye(4)
    affine[:3, :3] = 0
    for voxel_axis, (world_axis, sign) in enumerate(axes):
        affine[int(world_axis), voxel_axis] = sign * zooms[voxel_axis]
    affine[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() @ affine[:3, :3]
    affine[:3, 3] = -31.25, 12.5, 7.75
    return affine


def random_image(shape=(5, 6, 7), affine=None, seed=0):
    data = np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)
    return nib.Nifti1Image(data, np.eye(4) if affine is None else affine)


def write(tmp_path, array, affine=None, name="x.nii.gz"):
    path = tmp_path / name
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


# Load


def test_load_keeps_voxels_affine_and_name(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    affine = affine_of("LPS")
    img = image.load(write(tmp_path, array, affine))
    assert np.array_equal(img.dataobj, array)
    assert np.array_equal(img.affine, affine)
    assert img.get_filename() == str(tmp_path / "x.nii.gz")


def test_load_drops_a_trailing_axis_of_length_one(tmp_path):
    img = image.load(write(tmp_path, np.ones((2, 3, 4, 1), np.float32)))
    assert img.shape == (2, 3, 4)
    saved = nib.load(image.save(img, tmp_path / "y.nii.gz"))
    assert saved.shape == (2, 3, 4)


def test_load_accepts_an_empty_mask(tmp_path):
    assert not image.load(write(tmp_path, np.zeros((2, 3, 4), np.uint8))).get_fdata().any()


def missing(folder):
    return folder / "missing.nii.gz"


def truncated_gzip(folder):
    path = write(folder, np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32))
    path.write_bytes(path.read_bytes()[:5000])
    return path


def truncated_nifti(folder):
    path = write(folder, np.ones((20, 20, 20), np.float32), name="x.nii")
    path.write_bytes(path.read_bytes()[:5000])
    return path


def empty_file(folder):
    (folder / "x.nii.gz").touch()
    return folder / "x.nii.gz"


def annex_pointer(folder):
    (folder / "x.nii.gz").write_text("/annex/objects/SHA256E-s123")
    return folder / "x.nii.gz"


def compressed_text(folder):
    (folder / "x.nii.gz").write_bytes(gzip.compress(b"words " * 100))
    return folder / "x.nii.gz"


def directory(folder):
    (folder / "x.nii.gz").mkdir()
    return folder / "x.nii.gz"


def four_axes(folder):
    return write(folder, np.ones((2, 2, 2, 2), np.float32))


def two_axes(folder):
    return write(folder, np.ones((4, 4), np.float32))


def with_nan(folder):
    return write(folder, np.full((2, 2, 2), np.nan, np.float32))


def with_infinity(folder):
    return write(folder, np.full((2, 2, 2), -np.inf, np.float32))


def rgb(folder):
    pixels = np.zeros((2, 2, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    return write(folder, pixels)


def complex_numbers(folder):
    return write(folder, np.ones((2, 2, 2), np.complex64))


def singular_affine(folder):
    img = nib.Nifti1Image(np.ones((2, 2, 2), np.float32), None)
    img.header.set_sform(np.diag([1.0, 1.0, 0.0, 1.0]), 1)
    nib.save(img, folder / "x.nii.gz")
    return folder / "x.nii.gz"


def nan_affine(folder):
    img = nib.Nifti1Image(np.ones((2, 2, 2), np.float32), None)
    img.header.set_sform(np.full((4, 4), np.nan), 1)
    nib.save(img, folder / "x.nii.gz")
    return folder / "x.nii.gz"


@pytest.mark.parametrize(
    "make, words",
    [
        (missing, "does not exist"),
        (truncated_gzip, "cannot be read"),
        (truncated_nifti, "cannot be read"),
        (empty_file, "cannot be read"),
        (annex_pointer, "has no content here; get it with datalad get x.nii.gz"),
        (compressed_text, "cannot be read"),
        (directory, "cannot be read"),
        (four_axes, r"shape \(2, 2, 2, 2\)"),
        (two_axes, r"shape \(4, 4\)"),
        (with_nan, "NaN"),
        (with_infinity, "infinite"),
        (rgb, "one real number"),
        (complex_numbers, "one real number"),
        (singular_affine, "affine"),
        (nan_affine, "affine"),
    ],
)
def test_unusable_file_is_reported_in_one_line(tmp_path, make, words):
    path = make(tmp_path)
    with pytest.raises(ImageError, match=words) as caught:
        image.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [missing, empty_file, annex_pointer, compressed_text, directory, four_axes, rgb, singular_affine],
)
def test_header_check_and_loading_report_the_same_error(tmp_path, make):
    path = make(tmp_path)
    messages = []
    for check in (image.check_header, image.load_scan):
        with pytest.raises(ImageError) as caught:
            check(path)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def write_head(folder, name="x.nii.gz"):
    """Write a noise image of the size of a head."""
    data = np.random.default_rng(0).normal(size=(40, 40, 40)).astype(np.float32)
    return write(folder, data, np.diag([4.0, 4, 4, 1]), name)


def flip_bit(path):
    """Flip one bit of uncompressed voxels in a gzip file, which only the checksum detects."""
    content = bytearray(gzip.compress(gzip.decompress(path.read_bytes()), 0))
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def test_header_is_checked_without_the_voxels(tmp_path):
    path = write_head(tmp_path)
    flip_bit(path)
    image.check_header(path)
    path.write_bytes(path.read_bytes()[:-5000])
    image.check_header(path)
    with pytest.raises(ImageError, match="cannot be read as an image"):
        image.load_scan(path)


def test_damaged_scan_is_refused(tmp_path):
    path = write_head(tmp_path)
    expected = image.load(path)
    scan = image.load_scan(path)
    assert np.array_equal(scan.dataobj, expected.dataobj) and scan.header == expected.header
    assert scan.get_filename() == str(path)
    flip_bit(path)
    np.asarray(image.open_image(path).dataobj)  # nibabel does not read the checksum
    for load in (image.load, image.load_supplied, image.load_scan):
        with pytest.raises(ImageError, match=r"x\.nii\.gz is damaged .*; copy it again"):
            load(path)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_scan_is_decompressed_once(tmp_path, name, monkeypatch):
    path, sizes = write_head(tmp_path, name), []
    read = gzip._GzipReader.read

    def counted(stream, size=-1):
        block = read(stream, size)
        sizes.append(len(block))
        return block

    monkeypatch.setattr(gzip._GzipReader, "read", counted)
    img = image.load_scan(path)
    assert sum(sizes) < 1.5 * img.dataobj.nbytes


# Save


def test_atomic_keeps_the_previous_file_on_an_error(tmp_path):
    path = tmp_path / "deep" / "x.txt"
    with pytest.raises(KeyError), files.atomic(path) as partial:
        partial.write_text("half")
        raise KeyError
    assert list(path.parent.iterdir()) == []
    path.write_text("old")
    with pytest.raises(KeyError), files.atomic(path) as partial:
        partial.write_text("half")
        raise KeyError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_atomic_replaces_the_file_at_the_end(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with path.open() as reader:
        with files.atomic(path) as partial:
            partial.write_text("new")
            assert partial.name == path.name
        assert reader.read() == "old"  # replaced, not overwritten
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (2, 4), (1, 1)])
def test_like_keeps_the_affine_of_the_reference(tmp_path, codes):
    affine = affine_of("PSR", (10, -20, 5), (0.9, 1.1, 1.3))
    reference = nib.Nifti1Image(np.zeros((5, 6, 7), np.int16), None)
    reference.set_qform(affine, codes[0])
    reference.set_sform(affine, codes[1])
    nib.save(reference, tmp_path / "reference.nii.gz")
    reference = nib.load(tmp_path / "reference.nii.gz")
    img = image.like(np.ones((5, 6, 7)), reference, np.float32)
    assert np.array_equal(img.affine, reference.affine)
    image.save(img, tmp_path / "x.nii.gz")
    saved = nib.load(tmp_path / "x.nii.gz")
    # NIfTI stores quaternions in single precision.
    np.testing.assert_allclose(saved.affine, reference.affine, rtol=0, atol=1e-5)
    np.testing.assert_allclose(saved.get_qform(), reference.affine, rtol=0, atol=1e-5)
    if codes[1]:
        assert np.array_equal(saved.affine, reference.affine)
    assert saved.get_data_dtype() == np.float32
    assert saved.header.get_xyzt_units()[0] == "mm"


# Orientation


@pytest.mark.parametrize("degrees", [(0, 0, 0), (17, -8, 11)], ids=["straight", "oblique"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_restore_is_the_inverse_of_conform(orientation, degrees):
    original = random_image(affine=affine_of(orientation, degrees))
    conformed = image.conform(original)
    assert aff2axcodes(conformed.affine) == ("R", "A", "S")
    # The world coordinates of voxels are unchanged.
    voxel = np.array([4, 1, 2])
    moved = apply_affine(np.linalg.inv(conformed.affine) @ original.affine, voxel)
    assert conformed.dataobj[tuple(np.round(moved).astype(int))] == original.dataobj[tuple(voxel)]
    np.testing.assert_allclose(moved, np.round(moved), atol=1e-5)

    restored = image.restore(conformed, original)
    assert np.array_equal(restored.dataobj, original.dataobj)
    assert np.array_equal(restored.affine, original.affine)
    assert restored.shape == original.shape


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


# Resample


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_resample_to_the_same_grid_changes_nothing(order, seed):
    rng = np.random.default_rng(seed)
    affine = affine_of("LPS", rng.uniform(-20, 20, 3), rng.uniform(0.5, 3, 3))
    img = random_image((9, 10, 11), affine)
    moved = resample(img, img, order)
    np.testing.assert_allclose(moved.get_fdata(), img.get_fdata(), atol=1e-3)


def test_resample_by_a_known_shift():
    img = random_image((5, 6, 7), np.diag([2.0, 2.0, 2.0, 1.0]))
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = 2, 0, -4  # one voxel along x, two back along z
    moved = resample(img, nib.Nifti1Image(np.zeros((5, 6, 7), np.uint8), affine), cval=-1)
    data, expected = img.get_fdata(), np.full((5, 6, 7), -1.0)
    expected[:4, :, 2:] = data[1:, :, :5]
    np.testing.assert_allclose(moved.get_fdata(), expected, atol=1e-5)
    assert np.array_equal(moved.affine, affine)


def test_resample_interpolates_between_orientations():
    ramp = nib.Nifti1Image(np.zeros((8, 8, 8), np.float32), affine_of("LPI", (5, 10, 15)))
    world = apply_affine(ramp.affine, np.moveaxis(np.indices(ramp.shape), 0, -1))
    ramp = image.like((world @ [1, 2, 3]).astype(np.float32), ramp)
    grid = affine_of("SAR", (0, 0, 0), (0.5, 0.5, 0.5))
    grid[:3, 3] = apply_affine(ramp.affine, (3, 3, 3))
    reference = nib.Nifti1Image(np.zeros((4, 5, 6), np.uint8), grid)
    moved = resample(ramp, reference).get_fdata()
    expected = apply_affine(grid, np.moveaxis(np.indices((4, 5, 6)), 0, -1)) @ [1, 2, 3]
    np.testing.assert_allclose(moved, expected, atol=1e-3)


def test_resample_of_labels_creates_no_new_labels():
    labels = np.random.default_rng(0).choice([0, 3, 250], (6, 6, 6)).astype(np.uint8)
    img = nib.Nifti1Image(labels, np.eye(4))
    rotated = nib.Nifti1Image(np.zeros((6, 6, 6), np.uint8), affine_of("RAS", (20, 10, 30)))
    moved = resample(img, rotated, order=0)
    assert moved.get_data_dtype() == np.uint8
    assert set(np.unique(moved.dataobj)) <= {0, 3, 250}


# Regrid


@pytest.mark.parametrize(
    "shape, zooms, spacing",
    [
        ((20, 24, 10), (1, 1, 4), (2, 2, 2)),
        ((10, 12, 14), (2, 2, 2), (1, 1, 1)),
        ((20, 30, 15), (0.9, 1.2, 1.5), (1.8, 0.6, 1.5)),
    ],
)
def test_regrid_keeps_the_corners_and_a_ramp(shape, zooms, spacing):
    affine = affine_of("RAS", (3, -7, 11), zooms)
    world = apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    img = nib.Nifti1Image((world @ [1, -2, 0.5]).astype(np.float32), affine)
    fine = regrid(img, spacing)
    np.testing.assert_allclose(voxel_sizes(fine.affine), spacing, rtol=1e-5)
    for low in product((0, 1), repeat=3):
        corners = [
            apply_affine(grid.affine, np.array(low) * np.array(grid.shape) - 0.5)
            for grid in (img, fine)
        ]
        np.testing.assert_allclose(*corners, atol=1e-3)
    # Excluding the rim, where extrapolation is constant.
    expected = apply_affine(fine.affine, np.moveaxis(np.indices(fine.shape), 0, -1)) @ [1, -2, 0.5]
    inner = (slice(4, -4),) * 3
    np.testing.assert_allclose(fine.get_fdata()[inner], expected[inner], atol=0.02)


def test_regrid_fills_the_field_of_view():
    slab = nib.Nifti1Image(np.ones((6, 6, 4), np.float32), np.diag([1.0, 1.0, 5.0, 1.0]))
    assert (regrid(slab, (1, 1, 1)).get_fdata() == 1).all()
    assert (regrid(slab, (2, 2, 2)).get_fdata() == 1).all()


def test_regrid_smooths_only_for_coarser_voxels():
    checkers = np.indices((16, 16, 16)).sum(0).astype(np.float32) % 2
    coarse = regrid(nib.Nifti1Image(checkers, np.eye(4)), (4, 4, 4)).get_fdata()
    np.testing.assert_allclose(coarse, 0.5, atol=0.01)
    same = regrid(nib.Nifti1Image(checkers, np.eye(4)), (1, 1, 1)).get_fdata()
    np.testing.assert_allclose(same, checkers, atol=1e-5)


# Measurements


def test_voxel_volume_of_a_sheared_grid():
    affine = np.array([[2.0, 1, 0, 5], [0, 3, 0, 5], [0, 0, -4, 5], [0, 0, 0, 1]])
    assert voxel_volume(nib.Nifti1Image(np.zeros((2, 2, 2)), affine)) == pytest.approx(24)


def test_zscore_of_known_values():
    data = np.array([1.0, 3.0, 5.0, 1000.0]).reshape(4, 1, 1)
    scores = image.zscore(data, data < 100)
    # Mean 3, standard deviation sqrt(8/3).
    np.testing.assert_allclose(scores.ravel(), [-1.2247449, 0, 1.2247449, 0], atol=1e-6)
    assert scores.dtype == np.float32


@pytest.mark.parametrize("value", [0, 0.1, 1000.1, 123456.7])
def test_zscore_of_a_constant_image_is_refused(value):
    # In single precision, the mean of equal values differs from the values.
    with pytest.raises(ImageError):
        image.zscore(np.full((50, 50, 50), value), np.ones((50, 50, 50)))


def test_zscore_in_an_empty_mask_is_refused():
    with pytest.raises(ImageError):
        image.zscore(np.arange(8.0).reshape(2, 2, 2), np.zeros((2, 2, 2)))


# User-supplied masks


def test_mask_whose_grid_differs_by_rounding_is_fitted():
    affine = np.diag([0.9, 0.9, 1.2, 1.0])
    affine[:3, 3] = -80, -100, -60
    img = nib.Nifti1Image(np.zeros((20, 30, 25), np.float32), affine)
    data = np.zeros(img.shape, np.uint8)
    data[3, 5, 7] = 1
    rounded = affine.copy()
    rounded[0, 0] += 0.01  # 0.19 mm at the far side
    rounded[:3, 3] += 0.05
    for axes in ("RAS", "LPI", "SPR"):
        mask = nib.Nifti1Image(data, rounded)
        transform = nib.orientations.ornt_transform(
            nib.io_orientation(rounded), nib.orientations.axcodes2ornt(axes)
        )
        fitted = fit_to_grid(mask.as_reoriented(transform), img)
        assert np.array_equal(fitted.dataobj, data)
        np.testing.assert_array_equal(fitted.affine, affine)


@pytest.mark.parametrize(
    "shape, shift, words",
    [
        ((20, 30, 25), 0.6, "up to 0.6 mm apart"),
        ((20, 30, 26), 0, r"20×30×26 voxels of 1×1×1 mm versus 20×30×25 voxels of 1×1×1 mm"),
    ],
)
def test_mask_of_another_image_is_refused(shape, shift, words):
    img = nib.Nifti1Image(np.zeros((20, 30, 25), np.float32), np.eye(4))
    affine = np.eye(4)
    affine[0, 3] = shift
    mask = nib.Nifti1Image(np.zeros(shape, np.uint8), affine)
    mask.set_filename("mask.nii.gz")
    with pytest.raises(ImageError, match=words) as caught:
        fit_to_grid(mask, img, "sub-01_T1w.nii.gz")
    assert "mask.nii.gz" in str(caught.value) and "sub-01_T1w.nii.gz" in str(caught.value)
