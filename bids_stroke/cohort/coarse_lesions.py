"""Lesions in coarse cells of the template, in a compact form for the group report."""

from base64 import b64encode
from itertools import chain

import numpy as np
from numpy.typing import NDArray

FACTOR = 4  # voxels of the template along an edge of a cell
COVERED = 0.5  # smallest covered share of a lesioned cell

#: Shape of an image.
Shape = tuple[int, ...]


def coarse_shape(shape: Shape) -> Shape:
    """Return the number of cells along each axis.

    >>> coarse_shape((193, 229, 8))
    (49, 58, 2)
    """
    return tuple(-(-size // FACTOR) for size in shape)


def coarse_cells(voxels: NDArray[np.intp], shape: Shape) -> NDArray[np.intp]:
    """Return the cells of which a lesion covers at least half.

    Parameters
    ----------
    voxels : (n,) array
        Indices of the lesioned voxels of an image in Fortran order.
    shape : tuple of int
        Shape of the image.

    Returns
    -------
    (m,) array
        Sorted indices in Fortran order. If a lesion covers less than half of every cell, the cell that
        it covers most is returned.
    """
    if not voxels.size:
        return voxels
    cells = coarse_shape(shape)
    corners = np.stack(np.unravel_index(voxels, shape, order="F")) // FACTOR
    counts = np.bincount(np.ravel_multi_index(tuple(corners), cells, order="F"))
    covered = np.flatnonzero(counts >= COVERED * FACTOR**3)
    return covered if covered.size else np.array([counts.argmax()])


def encode(cells: NDArray[np.intp]) -> str:
    """Encode sorted indices as alternating lengths of gaps and runs.

    Each length consists of bytes of seven bits, the lowest first; the eighth bit of a byte is set if
    another one follows. The bytes are in Base64.

    >>> encode(np.array([3, 4, 5, 305, 306]))  # 3, 3, 299 (= 2 * 128 + 43), 2
    'AwOrAgI='
    """
    breaks = np.flatnonzero(np.diff(cells) != 1) + 1
    starts, ends = cells[np.r_[0, breaks]], cells[np.r_[breaks - 1, -1]] + 1
    gaps = starts - np.r_[0, ends[:-1]]
    lengths = np.column_stack([gaps, ends - starts]).ravel().tolist()
    return b64encode(bytes(chain.from_iterable(map(_bytes, lengths)))).decode()


def _bytes(number: int) -> list[int]:
    digits = [number & 127]
    while number := number >> 7:
        digits[-1] |= 128
        digits.append(number & 127)
    return digits
