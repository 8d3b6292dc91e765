"""Public layouts must become like scans on one grid, once."""

import bidsets
import numpy as np
import pytest
from nibabel.affines import apply_affine

from bids_stroke.errors import DatasetError
from bids_stroke.training.patients import preparation
from bids_stroke.training.patients.arrays import arrays

CONTRASTS = ("T1w", "FLAIR", "T2w")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Patients of imitations of ATLAS, ARC and SOOP, and what was told."""
    folder = tmp_path_factory.mktemp("cohorts")
    atlas = bidsets.atlas(folder / "atlas", 2)
    datasets = [(atlas, atlas), bidsets.arc(folder / "ds004884"), bidsets.soop(folder / "ds004889")]
    lines = []
    gathered = preparation.prepare_patients(
        datasets, CONTRASTS, folder / "cache", "none", report=lines.append
    )
    return datasets, gathered, lines, folder


def test_every_layout_is_found(found):
    _, gathered, _, _ = found
    kept = {one.name: (one.subject, one.session, one.site, one.contrasts) for one in gathered}
    assert kept == {
        "atlas_sub-r001s000_ses-1": ("sub-r001s000", "ses-1", "r001", ("T1w",)),
        "atlas_sub-r002s001_ses-1": ("sub-r002s001", "ses-1", "r002", ("T1w",)),
        "ds004884_sub-M2001_ses-1": ("sub-M2001", "ses-1", "ds004884", ("T1w", "T2w")),
        "ds004889_sub-1": ("sub-1", "n/a", "Greenville", ("T1w", "FLAIR")),
    }
    assert [one.aligned for one in gathered] == [True, True, False, False]


def test_masks_lie_on_the_reference_whatever_they_were_drawn_on(found):
    for one in found[1]:
        lesion, t1w = one.load("lesion"), one.load("T1w")
        assert lesion.shape == t1w.shape == one.load("brain").shape
        center = apply_affine(lesion.affine, np.argwhere(np.asanyarray(lesion.dataobj)).mean(0))
        np.testing.assert_allclose(center, bidsets.CENTER, atol=3)
        assert one.lesion_ml == pytest.approx(4 / 3 * np.pi * 1.4**3, rel=0.25)


def test_what_is_prepared_is_kept_until_its_files_change(found):
    datasets, gathered, _, folder = found
    made = {one.name: (one.folder / "T1w.nii.gz").stat().st_mtime_ns for one in gathered}
    lesion = next(datasets[2][1].rglob("*_mask.nii.gz"))
    bidsets.image.save(bidsets.scan(2, 20, shift=(8, 0, 0))[1], lesion)
    again = preparation.prepare_patients(
        datasets[2:], CONTRASTS, folder / "cache", "none", report=lambda _: None
    )
    preparation.prepare_patients(
        datasets[:1], CONTRASTS, folder / "cache", "none", report=lambda _: None
    )
    assert again[0].lesion_ml > 2 * gathered[3].lesion_ml
    for one in gathered:
        now = (one.folder / "T1w.nii.gz").stat().st_mtime_ns
        assert (now == made[one.name]) == (one.name != "ds004889_sub-1")


def test_a_bad_scan_is_named_and_stops_no_other(tmp_path):
    atlas = bidsets.atlas(tmp_path / "atlas", 2)
    next(atlas.rglob("*s000*_T1w.nii.gz")).write_bytes(b"broken")
    lines = []
    kept = preparation.prepare_patients(
        [(atlas, atlas)], ("T1w",), tmp_path / "cache", "none", report=lines.append
    )
    assert [one.subject for one in kept] == ["sub-r002s001"]
    assert any("s000_ses-1 is left out" in line and "cannot be read" in line for line in lines)


def test_an_unexpected_error_of_one_patient_stops_no_other(tmp_path):
    """A file lies in the place of the folder of a patient."""
    atlas = bidsets.atlas(tmp_path / "atlas", 2)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/atlas_sub-r001s000_ses-1").write_text("")
    lines = []
    kept = preparation.prepare_patients(
        [(atlas, atlas)], ("T1w",), tmp_path / "cache", "none", report=lines.append
    )
    assert [one.subject for one in kept] == ["sub-r002s001"]
    (line,) = (line for line in lines if "left out" in line)
    assert "sub-r001s000_ses-1 is left out: an unexpected error, NotADirectoryError" in line


def test_no_scan_of_the_contrasts(tmp_path):
    atlas = bidsets.atlas(tmp_path / "atlas", 1)
    with pytest.raises(DatasetError, match="has a lesion mask and any of FLAIR"):
        preparation.prepare_patients(
            [(atlas, atlas)], ("FLAIR",), tmp_path / "c", "none", report=lambda _: None
        )
    with pytest.raises(DatasetError, match="is not a folder"):
        preparation.prepare_patients([(atlas, tmp_path / "none")], ("T1w",), tmp_path / "c", "none")


@pytest.mark.parametrize("space", ["native", bidsets.SPACE])
def test_the_lesion_of_a_network_is_where_its_image_is_dark(found, space, tmp_path):
    one = found[1][0]
    path = arrays(one, ("T1w", "FLAIR"), space, [4.0, 4.0, 4.0], tmp_path)
    with np.load(path) as kept:
        image, label, mask = (kept[key] for key in ("image", "label", "mask"))
    assert image.shape[1:] == label.shape == mask.shape
    assert not image[1].any() and not image[:, ~mask].any()
    assert label.sum() * 0.064 == pytest.approx(one.lesion_ml, rel=0.2)
    assert image[0][label].mean() < -1.5
    assert (space == "native") == (label.shape != bidsets.grid().shape)
