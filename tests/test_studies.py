"""Tests of the helpers of the studies on small data, and of the comparison of two output folders."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

STUDIES = Path(__file__).parents[1] / "studies"
NAME = "sub-01/anat/sub-01_space-T1w_label-L"


def write(folder, voxels=(1, 2), volume="1.5", version="1", unit="ml"):
    """Write an output folder with a mask, its sidecar, a probability map and a table."""
    (folder / NAME).parent.mkdir(parents=True)
    data = np.zeros((4, 4, 4), np.uint8)
    data[voxels] = 1
    nib.save(nib.Nifti1Image(data, np.eye(4)), folder / f"{NAME}_mask.nii.gz")
    nib.save(nib.Nifti1Image(data / np.float32(2), np.eye(4)), folder / f"{NAME}_probseg.nii.gz")
    (folder / f"{NAME}_morph.tsv").write_text(f"side\tvolume\nleft\t{volume}\nright\tn/a\n")
    content = {"Units": unit, "Source": str(folder), "GeneratedBy": [{"Version": version}]}
    (folder / f"{NAME}_mask.json").write_text(json.dumps(content))
    return folder


def compare(*arguments):
    """Compare output folders; return the exit status and the printed lines."""
    command = [sys.executable, STUDIES / "compare_outputs.py", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


def test_identical_outputs(tmp_path):
    folders = write(tmp_path / "before"), write(tmp_path / "after", version="2")
    status, lines = compare(*folders)
    assert status == 0
    assert lines[:3] == [f"{kind}: 1 of 1 identical" for kind in ("masks", "images", "tables")]
    assert lines[3:] == ["transforms: 0 of 0 identical", "sidecars: 1 of 1 identical"]


@pytest.mark.parametrize(
    "change, status, line",
    [
        ({"voxels": (1, 3)}, 1, f"  {NAME}_mask.nii.gz: 8 voxels differ by at most 1"),
        ({"volume": "1.75"}, 1, f"  {NAME}_morph.tsv: 1 cells (volume) differ by at most 0.25"),
        ({"volume": "n/a"}, 1, f"  {NAME}_morph.tsv: 1 cells (volume) differ"),
        ({"unit": "mm3"}, 0, f"  {NAME}_mask.json: 1 fields (Units) differ"),
    ],
)
def test_different_outputs(tmp_path, change, status, line):
    result, lines = compare(write(tmp_path / "before"), write(tmp_path / "after", **change))
    assert result == status and line in lines


def test_tolerance(tmp_path):
    folders = write(tmp_path / "before"), write(tmp_path / "after", volume="1.51")
    assert compare(*folders)[0] == 1
    assert compare(*folders, "--tolerance", 0.02)[0] == 0


def test_missing_outputs(tmp_path):
    before = write(tmp_path / "before")
    after = Path(shutil.copytree(before, tmp_path / "after"))
    (after / f"{NAME}_mask.nii.gz").unlink()
    status, lines = compare(before, after)
    assert status == 1 and f"  {NAME}_mask.nii.gz: only before" in lines


@pytest.fixture
def embedded_model(monkeypatch):
    monkeypatch.syspath_prepend(str(STUDIES))
    return importlib.import_module("embedded_model")


def test_intervals_over_heads_are_wider_than_over_lesions(embedded_model):
    """For eight heads with different means (SD 1) and 20 lesions each (SD 0.1), the standard error is
    that of eight means, 1 / sqrt(8) = 0.35, and not that of 160 lesions, 0.08."""
    rng = np.random.default_rng(2)
    means = rng.standard_normal(8)
    means = (means - means.mean()) / means.std()
    heads = pd.Series(np.repeat(np.arange(8), 20))
    values = pd.Series(np.repeat(means, 20) + rng.normal(0, 0.1, 160))
    mean, low, high = embedded_model.nested_bootstrap(values, heads)
    assert mean == pytest.approx(values.mean())
    assert (high - low) / (2 * 1.96) == pytest.approx(8**-0.5, rel=0.15)


@pytest.fixture
def claims(monkeypatch):
    monkeypatch.syspath_prepend(str(STUDIES))
    return importlib.import_module("claims")


@pytest.fixture
def rows():
    """Dice of 24 patients from 8 heads: differences are constant, or vary between heads."""
    heads = np.repeat(np.arange(8), 3)
    base = np.linspace(0.2, 0.6, 24)
    by_head = np.where(heads < 5, 0.1, -0.1)  # the same for the three patients of a head
    models = {"worse": base, "varied": base + by_head, "better": base + 0.1}
    parts = [
        pd.DataFrame({"participant_id": range(24), "unit": heads, "model": name, "dice": dice})
        for name, dice in models.items()
    ]
    return pd.concat(parts).assign(super_region="R1 inferior frontal")


@pytest.mark.parametrize(
    "model, others, lower, expected",
    [
        ("better", [["worse"]], False, "holds (dice +0.100, 0.100 to 0.100; 8 heads)"),
        ("worse", [["better"]], False, "fails (dice -0.100, "),
        ("worse", [["better"]], True, "holds (dice -0.100, "),
        ("varied", [["worse"]], False, "no difference shown (dice +0.025, "),
        ("better", [["worse"], ["varied"]], False, "no difference shown (dice +0.075, "),
        ("better", [["worse", "varied"]], False, "holds (dice +0.08"),
        ("better", [], False, "holds (dice +0.500, "),
        ("better", [["missing"]], False, "not measured"),
        ("missing", [["better"]], False, "not measured"),
    ],
)
def test_a_claim_needs_an_interval_over_heads_that_excludes_0(
    claims, rows, model, others, lower, expected
):
    """A larger mean is not enough, and a claim of being the best must hold against each other model."""
    text = claims.verdict(rows, claims.Claim("It is better", "dice", [model], others, lower))
    assert text.startswith(f"It is better: {expected}")


def test_a_claim_needs_six_heads(claims, rows):
    few = rows[rows["unit"] < 5]
    claim = claims.Claim("It is better", "dice", ["better"], [["worse"]])
    assert "no difference shown (dice +0.100, 0.100 to 0.100; 5 heads)" in claims.verdict(few, claim)
    elsewhere = claims.Claim("It is better", "dice", ["better"], [["worse"]], regions=("R2",))
    assert claims.verdict(rows, elsewhere) == "It is better: not measured"


def test_values_of_the_papers_are_beside_ours(monkeypatch):
    monkeypatch.syspath_prepend(str(STUDIES))
    paper_tables = importlib.import_module("paper_tables")
    ours = pd.DataFrame({"Model": ["AttUNet", "VNet"], "Mixed Data: DSC": ["0.4", "0.5"]})
    table = paper_tables.beside("S1_table1", ours)
    assert table.iloc[:4, :3].to_numpy().tolist() == [
        ["AttUNet", "ours", "0.4"],
        ["AttUNet", "paper", "0.647"],
        ["VNet", "ours", "0.5"],
        ["VNet", "paper", "0.711"],
    ]
    assert len(table) == 2 + 8 and table["Mixed Data: Rec"][0].tolist()[0] == "–"


def test_values_of_the_papers_have_the_columns_of_the_tables():
    """Columns are those of the tables of an evaluation."""
    from bids_stroke.evaluation import columns, published_tables

    names = ("UNet", "UNet_FT", "pretrained (T1w)", "fine-tuned (T1w+FLAIR)")
    content = dict.fromkeys([*columns.SCORES, "true_volume_ml"], 0.5)
    content |= dict.fromkeys(["tp", "fp", "fn", "tn"], 1)
    content |= {"session_id": None, "super_region": "R2", "participant_id": range(4), "unit": range(4)}
    parts = [pd.DataFrame(content | {"model": name}) for name in names]
    rows = pd.concat(parts, ignore_index=True)
    for path in (STUDIES / "published").glob("*.tsv"):
        table = getattr(published_tables, path.stem.lower())(rows)
        paper = pd.read_csv(path, sep="\t", dtype=str)
        assert set(paper.columns) <= set(table.columns), path
        assert not paper.isna().any(axis=None), path


def scores(models):
    """Scores of models on 12 scans of 12 heads."""
    from bids_stroke.evaluation import columns

    rng = np.random.default_rng(0)
    names = [*columns.SCORES, "true_volume_ml", "fp"]
    content = {"participant_id": range(12), "unit": range(12), "session_id": None}
    regions = ["R1 a", "R2 b", "R3 c", "R4 d"] * 3
    parts = [
        pd.DataFrame({name: rng.uniform(0.1, 1, 12) for name in names})
        .assign(**content, model=model, super_region=regions)
        .assign(true_category="small", predicted_category=["small", "large"] * 6)
        for model in models
    ]
    return pd.concat(parts, ignore_index=True)


def test_every_claim_names_models_of_the_study(monkeypatch, claims):
    monkeypatch.syspath_prepend(str(STUDIES))
    claims2d, systems3d = map(importlib.import_module, ("claims2d", "systems3d"))
    single = [name + end for name in ("AttUNet", "ResNet", "VNet") for end in ("", "_FT")]
    stack, window = "stack: AttUNet, VNet", "AW: AttUNet, VNet (3, 0.5)"
    regions = "[R1, R4]: VNet; [R2]: ResNet, VNet{0}; [R3]: VNet"
    by_region = [f"stack: {regions.format('')}", f"AW: {regions.format(' (2, 0.5)')}"]
    selection = [
        *(
            (scope, method, model)
            for scope in ("1 & 4", "2", "3")
            for method, model in (
                ("Individual", "VNet"),
                ("Stack", stack),
                ("Agreement Window", window),
            )
        ),
        ("Whole-Brain", "Mixed Data", "VNet"),
        ("Whole-Brain", "ImTT", "AttUNet_FT"),
        ("Whole-Brain", "Stack", stack),
        ("Whole-Brain", "AW", window),
        ("Super-Region-wise", "Stack", by_region[0]),
        ("Super-Region-wise", "AW", by_region[1]),
    ]
    selection = pd.DataFrame(selection, columns=["scope", "method", "model"])
    rows = scores([*single, stack, window, *by_region])
    lines = [claims.verdict(rows, claim) for claim in claims2d.claims_s1(rows, selection)]
    assert len(lines) == 20 and not any("not measured" in line for line in lines)
    assert "against" in lines[-1] and "(12 heads" not in lines[5] and "; 6 heads" in lines[5]
    assert "in 6 of 12 scans" in claims2d.categories(rows, selection)
    planes = ("sagittal", "coronal", "axial", "vote")
    rows = scores(f"ResNet-50, {plane}, {w}" for plane in planes for w in ("ImageNet", "random"))
    lines = [claims.verdict(rows, claim) for claim in claims2d.claims_s5(rows)]
    for system, of_system in (("s2", systems3d.claims_s2), ("s4", systems3d.claims_s4)):
        rows = scores(systems3d.SYSTEMS[system])
        lines += [claims.verdict(rows, claim) for claim in of_system()]
        if system == "s2":
            lines.append(systems3d.size_claim(rows))
    assert len(lines) == 5 + 6 + 1 + 9 and not any("not measured" in line for line in lines)


def test_learning_curves(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(STUDIES))
    learning_curves = importlib.import_module("learning_curves")
    values = {0: {0: 0.1, 1: 0.2, 2: 0.9}, 1: {2: 0.3, 3: 0.4, 4: 0.5}}  # epoch 2 was repeated
    for version, dice in values.items():
        log = tmp_path / f"log/version_{version}/metrics.csv"
        log.parent.mkdir(parents=True)
        lines = [f"{epoch},{value},\n{epoch},,0.7\n" for epoch, value in dice.items()]
        log.write_text("epoch,val_dice,loss\n" + "".join(lines))
    np.testing.assert_allclose(learning_curves.read(tmp_path), [0.1, 0.2, 0.3, 0.4, 0.5])
    rows = pd.DataFrame({"model": "UNet", "true_volume_ml": [5, 20, 30], "dice": [0, 0.6, 0.8]})
    (line,) = learning_curves.table({"UNet": tmp_path}, rows).to_dict("records")
    shares = {"25%": "0.20", "50%": "0.30", "75%": "0.40", "100%": "0.50"}
    assert line == {"model": "UNet", "epochs": 5, **shares, "test, over 10 ml": "0.70"}


def test_detection_needs_a_component_that_covers_a_tenth(embedded_model):
    """A lesion of 100 voxels is not detected by components of 5 voxels, but by one of 10 voxels."""
    scores = importlib.import_module("embedded_scores").scores
    truth = np.zeros((12, 12, 12), bool)
    truth[1:5, 1:6, 1:6] = True
    components = np.zeros_like(truth)
    components[1, 1, 1:7] = components[4, 5, 1:6] = True
    assert scores(components, truth, 0.001)["detected"] == 0
    components[4, 4, 1:6] = True
    assert scores(components, truth, 0.001)["detected"] == 1
    assert scores(components, truth, 0.001)["true_ml"] == pytest.approx(0.1)


@pytest.fixture
def lesion_symptom(monkeypatch):
    monkeypatch.syspath_prepend(STUDIES)
    return importlib.import_module("lesion_symptom")


@pytest.mark.slow
def test_simulated_outcomes(shared, lesion_symptom):
    errors = lesion_symptom.errors(runs=3, patients=60)
    assert len(errors) == 12 and errors["error (%)"].between(0, 100).all()
    matrix, _ = lesion_symptom.lesions(60)
    side = lesion_symptom.BLOCK_MM // lesion_symptom.SPACING_MM
    first = (
        matrix.lesions[[0]].toarray().reshape(matrix.grid.shape)[: 24 * side, : 29 * side, : 23 * side]
    )
    halves = first.reshape(24, side, 29, side, 23, side).sum((1, 3, 5)) >= side**3 / 2
    blocks = lesion_symptom.blocks(matrix)[[0]].toarray().reshape(25, 30, 24)
    assert (blocks[:24, :29, :23] == halves).all()


@pytest.fixture
def bidsgate_scores(monkeypatch):
    monkeypatch.syspath_prepend(str(STUDIES))
    return importlib.import_module("bidsgate_scores")


@pytest.fixture
def scored(tmp_path, bidsgate_scores):
    """Write a cohort of one scan with lesions of 64 and 8 voxels of 8 mm3; the larger is predicted."""
    data = np.zeros((20, 20, 20), np.uint8)
    data[2:6, 2:6, 2:6] = 1
    data[12:14, 12:14, 12:14] = 1
    true = nib.Nifti1Image(data, np.diag([2.0, 2, 2, 1]))
    predicted = nib.Nifti1Image(data * (np.arange(20) < 8).astype(np.uint8), true.affine)
    bidsgate_scores.write_truth(true, "sub-01", tmp_path / "truth")
    for name, mask in (("manual", true), ("predicted", predicted)):
        (tmp_path / name).mkdir()
        mask.to_filename(tmp_path / name / "sub-01.nii.gz")
    return tmp_path


def test_lesions_in_the_layout_of_bidsgate(scored, bidsgate_scores):
    stem = scored / "truth/sub-01/anat/sub-01_desc-lesion"
    lesions = json.loads(Path(f"{stem}_truth.json").read_text())["lesions"]
    assert [lesion["id"] for lesion in lesions] == [1, 2]
    assert [lesion["volume_mm3"] for lesion in lesions] == pytest.approx([512, 64])
    labels = nib.load(f"{stem}Truth_mask.nii.gz").get_fdata()
    assert labels[3, 3, 3] == 1 and labels[12, 12, 12] == 2


def test_both_programs_score_the_same(scored, bidsgate_scores):
    program = shutil.which("bidsgate") or pytest.skip("bidsgate is not installed")
    scans, lesions = bidsgate_scores.score(scored, program)
    assert list(lesions["detected"]) == [True, False]
    summary = bidsgate_scores.summarize(scans)
    assert summary["detected, bidsgate"] == summary["detected, bids_stroke"] == 1
    assert summary["Dice, bids_stroke"] == pytest.approx(128 / 136)
    assert summary["difference of Dice, largest"] == pytest.approx(0, abs=1e-6)
