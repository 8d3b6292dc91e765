"""Fusions against explicit loops and hand-made cases."""

import itertools

import numpy as np
import pytest

from bids_stroke.models import fusion


def literal_window(masks, window, overlap):
    """Agreement window by an explicit loop over all window positions."""
    masks = np.array(masks)
    fused = np.zeros(masks.shape[1:], bool)
    for corner in itertools.product(*(range(side - window + 1) for side in fused.shape)):
        cube = tuple(slice(n, n + window) for n in corner)
        inside = masks[(slice(None), *cube)]
        union, shared = inside.any(0), inside.all(0)
        if union.any() and shared.sum() / union.sum() > overlap:
            fused[cube] |= union
    return fused


def blobs(rng, shape, share):
    """Two random masks that agree in most voxels."""
    base = rng.random(shape) < share
    return [base ^ (rng.random(shape) < 0.1) for _ in range(2)]


@pytest.mark.parametrize("window", [2, 3, 4])
@pytest.mark.parametrize("overlap", [0.5, 0.7, 0.75, 0.9])
def test_the_agreement_window_equals_the_loop(window, overlap):
    rng = np.random.default_rng(window)
    for shape in ((9, 7, 8), (4, 11, 5), (6, 6, 4)):
        for share in (0.1, 0.5, 0.9):
            masks = blobs(rng, shape, share)
            fused = fusion.agreement_window(masks, window, overlap)
            assert np.array_equal(fused, literal_window(masks, window, overlap))


def test_three_masks_at_the_corners():
    masks = [np.zeros((8, 8, 8), bool) for _ in range(3)]
    for mask in masks:
        mask[:3, :3, :3] = mask[-2:, -2:, -2:] = True
    masks[0][4:6, :2, 4] = True  # in one mask only
    masks[2][2, 2, 3] = True
    for window, overlap in itertools.product((2, 3, 4), (0.5, 0.75, 0.9)):
        fused = fusion.agreement_window(masks, window, overlap)
        assert np.array_equal(fused, literal_window(masks, window, overlap))
    fused = fusion.agreement_window(masks, 2, 0.5)
    assert fused[0, 0, 0] and fused[-1, -1, -1] and fused[2, 2, 3] and not fused[4:6, :2, 4].any()


def test_empty_masks_and_volumes_smaller_than_the_window():
    empty = [np.zeros((5, 5, 5), bool)] * 2
    assert not fusion.agreement_window(empty, 3, 0.5).any()
    flat = [np.ones((5, 5, 2), bool)] * 2
    assert not fusion.agreement_window(flat, 3, 0.5).any()
    assert fusion.agreement_window(flat, 2, 0.5).all()


def test_votes():
    mean = fusion.mean([[0.9, 0.6, 0.1], [0.6, 0.2, 0.1], [0.1, 0.4, 0.9]])
    assert mean.tolist() == pytest.approx([1.6 / 3, 0.4, 1.1 / 3])
    masks = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [1, 1, 1, 0]], bool)
    assert (fusion.majority(masks) >= 0.5).tolist() == [True, True, False, False]
    assert fusion.stacking(masks).tolist() == [1, 0, 0, 0]
    regions = fusion.by_region(masks.astype(float), np.array([1, 2, 3, 4]), [[1, 4], [2], [3]])
    assert regions.tolist() == [1, 0, 1, 0]


def test_votes_are_weighted_by_confidence():
    probabilities = np.array([[0.99, 0.5, 0.45], [0.4, 0.5, 0.45], [0.4, 0.5, 0.9]])
    masks = probabilities >= 0.5
    weighted = fusion.confidence(probabilities, masks)
    assert (fusion.majority(masks) >= 0.5).tolist() == [False, True, False]
    assert (weighted >= 0.5).tolist() == [True, True, True]
    weights = [1 + p * np.log2(p) + (1 - p) * np.log2(1 - p) for p in (0.99, 0.4, 0.4)]
    assert weighted[0] == pytest.approx(weights[0] / sum(weights), rel=1e-4)
