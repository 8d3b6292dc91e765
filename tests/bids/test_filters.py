"""Filters apply to images and lesion masks by the same rules."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_stroke.bids import filters
from bids_stroke.bids.layout import Images
from bids_stroke.errors import UsageError

#: Entities in the file names.
NAMES = ("run-01", "run-2", "acq-a_run-10", "acq-01_echo-01", "", "ce-gd_rec-norm", "acq-1_run-003")

FILTERS = [
    ({}, {0, 1, 2, 3, 4, 5, 6}),
    ({"run": 1}, {0}),
    ({"run": "1"}, {0}),
    ({"run": "01"}, {0}),
    ({"run": [1, 2]}, {0, 1}),
    ({"run": ["01", "3"]}, {0, 6}),
    ({"run": [1, None]}, {0, 3, 4, 5}),
    ({"run": None}, {3, 4, 5}),
    ({"run": []}, {0, 1, 2, 3, 4, 5, 6}),
    ({"acquisition": "a"}, {2}),
    ({"acq": "a"}, {2}),
    ({"acq": "A"}, set()),
    ({"acq": "1"}, {6}),
    ({"acq": 1}, {6}),
    ({"acq": ["a", None], "run": None}, {4, 5}),
    ({"echo": 1}, {3}),
    ({"echo": "1"}, {3}),
    ({"ceagent": "gd", "rec": "norm"}, {5}),
]


@pytest.mark.parametrize(("values", "expected"), FILTERS)
def test_images_and_masks_are_filtered_by_the_same_rules(tmp_path, values, expected):
    stems = [f"sub-01_{name}_" if name else "sub-01_" for name in NAMES]
    (tmp_path / "sub-01/anat").mkdir(parents=True)
    for stem in stems:
        img = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
        nib.save(img, tmp_path / f"sub-01/anat/{stem}T1w.nii.gz")
    images = Images(tmp_path, filters={"t1w": values}).of_contrast("T1w", "01", None)
    of_images = {n for n, stem in enumerate(stems) if f"{stem}T1w.nii.gz" in {p.name for p in images}}
    masks = [Path(f"{stem}label-L_mask.nii") for stem in stems]
    of_masks = {n for n, mask in enumerate(masks) if not filters.mismatches(mask, values)}
    assert of_images == of_masks == expected


def test_mismatched_entities_are_reported():
    path = Path("sub-01_run-02_desc-a_mask.nii")
    assert filters.mismatches(path, {"run": [1, 3], "desc": "b", "hemi": "L", "acq": None}) == [
        "run-02 is not [1, 3]",
        "desc-a is not b",
        "no hemi- is not L",
    ]


def test_entities_of_masks():
    filters.check_mask_filter({"hemi": "L", "acquisition": "a", "acq": "a", "desc": None})
    with pytest.raises(UsageError, match="color"):
        filters.check_mask_filter({"color": "red"})


@pytest.mark.parametrize(
    ("chosen", "other", "values", "expected"),
    [
        ("run-2_T1w.nii", "run-01_T1w.nii", {}, {"run": 1}),
        ("acq-a_T1w.nii", "T1w.nii", {}, {"acquisition": None}),
        ("run-2_T1w.nii", "acq-b_T1w.nii", {}, {"acquisition": "b", "run": None}),
        ("acq-a_run-2_T1w.nii", "acq-a_run-1_T1w.nii", {"acq": "a"}, {"acquisition": "a", "run": 1}),
    ],
)
def test_the_filter_that_chooses_another_file(chosen, other, values, expected):
    text = filters.suggestion("T1w", Path(f"sub-1_{chosen}"), Path(f"sub-1_{other}"), values)
    assert json.loads(text) == {"t1w": expected}


def test_no_filter_distinguishes_two_formats():
    assert filters.suggestion("T1w", Path("sub-1_T1w.nii"), Path("sub-1_T1w.nii.gz"), {}) is None
