"""Sections of outcomes in the group report."""

import json
import re
import warnings

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from bids_stroke.cohort import association, symptom_maps
from bids_stroke.cohort.coding import BINARY, NUMERIC, Outcome
from bids_stroke.cohort.lesion_matrix import LesionMatrix
from bids_stroke.cohort.measures import Measure, log_volume
from bids_stroke.cohort.outcome import Analysis
from bids_stroke.cohort.symptom_maps import Permutations, fit_measures, fit_voxels
from bids_stroke.reports.group.outcome import MAX_REGIONS, MapFiles, outcome_section
from bids_stroke.spatial import image

NUMBER = 30
NAMES = [f"sub-{number:02}" for number in range(NUMBER)]
RNG = np.random.default_rng(0)
VOLUME = RNG.gamma(1, 20, NUMBER)
SCORE = np.round(np.log(VOLUME) + RNG.normal(size=NUMBER), 2)


@pytest.fixture(autouse=True)
def no_warnings():
    """Users see no warnings of the libraries."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def analysis_of(measures, kind=NUMERIC, symptom_map=None):
    y = SCORE if kind == NUMERIC else (np.median(SCORE) < SCORE).astype(float)
    levels = {} if kind == NUMERIC else {"good": 0.0, "poor": 1.0}
    outcome = Outcome("score", kind, pd.Series(y, NAMES), levels, "participants.tsv")
    measures = [Measure("volume", "lesion_volume_ml", "Lesion volume (ml)", VOLUME), *measures]
    nothing, volume = np.empty((NUMBER, 0)), log_volume(VOLUME)
    return Analysis(
        outcome,
        pd.DataFrame(index=NAMES),
        measures,
        association.associations(outcome, y, measures, nothing, volume),
        fit_measures("score", y, measures, volume[:, None], Permutations(9, 0, 5)),
        symptom_map,
        None,
        5,
        [],
        [],
    )


def section_of(analysis, folder, links=None, flagged=()):
    maps = MapFiles(*(folder / name for name in ("t.nii.gz", "p.nii.gz", "count.nii.gz")))
    return outcome_section("score", analysis, maps, folder, links or {}, flagged)


def loads(values, count=3):
    kinds = ("weighted_load_ml", "raw_load_ml", "max_slice_load")
    return [Measure("tract", f"cst_{kind}", f"CST {kind}", values) for kind in kinds[:count]]


@pytest.mark.parametrize("kind", [NUMERIC, BINARY])
@pytest.mark.parametrize(
    "values",
    [
        RNG.random(NUMBER),
        np.zeros(NUMBER),
        np.full(NUMBER, np.nan),
        np.where(np.arange(NUMBER) < NUMBER - 2, np.nan, 1.0),
    ],
    ids=["measured", "spared", "not measured", "rarely measured"],
)
def test_only_measures_that_are_related_to_the_outcome_have_a_plot(tmp_path, kind, values):
    section = section_of(analysis_of(loads(values), kind), tmp_path)
    assert not section.associations.isin(["nan"]).any(axis=None)
    assert section.plots.count("CST weighted") == (np.ptp(values) > 0)
    assert section.figure is None and section.viewer is None


def test_points_link_to_participants(tmp_path):
    links = {name: f"{name}.html" for name in NAMES[3:]}
    section = section_of(analysis_of([]), tmp_path, links)
    assert set(re.findall(r'href="(sub-[^"]*)"', section.plots)) == set(links.values())


@pytest.mark.parametrize("kind", [NUMERIC, BINARY])
def test_participants_that_failed_qc_checks_are_named_and_have_rings(tmp_path, kind):
    section = section_of(analysis_of([], kind), tmp_path, flagged=[NAMES[3], NAMES[5], "sub-other"])
    sentence = f"Participants whose session failed QC checks (amber rings): {NAMES[3]}, {NAMES[5]}."
    assert section.sentences[-1] == sentence
    assert section.plots.count("stroke: #d29500") == 2
    section = section_of(analysis_of([], kind), tmp_path)
    assert "QC" not in section.sentences[-1] and "#d29500" not in section.plots


def test_tables_list_all_tracts_and_the_first_regions(tmp_path):
    regions = [
        Measure("region", f"R{number}", f"R{number}", RNG.random(NUMBER), "A")
        for number in range(MAX_REGIONS + 5)
    ]
    tracts = [
        *loads(RNG.random(NUMBER)),
        *(load for _ in range(3) for load in loads(RNG.random(NUMBER))),
    ]
    section = section_of(analysis_of([*tracts, *regions]), tmp_path)
    assert section.shortened == 5
    assert len(section.tests) == len(tracts) + MAX_REGIONS
    assert len(section.associations) == 1 + len(tracts) + MAX_REGIONS
    assert section.tests["measure"].iloc[-1] == f"R{MAX_REGIONS - 1} (share lesioned)"
    assert "area under the ROC curve" not in section.associations
    assert section.legend.startswith("Lines")


def test_the_section_of_two_values(tmp_path):
    section = section_of(analysis_of(loads(RNG.random(NUMBER)), BINARY), tmp_path)
    assert "area under the ROC curve" in section.associations
    assert section.legend.startswith("Boxes")
    assert "good (15)" in section.plots and "poor (15)" in section.plots
    assert "two-valued (good, poor)" in section.sentences[0]


def map_of(folder, direction):
    """A map with a few significant voxels, and its files."""
    affine = nib.affines.from_matvec(np.diag([8.0, 8, 8]), [-50, -30, 0])
    grid = nib.Nifti1Image(np.zeros((6, 6, 4), np.uint8), affine)
    lesions = (np.random.default_rng(1).random((NUMBER, 144)) < 0.4).astype(float)
    lesions[:, 50] = np.median(SCORE) < SCORE
    lesions[:, 90] = np.median(SCORE) > SCORE
    matrix = LesionMatrix(sparse.csc_array(lesions), grid)
    result = fit_voxels(matrix, SCORE, log_volume(VOLUME)[:, None], Permutations(39, direction, 5))
    for name, values, fill in (
        ("t", result.regression.t, 0),
        ("p", result.inference.p, 1),
        ("count", result.overlap.astype(np.int32), 0),
    ):
        img = matrix.image(values.astype(np.float32), result.voxels, fill)
        image.save(img, folder / f"{name}.nii.gz")
    return result


@pytest.mark.parametrize(
    ("direction", "shown"), [(0, [True, True]), (1, [True, False]), (-1, [False, True])]
)
def test_a_few_significant_voxels(tmp_path, direction, shown):
    """Sentences, figure and viewer of a map. The viewer hides the direction that is not tested."""
    result = map_of(tmp_path, direction)
    significant = int((result.inference.p <= symptom_maps.ALPHA).sum())
    section = section_of(analysis_of([], symptom_map=result), tmp_path)
    assert f"{significant} voxels have a corrected p value of at most 0.05" in section.sentences[-1]
    tested = {0: "in both directions", 1: "for higher outcomes", -1: "for lower outcomes"}[direction]
    assert f"tested {tested}" in section.sentences[-1] and significant
    assert "corrected p ≤ 0.05" in section.figure and "no significant voxel" not in section.figure
    viewer = (tmp_path / section.viewer).read_text()
    checked = ["checked" in box for box in re.findall(r'<input[^>]*name="overlay"[^>]*>', viewer)]
    (data,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', viewer, re.DOTALL)
    thresholds = [layer["threshold"] for layer in json.loads(data)["layers"][1:3]]
    assert checked == [*shown, False]
    assert thresholds == [round(result.critical, 2) if tested else 0 for tested in shown]
