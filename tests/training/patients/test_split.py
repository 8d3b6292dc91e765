from dataclasses import replace

import pandas as pd
import pytest

from bids_stroke.errors import DatasetError
from bids_stroke.training.patients import split
from bids_stroke.training.patients.patient import Patient
from bids_stroke.training.recipe_settings import SplitRules


def cohort(number=40, sites=4):
    """Subjects of growing lesions at several sites; every tenth has two sessions."""
    return [
        Patient("d", f"sub-{n:02d}", f"ses-{m}", f"site{n % sites}", ("T1w",), n + 1.0, False, "", None)
        for n in range(number)
        for m in range(2 if n % 10 == 0 else 1)
    ]


def test_counts_and_shares():
    table = split.make(cohort(), SplitRules(validation=5, test=0.25), 1)
    assert table["part"].value_counts().to_dict() == {"training": 25, "test": 10, "validation": 5}


def test_parts_have_like_sites_and_volumes():
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
    validated = [one.subject for part in parts for one in part["validation"]]
    assert len(set(validated)) == 40
    for part in parts:
        trains = {one.subject for one in part["training"]}
        assert not trains & {one.subject for one in part["validation"]}


def test_the_seed_decides():
    rules = SplitRules(validation=5, test=5)
    one, same, other = (split.make(cohort(), rules, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert not one.equals(other)


def test_sessions_of_a_subject_stay_together():
    table = split.make(cohort(), SplitRules(validation=10), 1)
    parts = split.divide(cohort(), table)
    subjects = {part: {one.subject for one in scans} for part, scans in parts.items()}
    assert not subjects["training"] & subjects["validation"]
    assert sum(map(len, parts.values())) == len(cohort())


def test_a_file_is_honoured(tmp_path):
    table = split.make(cohort(), SplitRules(validation=10, test=4), 3)
    path = split.write(table, tmp_path / "split.tsv")
    assert list(split.read(path)["part"]) == list(table["part"])
    (tmp_path / "mine.tsv").write_text("participant_id\tpart\nsub-01\ttraining\nsub-02\tvalidation\n")
    parts = split.divide(cohort(), split.read(tmp_path / "mine.tsv"))
    subjects = {part: [one.subject for one in scans] for part, scans in parts.items()}
    expected = {"training": ["sub-01"], "intermediate": [], "validation": ["sub-02"], "test": []}
    assert subjects == expected


def test_what_cannot_be_split(tmp_path):
    with pytest.raises(DatasetError, match="40 subjects are too few"):
        split.make(cohort(), SplitRules(validation=26, test=31), 1)
    path = tmp_path / "split.tsv"
    for text, words in (
        ("participant_id\tpart\nsub-99\ttraining\nsub-01\tvalidation\n", "names sub-99"),
        ("participant_id\tpart\nsub-01\ttraining\n", "no one for validation"),
    ):
        path.write_text(text)
        with pytest.raises(DatasetError, match=words):
            split.divide(cohort(), split.read(path))
    path.write_text("participant_id\tpart\nsub-01\tdevelopment\n")
    with pytest.raises(DatasetError, match="has the part development"):
        split.read(path)
    path.write_text("subject\nsub-01\n")
    with pytest.raises(DatasetError, match="lacks the column part, participant_id"):
        split.read(path)


def test_the_intermediate_part_is_of_the_source_alone():
    own = [replace(one, dataset="own") for one in cohort(10)]
    rules = SplitRules(validation=5, intermediate=0.25)
    table = split.make([*cohort(), *own], rules, 1, target="own")
    source = table[table["dataset"] == "d"]["part"].value_counts()
    assert source["intermediate"] == round(0.25 * (40 - source["validation"]))
    assert set(table[table["dataset"] == "own"]["part"]) <= {"training", "validation"}
    parts = split.divide([*cohort(), *own], table)
    assert {one.dataset for one in parts["intermediate"]} == {"d"}


def test_by_slice_everyone_trains_and_validates():
    table = split.make(cohort(), SplitRules(by="slice", validation=0.1, test=0.1), 1)
    assert set(table["part"]) == {"training"}
    parts = split.divide(cohort(), table, by_slice=True)
    assert parts["training"] == parts["validation"] == cohort() and not parts["test"]
