"""Lesion-wise detection: by hand, and against the challenges' counting."""

import cc3d
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from bids_stroke.evaluation import detection


def line(*runs, length=40):
    """Mask (length, 1, 1) with lesions at some runs of voxels."""
    mask = np.zeros((length, 1, 1), bool)
    for start, stop in runs:
        mask[start:stop] = True
    return mask


def random_masks(seed):
    """Two blobby masks that overlap in parts."""
    rng = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(rng.standard_normal((2, 24, 26, 22)), (0, 1.5, 1.5, 1.5))
    fields[1] = 0.6 * fields[0] + 0.8 * fields[1]
    return fields > np.quantile(fields, rng.uniform(0.8, 0.97))


def test_anima_by_hand():
    truth = line((0, 10), (20, 30))
    # 0-10: covered by half; 20-30: one voxel of ten, by a lesion that lies in it to a third, and
    # of which it lies outside to nine tenths.
    pred = line((5, 12), (29, 32), (36, 38))
    found = detection.anima(pred, truth)
    assert list(found.true_volumes) == [10, 10]
    assert list(found.detected) == [True, True]
    assert list(found.confirmed) == [True, False, False]
    assert found.f1 == pytest.approx(2 * 1 * (1 / 3) / (1 + 1 / 3))
    assert found.count_difference == 1


def test_anima_refuses_partners_that_lie_outside():
    truth = line((0, 10))
    assert list(detection.anima(line((8, 14)), truth).detected) == [True]  # 4 of 6 outside
    assert list(detection.anima(line((8, 15)), truth).detected) == [False]  # 5 of 7 outside
    assert list(detection.anima(line((9, 10)), truth).detected) == [True]  # a tenth of it
    assert list(detection.anima(line((10, 12)), truth).detected) == [False]
    assert list(detection.anima(line((19, 20)), line((0, 20))).detected) == [False]  # a twentieth


def test_anima_looks_at_the_partners_that_make_up_the_overlap():
    truth = line((0, 20))
    # 14 of 16 shared voxels come from a lesion wholly inside; the other lies mostly outside.
    pred = line((0, 14), (18, 30))
    assert list(detection.anima(pred, truth).detected) == [True]


def test_touching_by_hand():
    truth, pred = line((0, 10), (20, 30)), line((9, 20), (35, 36))
    found = detection.isles(pred, truth)
    assert list(found.detected) == [True, False]
    assert list(found.confirmed) == [True, False]
    assert found.f1 == 0.5


def test_neighbours_by_corner_are_one_lesion_for_isles_only():
    truth = np.zeros((4, 4, 4), bool)
    truth[1, 1, 1] = truth[2, 2, 2] = True
    assert len(detection.isles(truth, truth).detected) == 1
    assert len(detection.atlas(truth, truth).detected) == 2


@pytest.mark.parametrize("seed", range(50))
def test_against_the_challenges_counting(seed):
    """ISLES counts with cc3d, ATLAS with scipy's default neighbours; both lesion by lesion."""
    pred, truth = random_masks(seed)
    for definition, label in (
        (detection.isles, lambda m: cc3d.connected_components(m, connectivity=26)),
        (detection.atlas, lambda m: ndimage.label(m)[0]),
    ):
        tp = fn = fp = 0
        for number in range(1, label(truth).max() + 1):
            hit = pred[label(truth) == number].any()
            tp, fn = tp + hit, fn + (not hit)
        for number in range(1, label(pred).max() + 1):
            fp += not truth[label(pred) == number].any()
        found = definition(pred, truth)
        assert found.detected.sum() == tp and (~found.detected).sum() == fn
        assert (~found.confirmed).sum() == fp


@pytest.mark.parametrize("definition", detection.DEFINITIONS.values())
def test_empty_masks(definition):
    empty, lesion = line(), line((3, 8))
    assert definition(empty, empty).f1 == 1
    assert definition(empty, lesion).f1 == 0
    assert definition(lesion, empty).f1 == 0
    assert definition(lesion, lesion).f1 == 1


def test_table_has_every_lesion_once():
    detected = detection.isles(line((0, 4)), line((2, 6), (20, 30)))
    table = pd.DataFrame(detected.lesions(voxel_mm3=500))
    assert list(table["mask"]) == ["truth", "truth", "prediction"]
    assert list(table.volume_ml) == [2, 5, 2]
    assert list(table.detected) == [True, False, True]
