"""Pairs of masks that cannot be compared, or only in part: they are reported, others are compared."""

import ants
import bidsets
import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_stroke.bids.names import transform
from bids_stroke.cli.evaluate import main
from bids_stroke.spatial import image
from bids_stroke.spatial.templates import TEMPLATE


def mask(folder, name, rest="space-T1w_label-L", suffix="mask"):
    """Write a lesion mask on a skull-stripped head."""
    path = folder / name / "anat" / f"{name}_{rest}_{suffix}.nii.gz"
    image.save(bidsets.scan(0)[1], path)
    return path


def probability_of_another_shape(truth, pred):
    path = mask(pred, "sub-01", suffix="probseg")
    image.save(nib.Nifti1Image(np.full((40, 40, 40), 0.5, np.float32), np.diag([4.0, 4, 4, 1])), path)


def parts_of_one_lesion(truth, pred):
    for path in (truth / "sub-01").rglob("*_mask.nii.gz"):
        path.unlink()
    for side in ("L", "R"):
        mask(truth, "sub-01", f"hemi-{side}_space-T1w_label-L")


def masks_on_two_images(truth, pred):
    path = mask(truth, "sub-01", "space-FLAIR_label-L")
    img = nib.load(path)
    image.save(nib.Nifti1Image(np.asarray(img.dataobj)[:-1], img.affine), path)


def a_flair_without_its_transform(truth, pred):
    for folder in (truth, pred):
        (path,) = (folder / "sub-01").rglob("*_mask.nii.gz")
        path.rename(path.with_name(path.name.replace("T1w", "FLAIR")))
    shift = ants.create_ants_transform(transform_type="AffineTransform", dimension=3)
    ants.write_transform(shift, str(pred / "sub-01/anat" / transform("sub-01", "T1w", TEMPLATE, ".h5")))


def a_damaged_transform(truth, pred):
    (pred / "sub-01/anat" / transform("sub-01", "T1w", TEMPLATE, ".h5")).write_bytes(b"x")


@pytest.mark.parametrize(
    ("case", "prepare", "status", "words", "missing"),
    [
        (
            "a probability of another shape",
            probability_of_another_shape,
            0,
            "The probability cannot be compared (max_dice, pr_auc): ",
            ["max_dice", "pr_auc"],
        ),
        (
            "true masks that may be parts of one lesion",
            parts_of_one_lesion,
            1,
            "sub-01 has several true masks on the same grid: ",
            ["dice", "max_dice"],
        ),
        (
            "true masks on two images",
            masks_on_two_images,
            0,
            "was selected from the true masks ",
            ["max_dice"],
        ),
        (
            "masks on a FLAIR, the transform of the T1w beside them",
            a_flair_without_its_transform,
            0,
            "Their folder has no transforms from FLAIR to ",
            ["er_ll", "max_dice"],
        ),
        ("a damaged transform", a_damaged_transform, 0, "cannot be read as transforms;", ["er_ll"]),
    ],
)
def test_pairs_that_cannot_be_compared_in_full(
    tmp_path, capsys, table, case, prepare, status, words, missing
):
    truth, pred = tmp_path / "truth", tmp_path / "pred"
    for name in ("sub-01", "sub-02"):
        mask(truth, name), mask(pred, name)
    prepare(truth, pred)
    assert main([str(pred), str(truth), str(tmp_path / "out")]) == status
    first, second = pd.read_csv(tmp_path / "out/evaluation.tsv", sep="\t").to_dict("records")
    assert words in first["reason"] and all(np.isnan(first[name]) for name in missing)
    assert np.isnan(first["dice"]) == bool(status) and second["dice"] == 1
    shown = capsys.readouterr().out
    assert (words in shown) == bool(status) and "pairs have remarks" in shown
    (sentence,) = (part for part in first["reason"].split(". ") if words in part)
    outputs = "the other pairs" if status else "the other scores"
    table.add("Evaluation", case, status, sentence, outputs)
