"""Fusion of the predictions of several models: votes, stacking, the agreement window, regions.

Masks and probabilities are arrays of one shape (x, y, z); what comes out is float32, from 0 to 1, and
lesion where it is at least one half.
"""

from collections.abc import Sequence
from functools import reduce

import numpy as np

from bids_stroke.spatial.grid import bounding_box


def mean(probabilities: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of the probabilities."""
    return np.stack(probabilities).mean(0, np.float32)


def majority(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Share of the votes."""
    return np.stack(masks).mean(0, np.float32)


def confidence(probabilities: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> np.ndarray:
    """Share of the votes, each weighted by the confidence of who gives it: one minus the entropy (bits)
    of its probability, voxel by voxel.

    The sure outvote the unsure. Chowdhury et al. 2025 name a vote weighted by each plane's confidence
    as future work; the measure of confidence is ours.
    """
    share = np.clip(np.asarray(probabilities, np.float32), 1e-6, 1 - 1e-6)
    sure = 1 + share * np.log2(share) + (1 - share) * np.log2(1 - share)
    total = sure.sum(0)
    votes = (sure * np.asarray(masks)).sum(0)
    return np.divide(votes, total, out=np.full_like(total, 0.5), where=total > 0)


def stacking(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Intersection of the masks (Mohapatra et al. 2023)."""
    return np.logical_and.reduce(masks).astype(np.float32)


def agreement_window(masks: Sequence[np.ndarray], window: int, overlap: float) -> np.ndarray:
    """Union of the masks, kept where they agree (Mohapatra et al. 2023).

    A cube of ``window`` voxels takes every place inside the volume, one voxel at a time. It passes if
    the intersection of the masks within it, over their union, exceeds ``overlap``; one without any
    lesion fails. A voxel of the union is kept if a cube that contains it passes.

    Parameters
    ----------
    masks : sequence of ndarray of bool, (x, y, z)
    window : int
        Voxels.
    overlap : float
        From 0 to 1.

    Returns
    -------
    ndarray, (x, y, z), float32
        Of zeros and ones.
    """
    union = np.logical_or.reduce(masks)
    kept = np.zeros(union.shape, np.float32)
    if not union.any() or min(union.shape) < window:
        return kept
    box = bounding_box(union, window - 1)
    union, both = union[box], np.logical_and.reduce([mask[box] for mask in masks])
    within, shared = _sums(union, window), _sums(both, window)
    passed = shared > 0
    # A quotient, not a product: that of equal fractions is the very number that a user writes.
    passed[passed] = shared[passed] / within[passed] > overlap
    # A voxel is in the cubes that begin at it, or up to a window's length before it.
    covered = _sums(np.pad(passed, window - 1), window) > 0
    kept[box] = covered & union
    return kept


def by_region(
    answers: Sequence[np.ndarray], labels: np.ndarray, regions: Sequence[Sequence[int]]
) -> np.ndarray:
    """Of each answer, what lies in its regions.

    Parameters
    ----------
    answers : sequence of ndarray, (x, y, z)
    labels : ndarray of int, (x, y, z)
        Number of each voxel's region.
    regions : sequence of sequence of int
        Numbers of the regions that each answer counts in.

    Returns
    -------
    ndarray, (x, y, z), float32
    """
    within = [np.isin(labels, numbers) for numbers in regions]
    return np.select(within, answers, 0).astype(np.float32)


def _sums(mask: np.ndarray, window: int) -> np.ndarray:
    """Number of true voxels in the cube that begins at each voxel, where it fits; one axis after the
    other."""
    counts = mask.astype(np.int32)
    for axis in range(3):
        places = counts.shape[axis] - window + 1
        parts = (np.take(counts, range(n, n + places), axis) for n in range(window))
        counts = reduce(np.add, parts)
    return counts
