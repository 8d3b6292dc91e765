"""Every recipe for patients at toy size, from scans to scores, with killed trainings."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec

import bidsets
import pandas as pd
import pytest
import yaml

from bids_stroke.cli import evaluate, models
from bids_stroke.cli.run import main
from bids_stroke.models import catalog, weights, writing
from bids_stroke.models.card import Network
from bids_stroke.spatial import image
from bids_stroke.training import recipes

CONTRASTS = {"T1w": 1.0, "FLAIR": -1.0, "T2w": -1.2}
EDGE = [28] * 3
TINY = {
    "resunet3d": {"features": 8, "groups": 4, "encoder": [1, 1, 1], "decoder": [1, 1]},
    "unet3d": {"channels": [4, 8, 8], "strides": [1, 2], "residual_units": 1},
    "nnunet": {
        "epochs": 2,
        "iterations": 2,
        "validation_iterations": 1,
        "workers": 0,
        "save_every": 1,
        "gpu_memory_gb": 0.2,
        "spacing": [4.0] * 3,
    },
}
pytestmark = pytest.mark.slow
# Recipe, recipe of its initial model, and exported card. A recipe takes a minute or more.
QUICK = ("s2_zoom_in", "s4_adapt")
RECIPES = {
    "s2": (None, "s2-E"),
    "s2_zoom_in": (None, "s2_zoom_in"),
    "s2_prolonged": (None, "s2_prolonged"),
    "s3": (None, "s3"),
    "s3_adapt": ("s3", "s3_adapt"),
    "s3_adapt_flair": ("s3", "s3_adapt_flair"),
    "s4": (None, "s4"),
    "s4_published": (None, "s4_published"),
    "s4_adapt_flair": ("s4", "s4_adapt_flair"),
    "s4_adapt": ("s4", "s4_adapt"),
    "s4_control": ("s4", "s4_control"),
    "s4_open": ("s4", "s4_open"),
    "embedded_plus_open": ("simulated", "embedded_plus_open"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Training scans in ``atlas``, a patient in ``patients``, and the true mask in ``truth``."""
    folder = tmp_path_factory.mktemp("recipes")
    atlas = bidsets.atlas(folder / "atlas", 5)
    for n, path in enumerate(sorted(atlas.rglob("*_T1w.nii.gz"))):
        for contrast in ("FLAIR", "T2w"):
            img, _ = bidsets.scan(n, contrast=CONTRASTS[contrast])
            image.save(img, path.with_name(path.name.replace("T1w", contrast)))
    patients, truth = (
        bidsets.empty_dataset(folder / "patients"),
        bidsets.empty_dataset(folder / "truth"),
    )
    for contrast, sign in CONTRASTS.items():
        img, lesion = bidsets.scan(50, contrast=sign)
        image.save(img, patients / f"sub-1/anat/sub-1_{contrast}.nii.gz")
    image.save(lesion, truth / "sub-1/anat/sub-1_space-T1w_label-L_mask.nii.gz")
    recipe = yaml.safe_load(tiny("embedded_plus_open", folder).read_text())
    untrained = {
        "name": "simulated",
        "network": recipe["network"],
        "channels": [{"contrast": contrast, "required": False} for contrast in CONTRASTS],
        "space": "native",
        "spacing": [4.0] * 3,
        "normalization": "zscore",
        "trained_on": "nothing",
        "measured": [],
        **recipe["card"],
    }
    writing.write(
        untrained, [weights.build(Network(**recipe["network"])).state_dict()], folder / "cards"
    )
    return folder


def tiny(name, folder):
    """A recipe at 4 mm with a small network and few epochs."""
    recipe = recipes.read_content(name)
    recipe["data"]["brain_extraction"] = "none"
    recipe["split"] = {"folds": 2} if "folds" in recipe["split"] else {"validation": 1}
    if "nnunet" in recipe:
        recipe["nnunet"] |= TINY["nnunet"]
        recipe["nnunet"].pop("decay_epochs", None)
    else:
        recipe["data"]["spacing"] = [4.0] * 3
        recipe["network"]["arguments"] |= TINY[recipe["network"]["family"]]
        recipe["training"]["workers"] = 0
        for stage in recipe["stages"]:
            stage |= {"tile": EDGE, "epochs": 2, "cycle": 2}
            if "snapshots" in stage:
                stage["snapshots"] = [1, 2]
        recipe["card"]["tile"] = EDGE
        if "window" in recipe["card"]:
            recipe["card"]["window"] = EDGE
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def trained(name, start, folder):
    """Train with an interruption by a kill, export the cards, and return their folder."""
    cards = folder / "cards"
    if (cards / f"{name}.yaml").is_file():
        return cards
    command = [sys.executable, "-m", "bids_stroke.cli.train", tiny(name, folder), folder / "atlas"]
    command += [folder / name, "--labels", folder / "atlas"]
    if start:
        if start in RECIPES:
            trained(start, None, folder)
        command += ["--initial", cards / f"{start}.yaml"]
    command = list(map(str, command))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=environment, **output) as killed:
        for line in killed.stdout:
            if "epoch 1 of 2" in line:
                killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    done = subprocess.run(command, env=environment, **output)
    assert done.returncode == 0, done.stdout
    assert models.main(["export", str(folder / name), str(cards)]) == 0
    return cards


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.exhaustive) for name in RECIPES],
)
def test_a_recipe_from_scans_to_scores(name, folder):
    start, model = RECIPES[name]
    if "nnunet" in recipes.read_content(name) and not find_spec("nnunetv2"):
        pytest.skip("nnunetv2 is not installed: pip install .[nnunet]")
    path = trained(name, start, folder) / f"{model}.yaml"
    out, scores = folder / f"out-{name}", folder / f"scores-{name}"
    options = ["--model", str(path), "--brain-extraction", "none", "--device", "cpu"]
    assert main([str(folder / "patients"), str(out), "participant", *options]) == 0
    record = json.loads((out / "logs" / "sub-1_run.json").read_text())
    assert (record["model"], record["weights_sha256"]) == (model, catalog.load(path).sha256)
    assert evaluate.main([str(out), str(folder / "truth"), str(scores)]) == 0
    (row,) = pd.read_csv(scores / "evaluation.tsv", sep="\t").to_dict("records")
    assert row["participant_id"] == "sub-1"
