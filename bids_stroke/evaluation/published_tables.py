"""Tables of an evaluation with the rows and columns of published tables.

S1: Mohapatra et al. 2023; S2: Tomita et al. 2020; S3: Meddahi et al. 2023; S4: Meddahi et al. 2024; S5:
Chowdhury et al. 2025. The name of a model defines its type: suffix ``_FT`` (S1: intermediate-task
training), ``stack: A, B`` and ``AW: A, B (3, 0.5)`` (ensembles of S1), ``individual: [R1, R4]: A; …``
(one network for each super-region), ``name (T1w+FLAIR)`` (S3: input), suffix ``_fold0`` (S4). Each
function returns a table of text; the first paragraph of its docstring describes the table.
"""

import re

import numpy as np
import pandas as pd

from . import metrics, statistics
from . import summary as evaluation_summary
from .s1_tables import errors, s1_table1, s1_table2, s1_table3
from .table_cells import MISSING, decimals, interval, mean, models_with_scores

_S2 = {
    "DSC": "dice",
    "mDSC": "max_dice",
    "HD (mm)": "hd_mm",
    "ASSD (mm)": "assd_mm",
    "TPR": "sensitivity",
    "Precision": "precision",
}
_S4 = {
    "Precision": "precision",
    "Sensitivity": "sensitivity",
    "Dice": "dice",
    "Jaccard": "jaccard",
    "ASD (mm)": "assd_mm",
    "F1": "f1_anima",
}
_S5 = {
    "Dice": "dice",
    "IoU": "jaccard",
    "Accuracy": "accuracy",
    "Precision": "precision",
    "Recall": "sensitivity",
    "Specificity": "specificity",
}


def all_tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Build all tables by name that apply to the models.

    The tables of S1 require networks with intermediate-task training, the ablation of S2 exactly two
    models, and Table II of S3 inputs in the names of models. Empty tables are omitted.
    """
    models = [model for model, _ in models_with_scores(rows)]
    tables = {
        "S2_table2": s2_table2(rows),
        "S2_table4": s2_table4(rows),
        "S3_table2": s3_table2(rows),
        "S3_figure6": s3_figure6(rows),
        "S4_table2": s4_table2(rows),
        "S4_table3": s4_table3(rows),
        "S5_table1": s5_table1(rows),
    }
    if any(model.endswith("_FT") for model in models):
        tables |= {
            "S1_table1": s1_table1(rows),
            "S1_table2": s1_table2(rows),
            "S1_table3": s1_table3(rows),
        }
    if len(models) == 2:
        tables["S2_table5"] = s2_table5(rows)
    return {name: table for name, table in tables.items() if len(table)}


def description(name: str) -> str:
    """Return the description of a table, such as ``S1_table2``."""
    doc = globals()[name.lower()].__doc__
    return " ".join(doc.partition("\n\n")[0].split())


def s2_table2(rows: pd.DataFrame) -> pd.DataFrame:
    """Scores with 95% bootstrap intervals."""
    return pd.DataFrame(
        [
            {"Methods": model} | {name: interval(part, key) for name, key in _S2.items()}
            for model, part in models_with_scores(rows)
        ]
    )


def s2_table4(rows: pd.DataFrame) -> pd.DataFrame:
    """Scores by quartile of lesion size, for the model with the highest mean Dice; scans without a
    lesion are excluded."""
    best = rows.groupby("model", sort=False)["dice"].mean().dropna().nlargest(1).index
    part = rows[rows["model"].isin(best) & (rows["true_volume_ml"] > 0)]
    quartile = statistics.size_quartiles(part["true_volume_ml"])
    names = {name: key for name, key in _S2.items() if name != "mDSC"}
    return pd.DataFrame(
        [
            {"Percentile in per-sample lesion size distribution": group}
            | {name: interval(part[quartile == group], key) for name, key in names.items()}
            for group in sorted(set(quartile), key=lambda group: float(group.split("-")[0]))
        ]
    )


def s2_table5(rows: pd.DataFrame) -> pd.DataFrame:
    """Ablation: scores of each model, and the gain of the second over the first."""
    models = [model for model, _ in models_with_scores(rows)]
    if len(models) < 2:
        return pd.DataFrame()
    names = {name: key for name, key in _S2.items() if name != "mDSC"}
    table, means = [], []
    for model in models:
        part = rows[rows["model"] == model].dropna(subset="tp")
        counts = part[["tp", "fp", "fn", "tn"]].itertuples(index=False)
        micro = metrics.micro_dice(counts)
        means.append({"microDSC": micro} | {n: part[key].mean() for n, key in names.items()})
        row = {"Methods": model, "microDSC": f"{micro:.2f}"}
        table.append(row | {name: interval(part, key) for name, key in names.items()})
    gain = {name: f"{means[1][name] - means[0][name]:+.{decimals(name)}f}" for name in means[0]}
    return pd.DataFrame([*table[:2], {"Methods": "Δ"} | gain, *table[2:]])


def s3_table2(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean Dice of each model for each input."""
    cells: dict[str, dict[str, str]] = {}
    for name, part in models_with_scores(rows):
        if match := re.fullmatch(r"(.+) \(([\w+]+)\)", name):
            model, contrasts = match.groups()
            cells.setdefault(contrasts, {})[model] = mean(part["dice"], 3)
    table = pd.DataFrame.from_dict(cells, orient="index").fillna(MISSING)
    return table.rename_axis("Dataset").reset_index() if len(table) else table


def s3_figure6(rows: pd.DataFrame) -> pd.DataFrame:
    """Values of the box plots of Dice: minimum, quartiles, maximum and mean."""
    names = ("Minimum", "Q1", "Median", "Q3", "Maximum")
    table = []
    for model, part in models_with_scores(rows):
        values = dict(zip(names, part["dice"].quantile([0, 0.25, 0.5, 0.75, 1]), strict=True))
        values["Average"] = part["dice"].mean()
        table.append({"Model": model} | {name: f"{value:.3f}" for name, value in values.items()})
    return pd.DataFrame(table)


def s4_table2(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation of each score; an asterisk marks scores that are significantly
    better than those of all other models (Wilcoxon, p < 0.05)."""
    compared = evaluation_summary.comparisons(rows)
    table = []
    for model, part in models_with_scores(rows):
        row = {"Model": model, "n": str(part["dice"].count())}
        for name, key in _S4.items():
            values = statistics.summarize(part[key], part["unit"])
            star = "*" if _better_than_all(compared, model, key, lower=name.startswith("ASD")) else ""
            row[name] = f"{values.mean:.{decimals(name, 3)}f} ± {values.sd:.{decimals(name, 3)}f}{star}"
        table.append(row)
    return pd.DataFrame(table)


def s4_table3(rows: pd.DataFrame) -> pd.DataFrame:
    """Scores of each fold and their average."""
    names = ("Dice", "Jaccard", "Precision", "Sensitivity", "ASD (mm)", "F1")
    means = {
        match[1]: {name: part[_S4[name]].mean() for name in names}
        for model, part in sorted(models_with_scores(rows), key=lambda item: item[0])
        if (match := re.search(r"_fold(\d+)$", model))
    }
    if not means:
        return pd.DataFrame()
    means["Average"] = {name: float(np.mean([fold[name] for fold in means.values()])) for name in names}
    return pd.DataFrame(
        [
            {"Fold": fold} | {name: f"{value:.{decimals(name, 3)}f}" for name, value in scores.items()}
            for fold, scores in means.items()
        ]
    )


def s5_table1(rows: pd.DataFrame) -> pd.DataFrame:
    """Scores of networks and votes, with the errors of volume and load."""
    return pd.DataFrame(
        [
            {"Model": model} | {n: mean(part[key], 3) for n, key in _S5.items()} | errors(part)
            for model, part in models_with_scores(rows)
        ]
    )


def _better_than_all(compared: pd.DataFrame, model: str, score: str, lower: bool) -> bool:
    """Check whether a model is significantly better than each of the others."""
    of_model = (compared["a"] == model) | (compared["b"] == model)
    comparisons = compared[(compared["score"] == score) & of_model]
    if not len(comparisons):
        return False
    sign = np.where(comparisons["a"] == model, 1, -1) * (-1 if lower else 1)
    return bool(((comparisons["p"] < 0.05) & (comparisons["effect"] * sign > 0)).all())
