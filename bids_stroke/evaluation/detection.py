"""Detection of lesions, by three published definitions.

A lesion is a connected component of a mask. F1 is ``2 S P / (S + P)`` with S the share of true
lesions that were detected and P the share of predicted lesions that are true.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from bids_stroke.errors import ImageError
from bids_stroke.spatial.grid import bounding_box

#: Share of a lesion that must overlap, largest share of a partner outside of it, and the share of
#: the overlap that its partners must make up (Commowick et al., Sci Rep 2018).
ALPHA, BETA, GAMMA = 0.1, 0.7, 0.65
FACES, CORNERS = 6, 26


class Lesion(NamedTuple):
    """A lesion of a mask, ``truth`` or ``prediction``; its number, volume (ml), and whether the other
    mask has its counterpart."""

    mask: str
    lesion: int
    volume_ml: float
    detected: bool


@dataclass(frozen=True)
class Detection:
    """Lesions of the truth and of the prediction, and whether each one has its counterpart.

    ``true_volumes`` and ``predicted_volumes`` are in voxels, the flags in the same order.
    """

    true_volumes: NDArray[np.int_]
    detected: NDArray[np.bool_]
    predicted_volumes: NDArray[np.int_]
    confirmed: NDArray[np.bool_]

    @property
    def f1(self) -> float:
        """Lesion-wise F1; 1 where neither mask has a lesion, 0 where only one has."""
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
        """Every lesion, those of the truth first; ``voxel_mm3`` is the volume of a voxel in mm³."""
        sides = (("truth", self.true_volumes, self.detected),
                 ("prediction", self.predicted_volumes, self.confirmed))  # fmt: skip
        return [
            Lesion(mask, number, float(volume) * voxel_mm3 / 1000, bool(flag))
            for mask, volumes, flags in sides
            for number, (volume, flag) in enumerate(zip(volumes, flags, strict=True), 1)
        ]


def anima(pred: ArrayLike, truth: ArrayLike) -> Detection:
    """Detection by overlap (``f1_anima``; Commowick et al., Sci Rep 2018; 26-connected).

    A lesion is detected if at least :data:`bids_stroke.evaluation.detection.ALPHA` of it overlaps with
    lesions of the other mask, and if these, the largest overlaps first and until they make up
    :data:`bids_stroke.evaluation.detection.GAMMA` of the overlap, each have at most
    :data:`bids_stroke.evaluation.detection.BETA` of their volume outside of the mask.
    """
    overlap = _overlaps(pred, truth, CORNERS)
    return Detection(
        overlap.sum(1)[1:],
        np.array([_covered(overlap, row) for row in range(1, len(overlap))], bool),
        overlap.sum(0)[1:],
        np.array([_covered(overlap.T, row) for row in range(1, overlap.shape[1])], bool),
    )


def atlas(pred: ArrayLike, truth: ArrayLike) -> Detection:
    """Detection by one shared voxel, lesions 6-connected (``f1_atlas``; ATLAS v2.0 challenge)."""
    return _touching(pred, truth, FACES)


def isles(pred: ArrayLike, truth: ArrayLike) -> Detection:
    """Detection by one shared voxel, lesions 26-connected (``f1_isles``; ISLES 2022)."""
    return _touching(pred, truth, CORNERS)


DEFINITIONS = {"f1_anima": anima, "f1_atlas": atlas, "f1_isles": isles}


def _touching(pred: ArrayLike, truth: ArrayLike, neighbours: int) -> Detection:
    """Detection by one shared voxel."""
    overlap = _overlaps(pred, truth, neighbours)
    return Detection(
        overlap.sum(1)[1:],
        np.count_nonzero(overlap[1:, 1:], axis=1) > 0,
        overlap.sum(0)[1:],
        np.count_nonzero(overlap[1:, 1:], axis=0) > 0,
    )


def _overlaps(pred: ArrayLike, truth: ArrayLike, neighbours: int) -> NDArray[np.int_]:
    """Voxels that true lesion i (rows) and predicted lesion j (columns) share; 0 is outside."""
    pred, truth = np.asarray(pred) > 0, np.asarray(truth) > 0
    if pred.shape != truth.shape:
        raise ImageError(
            f"The predicted mask has shape {pred.shape} but the true one {truth.shape}; "
            "resample one onto the grid of the other."
        )
    either = pred | truth
    if not either.any():
        return np.zeros((1, 1), int)
    box = bounding_box(either)
    structure = ndimage.generate_binary_structure(truth.ndim, 1 if neighbours == FACES else truth.ndim)
    rows, n = ndimage.label(truth[box], structure)
    columns, m = ndimage.label(pred[box], structure)
    table = np.bincount((rows * (m + 1) + columns).ravel(), minlength=(n + 1) * (m + 1))
    table = table.reshape(n + 1, m + 1)
    table[0, 0] = 0
    return table


def _covered(overlap: NDArray[np.int_], row: int) -> bool:
    """Return whether the lesion of a row is detected by the lesions of the columns."""
    shared = overlap[row, 1:]
    total = shared.sum()
    if total < ALPHA * overlap[row].sum() or not total:
        return False
    reached = 0
    for column in np.argsort(-shared, kind="stable") + 1:
        if overlap[0, column] > BETA * overlap[:, column].sum():
            return False
        reached += overlap[row, column]
        if reached >= GAMMA * total:
            return True
    return True
