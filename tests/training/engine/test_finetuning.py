"""Fine-tuning mixes scans with simulated strokes and scores both models on held-out participants."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import toys
from nibabel.affines import apply_affine

from bids_stroke.errors import DatasetError
from bids_stroke.models import calibration, inference, mirroring, weights
from bids_stroke.models.calibration import Calibration
from bids_stroke.training.engine import finetuning, held_out, participants, rehearsal, samples
from bids_stroke.training.patients.patient import Patient
from bids_stroke.training.recipe_settings import MirrorError

EXACT = MirrorError(rotation=0, shift=0, wrong=0, missing=0)


def scan(folder, seed, groups=(("T1w", "FLAIR"), ("T1w",))):
    """Simulated scan of a participant, as an archive."""
    sample = toys.simulator(**toys.STILL).sample(seed, ("T1w", "FLAIR"), 0, [(1.0, "chronic")])
    image = samples.network_input(sample, ("T1w", "FLAIR", "T2w")).numpy().astype(np.float16)
    path = folder / f"sub-{seed}.npz"
    np.savez(path, image=image, label=(sample.label & sample.mask).numpy(), mask=sample.mask.numpy())
    return participants.Scan(f"sub-{seed}", path, groups, sample.template)


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


def test_tiles_cover_a_brain_that_is_larger_than_a_tile():
    rng = np.random.default_rng(0)
    for brain, side, low, high in (
        (slice(10, 40), 32, 9 - participants.JITTER, 9 + participants.JITTER),
        (slice(10, 90), 32, 10 - participants.JITTER, 58 + participants.JITTER),
    ):
        starts = {participants.draw_start(brain, side, rng) for _ in range(2000)}
        assert starts == set(range(low, high + 1))


def test_small_tiles_have_the_mirrored_channels_of_the_whole_head(recipe, tmp_path):
    simulation = replace(recipe.simulation, mirror=EXACT, tile=(8, 16, 16))
    drawn = participants.ParticipantSamples([scan(tmp_path, 1, [("T1w",)])], simulation)
    rng = np.random.default_rng(0)
    tiles = [drawn.draw(rng) for _ in range(20)]
    assert all(tile.image.shape == (6, 8, 16, 16) for tile in tiles)
    # The head is symmetric: mirrored voxels of the brain are in the brain.
    mirrored = torch.cat([tile.image[3][tile.mask[0]] for tile in tiles])
    assert len(mirrored) > 1000 and (mirrored != 0).float().mean() > 0.9


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


def test_heads_that_are_not_aligned_are_not_used_for_the_simulation(recipe, tmp_path):
    source = replace(scan(tmp_path, 1), template=None)
    head = Patient("site", "sub-1", "n/a", "", ("T1w",), 1.0, False, "", tmp_path / "site_sub-1")
    lines = []
    with pytest.raises(DatasetError, match="has a T1w in a head that is aligned with the template"):
        rehearsal.build(recipe, [head], [source], tmp_path, report=lines.append)
    assert lines == ["site_sub-1 is not used for the simulation: the head could not be aligned."]


def test_scores_have_the_temperature_of_the_card(recipe, tmp_path):
    (case,) = held_out.Cases([scan(tmp_path, 1, [("T1w",)])], recipe.simulation)
    network = weights.load(recipe.model)
    calibrated = {"T1w": Calibration(temperature=3.0)}
    probability = inference.infer(network, case.image, recipe.model.tile) * case.mask
    level = float(np.median(probability[case.mask]))
    level_scaled = float(calibration.scale(np.array([level], np.float32), 3.0)[0])
    settings = {"threshold": level_scaled, "min_component_mm3": 0}
    scored = held_out.score(
        network, case, replace(recipe.model, calibration=calibrated, **settings), "cpu"
    )
    expected = np.count_nonzero(probability >= level) * 8 / 1000
    assert scored.predicted_ml == pytest.approx(expected, rel=0.01) and expected > 1
    assert (
        held_out.score(network, case, replace(recipe.model, **settings), "cpu").predicted_ml != expected
    )


def test_fine_tuning_scores_both_models_on_the_held_out_participants(recipe, tmp_path):
    scans = {
        "training": [scan(tmp_path, 1), scan(tmp_path, 2)],
        "validation": [scan(tmp_path, 3)],
        "test": [scan(tmp_path, 4, [("T1w",)])],
    }
    outcome = finetuning.finetune(recipe, scans, toys.simulator(), tmp_path / "out")
    saved = torch.load(tmp_path / "out" / "checkpoints" / "best.ckpt", weights_only=True)
    assert outcome.steps == saved["global_step"]
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


def test_a_budget_below_the_interval_of_validations_ends_with_a_validation(recipe, tmp_path):
    scans = {part: [scan(tmp_path, 1)] for part in ("training", "validation", "test")}
    outcome = finetuning.finetune(recipe, scans, toys.simulator(), tmp_path / "out", minutes=1e-6)
    saved = torch.load(tmp_path / "out" / "checkpoints" / "best.ckpt", weights_only=True)
    assert saved["global_step"] == 1 and outcome.minutes < 5


def test_weights_that_are_not_better_are_not_kept(recipe, tmp_path):
    training = replace(recipe.simulation.training, learning_rate=0.0)
    unchanged = replace(recipe, simulation=replace(recipe.simulation, training=training))
    scans = {part: [scan(tmp_path, 1)] for part in ("training", "validation", "test")}
    outcome = finetuning.finetune(unchanged, scans, toys.simulator(), tmp_path / "out")
    saved = torch.load(tmp_path / "out" / "checkpoints" / "best.ckpt", weights_only=True)
    assert outcome.steps == 0 < saved["global_step"]
    before, after = (
        outcome.scores.query(f"model == '{model}'").drop(columns="model").reset_index(drop=True)
        for model in ("before", "after")
    )
    assert before.equals(after)
