"""Prepared heads: tissues and template coordinates."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from nilearn.datasets import load_mni152_template

from bids_stroke.errors import DatasetError, UsageError
from bids_stroke.training.simulation import subject_preparation, subjects

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """The template's brain, shifted and stored with a flipped first axis."""
    img = load_mni152_template(resolution=2)
    shift = np.eye(4)
    shift[:3, 3] = (6, -9, 4)
    flip = nib.Nifti1Image(img.get_fdata(dtype=np.float32), shift @ img.affine).as_reoriented(
        [[0, -1], [1, 1], [2, 1]]
    )
    folder = tmp_path_factory.mktemp("brain")
    path = folder / "template_T1w.nii.gz"
    nib.save(flip, path)
    return subjects.load_subject(path, folder / "cache"), folder / "cache", path


def test_template_coordinates_of_a_shifted_template(moved):
    subject = moved[0]
    shape = subject.template.shape[1:]
    nodes = np.stack(
        np.meshgrid(*[np.arange(n) * subject_preparation.NODES for n in shape], indexing="ij"), -1
    )
    inside = subject.mask[tuple(np.minimum(nodes, np.array(subject.mask.shape) - 1).astype(int).T)].T
    expected = apply_affine(subject.affine, nodes) - (6, -9, 4)
    error = np.linalg.norm(np.moveaxis(subject.template, 0, -1) - expected, axis=-1)[inside]
    assert np.median(error) < 1
    assert np.percentile(error, 95) < 3


def test_tissues_of_a_brain(moved):
    subject = moved[0]
    ml = np.bincount(subject.tissue.ravel(), minlength=len(subject_preparation.TISSUES)) / 1000
    volumes = dict(zip(subject_preparation.TISSUES, ml, strict=True))
    # The ranges are wide, because the average of many brains has no sharp border of white matter.
    assert 400 < volumes["white"] < 1000
    assert 400 < volumes["cortex"] < 1400
    assert 5 < volumes["ventricle"] < 80
    assert not subject.tissue[~subject.mask].any()
    assert np.all(np.diff(subject.levels) > 0)
    white = subject.t1w[subject.tissue == subject_preparation.TISSUES.index("white")]
    assert np.median(white) == pytest.approx(subject_preparation.WHITE, rel=0.02)


def test_prepared_subjects_are_read_from_the_cache(moved):
    subject, cache, path = moved
    path.unlink()
    cached = subjects.load_subject(path, cache)
    for name in ("tissue", "mask", "t1w", "template", "affine"):
        np.testing.assert_array_equal(getattr(cached, name), getattr(subject, name))


def test_cropped_lesions_keep_their_position(tmp_path):
    data = np.zeros((20, 20, 20), np.uint8)
    data[3:6, 10:12, 15:19] = 1
    affine = np.diag([-2.0, 2, 2, 1])
    nib.save(nib.Nifti1Image(data, affine), tmp_path / "lesion.nii.gz")
    lesion = subjects.load_lesion(tmp_path / "lesion.nii.gz")
    assert lesion.volume == pytest.approx(data.sum() * 8 / 1000)
    cropped = apply_affine(lesion.affine, np.argwhere(lesion.data))
    expected = apply_affine(affine, np.argwhere(data))
    np.testing.assert_allclose(np.sort(cropped, 0), np.sort(expected, 0), atol=1e-5)
    nib.save(nib.Nifti1Image(data * 0, affine), tmp_path / "empty.nii.gz")
    assert subjects.load_lesion(tmp_path / "empty.nii.gz") is None


def test_label_maps_must_have_voxels_of_one_millimeter(tmp_path):
    labels = nib.Nifti1Image(np.full((25, 25, 25), 507, np.int16), np.diag([2.0, 2, 2, 1]))
    nib.save(labels, tmp_path / "labels.nii.gz")
    with pytest.raises(DatasetError, match="voxels of 2×2×2 mm; resample it to 1 mm"):
        subjects.load_subject(tmp_path / "labels.nii.gz", tmp_path)


def test_the_error_names_a_folder_without_scans(tmp_path):
    with pytest.raises(UsageError, match=str(tmp_path)):
        subjects.find_scans([tmp_path])
