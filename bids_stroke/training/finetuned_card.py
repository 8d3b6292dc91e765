"""Result of a fine-tuning: scores before and after, and the card of the new model."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.models.writing import UNCHOSEN, describe, write
from bids_stroke.utils.files import atomic

from .finetuning_recipe import FinetuningRecipe

if TYPE_CHECKING:
    from .engine.finetuning import Outcome

SCORES, SUMMARY = "scores.tsv", "summary.json"
PARTS = {
    "test": "held-out participants",
    "validation": "participants that determine the end of the training",
    "simulated": "simulated strokes in the heads of the training participants",
}


def write_result(
    recipe: FinetuningRecipe, outcome: "Outcome", split: pd.DataFrame, out: Path
) -> dict[str, Any]:
    """Write the scores of both models and, if the new one is better, its card and weights.

    The new model is better if its mean Dice on the test participants is higher.

    Parameters
    ----------
    recipe : FinetuningRecipe
    outcome : Outcome
    split : DataFrame
        Part of each participant.
    out : Path
        Output folder for ``scores.tsv``, ``summary.json`` and ``MODEL-finetuned.yaml`` with its
        weights.

    Returns
    -------
    dict
        Content of ``summary.json``.
    """
    write_tsv(outcome.scores, out / SCORES)
    rows = mean_scores(outcome.scores)
    overall = _mean_by_participant(outcome.scores)
    before, after = overall["test", "before"], overall["test", "after"]
    card = _write_card(recipe, outcome, rows, split, out) if after > before else None
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
            f"fine-tuning; {'the new model is written' if card else 'the initial model is kept'}."
        ),
    }
    with atomic(out / SUMMARY) as partial:
        partial.write_text(json.dumps(summary, indent=2))
    return summary


def mean_scores(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the mean Dice before and after by part and input, as rows of ``measured`` in a card."""
    rows = []
    for part, what in PARTS.items():
        for contrasts, group in scores[scores["part"] == part].groupby("input", sort=False):
            dice = group.groupby("model")["dice"].mean().round(3)
            rows.append(
                {
                    "what": what,
                    "input": contrasts,
                    "n": int(group["participant"].nunique()),
                    "dice": float(dice["after"]),
                    "dice_before": float(dice["before"]),
                }
            )
    return rows


def _mean_by_participant(scores: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Return the mean over participants by part and model; each participant's is over its inputs."""
    means = scores.groupby(["part", "model", "participant"], as_index=False)["dice"].mean()
    return {
        (part, model): float(means[(means["part"] == part) & (means["model"] == model)]["dice"].mean())
        for part in PARTS
        for model in ("before", "after")
    }


def _write_card(
    recipe: FinetuningRecipe,
    outcome: "Outcome",
    rows: list[dict[str, Any]],
    split: pd.DataFrame,
    out: Path,
) -> Path:
    source = recipe.model
    content = describe(source)
    content.pop("calibration", None)
    counts = split["part"].value_counts()
    participants = ", ".join(f"{number} for {part}" for part, number in counts.items())
    content |= {
        "name": f"{source.name}-finetuned",
        "trained_on": f"{source.trained_on} Then {outcome.steps} steps of fine-tuning (recipe "
        f"{recipe.name}) on corrected masks of {recipe.target}, mixed with strokes simulated in the "
        f"heads of the participants; participants: {participants}.",
        "measured": rows,
        "notes": [
            *source.notes,
            f"Fine-tuned from {source.name} ({source.sha256[:12]}); dice_before is its Dice.",
            *recipe.card["notes"],
        ],
    }
    return write(content, [outcome.state], out, UNCHOSEN)
