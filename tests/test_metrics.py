import numpy as np
import pytest
import torch
from monai.metrics import compute_dice
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)

from bids_stroke import metrics
from bids_stroke.errors import ImageError

SCORES = (metrics.dice, metrics.jaccard, metrics.precision, metrics.sensitivity)


def test_by_hand():
    truth = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    pred = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0])
    assert metrics.confusion(pred, truth) == (3, 2, 1, 4)
    assert metrics.dice(pred, truth) == 6 / 9
    assert metrics.jaccard(pred, truth) == 3 / 6
    assert metrics.precision(pred, truth) == 3 / 5
    assert metrics.sensitivity(pred, truth) == 3 / 4
    # Five voxels against four, of 500 mm³.
    assert metrics.volume_difference(pred, truth, 500) == 0.5
    assert metrics.volume_difference(truth, pred, 500) == -0.5


def test_against_other_implementations():
    rng = np.random.default_rng(0)
    for share in (0.02, 0.3, 0.9):
        truth, pred = rng.random((2, 8, 9, 10)) < share
        flat = truth.ravel(), pred.ravel()
        tn, fp, fn, tp = confusion_matrix(*flat).ravel()
        assert metrics.confusion(pred, truth) == (tp, fp, fn, tn)
        assert metrics.dice(pred, truth) == pytest.approx(f1_score(*flat))
        assert metrics.jaccard(pred, truth) == pytest.approx(jaccard_score(*flat))
        assert metrics.precision(pred, truth) == pytest.approx(precision_score(*flat))
        assert metrics.sensitivity(pred, truth) == pytest.approx(recall_score(*flat))
        batches = (torch.from_numpy(mask.astype(np.float32))[None, None] for mask in (pred, truth))
        assert metrics.dice(pred, truth) == pytest.approx(compute_dice(*batches).item(), rel=1e-6)


@pytest.mark.parametrize("score", SCORES)
def test_empty_masks(score):
    empty, lesion = np.zeros((4, 4, 4)), np.ones((4, 4, 4))
    assert score(empty, empty) == 1
    assert score(empty, lesion) == 0
    assert score(lesion, empty) == 0
    assert score(lesion, lesion) == 1


def test_masks_of_any_type():
    truth = np.array([0, 255, 255, 0], np.uint8)
    pred = np.array([0.0, 1.0, 0.0, 0.0])
    assert metrics.confusion(pred, truth) == (1, 0, 1, 2)


def test_other_shapes_are_refused():
    with pytest.raises(ImageError, match="shape"):
        metrics.dice(np.ones((2, 1)), np.ones((2, 2)))
