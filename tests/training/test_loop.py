"""The loop must follow its budgets and leave weights that inference can load."""

import copy
from importlib.resources import files

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from bids_stroke.cli.train import main
from bids_stroke.training import datasets, loop

RECIPE = yaml.safe_load(
    (files("bids_stroke") / "data" / "recipes" / "simstroke-t1w.yaml").read_text()
)


@pytest.fixture
def recipe():
    tiny = copy.deepcopy(RECIPE)
    tiny["tile"] = [32, 32, 32]
    tiny["network"]["arguments"] |= {"channels": [8, 8, 8], "strides": [1, 2]}
    tiny["training"] |= {
        "max_steps": 2,
        "batch": 2,
        "threads": 1,
        "workers": 0,
        "validation_samples": 2,
        "validation_every": 2,
    }
    return tiny


@pytest.fixture
def toy(recipe):
    """A spherical brain with lesions of two sizes."""
    grid = np.indices((60, 60, 60)) - 30
    radius = np.sqrt((grid**2).sum(0))
    brain = np.stack([radius < 25, radius < 25, radius < 5]).astype(np.float32)
    brain[0] *= 100
    affine = datasets.shift([-30, -30, -30])
    lesions = [
        datasets.Lesion(str(r), (radius < r).astype(np.float32)[None], affine, r**3 / 240)
        for r in (6, 12)
    ]
    centre = np.full(3, 29.5)
    return datasets.Simulator(
        [datasets.Brain("toy", brain, affine, centre, np.eye(4))], lesions, recipe
    )


def test_two_steps_leave_loadable_weights(recipe, toy, tmp_path):
    summary = loop.fit(recipe, toy, toy, tmp_path)
    assert summary["steps"] == 2
    network = loop.build(recipe["network"])
    network.load_state_dict(load_file(tmp_path / "weights.safetensors"), strict=True)
    assert (tmp_path / "summary.json").exists()
    assert "dice_0.5" in (tmp_path / "log" / "metrics.csv").read_text()


def test_the_clock_ends_training(recipe, toy, tmp_path):
    recipe["training"] |= {"max_steps": 10**6, "max_minutes": 0.01}
    assert loop.fit(recipe, toy, toy, tmp_path)["steps"] < 1000


def test_learning_rate_warms_up_and_decays(recipe):
    settings = recipe["training"] | {"max_steps": 100, "warmup_steps": 10}
    module = loop.Segmenter(loop.build(recipe["network"]), settings)
    module.on_fit_start()
    peak = settings["learning_rate"]
    rates = [module.learning_rate(step) for step in (0, 9, 50, 100)]
    assert rates[0] == pytest.approx(peak / 10, rel=0.01)
    assert rates[1] == pytest.approx(peak, rel=0.03)
    assert rates[2] == pytest.approx(peak / 2, rel=0.01)
    assert rates[3] == pytest.approx(0, abs=1e-9)


def test_shipped_network_keeps_the_tile():
    network = loop.build(RECIPE["network"]).eval()
    with torch.inference_mode():
        logits = network(torch.zeros(1, 1, 32, 48, 32))
    assert logits.shape == (1, 1, 32, 48, 32)
    assert 1e6 < sum(p.numel() for p in network.parameters()) < 4e6


def test_dice_by_hand():
    a = torch.tensor([True, True, False, False])
    b = torch.tensor([True, False, True, False])
    assert loop.dice(a, b) == 0.5
    assert loop.dice(a & ~a, b & ~b) == 1


def test_command_names_what_a_recipe_lacks(tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: x\n")
    status = main([str(bad), str(tmp_path), "--brains", "b", "--lesions", "l"])
    assert status == 2
    assert "lacks the sections" in capsys.readouterr().err
