"""Rows, columns and numbers of the published tables."""

import numpy as np
import pandas as pd
import pytest

from bids_stroke.evaluation import columns, published_tables, s1_tables


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


SELECTION = pd.DataFrame(
    [
        ("1 & 4", "Individual", "VNet"),
        ("1 & 4", "Stack", "stack: UNet, VNet"),
        ("3", "Individual", "UNet"),
        ("3", "Agreement Window", "AW: UNet, VNet (3, 0.5)"),
        ("Whole-Brain", "Mixed Data", "UNet"),
        ("Whole-Brain", "AW", "AW: UNet, VNet (3, 0.5)"),
        ("Super-Region-wise", "Stack", None),
        ("Super-Region-wise", "AW", "AW: [R1, R4] UNet [R2] VNet"),
    ],
    columns=["scope", "method", "model"],
)


def test_s1_table2_lists_the_models_selected_on_validation_data(rows):
    """The other models are not listed, even if their errors are smaller."""
    rows.loc[rows["model"] == "UNet_FT", "er_lv"] = 0
    table = published_tables.s1_table2(rows, SELECTION)
    assert table.iloc[:, :4].to_numpy().tolist() == [
        ["1 & 4", "Individual", "VNet", "6"],
        ["1 & 4", "Stack", "UNet, VNet", "6"],
        ["3", "Individual", "UNet", "3"],
        ["3", "Agreement Window", "UNet, VNet (3, 0.5)", "3"],
    ]
    part = rows[(rows["super_region"] == "R3 parietal") & (rows["model"] == "UNet")]
    assert table["ER LV"][2] == f"{part.er_lv.mean():.2f}"


def test_s1_table3_lists_the_models_selected_on_validation_data(rows):
    table = published_tables.s1_table3(rows, SELECTION)
    assert table.iloc[:, :3].to_numpy().tolist() == [
        ["Whole-Brain", "Mixed Data", "UNet"],
        ["Whole-Brain", "AW", "UNet, VNet (3, 0.5)"],
        ["Super-Region-wise", "Stack", s1_tables.NO_ENSEMBLE],
        ["Super-Region-wise", "AW", "[R1, R4] UNet [R2] VNet"],
    ]
    assert table["DSC"][0] == mean(rows, "UNet", "dice", 3) and table["DSC"][2] == "–"


def test_s1_tables_without_selection_list_all_models(rows):
    rows = pd.concat(
        [rows, rows[rows["model"] == "VNet"].assign(model="individual: [R1, R4]: VNet; [R2]: UNet")]
    )
    table = published_tables.s1_table3(rows)
    assert table.iloc[:, :2].value_counts(sort=False).to_dict() == {
        ("Super-Region-wise", "AW"): 1,
        ("Super-Region-wise", "Individual"): 1,
        ("Whole-Brain", "AW"): 1,
        ("Whole-Brain", "ImTT"): 1,
        ("Whole-Brain", "Mixed Data"): 4,
        ("Whole-Brain", "Stack"): 1,
    }
    assert "[R1, R4]: VNet; [R2]: UNet" in table["Top Model(s)"].tolist()
    table = published_tables.s1_table2(rows)
    assert len(table) == 3 * 7 and not table["Top Model(s)"].str.contains("R1").any()
    assert (
        "individual: [R1, R4]: VNet; [R2]: UNet"
        not in published_tables.s1_table1(rows)["Model"].tolist()
    )


def test_s2_tables(rows):
    table2 = published_tables.s2_table2(rows)
    assert list(table2) == ["Methods", "DSC", "mDSC", "HD (mm)", "ASSD (mm)", "TPR", "Precision"]
    assert table2.DSC[0].startswith(f"{rows.dice[:12].mean():.2f} (")
    table4 = published_tables.s2_table4(rows)
    assert table4.iloc[:, 0].tolist() == ["0-25%", "25-50%", "50-75%", "75-100%"]
    best = rows[rows.model == "net_fold1"]
    assert table4.DSC[0].startswith(f"{best.dice[:3].mean():.2f} (")
    table5 = published_tables.s2_table5(rows)
    assert table5.Methods.tolist()[:4] == ["UNet", "UNet_FT", "Δ", "VNet"] and len(table5) == 9
    assert table5.microDSC.tolist()[:3] == ["0.71", "0.73", "+0.02"]
    gain = rows[rows.model == "UNet_FT"].dice.mean() - rows[rows.model == "UNet"].dice.mean()
    assert table5.DSC[2] == f"{gain:+.2f}"


def test_s3_table2_has_a_row_for_each_input(rows):
    names = {"UNet": "pretrained (T1w)", "VNet": "pretrained (FLAIR)", "UNet_FT": "tuned (T1w+FLAIR)"}
    selected = rows[rows.model.isin(names)].assign(model=lambda part: part.model.map(names))
    table = published_tables.s3_table2(selected).set_index("Dataset")
    assert set(table.index) == {"T1w", "FLAIR", "T1w+FLAIR"} and len(table.columns) == 2
    assert table.loc["FLAIR", "pretrained"] == mean(rows, "VNet", "dice", 3)
    assert table.loc["FLAIR", "tuned"] == "–"
    assert not len(published_tables.s3_table2(rows[rows.model == "UNet"]))


def test_s3_figure6_has_the_values_of_the_boxes(rows):
    rows.loc[rows.model == "UNet", "dice"] = np.linspace(0, 0.44, 12)
    box = published_tables.s3_figure6(rows).set_index("Model").loc["UNet"]
    assert box.tolist() == ["0.000", "0.110", "0.220", "0.330", "0.440", "0.220"]


def test_s5_table(rows):
    table = published_tables.s5_table1(rows).set_index("Model")
    assert table.loc["VNet", "Specificity"] == mean(rows, "VNet", "specificity", 3)
    assert len(table.columns) == 6 + 2 * 3 + 2


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


def test_tables_that_do_not_apply_are_omitted(rows):
    """A model of another kind has no row in "mixed data", and several models are not an ablation."""
    tables = published_tables.all_tables(rows[rows.model.isin(["UNet", "VNet"])])
    names = {"S2_table2", "S2_table4", "S2_table5", "S3_figure6", "S4_table2", "S5_table1"}
    assert set(tables) == names
    tables = published_tables.all_tables(rows)
    assert {"S1_table1", "S1_table2", "S1_table3"} < set(tables) and "S2_table5" not in tables


def test_descriptions_have_one_paragraph():
    text = published_tables.description("S1_table2")
    assert text.startswith("Volume and load errors") and "Parameters" not in text
