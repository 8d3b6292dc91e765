"""Card and scores of a fine-tuned model."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from bids_stroke.cli import models
from bids_stroke.errors import DatasetError, UsageError
from bids_stroke.models import catalog, weights
from bids_stroke.models.calibration import Calibration
from bids_stroke.training import finetuned_card
from bids_stroke.training.engine import finetuning, held_out
from bids_stroke.training.patients.patient import Patient


def patient(subject, dataset="site", session="n/a", contrasts=("T1w",), key=""):
    """Session of a participant, without files."""
    return Patient(dataset, subject, session, "", contrasts, 1.0, False, key, None)


def outcome_with(dice_after, state):
    """Outcome whose scores on the test participants are 0.5 before fine-tuning."""
    rows = [
        ("sub-1", "T1w", 1.0, 1.0, dice, part, model)
        for part in ("test", "validation", "simulated")
        for model, dice in (("before", 0.5), ("after", dice_after))
    ]
    columns = [*held_out.Score._fields, "part", "model"]
    return finetuning.Outcome(4, 0.1, state, pd.DataFrame(rows, columns=columns))


PATIENTS = {
    "training": [patient("sub-1"), patient("sub-2"), patient("sub-1", "other")],
    "intermediate": [],
    "validation": [patient("sub-3")],
    "test": [patient("sub-4", session="ses-1"), patient("sub-4", session="ses-2")],
}


@pytest.mark.parametrize(("dice", "better"), [(0.6, True), (0.5, False), (0.4, False)])
def test_the_new_model_is_written_only_if_it_is_better(recipe, tmp_path, dice, better):
    state = {name: values * 0.5 for name, values in weights.state(recipe.model).items()}
    outcome = outcome_with(dice, state)
    summary = finetuned_card.write_result(recipe, outcome, PATIENTS, tmp_path, "checksum")
    assert (tmp_path / "scores.tsv").is_file()
    assert finetuned_card.read_result(tmp_path, "checksum") == summary
    path = tmp_path / "tested-finetuned.yaml"
    assert path.is_file() == better and summary["card"] == (str(path) if better else None)
    decision = "the new model is written" if better else "the initial model is kept"
    assert f"0.500 before and {dice:.3f} after" in summary["result"] and decision in summary["result"]
    if better:
        written = catalog.load(str(path))
        assert written.measured[0]["dice"] == dice and written.measured[0]["dice_before"] == 0.5
        assert not written.calibration and written.mirror
        trained = load_file(written.weights_path(written.weights))
        assert all(torch.equal(trained[name], state[name]) for name in state)


def test_the_card_states_from_what_it_was_made(recipe, tmp_path, capsys):
    calibrated = {"T1w": Calibration(temperature=2.0, volume={80: (-1.0, 1.0)})}
    source = replace(
        recipe.model,
        trained_on="Simulated strokes.",
        notes=["Never evaluated on patients."],
        trained_range={"brain_volume_ml": (800.0, 2200.0)},
        calibration=calibrated,
        weights=replace(recipe.model.weights, licence="CC-BY-NC-4.0"),
    )
    outcome = outcome_with(0.6, weights.state(recipe.model))
    changed = replace(recipe, model=source)
    path = finetuned_card.write_result(changed, outcome, PATIENTS, tmp_path, "")["card"]
    written = catalog.load(path)
    assert written.trained_on == (
        "Simulated strokes. Then 4 steps of fine-tuning (recipe finetune) on corrected masks of "
        "other, site, mixed with simulated strokes; participants: 3 for training, 1 for validation, "
        "1 for test."
    )
    assert "license: CC-BY-NC-4.0" in written.notes[0]
    assert written.notes[-1] == "Notes on tested, before fine-tuning: Never evaluated on patients."
    assert written.trained_range == source.trained_range
    assert written.calibration == {"T1w": Calibration(temperature=2.0)}
    for command in ("show", "verify"):
        assert models.main([command, path]) == 0
    assert "not chosen yet" in capsys.readouterr().out


def test_sessions_of_a_participant_count_once():
    rows = [("site_sub-1", 0.2), ("site_sub-1", 0.4), ("other_sub-1", 0.9)]
    scores = pd.DataFrame(
        [(name, "T1w", dice, "test", model) for name, dice in rows for model in ("before", "after")],
        columns=["participant", "input", "dice", "part", "model"],
    )
    (row,) = finetuned_card.mean_scores(scores)
    assert (row["n"], row["dice"], row["dice_before"]) == (2, 0.6, 0.6)


def test_a_result_of_other_scans_or_parts_is_refused(recipe, tmp_path):
    first = finetuned_card.fingerprint(recipe.model, [(patient("sub-1", key="a"), "test")])
    outcome = outcome_with(0.4, {})
    assert finetuned_card.read_result(tmp_path, first) is None
    finetuned_card.write_result(recipe, outcome, PATIENTS, tmp_path, first)
    assert finetuned_card.read_result(tmp_path, first)["steps"] == 4
    for assigned in (
        [(patient("sub-1", key="b"), "test")],
        [(patient("sub-1", key="a"), "training")],
        [(patient("sub-1", key="a"), "test"), (patient("sub-2", key="c"), None)],
    ):
        with pytest.raises(UsageError, match="other scans, masks or parts"):
            finetuned_card.read_result(tmp_path, finetuned_card.fingerprint(recipe.model, assigned))


def test_a_split_needs_all_parts_of_fine_tuning_and_no_others():
    finetuned_card.check_parts(PATIENTS)
    for part in ("validation", "test"):
        with pytest.raises(DatasetError, match=f"no subject for {part}; add subjects"):
            finetuned_card.check_parts(PATIENTS | {part: []})
    with pytest.raises(DatasetError, match="the part intermediate, which fine-tuning does not use"):
        finetuned_card.check_parts(PATIENTS | {"intermediate": [patient("sub-5")]})
