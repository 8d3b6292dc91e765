"""Agreement between a predicted and a true lesion mask.

All scores are 1 if both masks are empty: a scan without a lesion was segmented correctly. Otherwise,
ratios with a denominator of 0 (precision of an empty prediction, sensitivity for an empty truth) are 0.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from bids_stroke.errors import ImageError
from bids_stroke.spatial.grid import bounding_box

THRESHOLDS = tuple(percent / 100 for percent in range(1, 100))


class Confusion(NamedTuple):
    """Voxel counts: true positives, false positives, false negatives, true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def dice(self) -> float:
        """Dice coefficient, 2TP / (2TP + FP + FN)."""
        return self._ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def jaccard(self) -> float:
        """Jaccard index, TP / (TP + FP + FN)."""
        return self._ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """Share of the predicted lesion that is true, TP / (TP + FP)."""
        return self._ratio(self.tp, self.tp + self.fp)

    @property
    def sensitivity(self) -> float:
        """Share of the true lesion that is predicted, TP / (TP + FN)."""
        return self._ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """Share of the healthy voxels of the image that are not predicted, TN / (TN + FP)."""
        return self._ratio(self.tn, self.tn + self.fp)

    @property
    def accuracy(self) -> float:
        """Share of the voxels of the image that are correct, (TP + TN) / all."""
        return self._ratio(self.tp + self.tn, sum(self))

    @property
    def relative_volume_difference(self) -> float:
        """Predicted minus true volume in percent of the true volume; NaN for an empty truth."""
        true = self.tp + self.fn
        return 100 * (self.fp - self.fn) / true if true else float("nan")

    def _ratio(self, numerator: float, denominator: float) -> float:
        if not self.tp + self.fp + self.fn:
            return 1.0
        return float(numerator / denominator) if denominator else 0.0


def binary_masks(pred: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Convert two masks on the same grid (non-zero is lesion) to boolean arrays.

    Raises
    ------
    ImageError
        If the masks differ in shape.
    """
    pred, truth = np.asarray(pred) > 0, np.asarray(truth) > 0
    if pred.shape != truth.shape:
        raise ImageError(
            f"The predicted mask has shape {pred.shape}, but the true mask has shape {truth.shape}; "
            "resample one of them to the grid of the other."
        )
    return pred, truth


def confusion(pred: ArrayLike, truth: ArrayLike) -> Confusion:
    """Count the voxels of two masks on the same grid (non-zero is lesion).

    Raises
    ------
    ImageError
        If the masks differ in shape.

    Examples
    --------
    >>> counts = confusion([1, 1, 0, 0], [1, 0, 1, 0])
    >>> counts
    Confusion(tp=1, fp=1, fn=1, tn=1)
    >>> counts.dice, counts.precision, counts.sensitivity
    (0.5, 0.5, 0.5)
    """
    pred, truth = binary_masks(pred, truth)
    tp = int(np.count_nonzero(pred & truth))
    fp = int(np.count_nonzero(pred)) - tp
    fn = int(np.count_nonzero(truth)) - tp
    return Confusion(tp, fp, fn, pred.size - tp - fp - fn)


def dice(pred: ArrayLike, truth: ArrayLike) -> float:
    """Compute the Dice coefficient of two masks (:func:`bids_stroke.evaluation.metrics.confusion`).

    >>> dice([1, 1, 1, 0], [1, 0, 0, 0])
    0.5
    >>> dice([0, 0], [0, 0])  # no lesion, and none predicted
    1.0
    """
    return confusion(pred, truth).dice


def volume_difference(pred: ArrayLike, truth: ArrayLike, voxel_mm3: float) -> float:
    """Compute predicted minus true volume (ml) of two masks; ``voxel_mm3`` is the voxel volume (mm³).

    >>> volume_difference([1, 1, 1], [1, 0, 0], voxel_mm3=8.0)  # two voxels of 2 mm per side
    0.016
    """
    _, fp, fn, _ = confusion(pred, truth)
    return (fp - fn) * voxel_mm3 / 1000


def micro_dice(counts: Iterable[tuple[int, int, int, int]]) -> float:
    """Compute the Dice coefficient of pooled voxels (microDSC; Tomita et al., NeuroImage Clin 2020).

    Parameters
    ----------
    counts : iterable of Confusion
        Counts of each scan.

    Examples
    --------
    >>> small, large = Confusion(0, 0, 10, 90), Confusion(45, 0, 0, 55)
    >>> (small.dice + large.dice) / 2, micro_dice([small, large])
    (0.5, 0.9)
    """
    return Confusion(*np.sum(list(counts), axis=0).tolist()).dice


def max_dice(
    probability: ArrayLike, truth: ArrayLike, thresholds: Sequence[float] = THRESHOLDS
) -> tuple[float, float]:
    """Compute the maximum Dice coefficient over thresholds of a probability (mDSC; Tomita et al. 2020).

    Parameters
    ----------
    probability, truth : array-like of the same shape
        Lesion probability, and whether the voxel is lesion.
    thresholds : sequence of float
        Ascending; voxels with at least this probability are lesion.

    Returns
    -------
    tuple of float
        Maximum Dice coefficient, and the lowest threshold at which it occurs.

    Examples
    --------
    >>> max_dice([0.9, 0.4, 0.3, 0.1], [1, 1, 0, 0])
    (1.0, 0.31)
    """
    probability, truth = np.asarray(probability), np.asarray(truth) > 0
    edges = np.asarray(thresholds)
    # Count the voxels at or above each threshold in one pass over bins.
    bins = np.searchsorted(edges, probability.ravel(), side="right")
    predicted = np.bincount(bins, minlength=len(edges) + 1)[::-1].cumsum()[::-1][1:]
    hits = np.bincount(bins[truth.ravel()], minlength=len(edges) + 1)[::-1].cumsum()[::-1][1:]
    total = predicted + truth.sum()
    scores = np.divide(2 * hits, total, out=np.ones(len(edges)), where=total > 0)
    return float(scores.max()), float(edges[scores.argmax()])


def precision_recall_area(probability: ArrayLike, truth: ArrayLike) -> float:
    """Compute the area under the precision-recall curve with trapezoids (PR-AUC, as in ISLES'26).

    The curve starts at a recall of 0 and a precision of 1. Voxels of equal probability form one step.

    Parameters
    ----------
    probability, truth : array-like of the same shape
        Lesion probability, and whether the voxel is lesion.

    Returns
    -------
    float
        NaN for an empty truth, for which recall is undefined.

    Examples
    --------
    >>> precision_recall_area([0.9, 0.8, 0.2], [1, 0, 0])
    1.0
    """
    values, lesion = np.ravel(probability), np.ravel(truth) > 0
    if not lesion.any():
        return float("nan")
    # Recall changes only at the values of lesion voxels, in proportion to their number. Average the
    # precision before and after each of these values.
    levels, counts = np.unique(values[lesion], return_counts=True)
    ordered = np.sort(values)
    predicted_from, predicted_above = (
        len(ordered) - np.searchsorted(ordered, levels, side) for side in ("left", "right")
    )
    hits_from = np.cumsum(counts[::-1])[::-1]
    after = hits_from / predicted_from
    before = np.divide(
        hits_from - counts, predicted_above, out=np.ones(len(levels)), where=predicted_above > 0
    )
    return float(np.average((before + after) / 2, weights=counts))


def relative_error(predicted: float, true: float) -> float:
    """Compute ``100 |predicted - true| / true`` (ER LV of volumes, ER LL of loads; Mohapatra et al.
    2023); NaN if ``true`` is 0.

    >>> relative_error(predicted=3.0, true=4.0)  # percent
    25.0
    """
    return 100 * abs(predicted - true) / true if true else float("nan")


class Surface(NamedTuple):
    """Distances between the surfaces of two masks (mm); NaN if one of the masks is empty.

    ``hd``: Hausdorff distance; ``hd95``: larger of the two directed 95th percentiles; ``assd``: mean of
    the two directed means; ``asd_pooled``: mean over the voxels of both surfaces, which weights the
    larger surface more (AverageSurfaceDistance of animaSegPerfAnalyzer).
    """

    hd: float
    hd95: float
    assd: float
    asd_pooled: float


def surface_distances(pred: ArrayLike, truth: ArrayLike, spacing: ArrayLike) -> Surface:
    """Measure the distances between the surfaces of two masks.

    The surface of a mask consists of its voxels with a face neighbor outside the mask.

    Parameters
    ----------
    pred, truth : array-like, (x, y, z)
        Masks on the same grid (non-zero is lesion).
    spacing : array-like, (3,)
        Voxel size (mm).

    Returns
    -------
    Surface
        Zeros if both masks are empty, NaN if only one is empty.

    Examples
    --------
    >>> pred, truth = np.zeros((2, 5, 1, 1))
    >>> pred[1], truth[4] = 1, 1
    >>> surface_distances(pred, truth, spacing=(2, 1, 1)).hd  # three voxels of 2 mm
    6.0
    """
    points = [surface(mask) * np.asarray(spacing, float) for mask in (pred, truth)]
    empty = [not len(p) for p in points]
    if any(empty):
        distance = 0.0 if all(empty) else float("nan")
        return Surface(hd=distance, hd95=distance, assd=distance, asd_pooled=distance)
    to_truth, to_pred = (cKDTree(points[1 - i]).query(points[i])[0] for i in (0, 1))
    return Surface(
        hd=float(max(to_truth.max(), to_pred.max())),
        hd95=float(max(np.percentile(to_truth, 95), np.percentile(to_pred, 95))),
        assd=float((to_truth.mean() + to_pred.mean()) / 2),
        asd_pooled=float(np.concatenate([to_truth, to_pred]).mean()),
    )


def surface(mask: ArrayLike) -> NDArray[np.int_]:
    """Return the indices (n, 3) of the voxels of a mask with a face neighbor outside the mask."""
    mask = np.asarray(mask) > 0
    if not mask.any():
        return np.empty((0, mask.ndim), int)
    box = bounding_box(mask)
    inside = np.pad(mask[box], 1)
    edge = inside & ~ndimage.binary_erosion(inside)
    return np.argwhere(edge) - 1 + [part.start for part in box]
