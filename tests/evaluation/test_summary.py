"""Summary of scores by group, and comparison of models."""

import numpy as np
import pandas as pd
import pytest

from bids_stroke.evaluation import columns, statistics
from bids_stroke.evaluation import summary as evaluation_summary
from bids_stroke.evaluation.units import add_units


@pytest.fixture
def rows_of_models():
    """Rows of two models for thirty scans."""
    rng = np.random.default_rng(0)
    volumes = rng.lognormal(2, 1.5, 30)
    frames = []
    for model, shift in (("one", 0), ("two", 0.05)):
        rows = pd.DataFrame({name: rng.uniform(size=30) for name in columns.SCORES})
        rows["dice"] = np.linspace(0.2, 0.9, 30) + shift
        rows["participant_id"] = [f"sub-{i}" for i in range(30)]
        rows[["model", "session_id"]] = model, None
        rows["unit"] = rows["participant_id"]
        rows["true_volume_ml"], rows["predicted_volume_ml"] = volumes, volumes * 1.1
        rows["true_load_ml"] = rows["predicted_load_ml"] = volumes / 3
        rows[["tp", "fp", "fn", "tn"]] = 5, 2, 3, 90
        frames.append(rows)
    return pd.concat(frames, ignore_index=True)


def test_summary_has_every_group(rows_of_models):
    people = pd.DataFrame(
        {
            "participant_id": [f"sub-{i}" for i in range(30)],
            "site": ["A", "B", "C"] * 10,
            "age": range(30),
        }
    )
    table = evaluation_summary.summary(rows_of_models, people)
    assert set(table.grouping) == {"all", "size quartile", "size class", "site"}
    row = table.query("model == 'one' and grouping == 'all' and score == 'dice'").iloc[0]
    expected = statistics.summarize(rows_of_models[rows_of_models.model == "one"].dice)
    names = ["n", "mean", "median", "sd", "low", "high", "units"]
    assert tuple(row[names]) == pytest.approx(expected)
    pooled = table.query("model == 'one' and score == 'micro_dice'").iloc[0]
    assert pooled["mean"] == pytest.approx(10 / 15)
    sizes = table.query("grouping == 'size quartile' and score == 'dice' and model == 'two'").n
    assert sorted(sizes) == [7, 7, 8, 8]


def test_a_scan_that_one_model_lacks_has_a_size_quartile(rows_of_models):
    quartile = evaluation_summary.groups(rows_of_models)["size quartile"]
    rows_of_models.loc[3, "true_volume_ml"] = np.nan
    after = evaluation_summary.groups(rows_of_models)["size quartile"]
    assert rows_of_models["model"][[3, 33]].tolist() == ["one", "two"]
    assert after.equals(quartile) and after[33] in ("0-25%", "25-50%", "50-75%", "75-100%")


def test_models_are_compared_scan_by_scan(rows_of_models):
    table = evaluation_summary.comparisons(rows_of_models)
    row = table[table.score == "dice"].iloc[0]
    assert (row.a, row.b, row.n) == ("one", "two", 30)
    assert row.median_difference == pytest.approx(-0.05) and row.p < 1e-5 and row.effect == -1
    assert not len(evaluation_summary.comparisons(rows_of_models[rows_of_models.model == "one"]))


def test_scans_of_a_unit_are_not_counted_as_independent(rows_of_models):
    """Thirty scans form three units: sessions of a participant, or patients that were simulated from
    the same head (participants.tsv)."""
    visits = rows_of_models.assign(
        participant_id=[f"sub-{i // 10}" for i in range(30)] * 2,
        session_id=[f"ses-{i % 10}" for i in range(30)] * 2,
    )
    heads = pd.DataFrame(
        {"participant_id": [f"sub-{i}" for i in range(30)], "head": [f"h{i // 10}" for i in range(30)]}
    )
    for rows in (add_units(visits), add_units(rows_of_models, heads)):
        row = evaluation_summary.summary(rows).query("score == 'dice' and grouping == 'all'").iloc[0]
        assert (row["n"], row.units) == (30, 3)
        means = rows[rows.model == "one"].groupby("unit").dice.mean()
        assert row.low == pytest.approx(means.min()) and row.high == pytest.approx(means.max())
        (comparison,) = evaluation_summary.comparisons(rows).query("score == 'dice'").itertuples()
        assert (comparison.n, comparison.units, comparison.p) == (
            30,
            3,
            0.25,
        )  # the smallest p value for three units
        assert set(evaluation_summary.agreement(rows).units) == {3}
    few = heads[heads.participant_id != "sub-0"]
    assert add_units(rows_of_models, few).unit.nunique() == 4, "a participant without a head is a unit"


def test_agreement_of_volumes(rows_of_models):
    table = evaluation_summary.agreement(rows_of_models).set_index(["model", "measure"])
    assert table.loc[("one", "volume"), "slope"] == pytest.approx(1.1)
    assert table.loc[("one", "load"), "bias"] == 0
    true = rows_of_models[rows_of_models.model == "one"]
    expected = statistics.dice_against_volume(true.dice, true.true_volume_ml)
    assert table.loc[("one", "dice_by_log10_volume"), "r2"] == pytest.approx(expected.r2)


def test_categories_count_scans(rows_of_models):
    rows_of_models["true_category"] = ["small", "large"] * 30
    rows_of_models["predicted_category"] = ["small", "medium"] * 30
    table, kappas = evaluation_summary.categories(rows_of_models, ("none", "small", "medium", "large"))
    assert table.n.sum() == 60 and set(kappas) == {"one", "two"}
    cell = table.query("model == 'one' and true_category == 'large' and predicted_category == 'medium'")
    assert cell.n.tolist() == [15]
