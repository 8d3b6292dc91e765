"""Agreement between a predicted and a true lesion mask.

Every score is 1 when both masks are empty: a scan without a lesion was read rightly. Otherwise a
ratio without a denominator (the precision of an empty prediction, the sensitivity to an empty
truth) is 0.
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
        """Share of the true lesion that is found, TP / (TP + FN)."""
        return self._ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """Share of the healthy voxels of the image that are left out, TN / (TN + FP)."""
        return self._ratio(self.tn, self.tn + self.fp)

    @property
    def accuracy(self) -> float:
        """Share of the voxels of the image that are right, (TP + TN) / all."""
        return self._ratio(self.tp + self.tn, sum(self))

    @property
    def relative_volume_difference(self) -> float:
        """Predicted minus true volume in percent of the true one; NaN for an empty truth."""
        true = self.tp + self.fn
        return 100 * (self.fp - self.fn) / true if true else float("nan")

    def _ratio(self, part: float, whole: float) -> float:
        if not self.tp + self.fp + self.fn:
            return 1.0
        return float(part / whole) if whole else 0.0


def binary_masks(pred: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two masks on one grid (non-zero is lesion) as boolean arrays.

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
    return pred, truth


def confusion(pred: ArrayLike, truth: ArrayLike) -> Confusion:
    """Count the voxels of two masks on one grid (non-zero is lesion).

    Raises
    ------
    ImageError
        If the masks differ in shape.
    """
    pred, truth = binary_masks(pred, truth)
    tp = int(np.count_nonzero(pred & truth))
    fp = int(np.count_nonzero(pred)) - tp
    fn = int(np.count_nonzero(truth)) - tp
    return Confusion(tp, fp, fn, pred.size - tp - fp - fn)


def dice(pred: ArrayLike, truth: ArrayLike) -> float:
    """Dice coefficient of two masks."""
    return confusion(pred, truth).dice


def volume_difference(pred: ArrayLike, truth: ArrayLike, voxel_mm3: float) -> float:
    """Predicted minus true volume in ml; ``voxel_mm3`` is the volume of a voxel in mm³."""
    _, fp, fn, _ = confusion(pred, truth)
    return (fp - fn) * voxel_mm3 / 1000


def micro_dice(counts: Iterable[tuple[int, int, int, int]]) -> float:
    """Dice coefficient of pooled voxels (microDSC; Tomita et al., NeuroImage Clin 2020).

    Parameters
    ----------
    counts : iterable of Confusion
        One for each scan, or the four counts of it.
    """
    return Confusion(*np.sum(list(counts), axis=0).tolist()).dice


def max_dice(
    probability: ArrayLike, truth: ArrayLike, thresholds: Sequence[float] = THRESHOLDS
) -> tuple[float, float]:
    """Largest Dice coefficient over thresholds of a probability (mDSC; Tomita et al. 2020).

    Returns
    -------
    tuple of float
        The Dice coefficient, and the lowest threshold that reaches it.
    """
    probability, truth = np.asarray(probability), np.asarray(truth) > 0
    edges = np.asarray(thresholds)
    # Voxels at or above each threshold, from one sorting into bins.
    bins = np.searchsorted(edges, probability.ravel(), side="right")
    kept = np.bincount(bins, minlength=len(edges) + 1)[::-1].cumsum()[::-1][1:]
    hits = np.bincount(bins[truth.ravel()], minlength=len(edges) + 1)[::-1].cumsum()[::-1][1:]
    total = kept + truth.sum()
    scores = np.divide(2 * hits, total, out=np.ones(len(edges)), where=total > 0)
    return float(scores.max()), float(edges[scores.argmax()])


def precision_recall_area(probability: ArrayLike, truth: ArrayLike) -> float:
    """Area under the curve of precision over recall, by trapezoids (PR-AUC, as ISLES'26 computes it).

    The curve begins at a recall of 0 with a precision of 1. Voxels of one probability are one step.

    Returns
    -------
    float
        NaN for an empty truth, which has no recall.
    """
    values, lesion = np.ravel(probability), np.ravel(truth) > 0
    if not lesion.any():
        return float("nan")
    # Recall grows at the values of lesion voxels alone, by their number; precision before and after.
    levels, found = np.unique(values[lesion], return_counts=True)
    marked = np.sort(values)
    marked_from, marked_above = (
        len(marked) - np.searchsorted(marked, levels, side) for side in ("left", "right")
    )
    hits_from = np.cumsum(found[::-1])[::-1]
    after = hits_from / marked_from
    before = np.divide(
        hits_from - found, marked_above, out=np.ones(len(levels)), where=marked_above > 0
    )
    return float(np.average((before + after) / 2, weights=found))


def relative_error(predicted: float, true: float) -> float:
    """``100 |predicted - true| / true`` (ER LV of volumes, ER LL of loads; Mohapatra et al. 2023);
    NaN where ``true`` is 0."""
    return 100 * abs(predicted - true) / true if true else float("nan")


class Surface(NamedTuple):
    """Distances between the surfaces of two masks (mm), NaN where one of them is empty.

    ``hd``: Hausdorff distance; ``hd95``: the larger of the two directed 95th percentiles; ``assd``:
    mean of the two directed means; ``asd_pooled``: mean over the voxels of both surfaces, of which the
    larger counts more (AverageSurfaceDistance of animaSegPerfAnalyzer).
    """

    hd: float
    hd95: float
    assd: float
    asd_pooled: float


def surface_distances(pred: ArrayLike, truth: ArrayLike, spacing: ArrayLike) -> Surface:
    """Distances between the surfaces of two masks.

    The surface of a mask is its voxels with a face neighbour outside of it.

    Parameters
    ----------
    pred, truth : array_like
        Masks on one grid (non-zero is lesion).
    spacing : sequence of float
        Sides of a voxel (mm).

    Returns
    -------
    Surface
        Zeros where both masks are empty, NaN where only one is.
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
    """Indices (n, 3) of the voxels of a mask that have a face neighbour outside of it."""
    mask = np.asarray(mask) > 0
    if not mask.any():
        return np.empty((0, mask.ndim), int)
    box = bounding_box(mask)
    inside = np.pad(mask[box], 1)
    edge = inside & ~ndimage.binary_erosion(inside)
    return np.argwhere(edge) - 1 + [part.start for part in box]
