"""Masks of a folder: those of the records of an output folder, else those that names tell."""

import ants
import bidsets
import nibabel as nib
import numpy as np
import pytest

from bids_stroke.bids.names import transform
from bids_stroke.bids.record import Record, role
from bids_stroke.evaluation import masks, run
from bids_stroke.spatial import image
from bids_stroke.spatial.templates import TEMPLATE


def write(path, radius=14, shift=(0, 0, 0)):
    """A sphere at the left tract, on the template's brain of 2 mm."""
    image.save(bidsets.scan(0, radius, shift=shift, voxel=2)[1], path)
    return path


def move(path, x=0.0):
    """A transform of images by ``x`` mm to the right, in the form of ANTs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shift = ants.create_ants_transform(
        transform_type="AffineTransform", dimension=3, translation=(x, 0, 0)
    )  # from the fixed to the moving image, in LPS
    ants.write_transform(shift, str(path))
    return path


def session(out, name="sub-01", status="ok", **files):
    """Write the record of a session that lists these files by role."""
    outputs = {kind: path.relative_to(out).as_posix() for kind, path in files.items()}
    Record(name, "identity", status, error="It went wrong.", reference="T1w", outputs=outputs).write(
        out
    )


def mask_path(out, rest="space-T1w_label-L_desc-T1lesion", name="sub-01"):
    return out.joinpath(*name.split("_"), "anat", f"{name}_{rest}_mask.nii.gz")


def dice(out, truth):
    rows, _ = run.evaluate({"m": out}, truth)
    return dict(zip(rows["participant_id"], rows["dice"], strict=True)), rows["reason"].tolist()


def test_a_mask_that_the_record_does_not_list_does_not_count(tmp_path):
    """The left-over of an earlier model comes first by name; the mask of the record is the truth."""
    out = tmp_path / "out"
    write(mask_path(out, "space-T1w_label-L_desc-FLAIRlesion"), radius=10)
    session(out, lesion_mask=write(mask_path(out)))
    write(mask_path(tmp_path / "truth", "space-T1w_label-L"))
    assert dice(out, tmp_path / "truth")[0] == {"sub-01": 1}
    assert dice(tmp_path / "truth", out)[0] == {"sub-01": 1}, "the same for true masks"


def test_the_masks_of_a_failed_session_do_not_count(tmp_path):
    out = tmp_path / "out"
    for name, status in (("sub-01", "failed"), ("sub-02", "ok")):
        session(out, name, status, lesion_mask=write(mask_path(out, name=name)))
        write(mask_path(tmp_path / "truth", "space-T1w_label-L", name))
    scores, (reason, _) = dice(out, tmp_path / "truth")
    assert np.isnan(scores["sub-01"]) and scores["sub-02"] == 1
    assert reason == f"sub-01 failed in {out}: It went wrong."


def test_masks_without_records_are_refused_if_several_fit(tmp_path):
    """Two models of another tool, or two raters, on one grid."""
    names = [f"space-T1w_label-L_desc-{desc}lesion" for desc in ("a", "b")]
    several, one = tmp_path / "several", tmp_path / "one"
    paths = [write(mask_path(several, name)) for name in names]
    write(mask_path(one, "space-T1w_label-L"))
    for folders, kind in (((several, one), "predicted"), ((one, several), "true")):
        scores, (reason,) = dice(*folders)
        assert np.isnan(scores["sub-01"])
        listing = ", ".join(map(str, paths))
        assert reason == f"sub-01 has several {kind} masks on one grid: {listing}; keep one of them."


def test_the_general_one_of_several_masks_is_compared_and_named(tmp_path):
    for desc in ("lesionAcute", "lesion"):
        radius = 14 if desc == "lesion" else 8
        write(mask_path(tmp_path / "truth", f"space-T1w_desc-{desc}"), radius)
    write(mask_path(tmp_path / "pred", "space-T1w_label-L"))
    scores, (reason,) = dice(tmp_path / "pred", tmp_path / "truth")
    assert scores["sub-01"] == 1
    assert "sub-01_space-T1w_desc-lesion_mask.nii.gz is compared." in reason


def test_the_native_mask_is_compared_before_that_in_a_template(tmp_path):
    for folder in ("truth", "pred"):
        write(mask_path(tmp_path / folder, f"space-{TEMPLATE}_label-L"), radius=8)
        write(mask_path(tmp_path / folder, "space-T1w_label-L"), shift=(1, 0, 0))
    rows, _ = run.evaluate({"m": tmp_path / "pred"}, tmp_path / "truth")
    assert rows["truth"][0].endswith("sub-01_space-T1w_label-L_mask.nii.gz")
    assert rows["prediction"][0].endswith("sub-01_space-T1w_label-L_mask.nii.gz")


def test_images_on_one_grid_have_masks_of_their_own(tmp_path):
    """A FLAIR that was resampled to the T1w: the mask of the contrast of the truth is compared."""
    out = tmp_path / "out"
    flair = write(mask_path(out, "space-FLAIR_label-L_desc-T1lesion"), radius=8)
    session(out, **{"lesion_mask": write(mask_path(out)), role("lesion_mask", "FLAIR"): flair})
    for space, radius in (("T1w", 14), ("FLAIR", 8)):
        truth = tmp_path / space
        write(mask_path(truth, f"space-{space}_label-L"), radius)
        assert dice(out, truth)[0] == {"sub-01": 1}, space


def test_each_mask_has_the_transforms_from_its_own_grid(tmp_path):
    """A FLAIR that lies 8 mm beside the T1w: the load is that of the lesion where it is."""
    out, loads = tmp_path / "out", {}
    folder = mask_path(out).parent
    session(
        out,
        **{
            "lesion_mask": write(mask_path(out)),
            role("lesion_mask", "FLAIR"): write(
                mask_path(out, "space-FLAIR_label-L_desc-T1lesion"), shift=(8, 0, 0)
            ),
            role("transform_to_template", TEMPLATE): move(
                folder / transform("sub-01", "T1w", TEMPLATE, ".h5")
            ),
            role("transform_to_reference", "FLAIR"): move(
                folder / transform("sub-01", "FLAIR", "T1w", ".mat"), -8
            ),
        },
    )
    for space, shift in (("T1w", 0), ("FLAIR", 8)):
        write(mask_path(tmp_path / space, f"space-{space}_label-L"), shift=(shift, 0, 0))
        rows, _ = run.evaluate({"m": out}, tmp_path / space)
        loads[space] = rows["true_load_ml"][0]
    assert loads["T1w"] > 1 and loads["FLAIR"] == pytest.approx(loads["T1w"], rel=0.01)


def test_a_transform_beside_a_mask_is_that_of_its_space(tmp_path):
    """In a folder of another tool, the transform of the T1w says nothing of a mask on the FLAIR."""
    folder = tmp_path / "sub-01" / "anat"
    to_template = move(folder / transform("sub-01", "T1w", TEMPLATE, ".h5"))
    write(mask_path(tmp_path, "space-T1w_label-L"))
    write(mask_path(tmp_path, "space-FLAIR_label-L"))
    found = {mask.space: mask.to_template for mask in masks.find_masks(tmp_path).of["sub-01", None]}
    assert found == {"T1w": (to_template,), "FLAIR": ()}


def test_the_probability_of_a_mask_is_that_of_its_record(tmp_path):
    out = tmp_path / "out"
    mask = write(mask_path(out))
    left = mask.with_name(mask.name.replace("_mask", "_probseg"))
    nib.save(nib.load(mask), left)
    session(out, lesion_mask=mask)
    (found,) = masks.find_masks(out).of["sub-01", None]
    assert found.probability is None
    session(out, lesion_mask=mask, lesion_probability=left)
    (found,) = masks.find_masks(out).of["sub-01", None]
    assert found.probability == left
