"""Lesion detection, by published definitions.

F1 is ``2 S P / (S + P)``, with S the share of true lesions that were detected and P the share of
predicted lesions that are true.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .lesions import CORNERS, FACES, Overlaps, find_overlaps

#: Parameters of Anima (Commowick et al., Sci Rep 2018): a lesion is larger than SMALLEST_MM3 (mm³); it
#: overlaps by more than the share ALPHA; its overlapping lesions lie outside by at most the share BETA,
#: and the checked ones make up at least the share GAMMA of the overlap.
ALPHA, BETA, GAMMA, SMALLEST_MM3 = 0.1, 0.7, 0.65, 3.0
#: Smallest share of a lesion that overlaps, for ``f1_10percent`` (Meddahi et al. 2024).
MIN_OVERLAP = 0.1
#: Smallest intersection over union of a matched pair (ISLES'26).
MIN_IOU = 0.25


class Lesion(NamedTuple):
    """A lesion of a mask (``truth`` or ``prediction``): its number, its volume (ml), and whether the
    other mask has a matching lesion."""

    mask: str
    lesion: int
    volume_ml: float
    detected: bool


@dataclass(frozen=True)
class Detection:
    """Lesions of the truth and of the prediction, and whether each has a matching lesion.

    ``true_volumes`` and ``predicted_volumes`` are in voxels. ``detected`` and ``confirmed`` are the
    flags of true and of predicted lesions, in the same order.
    """

    true_volumes: NDArray[np.int_]
    detected: NDArray[np.bool_]
    predicted_volumes: NDArray[np.int_]
    confirmed: NDArray[np.bool_]

    @property
    def f1(self) -> float:
        """Lesion-wise F1; 1 if neither mask has a lesion, 0 if only one mask has lesions."""
        if not len(self.detected) and not len(self.confirmed):
            return 1.0
        if not len(self.detected) or not len(self.confirmed):
            return 0.0
        sensitivity, precision = self.detected.mean(), self.confirmed.mean()
        total = sensitivity + precision
        return float(2 * sensitivity * precision / total) if total else 0.0

    @property
    def count_difference(self) -> int:
        """Predicted minus true number of lesions."""
        return len(self.confirmed) - len(self.detected)

    def lesions(self, voxel_mm3: float) -> list[Lesion]:
        """List all lesions, those of the truth first; ``voxel_mm3`` is the voxel volume (mm³)."""
        sides = (
            ("truth", self.true_volumes, self.detected),
            ("prediction", self.predicted_volumes, self.confirmed),
        )
        return [
            Lesion(mask, number, float(volume) * voxel_mm3 / 1000, bool(flag))
            for mask, volumes, flags in sides
            for number, (volume, flag) in enumerate(zip(volumes, flags, strict=True), 1)
        ]


@dataclass(frozen=True)
class Matching(Detection):
    """Detection by one-to-one matches; ``ious`` holds the intersection over union of each pair."""

    ious: NDArray[np.float64]

    @property
    def panoptic_quality(self) -> float:
        """Recognition quality (F1) times the mean intersection over union of the pairs; 1 if neither
        mask has a lesion (Kirillov et al., CVPR 2019)."""
        return self.f1 * float(self.ious.mean()) if len(self.ious) else self.f1


class Detections(NamedTuple):
    """Detection by the name of each definition, and the panoptic quality of ``rq``."""

    by_definition: dict[str, Detection]
    panoptic_quality: float


def detect(pred: ArrayLike, truth: ArrayLike, voxel_mm3: float) -> Detections:
    """Detect the lesions of two masks by each definition.

    The functions for single definitions have the same arguments and errors.

    Parameters
    ----------
    pred, truth : array-like, (x, y, z)
        Masks on the same grid (non-zero is lesion).
    voxel_mm3 : float
        Voxel volume (mm³).

    Raises
    ------
    ImageError
        If the masks differ in shape.
    """
    by_face, by_corner = (find_overlaps(pred, truth, neighbors) for neighbors in (FACES, CORNERS))
    matching = _match(by_corner)
    by_definition = {
        "f1_anima": _anima(by_face, voxel_mm3),
        "f1_10percent": _overlap_10percent(by_face),
        "f1_atlas": _touching(by_face),
        "f1_isles": _touching(by_corner),
        "rq": matching,
    }
    return Detections(by_definition, matching.panoptic_quality)


def anima(pred: ArrayLike, truth: ArrayLike, voxel_mm3: float) -> Detection:
    """Detect lesions as animaSegPerfAnalyzer does (``f1_anima``; Commowick et al., Sci Rep 2018).

    Lesions are 6-connected; lesions of at most :data:`SMALLEST_MM3` are ignored. A lesion is detected
    if more than :data:`ALPHA` of it overlaps with lesions of the other mask, and if each of these has
    at most :data:`BETA` of its volume outside the mask. The overlapping lesions are checked in order of
    decreasing overlap until they make up :data:`GAMMA` of the overlap. Anima limits the number of
    checked lesions to the number of lesions in the mask plus one; the publication and this function
    have no such limit.
    """
    return _anima(find_overlaps(pred, truth, FACES), voxel_mm3)


def overlap_10percent(pred: ArrayLike, truth: ArrayLike) -> Detection:
    """Detect 6-connected lesions that overlap with the other mask by at least :data:`MIN_OVERLAP`
    (``f1_10percent``; as described by Meddahi et al. 2024)."""
    return _overlap_10percent(find_overlaps(pred, truth, FACES))


def atlas(pred: ArrayLike, truth: ArrayLike) -> Detection:
    """Detect 6-connected lesions that share a voxel (``f1_atlas``; ATLAS v2.0 challenge).

    >>> truth = np.array([1, 1, 0, 0, 1, 0]).reshape(-1, 1, 1)  # two lesions
    >>> detection = atlas([[[1]], [[0]], [[0]], [[0]], [[0]], [[0]]], truth)
    >>> detection.detected.tolist(), detection.confirmed.tolist()
    ([True, False], [True])
    >>> round(detection.f1, 2), detection.count_difference
    (0.67, -1)
    """
    return _touching(find_overlaps(pred, truth, FACES))


def isles(pred: ArrayLike, truth: ArrayLike) -> Detection:
    """Detect 26-connected lesions that share a voxel (``f1_isles``; ISLES 2022)."""
    return _touching(find_overlaps(pred, truth, CORNERS))


def match(pred: ArrayLike, truth: ArrayLike) -> Matching:
    """Match 26-connected lesions one to one (``rq``; ISLES'26, panoptica).

    Pairs of a true and a predicted lesion are matched in order of decreasing intersection over union,
    down to :data:`MIN_IOU`; each lesion has at most one match.

    Examples
    --------
    >>> truth, pred = np.zeros((2, 6, 1, 1))
    >>> truth[0:4], pred[1:4] = 1, 1
    >>> matching = match(pred, truth)
    >>> matching.f1, matching.panoptic_quality  # three of four voxels are shared
    (1.0, 0.75)
    """
    return _match(find_overlaps(pred, truth, CORNERS))


def _touching(overlaps: Overlaps) -> Detection:
    shares = overlaps.shared[1:, 1:] > 0
    return Detection(
        overlaps.true_volumes,
        np.asarray(shares.any(axis=1)),
        overlaps.predicted_volumes,
        np.asarray(shares.any(axis=0)),
    )


def _overlap_10percent(overlaps: Overlaps) -> Detection:
    shared = overlaps.shared[1:, 1:]
    true, predicted = overlaps.true_volumes, overlaps.predicted_volumes
    return Detection(
        true, shared.sum(1) / true >= MIN_OVERLAP, predicted, shared.sum(0) / predicted >= MIN_OVERLAP
    )


def _match(overlaps: Overlaps) -> Matching:
    shared = overlaps.shared[1:, 1:]
    true, predicted = overlaps.true_volumes, overlaps.predicted_volumes
    ious = shared / np.maximum(true[:, None] + predicted - shared, 1)
    detected, confirmed = np.zeros(len(true), bool), np.zeros(len(predicted), bool)
    matched = []
    for index in np.argsort(-ious, axis=None, kind="stable"):
        row, column = np.unravel_index(index, ious.shape)
        if ious[row, column] < MIN_IOU:
            break
        if not detected[row] and not confirmed[column]:
            detected[row] = confirmed[column] = True
            matched.append(ious[row, column])
    return Matching(true, detected, predicted, confirmed, np.array(matched))


def _anima(overlaps: Overlaps, voxel_mm3: float) -> Detection:
    large = overlaps.larger_than(round(SMALLEST_MM3 / voxel_mm3, 6))
    return Detection(
        large.true_volumes,
        _detected_by_anima(large),
        large.predicted_volumes,
        _detected_by_anima(large.transposed()),
    )


def _detected_by_anima(overlaps: Overlaps) -> NDArray[np.bool_]:
    """Check for each true lesion whether it is detected."""
    rows = range(1, len(overlaps.shared))
    return np.array([_is_detected_by_anima(overlaps.shared, row) for row in rows], bool)


def _is_detected_by_anima(shared: NDArray[np.int_], row: int) -> bool:
    """Check whether the lesion of a row is detected by the lesions of the columns."""
    overlap = shared[row, 1:]
    total = overlap.sum()
    if total / shared[row].sum() <= ALPHA:
        return False
    reached = 0
    for column in np.argsort(-overlap, kind="stable") + 1:
        if shared[0, column] / shared[:, column].sum() > BETA:
            return False
        reached += shared[row, column]
        if reached / total >= GAMMA:
            break
    return True
