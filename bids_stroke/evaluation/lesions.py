"""Overlap of the lesions of a predicted and a true mask.

A lesion is a connected component of a mask.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from bids_stroke.spatial.grid import bounding_box

from .metrics import binary_masks

#: Connectivity of a component: neighbors share a face (6), or a face, edge or corner (26).
Neighbors = Literal[6, 26]
FACES: Neighbors = 6
CORNERS: Neighbors = 26


class Overlaps(NamedTuple):
    """Overlap of the lesions of two masks.

    ``shared`` counts the voxels that true lesion i (rows) and predicted lesion j (columns) share. The
    first row counts the voxels outside all true lesions, the first column those outside all predicted
    lesions.
    """

    shared: NDArray[np.int_]

    @property
    def true_volumes(self) -> NDArray[np.int_]:
        """Number of voxels of each true lesion."""
        return self.shared.sum(1)[1:]

    @property
    def predicted_volumes(self) -> NDArray[np.int_]:
        """Number of voxels of each predicted lesion."""
        return self.shared.sum(0)[1:]

    def transposed(self) -> "Overlaps":
        """Swap truth and prediction."""
        return Overlaps(self.shared.T)

    def larger_than(self, voxels: float) -> "Overlaps":
        """Select the lesions with more than ``voxels`` voxels; others become part of the background."""
        shared = self.shared
        for axis in (0, 1):
            selected = shared.sum(1 - axis) > voxels
            selected[0] = True
            outside = shared.compress(~selected, axis).sum(axis)
            shared = shared.compress(selected, axis)
            shared[(slice(None),) * axis + (0,)] += outside
        return Overlaps(shared)


def find_overlaps(pred: ArrayLike, truth: ArrayLike, neighbors: Neighbors) -> Overlaps:
    """Label the lesions of two masks on the same grid (non-zero is lesion) and count shared voxels.

    Raises
    ------
    ImageError
        If the masks differ in shape.

    Examples
    --------
    >>> overlaps = find_overlaps([1, 1, 0, 0, 1], [1, 0, 0, 1, 1], FACES)
    >>> overlaps.shared.tolist()  # first row and first column: outside the lesions
    [[0, 1, 0], [0, 1, 0], [1, 0, 1]]
    >>> overlaps.true_volumes.tolist(), overlaps.predicted_volumes.tolist()  # voxels
    ([1, 2], [2, 1])
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
