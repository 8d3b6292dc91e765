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
def common(monkeypatch):
    monkeypatch.syspath_prepend(str(STUDIES))
    return importlib.import_module("common")


def test_claim_needs_an_interval_over_heads_that_excludes_0(common, tmp_path):
    """For 24 patients from 8 heads, differences that vary between heads show no difference; constant
    differences do."""
    heads = np.repeat(np.arange(8), 3)
    base = np.linspace(0.2, 0.6, 24)
    by_head = np.where(heads < 5, 0.1, -0.1)  # the same for the three patients of a head
    models = {"worse": base, "varied": base + by_head, "better": base + 0.1}
    rows = pd.concat(
        pd.DataFrame({"participant_id": range(24), "unit": heads, "model": name, "dice": dice})
        for name, dice in models.items()
    )
    rows.to_csv(tmp_path / "evaluation.tsv", sep="\t", index=False)
    pairs = [("First", "better", "worse"), ("Second", "varied", "worse"), ("Third", "worse", "better")]
    first, second, third = common.claims(tmp_path, pairs).splitlines()
    assert "First: better (difference +0.100, 0.100 to 0.100; 8 heads)" in first
    assert "Second: no difference shown (difference +0.025, " in second
    assert "Third: worse (difference -0.100" in third
    difference = common.difference(rows, "dice", ["worse"], ["better"])
    assert common.verdict(difference, lower=True).startswith("better (difference -0.100")


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
