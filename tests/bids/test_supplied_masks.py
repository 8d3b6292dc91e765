import gzip
from pathlib import Path

import pytest

from bids_stroke.bids import supplied_masks


@pytest.mark.parametrize(
    "name, space",
    [
        # BIDS and fMRIPrep.
        ("sub-01_label-L_mask.nii.gz", None),
        ("sub-01_label-lesion_roi.nii.gz", None),
        ("sub-01_space-orig_label-L_mask.nii", None),
        ("sub-01_space-T1w_label-L_desc-manual_mask.nii.gz", "T1w"),
        ("sub-01_T1w_label-lesion_roi.nii.gz", "T1w"),
        ("sub-01_ses-a_space-FLAIR_label-L_dseg.nii.gz", "FLAIR"),
        ("sub-01_label-L_desc-FLAIRlesion_mask.nii.gz", "FLAIR"),
        ("sub-01_space-MNI152NLin6Asym_T1w_label-lesion_roi.nii.gz", "MNI152NLin6Asym"),
        # ATLAS v2.0, ARC, SOOP.
        (
            "sub-r001s001_ses-1_space-MNI152NLin2009aSym_label-L_desc-T1lesion_mask.nii.gz",
            "MNI152NLin2009aSym",
        ),
        ("sub-M2265_ses-849_acq-spc3p2_run-10_T2w_desc-lesion_mask.nii.gz", "T2w"),
        ("sub-1_space-TRACE_desc-lesion_mask.nii.gz", "TRACE"),
        ("sub-1_space-ADC_label-L_mask.nii.gz", "ADC"),
        ("sub-strokecase0001_ses-0001_msk.nii.gz", "TRACE"),
        ("sub-1_space-TRACE_desc-lesionAcute_mask.nii.gz", "TRACE"),
    ],
)
def test_names_of_masks(name, space):
    mask = supplied_masks.parse_lesion_mask(Path("/masks") / name)
    assert mask.space == space
    assert mask.in_template == (space or "").startswith("MNI")


@pytest.mark.parametrize(
    "name",
    [
        "sub-01_desc-brain_mask.nii.gz",
        "sub-01_label-GM_probseg.nii.gz",
        "sub-01_label-L_probseg.nii.gz",
        "sub-01_label-L_T1w.nii.gz",
        "sub-01_dseg.nii.gz",
        "sub-01_T1w.nii.gz",
        "group_label-L_mask.nii.gz",
    ],
)
def test_names_of_other_files(name):
    assert supplied_masks.parse_lesion_mask(Path(name)) is None


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def test_find(tmp_path):
    soop = "sub-1/dwi/sub-1_space-TRACE_desc-lesion{}_mask.nii.gz"
    touch(
        tmp_path,
        *(soop.format(kind) for kind in ("Acute", "Chronic", "")),
        "sub-2/ses-b/anat/sub-2_ses-b_label-L_mask.nii.gz",
        "R001/sub-3/anat/sub-3_label-L_mask.nii",  # participants in site folders
        "out/sub-4/anat/sub-4_label-L_desc-T1lesion_mask.nii.gz",
        "derivatives/other/sub-5/anat/sub-5_label-L_mask.nii.gz",
        ".git/annex/sub-6_label-L_mask.nii.gz",
        "sub-7/anat/sub-7_label-L_mask.json",
    )
    masks_by_session = supplied_masks.find_lesion_masks(tmp_path, (tmp_path / "out",))
    assert masks_by_session.keys() == {("1", None), ("2", "b"), ("3", None)}
    assert [mask.entities["desc"] for mask in masks_by_session["1", None]] == [
        "lesion",
        "lesionAcute",
        "lesionChronic",
    ]


def test_the_image_that_a_mask_belongs_to():
    mask = supplied_masks.parse_lesion_mask(Path("sub-1_acq-spc3_run-10_T2w_desc-lesion_mask.nii.gz"))
    assert mask.belongs_to("sub-1_acq-spc3_run-10_T2w.nii.gz")
    assert not mask.belongs_to("sub-1_acq-spc3_run-1_T2w.nii.gz")
    assert not mask.belongs_to("sub-1_run-10_T2w.nii.gz")
    general = supplied_masks.parse_lesion_mask(Path("sub-1_space-T2w_label-L_mask.nii.gz"))
    assert general.belongs_to("sub-1_acq-spc3_run-10_T2w.nii.gz")


def test_all_masks_of_a_large_cohort(shared, tmp_path):
    with gzip.open(shared / "skeletons/ds004884_files.txt.gz", "rt") as lines:
        paths = [line.strip() for line in lines if "lesion_masks" in line]
    touch(tmp_path, *paths)
    masks_by_session = supplied_masks.find_lesion_masks(tmp_path / "derivatives/lesion_masks")
    masks = [mask for several in masks_by_session.values() for mask in several]
    assert len(masks) == len([path for path in paths if path.endswith(".nii.gz")]) == 228
    assert {mask.space for mask in masks} == {"T2w"}
    (mask,) = masks_by_session["M2265", "849"]
    assert mask.belongs_to("sub-M2265_ses-849_acq-spc3p2_run-10_T2w.nii.gz")
    # Other derivatives are not searched from the root of the dataset.
    assert supplied_masks.find_lesion_masks(tmp_path) == {}
