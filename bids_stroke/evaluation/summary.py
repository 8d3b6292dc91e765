"""Summary of scores by model and group, and comparison of models."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from bids_stroke.bids.names import with_prefix

from . import metrics, statistics
from .columns import AGREEMENT, CATEGORIES, COMPARISONS, SCORES, SUMMARY
from .comparison import compare


def groups(rows: pd.DataFrame, people: pd.DataFrame | None = None) -> dict[str, pd.Series]:
    """Group scans: all scans, by size quartile, by size class, and by columns of participants.tsv.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows from :func:`bids_stroke.evaluation.run.evaluate`.
    people : pandas.DataFrame, optional
        participants.tsv; non-numeric columns with two to twelve values are used.

    Returns
    -------
    dict of str to pandas.Series
        Group of each row, by grouping.
    """
    volumes = rows["true_volume_ml"]
    # Compute quartiles over scans with a lesion; count a scan of several models once.
    scans = rows.assign(scan=rows["participant_id"] + "_" + rows["session_id"].fillna(""))
    compared = scans.dropna(subset="true_volume_ml").drop_duplicates("scan")
    unique = compared.set_index("scan")["true_volume_ml"]
    quartile = statistics.size_quartiles(unique[unique > 0])
    return {
        "all": pd.Series("all", rows.index),
        "size quartile": scans["scan"].map(quartile),
        "size class": statistics.size_classes(volumes),
        **({} if people is None else _participant_groups(rows, people)),
    }


def _participant_groups(rows: pd.DataFrame, people: pd.DataFrame) -> dict[str, pd.Series]:
    """Group scans by the categorical columns of participants.tsv."""
    columns = people.set_index("participant_id")
    participants = rows["participant_id"].map(lambda text: with_prefix(text, "sub-"))
    return {
        str(name): participants.map(values)
        for name, values in columns.items()
        if 2 <= values.nunique() <= 12 and pd.to_numeric(values.dropna(), errors="coerce").isna().any()
    }


def summary(rows: pd.DataFrame, people: pd.DataFrame | None = None) -> pd.DataFrame:
    """Summarize each score by model and group.

    The arguments are those of :func:`bids_stroke.evaluation.summary.groups`. Columns as in
    :data:`bids_stroke.evaluation.columns.SUMMARY`.
    """
    table = []
    for grouping, group_of in groups(rows, people).items():
        order = rows.groupby(group_of)["true_volume_ml"].median().sort_values().index
        for group, model in product(order, rows["model"].unique()):
            part = rows[(rows["model"] == model) & (group_of == group)]
            for score in SCORES:
                values = statistics.summarize(part[score], part["unit"])
                if values.n:
                    table.append([model, grouping, group, score, *values])
        if grouping == "all":
            for model, part in rows.dropna(subset="tp").groupby("model", sort=False):
                pooled = metrics.micro_dice(part[["tp", "fp", "fn", "tn"]].itertuples(index=False))
                missing, units = [np.nan] * 4, part["unit"].nunique()
                table.append([model, "all", "all", "micro_dice", len(part), pooled, *missing, units])
    return pd.DataFrame(table, columns=list(SUMMARY))


def comparisons(rows: pd.DataFrame) -> pd.DataFrame:
    """Compare the models by each score, paired by scan.

    ``rows`` are those of :func:`bids_stroke.evaluation.run.evaluate`. Columns as in
    :data:`bids_stroke.evaluation.columns.COMPARISONS`.
    """
    table = []
    scans = rows.assign(session_id=rows["session_id"].fillna(""))
    scan = ["participant_id", "session_id", "unit"]
    for score in SCORES if rows["model"].nunique() > 1 else ():
        wide = scans.pivot_table(score, scan, "model", sort=False)
        if wide.shape[1] > 1:
            units = wide.index.get_level_values("unit")
            table += [[score, *comparison] for comparison in compare(wide, units)]
    return pd.DataFrame(table, columns=list(COMPARISONS))


def agreement(rows: pd.DataFrame) -> pd.DataFrame:
    """Measure the agreement of predicted and true volumes and loads, and of Dice with volume.

    ``rows`` are those of :func:`bids_stroke.evaluation.run.evaluate`. Columns as in
    :data:`bids_stroke.evaluation.columns.AGREEMENT`.
    """
    table = []
    for model, part in rows.groupby("model", sort=False):
        for name, column in (("volume", "volume_ml"), ("load", "load_ml")):
            true, predicted = part[f"true_{column}"], part[f"predicted_{column}"]
            line = statistics.regress(true, predicted, part["unit"])
            table.append([model, name, *line, *statistics.bland_altman(true, predicted)[1:]])
        line = statistics.dice_against_volume(part["dice"], part["true_volume_ml"], part["unit"])
        table.append([model, "dice_by_log10_volume", *line, *[np.nan] * 3])
    return pd.DataFrame(table, columns=list(AGREEMENT))


def categories(rows: pd.DataFrame, levels: Sequence[str]) -> tuple[pd.DataFrame, dict[str, float]]:
    """Compute the confusion of CST categories (long table) and the weighted kappa of each model.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows from :func:`bids_stroke.evaluation.run.evaluate`.
    levels : sequence of str
        Categories in their order.

    Returns
    -------
    tuple of (pandas.DataFrame, dict)
        Number of pairs by model, true and predicted category, with columns as in
        :data:`bids_stroke.evaluation.columns.CATEGORIES`, and the kappas by model.
    """
    counts: list[list[object]] = []
    kappas = {}
    for name, part in rows.dropna(subset="true_category").groupby("model", sort=False):
        model = str(name)
        table, kappas[model] = statistics.category_agreement(
            part["predicted_category"], part["true_category"], levels
        )
        cells = zip(product(levels, levels), table.to_numpy().flat, strict=True)
        counts += [[model, true, predicted, int(n), kappas[model]] for (true, predicted), n in cells]
    return pd.DataFrame(counts, columns=list(CATEGORIES)), kappas
