"""Checks and scores of a pair of a predicted and a true mask."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes

from bids_stroke.errors import ImageError, StrokeError
from bids_stroke.spatial import grid, headers, image, masks
from bids_stroke.utils.files import PathLike

from . import detection, metrics
from .columns import COLUMNS
from .masks import Mask
from .pairs import Pair
from .template_loads import TemplateLoads, template_loads

#: Scores that are properties of :class:`bids_stroke.evaluation.metrics.Confusion`.
_VOXEL_SCORES = (
    "dice",
    "jaccard",
    "precision",
    "sensitivity",
    "specificity",
    "accuracy",
    "relative_volume_difference",
)


class Measurement(NamedTuple):
    """Scores of a pair: ``row`` of the table of pairs, with the keys of
    :data:`bids_stroke.evaluation.columns.COLUMNS`, and rows of the table of lesions, with those of
    :data:`bids_stroke.evaluation.columns.LESIONS`."""

    row: dict[str, Any]
    lesions: list[dict[str, Any]]


def read_mask(path: PathLike, orientation: str | None = None) -> nib.Nifti1Image:
    """Load a mask or a probability, binary and in RAS order
    (:func:`bids_stroke.spatial.masks.binarize`).

    Parameters
    ----------
    path : path
    orientation : {"RAS", "LAS"}, optional
        That of a mask whose header states none.

    Raises
    ------
    ImageError
        If it is neither, or holds several labels.
    """
    img = image.conform(image.load_supplied(path, orientation))
    return masks.binarize(img, several_labels=False)


def measure(pair: Pair, orientation: str | None = None) -> Measurement:
    """Compare the masks of a pair.

    A pair that cannot be compared has no scores, and the column ``reason`` states why. The
    ``orientation`` is as for :func:`bids_stroke.evaluation.run.evaluate`.
    """
    row = dict.fromkeys(COLUMNS) | {
        "participant_id": pair.participant,
        "session_id": pair.session,
        "model": pair.model,
        "reason": pair.problem,
        "prediction": str(pair.prediction.path) if pair.prediction else "",
        "truth": str(pair.truth.path),
    }
    if pair.problem or pair.prediction is None:
        return Measurement(row, [])
    try:
        scores, lesions = _compare(pair.prediction, pair.truth, orientation)
    except StrokeError as error:
        return Measurement(row | {"reason": str(error)}, [])
    reason = " ".join(filter(None, (pair.note, scores["reason"])))
    return Measurement(row | scores | {"reason": reason or None}, lesions)


def _compare(prediction: Mask, truth: Mask, orientation: str | None) -> Measurement:
    """Scores of two masks on one grid."""
    files = prediction.path, truth.path
    pair = pred_img, truth_img = [read_mask(path, orientation) for path in files]
    if not grid.same_grid(truth_img, pred_img):
        raise ImageError(
            f"{prediction.path} has shape {pred_img.shape} and voxels of {_zooms(pred_img)} mm, but "
            f"{truth.path} has shape {truth_img.shape} and voxels of {_zooms(truth_img)} mm, or lies "
            "elsewhere; resample it."
        )
    pred, true = (np.asarray(img.dataobj) > 0 for img in pair)
    voxel_mm3 = grid.voxel_volume(truth_img)
    counts = metrics.confusion(pred, true)
    true_ml, predicted_ml = (
        (counts.tp + missed) * voxel_mm3 / 1000 for missed in (counts.fn, counts.fp)
    )
    distances = metrics.surface_distances(pred, true, voxel_sizes(truth_img.affine))
    detections = {name: detect(pred, true) for name, detect in detection.DEFINITIONS.items()}
    max_dice = _max_dice(prediction.probability, true)
    loads = template_loads(pair, prediction, truth)
    remarks = filter(None, (headers.orientation_remark(path, orientation) for path in files))
    row = {
        **{name: getattr(counts, name) for name in _VOXEL_SCORES},
        **{f"{name}_mm": value for name, value in distances._asdict().items()},
        **{name: detected.f1 for name, detected in detections.items()},
        **counts._asdict(),
        "max_dice": max_dice,
        "volume_difference_ml": predicted_ml - true_ml,
        "absolute_volume_difference_ml": abs(predicted_ml - true_ml),
        "er_lv": metrics.relative_error(predicted_ml, true_ml),
        "count_difference": detections["f1_isles"].count_difference,
        "true_volume_ml": true_ml,
        "predicted_volume_ml": predicted_ml,
        **(loads._asdict() if loads else {}),
        "reason": " ".join([*remarks, *_reasons(true_ml, predicted_ml, max_dice, loads)]) or None,
    }
    lesions = [
        {"definition": name, **lesion._asdict()}
        for name, detected in detections.items()
        for lesion in detected.lesions(voxel_mm3)
    ]
    return Measurement(row, lesions)


def _zooms(img: nib.Nifti1Image) -> str:
    return "x".join(f"{zoom:.3g}" for zoom in img.header.get_zooms()[:3])


def _max_dice(probability: Path | None, true: np.ndarray) -> float | None:
    """mDSC by the probability of a predicted mask; None where there is none."""
    if probability is None:
        return None
    img = image.conform(image.load(probability))
    return metrics.max_dice(np.asanyarray(img.dataobj), true)[0]


def _reasons(
    true_ml: float, predicted_ml: float, max_dice: float | None, loads: TemplateLoads | None
) -> Iterator[str]:
    """Why scores of a pair are missing, in sentences."""
    volumes = {"truth": true_ml, "prediction": predicted_ml}
    empty = [name for name, ml in volumes.items() if not ml]
    if empty:
        yield f"The {' and the '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty."
    if max_dice is None:
        yield "No probability lies beside the prediction (max_dice)."
    if loads is None:
        yield "Neither do the masks lie in a template, nor a transform beside the prediction (er_ll)."
    elif not loads.true_load_ml:
        yield "The true lesion spares the tract (er_ll)."
