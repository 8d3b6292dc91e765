"""Result of a fine-tuning: scores before and after, and the card of the new model."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.errors import DatasetError, UsageError
from bids_stroke.models.card import Card
from bids_stroke.models.writing import UNCHOSEN, describe, write
from bids_stroke.utils.files import atomic

from .finetuning_recipe import FinetuningRecipe
from .patients import split
from .patients.patient import Parts, Patient

if TYPE_CHECKING:
    from .engine.finetuning import Outcome

SCORES, SUMMARY = "scores.tsv", "summary.json"
ENDING = "-finetuned"  # of the name of a new model
PARTS = {
    "test": "held-out participants",
    "validation": "participants that determine the end of the training",
    "simulated": "simulated strokes in the heads for training",
}


def check_parts(parts: Parts) -> None:
    """Check that a split has the parts of a fine-tuning, and no others.

    Raises
    ------
    DatasetError
        If a part is missing, or is not used by fine-tuning.
    """
    for part in ("validation", "test"):
        split.require(parts, part)
    if parts["intermediate"]:
        raise DatasetError(
            "The split has the part intermediate, which fine-tuning does not use; use training, "
            "validation and test."
        )


def fingerprint(model: Card, assigned: Sequence[tuple[Patient, str | None]]) -> str:
    """Return a checksum of a model and of the scans, each with its part, which determine the result."""
    keys = [(patient.key, part) for patient, part in assigned]
    return hashlib.sha256(json.dumps([model.sha256, keys]).encode()).hexdigest()


def read_result(out: Path, expected: str) -> dict[str, Any] | None:
    """Read the ``summary.json`` of a complete fine-tuning; return None without it.

    Parameters
    ----------
    out : Path
    expected : str
        Result of :func:`fingerprint` for this call.

    Raises
    ------
    UsageError
        If the fine-tuning had other scans, masks or parts.
    """
    if not (out / SUMMARY).is_file():
        return None
    summary = dict(json.loads((out / SUMMARY).read_text()))
    if summary.get("fingerprint") != expected:
        raise UsageError(
            f"{out} contains the result of a fine-tuning with other scans, masks or parts of the "
            "split, or by another version of bids_stroke; give another folder."
        )
    return summary


def write_result(
    recipe: FinetuningRecipe, outcome: "Outcome", parts: Parts, out: Path, made_from: str
) -> dict[str, Any]:
    """Write the scores of both models and, if the new one is better, its card and weights.

    The new model is better if its mean Dice on the test participants is higher.

    Parameters
    ----------
    recipe : FinetuningRecipe
    outcome : Outcome
    parts : dict of str to list of Patient
        Patients by part of the split.
    out : Path
        Output folder for ``scores.tsv``, ``summary.json`` and ``MODEL-finetuned.yaml`` with its
        weights.
    made_from : str
        Result of :func:`fingerprint`.

    Returns
    -------
    dict
        Content of ``summary.json``.
    """
    write_tsv(outcome.scores, out / SCORES)
    rows = mean_scores(outcome.scores)
    overall = _means(outcome.scores, ["part", "model"])
    before, after = overall["test", "before"], overall["test", "after"]
    card = _write_card(recipe, outcome, rows, parts, out) if after > before else None
    summary = {
        "steps": outcome.steps,
        "minutes": outcome.minutes,
        **{
            f"dice_{part}_{model}": round(overall[part, model], 4)
            for part in PARTS
            for model in ("before", "after")
        },
        "card": card and str(card),
        "result": (
            f"The Dice on the test participants is {before:.3f} before and {after:.3f} after "
            f"fine-tuning; {'the new model is written' if card else 'the initial model is kept'}. On "
            f"simulated strokes, it is {overall['simulated', 'before']:.3f} before and "
            f"{overall['simulated', 'after']:.3f} after."
        ),
        "fingerprint": made_from,
    }
    with atomic(out / SUMMARY) as partial:
        partial.write_text(json.dumps(summary, indent=2))
    return summary


def mean_scores(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the mean Dice before and after by part and input, as rows of ``measured`` in a card."""
    rows = []
    for part, what in PARTS.items():
        for contrasts, group in scores[scores["part"] == part].groupby("input", sort=False):
            dice = _means(group, ["model"])
            rows.append(
                {
                    "what": what,
                    "input": contrasts,
                    "n": int(group["participant"].nunique()),
                    "dice": round(dice["after"], 3),
                    "dice_before": round(dice["before"], 3),
                }
            )
    return rows


def _means(scores: pd.DataFrame, columns: list[str]) -> dict[Any, float]:
    """Return the mean Dice over participants by the values of columns; that of a participant is the
    mean over its sessions and sets of contrasts."""
    participants = scores.groupby([*columns, "participant"], as_index=False)["dice"].mean()
    return participants.groupby(columns if len(columns) > 1 else columns[0])["dice"].mean().to_dict()


def _write_card(
    recipe: FinetuningRecipe,
    outcome: "Outcome",
    rows: list[dict[str, Any]],
    parts: Parts,
    out: Path,
) -> Path:
    source = recipe.model
    content = describe(source)
    for section in content.get("calibration", {}).values():
        section.pop("volume")  # the threshold belongs to the temperature, which stays
    people = {part: {patient.participant for patient in parts[part]} for part in parts if parts[part]}
    numbers = ", ".join(f"{len(names)} for {part}" for part, names in people.items())
    datasets = {patient.dataset for patients in parts.values() for patient in patients}
    notes = [
        f"Fine-tuned from {source.name} ({source.sha256[:12]}, license: {source.licence}); dice_before "
        "is its Dice.",
        *recipe.card["notes"],
    ]
    if source.notes:
        notes.append(f"Notes on {source.name}, before fine-tuning: {' '.join(source.notes)}")
    content |= {
        "name": f"{source.name}{ENDING}",
        "trained_on": f"{source.trained_on} Then {outcome.steps} steps of fine-tuning (recipe "
        f"{recipe.name}) on corrected masks of {', '.join(sorted(datasets))}, mixed with simulated "
        f"strokes; participants: {numbers}.",
        "measured": rows,
        "notes": notes,
    }
    return write(content, [outcome.state], out, UNCHOSEN)
