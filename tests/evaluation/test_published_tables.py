"""Rows, columns and numbers of the published tables."""

import numpy as np
import pandas as pd
import pytest

from bids_stroke.evaluation import columns, published_tables


@pytest.fixture
def rows():
    rng = np.random.default_rng(1)
    names = (
        "UNet",
        "UNet_FT",
        "VNet",
        "stack: UNet, VNet",
        "AW: UNet, VNet (3, 0.5)",
        "AW: [R1, R4] UNet [R2] VNet",
        "net_fold0",
        "net_fold1",
    )
    frames = []
    for index, model in enumerate(names):
        part = pd.DataFrame({name: rng.uniform(0.4, 0.6, 12) for name in columns.SCORES})
        part["dice"] += index / 10
        part["participant_id"] = [f"sub-{i}" for i in range(12)]
        part[["model", "session_id"]] = model, None
        part["unit"] = part["participant_id"]
        part["super_region"] = ["R1 frontal", "R2 cerebellum", "R3 parietal", "R4 temporal"] * 3
        part["true_volume_ml"] = np.arange(1, 13)
        part[["tp", "fp", "fn", "tn"]] = 10 + index, 4, 4, 100
        frames.append(part)
    return pd.concat(frames, ignore_index=True)


def mean(rows, model, score, digits):
    return f"{rows.loc[rows.model == model, score].mean():.{digits}f}"


def test_s1_table1_has_both_types_of_training(rows):
    table = published_tables.s1_table1(rows).set_index("Model")
    assert list(table.index) == ["UNet", "VNet", "net_fold0", "net_fold1"]
    assert len(table.columns) == 2 * (4 + 2 * 3 + 2)
    assert table.loc["UNet", "Mixed Data: DSC"] == mean(rows, "UNet", "dice", 3)
    assert table.loc["UNet", "Intermediate Task Training: ER LV"] == mean(rows, "UNet_FT", "er_lv", 2)
    assert table.loc["VNet", "Intermediate Task Training: DSC"] == "–"


def test_errors_include_median_number_and_error_in_ml(rows):
    """One small lesion makes the mean of the errors large."""
    unet = rows[rows.model == "UNet"].copy()
    unet["er_lv"] = [10.0] * 10 + [9990, np.nan]
    unet["absolute_volume_difference_ml"] = 0.5
    row = published_tables.s1_table1(unet).set_index("Model").loc["UNet"]
    shown = [row[f"Mixed Data: {name}"] for name in ("ER LV", "ER LV n", "ER LV median")]
    assert shown == ["917.27", "11", "10.00"]
    assert row["Mixed Data: LV error (ml)"] == "0.50"


def test_s1_table2_ranks_within_super_regions(rows):
    table = published_tables.s1_table2(rows)
    assert set(table["Super Region(s)"]) == {"1 & 4", "2", "3"}
    region_rows = rows[rows.super_region == "R3 parietal"]
    single = (
        region_rows[~region_rows.model.str.contains(":")].groupby("model").er_lv.mean().sort_values()
    )
    result = table[(table["Super Region(s)"] == "3") & (table.Method == "Individual")]
    assert result["Top Model(s)"].tolist() == single.index[:4].tolist()
    assert result["ER LV"].tolist() == [f"{value:.2f}" for value in single[:4]]
    assert set(table.Method) == {"Individual", "Stack", "Agreement Window"}


def test_s1_table3_lists_the_best_model_of_each_method(rows):
    table = published_tables.s1_table3(rows)
    assert table.Scope.tolist() == ["Whole-Brain"] * 4 + ["Super-Region-wise"]
    assert table.Method.tolist() == ["Mixed Data", "ImTT", "Stack", "AW", "AW"]
    assert table["Top Model(s)"].tolist()[2:] == [
        "UNet, VNet",
        "UNet, VNet (3, 0.5)",
        "[R1, R4] UNet [R2] VNet",
    ]


def test_s2_tables(rows):
    table2 = published_tables.s2_table2(rows)
    assert list(table2) == ["Methods", "DSC", "mDSC", "HD (mm)", "ASSD (mm)", "TPR", "Precision"]
    assert table2.DSC[0].startswith(f"{rows.dice[:12].mean():.2f} (")
    table4 = published_tables.s2_table4(rows)
    assert table4.iloc[:, 0].tolist() == ["0-25%", "25-50%", "50-75%", "75-100%"]
    best = rows[rows.model == "net_fold1"]
    assert table4.DSC[0].startswith(f"{best.dice[:3].mean():.2f} (")
    table5 = published_tables.s2_table5(rows)
    assert table5.Methods.tolist() == ["UNet", "UNet_FT", "Δ"]
    assert table5.microDSC.tolist() == ["0.71", "0.73", "+0.02"]
    gain = rows[rows.model == "UNet_FT"].dice.mean() - rows[rows.model == "UNet"].dice.mean()
    assert table5.DSC[2] == f"{gain:+.2f}"


def test_s4_tables(rows):
    unet = rows[rows.model == "UNet"]
    table = published_tables.s4_table2(rows).set_index("Model")
    assert table.loc["UNet", "Dice"].startswith(f"{unet.dice.mean():.3f} ± {unet.dice.std():.3f}")
    folds = published_tables.s4_table3(rows).set_index("Fold")
    assert folds.index.tolist() == ["0", "1", "Average"]
    both = [rows[rows.model == f"net_fold{k}"].jaccard.mean() for k in (0, 1)]
    assert folds.loc["Average", "Jaccard"] == f"{np.mean(both):.3f}"


def test_s4_star_marks_the_best_model(rows):
    both_models = rows[rows.model.isin(["UNet", "VNet"])].copy()
    both_models.loc[both_models.model == "VNet", "dice"] = (
        both_models.dice[both_models.model == "UNet"].to_numpy() + 0.1
    )
    both_models.loc[both_models.model == "VNet", "assd_mm"] = (
        both_models.assd_mm[both_models.model == "UNet"].to_numpy() + 0.1
    )
    table = published_tables.s4_table2(both_models).set_index("Model")
    assert table.loc["VNet", "Dice"].endswith("*") and not table.loc["UNet", "Dice"].endswith("*")
    assert table.loc["UNet", "ASD (mm)"].endswith("*") and "*" not in table.loc["VNet", "ASD (mm)"]


def test_empty_tables_are_omitted(rows):
    tables = published_tables.all_tables(rows[rows.model == "UNet"])
    assert "S4_table3" not in tables and "S2_table5" not in tables and "S2_table2" in tables
