"""Lesions of a predicted and of a true mask, and the voxels that they share.

A lesion is a connected component of a mask.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from bids_stroke.spatial.grid import bounding_box

from .metrics import binary_masks

#: Neighbors of a voxel that belong to the same component: those that share a face, or a corner.
Neighbors = Literal[6, 26]
FACES: Neighbors = 6
CORNERS: Neighbors = 26


class Overlaps(NamedTuple):
    """Lesions of two masks.

    ``shared`` holds the voxels that true lesion i (rows) and predicted lesion j (columns) share; the
    first row and column are the voxels outside of all lesions of the truth and of the prediction.
    """

    shared: NDArray[np.int_]

    @property
    def true_volumes(self) -> NDArray[np.int_]:
        """Voxels of each true lesion."""
        return self.shared.sum(1)[1:]

    @property
    def predicted_volumes(self) -> NDArray[np.int_]:
        """Voxels of each predicted lesion."""
        return self.shared.sum(0)[1:]

    def transposed(self) -> "Overlaps":
        """The same with the prediction as the truth."""
        return Overlaps(self.shared.T)

    def larger_than(self, voxels: float) -> "Overlaps":
        """The lesions of more than so many voxels; smaller ones belong to the outside of their mask."""
        shared = self.shared
        for axis in (0, 1):
            kept = shared.sum(1 - axis) > voxels
            kept[0] = True
            outside = shared.compress(~kept, axis).sum(axis)
            shared = shared.compress(kept, axis)
            shared[(slice(None),) * axis + (0,)] += outside
        return Overlaps(shared)


def find_overlaps(pred: ArrayLike, truth: ArrayLike, neighbors: Neighbors) -> Overlaps:
    """Find the lesions of two masks on one grid (non-zero is lesion).

    Raises
    ------
    ImageError
        If the masks differ in shape.
    """
    pred, truth = binary_masks(pred, truth)
    either = pred | truth
    if not either.any():
        return Overlaps(np.zeros((1, 1), int))
    box = bounding_box(either)
    structure = ndimage.generate_binary_structure(truth.ndim, 1 if neighbors == FACES else truth.ndim)
    rows, n = ndimage.label(truth[box], structure)
    columns, m = ndimage.label(pred[box], structure)
    table = np.bincount((rows * (m + 1) + columns).ravel(), minlength=(n + 1) * (m + 1))
    table = table.reshape(n + 1, m + 1)
    table[0, 0] = 0
    return Overlaps(table)
