"""The loop must follow its budgets, continue where it stopped, and leave weights that load."""

import copy
import json
from dataclasses import replace

import pytest
import torch
import toys
from safetensors.torch import load_file

from bids_stroke.cli.train import main
from bids_stroke.models import weights
from bids_stroke.training.engine import loop, saving, scores
from bids_stroke.training.engine.segmenter import Segmenter
from bids_stroke.training.recipes import parse_simulation, read_recipe


@pytest.fixture
def content():
    tiny = copy.deepcopy(toys.RECIPE)
    tiny["tile"] = [32, 32, 32]
    tiny["network"]["arguments"] |= {"channels": [8, 8, 8], "strides": [1, 2]}
    tiny["training"] |= {
        "max_steps": 2,
        "batch": 2,
        "threads": 1,
        "workers": 0,
        "validation_samples": 4,
        "validation_every": 2,
    }
    return tiny


@pytest.fixture
def recipe(content):
    return parse_simulation(content, "tiny")


def changed(recipe, **settings):
    """The recipe with other settings of its training."""
    return replace(recipe, training=replace(recipe.training, **settings))


def test_two_steps_leave_loadable_weights(recipe, tmp_path):
    summary = loop.fit(recipe, toys.simulator(), toys.simulator(), tmp_path)
    assert summary.steps == 2
    network = weights.build(recipe.network)
    network.load_state_dict(load_file(tmp_path / "weights.safetensors"), strict=True)
    assert "dice_0.5" in (tmp_path / "log" / "version_0" / "metrics.csv").read_text()
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_the_same_call_continues(recipe, tmp_path):
    loop.fit(recipe, toys.simulator(), toys.simulator(), tmp_path)
    first = load_file(tmp_path / "weights.safetensors")
    summary = loop.fit(changed(recipe, max_steps=4), toys.simulator(), toys.simulator(), tmp_path)
    assert summary.steps == 4
    kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 4
    # One step of Adam changes a weight by at most the learning rate.
    second = load_file(tmp_path / "weights.safetensors")
    rate = recipe.training.learning_rate
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert all((first[n].float() - second[n].float()).abs().max() < 4 * rate for n in first)


def test_other_weights_are_a_start(recipe, tmp_path):
    network = weights.build(recipe.network)
    initial = saving.save_weights(network, tmp_path / "initial.safetensors")
    recipe = changed(recipe, learning_rate=0.0, weight_decay=0.0)
    loop.fit(recipe, toys.simulator(), toys.simulator(), tmp_path / "out", initial)
    found = load_file(tmp_path / "out" / "weights.safetensors")
    for name, values in load_file(initial).items():
        torch.testing.assert_close(found[name], values, atol=1e-3, rtol=1e-3)


def test_the_clock_ends_training(recipe, tmp_path):
    recipe = changed(recipe, max_steps=10**6, max_minutes=0.01)
    assert loop.fit(recipe, toys.simulator(), toys.simulator(), tmp_path).steps < 1000


def test_learning_rate_warms_up_and_decays_with_steps_or_time(recipe):
    settings = replace(recipe.training, max_steps=100, warmup_steps=10, max_minutes=10)
    module = Segmenter(weights.build(recipe.network), settings, recipe.inputs)
    peak = settings.learning_rate
    rates = [module.learning_rate(step, 0) for step in (0, 9, 50, 100)]
    assert rates[0] == pytest.approx(peak / 10, rel=0.01)
    assert rates[1] == pytest.approx(peak, rel=0.03)
    assert rates[2] == pytest.approx(peak / 2, rel=0.01)
    assert rates[3] == pytest.approx(0, abs=1e-9)
    assert module.learning_rate(20, 300) == pytest.approx(peak / 2, rel=0.01)
    assert module.learning_rate(20, 600) == pytest.approx(0, abs=1e-9)


def test_shipped_recipe_builds_a_network_that_keeps_the_tile():
    embedded = read_recipe("embedded")
    network = weights.build(embedded.network).eval()
    assert all(side % 16 == 0 for side in embedded.tile)
    with torch.inference_mode():
        logits = network(torch.zeros(1, 3, 32, 48, 32))
    assert logits.shape == (1, 1, 32, 48, 32)
    assert 2 * sum(p.numel() for p in network.parameters()) < 16e6  # bytes of the weights


def test_dice_by_hand():
    a = torch.tensor([True, True, False, False])
    b = torch.tensor([True, False, True, False])
    assert scores.dice(a, b) == 0.5
    assert scores.dice(a & ~a, b & ~b) == 1


def test_a_short_run_on_real_files(shared, content, tmp_path):
    """Two heads and a few lesions, prepared, split and trained by the command, coarsely first."""
    import yaml

    data = tmp_path / "data"
    for folder, number in (("head_labels", 3), ("lesions_chronic", 12)):
        (data / folder).mkdir(parents=True)
        for path in sorted((shared / folder).glob("*.nii*"))[:number]:
            (data / folder / path.name).symlink_to(path)
    content["sources"] = {"heads": ["head_labels"], "lesions": ["lesions_chronic"]}
    content["held_out"]["heads"] = {"validation": 1, "test": 1}
    content["first"] = {"spacing": 4.0, "tile": [16, 16, 16], "training": {"max_steps": 1}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    out = tmp_path / "out"
    assert main([str(tmp_path / "recipe.yaml"), str(out), "--data", str(data)]) == 0
    steps = [json.loads((path / "summary.json").read_text())["steps"] for path in (out / "first", out)]
    assert steps == [1, 2]
    first, then = (load_file(path / "weights.safetensors") for path in (out / "first", out))
    # It went on from there: two steps of Adam change a weight by at most twice the learning rate.
    rate = content["training"]["learning_rate"]
    assert all((first[n].float() - then[n].float()).abs().max() < 4 * rate for n in first)
    rows = (out / "split.csv").read_text().splitlines()[1:]
    assert len(rows) == len({row.split(",", 1)[1] for row in rows}) == 15


def test_command_names_what_a_recipe_lacks(tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: x\n")
    assert main([str(bad), str(tmp_path), "--data", "d"]) == 2
    assert "lacks the sections" in capsys.readouterr().err
    assert main([str(tmp_path / "none.yaml"), str(tmp_path), "--data", "d"]) == 2
    assert "cannot be read as a recipe" in capsys.readouterr().err


def test_command_asks_for_the_data(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("BIDS_STROKE_SHARED", str(tmp_path))  # of the tests alone
    assert main(["embedded", str(tmp_path)]) == 2
    assert "Name the folder of the training data with --data." in capsys.readouterr().err
    assert read_recipe("embedded").name == "embedded"
