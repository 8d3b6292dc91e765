"""The analysis of an outcome, and its tables, on a small grid."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import sparse, stats

from bids_stroke.cohort.association import associations
from bids_stroke.cohort.lesion_matrix import LesionMatrix
from bids_stroke.cohort.measures import Measure, log_volume
from bids_stroke.cohort.outcome import Participants, analyze
from bids_stroke.cohort.outcome_tables import SUMMARY_COLUMNS, data_table, summary_row
from bids_stroke.cohort.phenotypes import Tables
from bids_stroke.cohort.symptom_maps import Permutations
from bids_stroke.errors import DatasetError
from bids_stroke.settings import Settings

NUMBER = 24
NAMES = [f"sub-{number:02}" for number in range(NUMBER)]
OPTIONS = Permutations(39, 0, 0)
AFFINE = np.array([[2.0, 0, 0, -8], [0, 2, 0, -6], [0, 0, 2, -4], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def participants():
    """Lesions around random centers, with a tract load and two regions of the same name."""
    rng = np.random.default_rng(0)
    shape = (8, 7, 5)
    points = np.argwhere(np.ones(shape))
    centers = rng.uniform(1, np.array(shape) - 1, size=(NUMBER, 3))
    sizes = rng.uniform(1.2, 4, NUMBER)
    lesions = np.linalg.norm(points[None] - centers[:, None], axis=2) < sizes[:, None]
    measures = [
        Measure("volume", "lesion_volume_ml", "Lesion volume (ml)", lesions.sum(axis=1) * 0.008),
        Measure("tract", "cst_raw_load_ml_ipsilesional", "CST raw load", lesions[:, :90].sum(1) / 100),
        Measure("region", "R1", "R1", lesions[:, 90:180].mean(axis=1), "A"),
        Measure("region", "R1", "R1", lesions[:, 180:].mean(axis=1), "B"),
    ]
    matrix = LesionMatrix(
        sparse.csc_array(lesions.astype(float)), nib.Nifti1Image(np.zeros(shape, np.uint8), AFFINE)
    )
    return Participants(dict.fromkeys(NAMES, "ses-1"), measures, matrix)


@pytest.fixture
def people(participants):
    """Columns of participants.tsv."""
    rng = np.random.default_rng(3)
    lesion = participants.matrix.lesions[:, [100]].toarray()[:, 0]
    score = 5 + 3 * lesion + rng.normal(size=NUMBER)
    return pd.DataFrame(
        {
            "participant_id": NAMES,
            "score": score.round(2).astype(str),
            "mrs": np.digitize(score, [4, 5, 7, 8]).astype(str),
            "poor": np.where(score > np.median(score), "yes", "no"),
            "age": rng.integers(40, 90, NUMBER).astype(str),
            "sex": np.where(rng.random(NUMBER) < 0.5, "F", "M"),
            "site": np.array(["A", "B", "C"])[np.arange(NUMBER) % 3],
        },
        dtype=object,
    )


@pytest.fixture
def run(participants, tmp_path):
    """Function that analyzes a column of a participants.tsv."""

    def run(people, name, *covariates, options=OPTIONS):
        people.to_csv(tmp_path / "participants.tsv", sep="\t", na_rep="n/a", index=False)
        measured = pd.DataFrame(
            {"participant_id": NAMES, "hemisphere": ["left", "right", "bilateral"] * (NUMBER // 3)}
        )
        tables = Tables(tmp_path, participants.sessions, measured)
        return analyze(participants, tables, name, covariates, options)

    return run


def settings(**options):
    folders = {name: Path("/") for name in ("bids_dir", "output_dir", "work_dir")}
    return Settings(**folders, level="group", bids_filters={}, **options)


def test_complete_data(run, people, participants):
    result = run(people, "score", "age", "sex")
    assert (result.outcome.kind, len(result.outcome.values)) == ("numeric", NUMBER)
    assert list(result.covariates) == ["age", "sex: M"]
    assert not result.notices and not result.problems and result.min_overlap == 5
    assert result.associations["n"].tolist() == [NUMBER] * 4
    assert result.tests[["family", "measure"]].agg(" ".join, axis=1).tolist() == [
        *("tracts cst_raw_load_ml_ipsilesional", "A R1", "B R1")
    ]
    y, volume = people["score"].astype(float).to_numpy(), participants.measures[0].values
    design = np.column_stack([result.covariates, log_volume(volume)])
    lesion = participants.matrix.lesions[:, [100]].toarray()
    fit = sm.OLS(y, sm.add_constant(np.column_stack([lesion, volume, design]))).fit()
    t = result.symptom_map.regression.t[result.symptom_map.voxels == 100]
    assert t == pytest.approx(fit.tvalues[1]) and result.symptom_map.direction == 0
    load = participants.measures[1].values
    fit = sm.OLS(y, sm.add_constant(np.column_stack([load, volume, design]))).fit()
    assert result.tests["t"][0] == pytest.approx(fit.tvalues[1])
    expected = associations(
        result.outcome, y, participants.measures, result.covariates.to_numpy(), log_volume(volume)
    )
    pd.testing.assert_frame_equal(result.associations, expected)


def test_participants_with_missing_values_are_excluded_and_named(run, people, participants):
    people.loc[2, "score"] = np.nan
    people.loc[5, "age"] = np.nan
    result = run(people.drop(7), "score", "age")
    excluded = [2, 5, 7]
    (notice,) = result.notices
    assert notice == (
        "score: 3 of 24 participants lack a value of score, age or of the lesion volume and are "
        "excluded: sub-02, sub-05, sub-07."
    )
    names = [name for number, name in enumerate(NAMES) if number not in excluded]
    assert result.outcome.values.index.tolist() == result.covariates.index.tolist() == names
    load = np.delete(participants.measures[1].values, excluded)
    assert result.measures[1].values.tolist() == load.tolist()
    y = people["score"].drop(excluded).astype(float)
    assert result.associations["spearman"][1] == pytest.approx(stats.spearmanr(load, y).statistic)
    lesions = np.delete(participants.matrix.lesions.toarray(), excluded, axis=0)
    position = int(np.argmax(result.symptom_map.overlap))
    overlap = lesions[:, result.symptom_map.voxels[position]].sum()
    assert result.symptom_map.overlap[position] == overlap


@pytest.mark.parametrize(("name", "kind"), [("mrs", "ordinal"), ("poor", "two-valued")])
def test_levels(run, people, name, kind):
    result = run(people, name)
    assert result.outcome.kind == kind and np.isfinite(result.symptom_map.regression.t).all()
    assert result.associations["auc"].notna().all() == (kind == "two-valued")
    assert result.prediction is not None


@pytest.mark.parametrize(("direction", "sign"), [(1, 1), (-1, -1)])
def test_the_direction_of_the_tests(run, people, direction, sign):
    options = Permutations(39, direction, 5, tfce=True)
    result = run(people, "score", options=options).symptom_map
    p, t = result.inference.p, result.regression.t
    assert result.direction == direction
    assert np.argmin(p) == np.argmax(sign * t)
    assert (sign * result.enhanced.scores >= 0).all()


def test_a_given_overlap(run, people):
    result = run(people, "score", options=Permutations(19, 0, 9))
    assert result.min_overlap == 9 and result.symptom_map.overlap.min() >= 9


def test_no_voxel_leaves_the_other_results(run, people):
    result = run(people, "score", options=Permutations(19, 0, 13))
    assert result.symptom_map is None
    assert result.problems == [
        "score: No voxel is lesioned in at least 13 of 24 participants and intact in at least 13; use "
        "a smaller --min-overlap, or more participants."
    ]
    assert result.associations["spearman"].notna().all() and len(result.tests) == 3
    assert result.prediction is not None


def test_few_participants_have_no_prediction(run, people):
    assert run(people[:20], "score").prediction is not None
    assert run(people[:19], "score").prediction is None


def test_categories_of_excluded_participants_do_not_count(run, people):
    """Only participants of sites B and C have an outcome: the sites have one indicator."""
    people.loc[people["site"] == "A", "score"] = np.nan
    result = run(people, "score", "site")
    assert list(result.covariates) == ["site: C"] and len(result.covariates) == 16


def test_text_of_excluded_participants_does_not_count(run, people):
    people.loc[3, ["age", "score"]] = "unknown", np.nan
    assert len(run(people, "score", "age").covariates) == NUMBER - 1
    people.loc[3, "score"] = "4"
    with pytest.raises(DatasetError, match=r"age of participants.tsv has text .* sub-03 \(unknown\)"):
        run(people, "score", "age")


def test_a_repeated_covariate_counts_once(run, people):
    assert list(run(people, "score", "age", "sex", "age").covariates) == ["age", "sex: M"]


def test_the_hemisphere_is_a_covariate(run, people):
    assert list(run(people, "score", "hemisphere").covariates) == [
        *("hemisphere: left", "hemisphere: right")
    ]


@pytest.mark.parametrize(
    ("number", "covariates", "words"),
    [
        (9, (), "of score exist for 9 of [0-9]+ participants, but 10 are needed; add"),
        (
            12,
            ("age", "site"),
            "of score, age, site exist for 12 of [0-9]+ participants, but 13 are needed",
        ),
        (0, ("age",), "of score, age exist for 0 of [0-9]+ participants, but 11 are needed"),
    ],
)
def test_too_few_participants(run, people, number, covariates, words):
    people.loc[number:, "age" if covariates else "score"] = np.nan
    with pytest.raises(DatasetError, match=words):
        run(people, "score", *covariates)


def test_enough_participants(run, people):
    people.loc[13:, "age"] = np.nan
    assert len(run(people, "score", "age", "site").covariates) == 13


@pytest.mark.parametrize(
    ("change", "covariates", "words"),
    [
        ({"sex": "F"}, ("sex",), "The covariate sex: F is the same for all 24 participants"),
        ({"age": "61"}, ("age",), "The covariate age is the same for all 24 participants"),
        ({"score": "3"}, (), "score of participants.tsv is 3 for all participants with complete data"),
        ({}, ("score",), "The outcome score is a combination of the lesion volume and the covariates"),
        ({}, ("NIHSS",), "There is no column NIHSS; choose one of hemisphere, score, mrs, poor, age"),
    ],
)
def test_columns_that_cannot_be_used(run, people, change, covariates, words):
    with pytest.raises(DatasetError, match=words):
        run(people.assign(**change), "score", *covariates)


def test_an_outcome_that_varies_only_among_excluded_participants(run, people):
    people["score"], people.loc[0, "score"], people.loc[0, "age"] = "3", "4", np.nan
    with pytest.raises(
        DatasetError, match=r"The column score of participants.tsv is 3 for all participants"
    ):
        run(people, "score", "age")


def test_an_outcome_that_is_a_category(run, people):
    with pytest.raises(
        DatasetError, match="The outcome poor is a combination of the lesion volume and"
    ):
        run(people, "poor", "poor")


def test_the_summary(run, people, participants):
    analysis = run(people, "mrs", "age", "sex", options=Permutations(39, 1, 0, tfce=True))
    options = settings(worse="higher", flip_to="left", permutations=39)
    row = summary_row("mrs", analysis, options, participants.matrix)
    assert set(row) == set(SUMMARY_COLUMNS)
    assert row["levels"] == "0+1+2+3+4" and row["covariates"] == "age+sex: M"
    assert (row["n"], row["min_overlap"], row["worse"], row["flipped_to"]) == (24, 5, "higher", "left")
    symptom_map = analysis.symptom_map
    peak = int(np.argmax(symptom_map.regression.t))
    assert row["peak_t"] == symptom_map.regression.t[peak]
    assert row["peak_p"] == symptom_map.inference.p.min() == symptom_map.inference.p[peak]
    position = np.array(np.unravel_index(symptom_map.voxels[peak], (8, 7, 5)))
    assert [row[f"peak_{axis}"] for axis in "xyz"] == (2 * position + AFFINE[:3, 3]).tolist()
    assert row["n_voxels"] == len(symptom_map.voxels)
    assert row["n_significant"] == (symptom_map.regression.t > row["critical_t"]).sum()
    assert row["n_significant_tfce"] == (symptom_map.enhanced.p <= 0.05).sum()


@pytest.mark.parametrize("direction", [1, -1])
def test_the_peak_is_in_the_tested_direction(run, people, participants, direction):
    """Also if all p values are equal, and the largest t value is in the other direction."""
    people["score"] = [f"{-direction * float(score):.2f}" for score in people["score"]]
    analysis = run(people, "score", options=Permutations(1, direction, 5))
    symptom_map = analysis.symptom_map
    inference = replace(symptom_map.inference, p=np.ones(len(symptom_map.voxels)))
    analysis = replace(analysis, symptom_map=replace(symptom_map, inference=inference))
    row = summary_row("score", analysis, settings(permutations=1), participants.matrix)
    t = direction * symptom_map.regression.t
    assert row["peak_t"] == direction * t.max() and t.max() < -t.min()
    assert row["critical_t"] is None


def test_the_summary_without_a_map(run, people, participants):
    analysis = run(people[:15], "score", options=Permutations(9, 0, 12))
    row = summary_row("score", analysis, settings(permutations=9), participants.matrix)
    assert set(row) < set(SUMMARY_COLUMNS) and "n_voxels" not in row and "cv_r2_map" not in row
    assert np.isnan(row["levels"]) and np.isnan(row["covariates"])


def test_the_data_of_all_outcomes(run, people, participants):
    """Participants that only one outcome includes have its measures."""
    people.loc[0, "score"] = people.loc[1, "mrs"] = people.loc[2, ["score", "mrs"]] = np.nan
    analyses = [run(people, "score", "age"), run(people, "mrs", "age", "sex")]
    rows = pd.DataFrame({"participant_id": NAMES, "session_id": "ses-1", "model": "m"})
    table, descriptions = data_table(analyses, rows)
    assert (
        list(table)
        == list(descriptions)
        == [
            *("participant_id", "session_id", "outcome_score", "covariate_age"),
            *("lesion_volume_ml", "cst_raw_load_ml_ipsilesional", "A_R1", "B_R1"),
            *("outcome_mrs", "covariate_sex: M"),
        ]
    )
    assert table["participant_id"].tolist() == NAMES
    for column, measure in zip(list(table)[4:8], participants.measures, strict=True):
        values = table[column].to_numpy()
        assert np.flatnonzero(np.isnan(values)).tolist() == [2]
        np.testing.assert_array_equal(np.delete(values, 2), np.delete(measure.values, 2))
    assert np.flatnonzero(table["outcome_score"].isna()).tolist() == [0, 2]
    assert np.flatnonzero(table["covariate_sex: M"].isna()).tolist() == [1, 2]
    assert table["covariate_age"][3] == float(people["age"][3])
