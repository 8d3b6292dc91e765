"""Fine-tuning mixes scans with simulated strokes and keeps the better of two models."""

from dataclasses import replace

import cards
import numpy as np
import pandas as pd
import pytest
import torch
import toys
from nibabel.affines import apply_affine
from safetensors.torch import load_file

from bids_stroke.models import catalog, inference, mirroring, weights
from bids_stroke.models.writing import describe, write
from bids_stroke.training import finetuned_card, finetuning_recipe
from bids_stroke.training.engine import finetuning, held_out, participants, rehearsal, samples
from bids_stroke.training.recipe_settings import MirrorError
from bids_stroke.training.recipes import parse_patients, parse_simulation, read_content

EXACT = MirrorError(rotation=0, shift=0, wrong=0, missing=0)


@pytest.fixture
def card(tmp_path):
    """Card of a small network with mirrored channels."""
    network = {
        "family": "unet3d",
        "arguments": {
            **toys.RECIPE["network"]["arguments"],
            "channels": [8, 8, 8],
            "strides": [1, 2],
        },
    }
    content = describe(cards.make(optional=("T1w", "FLAIR", "T2w")))
    content |= {"network": network, "inputs": [["T1w", "FLAIR"], ["T1w"]], "mirror": True}
    torch.manual_seed(0)
    state = weights.build(cards.Network(**network)).state_dict()
    return write(content, [state], tmp_path / "card")


@pytest.fixture
def recipe(card):
    content = read_content("finetune") | {"initial": str(card), "target": "site"}
    content["finetuning"] |= {"steps": 4, "validation_every": 2, "warmup_steps": 1}
    parsed = parse_patients(content, "finetune")
    training = replace(parsed.simulation.training, batch=2, reuse=1, workers=0)
    return replace(parsed, simulation=replace(parsed.simulation, training=training))


def scan(folder, seed, groups=(("T1w", "FLAIR"), ("T1w",))):
    """Simulated scan of a participant, as an archive."""
    sample = toys.simulator(**toys.STILL).sample(seed, ("T1w", "FLAIR"), 0, [(1.0, "chronic")])
    image = samples.network_input(sample, ("T1w", "FLAIR", "T2w")).numpy().astype(np.float16)
    path = folder / f"sub-{seed}.npz"
    np.savez(path, image=image, label=(sample.label & sample.mask).numpy(), mask=sample.mask.numpy())
    return participants.Scan(f"sub-{seed}", path, groups, sample.template)


def test_the_recipe_has_the_grid_and_the_channels_of_the_model(recipe):
    assert recipe.data.contrasts == ["T1w", "FLAIR", "T2w"]
    assert [list(group) for group in recipe.data.groups] == [["T1w", "FLAIR"], ["T1w"]]
    assert recipe.data.spacing == (2, 2, 2) and recipe.simulation.spacing == 2
    assert recipe.simulation.tile == (32, 32, 32)
    assert recipe.simulation.mirror and recipe.data.brain_extraction == "hd-bet"
    assert recipe.simulation.training.learning_rate == recipe.finetuning.learning_rate


@pytest.mark.parametrize(
    "changes",
    [
        {"space": "MNI152NLin2009aSym"},
        {"spacing": [1.0, 1.0, 3.0]},
        {"tile": [32, 32, 1]},
    ],
)
def test_models_without_a_3d_network_in_native_space_are_refused(card, tmp_path, changes):
    source = catalog.load(str(card))
    other = write({**describe(source), **changes, "mirror": False}, [weights.state(source)], tmp_path)
    base = parse_simulation(read_content("embedded"), "embedded")
    content = read_content("finetune") | {"initial": str(other)}
    with pytest.raises(finetuning_recipe.UsageError, match="tested cannot be fine-tuned; give a model"):
        finetuning_recipe.parse(content, base, "finetune")


def test_samples_show_the_lesion_at_its_place(recipe, tmp_path):
    simulation = replace(recipe.simulation, mirror=EXACT)
    drawn = participants.ParticipantSamples([scan(tmp_path, 1)], simulation)
    rng = np.random.default_rng(0)
    groups = set()
    for _ in range(12):
        sample = drawn.draw(rng)
        assert sample.image.shape == (6, 32, 32, 32) and (sample.weight == 1).all()
        assert sample.label.any() and not (sample.label & ~sample.mask).any()
        # The lesion is darker than its mirror image.
        t1w, mirrored = sample.image[0].float(), sample.image[3].float()
        assert t1w[sample.label[0]].mean() < mirrored[sample.label[0]].mean() - 0.5
        assert not sample.image[2].any() and not sample.image[5].any()
        groups.add(bool(sample.image[1].any()))
    assert groups == {True, False}


def test_cropping_moves_the_head_within_the_tile(recipe, tmp_path):
    data = np.arange(4**3).reshape(1, 4, 4, 4)
    part = participants.crop(data, (-1, 2, 0), (3, 3, 4))
    np.testing.assert_array_equal(part[0, 1:, :2], data[0, :2, 2:])
    assert not part[0, 0].any() and not part[0, :, 2].any()


def test_the_stream_mixes_simulated_samples_and_scans(recipe, tmp_path):
    drawn = participants.ParticipantSamples([scan(tmp_path, 1)], recipe.simulation)
    simulated = samples.SampleStream(toys.simulator(), recipe.simulation, [1])
    for share, expected in ((1, 0), (0, 4)):
        stream = iter(participants.MixedStream(simulated, drawn, share, seed=0))
        flags = [(sample.weight == 1).all() for sample, _ in zip(stream, range(4), strict=False)]
        assert sum(flags) >= expected
        assert share == 0 or not all(flags)


def test_the_lesion_shape_is_the_lesion_in_the_template(tmp_path):
    source = scan(tmp_path, 1)
    shape = rehearsal.lesion_shape(source, 2.0)
    label = np.load(source.path)["label"]
    expected = apply_affine(source.template, np.argwhere(label)).mean(0)
    np.testing.assert_allclose(apply_affine(shape.affine, np.argwhere(shape.data)).mean(0), expected)
    assert shape.volume == pytest.approx(label.sum() * 8 / 1000)
    assert rehearsal.lesion_shape(replace(source, template=None), 2.0) is None


def test_fine_tuning_scores_both_models_on_the_held_out_participants(recipe, tmp_path):
    scans = {
        "training": [scan(tmp_path, 1), scan(tmp_path, 2)],
        "validation": [scan(tmp_path, 3)],
        "test": [scan(tmp_path, 4, [("T1w",)])],
    }
    outcome = finetuning.finetune(recipe, scans, toys.simulator(), tmp_path / "out")
    assert outcome.steps == 4
    counts = outcome.scores.groupby(["part", "model"]).size().to_dict()
    simulated = finetuning.SIMULATED_HEADS
    assert counts == {
        (part, model): number
        for part, number in (("simulated", simulated), ("test", 1), ("validation", 2))
        for model in ("before", "after")
    }
    row = outcome.scores.query("part == 'test' and model == 'before'").iloc[0]
    with np.load(scans["test"][0].path) as archive:
        image, label, mask = (archive[name] for name in ("image", "label", "mask"))
    image = image.astype(np.float32)
    image[1] = 0
    image = mirroring.append_mirrored(image, scans["test"][0].template)
    probability = inference.predict_network(recipe.model, image) * mask
    assert row.true_ml == pytest.approx(label.sum() * 8 / 1000)
    assert row.predicted_ml == pytest.approx((probability >= 0.5).sum() * 8 / 1000, abs=0.02)
    network = weights.network(recipe.model, outcome.state)
    cases = held_out.Cases(scans["test"], recipe.simulation)
    after = held_out.measure(network, cases, recipe.model, "cpu")
    assert (
        after.dice.tolist() == outcome.scores.query("part == 'test' and model == 'after'").dice.tolist()
    )


def outcome_with(dice_after, state):
    """Outcome whose scores on the test participants are 0.5 before fine-tuning."""
    rows = [
        ("sub-1", "T1w", 1.0, 1.0, dice, part, model)
        for part in ("test", "validation", "simulated")
        for model, dice in (("before", 0.5), ("after", dice_after))
    ]
    columns = [*held_out.Score._fields, "part", "model"]
    return finetuning.Outcome(4, 0.1, state, pd.DataFrame(rows, columns=columns))


@pytest.mark.parametrize(("dice", "better"), [(0.6, True), (0.5, False), (0.4, False)])
def test_the_new_model_is_written_only_if_it_is_better(recipe, tmp_path, dice, better):
    state = {name: values * 0.5 for name, values in weights.state(recipe.model).items()}
    split = pd.DataFrame({"part": ["training", "training", "validation", "test"]})
    summary = finetuned_card.write_result(recipe, outcome_with(dice, state), split, tmp_path)
    assert (tmp_path / "scores.tsv").is_file() and (tmp_path / "summary.json").is_file()
    path = tmp_path / "tested-finetuned.yaml"
    assert path.is_file() == better and summary["card"] == (str(path) if better else None)
    decision = "the new model is written" if better else "the initial model is kept"
    assert f"0.500 before and {dice:.3f} after" in summary["result"] and decision in summary["result"]
    if better:
        written = catalog.load(str(path))
        assert "1 for test" in written.trained_on and "site" in written.trained_on
        assert written.measured[0]["dice"] == dice and written.measured[0]["dice_before"] == 0.5
        assert not written.calibration and written.mirror
        trained = load_file(written.weights_path(written.weights))
        assert all(torch.equal(trained[name], state[name]) for name in state)
