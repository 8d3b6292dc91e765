"""File names: recognition of lesion masks, their sessions, and outputs of earlier runs."""

import bidsets
import nibabel as nib
import numpy as np
import pytest

from bids_stroke.bids.discovery import find
from bids_stroke.bids.record import Record
from bids_stroke.bids.supplied_masks import parse_lesion_mask
from bids_stroke.errors import DatasetError
from bids_stroke.evaluation import run
from bids_stroke.evaluation.masks import find_masks
from bids_stroke.spatial import image

MASK = "sub-{}/anat/sub-{}_space-T1w_label-L_mask.nii.gz"


@pytest.fixture
def bids(tmp_path):
    """Two participants with a T1w and a mask."""
    root = bidsets.empty_dataset(tmp_path / "bids")
    for label in ("01", "02"):
        put(root / f"sub-{label}/anat/sub-{label}_T1w.nii.gz")
        put(root / MASK.format(label, label))
    return root


def put(path):
    """Write a mask with the field of view of a head."""
    data = np.zeros((16, 16, 16), np.uint8)
    data[5:9, 6:10, 7:9] = 1
    image.save(nib.Nifti1Image(data, np.diag([10.0, 10, 10, 1])), path)
    return path


def find_masks_of(folder, **options):
    """Return the masks of the sessions, and the reasons of refused sessions."""
    sessions, skipped = find(folder, lesion_derivatives=folder, **options)
    masks = {session.name: session.lesion.path for session in sessions}
    return masks, {item.name: item.reason for item in skipped if item.refused}


@pytest.mark.parametrize(
    ("desc", "lesion"),
    [
        ("lesion", True),
        ("T1lesion", True),
        ("lesionAcute", True),
        ("strokelesion", True),
        ("nonlesion", False),
        ("Perilesional", False),
        ("contralesional", False),
        ("lesionfree", False),
        ("lesionfilled", False),
        ("brain", False),
    ],
)
def test_desc_entities_of_lesions(desc, lesion):
    mask = parse_lesion_mask(f"sub-01_space-T1w_desc-{desc}_mask.nii.gz")
    assert (mask is not None) == lesion


def test_an_image_of_another_participant(bids, table):
    """A scan in the folder of another participant is refused."""
    scan = bids / "sub-02/anat/sub-02_T1w.nii.gz"
    scan.rename(scan.with_name("sub-01_T1w.nii.gz"))
    masks, refused = find_masks_of(bids)
    assert list(masks) == ["sub-01"]
    assert "sub-01_T1w.nii.gz is in the folder sub-02, but its name has sub-01" in refused["sub-02"]
    table.add("Datasets", "an image in the folder of another", 1, refused["sub-02"], "the others")


def test_a_mask_of_another_participant(bids, table):
    """Neither participant is measured, since the mask could belong to either."""
    mask = bids / MASK.format("02", "02")
    mask.rename(mask.with_name(mask.name.replace("sub-02", "sub-01")))
    put(bids / "sub-03/anat/sub-03_T1w.nii.gz")
    put(bids / MASK.format("03", "03"))
    masks, refused = find_masks_of(bids)
    assert list(masks) == ["sub-03"] and "is in the folder sub-02" in refused["sub-01"]
    table.add("Datasets", "a mask in the folder of another", 1, refused["sub-01"], "the others")


def test_the_participant_of_the_folder_of_a_misplaced_mask(bids, tmp_path):
    """The participant has no mask, and the reason names the mask in its folder."""
    masks = bidsets.empty_dataset(tmp_path / "masks")
    put(bids / "sub-03/anat/sub-03_T1w.nii.gz")
    put(masks / MASK.format("03", "03"))
    put(masks / MASK.format("02", "01"))
    _, skipped = find(bids, lesion_derivatives=masks)
    (folder,) = (item for item in skipped if item.name == "sub-02")
    assert folder.reason.startswith("it has no lesion mask: ") and not folder.refused
    assert folder.reason.endswith("in the folder sub-02, but its name has sub-01; rename or move it.")


def test_an_image_of_another_session(bids):
    for number in (1, 2):
        anat = bids / f"sub-04/ses-{number}/anat"
        put(anat / "sub-04_ses-1_T1w.nii.gz")
        put(anat / f"sub-04_ses-{number}_space-T1w_label-L_mask.nii.gz")
    masks, refused = find_masks_of(bids, participant_label=["04"])
    assert list(masks) == ["sub-04_ses-1"] and "is in the folder ses-2" in refused["sub-04_ses-2"]


def test_names_without_ses_do_not_contradict_folders(bids):
    put(bids / "sub-05/ses-1/anat/sub-05_T1w.nii.gz")
    put(bids / "sub-05/ses-1/anat/sub-05_ses-1_space-T1w_label-L_mask.nii.gz")
    masks, refused = find_masks_of(bids, participant_label=["05"])
    assert list(masks) == ["sub-05_ses-1"] and not refused


def test_masks_of_output_folders_inside_the_dataset_are_ignored(bids, table):
    """Outputs of an earlier version are ignored; user-supplied masks are used."""
    old = bids / "bids_stroke_old"
    put(bids / "sourcedata/sub-01/anat/sub-01_label-L_mask.nii.gz")
    left = put(old / "sub-01/anat/sub-01_desc-T1lesion_mask.nii.gz")
    Record("sub-01", "x", "ok", outputs={"lesion_mask": str(left.relative_to(old))}).write(old)
    masks, _ = find_masks_of(bids)
    assert masks["sub-01"] == bids / MASK.format("01", "01")
    sessions, _ = find(bids, lesion_derivatives=bids)
    assert not any("chosen from" in note for session in sessions for note in session.notes)
    seen = next(session.notes[0] for session in sessions)
    table.add(
        "Left-overs", "output folder inside the dataset", 0, seen, "all, by the masks of the user"
    )


def test_masks_of_an_output_folder_are_those_of_its_records(bids):
    out = bids.parent / "out"
    listed = put(out / "sub-01/anat/sub-01_space-T1w_label-L_desc-T1lesion_mask.nii.gz")
    put(out / "sub-01/anat/sub-01_space-T1w_label-L_desc-FLAIRlesion_mask.nii.gz")
    failed = put(out / "sub-02/anat/sub-02_space-T1w_label-L_desc-T1lesion_mask.nii.gz")
    for path, status in ((listed, "ok"), (failed, "failed")):
        outputs = {"lesion_mask": str(path.relative_to(out))}
        Record(path.name[:6], "x", status, outputs=outputs).write(out)
    sessions, skipped = find(bids, lesion_derivatives=out)
    assert [session.lesion.path for session in sessions] == [listed]
    assert [item.name for item in skipped] == ["sub-02"]


def test_names_with_dots_are_different_scans(tmp_path):
    """DICOM unique identifiers as file names."""
    for folder in ("truth", "pred"):
        for name in ("1.2.840.1", "1.2.840.2"):
            put(tmp_path / folder / f"{name}.nii.gz")
        put(tmp_path / folder / "._1.2.840.1.nii.gz")
    rows, _ = run.evaluate({"m": tmp_path / "pred"}, tmp_path / "truth")
    assert rows["participant_id"].tolist() == ["1.2.840.1", "1.2.840.2"]
    assert rows["dice"].tolist() == [1, 1]


def test_two_files_of_one_name_are_refused(tmp_path):
    for name in ("truth/c.nii.gz", "pred/c.nii", "pred/c.nii.gz"):
        put(tmp_path / name)
    rows, _ = run.evaluate({"m": tmp_path / "pred"}, tmp_path / "truth")
    assert rows["dice"].isna().all() and "several predicted masks" in rows["reason"][0]


def test_misplaced_masks_are_not_evaluated(tmp_path):
    put(tmp_path / "truth" / MASK.format("02", "01"))
    put(tmp_path / "truth" / MASK.format("03", "03"))
    for label in ("01", "03"):
        put(tmp_path / "pred" / MASK.format(label, label))
    rows, _ = run.evaluate({"m": tmp_path / "pred"}, tmp_path / "truth")
    scores = dict(zip(rows["participant_id"], rows["dice"], strict=True))
    assert scores["sub-03"] == 1 and np.isnan(scores["sub-01"])
    assert "is in the folder sub-02" in rows.set_index("participant_id")["reason"]["sub-01"]
    (tmp_path / "truth" / MASK.format("03", "03")).unlink()
    with pytest.raises(DatasetError, match="is in the folder sub-02"):
        run.evaluate({"m": tmp_path / "pred"}, tmp_path / "truth")
    assert find_masks(tmp_path / "truth").by_scan == {}
