"""Outcomes that cannot be analyzed: one sentence, status 1, and the other outputs."""

import shutil

import numpy as np
import pandas as pd
import pytest
from cohorts import NAMES, NUMBER, write_cohort
from faults.running import check_complete_files, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture
def group(cohort, tmp_path):
    """Function that runs the group level on a copy and returns the sentences of the errors."""
    bids, out = (shutil.copytree(folder, tmp_path / folder.name) for folder in cohort)

    def level(*options):
        done = run(bids, out, "group", "--nprocs", "1", "--permutations", "5", *options)
        assert done.returncode == 1
        check_complete_files(out)
        names = {path.name for path in out.iterdir()}
        assert {"group.html", "group_lesion.tsv", "group_regions.tsv", "CITATION.md"} <= names
        sentences = done.stderr.splitlines()
        assert all(line.startswith("bids_stroke: error: ") for line in sentences), done.stderr
        page = (out / "group.html").read_text()
        assert all(line.removeprefix("bids_stroke: error: ") in page for line in sentences)
        return sentences

    level.bids, level.out = bids, out
    return level


def analyzed(out):
    """Names of the outcomes with results."""
    path = out / "group_outcome_summary.tsv"
    return pd.read_csv(path, sep="\t")["outcome"].tolist() if path.is_file() else []


def test_columns_that_cannot_be_used(group, table):
    path = group.bids / "participants.tsv"
    people = pd.read_csv(path, sep="\t", dtype=str)
    people["constant"] = "4"
    people["few"] = np.where(np.arange(NUMBER) < 9, np.arange(NUMBER).astype(str), "n/a")
    people.to_csv(path, sep="\t", index=False)
    cases = {
        "an outcome that does not exist": "nihss",
        "an outcome without variance": "constant",
        "an outcome of fewer than 10 participants": "few",
        "text in an outcome of numbers": "range",
        "an outcome that is a covariate": "age",
    }
    sentences = group("--outcome", *cases.values(), "score", "--covariates", "age")
    assert [line.removeprefix("bids_stroke: error: ") for line in sentences] == [
        "There is no column nihss; choose one of hemisphere, score, age, sex, range, constant, few.",
        "The column constant of participants.tsv is 4 for all participants with complete data; choose "
        "an outcome that varies.",
        "Complete data of few, age exist for 9 of 14 participants, but 11 are needed; add "
        "participants, or use fewer covariates.",
        "The column range of participants.tsv has text instead of a number for sub-06 (high); correct "
        "these rows, or write n/a.",
        "The outcome age is a combination of the lesion volume and the covariates; use another "
        "outcome, or other covariates.",
    ]
    assert analyzed(group.out) == ["score"]
    for case, sentence in zip(cases, sentences, strict=True):
        table.add("Outcomes", case, 1, sentence, "the other outcomes")


def test_a_phenotype_with_duplicated_participants(group, tmp_path, table):
    path = tmp_path / "scores.tsv"
    rows = [f"{name}\t{number}" for number, name in enumerate(NAMES)]
    path.write_text("\n".join(["participant_id\tarm", *rows, "sub-02\t9"]) + "\n")
    (sentence,) = group("--outcome", "arm", "score", "--phenotype", path)
    assert sentence.endswith(
        "scores.tsv has different rows for sub-02; keep one row for each participant."
    )
    assert analyzed(group.out) == []
    table.add("Outcomes", "duplicated participants in --phenotype", 1, sentence, "all but outcomes")


def test_participants_tsv_with_duplicated_participants(group, table):
    path = group.bids / "participants.tsv"
    path.write_text(path.read_text() + "sub-02\t1\t2\tF\t3\n")
    (sentence,) = group("--outcome", "score")
    assert sentence.endswith(
        "participants.tsv has different rows for sub-02; keep one row for each participant."
    )
    assert analyzed(group.out) == []
    lesions = pd.read_csv(group.out / "group_lesion.tsv", sep="\t")
    assert len(lesions) == NUMBER and "score" not in lesions
    table.add("Outcomes", "duplicated rows in participants.tsv", 1, sentence, "all but outcomes")


def test_no_voxel_is_lesioned_often_enough(group, table):
    (sentence,) = group("--outcome", "score", "--min-overlap", "8")
    assert sentence.endswith(
        "score: No voxel is lesioned in at least 8 of 14 participants and intact in at least 8; use a "
        "smaller --min-overlap, or more participants."
    )
    assert analyzed(group.out) == ["score"] and not list(group.out.glob("*_statmap.nii.gz"))
    assert len(pd.read_csv(group.out / "group_outcome.tsv", sep="\t")) == 8
    table.add("Outcomes", "no voxel lesioned in enough participants", 1, sentence, "all but the maps")
