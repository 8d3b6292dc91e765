"""Lesion-wise detection: by hand, and against the challenges' counting."""

import cc3d
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from bids_stroke.evaluation import detection

#: Volume of a voxel (mm3) at which no lesion is too small.
VOXEL = 8.0


def line(*runs, length=50):
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


def labels(mask, neighbors=6):
    """Components of a mask by cc3d."""
    return cc3d.connected_components(mask, connectivity=neighbors)


def test_anima_by_hand():
    truth = line((0, 10), (20, 30))
    # 0-10: covered by half. 20-30: three voxels of ten, of a lesion that lies in it wholly.
    pred = line((5, 12), (27, 30), (36, 40))
    found = detection.anima(pred, truth, VOXEL)
    assert list(found.true_volumes) == [10, 10]
    assert list(found.detected) == [True, True]
    assert list(found.confirmed) == [True, True, False]
    assert found.f1 == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    assert found.count_difference == 1


def test_anima_needs_more_than_a_tenth():
    assert list(detection.anima(line((9, 10)), line((0, 10)), VOXEL).detected) == [False]
    assert list(detection.anima(line((8, 10)), line((0, 10)), VOXEL).detected) == [True]
    # A tenth of 70 is 7, and 0.1 * 70 more than that in floating point.
    truth = line((0, 70), length=80)
    assert list(detection.anima(line((63, 70), length=80), truth, VOXEL).detected) == [False]
    assert list(detection.anima(line((62, 70), length=80), truth, VOXEL).detected) == [True]


def test_anima_refuses_partners_that_lie_outside():
    truth = line((0, 10))
    assert list(detection.anima(line((7, 17)), truth, VOXEL).detected) == [True]  # 7 of 10 outside
    assert list(detection.anima(line((7, 18)), truth, VOXEL).detected) == [False]  # 8 of 11 outside
    assert list(detection.anima(line((10, 12)), truth, VOXEL).detected) == [False]


def test_anima_looks_at_the_partners_that_make_up_the_overlap():
    truth = line((0, 20))
    # 14 of 16 shared voxels come from a lesion wholly inside; the other lies mostly outside.
    pred = line((0, 14), (18, 30))
    assert list(detection.anima(pred, truth, VOXEL).detected) == [True]


def test_anima_leaves_out_lesions_of_3_mm3_and_connects_by_faces():
    """Three voxels of 1 mm3 are dropped, four are kept; lesions that touch by a corner are two."""
    found = detection.anima(line((0, 3), (10, 14)), line((0, 4), (10, 13)), 1.0)
    assert list(found.true_volumes) == [4] and list(found.predicted_volumes) == [4]
    assert list(found.detected) == [False], "the prediction that covers it is too small to count"
    assert len(detection.anima(line((0, 3)), line((0, 3)), 1.01).detected) == 1
    corner = np.zeros((6, 6, 6), bool)
    corner[:2, :2, :2] = corner[2:4, 2:4, 2:4] = True
    assert len(detection.anima(corner, corner, VOXEL).detected) == 2


def detected_by_anima(reference, test, voxel_mm3):
    """Whether each reference lesion is detected: Anima's definition, voxel by voxel."""
    kept = []
    for mask in (reference, test):
        numbered = labels(mask)
        large = [n for n in range(1, numbered.max() + 1) if (numbered == n).sum() * voxel_mm3 > 3]
        kept.append([numbered == n for n in large])
    references, tests = kept
    anywhere = np.any(references, axis=0) if references else np.zeros_like(reference)
    flags = []
    for lesion in references:
        partners = sorted(((lesion & other).sum(), i) for i, other in enumerate(tests))[::-1]
        total = sum(shared for shared, _ in partners)
        flag, reached = total / lesion.sum() > 0.1, 0
        for shared, i in partners if flag else ():
            if (tests[i] & ~anywhere).sum() / tests[i].sum() > 0.7:
                flag = False
                break
            reached += shared
            if reached / total >= 0.65:
                break
        flags.append(flag)
    return flags


@pytest.mark.parametrize("seed", range(50))
def test_anima_voxel_by_voxel(seed):
    pred, truth = random_masks(seed)
    found = detection.anima(pred, truth, 1.5)
    assert list(found.detected) == detected_by_anima(truth, pred, 1.5)
    assert list(found.confirmed) == detected_by_anima(pred, truth, 1.5)


def test_the_plain_rule_by_hand():
    """At least a tenth of the lesion, whatever lies outside of it; a tenth of 70 is 7."""
    assert list(
        detection.overlap_10percent(line((63, 75), length=80), line((0, 70), length=80)).detected
    ) == [True]
    assert list(
        detection.overlap_10percent(line((64, 75), length=80), line((0, 70), length=80)).detected
    ) == [False]
    found = detection.overlap_10percent(line((9, 19), (30, 41)), line((0, 10), (40, 45), length=50))
    assert list(found.detected) == [True, True] and list(found.confirmed) == [True, False]
    assert found.f1 == pytest.approx(2 * 1 * 0.5 / 1.5)


@pytest.mark.parametrize("seed", range(20))
def test_the_plain_rule_voxel_by_voxel(seed):
    pred, truth = random_masks(seed)
    found = detection.overlap_10percent(pred, truth)
    for mask, other, flags in ((truth, pred, found.detected), (pred, truth, found.confirmed)):
        numbered = labels(mask)
        expected = [other[numbered == n].mean() >= 0.1 for n in range(1, numbered.max() + 1)]
        assert list(flags) == expected


def test_matches_by_hand():
    """A prediction over two lesions matches one of them; intersection over union 3 of 7."""
    truth, pred = line((2, 5), (6, 9)), line((2, 9))
    found = detection.match(pred, truth)
    assert list(found.detected) == [True, False] and list(found.confirmed) == [True]
    assert found.f1 == pytest.approx(1 / (1 + 0.5)) and list(found.ious) == [pytest.approx(3 / 7)]
    assert found.panoptic_quality == pytest.approx(2 / 3 * 3 / 7)
    # The same the other way round: the second prediction is a false positive.
    assert detection.match(truth, pred).f1 == pytest.approx(2 / 3)


def test_the_threshold_of_matches_is_on_the_intersection_over_union():
    """4 shared voxels of 16 make a quarter, 3 of 17 with a Dice of 0.3 less."""
    assert detection.match(line((6, 16)), line((0, 10))).f1 == 1
    assert detection.match(line((7, 17)), line((0, 10))).f1 == 0


@pytest.mark.parametrize("seed", range(50))
def test_matches_against_counting_of_panoptica(seed):
    """Panoptica goes through the overlapping pairs from the largest intersection over union down, and
    counts TP / (TP + FP / 2 + FN / 2); 26-connected components as in ISLES'26."""
    pred, truth = random_masks(seed)
    rows, columns = labels(truth, 26), labels(pred, 26)
    pairs = []
    for i in range(1, rows.max() + 1):
        for j in np.unique(columns[rows == i]):
            if j:
                one, other = rows == i, columns == j
                pairs.append(((one & other).sum() / (one | other).sum(), i, j))
    used_rows, used_columns, ious = set(), set(), []
    for iou, i, j in sorted(pairs, key=lambda pair: -pair[0]):
        if iou >= 0.25 and i not in used_rows and j not in used_columns:
            used_rows.add(i), used_columns.add(j), ious.append(iou)
    tp, fp, fn = len(ious), columns.max() - len(ious), rows.max() - len(ious)
    found = detection.match(pred, truth)
    assert found.f1 == pytest.approx(tp / (tp + fp / 2 + fn / 2))
    expected = found.f1 * np.mean(ious) if ious else 0
    assert found.panoptic_quality == pytest.approx(expected)


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


def test_empty_masks():
    empty, lesion = line(), line((3, 8))
    for pred, truth, expected in (
        (empty, empty, 1),
        (empty, lesion, 0),
        (lesion, empty, 0),
        (lesion, lesion, 1),
    ):
        found, panoptic_quality = detection.detect(pred, truth, VOXEL)
        assert {name: one.f1 for name, one in found.items()} == dict.fromkeys(found, expected)
        assert panoptic_quality == expected


def test_table_has_every_lesion_once():
    detected = detection.isles(line((0, 4)), line((2, 6), (20, 30)))
    table = pd.DataFrame(detected.lesions(voxel_mm3=500))
    assert list(table["mask"]) == ["truth", "truth", "prediction"]
    assert list(table.volume_ml) == [2, 5, 2]
    assert list(table.detected) == [True, False, True]
