import math

import pytest

from bids_stroke.bids.record import SUPPLIED_MASKS, Record
from bids_stroke.reports.participant import summary

ROW = {
    "lesion_volume_ml": 25.83,
    "lesion_volume_low95_ml": math.nan,
    "lesion_volume_high95_ml": math.nan,
    "lesion_volume_mni_ml": 30.1,
    "n_components": 1,
    "hemisphere": "left",
    "index_super_region": "R1 inferior frontal, insula",
    "cst_weighted_load_ml_left": 1.5,
    "cst_weighted_load_ml_right": 0.25,
    "cst_weighted_load_ml_total": 1.75,
    "cst_weighted_load_ml_ipsilesional": 1.5,
    "cst_max_slice_load_total": 0.1249,
    "cst_category": "small",
    "cst_category_status": "unvalidated",
}
NO_LESION = {
    "lesion_volume_ml": 0.0,
    "n_components": 0,
    "hemisphere": math.nan,
    "index_super_region": math.nan,
    **{f"cst_weighted_load_ml_{side}": 0.0 for side in ("left", "right", "total")},
    "cst_weighted_load_ml_ipsilesional": math.nan,
    "cst_max_slice_load_total": 0.0,
    "cst_category": math.nan,
}


@pytest.fixture
def summarize(tmp_path, monkeypatch):
    """Return a function that summarizes a session with given columns of the group table."""
    (tmp_path / "loads.tsv").touch()

    def run(changes=None, tract="JuelichCST", **facts):
        monkeypatch.setattr(summary, "session_row", lambda out, record: ROW | (changes or {}))
        outputs = {f"loads@{tract}": "loads.tsv"}
        return summary.summarize(tmp_path, Record("sub-01", "x", "ok", outputs=outputs, **facts))

    return run


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {},
            "25.8 ml, left, mostly R1 inferior frontal, insula; one component; largest share of a CST "
            "cross-section 12%.",
        ),
        (
            {"n_components": 3, "lesion_volume_ml": math.nan, "hemisphere": "bilateral"},
            "30.1 ml in the template, bilateral, mostly R1 inferior frontal, insula; 3 components; "
            "largest share of a CST cross-section 12%.",
        ),
        (
            {
                "index_super_region": math.nan,
                "hemisphere": math.nan,
                "cst_max_slice_load_total": math.nan,
            },
            "25.8 ml; one component.",
        ),
        (NO_LESION, "No lesion found."),
    ],
)
def test_the_lesion_in_a_sentence(summarize, changes, sentence):
    assert summarize(changes).sentence == sentence


def test_a_corrected_mask_is_described(tmp_path):
    (tmp_path / "agreement.tsv").write_text(
        "dice\tmodel_volume_ml\tcorrected_volume_ml\n0.8123\t12.34\t15.678\n"
    )
    entry = Record("sub-01", "x", "ok", outputs={"agreement": "agreement.tsv"})
    assert summary.describe_correction(tmp_path, entry) == ""
    entry.corrected_by, entry.corrected_on = "Ada", "2026-05-04T10:30:00Z"
    assert summary.describe_correction(tmp_path, entry) == (
        "Lesion mask corrected by Ada on 2026-05-04 10:30: Dice with the mask of the model 0.812; "
        "volume 12.3 ml before and 15.7 ml after the correction."
    )


def test_the_traffic_light(summarize, tmp_path):
    assert summarize().state == ("green", "Passed all QC checks", [])
    flags = {"brain_volume": "Check /data/sub-01/anat/a.nii.gz.", "no_lesion": "Empty."}
    flagged = summarize(flags=flags, inputs={"T1w": "/data/sub-01/anat/a.nii.gz"})
    reasons = ["Check sub-01/anat/a.nii.gz.", "Empty."]
    assert flagged.state == ("amber", "Check: brain volume, no lesion", reasons)
    failed = Record("sub-01", "x", "failed", "It failed.", flags=flags)
    assert summary.summarize(tmp_path, failed).state == ("red", "Failed", ["It failed."])
    missing = summary.summarize(tmp_path, Record("sub-01", "x", "ok", outputs={"image": "missing"}))
    assert missing.state[:2] == ("red", "Incomplete")
    assert missing.numbers == () and missing.sentence == "" and missing.has_lesion is None


def test_key_numbers_have_explanations(summarize):
    numbers = summarize({"lesion_volume_low95_ml": 20.04, "lesion_volume_high95_ml": 33.3}).numbers
    assert [(n.value, n.unit) for n in numbers] == [
        ("25.8", "ml"),
        ("1", ""),
        ("1.5", "ml"),
        ("12%", ""),
    ]
    assert numbers[0].note == "95% interval 20 to 33.3 ml"
    assert "simulated patients" in numbers[0].explanation
    assert all(number.explanation.endswith(".") for number in numbers)


def test_the_load_of_a_bilateral_lesion_is_that_of_both_sides(summarize):
    changes = {"cst_weighted_load_ml_ipsilesional": math.nan, "cst_category": "bilateral"}
    load = summarize(changes).numbers[2]
    assert load.title == "CST weighted load, left / right" and load.value == "1.5 / 0.25"
    assert load.note == ""


@pytest.mark.parametrize(
    ("status", "note", "words"),
    [
        ("unvalidated", "category: small (unvalidated)", "derived on another tract map"),
        ("own", "category: small (user-defined cut-offs)", "set by the user"),
        ("validated", "category: small", ""),
    ],
)
def test_the_origin_of_the_cutoffs_is_a_note(summarize, status, note, words):
    load = summarize({"cst_category_status": status}).numbers[2]
    assert load.note == note and words in load.explanation
    assert ("cut-offs" in load.explanation) == bool(words)


def test_no_note_without_a_lesion(summarize):
    result = summarize(NO_LESION)
    load = result.numbers[2]
    assert (load.title, load.value, load.note) == ("CST weighted load", "0", "")
    assert "cut-offs" not in load.explanation and result.has_lesion is False


def test_a_tract_of_the_user_is_named(summarize):
    columns = {name.replace("cst_", "owntract_"): value for name, value in ROW.items()}
    numbers = summarize(columns, "OwnTract").numbers
    assert [n.title for n in numbers[2:]] == [
        "OwnTract weighted load, side of the lesion",
        "Largest share of a OwnTract cross-section",
    ]


def test_the_origin_of_the_results(summarize):
    facts = {"date": "2026-01-31T09:05:07+01:00", "versions": {"bids_stroke": "1.2"}}
    segmented = summarize(model="simstroke", contrasts=["T1w", "FLAIR"], **facts)
    assert segmented.origin == "2026-01-31 09:05; bids_stroke 1.2; model simstroke (T1w, FLAIR)"
    supplied = summarize(model=SUPPLIED_MASKS, **facts)
    assert supplied.origin == "2026-01-31 09:05; bids_stroke 1.2; user-supplied masks"
    assert summarize().origin == ""
