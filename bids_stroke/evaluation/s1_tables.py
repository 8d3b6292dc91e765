"""Tables of Mohapatra et al. 2023 (S1); see :mod:`bids_stroke.evaluation.published_tables`."""

from collections.abc import Iterable
from itertools import product

import numpy as np
import pandas as pd

from bids_stroke.atlases.super_regions import code_of

from .table_cells import MISSING, mean, models_with_scores

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
_REGIONS = {"1 & 4": ("R1", "R4"), "2": ("R2",), "3": ("R3",)}
_METHODS = {"stack": "Stack", "aw": "Agreement Window"}
_TABLE3 = ("Mixed Data", "ImTT", "Individual", "Stack", "AW")
WHOLE_BRAIN, BY_REGION = "Whole-Brain", "Super-Region-wise"
#: Model of a row without a selected ensemble.
NO_ENSEMBLE = "none better than single networks"


def errors(part: pd.DataFrame) -> dict[str, str]:
    """Format the volume and load errors of a model.

    The errors are the means of ER LV and ER LL as in the publications, their numbers and medians, and
    the mean errors in ml.
    """
    columns = {name: mean(part[key], 2) for name, key in _ERRORS.items()}
    for name, key in _ERRORS.items():
        median = part[key].median()
        columns[f"{name} n"] = str(part[key].count())
        columns[f"{name} median"] = f"{median:.2f}" if np.isfinite(median) else MISSING
    return columns | {name: mean(part[key], 2) for name, key in _ABSOLUTE_ERRORS.items()}


def s1_table1(rows: pd.DataFrame) -> pd.DataFrame:
    """Whole-brain scores of single models: mixed data and intermediate-task training."""
    cells: dict[str, dict[str, str]] = {}
    for model in _whole_brain(rows):
        if _method(model) != "Individual":
            continue
        part = rows[rows["model"] == model].dropna(subset="dice")
        training = "Intermediate Task Training" if model.endswith("_FT") else "Mixed Data"
        row = cells.setdefault(model.removesuffix("_FT"), {})
        row |= {f"{training}: {name}": mean(part[key], 3) for name, key in _S1.items()}
        row |= {f"{training}: {name}": text for name, text in errors(part).items()}
    columns = [
        f"{training}: {name}"
        for training in ("Mixed Data", "Intermediate Task Training")
        for name in (*_S1, *_ERROR_COLUMNS)
    ]
    return pd.DataFrame(
        [
            {"Model": model} | {column: row.get(column, MISSING) for column in columns}
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
    if selection is None:
        selection = _selection((scope, _method(m), m) for scope in _REGIONS for m in _whole_brain(rows))
    table = []
    for (regions, names), method in product(_REGIONS.items(), ("Individual", *_METHODS.values())):
        of_region = rows[rows["super_region"].map(code_of, na_action="ignore").isin(names)]
        for model in _selected(selection, regions, method):
            part = of_region[of_region["model"] == model]
            row = {"Super Region(s)": regions, "Method": method, "Top Model(s)": _model_name(model)}
            table.append(row | {"n": str(len(part))} | errors(part))
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
    if selection is None:
        models = [model for model, _ in models_with_scores(rows)]
        selection = _selection((_scope(model), _training(model), model) for model in models)
    table = []
    for scope, method in product((WHOLE_BRAIN, BY_REGION), _TABLE3):
        for model in _selected(selection, scope, method):
            part = rows[rows["model"] == model].dropna(subset="dice")
            table.append(
                {"Scope": scope, "Method": method, "Top Model(s)": _model_name(model)}
                | {"DSC": mean(part["dice"], 3)}
                | errors(part)
            )
    return pd.DataFrame(table)


def _whole_brain(rows: pd.DataFrame) -> list[str]:
    """Return the models that are not ensembles by super-region."""
    return [model for model, _ in models_with_scores(rows) if _scope(model) == WHOLE_BRAIN]


def _selection(models: Iterable[tuple[str, str, str]]) -> pd.DataFrame:
    """Create a selection from scopes, methods and models."""
    return pd.DataFrame(models, columns=["scope", "method", "model"])


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


def _method(model: str) -> str:
    return _METHODS.get(model.partition(":")[0].lower(), "Individual")


def _model_name(model: str) -> str:
    """Remove the method from the name of a model."""
    kind, _, name = model.partition(":")
    return name.strip() if kind.lower() in (*_METHODS, "individual") else model
