"""Scores of a pair of a predicted and a true mask."""

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
    """Columns of a pair, and remarks on missing or uncertain values."""

    row: dict[str, Any]
    remarks: list[str]


class Measurement(NamedTuple):
    """Scores of a pair.

    ``row`` has the keys of :data:`bids_stroke.evaluation.columns.COLUMNS`, each item of ``lesions`` the
    keys of :data:`bids_stroke.evaluation.columns.LESIONS`.
    """

    row: dict[str, Any]
    lesions: list[dict[str, Any]]


def read_mask(path: PathLike, orientation: str | None = None) -> nib.Nifti1Image:
    """Load a mask or a probability as a binary mask in RAS order.

    :func:`bids_stroke.spatial.masks.binarize` defines which voxels are lesion.

    Parameters
    ----------
    path : path
    orientation : {"RAS", "LAS"}, optional
        Orientation of a mask whose header does not define one.

    Raises
    ------
    ImageError
        If the file is neither a mask nor a probability, or contains several labels.
    """
    img = image.conform(image.load_supplied(path, orientation))
    return masks.binarize(img, several_labels=False)


def measure(pair: Pair, orientation: str | None = None) -> Measurement:
    """Compare the masks of a pair.

    If a pair cannot be compared, its scores are missing and the column ``reason`` states why. See
    :func:`bids_stroke.evaluation.run.evaluate` for ``orientation``.
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
    except Exception as error:  # an error of one pair must not stop the others
        return Measurement(row | {"reason": f"Unexpected error: {error!r}."}, [])
    reason = " ".join(filter(None, (pair.note, scores["reason"])))
    return Measurement(row | scores | {"reason": reason or None}, lesions)


def _compare(prediction: Mask, truth: Mask, orientation: str | None) -> Measurement:
    """Compute the scores of two masks on the same grid."""
    files = prediction.path, truth.path
    pair = pred_img, truth_img = [read_mask(path, orientation) for path in files]
    if not grid.same_grid(truth_img, pred_img):
        raise ImageError(
            f"{_describe(prediction.path, pred_img)}, but "
            f"{_describe(truth.path, truth_img)}; shape, voxel size or position differ: resample "
            "the prediction."
        )
    pred, true = (np.asarray(img.dataobj) > 0 for img in pair)
    voxel_mm3 = grid.voxel_volume(truth_img)
    counts = metrics.confusion(pred, true)
    true_ml, predicted_ml = (
        (counts.tp + errors) * voxel_mm3 / 1000 for errors in (counts.fn, counts.fp)
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


def _describe(path: PathLike | None, img: nib.Nifti1Image) -> str:
    """Describe the file and the grid of an image."""
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
    """Compute the scores of the probability of a predicted mask, if it can be compared."""
    if path is None:
        return Scores({}, ["The prediction has no probability (max_dice, pr_auc)."])
    true = np.asarray(truth_img.dataobj) > 0
    try:
        probability = _read_probability(path, truth_img, orientation)
    except ImageError as error:
        return Scores({}, [f"The probability cannot be compared (max_dice, pr_auc): {error}"])
    scores = {
        "max_dice": metrics.max_dice(probability, true)[0],
        "pr_auc": metrics.precision_recall_area(probability, true),
    }
    return Scores(scores, [])


def _read_probability(path: Path, truth_img: nib.Nifti1Image, orientation: str | None) -> np.ndarray:
    """Load the array of a probability on the grid of the true mask.

    Raises
    ------
    ImageError
        If it is on another grid or has values outside 0 to 1.
    """
    img = image.conform(image.load_supplied(path, orientation))
    if not grid.same_grid(truth_img, img):
        truth = _describe(truth_img.get_filename(), truth_img)
        raise ImageError(
            f"{_describe(path, img)}, but {truth}; shape, voxel size or position differ: resample the "
            "probability."
        )
    data = np.asanyarray(img.dataobj)
    low, high = float(data.min()), float(data.max())
    if low < -masks.ROUNDING or high > 1 + masks.ROUNDING:
        raise ImageError(
            f"{path} contains values from {low:g} to {high:g}, but a probability must be "
            "between 0 and 1; rescale it."
        )
    return data


def _measure_in_template(pair: Sequence[nib.Nifti1Image], prediction: Mask, truth: Mask) -> Scores:
    """Measure tract loads and super-region of a pair, if there is a transform to the template."""
    try:
        template_masks = to_template(pair, prediction, truth)
    except ImageError as error:
        return Scores({}, [f"The masks cannot be measured in the template (er_ll): {error}"])
    loads = template_loads(*(mask for mask, _ in template_masks))
    remarks = dict.fromkeys(assumption for _, assumption in template_masks if assumption)
    if not loads.true_load_ml:
        remarks["The true lesion does not overlap the tract (er_ll)."] = None
    return Scores(loads._asdict(), list(remarks))
