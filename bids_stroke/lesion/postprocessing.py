"""Post-processing of a lesion probability: threshold and smallest component."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .components import components


def threshold(
    probability: ArrayLike, threshold: float, min_component_mm3: float, voxel_mm3: float
) -> NDArray[np.uint8]:
    """Threshold a lesion probability and remove small components.

    The model card states ``threshold`` and ``min_component_mm3`` (``data/models/*.yaml``).

    Parameters
    ----------
    probability : ndarray, (x, y, z)
        Lesion probability, 0-1.
    threshold : float
        Voxels with at least this probability are lesion.
    min_component_mm3 : float
        Smallest volume (mm³) of a 26-connected component that is kept.
    voxel_mm3 : float
        Volume of a voxel (mm³).

    Returns
    -------
    ndarray of uint8, (x, y, z)

    Examples
    --------
    >>> probability = np.array([0.9, 0.1, 0.3, 0.6]).reshape(4, 1, 1)
    >>> mask = threshold(probability, 0.2, min_component_mm3=10, voxel_mm3=8)
    >>> mask.ravel().tolist()  # the first voxel is a component of 8 mm³
    [0, 0, 1, 1]
    """
    labels, count = components(np.asarray(probability) >= threshold)
    volumes = np.bincount(labels.ravel(), minlength=count + 1) * voxel_mm3
    # Affines are stored in single precision: ten voxels of 0.9999999 mm³ count as 10 mm³.
    keep = volumes >= min_component_mm3 * (1 - 1e-5)
    keep[0] = False
    return keep[labels].astype(np.uint8)
