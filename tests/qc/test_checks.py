"""QC checks of sessions."""

import json

import nibabel as nib
import numpy as np
import pytest

from bids_stroke.qc import checks

GOOD = {
    "reference": "T1w",
    "brain_volume_ml": 1400.0,
    "template_brain_dice": 0.97,
    "lesion_volume_ml": 30.0,
    "lesion_volume_mni_ml": 40.0,
    "outside_brain_share": 0.01,
    "cut_area_cm2": 4.0,
    "bright_ratio": 1.2,
    "white_gray_ratio": 1.3,
    "fluid_gray_ratio": 0.4,
    "flair_similarity": 1.15,
    "flair_bright_ratio": 3.0,
    "flair_white_gray_ratio": 0.8,
    "flair_fluid_gray_ratio": 0.5,
}


@pytest.fixture
def images(tmp_path):
    """A T1w and a FLAIR whose headers define the orientation."""
    paths = {name: tmp_path / f"sub-01_{name}.nii.gz" for name in ("T1w", "FLAIR")}
    for path in paths.values():
        save(path, np.eye(4), np.eye(4))
    return paths


def save(path, qform, sform, qcode=1, scode=1):
    img = nib.Nifti1Image(np.zeros((100, 100, 100), np.uint8), sform)
    img.set_qform(qform, qcode)
    img.set_sform(sform, scode)
    nib.save(img, path)


def test_a_good_session_passes(images):
    assert checks.run_checks(GOOD, images, {"brain_volume_ml": (900, 1900)}) == {}


@pytest.mark.parametrize(
    ("changes", "name", "message"),
    [
        ({"brain_volume_ml": 700.0}, "brain_volume", "700 ml"),
        ({"brain_volume_ml": 2100.0}, "brain_volume", "2100 ml"),
        ({"template_brain_dice": 0.8}, "template_overlap", "only 0.80"),
        ({"flair_similarity": 1.01}, "agreement", "FLAIR has a low similarity"),
        ({"lesion_volume_ml": 400.0}, "lesion_share", "29% of the brain"),
        ({"lesion_volume_ml": np.nan, "lesion_volume_mni_ml": 600.0}, "lesion_share", "of the brain"),
        ({"lesion_volume_ml": 0.0}, "no_lesion", "mask is empty"),
        ({"outside_brain_share": 0.5}, "lesion_outside", "50% of the lesion"),
        ({"cut_area_cm2": 60.0}, "field_of_view", "60 cm²"),
        ({"bright_ratio": 2.0}, "bright", "contrast agent"),
        ({"white_gray_ratio": 0.8}, "contrast", "The T1w looks like a FLAIR"),
        (
            {"brain_volume_ml": 950.0},
            checks.TRAINED_RANGE,
            "950, outside the range of the training data (1000 to 1900)",
        ),
    ],
)
def test_each_check(images, changes, name, message):
    failed = checks.run_checks({**GOOD, **changes}, images, {"brain_volume_ml": (1000, 1900)})
    assert message in failed[name]
    assert set(failed) - {name} <= {checks.TRAINED_RANGE}
    assert set(failed) <= {*checks.CHECKS, *checks.OTHER_CHECKS}


def test_a_check_reports_each_image_that_fails(images):
    """FLAIR and T2w both have a low similarity with the reference image."""
    images = {**images, "T2w": images["FLAIR"]}
    poor = {"flair_similarity": 1.01, "t2w_similarity": 1.02}
    failed = checks.run_checks({**GOOD, **poor}, images)
    assert failed["agreement"].count("low similarity") == 2
    assert "FLAIR has a low similarity with the reference image (1.010)" in failed["agreement"]
    assert "T2w has a low similarity with the reference image (1.020)" in failed["agreement"]


def test_missing_measures_pass(images):
    unknown = dict.fromkeys(GOOD, np.nan) | {"reference": "T1w", "lesion_volume_mni_ml": 40.0}
    assert checks.run_checks(unknown, images) == {}


def test_contrast_agent_by_name_and_by_sidecar(images, tmp_path):
    sidecar = tmp_path / "sub-01_T1w.json"
    for content in ("{", "[]", "{}"):
        sidecar.write_text(content)
        assert "contrast_agent" not in checks.run_checks(GOOD, images)
    sidecar.write_text(json.dumps({"ContrastBolusIngredient": "GADOLINIUM"}))
    message = checks.run_checks(GOOD, images)["contrast_agent"]
    assert "sub-01_T1w.nii.gz was acquired with contrast agent" in message
    images = {"T1w": tmp_path / "sub-02_ce-gd_T1w.nii.gz"}
    assert "contrast_agent" in checks.run_checks(GOOD, images)


@pytest.mark.parametrize(
    ("qform", "codes", "expected"),
    [
        (np.eye(4) + 1e-8, (1, 1), None),
        (np.diag([-1.0, 1, 1, 1]), (1, 1), "up to 198 mm apart"),
        (np.diag([-1.0, 1, 1, 1]), (0, 1), None),
        (np.eye(4), (0, 0), "LAS was assumed (--assume-orientation)"),
    ],
)
def test_orientation(images, qform, codes, expected):
    save(images["T1w"], qform, np.eye(4), *codes)
    message = checks.run_checks(GOOD, images, orientation="LAS").get("orientation")
    assert (expected in message) if expected else message is None
