"""The examples and the numbers of documentation pages agree with the code."""

import re

import derived
import numpy as np
import pages
import pandas as pd
import pytest

from bids_stroke.models import catalog
from bids_stroke.spatial import image


def test_python_page(tmp_path, monkeypatch):
    derived.session(tmp_path / "out")
    row = {"participant_id": "sub-01", "lesion_volume_ml": 7.2, "hemisphere": "left"}
    pd.DataFrame([row]).to_csv(tmp_path / "out/group_lesion.tsv", sep="\t", index=False)
    monkeypatch.chdir(tmp_path)
    variables = pages.run_python("python.md")
    assert variables["flair"].name == "sub-01_desc-preproc_FLAIR.nii.gz"
    lesion = image.load("lesion.nii.gz")
    assert lesion.shape == variables["t1w"].shape and lesion.get_data_dtype() == np.uint8
    load = variables["load"]["raw_load_ml"]
    assert load["left"] > 0 and load["right"] == 0 and load["ipsilesional"] == load["left"]
    assert 0.5 < variables["metrics"].dice(variables["predicted"], variables["manual"]) < 1


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
