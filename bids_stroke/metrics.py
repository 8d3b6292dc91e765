"""Agreement between a predicted and a true lesion mask.

Every score is 1 when both masks are empty: a scan without a lesion was read rightly. Otherwise a
ratio without a denominator (the precision of an empty prediction, the sensitivity to an empty
truth) is 0.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from .errors import ImageError


class Confusion(NamedTuple):
    """Voxel counts: true positives, false positives, false negatives, true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int


def confusion(pred, truth):
    """Count the voxels of two masks on one grid (non-zero is lesion).

    Raises
    ------
    ImageError
        If the masks differ in shape.
    """
    pred, truth = np.asarray(pred) > 0, np.asarray(truth) > 0
    if pred.shape != truth.shape:
        raise ImageError(
            f"The predicted mask has shape {pred.shape} but the true one {truth.shape}; "
            "resample one onto the grid of the other."
        )
    tp = np.count_nonzero(pred & truth)
    fp = np.count_nonzero(pred) - tp
    fn = np.count_nonzero(truth) - tp
    return Confusion(tp, fp, fn, pred.size - tp - fp - fn)


def dice(pred, truth):
    """Dice coefficient, 2TP / (2TP + FP + FN)."""
    tp, fp, fn, _ = confusion(pred, truth)
    return _ratio(2 * tp, 2 * tp + fp + fn, tp + fp + fn)


def jaccard(pred, truth):
    """Jaccard index, TP / (TP + FP + FN)."""
    tp, fp, fn, _ = confusion(pred, truth)
    return _ratio(tp, tp + fp + fn, tp + fp + fn)


def precision(pred, truth):
    """Share of the predicted lesion that is true, TP / (TP + FP)."""
    tp, fp, fn, _ = confusion(pred, truth)
    return _ratio(tp, tp + fp, tp + fp + fn)


def sensitivity(pred, truth):
    """Share of the true lesion that is found, TP / (TP + FN)."""
    tp, fp, fn, _ = confusion(pred, truth)
    return _ratio(tp, tp + fn, tp + fp + fn)


def lesion_f1(pred, truth):
    """Lesion-wise F1, 2TP / (2TP + FP + FN) over 26-connected lesions, of which one shared voxel
    makes a hit (ISLES; Hernandez Petzsche et al., Sci Data 2022).

    TP and FN are true lesions that were touched and missed, FP are predicted ones that touch none.
    """
    _, fp, fn, _ = confusion(pred, truth)
    pred, truth = np.asarray(pred) > 0, np.asarray(truth) > 0
    both = pred & truth
    found, missed = _touched(truth, both)
    _, invented = _touched(pred, both)
    return _ratio(2 * found, 2 * found + invented + missed, found + fp + fn)


def _touched(mask, other):
    """Numbers of 26-connected lesions of ``mask`` that ``other`` touches, and does not."""
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    touched = len(np.unique(labels[other]))
    return touched, count - touched


def volume_difference(pred, truth, voxel_mm3):
    """Predicted minus true volume in ml; ``voxel_mm3`` is the volume of a voxel in mm³."""
    _, fp, fn, _ = confusion(pred, truth)
    return (fp - fn) * voxel_mm3 / 1000


def _ratio(part, whole, lesion):
    """``part / whole``; 1 without any ``lesion`` voxel in either mask, else 0 without a whole."""
    if lesion == 0:
        return 1.0
    return part / whole if whole else 0.0
