"""Corrected masks at both levels: what runs again, what the reports and tables state."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import bidsets
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from cards import make
from corrected import download

from bids_stroke.bids import record
from bids_stroke.bids.names import sidecar_of
from bids_stroke.cli.review import main as review
from bids_stroke.cli.run import main
from bids_stroke.evaluation.metrics import dice
from bids_stroke.models import writing
from bids_stroke.models.card import Network
from bids_stroke.models.networks import unet3d
from bids_stroke.spatial import image

pytestmark = pytest.mark.slow

NETWORK = {"in_channels": 1, "out_channels": 1, "channels": [2, 2], "strides": [1], "residual_units": 0}


def write_model(folder):
    """Write a tiny network with random weights, which segments an arbitrary part of the brain."""
    torch.manual_seed(2)
    network = unet3d.build(**NETWORK)
    card = make(network=Network("unet3d", NETWORK), spacing=(4.0,) * 3, normalization="zscore")
    return writing.write(writing.describe(card), [network.state_dict()], folder)


class Study:
    """A participant, its derivatives, and a correction of its lesion mask."""

    def __init__(self, folder):
        self.bids, self.out, self.work = folder / "bids", folder / "out", folder / "work"
        self.downloads, self.corrections = folder / "downloads", folder / "corrections"
        self.model = write_model(folder)
        img, self.lesion = bidsets.scan(1, 18)
        image.save(img, bidsets.empty_dataset(self.bids) / "sub-1/anat/sub-1_T1w.nii.gz")

    def run(self, *options):
        fixed = ["--model", self.model, "--brain-extraction", "none", "--work-dir", self.work]
        arguments = [self.bids, self.out, "participant", *fixed, *options]
        return main(list(map(str, arguments)))

    def correct(self):
        mask, affine = np.asanyarray(self.lesion.dataobj), self.lesion.affine
        download(self.downloads, "sub-1", mask, affine=affine)
        arguments = ["collect", self.downloads, self.corrections, "--derivatives", self.out]
        return review(list(map(str, arguments)))

    def mask(self, desc, suffix="mask"):
        stem = f"sub-1/anat/sub-1_space-T1w_label-L_desc-{desc}_{suffix}"
        return np.asanyarray(nib.load(self.out / f"{stem}.nii.gz").dataobj)

    def ran(self, node):
        """Return when a step ran last."""
        (path,) = self.work.glob(f"*/sub-1/session_wf/{node}/result_*.pklz")
        return path.stat().st_mtime_ns

    def steps(self):
        """Return the steps in the folder of intermediate results."""
        paths = self.work.glob("*/sub-1/session_wf/*/*/result_*.pklz")
        return {"/".join(path.parts[-3:-1]) for path in paths}

    def record(self):
        return record.read(self.out, "sub-1")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The participant after a run with the model, and a run with the correction."""
    study = Study(tmp_path_factory.mktemp("study"))
    study.run()
    study.before = {n: study.ran(n) for n in ("reference_wf/bias", "lesion_wf/segment")}
    study.normalized = study.ran("template_wf/normalize")
    study.first, study.model_mask = study.record(), study.mask("T1lesion")
    assert study.correct() == 0
    study.run("--corrections", study.corrections)
    return study


def test_the_segmentation_is_not_repeated_but_the_normalization_is(study):
    assert study.record().identity != study.first.identity
    assert {node: study.ran(node) for node in study.before} == study.before
    assert study.ran("template_wf/normalize") > study.normalized


def test_all_measures_use_the_corrected_mask(study):
    entry = study.record()
    assert entry.status == "ok" and (entry.corrected_by, entry.model) == ("Ada", "tested")
    path = entry.path(study.out, "lesion_mask")
    assert path.name == "sub-1_space-T1w_label-L_desc-corrected_mask.nii.gz"
    expected = np.asanyarray(study.lesion.dataobj)
    assert np.array_equal(study.mask("corrected"), expected)
    volume = np.count_nonzero(expected) * 0.064
    assert entry.lesion_volume_ml == pytest.approx(volume, rel=1e-5)
    moved = nib.load(entry.path(study.out, "lesion_mask", "MNI152NLin2009aSym"))
    assert np.count_nonzero(moved.dataobj) / 1000 == pytest.approx(volume, rel=0.15)
    sidecar = json.loads(sidecar_of(path).read_text())
    assert sidecar["Rater"] == "Ada" and sidecar["Sources"][0].startswith("bids:corrections:sub-1/")
    assert not list(study.out.rglob("sub-1*MNI*probseg*"))


def test_the_mask_of_the_model_remains_for_comparison(study):
    entry = study.record()
    model, corrected = study.mask("T1lesion"), study.mask("corrected")
    assert model.any() and np.array_equal(model, study.model_mask)
    row = pd.read_csv(entry.path(study.out, "agreement"), sep="\t").iloc[0]
    assert row["dice"] == pytest.approx(dice(model, corrected), rel=1e-5)
    assert row["model_volume_ml"] == pytest.approx(study.first.lesion_volume_ml, rel=1e-5)
    difference = row["corrected_volume_ml"] - row["model_volume_ml"]
    assert row["volume_difference_ml"] == pytest.approx(difference, rel=1e-4)


def test_the_report_states_who_corrected_the_mask_and_the_difference(study):
    page = (study.out / "sub-1.html").read_text()
    assert "Lesion mask corrected by Ada on 2026-05-04 10:30: Dice with the mask of the model" in page
    assert "Correction on T1w" in page and "Agreement of the model with the corrected mask" in page
    assert "A rater corrected the lesion mask" in (study.out / "CITATION.md").read_text()


def test_the_validator_finds_no_error(study):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([validator, study.out, "--format", "json"], capture_output=True, text=True)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_the_group_level_lists_corrections_and_their_agreement(study):
    assert main([str(study.bids), str(study.out), "group"]) == 0
    table = pd.read_csv(study.out / "group_lesion.tsv", sep="\t")
    assert table["corrected_by"].tolist() == ["Ada"]
    agreement = pd.read_csv(study.out / "group_agreement.tsv", sep="\t")
    assert agreement[["participant_id", "corrected_by"]].values.tolist() == [["sub-1", "Ada"]]
    assert list(json.loads((study.out / "group_agreement.json").read_text())) == list(agreement)
    page = (study.out / "group.html").read_text()
    assert 'id="agreement"' in page and f"median {agreement['dice'][0]:.2f}" in page
    assert "Raters corrected the lesion masks (sessions: 1" in (study.out / "CITATION.md").read_text()


def test_a_second_run_is_up_to_date_and_a_changed_correction_is_not(study, capsys):
    before = (study.out / "logs/sub-1_run.json").read_bytes()
    study.run("--corrections", study.corrections)
    assert (study.out / "logs/sub-1_run.json").read_bytes() == before
    copy = study.corrections.with_name("changed")
    shutil.copytree(study.corrections, copy)
    path = next(copy.glob("sub-1/anat/*.json"))
    path.write_text(path.read_text().replace("Ada", "Bo"))
    study.run("--corrections", copy, "--dry-run")
    shown = capsys.readouterr().out
    assert "sub-1: would run" in shown and "corrected by Bo on 2026-05-04 10:30" in shown


def test_an_empty_correction(study):
    """The model marked a lesion, and there is none."""
    downloads, corrections = study.downloads.with_name("empty"), study.corrections.with_name("none")
    mask = np.zeros_like(study.lesion.dataobj)
    download(downloads, "sub-1", mask, affine=study.lesion.affine)
    arguments = "collect", downloads, corrections, "--derivatives", study.out, "--allow-empty"
    assert review(list(map(str, arguments))) == 0
    study.run("--corrections", corrections)
    entry = study.record()
    assert entry.status == "ok" and entry.lesion_volume_ml == 0
    assert not study.mask("corrected").any() and study.mask("T1lesion").any()
    row = pd.read_csv(entry.path(study.out, "agreement"), sep="\t").iloc[0]
    assert row["dice"] == 0 and row["removed_ml"] == row["model_volume_ml"] > 0
    assert "Lesion mask corrected by Ada" in (study.out / "sub-1.html").read_text()
    assert main([str(study.bids), str(study.out), "group"]) == 0


@pytest.mark.exhaustive
def test_a_removed_correction_restores_the_mask_of_the_model(study, capsys):
    """The segmentation is not repeated even without intermediate results. This test is the last one."""
    shutil.rmtree(study.work)
    study.run()
    entry = study.record()
    assert entry.corrected_by is None and entry.outputs == study.first.outputs
    assert entry.identity == study.first.identity
    assert np.array_equal(study.mask("T1lesion"), study.model_mask)
    assert not list(study.out.rglob("*desc-corrected*"))
    assert not list((study.out / "sub-1").rglob("*agreement*"))
    steps = study.steps()
    assert {"lesion_wf/earlier_probability", "template_wf/normalize"} <= steps
    assert steps.isdisjoint({"lesion_wf/segment", "reference_wf/extract"})
    assert "because --corrections is not given" in capsys.readouterr().err
