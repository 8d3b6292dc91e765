"""Lesion-wise detection, compared with manual results and the counting of the challenges."""

import cc3d
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from bids_stroke.evaluation import detection

#: Voxel volume (mm3) at which no lesion is below the smallest size.
VOXEL = 8.0


def line(*runs, length=50):
    """Mask (length, 1, 1) with a lesion at each run of voxels."""
    mask = np.zeros((length, 1, 1), bool)
    for start, stop in runs:
        mask[start:stop] = True
    return mask


def random_masks(seed):
    """Two random masks that overlap partly."""
    rng = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(rng.standard_normal((2, 24, 26, 22)), (0, 1.5, 1.5, 1.5))
    fields[1] = 0.6 * fields[0] + 0.8 * fields[1]
    return fields > np.quantile(fields, rng.uniform(0.8, 0.97))


def labels(mask, neighbors=6):
    """Label the components of a mask with cc3d."""
    return cc3d.connected_components(mask, connectivity=neighbors)


def test_anima_by_hand():
    truth = line((0, 10), (20, 30))
    # 0-10: half covered. 20-30: three of ten voxels, by a lesion that lies completely inside.
    pred = line((5, 12), (27, 30), (36, 40))
    result = detection.anima(pred, truth, VOXEL)
    assert list(result.true_volumes) == [10, 10]
    assert list(result.detected) == [True, True]
    assert list(result.confirmed) == [True, True, False]
    assert result.f1 == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    assert result.count_difference == 1


def test_anima_requires_more_than_a_tenth():
    assert list(detection.anima(line((9, 10)), line((0, 10)), VOXEL).detected) == [False]
    assert list(detection.anima(line((8, 10)), line((0, 10)), VOXEL).detected) == [True]
    # A tenth of 70 is 7; in floating point, 0.1 * 70 is larger.
    truth = line((0, 70), length=80)
    assert list(detection.anima(line((63, 70), length=80), truth, VOXEL).detected) == [False]
    assert list(detection.anima(line((62, 70), length=80), truth, VOXEL).detected) == [True]


def test_anima_rejects_overlapping_lesions_that_lie_outside():
    truth = line((0, 10))
    assert list(detection.anima(line((7, 17)), truth, VOXEL).detected) == [True]  # 7 of 10 outside
    assert list(detection.anima(line((7, 18)), truth, VOXEL).detected) == [False]  # 8 of 11 outside
    assert list(detection.anima(line((10, 12)), truth, VOXEL).detected) == [False]


def test_anima_checks_the_lesions_that_make_up_the_overlap():
    truth = line((0, 20))
    # 14 of 16 shared voxels belong to a lesion completely inside; the other lesion is mostly outside.
    pred = line((0, 14), (18, 30))
    assert list(detection.anima(pred, truth, VOXEL).detected) == [True]


def test_anima_ignores_lesions_of_3_mm3_and_uses_6_connectivity():
    """Lesions of three 1 mm3 voxels are ignored, of four are used; a shared corner does not connect."""
    result = detection.anima(line((0, 3), (10, 14)), line((0, 4), (10, 13)), 1.0)
    assert list(result.true_volumes) == [4] and list(result.predicted_volumes) == [4]
    assert list(result.detected) == [False], "the overlapping prediction is too small"
    assert len(detection.anima(line((0, 3)), line((0, 3)), 1.01).detected) == 1
    corner = np.zeros((6, 6, 6), bool)
    corner[:2, :2, :2] = corner[2:4, 2:4, 2:4] = True
    assert len(detection.anima(corner, corner, VOXEL).detected) == 2


def detected_by_anima(reference, test, voxel_mm3):
    """Check whether each reference lesion is detected, by Anima's definition, voxel by voxel."""
    lesions = []
    for mask in (reference, test):
        numbered = labels(mask)
        large = [n for n in range(1, numbered.max() + 1) if (numbered == n).sum() * voxel_mm3 > 3]
        lesions.append([numbered == n for n in large])
    references, tests = lesions
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
    result = detection.anima(pred, truth, 1.5)
    assert list(result.detected) == detected_by_anima(truth, pred, 1.5)
    assert list(result.confirmed) == detected_by_anima(pred, truth, 1.5)


def test_overlap_10percent_by_hand():
    """At least a tenth of the lesion overlaps; a tenth of 70 is 7."""
    assert list(
        detection.overlap_10percent(line((63, 75), length=80), line((0, 70), length=80)).detected
    ) == [True]
    assert list(
        detection.overlap_10percent(line((64, 75), length=80), line((0, 70), length=80)).detected
    ) == [False]
    result = detection.overlap_10percent(line((9, 19), (30, 41)), line((0, 10), (40, 45), length=50))
    assert list(result.detected) == [True, True] and list(result.confirmed) == [True, False]
    assert result.f1 == pytest.approx(2 * 1 * 0.5 / 1.5)


@pytest.mark.parametrize("seed", range(20))
def test_overlap_10percent_voxel_by_voxel(seed):
    pred, truth = random_masks(seed)
    result = detection.overlap_10percent(pred, truth)
    for mask, other, flags in ((truth, pred, result.detected), (pred, truth, result.confirmed)):
        numbered = labels(mask)
        expected = [other[numbered == n].mean() >= 0.1 for n in range(1, numbered.max() + 1)]
        assert list(flags) == expected


def test_matches_by_hand():
    """A prediction that covers two lesions matches one of them; intersection over union 3 of 7."""
    truth, pred = line((2, 5), (6, 9)), line((2, 9))
    result = detection.match(pred, truth)
    assert list(result.detected) == [True, False] and list(result.confirmed) == [True]
    assert result.f1 == pytest.approx(1 / (1 + 0.5)) and list(result.ious) == [pytest.approx(3 / 7)]
    assert result.panoptic_quality == pytest.approx(2 / 3 * 3 / 7)
    # With truth and prediction swapped, the second prediction is a false positive.
    assert detection.match(truth, pred).f1 == pytest.approx(2 / 3)


def test_matches_have_a_minimum_intersection_over_union():
    """4 shared voxels of 16 are a quarter; 3 of 17 are less, although the Dice coefficient is 0.3."""
    assert detection.match(line((6, 16)), line((0, 10))).f1 == 1
    assert detection.match(line((7, 17)), line((0, 10))).f1 == 0


@pytest.mark.parametrize("seed", range(50))
def test_matches_against_counting_of_panoptica(seed):
    """Panoptica matches overlapping pairs by decreasing intersection over union and computes
    TP / (TP + FP / 2 + FN / 2); 26-connected components as in ISLES'26."""
    pred, truth = random_masks(seed)
    rows, columns = labels(truth, 26), labels(pred, 26)
    pairs = []
    for i in range(1, rows.max() + 1):
        for j in np.unique(columns[rows == i]):
            if j:
                true, predicted = rows == i, columns == j
                pairs.append(((true & predicted).sum() / (true | predicted).sum(), i, j))
    used_rows, used_columns, ious = set(), set(), []
    for iou, i, j in sorted(pairs, key=lambda pair: -pair[0]):
        if iou >= 0.25 and i not in used_rows and j not in used_columns:
            used_rows.add(i), used_columns.add(j), ious.append(iou)
    tp, fp, fn = len(ious), columns.max() - len(ious), rows.max() - len(ious)
    result = detection.match(pred, truth)
    assert result.f1 == pytest.approx(tp / (tp + fp / 2 + fn / 2))
    expected = result.f1 * np.mean(ious) if ious else 0
    assert result.panoptic_quality == pytest.approx(expected)


def test_touching_by_hand():
    truth, pred = line((0, 10), (20, 30)), line((9, 20), (35, 36))
    result = detection.isles(pred, truth)
    assert list(result.detected) == [True, False]
    assert list(result.confirmed) == [True, False]
    assert result.f1 == 0.5


def test_a_shared_corner_connects_for_isles_only():
    truth = np.zeros((4, 4, 4), bool)
    truth[1, 1, 1] = truth[2, 2, 2] = True
    assert len(detection.isles(truth, truth).detected) == 1
    assert len(detection.atlas(truth, truth).detected) == 2


@pytest.mark.parametrize("seed", range(50))
def test_against_the_challenges_counting(seed):
    """ISLES counts lesions with cc3d, ATLAS with scipy's default connectivity."""
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
        result = definition(pred, truth)
        assert result.detected.sum() == tp and (~result.detected).sum() == fn
        assert (~result.confirmed).sum() == fp


def test_empty_masks():
    empty, lesion = line(), line((3, 8))
    for pred, truth, expected in (
        (empty, empty, 1),
        (empty, lesion, 0),
        (lesion, empty, 0),
        (lesion, lesion, 1),
    ):
        result, panoptic_quality = detection.detect(pred, truth, VOXEL)
        assert {name: detected.f1 for name, detected in result.items()} == dict.fromkeys(
            result, expected
        )
        assert panoptic_quality == expected


def test_table_has_every_lesion_once():
    detected = detection.isles(line((0, 4)), line((2, 6), (20, 30)))
    table = pd.DataFrame(detected.lesions(voxel_mm3=500))
    assert list(table["mask"]) == ["truth", "truth", "prediction"]
    assert list(table.volume_ml) == [2, 5, 2]
    assert list(table.detected) == [True, False, True]
