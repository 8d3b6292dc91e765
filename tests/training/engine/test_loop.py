"""The training loop follows its budget, continues from checkpoints, and writes loadable weights."""

import copy
import json
import math
from dataclasses import replace

import cards
import pandas as pd
import pytest
import torch
import toys
import yaml
from monai.losses import DiceCELoss
from safetensors.torch import load_file

from bids_stroke.cli.train import main
from bids_stroke.errors import DatasetError
from bids_stroke.models import catalog, weights
from bids_stroke.models.writing import describe, write
from bids_stroke.training.engine import loop, scores, sources
from bids_stroke.training.engine.clock import Budget
from bids_stroke.training.engine.segmenter import Segmenter, update_average
from bids_stroke.training.recipes import parse_simulation, read_recipe


@pytest.fixture
def content():
    tiny = copy.deepcopy(toys.RECIPE)
    tiny["tile"] = [32, 32, 32]
    tiny["network"]["arguments"] |= {"channels": [8, 8, 8], "strides": [1, 2]}
    tiny["training"] |= {
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
    """The recipe with changed training settings."""
    return replace(recipe, training=replace(recipe.training, **settings))


def fit(recipe, out, steps, **options):
    """Train on the toy heads for some steps."""
    budget = Budget(steps=steps)
    return loop.fit(recipe, toys.simulator(), toys.simulator(), out, budget, **options)


def test_two_steps_write_loadable_weights(recipe, tmp_path):
    summary = fit(recipe, tmp_path, 2)
    assert summary.steps == 2
    network = weights.build(recipe.network)
    network.load_state_dict(load_file(tmp_path / "weights.safetensors"), strict=True)
    assert "dice_0.5" in (tmp_path / "log" / "version_0" / "metrics.csv").read_text()
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_a_repeated_call_continues_training(recipe, tmp_path):
    fit(recipe, tmp_path, 2)
    first = load_file(tmp_path / "weights.safetensors")
    summary = fit(recipe, tmp_path, 2)
    assert summary.steps == 4
    checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 4
    # One step of Adam changes a weight by at most the learning rate.
    second = load_file(tmp_path / "weights.safetensors")
    rate = recipe.training.learning_rate
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert all((first[n].float() - second[n].float()).abs().max() < 4 * rate for n in first)


def test_training_starts_from_initial_weights(recipe, tmp_path):
    network = weights.build(recipe.network)
    recipe = changed(recipe, learning_rate=0.0, weight_decay=0.0)
    fit(recipe, tmp_path / "out", 1, initial=network.state_dict())
    trained = load_file(tmp_path / "out" / "weights.safetensors")
    for name, values in network.half().state_dict().items():
        torch.testing.assert_close(trained[name], values, atol=1e-3, rtol=1e-3)


def test_training_ends_after_the_budget_of_minutes(recipe, tmp_path):
    budget = Budget(minutes=0.01)
    summary = loop.fit(recipe, toys.simulator(), toys.simulator(), tmp_path, budget)
    assert 1 <= summary.steps < 1000


def test_learning_rate_warms_up_and_stays_or_decays(recipe):
    settings = replace(recipe.training, warmup_steps=10)
    constant, decay = (
        Segmenter(weights.build(recipe.network), settings, recipe.inputs, decay=decay)
        for decay in (False, True)
    )
    peak = settings.learning_rate
    assert constant.learning_rate(0, 0) == pytest.approx(peak / 10)
    assert constant.learning_rate(5000, 0.9) == peak
    assert decay.learning_rate(5000, 0.5) == pytest.approx(peak / 2)
    assert decay.learning_rate(5000, 1) == pytest.approx(0, abs=1e-9)


def test_averaged_weights_forget_the_initial_weights_within_a_short_training():
    averaged, current = [torch.tensor([1.0])], [torch.tensor([0.0])]
    for count in range(1, 101):
        update_average(0.998, averaged, current, torch.tensor(count))
    # The product of (1 + n) / (10 + n) telescopes to (2 · … · 10) / (102 · … · 110).
    share = math.factorial(10) / math.prod(range(102, 111))
    assert averaged[0].item() == pytest.approx(share, rel=1e-3)
    update_average(0.5, averaged, [torch.tensor([1.0])], torch.tensor(100))
    assert averaged[0].item() == pytest.approx(0.5), "the largest decay"


def test_a_decay_starts_from_a_checkpoint_without_changing_it(recipe, tmp_path):
    fit(recipe, tmp_path / "long", 2)
    checkpoint = tmp_path / "long" / "checkpoints" / "last.ckpt"
    before = checkpoint.read_bytes()
    summary = fit(recipe, tmp_path / "candidate", 2, decay_from=checkpoint)
    assert summary.steps == 4
    assert checkpoint.read_bytes() == before
    first, decayed = (
        load_file(tmp_path / name / "weights.safetensors") for name in ("long", "candidate")
    )
    assert any(not torch.equal(first[name], decayed[name]) for name in first)


def test_a_network_with_new_mirrored_channels_predicts_as_the_model(content, tmp_path):
    """The weights of the new channels are zero."""
    content["network"]["arguments"]["in_channels"] = 6
    recipe = parse_simulation(content | {"mirror": toys.RECIPE["mirror"]}, "tiny")
    narrow = replace(recipe.network, arguments=recipe.network.arguments | {"in_channels": 3})
    description = describe(cards.make(*recipe.channels, network=narrow))
    card = catalog.load(write(description, [weights.build(narrow).state_dict()], tmp_path))
    wide = weights.build(recipe.network).eval()
    wide.load_state_dict(loop.initial_weights(recipe, card))
    image = torch.randn(1, 6, 32, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(wide(image), weights.load(card)(image[:, :3]), atol=1e-4, rtol=1e-4)


def test_weighted_loss_by_hand():
    """With a probability of 0.5, the entropy is ln 2 times the mean weight; Dice of weighted sums."""
    label = torch.tensor([1.0, 0, 0, 0]).reshape(1, 1, 4, 1, 1)
    weight = torch.tensor([2.0, 1, 1, 1]).reshape(1, 1, 4, 1, 1)
    loss = scores.weighted_loss(torch.zeros_like(label), label, weight, 0.0)
    entropy = math.log(2) * 5 / 4
    dice = 2 * (2 * 0.5) / (2 * 1.5 + 3 * 0.5)
    assert float(loss) == pytest.approx(entropy + 1 - dice)
    plain = scores.weighted_loss(torch.randn(label.shape), label, torch.ones_like(label), 10.0)
    assert plain > 0


def test_unweighted_loss_equals_that_of_monai():
    logits, label = torch.randn(2, 1, 6, 6, 6), (torch.rand(2, 1, 6, 6, 6) > 0.8).float()
    reference = DiceCELoss(sigmoid=True, batch=True, smooth_nr=10.0, smooth_dr=10.0)
    loss = scores.weighted_loss(logits, label, torch.ones_like(label), 10.0)
    torch.testing.assert_close(loss, reference(logits, label))


def test_the_network_of_the_embedded_recipe():
    embedded = read_recipe("embedded")
    network = weights.build(embedded.network).eval()
    assert all(side % 16 == 0 for side in embedded.tile)
    with torch.inference_mode():
        logits = network(torch.zeros(1, 6, 32, 48, 32))
    assert logits.shape == (1, 1, 32, 48, 32)
    assert 2 * sum(p.numel() for p in network.parameters()) < 16e6  # bytes of the weights


def test_dice_by_hand():
    a = torch.tensor([True, True, False, False])
    b = torch.tensor([True, False, True, False])
    assert scores.dice(a, b) == 0.5
    assert scores.dice(a & ~a, b & ~b) == 1


@pytest.mark.slow
def test_a_short_run_on_real_files(shared, content, tmp_path):
    """The command prepares and splits three heads and several lesions, and trains."""
    data, files = tmp_path / "data", []
    for folder, number in (("head_labels", 3), ("lesions_chronic", 12)):
        (data / folder).mkdir(parents=True)
        for path in sorted((shared / folder).glob("*.nii*"))[:number]:
            (data / folder / path.name).symlink_to(path)
            files.append(f"{folder}/{path.name}")
    content["sources"] = {"heads": ["head_labels"], "lesions": ["lesions_chronic"]}
    held_out = {files[0]: "validation", files[1]: "test", files[3]: "validation", files[4]: "test"}
    rows = "".join(f"{file}\t{part}\n" for file, part in held_out.items())
    (tmp_path / "split.tsv").write_text("file\tpart\n" + rows)
    content["split"] = str(tmp_path / "split.tsv")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    out = tmp_path / "out"
    command = [str(tmp_path / "recipe.yaml"), str(out), "--data", str(data), "--minutes", "0.01"]
    assert main(command) == 0
    assert json.loads((out / "summary.json").read_text())["steps"] >= 1
    table = pd.read_csv(out / "split.csv")
    parts = dict(zip(table.folder + "/" + table.file, table.part, strict=True))
    assert {file: part for file, part in parts.items() if part != "training"} == held_out
    assert set(parts) == set(files)


def test_a_split_with_missing_files_is_an_error(recipe, tmp_path):
    recipe = replace(recipe, sources={"heads": ["brains_t1w"], "lesions": ["lesions_acute"]})
    for folder in ("brains_t1w", "lesions_acute"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.nii.gz").touch()
    with pytest.raises(DatasetError, match="missing files of the recipe's split"):
        sources.find_files(recipe, tmp_path)


def test_command_reports_missing_sections_of_a_recipe(tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: x\n")
    assert main([str(bad), str(tmp_path), "--data", "d"]) == 2
    assert "lacks the sections" in capsys.readouterr().err
    assert main([str(tmp_path / "none.yaml"), str(tmp_path), "--data", "d"]) == 2
    assert "cannot be read as a recipe" in capsys.readouterr().err


def test_command_requires_the_data_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("BIDS_STROKE_SHARED", str(tmp_path))  # used only by tests
    assert main(["embedded", str(tmp_path)]) == 2
    assert "The training data are missing; give their folder with --data." in capsys.readouterr().err
    assert read_recipe("embedded").name == "embedded"
