"""Allowed inputs and expected accuracy of models, and the commands that print them."""

from dataclasses import replace

import cards
import pytest

from bids_stroke.cli import models
from bids_stroke.models import catalog, scores

MEASURED = [
    {"what": "chronic, > 1 ml", "input": "T1w", "n": 9, "dice": 0.5},
    {"what": "chronic, 10-50 ml", "input": "T1w", "n": 4, "dice": 0.7},
    {"what": "chronic, < 1 ml", "input": "T1w", "n": 3, "dice": 0},
    {"what": "chronic, 1-10 ml", "input": "T1w+FLAIR", "n": 5, "dice": 0.456},
    {"what": "chronic, 1-10 ml", "input": "FLAIR", "n": 5, "dice": 0.9},
    {"what": "no lesion", "input": "T1w", "n": 5, "false_positive_ml": 1},
]


def test_scores_are_by_size_for_allowed_inputs():
    """Sizes that contain others, and inputs that the model does not accept, are left out."""
    card = replace(cards.make("T1w", optional=("FLAIR",)), measured=MEASURED)
    sizes, rows = scores.expected_dice(card)
    assert sizes == ["< 1 ml", "1-10 ml", "10-50 ml"]
    assert list(rows) == [("chronic", "T1w"), ("chronic", "T1w+FLAIR")]
    assert rows["chronic", "T1w"]["10-50 ml"] == (0.7, 4)
    assert rows["chronic", "T1w+FLAIR"] == {"1-10 ml": (0.456, 5)}


def test_every_score_has_a_column_and_contrasts_have_any_order():
    rows = [*MEASURED, {"what": "acute", "input": "FLAIR+T1w", "dice": 0.4}]
    card = replace(cards.make("T1w", optional=("FLAIR",)), measured=rows)
    sizes, scored = scores.expected_dice(card)
    assert sizes == ["< 1 ml", "1-10 ml", "10-50 ml", "any size"]
    assert scored["acute", "T1w+FLAIR"] == {"any size": (0.4, None)}


def test_scores_of_lesions_of_any_size():
    card = replace(cards.make("T1w"), measured=[{"what": "my cohort", "input": "T1w", "dice": 0.6}])
    assert scores.expected_dice(card) == (
        ["any size"],
        {("my cohort", "T1w"): {"any size": (0.6, None)}},
    )
    assert scores.expected_dice(cards.make("T1w")) == ([], {})


@pytest.mark.parametrize(
    ("card", "inputs"),
    [
        (cards.make("T1w", optional=("FLAIR",)), ["T1w+FLAIR", "T1w"]),
        (cards.make("T1w", "FLAIR"), ["T1w+FLAIR"]),
        (cards.make(optional=("T1w", "T2w")), ["T1w+T2w", "T1w", "T2w"]),
        (catalog.load("simstroke"), ["T1w+FLAIR", "T1w", "FLAIR", "T2w"]),
    ],
)
def test_allowed_inputs(card, inputs):
    assert scores.allowed_inputs(card) == inputs


@pytest.mark.parametrize("words", [["list"], ["show", "simstroke"]])
def test_the_commands_print_inputs_and_scores_of_the_card(words, capsys):
    assert models.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(number for number, line in enumerate(lines) if "expected Dice" in line)
    assert "T1w+FLAIR, T1w, FLAIR, T2w" in lines[start - 1]
    assert lines[start].split()[3:] == ["<", "1", "ml", "1-10", "ml", ">", "10", "ml"]
    (row,) = (
        row
        for row in catalog.load("simstroke").measured
        if (row["what"], row["input"]) == ("subacute, 1-10 ml", "T1w+FLAIR")
    )
    (line,) = (line for line in lines if line.startswith("  subacute, T1w+FLAIR "))
    assert f" {row['dice']:.2f} ({row['n']}) " in line
    assert len({len(line) for line in lines[start : start + 7]}) == 1, "columns are aligned"


def test_a_model_without_scores(tmp_path, capsys):
    models._print_dice(cards.make("T1w"))
    assert capsys.readouterr().out == "  expected Dice: not measured\n"
