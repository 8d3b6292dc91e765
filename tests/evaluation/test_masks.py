"""Masks of a folder: those of the records of an output folder, else those that names tell."""

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


def session(out, name="sub-01", status="ok", inputs=(), **files):
    """Write the record of a session that lists these files by role."""
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
        assert reason == (
            f"sub-01 has several {kind} masks on one grid: {listing}; keep one of them, or join the "
            "parts of one lesion in one file."
        )


def test_the_general_one_of_several_masks_is_compared_and_named(tmp_path):
    for desc in ("lesionAcute", "lesion"):
        radius = 14 if desc == "lesion" else 8
        write(mask_path(tmp_path / "truth", f"space-T1w_desc-{desc}"), radius)
    write(mask_path(tmp_path / "pred", "space-T1w_label-L"))
    scores, (reason,) = dice(tmp_path / "pred", tmp_path / "truth")
    assert scores["sub-01"] == 1
    assert "sub-01_space-T1w_desc-lesion_mask.nii.gz is compared." in reason


def test_one_of_several_true_masks_on_other_grids_is_named(tmp_path):
    """A rater drew on the T1w and on the FLAIR: the T1w comes first, as for lesion masks."""
    on_t1w = write(mask_path(tmp_path / "truth", "space-T1w_label-L"))
    on_flair = write(mask_path(tmp_path / "truth", "space-FLAIR_label-L"), 8, (9, 0, 0))
    for space, shift in (("T1w", 0), ("FLAIR", 9)):
        write(mask_path(tmp_path / "pred", f"space-{space}_label-L"), shift=(shift, 0, 0))
    rows, _ = run.evaluate({"m": tmp_path / "pred"}, tmp_path / "truth")
    assert rows["truth"][0] == str(on_t1w) and rows["dice"][0] == 1
    sentence = f"Of the true masks {on_t1w}, {on_flair}, {on_t1w.name} is compared."
    assert sentence in rows["reason"][0]
    # Without a prediction on its grid, the other one is compared, and is named as well.
    mask_path(tmp_path / "pred", "space-T1w_label-L").unlink()
    rows, _ = run.evaluate({"m": tmp_path / "pred"}, tmp_path / "truth")
    assert rows["truth"][0] == str(on_flair) and f"{on_flair.name} is compared." in rows["reason"][0]


def test_masks_of_other_images_on_one_grid_are_named(tmp_path):
    write(mask_path(tmp_path / "truth", "space-T2w_label-L"))
    write(mask_path(tmp_path / "pred", "space-T1w_label-L"))
    scores, (reason,) = dice(tmp_path / "pred", tmp_path / "truth")
    assert scores["sub-01"] == 1
    assert "The true mask is of the T2w, the predicted one of the T1w, which have one grid" in reason


def test_the_true_mask_of_the_image_that_was_segmented_is_compared(tmp_path):
    """Two runs of one grid, each with a manual mask: that of the run that the session read."""
    out, truth = tmp_path / "out", tmp_path / "truth"
    for run_number, radius in (("1", 8), ("2", 14)):
        write(mask_path(truth, f"run-{run_number}_space-T1w_label-L"), radius)
    session(out, lesion_mask=write(mask_path(out)), inputs={"T1w": "/bids/sub-01_run-02_T1w.nii.gz"})
    scores, (reason,) = dice(out, truth)
    assert scores["sub-01"] == 1
    assert "sub-01_run-2_space-T1w_label-L_mask.nii.gz is compared." in reason
    mask_path(truth, "run-2_space-T1w_label-L").unlink()
    scores, (reason,) = dice(out, truth)
    assert scores["sub-01"] < 1
    assert (
        "The true mask is of an image with run-1, the predicted one of sub-01_run-02_T1w.nii.gz, which "
        "have one grid: they are compared as they lie."
    ) in reason


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


@pytest.fixture
def other_tool(tmp_path):
    """Masks of another tool on a T1w and on a FLAIR that lies 8 mm beside it, and the transform from
    the T1w to the template."""
    out = tmp_path / "pred"
    move(mask_path(out).parent / transform("sub-01", "T1w", TEMPLATE, ".h5"))
    for space, shift in (("T1w", 0), ("FLAIR", 8)):
        for folder in (out, tmp_path / space):
            write(mask_path(folder, f"space-{space}_label-L"), shift=(shift, 0, 0))
    return out


def load(predictions, truth):
    """True load of the only pair, and the reason."""
    rows, _ = run.evaluate({"m": predictions}, truth)
    assert rows["dice"].tolist() == [1]
    return rows["true_load_ml"][0], rows["reason"][0]


def test_loads_go_through_the_whole_chain_of_transforms(other_tool, tmp_path):
    """The transform of the T1w alone says nothing of a mask on the FLAIR; with that of the FLAIR to the
    T1w, the load is that of the lesion where it is."""
    on_t1w, _ = load(other_tool, tmp_path / "T1w")
    nothing, reason = load(other_tool, tmp_path / "FLAIR")
    assert np.isnan(nothing)
    assert f"No transforms beside them lead from FLAIR to {TEMPLATE}; add them." in reason
    to_t1w = transform("sub-01", "FLAIR", "T1w", ".mat")
    move(mask_path(other_tool).parent / to_t1w, -8)
    on_flair, _ = load(other_tool, tmp_path / "FLAIR")
    assert on_t1w > 1 and on_flair == pytest.approx(on_t1w, rel=0.01)


def test_each_mask_goes_its_own_way_to_the_template(other_tool, tmp_path):
    """A manual mask on a T2w that has the grid of the T1w, but lies 8 mm beside it."""
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


def test_a_mask_without_a_contrast_is_taken_for_one_on_the_only_image(other_tool, tmp_path):
    """The contrast of the other mask of the pair counts first; the assumption is named."""
    on_t1w, _ = load(other_tool, tmp_path / "T1w")
    for path in other_tool.rglob("*_mask.nii.gz"):
        path.unlink()
    write(mask_path(other_tool, "label-L"))
    found, reason = load(other_tool, tmp_path / "T1w")
    assert found == pytest.approx(on_t1w) and "names no contrast" not in reason
    write(mask_path(tmp_path / "unnamed", "label-L"))
    found, reason = load(other_tool, tmp_path / "unnamed")
    assert found == pytest.approx(on_t1w)
    assert "sub-01_label-L_mask.nii.gz names no contrast, and is taken for a mask on the T1w" in reason
    move(mask_path(other_tool).parent / transform("sub-01", "FLAIR", "T1w", ".mat"), -8)
    assert np.isnan(load(other_tool, tmp_path / "unnamed")[0]), "on the T1w, or on the FLAIR"


def test_a_native_mask_on_the_grid_of_the_template_goes_through_its_transform(tmp_path):
    """An image that was resampled to the template's grid does not lie in the template."""
    grid = templates.template().t1w
    for folder in ("pred", "truth"):
        path = mask_path(tmp_path / folder, "space-T1w_label-L")
        image.save(masks_module.resample_mask(bidsets.scan(0, 14, voxel=2)[1], grid), path)
    at_rest, reason = load(tmp_path / "pred", tmp_path / "truth")
    assert at_rest > 1 and f"has the grid of {TEMPLATE}, and is taken for a mask in it" in reason
    move(mask_path(tmp_path / "pred").parent / transform("sub-01", "T1w", TEMPLATE, ".h5"), 30)
    moved, reason = load(tmp_path / "pred", tmp_path / "truth")
    assert moved < at_rest / 2 and "has the grid of" not in reason


def test_a_template_without_a_field_is_reached_through_the_session_or_named(tmp_path):
    """The masks lie in a template to which no transform is shipped."""
    space = "MNI152NLin2009cAsym"
    for folder in ("pred", "truth"):
        write(mask_path(tmp_path / folder, f"space-{space}_label-L"), shift=(8, 0, 0))
    as_it_lies, reason = load(tmp_path / "pred", tmp_path / "truth")
    assert (
        f"No transform leads from {space} to {TEMPLATE}; the masks are measured as they lie" in reason
    )
    anat = mask_path(tmp_path / "pred").parent
    move(anat / transform("sub-01", "T1w", TEMPLATE, ".h5"))
    move(anat / transform("sub-01", space, "T1w", ".h5"), -8)
    through_t1w, reason = load(tmp_path / "pred", tmp_path / "truth")
    write(mask_path(tmp_path / "there", f"space-{TEMPLATE}_label-L"))
    expected, _ = load(tmp_path / "there", tmp_path / "there")
    assert through_t1w == pytest.approx(expected, rel=0.01) and as_it_lies != pytest.approx(expected)
    assert "as they lie" not in reason


def test_a_damaged_transform_leaves_the_other_scores(other_tool, tmp_path):
    path = mask_path(other_tool).parent / transform("sub-01", "T1w", TEMPLATE, ".h5")
    path.write_bytes(b"x")
    found, reason = load(other_tool, tmp_path / "T1w")
    assert np.isnan(found) and f"{path} cannot be read as transforms; copy them again." in reason


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
