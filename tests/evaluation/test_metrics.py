import numpy as np
import pytest
import surface_distance
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
)
from scipy import ndimage
from sklearn.metrics import (
    accuracy_score,
    auc,
    confusion_matrix,
    f1_score,
    jaccard_score,
    precision_recall_curve,
    precision_score,
    recall_score,
)

from bids_stroke.errors import ImageError
from bids_stroke.evaluation import metrics

SCORES = ("dice", "jaccard", "precision", "sensitivity")


def test_by_hand():
    truth = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    pred = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0])
    assert metrics.confusion(pred, truth) == (3, 2, 1, 4)
    assert metrics.dice(pred, truth) == 6 / 9
    assert metrics.confusion(pred, truth).jaccard == 3 / 6
    assert metrics.confusion(pred, truth).precision == 3 / 5
    assert metrics.confusion(pred, truth).sensitivity == 3 / 4
    # Five predicted and four true voxels of 500 mm³.
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
        assert metrics.confusion(pred, truth).jaccard == pytest.approx(jaccard_score(*flat))
        assert metrics.confusion(pred, truth).precision == pytest.approx(precision_score(*flat))
        assert metrics.confusion(pred, truth).sensitivity == pytest.approx(recall_score(*flat))
        specificity = recall_score(*flat, pos_label=0)
        assert metrics.confusion(pred, truth).specificity == pytest.approx(specificity)
        assert metrics.confusion(pred, truth).accuracy == pytest.approx(accuracy_score(*flat))
        batches = (torch.from_numpy(mask.astype(np.float32))[None, None] for mask in (pred, truth))
        assert metrics.dice(pred, truth) == pytest.approx(compute_dice(*batches).item(), rel=1e-6)


def blobs(seed, shape=(24, 26, 22)):
    """Prediction and truth: random masks that overlap partly."""
    rng = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(rng.standard_normal((2, *shape)), (0, 1.5, 1.5, 1.5))
    fields[1] = 0.6 * fields[0] + 0.8 * fields[1]
    return fields > np.quantile(fields, rng.uniform(0.8, 0.97))


@pytest.mark.parametrize("seed", range(50))
def test_surface_distances_against_monai(seed):
    pred, truth = blobs(seed)
    spacing = np.random.default_rng(seed).uniform(0.5, 4, 3)
    batches = [torch.from_numpy(mask)[None, None].float() for mask in (pred, truth)]
    result = metrics.surface_distances(pred, truth, spacing)
    options = {"include_background": True, "spacing": list(spacing)}
    hd, hd95 = (
        compute_hausdorff_distance(*batches, percentile=share, **options).item() for share in (100, 95)
    )
    forward = compute_average_surface_distance(*batches, **options).item()
    backward = compute_average_surface_distance(*batches[::-1], **options).item()
    n, m = (len(metrics.surface(mask)) for mask in (pred, truth))
    pooled = (n * forward + m * backward) / (n + m)
    assert result == pytest.approx((hd, hd95, (forward + backward) / 2, pooled), rel=1e-5)


def test_surface_distances_of_half_a_sphere():
    """The prediction is half of a sphere of 12 mm: most of its surface is also that of the truth, but
    half of the true surface is missed."""
    world = np.indices((27, 27, 27)) - 13
    truth = (world**2).sum(0) <= 144
    pred = truth & (world[0] < 0)
    result = metrics.surface_distances(pred, truth, (1, 1, 1))
    points = [np.argwhere(mask & ~ndimage.binary_erosion(mask)).astype(float) for mask in (pred, truth)]
    distances = np.linalg.norm(points[0][:, None] - points[1], axis=-1)
    to_truth, to_pred = distances.min(1), distances.min(0)
    assert to_truth.mean() == pytest.approx(1.41, abs=0.005), "of the prediction alone"
    assert result.asd_pooled == pytest.approx((to_truth.sum() + to_pred.sum()) / sum(distances.shape))
    assert result.asd_pooled == pytest.approx(2.545, abs=0.001)
    assert result.assd == pytest.approx((to_truth.mean() + to_pred.mean()) / 2)
    assert result.assd == pytest.approx(2.40, abs=0.005)
    assert metrics.surface_distances(truth, pred, (1, 1, 1)) == pytest.approx(result)


@pytest.mark.parametrize("seed", range(10))
def test_surface_distances_approximate_those_of_surface_elements(seed):
    """DeepMind's surface-distance uses surface elements, up to half a voxel diagonal from the voxel
    centers used here and by MONAI."""
    pred, truth = blobs(seed)
    spacing = np.random.default_rng(seed).uniform(0.5, 2, 3)
    distances = surface_distance.compute_surface_distances(truth, pred, spacing)
    result = metrics.surface_distances(pred, truth, spacing)
    expected = surface_distance.compute_robust_hausdorff(distances, 100)
    assert result.hd == pytest.approx(expected, abs=np.linalg.norm(spacing))
    both = surface_distance.compute_average_surface_distance(distances)
    assert result.assd == pytest.approx(np.mean(both), abs=np.linalg.norm(spacing) / 2)


def test_surface_distances_by_hand():
    pred, truth = np.zeros((2, 20, 5, 5))
    pred[3, 2, 2] = truth[10, 2, 2] = 1
    assert metrics.surface_distances(pred, truth, (2, 1, 1)) == (14, 14, 14, 14)
    assert metrics.surface_distances(pred, pred, (2, 1, 1)) == (0, 0, 0, 0)
    assert metrics.surface_distances(pred * 0, pred * 0, (2, 1, 1)) == (0, 0, 0, 0)
    assert np.isnan(metrics.surface_distances(pred, truth * 0, (2, 1, 1))).all()


def test_surface_is_the_outer_layer_and_reaches_the_edge_of_the_image():
    mask = np.zeros((9, 9, 9))
    mask[2:7, 2:7, 2:7] = 1
    assert len(metrics.surface(mask)) == 5**3 - 3**3
    assert len(metrics.surface(np.ones((4, 4, 4)))) == 4**3 - 2**3


def test_max_dice_is_the_best_over_thresholds():
    rng = np.random.default_rng(6)
    truth = rng.random((9, 9, 9)) < 0.2
    probability = np.clip(0.4 * truth + rng.random(truth.shape) * 0.6, 0, 1)
    score, threshold = metrics.max_dice(probability, truth)
    tried = {t: metrics.dice(probability >= t, truth) for t in np.arange(1, 100) / 100}
    assert score == pytest.approx(max(tried.values()))
    assert tried[threshold] == pytest.approx(score)
    assert metrics.max_dice(probability * 0, truth * 0)[0] == 1


def test_precision_recall_area_against_sklearn():
    """With trapezoids, for maps with many equal values, few values, and a single value."""
    rng = np.random.default_rng(8)
    truth = rng.random((9, 9, 9)) < 0.1
    for probability in (
        np.where(
            rng.random(truth.shape) < 0.5, 0, np.clip(0.3 * truth + rng.random(truth.shape), 0, 1)
        ),
        np.round(0.5 * truth + rng.random(truth.shape) / 2, 1),
        truth.astype(float),
        np.full(truth.shape, 0.3),
    ):
        precision, recall, _ = precision_recall_curve(truth.ravel(), probability.ravel())
        result = metrics.precision_recall_area(probability.astype(np.float32), truth)
        assert result == pytest.approx(auc(recall, precision))
    assert metrics.precision_recall_area(truth, truth) == 1
    assert np.isnan(metrics.precision_recall_area(truth, truth * 0))


def test_micro_dice_pools_voxels():
    pairs = [blobs(seed) for seed in range(5)]
    pooled = metrics.dice(*(np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1)))
    assert metrics.micro_dice(metrics.confusion(*pair) for pair in pairs) == pytest.approx(pooled)


def test_relative_errors():
    truth, pred = np.zeros((2, 10))
    truth[:4], pred[:5] = 1, 1
    assert metrics.confusion(pred, truth).relative_volume_difference == 25
    assert np.isnan(metrics.confusion(pred, truth * 0).relative_volume_difference)
    assert metrics.relative_error(3.0, 4.0) == 25
    assert np.isnan(metrics.relative_error(3.0, 0.0))


@pytest.mark.parametrize("score", SCORES)
def test_empty_masks(score):
    masks = {"empty": np.zeros((4, 4, 4)), "full": np.ones((4, 4, 4))}
    result = {
        (p, t): getattr(metrics.confusion(masks[p], masks[t]), score) for p in masks for t in masks
    }
    assert result["empty", "empty"] == 1
    assert result["full", "full"] == 1
    assert result["empty", "full"] == result["full", "empty"] == 0


def test_specificity_and_accuracy_of_empty_masks():
    empty = metrics.confusion(np.zeros((4, 4, 4)), np.zeros((4, 4, 4)))
    assert empty.specificity == empty.accuracy == 1


def test_masks_of_any_type():
    truth = np.array([0, 255, 255, 0], np.uint8)
    pred = np.array([0.0, 1.0, 0.0, 0.0])
    assert metrics.confusion(pred, truth) == (1, 0, 1, 2)


def test_different_shapes_are_rejected():
    with pytest.raises(ImageError, match="shape"):
        metrics.dice(np.ones((2, 1)), np.ones((2, 2)))
