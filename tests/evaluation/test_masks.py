"""Masks of a folder, from the records of an output folder or by file name."""

import ants
import bidsets
import nibabel as nib
import numpy as np
import pytest

from bids_stroke.bids.names import transform
from bids_stroke.bids.record import Record, role
from bids_stroke.evaluation import masks, run
from bids_stroke.spatial import image, templates
from bids_stroke.spatial import masks as masks_module
from bids_stroke.spatial.templates import TEMPLATE


def write(path, radius=14, shift=(0, 0, 0)):
    """Write a sphere at the probability tract, on the template brain at 2 mm."""
    image.save(bidsets.scan(0, radius, shift=shift, voxel=2)[1], path)
    return path


def move(path, x=0.0):
    """Write an ANTs transform that shifts images by ``x`` mm to the right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shift = ants.create_ants_transform(
        transform_type="AffineTransform", dimension=3, translation=(x, 0, 0)
    )  # from the fixed to the moving image, in LPS
    ants.write_transform(shift, str(path))
    return path


def session(out, name="sub-01", status="ok", inputs=(), **files):
    """Write the record of a session with these files by role."""
    outputs = {kind: path.relative_to(out).as_posix() for kind, path in files.items()}
    error = "It went wrong."
    Record(
        name, "identity", status, error, reference="T1w", inputs=dict(inputs), outputs=outputs
    ).write(out)


def mask_path(out, rest="space-T1w_label-L_desc-T1lesion", name="sub-01"):
    return out.joinpath(*name.split("_"), "anat", f"{name}_{rest}_mask.nii.gz")


def dice(out, truth):
    rows, _ = run.evaluate({"m": out}, truth)
    return dict(zip(rows["participant_id"], rows["dice"], strict=True)), rows["reason"].tolist()


def test_masks_outside_the_record_are_ignored(tmp_path):
    """A mask of an earlier model sorts before the mask of the record."""
    out = tmp_path / "out"
    write(mask_path(out, "space-T1w_label-L_desc-FLAIRlesion"), radius=10)
    session(out, lesion_mask=write(mask_path(out)))
    write(mask_path(tmp_path / "truth", "space-T1w_label-L"))
    assert dice(out, tmp_path / "truth")[0] == {"sub-01": 1}
    assert dice(tmp_path / "truth", out)[0] == {"sub-01": 1}, "the same for true masks"


def test_masks_of_failed_sessions_are_ignored(tmp_path):
    out = tmp_path / "out"
    for name, status in (("sub-01", "failed"), ("sub-02", "ok")):
        session(out, name, status, lesion_mask=write(mask_path(out, name=name)))
        write(mask_path(tmp_path / "truth", "space-T1w_label-L", name))
    scores, (reason, _) = dice(out, tmp_path / "truth")
    assert np.isnan(scores["sub-01"]) and scores["sub-02"] == 1
    assert reason == f"sub-01 failed in {out}: It went wrong."


def test_ambiguous_masks_without_records_are_rejected(tmp_path):
    """Two models of another tool, or two raters, on the same grid."""
    names = [f"space-T1w_label-L_desc-{desc}lesion" for desc in ("a", "b")]
    several, single = tmp_path / "several", tmp_path / "single"
    paths = [write(mask_path(several, name)) for name in names]
    write(mask_path(single, "space-T1w_label-L"))
    for folders, kind in (((several, single), "predicted"), ((single, several), "true")):
        scores, (reason,) = dice(*folders)
        assert np.isnan(scores["sub-01"])
        listing = ", ".join(map(str, paths))
        assert reason == (
            f"sub-01 has several {kind} masks on the same grid: {listing}; keep one of them, or "
            "combine the parts of a lesion in one file."
        )


def test_the_general_mask_is_selected_and_reported(tmp_path):
    for desc in ("lesionAcute", "lesion"):
        radius = 14 if desc == "lesion" else 8
        write(mask_path(tmp_path / "truth", f"space-T1w_desc-{desc}"), radius)
    write(mask_path(tmp_path / "pred", "space-T1w_label-L"))
    scores, (reason,) = dice(tmp_path / "pred", tmp_path / "truth")
    assert scores["sub-01"] == 1
    assert reason.startswith("sub-01_space-T1w_desc-lesion_mask.nii.gz was selected from")


def test_the_true_mask_is_selected_by_contrast_and_reported(tmp_path):
    """True masks on the T1w and on the FLAIR: the T1w is preferred."""
    on_t1w = write(mask_path(tmp_path / "truth", "space-T1w_label-L"))
    on_flair = write(mask_path(tmp_path / "truth", "space-FLAIR_label-L"), 8, (9, 0, 0))
    for space, shift in (("T1w", 0), ("FLAIR", 9)):
        write(mask_path(tmp_path / "pred", f"space-{space}_label-L"), shift=(shift, 0, 0))
    rows, _ = run.evaluate({"m": tmp_path / "pred"}, tmp_path / "truth")
    assert rows["truth"][0] == str(on_t1w) and rows["dice"][0] == 1
    note = f"{on_t1w.name} was selected from the true masks {on_t1w}, {on_flair}."
    assert note in rows["reason"][0]
    # Without a prediction on its grid, the other mask is selected and reported.
    mask_path(tmp_path / "pred", "space-T1w_label-L").unlink()
    rows, _ = run.evaluate({"m": tmp_path / "pred"}, tmp_path / "truth")
    assert rows["truth"][0] == str(on_flair)
    assert f"{on_flair.name} was selected from" in rows["reason"][0]


def test_masks_of_different_images_on_the_same_grid_are_reported(tmp_path):
    write(mask_path(tmp_path / "truth", "space-T2w_label-L"))
    write(mask_path(tmp_path / "pred", "space-T1w_label-L"))
    scores, (reason,) = dice(tmp_path / "pred", tmp_path / "truth")
    assert scores["sub-01"] == 1
    assert "The true mask is of the T2w, the predicted mask of the T1w, both on the same grid" in reason


def test_the_true_mask_of_the_segmented_image_is_selected(tmp_path):
    """Two runs on the same grid, each with a manual mask: the mask of the segmented run is selected."""
    out, truth = tmp_path / "out", tmp_path / "truth"
    for run_number, radius in (("1", 8), ("2", 14)):
        write(mask_path(truth, f"run-{run_number}_space-T1w_label-L"), radius)
    session(out, lesion_mask=write(mask_path(out)), inputs={"T1w": "/bids/sub-01_run-02_T1w.nii.gz"})
    scores, (reason,) = dice(out, truth)
    assert scores["sub-01"] == 1
    assert "sub-01_run-2_space-T1w_label-L_mask.nii.gz was selected from" in reason
    mask_path(truth, "run-2_space-T1w_label-L").unlink()
    scores, (reason,) = dice(out, truth)
    assert scores["sub-01"] < 1
    assert (
        "The true mask is of an image with run-1, the predicted mask of sub-01_run-02_T1w.nii.gz, both "
        "on the same grid, and compared without registration."
    ) in reason


def test_the_native_mask_is_preferred_to_the_template(tmp_path):
    for folder in ("truth", "pred"):
        write(mask_path(tmp_path / folder, f"space-{TEMPLATE}_label-L"), radius=8)
        write(mask_path(tmp_path / folder, "space-T1w_label-L"), shift=(1, 0, 0))
    rows, _ = run.evaluate({"m": tmp_path / "pred"}, tmp_path / "truth")
    assert rows["truth"][0].endswith("sub-01_space-T1w_label-L_mask.nii.gz")
    assert rows["prediction"][0].endswith("sub-01_space-T1w_label-L_mask.nii.gz")


def test_masks_of_images_on_the_same_grid_are_matched_by_contrast(tmp_path):
    """The FLAIR was resampled to the T1w; the predicted mask of the same contrast is compared."""
    out = tmp_path / "out"
    flair = write(mask_path(out, "space-FLAIR_label-L_desc-T1lesion"), radius=8)
    session(out, **{"lesion_mask": write(mask_path(out)), role("lesion_mask", "FLAIR"): flair})
    for space, radius in (("T1w", 14), ("FLAIR", 8)):
        truth = tmp_path / space
        write(mask_path(truth, f"space-{space}_label-L"), radius)
        assert dice(out, truth)[0] == {"sub-01": 1}, space


def test_each_mask_uses_the_transforms_of_its_space(tmp_path):
    """The FLAIR is shifted by 8 mm against the T1w; the loads are equal."""
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


@pytest.fixture
def other_tool(tmp_path):
    """Masks of another tool on a T1w and on a FLAIR shifted by 8 mm, and the transform from the T1w to
    the template."""
    out = tmp_path / "pred"
    move(mask_path(out).parent / transform("sub-01", "T1w", TEMPLATE, ".h5"))
    for space, shift in (("T1w", 0), ("FLAIR", 8)):
        for folder in (out, tmp_path / space):
            write(mask_path(folder, f"space-{space}_label-L"), shift=(shift, 0, 0))
    return out


def load(predictions, truth):
    """True load of a single pair, and the reason."""
    rows, _ = run.evaluate({"m": predictions}, truth)
    assert rows["dice"].tolist() == [1]
    return rows["true_load_ml"][0], rows["reason"][0]


def test_loads_use_the_complete_chain_of_transforms(other_tool, tmp_path):
    """A mask on the FLAIR also needs the transform from the FLAIR to the T1w."""
    on_t1w, _ = load(other_tool, tmp_path / "T1w")
    missing, reason = load(other_tool, tmp_path / "FLAIR")
    assert np.isnan(missing)
    assert f"Their folder has no transforms from FLAIR to {TEMPLATE}; add them." in reason
    to_t1w = transform("sub-01", "FLAIR", "T1w", ".mat")
    move(mask_path(other_tool).parent / to_t1w, -8)
    on_flair, _ = load(other_tool, tmp_path / "FLAIR")
    assert on_t1w > 1 and on_flair == pytest.approx(on_t1w, rel=0.01)


def test_the_masks_of_a_pair_use_different_transforms(other_tool, tmp_path):
    """A manual mask on a T2w with the grid of the T1w, but a shift of 8 mm."""
    on_t1w, _ = load(other_tool, tmp_path / "T1w")
    write(mask_path(tmp_path / "T2w", "space-T2w_label-L"))
    assert np.isnan(load(other_tool, tmp_path / "T2w")[0])
    move(mask_path(other_tool).parent / transform("sub-01", "T2w", "T1w", ".mat"), -8)
    rows, _ = run.evaluate({"m": other_tool}, tmp_path / "T2w")
    write(mask_path(tmp_path / "moved", "space-T1w_label-L"), shift=(-8, 0, 0))
    write(mask_path(other_tool, "space-T1w_label-L"), shift=(-8, 0, 0))
    expected, _ = load(other_tool, tmp_path / "moved")
    assert rows["true_load_ml"][0] == pytest.approx(expected, rel=0.01)
    assert rows["predicted_load_ml"][0] == pytest.approx(on_t1w)


def test_a_mask_without_a_contrast_is_assumed_to_be_on_the_only_image(other_tool, tmp_path):
    """The contrast of the other mask of the pair takes precedence; the assumption is reported."""
    on_t1w, _ = load(other_tool, tmp_path / "T1w")
    for path in other_tool.rglob("*_mask.nii.gz"):
        path.unlink()
    write(mask_path(other_tool, "label-L"))
    true_load, reason = load(other_tool, tmp_path / "T1w")
    assert true_load == pytest.approx(on_t1w) and "states no contrast" not in reason
    write(mask_path(tmp_path / "unnamed", "label-L"))
    true_load, reason = load(other_tool, tmp_path / "unnamed")
    assert true_load == pytest.approx(on_t1w)
    assert "sub-01_label-L_mask.nii.gz states no contrast and is assumed to be on the T1w" in reason
    move(mask_path(other_tool).parent / transform("sub-01", "FLAIR", "T1w", ".mat"), -8)
    assert np.isnan(load(other_tool, tmp_path / "unnamed")[0]), (
        "the mask may be on the T1w or on the FLAIR"
    )


@pytest.mark.slow
def test_a_native_mask_on_the_grid_of_the_template_is_transformed(tmp_path):
    """An image that was resampled to the grid of the template is not in template space."""
    grid = templates.template().t1w
    for folder in ("pred", "truth"):
        path = mask_path(tmp_path / folder, "space-T1w_label-L")
        image.save(masks_module.resample_mask(bidsets.scan(0, 14, voxel=2)[1], grid), path)
    assumed, reason = load(tmp_path / "pred", tmp_path / "truth")
    assert assumed > 1 and f"has the grid of {TEMPLATE} and is assumed to be in that space" in reason
    move(mask_path(tmp_path / "pred").parent / transform("sub-01", "T1w", TEMPLATE, ".h5"), 30)
    moved, reason = load(tmp_path / "pred", tmp_path / "truth")
    assert moved < assumed / 2 and "has the grid of" not in reason


def test_transforms_of_the_session_replace_a_missing_template_transform(tmp_path):
    """The package has no transform from the template of the masks."""
    space = "MNI152NLin2009cAsym"
    for folder in ("pred", "truth"):
        write(mask_path(tmp_path / folder, f"space-{space}_label-L"), shift=(8, 0, 0))
    untransformed, reason = load(tmp_path / "pred", tmp_path / "truth")
    remark = f"no transform from {space} to {TEMPLATE}; the masks are measured without one"
    assert remark in reason
    anat = mask_path(tmp_path / "pred").parent
    move(anat / transform("sub-01", "T1w", TEMPLATE, ".h5"))
    move(anat / transform("sub-01", space, "T1w", ".h5"), -8)
    through_t1w, reason = load(tmp_path / "pred", tmp_path / "truth")
    write(mask_path(tmp_path / "template", f"space-{TEMPLATE}_label-L"))
    expected, _ = load(tmp_path / "template", tmp_path / "template")
    assert through_t1w == pytest.approx(expected, rel=0.01) and untransformed != pytest.approx(expected)
    assert "without one" not in reason


def test_a_damaged_transform_does_not_affect_the_other_scores(other_tool, tmp_path):
    path = mask_path(other_tool).parent / transform("sub-01", "T1w", TEMPLATE, ".h5")
    path.write_bytes(b"x")
    true_load, reason = load(other_tool, tmp_path / "T1w")
    assert np.isnan(true_load) and f"{path} cannot be read as transforms; copy them again." in reason


def test_the_probability_of_a_mask_is_read_from_its_record(tmp_path):
    out = tmp_path / "out"
    mask = write(mask_path(out))
    probability = mask.with_name(mask.name.replace("_mask", "_probseg"))
    nib.save(nib.load(mask), probability)
    session(out, lesion_mask=mask)
    (recorded,) = masks.find_masks(out).by_scan["sub-01", None]
    assert recorded.probability is None
    session(out, lesion_mask=mask, lesion_probability=probability)
    (recorded,) = masks.find_masks(out).by_scan["sub-01", None]
    assert recorded.probability == probability
