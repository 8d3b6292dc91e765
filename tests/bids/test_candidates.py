"""Assignment of files without ``ses-`` to the sessions of a participant."""

import cards
import nibabel as nib
import numpy as np
import pytest

from bids_stroke.bids import discovery

CARD = cards.make(optional=("T1w", "FLAIR"))


def add(root, *names):
    for name in names:
        path = root / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.ones((16, 20, 16), np.uint8), np.diag([12.0, 12, 12, 1])), path)
    return root


def find(root, **more):
    """Names of the images of each session, the skipped sessions, and the sessions."""
    more.setdefault("card", CARD)
    sessions, skipped = discovery.find(root, **more)
    images = {
        session.name: {contrast: path.name for contrast, path in session.images.items()}
        for session in sessions
    }
    by_name = {session.name: session for session in sessions}
    return images, {item.name: item for item in skipped}, by_name


BESIDE = "sub-02/anat/sub-02_{}"
INSIDE = "sub-02/ses-{0}/anat/sub-02_ses-{0}_{1}"


def test_images_without_ses_belong_to_the_only_session(tmp_path):
    add(tmp_path, BESIDE.format("FLAIR"), INSIDE.format(1, "T1w"))
    images, skipped, sessions = find(tmp_path)
    assert images == {
        "sub-02_ses-1": {"T1w": "sub-02_ses-1_T1w.nii.gz", "FLAIR": "sub-02_FLAIR.nii.gz"}
    }
    assert skipped == {}
    assert any("sub-02_FLAIR.nii.gz has no ses-" in n for n in sessions["sub-02_ses-1"].notes)


def test_images_of_the_session_take_precedence(tmp_path):
    add(tmp_path, BESIDE.format("T1w"), INSIDE.format(1, "T1w"))
    images, skipped, sessions = find(tmp_path)
    assert images == {"sub-02_ses-1": {"T1w": "sub-02_ses-1_T1w.nii.gz"}} and skipped == {}
    assert "sub-02_T1w.nii.gz (the session has files of its own)" in map(
        str, sessions["sub-02_ses-1"].unused
    )


def test_images_without_ses_of_several_sessions_are_refused(tmp_path):
    add(tmp_path, BESIDE.format("T1w"), INSIDE.format(1, "T1w"), INSIDE.format(2, "FLAIR"))
    images, skipped, _ = find(tmp_path)
    assert images == {
        "sub-02_ses-1": {"T1w": "sub-02_ses-1_T1w.nii.gz"},
        "sub-02_ses-2": {"FLAIR": "sub-02_ses-2_FLAIR.nii.gz"},
    }
    assert skipped["sub-02"].refused and "sub-02_T1w.nii.gz" in skipped["sub-02"].reason
    # Not reported if a session is requested, or if the files are in .bidsignore.
    assert find(tmp_path, session_label=("1",))[1] == {}
    (tmp_path / ".bidsignore").write_text("sub-02/anat/\n")
    assert find(tmp_path)[1] == {}


def test_images_without_ses_beside_empty_sessions(tmp_path):
    add(tmp_path, BESIDE.format("T1w"))
    for session in "12":
        func = tmp_path / f"sub-02/ses-{session}/func"
        func.mkdir(parents=True)
        (func / f"sub-02_ses-{session}_task-rest_bold.nii.gz").touch()
    images, skipped, _ = find(tmp_path)
    assert images == {"sub-02": {"T1w": "sub-02_T1w.nii.gz"}}
    assert all(item.unused == () for item in skipped.values())
    assert {name: item.refused for name, item in skipped.items()} == {
        "sub-02_ses-1": False,
        "sub-02_ses-2": False,
    }


@pytest.mark.parametrize("has_mask", [False, True])
def test_a_mask_without_ses_of_two_sessions_is_not_used(tmp_path, has_mask):
    root, masks = tmp_path / "bids", tmp_path / "masks"
    add(root, *(INSIDE.format(session, "T1w") for session in "12"))
    add(masks, BESIDE.format("label-L_mask"))
    if has_mask:
        add(masks, INSIDE.format(1, "label-L_mask"))
    images, skipped, sessions = find(root, card=None, lesion_derivatives=masks)
    assert images.keys() == ({"sub-02_ses-1"} if has_mask else set())
    for item in skipped.values():
        assert item.refused and "sub-02_label-L_mask.nii.gz" in item.reason
    assert skipped.keys() == ({"sub-02_ses-2"} if has_mask else {"sub-02_ses-1", "sub-02_ses-2"})
    if has_mask:
        assert "sub-02_label-L_mask.nii.gz is not used" in sessions["sub-02_ses-1"].ambiguous[0]


def test_a_mask_of_a_session_that_the_dataset_does_not_have_is_refused(tmp_path):
    """Images of a participant without sessions do not belong to the session of a mask."""
    root, masks = tmp_path / "bids", tmp_path / "masks"
    add(root, BESIDE.format("T1w"))
    add(masks, INSIDE.format(1, "space-T1w_label-L_mask"))
    images, skipped, _ = find(root, card=None, lesion_derivatives=masks)
    assert images == {}
    assert {name: item.refused for name, item in skipped.items()} == {
        "sub-02": False,
        "sub-02_ses-1": True,
    }
    assert "which sub-02_ses-1 does not have" in skipped["sub-02_ses-1"].reason


def test_a_mask_without_ses_belongs_to_the_only_session(tmp_path):
    root, masks = tmp_path / "bids", tmp_path / "masks"
    add(root, INSIDE.format(1, "T1w"))
    add(masks, BESIDE.format("label-L_mask"), BESIDE.format("desc-brain_mask"))
    _, _, sessions = find(root, card=None, lesion_derivatives=masks, derivatives=(masks,))
    session = sessions["sub-02_ses-1"]
    assert session.lesion.path.name == "sub-02_label-L_mask.nii.gz"
    assert session.brain_mask.name == "sub-02_desc-brain_mask.nii.gz"


def test_a_brain_mask_without_ses_of_two_sessions_is_not_used(tmp_path):
    root, masks = tmp_path / "bids", tmp_path / "masks"
    add(root, *(INSIDE.format(session, "T1w") for session in "12"))
    add(masks, BESIDE.format("desc-brain_mask"))
    _, _, sessions = find(root, derivatives=(masks,))
    for session in sessions.values():
        assert session.brain_mask is None
        assert "sub-02_desc-brain_mask.nii.gz is not used" in session.ambiguous[0]


def test_hidden_files_are_ignored(tmp_path):
    add(tmp_path, "sub-01/anat/sub-01_T1w")
    for name in ("sub-01/anat/._sub-01_T1w.nii.gz", "sub-03/anat/._sub-03_T1w.nii.gz"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0\5\x16\7")
    (tmp_path / "sub-04").mkdir()
    (tmp_path / "sub-04/.DS_Store").touch()
    (tmp_path / "._sub-05").mkdir()
    images, skipped, sessions = find(tmp_path)
    assert images == {"sub-01": {"T1w": "sub-01_T1w.nii.gz"}} and skipped == {}
    assert sessions["sub-01"].notes == sessions["sub-01"].unused == ()


def test_images_in_bidsignore_are_ignored(tmp_path):
    add(tmp_path, "sub-01/anat/sub-01_run-1_T1w", "sub-01/anat/sub-01_run-2_T1w")
    add(tmp_path, "sub-02/anat/sub-02_T1w", INSIDE.format(1, "T1w").replace("02", "03"))
    (tmp_path / ".bidsignore").write_text("*_run-2_*\nsub-02\n/sub-03/ses-1/\n")
    index = tmp_path / "index"
    for database in (None, index, index):  # .bidsignore also applies to an existing index
        images, skipped, _ = find(tmp_path, database_dir=database)
        assert images == {"sub-01": {"T1w": "sub-01_run-1_T1w.nii.gz"}} and skipped == {}
    (tmp_path / ".bidsignore").write_text("*_run-1_*\nsub-02\n/sub-03/ses-1/\n")
    assert find(tmp_path, database_dir=index)[0] == {"sub-01": {"T1w": "sub-01_run-2_T1w.nii.gz"}}


def test_masks_of_participants_in_bidsignore_are_ignored(tmp_path):
    root, masks = tmp_path / "bids", tmp_path / "masks"
    add(root, "sub-01/anat/sub-01_T1w", "sub-02/anat/sub-02_T1w")
    add(masks, *(f"sub-0{n}/anat/sub-0{n}_label-L_mask" for n in "12"))
    (root / ".bidsignore").write_text("sub-02/\n")
    images, skipped, _ = find(root, card=None, lesion_derivatives=masks)
    assert list(images) == ["sub-01"] and skipped == {}
