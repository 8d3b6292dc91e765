"""The numbers of documentation pages agree with the model card."""

import re

import pages
import pytest

from bids_stroke.models import catalog

SIZES = {
    "under 1 ml": "< 1 ml",
    "1 to 10 ml": "1-10 ml",
    "10 to 50 ml": "10-50 ml",
    "over 50 ml": "> 50 ml",
}
COLUMNS = (("chronic", "T1w"), ("subacute", "T1w+FLAIR"))


def dice():
    """Return the Dice of the embedded model by lesion and input, as on the page."""
    rows = catalog.load("simstroke").measured
    return {(row["what"], row["input"]): f"{row['dice']:g}" for row in rows if "dice" in row}


def cells(first):
    """Return the further cells of the row of which-model.md whose first cell is ``first``."""
    text = (pages.DOCS / "which-model.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| {re.escape(first)} \|(.*)\|$", text, re.MULTILINE)
    return [cell.strip() for cell in row.split("|")]


@pytest.mark.parametrize("page_input", ["T1w and FLAIR", "T1w", "T2w", "FLAIR"])
def test_dice_by_input(page_input):
    model_input = page_input.replace(" and ", "+")
    expected = [dice()[f"{stage}, > 1 ml", model_input] for stage in ("chronic", "subacute")]
    assert cells(page_input)[1:3] == expected


@pytest.mark.parametrize("page_size", SIZES)
def test_dice_by_size(page_size):
    expected = [dice()[f"{stage}, {SIZES[page_size]}", used] for stage, used in COLUMNS]
    assert cells(page_size) == expected
