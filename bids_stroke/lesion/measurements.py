"""Measurements of a lesion mask and of its components."""

from collections.abc import Mapping

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from numpy.typing import ArrayLike, NDArray

from bids_stroke.spatial.grid import data_on_grid, voxel_volume

from .components import components

# A lesion is bilateral when each side holds at least this share of it, the midline aside.
BILATERAL_SHARE = 0.10
MIDLINE_MM = 0.5
#: Ends of the intervals of the volume, by column.
INTERVALS: dict[str, dict[str, object]] = {
    f"volume_{end}{coverage}_ml": {
        "Description": f"{word} end of the {coverage}% interval of the volume, by the calibration of "
        "the model's card; n/a for components and without a calibration",
        "Units": "mL",
    }
    for coverage in (80, 95)
    for end, word in (("low", "Lower"), ("high", "Upper"))
}
#: The columns of :func:`bids_stroke.lesion.measurements.measure`, for the JSON sidecar of the table.
COLUMNS: dict[str, dict[str, object]] = {
    "component": {
        "Description": "26-connected component of the lesion mask, 1 the largest; "
        "'all' is the whole mask",
    },
    "volume_mm3": {"Description": "Volume on the grid of the mask", "Units": "mm^3"},
    "volume_ml": {"Description": "Volume on the grid of the mask", "Units": "mL"},
    **INTERVALS,
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
        "Description": "Super-region with most of the volume (Mohapatra et al.), code and name"
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


_PLACE = (
    *("x_template_mm", "y_template_mm", "z_template_mm"),
    *("hemisphere", "super_region", "touches_ventricle", "touches_surface"),
)
_NORMALIZED = ["volume_template_ml", "outside_brain_share"]


def measure(
    mask_img: nib.Nifti1Image,
    probability_img: nib.Nifti1Image | None = None,
    located: pd.DataFrame | None = None,
    normalized: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """Measure a lesion mask, as a whole and component by component.

    Parameters
    ----------
    mask_img : nibabel image, (x, y, z)
        Lesion mask.
    probability_img : nibabel image, optional
        Lesion probability (0-1) on the same grid.
    located : pandas.DataFrame, optional
        Place of each voxel of the mask (in the order of ``np.argwhere``) in the template, as returned
        by :func:`bids_stroke.atlases.location.locate`.
    normalized : tuple of (float, float), optional
        Volume (ml) of the mask on the template's grid, and the share of it outside of the brain, as
        returned by :func:`bids_stroke.atlases.location.measure_normalized`.

    Returns
    -------
    pandas.DataFrame
        A row ``all``, then a row for each component (1 the largest), indexed by ``component``; columns
        as in :data:`bids_stroke.lesion.measurements.COLUMNS`. NaN stands for what is unknown, and for
        all but the volumes of an empty mask.

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
        voxels["probability"] = data_on_grid(probability_img, mask_img, "lesion probability")[mask]
    # The voxels of each component, from one pass over the array.
    number_of = labels[mask]
    numbers = range(1, count + 1)
    selections = [np.ones(len(voxels), bool), *(number_of == number for number in numbers)]
    table = pd.DataFrame.from_records(
        [
            _measure(
                voxels[inside], voxel_volume(mask_img), None if located is None else located[inside]
            )
            for inside in selections
        ],
        index=pd.Index(["all", *numbers], name="component", dtype=object),
        columns=[name for name in COLUMNS if name != "component"],
    )
    if normalized:
        table.loc["all", _NORMALIZED] = normalized
    return table


def add_volume_intervals(
    table: pd.DataFrame, intervals: Mapping[int, tuple[float, float]]
) -> pd.DataFrame:
    """Add intervals of the volume to a table of :func:`bids_stroke.lesion.measurements.measure`.

    Parameters
    ----------
    table : pandas.DataFrame
    intervals : dict of int to (float, float)
        By coverage (percent), the lower and upper end (ml).

    Returns
    -------
    pandas.DataFrame
        A copy.
    """
    table = table.copy()
    for coverage, ends in intervals.items():
        table.loc["all", [f"volume_low{coverage}_ml", f"volume_high{coverage}_ml"]] = ends
    return table


def native_or_template(native: ArrayLike, in_template: ArrayLike) -> NDArray[np.float64]:
    """Volumes of lesions: on the native grid, or in the template where that is NaN.

    >>> native_or_template([2.0, np.nan], [3.0, 4.0])
    array([2., 4.])
    """
    native = np.asarray(native, float)
    return np.where(np.isnan(native), np.asarray(in_template, float), native)


def _measure(
    voxels: pd.DataFrame, voxel_mm3: float, located: pd.DataFrame | None
) -> dict[str, float | str]:
    """Measure the voxels (their coordinates and probability) of one lesion."""
    volume = len(voxels) * voxel_mm3
    return {
        "volume_mm3": volume,
        "volume_ml": volume / 1000,
        "voxels": len(voxels),
        **{f"{axis}_mm": voxels[axis].mean() for axis in "xyz"},
        **_in_template(located),
        "max_probability": voxels["probability"].max(),
        "mean_probability": voxels["probability"].mean(),
        **dict.fromkeys(_NORMALIZED, np.nan),
    }


def _in_template(located: pd.DataFrame | None) -> dict[str, float | str]:
    """Place of a lesion in the template; NaN where it is unknown."""
    if located is None or located.empty:
        return dict.fromkeys(_PLACE, np.nan)
    return {
        **{f"{axis}_template_mm": located[axis].mean() for axis in "xyz"},
        "hemisphere": hemisphere(located["x"].to_numpy()),
        "super_region": located["super_region"].mode().iloc[0],
        "touches_ventricle": "yes" if located["ventricle"].any() else "no",
        "touches_surface": "yes" if located["surface"].any() else "no",
    }


def hemisphere(x: NDArray[np.float64]) -> float | str:
    """Name the side of a lesion by the coordinates to the right (mm) of its voxels in the template.

    Returns
    -------
    str or float
        ``left``, ``right`` or ``bilateral``; NaN if no voxel lies off the midline.
    """
    left, right = np.count_nonzero(x <= -MIDLINE_MM), np.count_nonzero(x >= MIDLINE_MM)
    if not left + right:  # no voxel, or none off the midline
        return np.nan
    if min(left, right) >= BILATERAL_SHARE * (left + right):
        return "bilateral"
    return "left" if left > right else "right"
