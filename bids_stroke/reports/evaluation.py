"""Tables, pictures and page of an evaluation."""

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup

from bids_stroke import __version__
from bids_stroke.bids import supplied_masks
from bids_stroke.bids.derivatives import write_json, write_tsv
from bids_stroke.evaluation import published_tables, statistics
from bids_stroke.evaluation import summary as evaluation_summary
from bids_stroke.evaluation.columns import AGREEMENT, COLUMNS, COMPARISONS, KEYS, LESIONS, SUMMARY
from bids_stroke.reports.figures import figures, plots
from bids_stroke.spatial import image, templates
from bids_stroke.utils.files import atomic

from .rendering import render

#: Scores on the page, and drawn as box plots.
SHOWN = ("dice", "f1_isles", "hd95_mm", "assd_mm", "precision", "sensitivity", "er_lv", "er_ll")
NAME_LETTERS = 40  # of a line of a model's name, in pictures
LEVELS = ("none", "small", "medium", "large")
COLORS = ("#1f5fa8", "#c2410c", "#2e8b57", "#7c3aed", "#b3261e", "#0e7490", "#a16207", "#475569")


class Page(NamedTuple):
    """A page that was written, and what of it the group report shows."""

    path: Path
    summary: pd.DataFrame
    pictures: list


def write_evaluation(out, rows, lesions, people=None):
    """Write an evaluation to the folder ``out``.

    ``evaluation.tsv`` (pairs), ``evaluation_lesions.tsv``, ``evaluation_summary.tsv``,
    ``evaluation_comparisons.tsv``, ``evaluation_agreement.tsv`` and ``evaluation_categories.tsv``,
    each but the last with a JSON sidecar; the papers' tables in ``tables`` as TSV and Markdown;
    pictures in ``figures`` as SVG and PNG; ``evaluation.html``.

    Parameters
    ----------
    rows, lesions : pandas.DataFrame
        As :func:`evaluation.evaluate` gives them.
    people : pandas.DataFrame, optional
        participants.tsv, for groups of scans.

    Returns
    -------
    Page
    """
    out = Path(out)
    made = {
        "evaluation": (rows, COLUMNS),
        "evaluation_lesions": (lesions, KEYS | LESIONS),
        "evaluation_summary": (evaluation_summary.summary(rows, people), SUMMARY),
        "evaluation_comparisons": (evaluation_summary.comparisons(rows), COMPARISONS),
        "evaluation_agreement": (evaluation_summary.agreement(rows), AGREEMENT),
    }
    for name, (table, columns) in made.items():
        write_tsv(table, out / f"{name}.tsv")
        write_json(columns, out / f"{name}.json")
    categories, kappas = evaluation_summary.categories(rows, LEVELS)
    write_tsv(categories, out / "evaluation_categories.tsv")
    printed = published_tables.all_tables(rows)
    for name, table in printed.items():
        write_tsv(table, out / "tables" / f"{name}.tsv")
        with atomic(out / "tables" / f"{name}.md") as partial:
            partial.write_text(table.to_markdown(index=False, disable_numparse=True) + "\n")
    pictures = [(title, Markup(svg)) for title, svg in draw(rows, out / "figures")]
    summary = _shown(made["evaluation_summary"][0])
    path = render(
        "evaluation.html",
        out / "evaluation.html",
        summary=summary,
        comparisons=made["evaluation_comparisons"][0].query("score in @SHOWN"),
        agreement=made["evaluation_agreement"][0],
        kappas=kappas,
        printed={name: {"doc": _first_line(name), "table": table} for name, table in printed.items()},
        pictures=pictures,
        failed=rows[rows["tp"].isna()][[*KEYS, "reason"]],
        pairs=len(rows),
        version=__version__,
    )
    return Page(path, summary[summary["grouping"] == "all"], pictures)


def _first_line(name):
    doc = getattr(published_tables, name.lower()).__doc__
    return " ".join(doc.split())


def _shown(summary):
    """Mean and interval of the shown scores, one row for each model and group."""
    kept = summary[summary["score"].isin(SHOWN)]
    text = kept.assign(
        text=[
            f"{row.mean:.3g} ({row.low:.3g}\N{EN DASH}{row.high:.3g})"
            for row in kept.itertuples(index=False, name="Row")
        ]
    )
    wide = text.pivot_table("text", ["grouping", "group", "model"], "score", "first", sort=False)
    counts = kept[kept["score"] == "dice"].set_index(["grouping", "group", "model"])["n"]
    wide.insert(0, "n", counts)
    return wide[[c for c in ("n", *SHOWN) if c in wide]].reset_index().fillna("n/a")


def draw(rows, folder):
    """Draw all pictures; returns titles and SVG texts in order."""
    rows = rows.dropna(subset="dice")
    if not len(rows):
        return []
    models = list(rows["model"].unique())
    figure = plots.figure(14, 2 * (1 + 0.35 * len(models)))
    _boxes(figure, rows, models)
    drawn = [("Scores of each model", _kept(figure, folder, "scores"))]
    for model in models:
        part = rows[rows["model"] == model]
        name = re.sub(r"\W+", "-", model)
        figure = plots.figure(12, 3.8)
        _agreement(figure, part)
        svg = _kept(figure, folder, f"{name}_agreement")
        drawn.append((f"{model}: volumes, and Dice against volume", svg))
        for case, row in _cases(part).items():
            path = folder / f"{name}_{case}.svg"
            if _mosaic(row, f"{case.title()} case, Dice {row.dice:.2f}", path):
                svg = path.read_text(encoding="utf-8")
                drawn.append((f"{model}: {case} case, {row.participant_id}", svg[svg.index("<svg") :]))
    return drawn


def _kept(figure, folder, name):
    """Write a matplotlib figure as SVG and PNG; returns the SVG."""
    svg = plots.svg(figure, name)
    with atomic(folder / f"{name}.svg") as partial:
        partial.write_text(svg, encoding="utf-8")
    with atomic(folder / f"{name}.png") as partial:
        figure.savefig(partial, dpi=150)
    return svg


def _boxes(figure, rows, models):
    names = [textwrap.fill(model, NAME_LETTERS) for model in models]
    for axes, score in zip(figure.subplots(2, 4, sharey=True).flat, SHOWN, strict=True):
        values = [rows.loc[rows["model"] == model, score].dropna() for model in models]
        boxes = axes.boxplot(values, orientation="horizontal", widths=0.6, patch_artist=True,
                             showmeans=True, manage_ticks=False,
                             medianprops={"color": "black"}, flierprops={"markersize": 3},
                             meanprops={"marker": "D", "markersize": 4, "markerfacecolor": "white",
                                        "markeredgecolor": "black"})  # fmt: skip
        for box, color in zip(boxes["boxes"], _colors(len(models)), strict=True):
            box.set(facecolor=color, alpha=0.55)
        axes.set_title(score, fontsize=10)
        axes.grid(axis="x", alpha=0.3)
    # Of all, since they share it; the first model on top.
    axes.set_yticks(range(1, len(models) + 1), names, fontsize=8)
    axes.set_ylim(len(models) + 0.5, 0.5)


def _colors(number):
    return [COLORS[i % len(COLORS)] for i in range(number)]


def _agreement(figure, part):
    """Predicted against true volume, Bland-Altman, and Dice against log10 volume."""
    left, middle, right = figure.subplots(1, 3)
    true, predicted = part["true_volume_ml"], part["predicted_volume_ml"]
    line = statistics.regress(true, predicted)
    most = float(max(true.max(), predicted.max(), 1))
    left.scatter(true, predicted, s=14, color=COLORS[0], alpha=0.7)
    left.plot([0, most], [0, most], color="gray", linewidth=1, linestyle=":")
    if np.isfinite(line.slope):
        ends = np.array([0, float(true.max())])
        left.plot(ends, line.intercept + line.slope * ends, color=COLORS[4])
        left.set_title(f"r = {line.pearson:.2f}, slope {line.slope:.2f}, n = {line.n}", fontsize=10)
    left.set(xlabel="true volume (ml)", ylabel="predicted volume (ml)")
    limits = statistics.bland_altman(true, predicted)
    middle.scatter((true + predicted) / 2, predicted - true, s=14, color=COLORS[0], alpha=0.7)
    for value, style in ((limits.bias, "-"), (limits.low, "--"), (limits.high, "--")):
        if np.isfinite(value):
            middle.axhline(value, color=COLORS[4], linestyle=style, linewidth=1)
    middle.set(xlabel="mean of both (ml)", ylabel="predicted - true (ml)")
    middle.set_title(f"bias {limits.bias:.2g} ml ({limits.low:.2g} to {limits.high:.2g})", fontsize=10)
    some = part[true > 0]
    fit = statistics.dice_against_volume(some["dice"], some["true_volume_ml"])
    right.scatter(some["true_volume_ml"], some["dice"], s=14, color=COLORS[0], alpha=0.7)
    if np.isfinite(fit.slope):
        ends = np.array([some["true_volume_ml"].min(), some["true_volume_ml"].max()])
        right.plot(ends, fit.intercept + fit.slope * np.log10(ends), color=COLORS[4])
        right.set_title(f"R² = {fit.r2:.2f}, p = {fit.pearson_p:.2g}", fontsize=10)
    right.set(xscale="log", xlabel="true volume (ml)", ylabel="Dice", ylim=(-0.03, 1.03))


def _cases(part):
    """Best, median and worst scan with a true lesion, by Dice."""
    ranked = part[part["true_volume_ml"] > 0].sort_values("dice", ascending=False)
    places = {"best": 0, "median": len(ranked) // 2, "worst": len(ranked) - 1}
    return {name: ranked.iloc[place] for name, place in places.items()} if len(ranked) else {}


def _mosaic(row, title, path):
    """Draw truth and prediction of a scan on its image; False where it has none."""
    background = _background(Path(row.prediction))
    if background is None:
        return False
    truth, prediction = (image.conform(image.load(file)) for file in (row.truth, row.prediction))
    figures.comparison(background, truth, prediction, title, path)
    return True


def _background(prediction):
    """The image that a predicted mask lies on: the template, or the one beside the mask; or None."""
    named = supplied_masks.parse_lesion_mask(prediction)
    if named and named.in_template:
        return templates.template().t1w
    if named is None or named.space is None:
        return None
    start = prediction.name.partition("_space-")[0]
    path = prediction.with_name(f"{start}_desc-preproc_{named.space}.nii.gz")
    return image.conform(image.load(path)) if path.is_file() else None
