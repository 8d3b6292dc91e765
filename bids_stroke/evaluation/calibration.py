"""Calibration of lesion probabilities against manual masks."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from bids_stroke.spatial.grid import bounding_box

BINS = 15
NEAR_MM = 10.0


class Bin(NamedTuple):
    """Bin of voxels with similar probability: mean probability, lesion share, number of voxels."""

    probability: float
    lesion_share: float
    voxels: int


def near_lesion(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: ArrayLike
) -> NDArray[np.bool_]:
    """Return a mask of the voxels within :data:`NEAR_MM` of a predicted or true lesion.

    Parameters
    ----------
    predicted, truth : ndarray of bool, (x, y, z)
    spacing : array-like, (3,)
        Voxel size (mm).

    Examples
    --------
    >>> predicted, truth = np.zeros((2, 9, 1, 1), bool)
    >>> truth[0] = True
    >>> near = near_lesion(predicted, truth, spacing=(4, 4, 4))
    >>> np.flatnonzero(near).tolist()  # 0, 4 and 8 mm away
    [0, 1, 2]
    """
    lesion = predicted | truth
    near = np.zeros_like(lesion)
    if lesion.any():
        margin = np.ceil(NEAR_MM / np.asarray(spacing)).astype(int)
        box = bounding_box(lesion, margin)
        near[box] = ndimage.distance_transform_edt(~lesion[box], sampling=spacing) <= NEAR_MM
    return near


def reliability(probability: ArrayLike, truth: ArrayLike, bins: int = BINS) -> list[Bin]:
    """Compute the reliability curve from bins of equal numbers of voxels, by increasing probability.

    Parameters
    ----------
    probability, truth : array-like, (n,)
        Lesion probability, and whether the voxel is lesion.
    bins : int
        Number of bins; empty bins are omitted.

    Examples
    --------
    >>> reliability([0.25, 0.75, 0.25, 0.75], [0, 1, 1, 1], bins=2)[0]
    Bin(probability=0.25, lesion_share=0.5, voxels=2)
    """
    values, lesion = np.asarray(probability, float), np.asarray(truth, bool)
    order = np.argsort(values, kind="stable")
    return [
        Bin(float(values[bin_voxels].mean()), float(lesion[bin_voxels].mean()), len(bin_voxels))
        for bin_voxels in np.array_split(order, bins)
        if len(bin_voxels)
    ]


def expected_calibration_error(probability: ArrayLike, truth: ArrayLike, bins: int = BINS) -> float:
    """Compute the mean distance of probability and lesion share over equal-mass bins, 0 to 1.

    The arguments are those of :func:`bids_stroke.evaluation.calibration.reliability`. Nixon et al.,
    CVPRW 2019.

    Examples
    --------
    >>> expected_calibration_error([0.2, 0.2, 0.9, 0.9], [0, 0, 1, 1], bins=2)
    0.15
    """
    curve = reliability(probability, truth, bins)
    distances = [abs(bin_voxels.probability - bin_voxels.lesion_share) for bin_voxels in curve]
    return float(
        np.round(np.average(distances, weights=[bin_voxels.voxels for bin_voxels in curve]), 12)
    )


def brier(probability: ArrayLike, truth: ArrayLike) -> float:
    """Compute the mean squared difference of probability and truth (Brier 1950), 0 to 1.

    Examples
    --------
    >>> brier([0.5, 1.0], [0, 1])
    0.125
    """
    return float(np.mean((np.asarray(probability, float) - np.asarray(truth, float)) ** 2))
