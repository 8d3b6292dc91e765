from dataclasses import replace

import pandas as pd
import pytest

from bids_stroke.errors import DatasetError
from bids_stroke.training.patients import split
from bids_stroke.training.patients.patient import Patient
from bids_stroke.training.recipe_settings import SplitRules


def cohort(number=40, sites=4):
    """Subjects with increasing lesion volumes at several sites; every tenth has two sessions."""
    return [
        Patient("d", f"sub-{n:02d}", f"ses-{m}", f"site{n % sites}", ("T1w",), n + 1.0, False, "", None)
        for n in range(number)
        for m in range(2 if n % 10 == 0 else 1)
    ]


def test_counts_and_shares():
    table = split.make(cohort(), SplitRules(validation=5, test=0.25), 1)
    assert table["part"].value_counts().to_dict() == {"training": 25, "test": 10, "validation": 5}


def test_parts_have_similar_sites_and_volumes():
    table = split.make(cohort(80), SplitRules(validation=20, test=20), 1)
    for _, rows in table.groupby("part"):
        counts = rows["site"].value_counts()
        assert counts.min() >= counts.max() - 2
        assert rows["lesion_volume_ml"].mean() == pytest.approx(40.5, rel=0.15)


def test_folds_share_all_subjects():
    table = split.make(cohort(43), SplitRules(folds=5, test=3), 1)
    counts = table["part"].value_counts()
    assert counts["test"] == 3
    assert sorted(counts[[str(fold) for fold in range(5)]]) == [8] * 5
    parts = [split.divide(cohort(43), table, fold) for fold in range(5)]
    validated = [patient.subject for fold in parts for patient in fold["validation"]]
    assert len(set(validated)) == 40
    for fold in parts:
        training = {patient.subject for patient in fold["training"]}
        assert not training & {patient.subject for patient in fold["validation"]}


def test_the_split_depends_on_the_seed():
    rules = SplitRules(validation=5, test=5)
    first, same, other = (split.make(cohort(), rules, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, same)
    assert not first.equals(other)


def test_sessions_of_a_subject_are_in_one_part():
    table = split.make(cohort(), SplitRules(validation=10), 1)
    parts = split.divide(cohort(), table)
    subjects = {part: {patient.subject for patient in scans} for part, scans in parts.items()}
    assert not subjects["training"] & subjects["validation"]
    assert sum(map(len, parts.values())) == len(cohort())


def test_a_split_from_a_file(tmp_path):
    table = split.make(cohort(), SplitRules(validation=10, test=4), 3)
    path = split.write(table, tmp_path / "split.tsv")
    assert list(split.read(path)["part"]) == list(table["part"])
    (tmp_path / "mine.tsv").write_text("participant_id\tpart\nsub-01\ttraining\nsub-02\tvalidation\n")
    parts = split.divide(cohort(), split.read(tmp_path / "mine.tsv"))
    subjects = {part: [patient.subject for patient in scans] for part, scans in parts.items()}
    expected = {"training": ["sub-01"], "intermediate": [], "validation": ["sub-02"], "test": []}
    assert subjects == expected


def test_invalid_splits(tmp_path):
    with pytest.raises(DatasetError, match="40 subjects are too few"):
        split.make(cohort(), SplitRules(validation=26, test=31), 1)
    path = tmp_path / "split.tsv"
    for text, words in (
        ("participant_id\tpart\nsub-99\ttraining\nsub-01\tvalidation\n", "lists sub-99"),
        ("participant_id\tpart\nsub-01\tvalidation\n", "no subject for training"),
    ):
        path.write_text(text)
        with pytest.raises(DatasetError, match=words):
            split.divide(cohort(), split.read(path))
    path.write_text("participant_id\tpart\nsub-01\tdevelopment\n")
    with pytest.raises(DatasetError, match="has the unknown part development"):
        split.read(path)
    path.write_text("subject\nsub-01\n")
    with pytest.raises(DatasetError, match="lacks the column part, participant_id"):
        split.read(path)


def test_only_source_datasets_have_an_intermediate_part():
    target = [replace(patient, dataset="target") for patient in cohort(10)]
    rules = SplitRules(validation=5, intermediate=0.25)
    table = split.make([*cohort(), *target], rules, 1, target="target")
    source = table[table["dataset"] == "d"]["part"].value_counts()
    assert source["intermediate"] == round(0.25 * (40 - source["validation"]))
    assert set(table[table["dataset"] == "target"]["part"]) <= {"training", "validation"}
    parts = split.divide([*cohort(), *target], table)
    assert {patient.dataset for patient in parts["intermediate"]} == {"d"}


def test_in_a_split_by_slice_all_patients_are_in_training_and_validation():
    table = split.make(cohort(), SplitRules(by="slice", validation=0.1, test=0.1), 1)
    assert set(table["part"]) == {"training"}
    parts = split.divide(cohort(), table, by_slice=True)
    assert parts["training"] == parts["validation"] == cohort() and not parts["test"]
