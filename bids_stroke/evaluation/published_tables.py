"""Tables of an evaluation with the rows and columns of published tables.

S1: Mohapatra et al. 2023; S2: Tomita et al. 2020; S4: Meddahi et al. 2024. The name of a model defines
its type: suffix ``_FT`` (S1: intermediate-task training), ``stack: A, B`` and ``AW: A, B (3, 0.5)``
(ensembles of S1), ``individual: [R1, R4]: A; …`` (one network for each super-region), suffix
``_fold0`` (S4). Each function returns a table of text; the first paragraph of its docstring describes
the table.
"""

import re

import numpy as np
import pandas as pd

from bids_stroke.atlases.super_regions import code_of

from . import metrics, statistics
from . import summary as evaluation_summary

_S1 = {"DSC": "dice", "IoU": "jaccard", "Prec": "precision", "Rec": "sensitivity"}
_ERRORS = {"ER LV": "er_lv", "ER LL": "er_ll"}
#: Errors in ml, which complement the means of relative errors.
_ABSOLUTE_ERRORS = {
    "LV error (ml)": "absolute_volume_difference_ml",
    "LL error (ml)": "absolute_load_difference_ml",
}
_ERROR_COLUMNS = (
    *_ERRORS,
    *(f"{name} {word}" for name in _ERRORS for word in ("n", "median")),
    *_ABSOLUTE_ERRORS,
)
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
_REGIONS = {"1 & 4": ("R1", "R4"), "2": ("R2",), "3": ("R3",)}
_METHODS = {"stack": "Stack", "aw": "Agreement Window"}
WHOLE_BRAIN, BY_REGION = "Whole-Brain", "Super-Region-wise"
#: Model of a row without a selected ensemble.
NO_ENSEMBLE = "none better than single networks"
_MISSING = "–"


def all_tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Build all tables by name that apply to the models.

    The tables of S1 require networks with intermediate-task training, and the ablation of S2 exactly
    two models. Empty tables are omitted.
    """
    models = [model for model, _ in _models(rows)]
    tables = {
        "S2_table2": s2_table2(rows),
        "S2_table4": s2_table4(rows),
        "S4_table2": s4_table2(rows),
        "S4_table3": s4_table3(rows),
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


def errors(part: pd.DataFrame) -> dict[str, str]:
    """Format the volume and load errors of a model.

    The errors are the means of ER LV and ER LL as in the publications, their numbers and medians, and
    the mean errors in ml.
    """
    columns = {name: _mean(part[key], 2) for name, key in _ERRORS.items()}
    for name, key in _ERRORS.items():
        median = part[key].median()
        columns[f"{name} n"] = str(part[key].count())
        columns[f"{name} median"] = f"{median:.2f}" if np.isfinite(median) else _MISSING
    return columns | {name: _mean(part[key], 2) for name, key in _ABSOLUTE_ERRORS.items()}


def s1_table1(rows: pd.DataFrame) -> pd.DataFrame:
    """Whole-brain scores of single models: mixed data and intermediate-task training."""
    cells: dict[str, dict[str, str]] = {}
    for model, part in _models(rows):
        if (_scope(model), _method(model)) != (WHOLE_BRAIN, "Individual"):
            continue
        training = "Intermediate Task Training" if model.endswith("_FT") else "Mixed Data"
        row = cells.setdefault(model.removesuffix("_FT"), {})
        row |= {f"{training}: {name}": _mean(part[key], 3) for name, key in _S1.items()}
        row |= {f"{training}: {name}": text for name, text in errors(part).items()}
    columns = [
        f"{training}: {name}"
        for training in ("Mixed Data", "Intermediate Task Training")
        for name in (*_S1, *_ERROR_COLUMNS)
    ]
    return pd.DataFrame(
        [
            {"Model": model} | {column: row.get(column, _MISSING) for column in columns}
            for model, row in sorted(cells.items())
        ]
    )


def s1_table2(rows: pd.DataFrame, selection: pd.DataFrame | None = None) -> pd.DataFrame:
    """Volume and load errors by super-region: the models that were selected on validation data, or all
    models. A scan belongs to the super-region that holds most of its true lesion.

    Parameters
    ----------
    rows : pandas.DataFrame
    selection : pandas.DataFrame, optional
        Models selected on validation data: ``scope`` (super-regions as in the table), ``method``,
        ``model``.
    """
    table = []
    for regions, names in _REGIONS.items():
        part = rows[rows["super_region"].map(code_of, na_action="ignore").isin(names)]
        for method in ("Individual", *_METHODS.values()):
            models = (
                [m for m, _ in _models(part) if (_scope(m), _method(m)) == (WHOLE_BRAIN, method)]
                if selection is None
                else _selected(selection, regions, method)
            )
            for model in models:
                scans = part[part["model"] == model]
                row = {"Super Region(s)": regions, "Method": method, "Top Model(s)": _model_name(model)}
                table.append(row | {"n": str(len(scans))} | errors(scans))
    return pd.DataFrame(table)


def s1_table3(rows: pd.DataFrame, selection: pd.DataFrame | None = None) -> pd.DataFrame:
    """Models of each method on the whole brain: those that were selected on validation data, or all
    models.

    Parameters
    ----------
    rows : pandas.DataFrame
    selection : pandas.DataFrame, optional
        Models selected on validation data: ``scope``, ``method``, ``model``; no model if no ensemble of
        the method is better than single networks.
    """
    table = []
    for scope in (WHOLE_BRAIN, BY_REGION):
        for method in ("Mixed Data", "ImTT", "Individual", "Stack", "AW"):
            models = (
                [m for m, _ in _models(rows) if _scope(m) == scope and _training(m) == method]
                if selection is None
                else _selected(selection, scope, method)
            )
            for model in models:
                part = rows[rows["model"] == model].dropna(subset="dice")
                table.append(
                    {"Scope": scope, "Method": method, "Top Model(s)": _model_name(model)}
                    | {"DSC": _mean(part["dice"], 3)}
                    | errors(part)
                )
    return pd.DataFrame(table)


def _selected(selection: pd.DataFrame, scope: str, method: str) -> list[str]:
    """Return the selected models of a scope and a method; :data:`NO_ENSEMBLE` without a model."""
    matches = (selection["scope"].astype(str) == scope) & (selection["method"] == method)
    return selection.loc[matches, "model"].fillna(NO_ENSEMBLE).tolist()


def _scope(model: str) -> str:
    return BY_REGION if "[R" in model else WHOLE_BRAIN


def _training(model: str) -> str:
    """Return the method of a model in Table 3; for single models, the type of training."""
    method = _method(model)
    if method != "Individual":
        return {"Stack": "Stack", "Agreement Window": "AW"}[method]
    if _scope(model) == BY_REGION:
        return method
    return "ImTT" if model.endswith("_FT") else "Mixed Data"


def s2_table2(rows: pd.DataFrame) -> pd.DataFrame:
    """Scores with 95% bootstrap intervals."""
    return pd.DataFrame(
        [
            {"Methods": model} | {name: _interval(part, key) for name, key in _S2.items()}
            for model, part in _models(rows)
        ]
    )


def s2_table4(rows: pd.DataFrame) -> pd.DataFrame:
    """Scores by quartile of lesion size, for the model with the highest mean Dice; scans without a
    lesion are excluded."""
    best = _ranked(rows, None, score="dice", ascending=False)[:1]
    part = rows[rows["model"].isin(best) & (rows["true_volume_ml"] > 0)]
    quartile = statistics.size_quartiles(part["true_volume_ml"])
    names = {name: key for name, key in _S2.items() if name != "mDSC"}
    return pd.DataFrame(
        [
            {"Percentile in per-sample lesion size distribution": group}
            | {name: _interval(part[quartile == group], key) for name, key in names.items()}
            for group in sorted(set(quartile), key=lambda group: float(group.split("-")[0]))
        ]
    )


def s2_table5(rows: pd.DataFrame) -> pd.DataFrame:
    """Ablation: scores of each model, and the gain of the second over the first."""
    models = [model for model, _ in _models(rows)]
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
        table.append(row | {name: _interval(part, key) for name, key in names.items()})
    gain = {name: f"{means[1][name] - means[0][name]:+.{_digits(name)}f}" for name in means[0]}
    return pd.DataFrame([*table[:2], {"Methods": "Δ"} | gain, *table[2:]])


def s4_table2(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation of each score; an asterisk marks scores that are significantly
    better than those of all other models (Wilcoxon, p < 0.05)."""
    compared = evaluation_summary.comparisons(rows)
    table = []
    for model, part in _models(rows):
        row = {"Model": model, "n": str(part["dice"].count())}
        for name, key in _S4.items():
            values = statistics.summarize(part[key], part["unit"])
            star = "*" if _better_than_all(compared, model, key, lower=name.startswith("ASD")) else ""
            row[name] = f"{values.mean:.{_digits(name, 3)}f} ± {values.sd:.{_digits(name, 3)}f}{star}"
        table.append(row)
    return pd.DataFrame(table)


def s4_table3(rows: pd.DataFrame) -> pd.DataFrame:
    """Scores of each fold and their average."""
    names = ("Dice", "Jaccard", "Precision", "Sensitivity", "ASD (mm)", "F1")
    means = {
        match[1]: {name: part[_S4[name]].mean() for name in names}
        for model, part in sorted(_models(rows), key=lambda item: item[0])
        if (match := re.search(r"_fold(\d+)$", model))
    }
    if not means:
        return pd.DataFrame()
    means["Average"] = {name: float(np.mean([fold[name] for fold in means.values()])) for name in names}
    return pd.DataFrame(
        [
            {"Fold": fold} | {name: f"{value:.{_digits(name, 3)}f}" for name, value in scores.items()}
            for fold, scores in means.items()
        ]
    )


def _models(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """List the models with scores, and their rows."""
    return [
        (str(model), part) for model, part in rows.dropna(subset="dice").groupby("model", sort=False)
    ]


def _method(model: str) -> str:
    return _METHODS.get(model.partition(":")[0].lower(), "Individual")


def _model_name(model: str) -> str:
    """Remove the method from the name of a model."""
    kind, _, name = model.partition(":")
    return name.strip() if kind.lower() in (*_METHODS, "individual") else model


def _ranked(
    rows: pd.DataFrame, method: str | None, score: str = "er_lv", ascending: bool = True
) -> list[str]:
    """Rank the models of a method (None: all methods) with the score, best first."""
    means = rows.groupby("model", sort=False)[score].mean().dropna().sort_values(ascending=ascending)
    return [model for model in map(str, means.index) if method in (None, _method(model))]


def _digits(name: str, other: int = 2) -> int:
    return 1 if "(mm)" in name else other


def _mean(values: pd.Series, digits: int) -> str:
    mean = values.mean()
    return f"{mean:.{digits}f}" if np.isfinite(mean) else _MISSING


def _interval(part: pd.DataFrame, score: str) -> str:
    summary = statistics.summarize(part[score], part["unit"])
    if not summary.n:
        return _MISSING
    digits = _digits(score.replace("_mm", "(mm)"))
    return f"{summary.mean:.{digits}f} ({summary.low:.{digits}f}–{summary.high:.{digits}f})"


def _better_than_all(compared: pd.DataFrame, model: str, score: str, lower: bool) -> bool:
    """Check whether a model is significantly better than each of the others."""
    of_model = (compared["a"] == model) | (compared["b"] == model)
    comparisons = compared[(compared["score"] == score) & of_model]
    if not len(comparisons):
        return False
    sign = np.where(comparisons["a"] == model, 1, -1) * (-1 if lower else 1)
    return bool(((comparisons["p"] < 0.05) & (comparisons["effect"] * sign > 0)).all())
