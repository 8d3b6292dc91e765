"""Matching and measurement of pairs, and reasons for missing scores."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.errors import DatasetError
from bids_stroke.evaluation import columns, metrics, run
from bids_stroke.reports.evaluation import LEVELS
from bids_stroke.spatial import templates

SHAPE = (24, 42, 20)
AFFINE = np.diag([2.0, 1.0, 3.0, 1.0])


def mask(*box):
    data = np.zeros(SHAPE, np.uint8)
    data[tuple(slice(*edges) for edges in box)] = 1
    return data


TRUTH = mask((4, 12), (5, 15), (3, 9))
PRED = mask((6, 14), (5, 15), (3, 9))


def write(folder, name, data, affine=AFFINE):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


@pytest.fixture
def folders(tmp_path):
    """Truth and prediction of two participants with BIDS names."""
    for number in ("01", "02"):
        name = f"sub-{number}_ses-1_space-T1w_label-L_mask.nii.gz"
        write(tmp_path / "truth" / f"sub-{number}", name, TRUTH)
        write(tmp_path / "pred" / f"sub-{number}", name, PRED)
    return tmp_path


def evaluate(folder, **models):
    predictions = {name: folder / subfolder for name, subfolder in (models or {"m": "pred"}).items()}
    return run.evaluate(predictions, folder / "truth")


def test_a_row_contains_the_metrics(folders):
    rows, lesions = evaluate(folders)
    assert list(rows) == list(columns.COLUMNS) and len(rows) == 2
    row = rows.iloc[0]
    assert (row.participant_id, row.session_id, row.model) == ("sub-01", "ses-1", "m")
    counts = metrics.confusion(PRED, TRUTH)
    assert (row.tp, row.fp, row.fn, row.tn) == counts
    assert row.dice == pytest.approx(counts.dice) and row.accuracy == pytest.approx(counts.accuracy)
    assert row.true_volume_ml == pytest.approx(TRUTH.sum() * 6 / 1000)
    assert row.hd_mm == pytest.approx(4)  # two voxels of 2 mm
    assert row.er_lv == 0 and row.count_difference == 0 and row.f1_isles == 1
    assert "max_dice" in row.reason and "er_ll" in row.reason and np.isnan(row.max_dice)
    assert lesions["definition"].unique().tolist() == [
        "f1_anima",
        "f1_10percent",
        "f1_atlas",
        "f1_isles",
        "rq",
    ]
    assert len(lesions) == 2 * 2 * 5
    assert lesions.detected.all()


def test_stored_orientation_does_not_matter(folders):
    path = folders / "pred" / "sub-01" / "sub-01_ses-1_space-T1w_label-L_mask.nii.gz"
    nib.save(nib.load(path).as_reoriented([[1, -1], [0, 1], [2, -1]]), path)
    rows, _ = evaluate(folders)
    assert rows.dice[0] == pytest.approx(rows.dice[1])


@pytest.mark.parametrize(
    ("data", "affine", "message"),
    [
        (PRED * 0.4, AFFINE, "no voxel reaches 0.5"),
        (PRED + mask((20, 23), (20, 23), (15, 18)) * 2, AFFINE, "labels 1, 2"),
        (PRED[:20], AFFINE, r"shape \(20, 42, 20\)"),
        (PRED, np.diag([2.0, 2.0, 3.0, 1.0]), "2x2x3 mm"),
        (PRED, AFFINE + np.eye(4)[:, [1, 2, 3, 0]] * [0, 0, 0, 9], "position differ"),
        (PRED.astype(float) * -1, AFFINE, "negative"),
    ],
    ids=["probability", "labels", "shape", "voxels", "place", "negative"],
)
def test_invalid_predictions_are_reported_and_the_others_compared(folders, data, affine, message):
    write(folders / "pred" / "sub-01", "sub-01_ses-1_space-T1w_label-L_mask.nii.gz", data, affine)
    rows, _ = evaluate(folders)
    bad, good = rows.iloc[0], rows.iloc[1]
    assert pd.Series([bad.reason]).str.contains(message)[0] and np.isnan(bad.dice)
    assert good.dice > 0


def test_missing_and_unreadable_files_are_reported(folders):
    (folders / "pred" / "sub-01" / "sub-01_ses-1_space-T1w_label-L_mask.nii.gz").unlink()
    (folders / "truth" / "sub-02" / "sub-02_ses-1_space-T1w_label-L_mask.nii.gz").write_bytes(b"x")
    write(folders / "pred" / "sub-03", "sub-03_label-L_mask.nii.gz", PRED)
    rows, _ = evaluate(folders)
    reasons = dict(zip(rows.participant_id, rows.reason, strict=True))
    assert "no predicted mask of sub-01_ses-1" in reasons["sub-01"]
    assert "cannot be read" in reasons["sub-02"]
    assert "no true mask of sub-03" in reasons["sub-03"]
    assert rows.dice.isna().all()


def test_numbers_of_voxels_have_all_digits(folders):
    """Also beside a pair that was not compared, whose numbers are missing."""
    large = (150, 160, 140)
    for kind in ("truth", "pred"):
        name = f"{kind}/sub-01/sub-01_ses-1_space-T1w_label-L_mask.nii.gz"
        write(folders, name, np.pad(TRUTH, [(0, n - m) for n, m in zip(large, SHAPE, strict=True)]))
    (folders / "pred/sub-02/sub-02_ses-1_space-T1w_label-L_mask.nii.gz").unlink()
    rows, _ = evaluate(folders)
    written = write_tsv(rows[["tp", "fp", "fn", "tn"]], folders / "x.tsv").read_text()
    tp = np.count_nonzero(TRUTH)
    expected = f"{tp}\t0\t0\t{np.prod(large) - tp}"
    assert written.splitlines()[1:] == [expected, "n/a\tn/a\tn/a\tn/a"]


def test_empty_masks_have_a_reason(folders):
    write(folders / "pred" / "sub-01", "sub-01_ses-1_space-T1w_label-L_mask.nii.gz", PRED * 0)
    for kind in ("pred", "truth"):
        path = folders / kind / "sub-02"
        write(path, "sub-02_ses-1_space-T1w_label-L_mask.nii.gz", PRED * 0)
    rows, _ = evaluate(folders)
    assert rows.dice.tolist() == [0, 1]
    assert rows.reason[0].startswith("The prediction is empty.")
    assert rows.reason[1].startswith("The truth and the prediction are empty.")
    assert np.isnan(rows.hd_mm[0]) and rows.hd_mm[1] == 0
    for row in rows.to_dict("records"):
        missing = [s for s in columns.SCORES if pd.isna(row[s])]
        assert not missing or pd.notna(row["reason"])


def test_the_prediction_on_the_grid_of_the_truth_is_used(folders):
    other = PRED[:, :, :10]
    write(folders / "pred" / "sub-01", "sub-01_ses-1_space-FLAIR_label-L_mask.nii.gz", other)
    rows, _ = evaluate(folders)
    assert rows.dice[0] == pytest.approx(rows.dice[1])


def test_files_without_bids_names_match_by_name(tmp_path):
    write(tmp_path / "truth", "case_7.nii.gz", TRUTH)
    write(tmp_path / "pred", "case_7.nii.gz", PRED)
    rows, _ = evaluate(tmp_path)
    assert rows.participant_id.tolist() == ["case_7"] and rows.dice[0] > 0
    with pytest.raises(DatasetError, match="no lesion mask"):
        run.evaluate({"m": tmp_path / "pred"}, tmp_path / "nothing")


def test_max_dice_uses_the_probability_of_the_mask(folders):
    probability = np.where(TRUTH, 0.4, np.where(PRED, 0.3, 0)).astype(np.float32)
    name = "sub-01_ses-1_space-T1w_label-L_probseg.nii.gz"
    write(folders / "pred" / "sub-01", name, probability)
    rows, _ = evaluate(folders)
    assert rows.max_dice[0] == 1 and np.isnan(rows.max_dice[1])


@pytest.mark.parametrize(
    ("probability", "message"),
    [
        (PRED[:20] * 0.5, r"has shape \(20, 42, 20\)"),
        (np.stack([PRED, TRUTH], 3) * 0.5, "shape"),
        (PRED * 90.0, "contains values from 0 to 90, but a probability must be between 0 and 1"),
        (PRED * np.nan, "NaN"),
    ],
    ids=["shape", "4D", "percentages", "NaN"],
)
def test_an_invalid_probability_does_not_affect_the_other_scores(folders, probability, message):
    path = folders / "pred" / "sub-01"
    write(path, "sub-01_ses-1_space-T1w_label-L_probseg.nii.gz", probability.astype(np.float32))
    write(folders / "pred" / "sub-02", "sub-02_ses-1_space-T1w_label-L_probseg.nii.gz", TRUTH * 0.9)
    rows, _ = evaluate(folders)
    assert rows["dice"].notna().all() and rows["f1_isles"].tolist() == [1, 1]
    assert np.isnan(rows["max_dice"][0]) and np.isnan(rows["pr_auc"][0])
    assert pd.Series([rows["reason"][0]]).str.contains("cannot be compared.*" + message)[0]
    assert rows["max_dice"][1] == 1 and rows["pr_auc"][1] == 1


def test_a_probability_at_another_position_is_rejected(folders):
    name = "sub-01_ses-1_space-T1w_label-L_probseg.nii.gz"
    write(folders / "pred" / "sub-01", name, TRUTH * 0.5, AFFINE + np.eye(4)[:, [1, 2, 3, 0]] * 9)
    rows, _ = evaluate(folders)
    assert np.isnan(rows["max_dice"][0]) and "position differ" in rows["reason"][0]


def test_an_unexpected_error_affects_one_pair_only(folders, monkeypatch):
    """The other pairs are compared, and the reason is reported."""

    def fail_for_the_first(pred, truth, spacing, distances=metrics.surface_distances):
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError("no room")
        return distances(pred, truth, spacing)

    calls = []
    monkeypatch.setattr(metrics, "surface_distances", fail_for_the_first)
    rows, _ = evaluate(folders)
    assert rows["dice"].isna().tolist() == [True, False]
    assert rows["reason"][0] == "Unexpected error: MemoryError('no room')."


def test_loads_in_the_template(tmp_path):
    grid = templates.template().t1w
    x, y, z = nib.affines.apply_affine(np.linalg.inv(grid.affine), (-25, -20, 20)).astype(int)
    data = np.zeros(grid.shape, np.uint8)
    data[x - 6 : x + 6, y - 6 : y + 6, z - 6 : z + 6] = 1
    name = "sub-01_space-MNI152NLin2009aSym_label-L_mask.nii.gz"
    write(tmp_path / "truth", name, data, grid.affine)
    data[x : x + 6] = 0
    write(tmp_path / "pred", name, data, grid.affine)
    rows, _ = evaluate(tmp_path)
    row = rows.iloc[0]
    assert 0 < row.predicted_load_ml < row.true_load_ml
    expected = 100 * (row.true_load_ml - row.predicted_load_ml) / row.true_load_ml
    assert row.er_ll == pytest.approx(expected)
    assert row.true_category in ("small", "medium", "large")
    assert row.super_region[:3] in ("R1 ", "R2 ", "R3 ", "R4 ")


def lesions_of_sides(*sides):
    """Mask of the internal capsule of the given sides of the template."""
    grid = templates.template().t1w
    data = np.zeros(grid.shape, np.uint8)
    for x in (-25 if side == "left" else 25 for side in sides):
        center = nib.affines.apply_affine(np.linalg.inv(grid.affine), (x, -20, 10)).astype(int)
        data[tuple(slice(c - 6, c + 6) for c in center)] = 1
    return data, grid.affine


@pytest.mark.parametrize(
    ("true", "predicted", "categories"),
    [
        (("left",), (), (True, False)),
        ((), ("right",), (False, True)),
        (("left", "right"), ("left", "right"), (True, True)),
        (("right",), ("left", "right"), (True, True)),
        ((), (), (False, False)),
    ],
)
def test_loads_and_categories_are_those_of_one_side(tmp_path, true, predicted, categories):
    """Missed lesions, false positives and bilateral lesions have categories, which kappa counts."""
    name = "sub-01_space-MNI152NLin2009aSym_label-L_mask.nii.gz"
    write(tmp_path / "truth", name, *lesions_of_sides(*true))
    write(tmp_path / "pred", name, *lesions_of_sides(*predicted))
    row = evaluate(tmp_path)[0].iloc[0]
    for kind, has_load in zip(("true", "predicted"), categories, strict=True):
        assert (row[f"{kind}_load_ml"] > 0) == has_load
        assert (row[f"{kind}_category"] != "none") == has_load
        assert row[f"{kind}_category"] in LEVELS
    difference = abs(row.predicted_load_ml - row.true_load_ml)
    assert row.absolute_load_difference_ml == pytest.approx(difference)
    assert (difference > 1) == (categories[0] != categories[1])
