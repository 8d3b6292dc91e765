"""S4 at toy size: a T1w network, adapted to two contrasts in two folds, with a killed training."""

import csv
import json
import os
import signal
import subprocess
import sys

import bidsets
import numpy as np
import pytest
import torch
import yaml

from bids_stroke.cli import models
from bids_stroke.models import catalog, inference
from bids_stroke.spatial import image
from bids_stroke.training import recipes

pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed: pip install .[nnunet]")


def recipe(name, folder, **changes):
    """A recipe for nnU-Net at 4 mm with three epochs of two steps."""
    tiny = recipes.read_content(name)
    tiny["data"]["brain_extraction"] = "none"
    tiny["nnunet"] |= {
        "epochs": 3,
        "iterations": 2,
        "validation_iterations": 1,
        "workers": 0,
        "save_every": 1,
        "gpu_memory_gb": 0.2,
        "spacing": [4.0, 4.0, 4.0],
    }
    tiny |= changes
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(tiny))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A T1w network, whose training is killed after the first epoch and continued, and two folds of a
    T1w+FLAIR network that start from it."""
    folder = tmp_path_factory.mktemp("s4")
    atlas = bidsets.atlas(folder / "atlas", 5)
    for n, path in enumerate(sorted(atlas.rglob("*_T1w.nii.gz"))):
        image.save(bidsets.scan(n, contrast=-1)[0], path.with_name(path.name.replace("T1w", "FLAIR")))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def command(path, out, *options):
        arguments = [path, atlas, folder / out, "--labels", atlas, *options]
        return [sys.executable, "-m", "bids_stroke.cli.train", *map(str, arguments)]

    first = command(recipe("s4", folder), "t1w")
    with subprocess.Popen(
        first, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as killed:
        for line in killed.stdout:
            if "epoch 1 of 3" in line:
                killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    done = subprocess.run(first, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    cards = str(folder / "cards")
    assert models.main(["export", str(folder / "t1w"), cards]) == 0
    second = recipe("s4_adapt", folder, split={"folds": 2})
    for fold in "01":
        options = ["--initial", f"{cards}/s4.yaml", "--fold", fold]
        adapted = subprocess.run(
            command(second, "both", *options), capture_output=True, text=True, env=environment
        )
        assert adapted.returncode == 0, adapted.stderr
    assert models.main(["export", str(folder / "both"), cards]) == 0
    return folder, done


def test_a_killed_training_continues(trained):
    folder, done = trained
    assert "epoch 1 of 3" not in done.stdout and "epoch 3 of 3" in done.stdout
    (path,) = (folder / "t1w/results").rglob("metrics.csv")
    with path.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    rates = [float(row["lrs"]) for row in rows]
    np.testing.assert_allclose(rates, [0.01 * (1 - epoch / 3) ** 0.9 for epoch in range(3)])


@pytest.mark.parametrize("name, last", [("s3", 1.997e-3), ("s4", 1.995e-5)])
def test_the_learning_rate_of_the_last_epoch(name, last):
    """S3 stops after 2500 of 3000 epochs, with a rate of 0.01 (1 - 2499 / 3000)^0.9."""
    from bids_stroke.training.engine.nnunet_trainer import nnUNetTrainer

    trainer = object.__new__(nnUNetTrainer)
    trainer.settings = recipes.read_recipe(name).nnunet
    trainer.network = torch.nn.Conv3d(1, 1, 1)
    trainer.initial_lr, trainer.weight_decay = trainer.settings.learning_rate, 0
    trainer.num_epochs = trainer.settings.epochs
    optimizer, schedule = trainer.configure_optimizers()
    schedule.step(trainer.num_epochs - 1)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(last, rel=1e-3)


def test_the_plan_has_the_settings_of_the_recipe(trained):
    folder, _ = trained
    (path,) = (folder / "t1w/results").rglob("plans.json")
    plans = json.loads(path.read_text())
    kwargs = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    assert kwargs["dropout_op_kwargs"] == {"p": 0.2} and kwargs["dropout_op"].endswith("Dropout3d")
    model = catalog.load(path.parent)
    assert model.plan.mirror == (list(plans["transpose_forward"]).index(2),)
    assert (model.threshold, model.min_component_mm3) == (0.2, 10)


def test_the_two_contrast_network_starts_from_the_t1w_network(trained):
    folder, _ = trained
    rows = (folder / "both/adapt.tsv").read_text().splitlines()[1:]
    actions = [row.split("\t")[1] for row in rows]
    assert actions.count("expanded") == 1 and set(actions) == {"expanded", "copied"}


def test_every_patient_is_validated_in_one_fold(trained):
    folder, _ = trained
    (path,) = (folder / "both/preprocessed").rglob("splits_final.json")
    splits = json.loads(path.read_text())
    assert len(splits) == 2
    assert sorted(splits[0]["val"] + splits[1]["val"]) == sorted(splits[0]["train"] + splits[0]["val"])


def test_the_card_of_both_folds_predicts(trained):
    folder, _ = trained
    model = catalog.load(folder / "cards/s4_adapt.yaml")
    assert len(model.all_weights) == 2
    assert model.select(("T1w", "FLAIR", "T2w")) == ("T1w", "FLAIR")
    images = {"T1w": bidsets.scan(9)[0], "FLAIR": bidsets.scan(9, contrast=-1)[0]}
    probability = inference.predict(model, images, bidsets.grid(), images["T1w"], "cpu").get_fdata()
    inside = np.asanyarray(bidsets.grid().dataobj) > 0
    assert probability[inside].std() > 0 and not probability[~inside].any()
