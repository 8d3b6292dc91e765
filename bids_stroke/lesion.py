"""From a lesion probability to a mask, its components and their measurements."""

import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from scipy import ndimage

from .errors import ImageError
from .image import like, voxel_volume

# A lesion is bilateral when each side holds at least this share of it, the midline aside.
BILATERAL_SHARE = 0.10
MIDLINE_MM = 0.5

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
    "x_template_mm": {"Description": "Centre of mass in the template, to the right", "Units": "mm"},
    "y_template_mm": {"Description": "Centre of mass in the template, to the front", "Units": "mm"},
    "z_template_mm": {"Description": "Centre of mass in the template, upwards", "Units": "mm"},
    "max_probability": {"Description": "Largest lesion probability inside (0-1)"},
    "mean_probability": {"Description": "Mean lesion probability inside (0-1)"},
    "volume_template_ml": {
        "Description": "Volume of the mask on the template's grid; n/a for components",
        "Units": "mL",
    },
    "outside_brain_share": {
        "Description": "Share of that volume that lies outside of the template's brain (0-1); n/a for "
        "components"
    },
    "hemisphere": {
        "Description": "Side of the brain by the sign of the template's x coordinate, the midline "
        "(0.5 mm) aside",
        "Levels": {
            "left": "Less than 10% of the volume lies on the right",
            "right": "Less than 10% of the volume lies on the left",
            "bilateral": "At least 10% of the volume lies on either side",
        },
    },
    "super_region": {
        "Description": "Super-region with most of the volume (Mohapatra et al.)",
        "Levels": {
            "R1": "Inferior frontal lobe, insula, basal ganglia, thalamus",
            "R2": "Cerebellum, midbrain, pons, medulla",
            "R3": "Superior frontal lobe, parietal lobe, occipital lobe",
            "R4": "Temporal lobe, limbic lobe, mesial frontal lobe",
        },
    },
    "touches_ventricle": {
        "Description": "Whether it comes within 3 mm of the template's lateral ventricles",
        "Levels": {"yes": "It does", "no": "It does not"},
    },
    "touches_surface": {
        "Description": "Whether it comes within 3 mm of the outside of the template's brain",
        "Levels": {"yes": "It does", "no": "It does not"},
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


def binary(mask_img):
    """Read a user's lesion mask: fractions are lesion from one half on, labels all are lesion.

    Returns
    -------
    nib.Nifti1Image of uint8

    Raises
    ------
    ImageError
        If a value is negative.
    """
    data = np.asanyarray(mask_img.dataobj)
    if data.min() < 0:
        raise ImageError(
            f"{mask_img.get_filename()} holds {data.min():g}, but a mask has 0 outside the lesion and "
            "1 inside; mend it."
        )
    inside = like(data >= 0.5 if data.max() <= 1 else data > 0, mask_img, np.uint8)
    if mask_img.get_filename():
        inside.set_filename(mask_img.get_filename())
    return inside


def measure(mask_img, probability_img=None, located=None, normalized=None):
    """Measure a lesion mask, as a whole and component by component.

    Parameters
    ----------
    mask_img : nibabel image, (x, y, z)
        Lesion mask.
    probability_img : nibabel image, optional
        Lesion probability (0-1) on the same grid.
    located : pandas.DataFrame, optional
        Where each voxel of the mask (in the order of ``np.argwhere``) lies in the template, as
        :func:`bids_stroke.regions.locate` tells.
    normalized : tuple of (float, float), optional
        Volume (ml) of the mask on the template's grid, and the share of it outside of the brain, as
        :func:`bids_stroke.regions.normalized` tells.

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
    mask = np.asanyarray(mask_img.dataobj) > 0
    labels, count = components(mask)
    voxels = pd.DataFrame(apply_affine(mask_img.affine, np.argwhere(mask)), columns=["x", "y", "z"])
    voxels["probability"] = np.nan
    if probability_img is not None:
        voxels["probability"] = on_grid(probability_img, mask_img, "lesion probability")[mask]
    # The voxels of each component, from one pass over the array.
    number_of = labels[mask]
    rows = {"all": np.ones(len(voxels), bool)}
    rows |= {number: number_of == number for number in range(1, count + 1)}
    table = pd.DataFrame.from_records(
        [
            _measure(
                voxels[inside], voxel_volume(mask_img), None if located is None else located[inside]
            )
            for inside in rows.values()
        ],
        index=pd.Index(rows.keys(), name="component", dtype=object),
    )
    if normalized:
        table.loc["all", _NORMALIZED] = normalized
    return table


_PLACE = ("hemisphere", "super_region", "touches_ventricle", "touches_surface")
_NORMALIZED = ["volume_template_ml", "outside_brain_share"]


def _measure(voxels, voxel_mm3, located):
    """Measure the voxels (their coordinates and probability) of one lesion."""
    volume = len(voxels) * voxel_mm3
    where = dict.fromkeys(("x", "y", "z"), np.nan)
    place = dict.fromkeys(_PLACE, np.nan)
    if located is not None and len(located):
        where = located[["x", "y", "z"]].mean()
        place = {
            "hemisphere": _hemisphere(located["x"].to_numpy()),
            "super_region": located["super_region"].value_counts().sort_index().idxmax(),
            "touches_ventricle": "yes" if located["ventricle"].any() else "no",
            "touches_surface": "yes" if located["surface"].any() else "no",
        }
    return {
        "volume_mm3": volume,
        "volume_ml": volume / 1000,
        "voxels": len(voxels),
        **{f"{axis}_mm": voxels[axis].mean() for axis in "xyz"},
        **{f"{axis}_template_mm": where[axis] for axis in "xyz"},
        "max_probability": voxels["probability"].max(),
        "mean_probability": voxels["probability"].mean(),
        **dict.fromkeys(_NORMALIZED, np.nan),
        **place,
    }


def _hemisphere(x):
    """Name the side of points by their coordinate to the right (mm)."""
    left, right = np.count_nonzero(x <= -MIDLINE_MM), np.count_nonzero(x >= MIDLINE_MM)
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
