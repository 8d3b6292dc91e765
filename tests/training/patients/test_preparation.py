"""Datasets in public layouts are prepared as scans on one grid and cached."""

import bidsets
import numpy as np
import pytest
from nibabel.affines import apply_affine

from bids_stroke.errors import DatasetError, UsageError
from bids_stroke.evaluation.metrics import dice
from bids_stroke.training.patients import preparation
from bids_stroke.training.patients.arrays import arrays

pytestmark = pytest.mark.slow

CONTRASTS = ("T1w", "FLAIR", "T2w")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Datasets in the layouts of ATLAS, ARC and SOOP, their patients, messages, and folder."""
    folder = tmp_path_factory.mktemp("cohorts")
    atlas = bidsets.atlas(folder / "atlas", 2)
    datasets = [(atlas, atlas), bidsets.arc(folder / "ds004884"), bidsets.soop(folder / "ds004889")]
    lines = []
    patients = preparation.prepare_patients(
        datasets, CONTRASTS, folder / "cache", "none", report=lines.append
    )
    return datasets, patients, lines, folder


def test_patients_of_every_layout(prepared):
    _, patients, _, _ = prepared
    descriptions = {p.name: (p.subject, p.session, p.site, p.contrasts) for p in patients}
    assert descriptions == {
        "atlas_sub-r001s000_ses-1": ("sub-r001s000", "ses-1", "r001", ("T1w",)),
        "atlas_sub-r002s001_ses-1": ("sub-r002s001", "ses-1", "r002", ("T1w",)),
        "ds004884_sub-M2001_ses-1": ("sub-M2001", "ses-1", "ds004884", ("T1w", "T2w")),
        "ds004889_sub-1": ("sub-1", "n/a", "Greenville", ("T1w", "FLAIR")),
    }
    assert [patient.aligned for patient in patients] == [True, True, False, False]


def test_masks_are_on_the_grid_of_the_reference(prepared):
    for patient in prepared[1]:
        lesion, t1w = patient.load("lesion"), patient.load("T1w")
        assert lesion.shape == t1w.shape == patient.load("brain").shape
        center = apply_affine(lesion.affine, np.argwhere(np.asanyarray(lesion.dataobj)).mean(0))
        np.testing.assert_allclose(center, bidsets.CENTER, atol=3)
        assert patient.lesion_ml == pytest.approx(4 / 3 * np.pi * 1.4**3, rel=0.25)


def test_another_reference(tmp_path):
    """The T1w, the lesion and a user-supplied brain mask of the T1w are on the grid of the FLAIR."""
    shift = (8, 0, 0)
    atlas = bidsets.atlas(tmp_path / "atlas", 1)
    (path,) = atlas.rglob("*_T1w.nii.gz")
    for mask in atlas.rglob("*_mask.nii.gz"):
        mask.rename(mask.with_name("sub-r001s000_ses-1_space-T1w_label-L_mask.nii.gz"))
    t1w = path.rename(path.with_name("sub-r001s000_ses-1_T1w.nii.gz"))
    flair, lesion = bidsets.scan(0, contrast=-1.0, shift=shift)
    bidsets.image.save(flair, t1w.with_name("sub-r001s000_ses-1_FLAIR.nii.gz"))
    brain = t1w.with_name("sub-r001s000_ses-1_space-T1w_desc-brain_mask.nii.gz")
    bidsets.image.save(bidsets.grid(), brain)
    (patient,) = preparation.prepare_patients(
        [(atlas, atlas)], CONTRASTS, tmp_path / "cache", "hd-bet", reference="FLAIR"
    )
    assert set(patient.contrasts) == {"T1w", "FLAIR"}
    for name in ("T1w", "FLAIR", "lesion", "brain"):
        np.testing.assert_allclose(patient.load(name).affine, flair.affine, atol=1e-4)
    mask = np.asanyarray(patient.load("lesion").dataobj) > 0
    assert dice(mask, np.asanyarray(lesion.dataobj) > 0) > 0.8
    inside = np.asanyarray(bidsets.grid().dataobj) > 0
    assert dice(np.asanyarray(patient.load("brain").dataobj) > 0, inside) > 0.9


def test_the_cache_is_used_until_files_change(prepared):
    datasets, patients, _, folder = prepared
    times = {p.name: (p.folder / "T1w.nii.gz").stat().st_mtime_ns for p in patients}
    lesion = next(datasets[2][1].rglob("*_mask.nii.gz"))
    bidsets.image.save(bidsets.scan(2, 20, shift=(8, 0, 0))[1], lesion)
    repeated = preparation.prepare_patients(
        datasets[2:], CONTRASTS, folder / "cache", "none", report=lambda _: None
    )
    preparation.prepare_patients(
        datasets[:1], CONTRASTS, folder / "cache", "none", report=lambda _: None
    )
    assert repeated[0].lesion_ml > 2 * patients[3].lesion_ml
    for patient in patients:
        time = (patient.folder / "T1w.nii.gz").stat().st_mtime_ns
        assert (time == times[patient.name]) == (patient.name != "ds004889_sub-1")


def test_a_damaged_scan_is_reported_and_does_not_stop_the_others(tmp_path):
    atlas = bidsets.atlas(tmp_path / "atlas", 2)
    next(atlas.rglob("*s000*_T1w.nii.gz")).write_bytes(b"broken")
    lines = []
    patients = preparation.prepare_patients(
        [(atlas, atlas)], ("T1w",), tmp_path / "cache", "none", report=lines.append
    )
    assert [patient.subject for patient in patients] == ["sub-r002s001"]
    assert any("s000_ses-1 is left out" in line and "cannot be read" in line for line in lines)


def test_an_unexpected_error_does_not_stop_the_other_patients(tmp_path):
    """A file has the name of the folder of a patient."""
    atlas = bidsets.atlas(tmp_path / "atlas", 2)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/atlas_sub-r001s000_ses-1").write_text("")
    lines = []
    patients = preparation.prepare_patients(
        [(atlas, atlas)], ("T1w",), tmp_path / "cache", "none", report=lines.append
    )
    assert [patient.subject for patient in patients] == ["sub-r002s001"]
    (line,) = (line for line in lines if "left out" in line)
    assert "sub-r001s000_ses-1 is left out: unexpected error NotADirectoryError" in line


def test_datasets_without_a_contrast_of_the_network(tmp_path):
    atlas = bidsets.atlas(tmp_path / "atlas", 1)
    with pytest.raises(DatasetError, match="has a lesion mask and one of FLAIR"):
        preparation.prepare_patients(
            [(atlas, atlas)], ("FLAIR",), tmp_path / "c", "none", report=lambda _: None
        )
    with pytest.raises(UsageError, match="is not a folder"):
        preparation.prepare_patients([(atlas, tmp_path / "none")], ("T1w",), tmp_path / "c", "none")


@pytest.mark.parametrize("space", ["native", bidsets.SPACE])
def test_the_label_on_the_grid_of_a_network_is_where_the_image_is_dark(prepared, space, tmp_path):
    patient = prepared[1][0]
    path = arrays(patient, ("T1w", "FLAIR"), space, [4.0, 4.0, 4.0], tmp_path)
    with np.load(path) as archive:
        image, label, mask = (archive[key] for key in ("image", "label", "mask"))
    assert image.shape[1:] == label.shape == mask.shape
    assert not image[1].any() and not image[:, ~mask].any()
    assert label.sum() * 0.064 == pytest.approx(patient.lesion_ml, rel=0.2)
    assert image[0][label].mean() < -1.5
    assert (space == "native") == (label.shape != bidsets.grid().shape)


def test_datasets_of_the_same_name_are_refused(tmp_path):
    folders = [tmp_path / site / "bids" for site in ("a", "b")]
    with pytest.raises(UsageError, match="Several datasets have the name"):
        preparation.prepare_patients(
            [(folder, folder) for folder in folders], CONTRASTS, tmp_path / "cache", "none"
        )
