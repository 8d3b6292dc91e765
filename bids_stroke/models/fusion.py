"""Fusion of the predictions of several models: votes, stacking, agreement window, regions.

Masks and probabilities are arrays of the same shape (x, y, z). The results are float32 from 0 to 1;
voxels of at least 0.5 are lesion.
"""

from collections.abc import Sequence
from functools import reduce

import numpy as np

from bids_stroke.spatial.grid import bounding_box


def mean(probabilities: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of the probabilities."""
    return np.stack(probabilities).mean(0, np.float32)


def majority(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Return the share of the masks that mark each voxel as lesion.

    >>> majority([np.array([1, 1, 0]), np.array([1, 0, 0])]).tolist()
    [1.0, 0.5, 0.0]
    """
    return np.stack(masks).mean(0, np.float32)


def confidence(probabilities: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> np.ndarray:
    """Return the share of votes weighted by the confidence of each model.

    The confidence is one minus the entropy (bits) of the model's probability in the voxel, so models
    with clear probabilities outweigh uncertain ones. Chowdhury et al. 2025 propose a vote weighted by
    the confidence of each plane as future work; this measure of confidence is not theirs.
    """
    clipped = np.clip(np.asarray(probabilities, np.float32), 1e-6, 1 - 1e-6)
    weights = 1 + clipped * np.log2(clipped) + (1 - clipped) * np.log2(1 - clipped)
    total = weights.sum(0)
    votes = (weights * np.asarray(masks)).sum(0)
    return np.divide(votes, total, out=np.full_like(total, 0.5), where=total > 0)


def stacking(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Return the intersection of the masks (Mohapatra et al. 2023)."""
    return np.logical_and.reduce(masks).astype(np.float32)


def agreement_window(masks: Sequence[np.ndarray], window: int, overlap: float) -> np.ndarray:
    """Return the union of the masks where they agree (Mohapatra et al. 2023).

    A cubic window slides over the volume, one voxel at a time. A position passes if the intersection
    of the masks divided by their union, both within the window, exceeds ``overlap``; positions without
    lesion fail. A voxel of the union is kept if at least one passing window contains it.

    Parameters
    ----------
    masks : sequence of ndarray of bool, (x, y, z)
    window : int
        Side of the window (voxels).
    overlap : float
        Threshold of intersection over union, from 0 to 1.

    Returns
    -------
    ndarray, (x, y, z), float32
        Zeros and ones.

    Examples
    --------
    >>> first, second = np.zeros((2, 9, 1, 1), bool)
    >>> first[0:2], second[0], first[7] = True, True, True
    >>> agreement_window([first, second], window=1, overlap=0.5).ravel().tolist()
    [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    union = np.logical_or.reduce(masks)
    fused = np.zeros(union.shape, np.float32)
    if not union.any() or min(union.shape) < window:
        return fused
    box = bounding_box(union, window - 1)
    union, both = union[box], np.logical_and.reduce([mask[box] for mask in masks])
    within, shared = _sums(union, window), _sums(both, window)
    passed = shared > 0
    # A quotient rather than a product, so that rounding matches the user's value (3/4 equals 0.75).
    passed[passed] = shared[passed] / within[passed] > overlap
    # A voxel is in the windows that begin at it or up to window - 1 voxels before it.
    covered = _sums(np.pad(passed, window - 1), window) > 0
    fused[box] = covered & union
    return fused


def by_region(
    probabilities: Sequence[np.ndarray], labels: np.ndarray, regions: Sequence[Sequence[int]]
) -> np.ndarray:
    """Combine predictions that are each used in their own regions.

    Parameters
    ----------
    probabilities : sequence of ndarray, (x, y, z)
    labels : ndarray of int, (x, y, z)
        Region label of each voxel.
    regions : sequence of sequence of int
        Labels of the regions in which each prediction is used.

    Returns
    -------
    ndarray, (x, y, z), float32
    """
    within = [np.isin(labels, numbers) for numbers in regions]
    return np.select(within, probabilities, 0).astype(np.float32)


def _sums(mask: np.ndarray, window: int) -> np.ndarray:
    """Count the true voxels in every window that fits into the volume, by its first voxel."""
    counts = mask.astype(np.int32)
    for axis in range(3):
        positions = counts.shape[axis] - window + 1
        parts = (np.take(counts, range(n, n + positions), axis) for n in range(window))
        counts = reduce(np.add, parts)
    return counts
