from pathlib import Path

import numpy as np
import pytest

from bids_stroke.bids import names
from bids_stroke.bids.names import Name, derivative, description_of
from bids_stroke.bids.sessions import Session


def test_entities_are_in_bids_order():
    name = derivative(
        "sub-01_ses-1",
        "mask",
        desc="T1lesion",
        label="L",
        res="1",
        seg="s",
        atlas="a",
        space="T1w",
    )
    assert name == ("sub-01_ses-1_space-T1w_atlas-a_seg-s_res-1_label-L_desc-T1lesion_mask.nii.gz")


def test_an_entity_without_value_is_omitted():
    assert derivative("sub-01", "morph", ".tsv", space=None, desc="x") == ("sub-01_desc-x_morph.tsv")


def test_an_unknown_entity_is_an_error():
    with pytest.raises(ValueError, match="spaces"):
        derivative("sub-01", "mask", spaces="T1w")


@pytest.mark.parametrize(
    "contrasts, expected",
    [
        (("T1w",), "T1lesion"),
        (("FLAIR",), "FLAIRlesion"),
        (("T1w", "FLAIR"), "T1FLAIRlesion"),
        (("T1w", "FLAIR", "T2w"), "T1FLAIRT2lesion"),
    ],
)
def test_the_description_contains_the_contrasts(contrasts, expected):
    assert description_of(contrasts) == expected


def test_session_names_and_folders():
    session = Session("01", "a", {}, "T1w")
    assert (session.name, session.folder) == ("sub-01_ses-a", Path("sub-01/ses-a/anat"))
    unnumbered = Session("01", None, {}, "T1w")
    assert (unnumbered.name, unnumbered.folder) == ("sub-01", Path("sub-01/anat"))


@pytest.mark.parametrize(
    "file, session_name",
    [
        ("sub-01_ses-a_space-T1w_label-L_mask.nii.gz", "sub-01_ses-a"),
        ("sub-01_T1w.nii", "sub-01"),
        ("case7_mask.nii.gz", ""),
    ],
)
def test_the_session_of_a_file(file, session_name):
    assert Name.parse(Path("/out/sub-99") / file).session_name == session_name


@pytest.mark.parametrize("session_name", ["sub-01", "sub-01_ses-a"])
def test_the_parts_of_the_name_of_a_session(session_name):
    assert names.join_session_name(*names.split_session_name(session_name)) == session_name


def test_names_of_related_files():
    path = Path("/out/sub-01_space-T1w_label-L_mask.nii.gz")
    assert names.with_suffix(path, "probseg").name == "sub-01_space-T1w_label-L_probseg.nii.gz"
    assert names.sidecar_of(path) == Path("/out/sub-01_space-T1w_label-L_mask.json")


def test_numbers_are_sorted_by_value():
    runs = ["run-10", "run-2", "run-1"]
    assert sorted(runs, key=names.natural_key) == ["run-1", "run-2", "run-10"]
    assert names.natural_key(np.nan) == ""


@pytest.mark.parametrize(
    "file, space, label",
    [
        ("atlas-My_space-MNI152NLin6Asym_dseg.nii.gz", "MNI152NLin6Asym", "My"),
        ("left v1.2_space-MNI152NLin6Asym.nii.gz", "MNI152NLin6Asym", "leftv12"),
        ("space-MNI152NLin6Asym.nii", "MNI152NLin6Asym", "map"),
    ],
)
def test_maps_need_no_bids_names(file, space, label):
    assert (names.space_of(file), names.label_of(file)) == (space, label)
