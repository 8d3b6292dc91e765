"""From a lesion probability to a mask, its components and their measurements."""

import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from scipy import ndimage

from .errors import ImageError
from .image import voxel_volume

# A lesion is bilateral when each side holds at least this share of it, the midline aside.
BILATERAL_SHARE = 0.05

#: The columns of :func:`measure`, for the JSON sidecar of the table.
COLUMNS = {
    "component": {
        "Description": "26-connected component of the lesion mask, 1 the largest; "
        "'all' is the whole mask",
    },
    "volume_mm3": {"Description": "Volume on the grid of the mask", "Units": "mm^3"},
    "volume_ml": {"Description": "Volume on the grid of the mask", "Units": "mL"},
    "voxels": {"Description": "Number of voxels"},
    "x_mm": {"Description": "Centre of mass in world space, to the right", "Units": "mm"},
    "y_mm": {"Description": "Centre of mass in world space, to the front", "Units": "mm"},
    "z_mm": {"Description": "Centre of mass in world space, upwards", "Units": "mm"},
    "max_probability": {"Description": "Largest lesion probability inside (0-1)"},
    "mean_probability": {"Description": "Mean lesion probability inside (0-1)"},
    "hemisphere": {
        "Description": "Side of the brain by the sign of the template's x coordinate",
        "Levels": {
            "left": "Less than 5% of the volume lies on the right",
            "right": "Less than 5% of the volume lies on the left",
            "bilateral": "At least 5% of the volume lies on either side",
        },
    },
}


def threshold(probability, threshold, min_component_mm3, voxel_mm3):
    """Turn a lesion probability into a mask.

    Parameters
    ----------
    probability : ndarray, (x, y, z)
        Lesion probability, 0-1.
    threshold : float
        Voxels of at least this probability are lesion.
    min_component_mm3 : float
        26-connected components of a smaller volume (mm³) are removed.
    voxel_mm3 : float
        Volume of a voxel (mm³).

    Returns
    -------
    ndarray of uint8, (x, y, z)
    """
    labels, count = components(np.asarray(probability) >= threshold)
    volumes = np.bincount(labels.ravel(), minlength=count + 1) * voxel_mm3
    # Affines are stored in single precision: ten voxels of 0.9999999 mm³ are 10 mm³.
    keep = volumes >= min_component_mm3 * (1 - 1e-5)
    keep[0] = False
    return keep[labels].astype(np.uint8)


def components(mask):
    """Label the 26-connected components of a mask, 1 the largest.

    Returns
    -------
    labels : ndarray of int32, (x, y, z)
        0 outside, then 1 to ``count`` in order of decreasing size.
    count : int
    """
    labels, count = ndimage.label(np.asarray(mask) > 0, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    rank = np.zeros(count + 1, np.int32)
    rank[1 + np.argsort(-sizes, kind="stable")] = np.arange(1, count + 1)
    return rank[labels], count


def measure(mask_img, probability_img=None, side_img=None):
    """Measure a lesion mask, as a whole and component by component.

    Parameters
    ----------
    mask_img : nibabel image, (x, y, z)
        Lesion mask.
    probability_img : nibabel image, optional
        Lesion probability (0-1) on the same grid.
    side_img : nibabel image, optional
        Side of the brain on the same grid: negative to the left, zero on the midline, positive to
        the right (the template's x coordinate, or its :func:`~bids_stroke.atlas.hemisphere_map`,
        brought to this grid). A lesion is bilateral when each side holds at least 5% of its voxels
        off the midline.

    Returns
    -------
    pandas.DataFrame
        A row ``all``, then a row for each component (1 the largest), indexed by ``component``;
        columns as in :data:`COLUMNS`. NaN stands for what is unknown, and for all but the volumes
        of an empty mask.

    Raises
    ------
    ImageError
        If the images are not on one grid.
    """
    probability = side = None
    if probability_img is not None:
        probability = on_grid(probability_img, mask_img, "lesion probability")
    if side_img is not None:
        side = on_grid(side_img, mask_img, "map of the hemispheres")
    mask = np.asanyarray(mask_img.dataobj) > 0
    labels, count = components(mask)
    # The voxels of each component, from one pass over the array.
    voxels = np.argwhere(mask)
    label = labels[mask]
    rows = {"all": voxels} | {number: voxels[label == number] for number in range(1, count + 1)}
    return pd.DataFrame.from_records(
        [_measure(inside, mask_img, probability, side) for inside in rows.values()],
        index=pd.Index(rows.keys(), name="component", dtype=object),
    )


def _measure(voxels, img, probability, side):
    """Measure the voxels, (n, 3), of one lesion."""
    volume = len(voxels) * voxel_volume(img)
    where = tuple(voxels.T)
    centre = apply_affine(img.affine, voxels.mean(0)) if len(voxels) else np.full(3, np.nan)
    inside = probability[where] if probability is not None and len(voxels) else np.nan
    return {
        "volume_mm3": volume,
        "volume_ml": volume / 1000,
        "voxels": len(voxels),
        "x_mm": centre[0],
        "y_mm": centre[1],
        "z_mm": centre[2],
        "max_probability": np.max(inside),
        "mean_probability": np.mean(inside),
        "hemisphere": np.nan if side is None else _hemisphere(side[where]),
    }


def _hemisphere(side):
    """Name the side of voxels that hold the signed ``side``."""
    left, right = np.count_nonzero(side < 0), np.count_nonzero(side > 0)
    if not left + right:  # no voxel, or none off the midline
        return np.nan
    if min(left, right) >= BILATERAL_SHARE * (left + right):
        return "bilateral"
    return "left" if left > right else "right"


def on_grid(img, mask_img, name):
    """Give the array of an image, called ``name``, that must share the grid of the lesion mask.

    Raises
    ------
    ImageError
        If it does not.
    """
    if img.shape != mask_img.shape or not np.allclose(img.affine, mask_img.affine, atol=1e-3):
        raise ImageError(
            f"The {name} (shape {img.shape}) is not on the grid of the lesion mask "
            f"(shape {mask_img.shape}); resample it first."
        )
    return np.asanyarray(img.dataobj)
