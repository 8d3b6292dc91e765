"""Connected components of a lesion mask."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage


def components(mask: ArrayLike) -> tuple[NDArray[np.int32], int]:
    """Label the 26-connected components of a mask in order of decreasing size.

    Parameters
    ----------
    mask : array-like, (x, y, z)
        Values above 0 are lesion.

    Returns
    -------
    labels : ndarray of int32, (x, y, z)
        0 is the background; 1 is the largest component, ``count`` the smallest.
    count : int

    Examples
    --------
    >>> labels, count = components(np.array([1, 0, 1, 1]).reshape(4, 1, 1))
    >>> labels.ravel().tolist(), count
    ([2, 0, 1, 1], 2)
    """
    labels, count = ndimage.label(np.asarray(mask) > 0, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    rank = np.zeros(count + 1, np.int32)
    rank[1 + np.argsort(-sizes, kind="stable")] = np.arange(1, count + 1)
    return rank[labels], count
