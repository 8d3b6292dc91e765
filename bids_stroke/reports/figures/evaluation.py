"""Figures of an evaluation: scores, agreement of volumes, and cases."""

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pandas as pd
from markupsafe import Markup

from bids_stroke.bids import supplied_masks
from bids_stroke.bids.names import Name, derivative
from bids_stroke.evaluation import statistics
from bids_stroke.evaluation.measurement import read_mask
from bids_stroke.reports.rendering import Picture
from bids_stroke.spatial import image, templates
from bids_stroke.utils.files import atomic

from . import plots
from .lesion import draw_comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Scores that the evaluation page shows as box plots.
SHOWN = ("dice", "f1_isles", "hd95_mm", "assd_mm", "precision", "sensitivity", "er_lv", "er_ll")
NAME_LETTERS = 40  # maximum line length of a model name
COLORS = ("#1f5fa8", "#c2410c", "#2e8b57", "#7c3aed", "#b3261e", "#0e7490", "#a16207", "#475569")
POINTS, LINE = COLORS[0], COLORS[4]


def draw_evaluation(rows: pd.DataFrame, folder: Path, orientation: str | None = None) -> list[Picture]:
    """Draw all figures of an evaluation.

    Parameters
    ----------
    rows : pandas.DataFrame
        Pairs of masks from :func:`bids_stroke.evaluation.run.evaluate`.
    folder : Path
        Output folder: plots as SVG and PNG, cases as SVG.
    orientation : {"RAS", "LAS"}, optional
        Orientation of masks whose header does not define one.

    Returns
    -------
    list of Picture
        In the order of the page: scores of all models, then agreement and cases of each model.
    """
    rows = rows.dropna(subset="dice")
    if not len(rows):
        return []
    models = list(rows["model"].unique())
    figure = plots.figure(14, 2 * (1 + 0.35 * len(models)))
    _draw_scores(figure, rows, models)
    pictures = [Picture("Scores of each model", _save(figure, folder, "scores"))]
    for model in models:
        pairs = rows[rows["model"] == model]
        name = re.sub(r"\W+", "-", model)
        figure = plots.figure(12, 3.8)
        _draw_agreement(figure, pairs)
        svg = _save(figure, folder, f"{name}_agreement")
        pictures.append(Picture(f"{model}: agreement of volumes, and Dice against volume", svg))
        for case, row in _cases(pairs).items():
            path = folder / f"{name}_{case}.svg"
            if _draw_case(row, f"{case.title()} case, Dice {row['dice']:.2f}", path, orientation):
                text = path.read_text(encoding="utf-8")
                svg = Markup(text[text.index("<svg") :])
                pictures.append(Picture(f"{model}: {case} case, {row['participant_id']}", svg))
    return pictures


def _save(figure: "Figure", folder: Path, name: str) -> Markup:
    """Save a matplotlib figure as SVG and PNG, and return the SVG."""
    svg = plots.svg_text(figure, name)
    with atomic(folder / f"{name}.svg") as partial:
        partial.write_text(svg, encoding="utf-8")
    with atomic(folder / f"{name}.png") as partial:
        figure.savefig(partial, dpi=150)
    return Markup(svg)


def _draw_scores(figure: "Figure", rows: pd.DataFrame, models: Sequence[str]) -> None:
    """Draw box plots of the scores, with a box for each model."""
    names = [textwrap.fill(model, NAME_LETTERS) for model in models]
    colors = [COLORS[i % len(COLORS)] for i in range(len(models))]
    grid = figure.subplots(2, 4, sharey=True)
    for axes, score in zip(grid.flat, SHOWN, strict=True):
        values = [rows.loc[rows["model"] == model, score].dropna() for model in models]
        boxes = axes.boxplot(
            values,
            orientation="horizontal",
            widths=0.6,
            patch_artist=True,
            showmeans=True,
            manage_ticks=False,
            medianprops={"color": "black"},
            flierprops={"markersize": 3},
            meanprops={
                "marker": "D",
                "markersize": 4,
                "markerfacecolor": "white",
                "markeredgecolor": "black",
            },
        )
        for box, color in zip(boxes["boxes"], colors, strict=True):
            box.set(facecolor=color, alpha=0.55)
        axes.set_title(score, fontsize=10)
        axes.grid(axis="x", alpha=0.3)
    # All panels share this axis; the first model is at the top.
    grid.flat[-1].set_yticks(range(1, len(models) + 1), names, fontsize=8)
    grid.flat[-1].set_ylim(len(models) + 0.5, 0.5)


def _draw_agreement(figure: "Figure", pairs: pd.DataFrame) -> None:
    """Draw predicted against true volume, a Bland-Altman plot, and Dice against log10 volume."""
    left, center, right = figure.subplots(1, 3)
    _draw_volumes(left, pairs)
    _draw_bland_altman(center, pairs)
    _draw_dice(right, pairs[pairs["true_volume_ml"] > 0])


def _draw_volumes(axes: "Axes", pairs: pd.DataFrame) -> None:
    true, predicted = pairs["true_volume_ml"], pairs["predicted_volume_ml"]
    line = statistics.regress(true, predicted)
    maximum = float(max(true.max(), predicted.max(), 1))
    axes.scatter(true, predicted, s=14, color=POINTS, alpha=0.7)
    axes.plot([0, maximum], [0, maximum], color="gray", linewidth=1, linestyle=":")
    if np.isfinite(line.slope):
        ends = np.array([0, float(true.max())])
        axes.plot(ends, line.intercept + line.slope * ends, color=LINE)
        axes.set_title(f"r = {line.pearson:.2f}, slope {line.slope:.2f}, n = {line.n}", fontsize=10)
    axes.set(xlabel="true volume (ml)", ylabel="predicted volume (ml)")


def _draw_bland_altman(axes: "Axes", pairs: pd.DataFrame) -> None:
    true, predicted = pairs["true_volume_ml"], pairs["predicted_volume_ml"]
    limits = statistics.bland_altman(true, predicted)
    axes.scatter((true + predicted) / 2, predicted - true, s=14, color=POINTS, alpha=0.7)
    for value, style in ((limits.bias, "-"), (limits.low, "--"), (limits.high, "--")):
        if np.isfinite(value):
            axes.axhline(value, color=LINE, linestyle=style, linewidth=1)
    axes.set(xlabel="mean of both (ml)", ylabel="predicted - true (ml)")
    axes.set_title(f"bias {limits.bias:.2g} ml ({limits.low:.2g} to {limits.high:.2g})", fontsize=10)


def _draw_dice(axes: "Axes", pairs: pd.DataFrame) -> None:
    true, dice = pairs["true_volume_ml"], pairs["dice"]
    line = statistics.dice_against_volume(dice, true, pairs["unit"])
    axes.scatter(true, dice, s=14, color=POINTS, alpha=0.7)
    if np.isfinite(line.slope):
        ends = np.array([true.min(), true.max()])
        axes.plot(ends, line.intercept + line.slope * np.log10(ends), color=LINE)
        axes.set_title(f"R² = {line.r2:.2f}, p = {line.pearson_p:.2g}", fontsize=10)
    axes.set(xscale="log", xlabel="true volume (ml)", ylabel="Dice", ylim=(-0.03, 1.03))


def _cases(pairs: pd.DataFrame) -> dict[str, pd.Series]:
    """Select the best, median and worst scan with a true lesion, by Dice."""
    ranked = pairs[pairs["true_volume_ml"] > 0].sort_values("dice", ascending=False)
    ranks = {"best": 0, "median": len(ranked) // 2, "worst": len(ranked) - 1}
    return {name: ranked.iloc[rank] for name, rank in ranks.items()} if len(ranked) else {}


def _draw_case(row: pd.Series, title: str, path: Path, orientation: str | None) -> bool:
    """Draw truth and prediction of a scan on its image; return False if there is no image."""
    background = _background(Path(row["prediction"]))
    if background is None:
        return False
    truth, prediction = (read_mask(row[key], orientation) for key in ("truth", "prediction"))
    draw_comparison(background, truth, prediction, title, path)
    return True


def _background(prediction: Path) -> nib.Nifti1Image | None:
    """Load the image of a predicted mask: the template, or an image in the folder of the mask."""
    mask = supplied_masks.parse_lesion_mask(prediction)
    if mask is None or mask.space is None:
        return None
    if mask.in_template:
        return templates.template().t1w
    session_name = Name.parse(prediction).session_name
    path = prediction.with_name(derivative(session_name, mask.space, desc="preproc"))
    return image.conform(image.load(path)) if path.is_file() else None
