"""Predicted masks against manual ones: pairs found, measured, and summarized.

Masks are matched by participant and session, or by file name where a folder is no BIDS dataset, and
compared on the grid of the true mask. What cannot be compared is told in a sentence, and the rest
goes on.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from . import atlas, detection, image, metrics, ownmasks, regions, registration, statistics
from .errors import DatasetError, ImageError, StrokeError

_MM = {"Units": "mm"}
_ML = {"Units": "mL"}
_PERCENT = {"Units": "%"}

#: What identifies a pair.
KEYS = {
    "participant_id": {"Description": "Participant, or the file's name outside of BIDS"},
    "session_id": {"Description": "Session"},
    "model": {"Description": "Which prediction"},
}
#: Scores by which models are compared, with their descriptions.
SCORES = {
    "dice": {"Description": "Dice coefficient, 2TP / (2TP + FP + FN)"},
    "max_dice": {"Description": "Largest Dice coefficient over thresholds of the probability (mDSC)"},
    "jaccard": {"Description": "Jaccard index, TP / (TP + FP + FN)"},
    "precision": {"Description": "TP / (TP + FP)"},
    "sensitivity": {"Description": "TP / (TP + FN)"},
    "specificity": {"Description": "TN / (TN + FP), over the whole image"},
    "accuracy": {"Description": "(TP + TN) / all voxels of the image"},
    "hd_mm": {"Description": "Hausdorff distance of the surfaces"} | _MM,
    "hd95_mm": {"Description": "The larger of the two directed 95th percentiles of distance"} | _MM,
    "assd_mm": {"Description": "Average symmetric surface distance: mean of both directions"} | _MM,
    "asd_mm": {"Description": "Average distance of the predicted surface to the true one"} | _MM,
    "volume_difference_ml": {"Description": "Predicted minus true volume"} | _ML,
    "absolute_volume_difference_ml": {"Description": "Its absolute value"} | _ML,
    "relative_volume_difference": {"Description": "Predicted minus true volume over true"} | _PERCENT,
    "er_lv": {"Description": "Absolute error of the lesion volume over the true one"} | _PERCENT,
    "er_ll": {
        "Description": "Absolute error of the weighted CST load over the true one, on the side where "
        "the true load is larger"
    }
    | _PERCENT,
    "count_difference": {"Description": "Predicted minus true number of lesions (26-connected)"},
    "f1_anima": {"Description": "Lesion-wise F1, overlap of at least 10% (Commowick et al. 2018)"},
    "f1_atlas": {"Description": "Lesion-wise F1, one shared voxel, lesions 6-connected"},
    "f1_isles": {"Description": "Lesion-wise F1, one shared voxel, lesions 26-connected"},
}
#: Everything else that is told of a pair.
MEASURES = {
    "true_volume_ml": {"Description": "Volume of the true mask"} | _ML,
    "predicted_volume_ml": {"Description": "Volume of the predicted mask"} | _ML,
    "true_load_ml": {"Description": "Weighted CST load of the true mask, larger side"} | _ML,
    "predicted_load_ml": {"Description": "Weighted CST load of the prediction, that side"} | _ML,
    "true_category": {"Description": "CST category of the true mask"},
    "predicted_category": {"Description": "CST category of the predicted mask"},
    "super_region": {"Description": "Super-region with the largest share of the true lesion"},
    "tp": {"Description": "True positive voxels"},
    "fp": {"Description": "False positive voxels"},
    "fn": {"Description": "False negative voxels"},
    "tn": {"Description": "True negative voxels"},
    "reason": {"Description": "Why a score is missing, or why the pair could not be compared"},
    "prediction": {"Description": "File of the predicted mask"},
    "truth": {"Description": "File of the true mask"},
}
COLUMNS = KEYS | SCORES | MEASURES
LESIONS = {
    "definition": {"Description": "Definition of detection: f1_anima, f1_atlas or f1_isles"},
    "mask": {"Description": "truth or prediction"},
    "lesion": {"Description": "Number of the lesion in its mask"},
    "volume_ml": {"Description": "Volume of the lesion"} | _ML,
    "detected": {"Description": "Whether the other mask has its counterpart"},
}


@dataclass(frozen=True)
class Pair:
    """A true mask and the prediction of a model; ``problem`` tells why there is none to compare."""

    participant: str
    session: str | None
    model: str
    truth: Path
    prediction: Path | None
    problem: str | None = None


def pairs(predictions, truth):
    """Match the masks of models with the true ones.

    Parameters
    ----------
    predictions : dict of str to path
        Folder of each model.
    truth : path
        Folder of the true masks.

    Raises
    ------
    DatasetError
        If there is no true mask.
    """
    true = _masks(truth)
    if not true:
        raise DatasetError(f"{truth} holds no lesion mask; name the folder of the manual masks.")
    matched = []
    for model, folder in predictions.items():
        found = _masks(folder)
        for key in sorted(true, key=lambda key: (key[0], key[1] or "")):
            matched.append(_match(*key, model, true[key], found.get(key, []), folder))
        for subject, session in sorted(found.keys() - true.keys(), key=str):
            problem = f"There is no true mask of {_name(subject, session)} in {truth}."
            path = found[subject, session][0]
            matched.append(Pair(subject, session, model, Path(truth), path, problem))
    return matched


def _masks(folder):
    """Masks of a folder by (participant, session); by file name where it is no BIDS dataset."""
    folder = Path(folder)
    found = {
        (f"sub-{subject}", session and f"ses-{session}"): [mask.path for mask in masks]
        for (subject, session), masks in ownmasks.find(folder, (folder / "work",), {}).items()
    }
    if not found:
        for path in sorted(folder.glob("*.nii*")):
            found[path.name.partition(".")[0], None] = [path]
    return found


def _name(participant, session):
    return f"{participant}_{session}" if session else participant


def _match(participant, session, model, true, predicted, folder):
    """The first prediction on the grid of a true mask."""
    name = _name(participant, session)
    if not predicted:
        problem = f"There is no predicted mask of {name} in {folder}."
        return Pair(participant, session, model, true[0], None, problem)
    for truth in true:
        for prediction in predicted:
            try:
                if _same_grid(nib.load(truth), nib.load(prediction)):
                    return Pair(participant, session, model, truth, prediction)
            except Exception:  # an unreadable file is named when it is measured
                return Pair(participant, session, model, truth, prediction)
    # Measuring tells the difference of the grids.
    return Pair(participant, session, model, true[0], predicted[0])


def _same_grid(one, other):
    one, other = nib.as_closest_canonical(one), nib.as_closest_canonical(other)
    # A tenth of a voxel over the image is rounding, not another grid.
    far = np.array([*(np.array(one.shape[:3]) - 1), 1])
    moved = (np.linalg.inv(one.affine) @ other.affine - np.eye(4)) @ np.stack([[0, 0, 0, 1], far]).T
    return one.shape[:3] == other.shape[:3] and np.abs(moved).max() < 0.1


def read_mask(path):
    """Load a binary mask in RAS order.

    Raises
    ------
    ImageError
        If it holds a probability or several labels.
    """
    img = image.conform(image.load(path))
    data = np.asanyarray(img.dataobj)
    values = np.unique(data)
    if (values % 1 != 0).any() or (values < 0).any():
        raise ImageError(
            f"{path} holds values such as {values[values % 1 != 0][:1]} and is no mask; threshold "
            "the probability first."
            if (values % 1 != 0).any()
            else f"{path} holds negative values and is no mask; make it binary."
        )
    if np.count_nonzero(values) > 1:
        labels = ", ".join(f"{value:g}" for value in values[values > 0][:5])
        raise ImageError(f"{path} holds the labels {labels}; make a mask of those that are lesion.")
    return image.like(data > 0, img, np.uint8)


def measure(pair):
    """Compare a pair.

    Returns
    -------
    tuple of (dict, list of dict)
        A row with :data:`COLUMNS`, and rows with :data:`LESIONS`.
    """
    row = dict.fromkeys(COLUMNS) | {
        "participant_id": pair.participant,
        "session_id": pair.session,
        "model": pair.model,
        "reason": pair.problem,
        "prediction": str(pair.prediction or ""),
        "truth": str(pair.truth),
    }
    if pair.problem:
        return row, []
    try:
        pred, truth = read_mask(pair.prediction), read_mask(pair.truth)
        if not _same_grid(truth, pred):
            raise ImageError(
                f"{pair.prediction} has shape {pred.shape} and voxels of {_zooms(pred)} mm, but "
                f"{pair.truth} has shape {truth.shape} and voxels of {_zooms(truth)} mm, or lies "
                "elsewhere; resample it."
            )
        scores, lesions = _scores(pred, truth, pair)
    except StrokeError as error:
        return row | {"reason": str(error)}, []
    return row | scores, lesions


def _zooms(img):
    return "x".join(f"{zoom:.3g}" for zoom in img.header.get_zooms()[:3])


def _scores(pred_img, truth_img, pair):
    pred, truth = (np.asarray(img.dataobj) > 0 for img in (pred_img, truth_img))
    voxel_mm3 = image.voxel_volume(truth_img)
    counts = metrics.confusion(pred, truth)
    volumes = [(counts.tp + wrong) * voxel_mm3 / 1000 for wrong in (counts.fn, counts.fp)]
    spacing = nib.affines.voxel_sizes(truth_img.affine)
    distances = metrics.surface_distances(pred, truth, spacing)
    found = {name: find(pred, truth) for name, find in detection.DEFINITIONS.items()}
    row = {
        **{name: getattr(counts, name) for name in SCORES if hasattr(counts, name)},
        **{f"{name}_mm": value for name, value in distances._asdict().items()},
        **{name: one.f1 for name, one in found.items()},
        **counts._asdict(),
        "max_dice": _max_dice(pair.prediction, truth_img),
        "volume_difference_ml": volumes[1] - volumes[0],
        "absolute_volume_difference_ml": abs(volumes[1] - volumes[0]),
        "er_lv": metrics.relative_error(volumes[1], volumes[0]),
        "count_difference": found["f1_isles"].count_difference,
        "true_volume_ml": volumes[0],
        "predicted_volume_ml": volumes[1],
        **_loads(pred_img, truth_img, pair),
    }
    row["reason"] = " ".join(_reasons(row)) or None
    lesions = [
        {"definition": name, **lesion}
        for name, one in found.items()
        for lesion in one.table(voxel_mm3).to_dict("records")
    ]
    return row, lesions


def _reasons(row):
    """Why scores of a pair are missing, in sentences."""
    volumes = {"truth": row["true_volume_ml"], "prediction": row["predicted_volume_ml"]}
    empty = [name for name, ml in volumes.items() if not ml]
    if empty:
        yield f"The {' and the '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty."
    if row["max_dice"] is None:
        yield "No probability lies beside the prediction (max_dice)."
    if "er_ll" not in row:
        yield "Neither do the masks lie in a template, nor a transform beside the prediction (er_ll)."
    elif not row["true_load_ml"]:
        yield "The true lesion spares the tract (er_ll)."


def _max_dice(prediction, truth_img):
    """mDSC by the probability that lies beside a predicted mask; None where there is none."""
    path = prediction.with_name(prediction.name.replace("_mask.nii", "_probseg.nii"))
    if path == prediction or not path.is_file():
        return None
    probability = image.conform(image.load(path))
    return metrics.max_dice(probability.dataobj, np.asarray(truth_img.dataobj))[0]


def _loads(pred_img, truth_img, pair):
    """CST loads and super-region, where the masks lie in a template or a transform leads there."""
    moved = _in_template([pred_img, truth_img], pair)
    if moved is None:
        return {}
    card, tract = _tract()
    predicted, true = (atlas.loads(img, tract, card) for img in moved)
    side = true.loc[["left", "right"], "weighted_load_ml"].idxmax()
    loads = [table.loc[side, "weighted_load_ml"] for table in (true, predicted)]
    region = regions.index_region(regions.measure(moved[1], regions.super_regions()))
    return {
        "true_load_ml": loads[0],
        "predicted_load_ml": loads[1],
        "er_ll": metrics.relative_error(loads[1], loads[0]),
        "true_category": true.loc["total", "category"],
        "predicted_category": predicted.loc["total", "category"],
        "super_region": region,
    }


def _in_template(images, pair):
    """Masks of a pair on the template's grid, or None."""
    grid = registration.template().t1w
    if _same_grid(grid, images[0]):
        return images
    named = ownmasks.parse(pair.truth)
    if named and named.in_template:
        moved = (atlas.bring(img, named.space) for img in images)
        return [image.like(np.asanyarray(img.dataobj) >= 0.5, grid, np.uint8) for img in moved]
    start = pair.prediction.name.partition("_space-")[0]
    pattern = f"{start}_from-*_to-{registration.TEMPLATE}_mode-image_xfm.h5"
    transforms = list(pair.prediction.parent.glob(pattern))
    if len(transforms) != 1:
        return None
    return [registration.apply(img, grid, transforms, kind="mask") for img in images]


@lru_cache(maxsize=1)
def _tract():
    card = atlas.load_card()
    return card, atlas.load_tract(card)


def evaluate(predictions, truth, jobs=1):
    """Compare the predictions of models with true masks, ``jobs`` pairs at a time.

    Returns
    -------
    tuple of pandas.DataFrame
        One row for each pair (:data:`COLUMNS`), one for each lesion (:data:`KEYS`, then
        :data:`LESIONS`).
    """
    found = pairs(predictions, truth)
    if jobs == 1 or len(found) == 1:
        measured = list(map(measure, found))
    else:
        with ProcessPoolExecutor(min(jobs, len(found)), get_context("spawn"), _single) as pool:
            measured = list(pool.map(measure, found))
    rows = pd.DataFrame([row for row, _ in measured], columns=list(COLUMNS))
    numeric = [name for name in (*SCORES, "true_volume_ml", "predicted_volume_ml", "true_load_ml",
                                 "predicted_load_ml") if name in rows]  # fmt: skip
    rows[numeric] = rows[numeric].astype(float)
    lesions = [{key: row[key] for key in KEYS} | lesion for row, found in measured for lesion in found]
    return rows, pd.DataFrame(lesions, columns=[*KEYS, *LESIONS])


def _single():
    """Start of a worker: one thread, as there is one process for each core."""
    for name in ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ[name] = "1"


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


SUMMARY = {
    "model": KEYS["model"],
    "grouping": {"Description": "How the scans were grouped"},
    "group": {"Description": "Group of scans"},
    "score": {"Description": "Name of the score, a column of evaluation.tsv"},
    "n": {"Description": "Number of scans that have the score"},
    "mean": {"Description": "Mean"},
    "median": {"Description": "Median"},
    "sd": {"Description": "Standard deviation (n - 1)"},
    "low": {"Description": "Lower end of the 95% percentile bootstrap interval of the mean"},
    "high": {"Description": "Upper end of that interval (1000 resamples of scans)"},
}
COMPARISONS = {
    "score": SUMMARY["score"],
    "a": {"Description": "First model"},
    "b": {"Description": "Second model"},
    "n": {"Description": "Number of scans that both have"},
    "median_difference": {"Description": "Median of a minus b"},
    "p": {"Description": "Wilcoxon signed-rank test, two-sided"},
    "p_holm": {"Description": "After Holm's correction over the pairs of models"},
    "effect": {"Description": "Matched-pairs rank-biserial correlation, -1 to 1; above 0 a is larger"},
}
AGREEMENT = {
    "model": KEYS["model"],
    "measure": {"Description": "volume, load, or dice_by_log10_volume"},
    "n": {"Description": "Number of scans"},
    "pearson": {"Description": "Pearson's correlation of predicted with true values"},
    "pearson_p": {"Description": "Its p value"},
    "spearman": {"Description": "Spearman's rank correlation"},
    "spearman_p": {"Description": "Its p value"},
    "slope": {"Description": "Slope of the least-squares line"},
    "intercept": {"Description": "Intercept of that line"},
    "r2": {"Description": "Squared correlation"},
    "bias": {"Description": "Mean of predicted minus true values (Bland-Altman)"},
    "low": {"Description": "Lower 95% limit of agreement"},
    "high": {"Description": "Upper 95% limit of agreement"},
}


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
