"""Kinds and codes of outcomes and covariates."""

import numpy as np
import pandas as pd
import pytest

from bids_stroke.cohort.coding import BINARY, NUMERIC, ORDINAL, Column, code_covariate, code_outcome
from bids_stroke.errors import DatasetError


def column(*values, **description):
    """A column of participants.tsv; None is missing."""
    labels = [f"sub-{number:02}" for number in range(1, len(values) + 1)]
    return Column("score", pd.Series(values, labels, dtype=object), "participants.tsv", **description)


@pytest.mark.parametrize(
    ("values", "description", "kind", "levels"),
    [
        (("0", "3", "6", "1"), {}, ORDINAL, {"0": 0, "1": 1, "3": 3, "6": 6}),
        (("0", "3", "7", "1"), {}, NUMERIC, {}),
        (("0", "3.5", "6"), {}, NUMERIC, {}),
        (("10", "12", "16"), {}, ORDINAL, {"10": 10, "12": 12, "16": 16}),
        (("0", "3", "6"), {"has_units": True}, NUMERIC, {}),
        (("0", "30", "60"), {"levels": ("0", "30", "60")}, ORDINAL, {"0": 0, "30": 30, "60": 60}),
        (("-1", "-3", "2"), {}, ORDINAL, {"-3": -3, "-1": -1, "2": 2}),
        (("1", "1.0", "2", "3"), {}, ORDINAL, {"1": 1, "2": 2, "3": 3}),
        (("1", "1.0", "2"), {}, BINARY, {"1": 0, "2": 1}),
        (("7", "2"), {}, BINARY, {"2": 0, "7": 1}),
        (("10", "9"), {}, BINARY, {"9": 0, "10": 1}),
        (("0.5", "1e3"), {"has_units": True}, BINARY, {"0.5": 0, "1000": 1}),
        (("poor", "good"), {}, BINARY, {"good": 0, "poor": 1}),
        (("poor", "good"), {"levels": ("poor", "good")}, BINARY, {"poor": 0, "good": 1}),
        (
            ("mild", "severe", "none"),
            {"levels": ("none", "mild", "moderate", "severe")},
            ORDINAL,
            {"none": 0, "mild": 1, "severe": 2},
        ),
        (("0", "2.0", "1"), {"levels": ("0", "1.0", "2")}, ORDINAL, {"0": 0, "1": 1, "2": 2}),
        (("1", "2", "many"), {"levels": ("1", "2", "many")}, ORDINAL, {"1": 0, "2": 1, "many": 2}),
    ],
)
def test_kinds_and_levels(values, description, kind, levels):
    outcome = code_outcome(column(*values, None, **description))
    assert (outcome.kind, outcome.levels) == (kind, levels)
    assert list(outcome.levels) == list(levels)
    assert np.isnan(outcome.values.iloc[-1])
    texts = {str(float(text)) if text.replace(".", "").isdigit() else text: text for text in values}
    assert outcome.values.notna().sum() == len(values) and outcome.values.nunique() == len(texts)


def test_numbers_are_values():
    outcome = code_outcome(column("0", "2.50", "42", None, "1e1"))
    assert outcome.kind == NUMERIC and outcome.source == "participants.tsv"
    assert outcome.values.fillna(-1).tolist() == [0, 2.5, 42, -1, 10]


def test_equal_numbers_have_one_level():
    outcome = code_outcome(column("01", "1.0", "1", "2", "0"))
    assert outcome.levels == {"0": 0, "1": 1, "2": 2} and outcome.values.tolist() == [1, 1, 1, 2, 0]


@pytest.mark.parametrize(
    ("values", "description", "message"),
    [
        (
            ("4", "4.0", None),
            {},
            "is 4 for all participants with complete data; choose an outcome that varies.",
        ),
        (("good", "good"), {}, "is good for all participants"),
        ((None, None), {}, "is empty; choose an outcome that varies."),
        (
            ("12", "high", "3", ">25"),
            {},
            r"has text instead of a number for sub-02 \(high\), sub-04 \(>25\); correct these rows",
        ),
        (("12", "inf", "3"), {}, r"instead of a number for sub-02 \(inf\)"),
        (("12", "-Infinity", "3"), {}, r"instead of a number for sub-02 \(-Infinity\)"),
        (("12", "nan", "3"), {}, r"instead of a number for sub-02 \(nan\)"),
        (("1,5", "2,5", "3"), {}, r"for sub-01 \(1,5\), sub-02 \(2,5\)"),
        (("a", "b", "c"), {}, r"has 3 different texts \(a, b, c\); list them in order in Levels"),
        (
            ("none", "mild", "heavy"),
            {"levels": ("none", "mild", "severe")},
            "has the values heavy, which are not in Levels of its sidecar; add them there, in order",
        ),
        (
            ("0", "2", "9", "1.0"),
            {"levels": ("0", "1", "2", "3")},
            "has the values 9, which are not in Levels of its sidecar; .* or write n/a.",
        ),
        (("yes", "NA", "yes"), {}, r"has no category for sub-02 \(NA\); write n/a for a missing value"),
        (("1,5", "2,5"), {}, r"has no category for sub-01 \(1,5\), sub-02 \(2,5\)"),
    ],
)
def test_outcomes_that_cannot_be_used(values, description, message):
    with pytest.raises(DatasetError, match=f"The column score of participants.tsv.*{message}"):
        code_outcome(column(*values, **description))


def test_many_rows_with_text_are_counted():
    with pytest.raises(DatasetError, match=r"sub-10 \(x\) and 5 more; correct"):
        code_outcome(column(*["x"] * 15, "1", "2"))


def test_covariates_with_numbers():
    table = code_covariate(column("61", None, "70.5"))
    assert table.to_dict("list") == {"score": [61, pytest.approx(np.nan, nan_ok=True), 70.5]}


def test_texts_become_indicators():
    table = code_covariate(column("B", "A", None, "C", "B"))
    assert list(table) == ["score: B", "score: C"]
    assert table["score: B"].fillna(-1).tolist() == [1, 0, -1, 0, 1]
    assert table["score: C"].fillna(-1).tolist() == [0, 0, -1, 1, 0]


@pytest.mark.parametrize("values", [("F", "F", None), (None, None)])
def test_a_covariate_without_variance_has_a_column(values):
    """Its variance is checked among the participants with complete data."""
    (name,) = code_covariate(column(*values))
    assert name.startswith("score")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("61", "old", None), r"text instead of a number for sub-02 \(old\)"),
        (("61", "inf"), r"text instead of a number for sub-02 \(inf\)"),
        (
            tuple("ABCDEFGHIJK"),
            r"11 different texts \(A, B, C, D, E and 6 more\); use a column with numbers or with",
        ),
        (
            ("F", "NA", "M", "NaN", "n.a.", "N/A", "null", "nan"),
            r"no category for sub-02 \(NA\), .*sub-08 \(nan\); write n/a for a missing value",
        ),
        (("61,5", ",7"), r"no category for .*; write n/a .*, and numbers with a decimal point"),
    ],
)
def test_covariates_that_cannot_be_used(values, message):
    with pytest.raises(DatasetError, match=f"score of participants.tsv has {message}"):
        code_covariate(column(*values))
