"""Checks and scores of a pair of a predicted and a true mask."""

from collections.abc import Iterator, Sequence
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
from .template_loads import template_loads, to_template

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


class Scores(NamedTuple):
    """Some columns of a pair, and sentences on those that are missing or doubtful."""

    row: dict[str, Any]
    remarks: list[str]


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
    except Exception as error:  # of one pair, which must not end the comparison of all others
        return Measurement(row | {"reason": f"An unexpected error: {error!r}."}, [])
    reason = " ".join(filter(None, (pair.note, scores["reason"])))
    return Measurement(row | scores | {"reason": reason or None}, lesions)


def _compare(prediction: Mask, truth: Mask, orientation: str | None) -> Measurement:
    """Scores of two masks on one grid."""
    files = prediction.path, truth.path
    pair = pred_img, truth_img = [read_mask(path, orientation) for path in files]
    if not grid.same_grid(truth_img, pred_img):
        raise ImageError(
            f"{_described(prediction.path, pred_img)}, but "
            f"{_described(truth.path, truth_img)}, or lies elsewhere; resample it."
        )
    pred, true = (np.asarray(img.dataobj) > 0 for img in pair)
    voxel_mm3 = grid.voxel_volume(truth_img)
    counts = metrics.confusion(pred, true)
    true_ml, predicted_ml = (
        (counts.tp + missed) * voxel_mm3 / 1000 for missed in (counts.fn, counts.fp)
    )
    distances = metrics.surface_distances(pred, true, voxel_sizes(truth_img.affine))
    detections, panoptic_quality = detection.detect(pred, true, voxel_mm3)
    of_probability = _measure_probability(prediction.probability, truth_img, orientation)
    in_template = _measure_in_template(pair, prediction, truth)
    remarks = [
        *filter(None, (headers.orientation_warning(path, orientation) for path in files)),
        *_remarks_on_empty(true_ml, predicted_ml),
        *of_probability.remarks,
        *in_template.remarks,
    ]
    row = {
        **{name: getattr(counts, name) for name in _VOXEL_SCORES},
        **{f"{name}_mm": value for name, value in distances._asdict().items()},
        **{name: detected.f1 for name, detected in detections.items()},
        "pq": panoptic_quality,
        **counts._asdict(),
        "volume_difference_ml": predicted_ml - true_ml,
        "absolute_volume_difference_ml": abs(predicted_ml - true_ml),
        "er_lv": metrics.relative_error(predicted_ml, true_ml),
        "count_difference": detections["f1_isles"].count_difference,
        "true_volume_ml": true_ml,
        "predicted_volume_ml": predicted_ml,
        **of_probability.row,
        **in_template.row,
        "reason": " ".join(remarks) or None,
    }
    lesions = [
        {"definition": name, **lesion._asdict()}
        for name, detected in detections.items()
        for lesion in detected.lesions(voxel_mm3)
    ]
    return Measurement(row, lesions)


def _described(path: PathLike | None, img: nib.Nifti1Image) -> str:
    """The file of an image and its grid."""
    zooms = "x".join(f"{zoom:.3g}" for zoom in img.header.get_zooms()[:3])
    return f"{path} has shape {img.shape} and voxels of {zooms} mm"


def _remarks_on_empty(true_ml: float, predicted_ml: float) -> Iterator[str]:
    volumes = {"truth": true_ml, "prediction": predicted_ml}
    empty = [name for name, ml in volumes.items() if not ml]
    if empty:
        yield f"The {' and the '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty."


def _measure_probability(
    path: Path | None, truth_img: nib.Nifti1Image, orientation: str | None
) -> Scores:
    """Scores of the probability beside a predicted mask; none where it cannot be compared."""
    if path is None:
        return Scores({}, ["No probability lies beside the prediction (max_dice, pr_auc)."])
    true = np.asarray(truth_img.dataobj) > 0
    try:
        probability = _read_probability(path, truth_img, orientation)
    except ImageError as error:
        return Scores({}, [f"The probability is not compared (max_dice, pr_auc): {error}"])
    scores = {
        "max_dice": metrics.max_dice(probability, true)[0],
        "pr_auc": metrics.precision_recall_area(probability, true),
    }
    return Scores(scores, [])


def _read_probability(path: Path, truth_img: nib.Nifti1Image, orientation: str | None) -> np.ndarray:
    """The array of a probability on the grid of the true mask.

    Raises
    ------
    ImageError
        If it lies on another grid, or has values outside of 0 to 1.
    """
    img = image.conform(image.load_supplied(path, orientation))
    if not grid.same_grid(truth_img, img):
        true = _described(truth_img.get_filename(), truth_img)
        raise ImageError(f"{_described(path, img)}, but {true}, or lies elsewhere; resample it.")
    data = np.asanyarray(img.dataobj)
    low, high = float(data.min()), float(data.max())
    if low < -masks.ROUNDING or high > 1 + masks.ROUNDING:
        raise ImageError(
            f"{path} holds values from {low:g} to {high:g}, but a probability has 0 to 1; rescale it."
        )
    return data


def _measure_in_template(pair: Sequence[nib.Nifti1Image], prediction: Mask, truth: Mask) -> Scores:
    """Tract loads and super-region of a pair; none where there is no way to the template."""
    try:
        moved = to_template(pair, prediction, truth)
    except ImageError as error:
        return Scores({}, [f"The masks are not measured in the template (er_ll): {error}"])
    loads = template_loads(*(mask for mask, _ in moved))
    remarks = dict.fromkeys(assumption for _, assumption in moved if assumption)
    if not loads.true_load_ml:
        remarks["The true lesion spares the tract (er_ll)."] = None
    return Scores(loads._asdict(), list(remarks))
