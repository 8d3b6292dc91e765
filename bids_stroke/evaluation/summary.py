"""Scores summarized by model and group, and compared between models."""

from itertools import product

import numpy as np
import pandas as pd

from . import metrics, statistics
from .columns import AGREEMENT, COMPARISONS, SCORES, SUMMARY


def groups(rows, people=None):
    """Groups of scans to be told apart: all, size quartile, size class, and columns of a table.

    Parameters
    ----------
    people : pandas.DataFrame, optional
        participants.tsv; columns of two to twelve values that are no numbers are used.

    Returns
    -------
    dict of str to pandas.Series
        Group of each row.
    """
    volumes = rows["true_volume_ml"]
    # The quartiles are of scans with a lesion; one that several models saw counts once.
    scans = rows.assign(scan=[*zip(rows.participant_id, rows.session_id, strict=True)])
    unique = scans.drop_duplicates("scan").set_index("scan")["true_volume_ml"].dropna()
    quartile = statistics.size_quartiles(unique[unique > 0])
    found = {
        "all": pd.Series("all", rows.index),
        "size quartile": scans["scan"].map(quartile),
        "size class": statistics.size_classes(volumes),
    }
    for name in [] if people is None else people.columns.drop("participant_id"):
        values = people.set_index("participant_id")[name]
        numbers = pd.to_numeric(values.dropna(), errors="coerce")
        if 2 <= values.nunique() <= 12 and numbers.isna().any():
            found[name] = rows["participant_id"].map(values)
    return found


def summary(rows, people=None):
    """Every score of every model in every group: columns of :data:`SUMMARY`."""
    table = []
    for grouping, group_of in groups(rows, people).items():
        order = rows.groupby(group_of)["true_volume_ml"].median().sort_values().index
        for group, model in product(order, rows["model"].unique()):
            part = rows[(rows["model"] == model) & (group_of == group)]
            for score in SCORES:
                values = statistics.summarize(part[score].to_numpy(float))
                if values.n:
                    table.append([model, grouping, group, score, *values])
        if grouping == "all":
            for model, part in rows.dropna(subset="tp").groupby("model", sort=False):
                pooled = metrics.micro_dice(part[["tp", "fp", "fn", "tn"]].itertuples(index=False))
                nothing = [np.nan] * 4
                table.append([model, "all", "all", "micro_dice", len(part), pooled, *nothing])
    return pd.DataFrame(table, columns=list(SUMMARY))


def comparisons(rows):
    """Paired comparison of the models by every score: columns of :data:`COMPARISONS`."""
    table = []
    for score in SCORES if rows["model"].nunique() > 1 else ():
        wide = rows.pivot_table(
            score, ["participant_id", rows["session_id"].fillna("")], "model", sort=False
        )
        if wide.shape[1] > 1:
            table += [[score, *one] for one in statistics.compare(wide)]
    return pd.DataFrame(table, columns=list(COMPARISONS))


def agreement(rows):
    """Predicted against true volumes and loads, Dice against volume: columns of
    :data:`AGREEMENT`."""
    table = []
    for model, part in rows.groupby("model", sort=False):
        for name, column in (("volume", "volume_ml"), ("load", "load_ml")):
            true, predicted = part[f"true_{column}"], part[f"predicted_{column}"]
            line = statistics.regress(true, predicted)
            table.append([model, name, *line, *statistics.bland_altman(true, predicted)[1:]])
        line = statistics.dice_against_volume(part["dice"], part["true_volume_ml"])
        table.append([model, "dice_by_log10_volume", *line, *[np.nan] * 3])
    return pd.DataFrame(table, columns=list(AGREEMENT))


def categories(rows, levels):
    """Confusion of CST categories: long table, and weighted kappa by model."""
    tables, kappas = [], {}
    for model, part in rows.dropna(subset="true_category").groupby("model", sort=False):
        table, kappas[model] = statistics.category_agreement(
            part["predicted_category"], part["true_category"], levels
        )
        for true, predicted in product(levels, levels):
            tables.append([model, true, predicted, int(table.loc[true, predicted]), kappas[model]])
    columns = ["model", "true_category", "predicted_category", "n", "weighted_kappa"]
    return pd.DataFrame(tables, columns=columns), kappas
