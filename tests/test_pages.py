"""The examples and the numbers of documentation pages agree with the code."""

import re

import derived
import nibabel as nib
import numpy as np
import pages
import pandas as pd
import pytest
from scipy import sparse

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.cli.simulate import main as simulate
from bids_stroke.cohort import outcome, outcome_tables
from bids_stroke.cohort.lesion_matrix import LesionMatrix
from bids_stroke.cohort.measures import Measure
from bids_stroke.cohort.phenotypes import Tables
from bids_stroke.cohort.symptom_maps import Permutations
from bids_stroke.models import catalog
from bids_stroke.spatial import image


@pytest.mark.slow
def test_python_page(tmp_path, monkeypatch):
    assert simulate([str(tmp_path / "bids"), "--participants", "1", "--resolution", "2"]) == 0
    for path in (tmp_path / "bids").rglob("sub-01_*.nii.gz"):
        path.rename(tmp_path / re.sub(".*(T1w|FLAIR|brain_mask)", r"\1", path.name))
    derived.session(tmp_path / "out")
    row = {"participant_id": "sub-01", "lesion_volume_ml": 7.2, "hemisphere": "left"}
    pd.DataFrame([row]).to_csv(tmp_path / "out/group_lesion.tsv", sep="\t", index=False)
    monkeypatch.chdir(tmp_path)
    variables = pages.run_python("python.md")
    assert variables["measured"].components["hemisphere"]["all"] == "left"
    mask, probability = (image.load(f"{name}.nii.gz") for name in ("mask", "probability"))
    assert mask.get_fdata().sum() * 0.008 == pytest.approx(
        variables["segmentation"].volume_ml, rel=1e-4
    )
    assert probability.get_fdata()[mask.get_fdata() > 0].min() >= 0.5
    assert variables["flair"].name == "sub-01_desc-preproc_FLAIR.nii.gz"
    lesion = image.load("lesion.nii.gz")
    assert lesion.shape == variables["t1w"].shape and lesion.get_data_dtype() == np.uint8
    load = variables["load"]["raw_load_ml"]
    assert load["left"] > 0 and load["right"] == 0 and load["ipsilesional"] == load["left"]
    assert 0.5 < variables["metrics"].dice(variables["predicted"], variables["manual"]) < 1


def outcomes(folder, number=30):
    """Analyze the column nihss of a simulated dataset of which two participants lack a value."""
    rng = np.random.default_rng(0)
    names = [f"sub-{position:02d}" for position in range(number)]
    volume = rng.lognormal(2, 1.5, number)
    load = volume * rng.uniform(0, 0.1, number)
    people = {"participant_id": names, "age": rng.integers(40, 90, number)}
    people["nihss"] = np.where(np.arange(number) < 2, np.nan, rng.poisson(3 + load))
    write_tsv(pd.DataFrame(people), folder / "participants.tsv")
    lesions = sparse.csc_array(rng.uniform(size=(number, 64)) < 0.3, dtype=float)
    measures = [
        Measure("volume", "lesion_volume_ml", "Lesion volume (ml)", volume),
        Measure("tract", "cst_weighted_load_ml_ipsilesional", "CST weighted load (ml)", load),
    ]
    matrix = LesionMatrix(lesions, nib.Nifti1Image(np.zeros((4, 4, 4)), np.eye(4)))
    participants = outcome.Participants(dict.fromkeys(names, ""), measures, matrix)
    rows = pd.DataFrame({"participant_id": names, "session_id": np.nan, "hemisphere": "left"})
    tables = Tables(folder, participants.sessions, rows[["participant_id", "hemisphere"]])
    analysis = outcome.analyze(participants, tables, "nihss", ["age"], Permutations(20, 0, 0))
    data, _ = outcome_tables.data_table([analysis], rows)
    write_tsv(data, folder / "out/group_outcome_data.tsv")
    return analysis


def test_outcome_page(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    analysis = outcomes(tmp_path)
    monkeypatch.chdir(tmp_path)
    page = pages.run_python("outcome.md")
    name = page["load"].name
    association = analysis.associations.set_index("measure").loc[name]
    assert association["n"] == 28 == len(page["data"])
    assert page["spearman"].statistic == pytest.approx(association["spearman"])
    assert page["spearman"].pvalue == pytest.approx(association["spearman_p"])
    squares = page["without_load"].rsquared, page["with_load"].rsquared
    assert squares == pytest.approx((association["r2_baseline"], association["r2"]), rel=1e-4)
    test = analysis.tests.set_index("measure").loc[name]
    estimates = page["test"].params[name], page["test"].tvalues[name]
    assert estimates == pytest.approx((test["effect"], test["t"]), rel=1e-4)


SIZES = {"under 1 ml": "< 1 ml", "1 to 10 ml": "1-10 ml", "over 10 ml": "> 10 ml"}
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
    expected = [dice()[f"{stage}, > 10 ml", model_input] for stage in ("chronic", "subacute")]
    assert cells(page_input)[1:3] == expected


@pytest.mark.parametrize("page_size", SIZES)
def test_dice_by_size(page_size):
    expected = [dice()[f"{stage}, {SIZES[page_size]}", used] for stage, used in COLUMNS]
    assert cells(page_size) == expected
