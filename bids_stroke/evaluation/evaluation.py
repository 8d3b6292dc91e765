"""Predicted masks against manual ones: pairs found, measured, and summarized.

Masks are matched by participant and session, or by file name where a folder is no BIDS dataset, and
compared on the grid of the true mask. What cannot be compared is told in a sentence, and the rest
goes on.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context

import nibabel as nib
import numpy as np
import pandas as pd

from bids_stroke.atlases import regions, super_regions, tracts
from bids_stroke.atlases.loads import measure_loads
from bids_stroke.bids import supplied_masks
from bids_stroke.errors import ImageError, StrokeError
from bids_stroke.spatial import grid, image, template_transforms, templates
from bids_stroke.spatial.transforms import apply

from . import detection, metrics
from .columns import COLUMNS, KEYS, LESIONS, SCORES
from .pairs import pairs, same_grid


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
        if not same_grid(truth, pred):
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
    voxel_mm3 = grid.voxel_volume(truth_img)
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
    predicted, true = (measure_loads(img, tract, card) for img in moved)
    side = true.loc[["left", "right"], "weighted_load_ml"].idxmax()
    loads = [table.loc[side, "weighted_load_ml"] for table in (true, predicted)]
    region = regions.index_region(regions.measure_regions(moved[1], super_regions.super_regions()))
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
    grid = templates.template().t1w
    if same_grid(grid, images[0]):
        return images
    named = supplied_masks.parse_lesion_mask(pair.truth)
    if named and named.in_template:
        moved = (template_transforms.to_template(img, named.space) for img in images)
        return [image.like(np.asanyarray(img.dataobj) >= 0.5, grid, np.uint8) for img in moved]
    start = pair.prediction.name.partition("_space-")[0]
    pattern = f"{start}_from-*_to-{templates.TEMPLATE}_mode-image_xfm.h5"
    transforms = list(pair.prediction.parent.glob(pattern))
    if len(transforms) != 1:
        return None
    return [apply(img, grid, transforms, kind="mask") for img in images]


@lru_cache(maxsize=1)
def _tract():
    card = tracts.load_card()
    return card, tracts.load_tract(card)


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
