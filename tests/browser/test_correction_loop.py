"""The loop from a wrong mask to a better model: run, correct in the browser, run again, fine-tune."""

import json
import re
import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

from bids_stroke.evaluation.metrics import dice
from bids_stroke.training.recipes import read_content

pytestmark = pytest.mark.exhaustive

PARTICIPANTS = [f"sub-{number:02d}" for number in range(1, 6)]
CORRECTED = "space-T1w_label-L_desc-corrected_mask.nii.gz"


def command(module, *arguments):
    """Run a command of bids_stroke and return its output."""
    line = [sys.executable, "-m", f"bids_stroke{module}", *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def model_mask(out, participant):
    """Return the mask of the model in an output folder."""
    outputs = json.loads((out / "logs" / f"{participant}_run.json").read_text())["outputs"]
    path = outputs.get("model_lesion_mask", outputs["lesion_mask"])
    return np.asanyarray(nib.load(out / path).dataobj) > 0


def truth(bids, participant):
    """Return the path of the true mask of a participant."""
    (path,) = (bids / "derivatives").rglob(f"{participant}_*label-L*_mask.nii.gz")
    return path


def long_steps(out, participant):
    """Return the names of the steps of the last run that took a second or more."""
    return set(json.loads((out / "logs" / f"{participant}_run.json").read_text())["steps"])


def correct_in_browser(page, folder):
    """Lower the threshold on the drawing page, and save the mask and its sidecar in a folder."""
    page.wait_for_selector("body[data-ready]")
    page.locator("[name=threshold]").fill("19")  # a step of the threshold: 0.2
    page.get_by_role("button", name="Replace the drawing").click()
    page.get_by_label("Rater").fill("AB")
    with (
        page.expect_download(lambda item: item.suggested_filename.endswith(".json")) as sidecar,
        page.expect_download(lambda item: item.suggested_filename.endswith(".nii.gz")) as saved,
    ):
        page.get_by_role("button", name="Save the corrected mask").click()
    for download in (sidecar.value, saved.value):
        download.save_as(folder / download.suggested_filename)


def test_a_corrected_mask_improves_the_model(tmp_path, browser_page):
    bids, out = tmp_path / "bids", tmp_path / "out"
    downloads, corrections = tmp_path / "downloads", tmp_path / "corrections"
    downloads.mkdir()
    command(".cli.simulate", bids, "--participants", len(PARTICIPANTS), "--resolution", 2)
    run = (bids, out, "participant", "--brain-extraction", "deepbet", "--nprocs", 2)
    command("", *run)
    correct_in_browser(browser_page(out / "sub-01_drawing.html"), downloads)
    for participant in PARTICIPANTS[1:]:
        shutil.copy(truth(bids, participant), downloads / f"{participant}_{CORRECTED}")
    filed = ("collect", downloads, corrections, "--derivatives", out, "--rater", "CD")
    command(".cli.review", *filed)

    steps = {"brain extraction", "bias correction (FLAIR)", "lesion segmentation", "normalization"}
    assert all(steps <= long_steps(out, participant) for participant in PARTICIPANTS)
    command("", *run, "--corrections", corrections)
    for participant in PARTICIPANTS:
        assert steps & long_steps(out, participant) == {"normalization"}
    command("", out.parent / "bids", out, "group")
    agreement = pd.read_csv(out / "group_agreement.tsv", sep="\t")
    assert agreement["participant_id"].tolist() == PARTICIPANTS

    recipe = read_content("finetune")
    recipe["data"]["brain_extraction"] = "deepbet"
    recipe["finetuning"] |= {"steps": 16, "validation_every": 8}
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(recipe))
    model = tmp_path / "model"
    command(".cli.train", tmp_path / "short.yaml", bids, model, "--labels", corrections, "--nprocs", 2)
    summary = json.loads((model / "summary.json").read_text())
    split = pd.read_csv(model / "split.tsv", sep="\t")
    assert sorted(split["part"]) == ["test", "training", "training", "training", "validation"]
    better = summary["dice_test_after"] > summary["dice_test_before"]
    assert (summary["card"] is not None) == better
    held_out = split.loc[split["part"] == "test", "participant_id"].item()
    card = summary["card"] or "simstroke"
    label = re.sub("sub-", "", held_out)
    again = (bids, tmp_path / "again", "participant", "--participant-label", label)
    command("", *again, "--brain-extraction", "deepbet", "--model", card)
    true = np.asanyarray(nib.load(truth(bids, held_out)).dataobj) > 0
    before, after = (dice(model_mask(folder, held_out), true) for folder in (out, tmp_path / "again"))
    assert after >= before - 0.01
