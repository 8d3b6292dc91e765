"""Measurements of a lesion mask and of its components."""

from collections.abc import Mapping

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from numpy.typing import ArrayLike, NDArray

from bids_stroke.spatial.grid import data_on_grid, voxel_volume

from .components import components

# A lesion is bilateral when each side holds at least this share of its voxels off the midline.
BILATERAL_SHARE = 0.10
MIDLINE_MM = 0.5
#: Columns of the volume intervals.
INTERVALS: dict[str, dict[str, object]] = {
    f"volume_{end}{coverage}_ml": {
        "Description": f"{limit} limit of the {coverage}% interval of the volume, from the calibration "
        "in the model card; n/a for components and for models without a calibration",
        "Units": "mL",
    }
    for coverage in (80, 95)
    for end, limit in (("low", "Lower"), ("high", "Upper"))
}
#: The columns of :func:`bids_stroke.lesion.measurements.measure`, for the JSON sidecar of the table.
COLUMNS: dict[str, dict[str, object]] = {
    "component": {
        "Description": "26-connected component of the lesion mask, numbered by decreasing size; "
        "'all' is the entire mask",
    },
    "volume_mm3": {"Description": "Volume on the grid of the mask", "Units": "mm^3"},
    "volume_ml": {"Description": "Volume on the grid of the mask", "Units": "mL"},
    **INTERVALS,
    "voxels": {"Description": "Number of voxels"},
    "x_mm": {"Description": "Center of mass in world space, positive to the right", "Units": "mm"},
    "y_mm": {"Description": "Center of mass in world space, positive to the front", "Units": "mm"},
    "z_mm": {"Description": "Center of mass in world space, positive upwards", "Units": "mm"},
    "x_template_mm": {
        "Description": "Center of mass in the template, positive to the right",
        "Units": "mm",
    },
    "y_template_mm": {
        "Description": "Center of mass in the template, positive to the front",
        "Units": "mm",
    },
    "z_template_mm": {"Description": "Center of mass in the template, positive upwards", "Units": "mm"},
    "max_probability": {"Description": "Maximum lesion probability in the lesion (0-1)"},
    "mean_probability": {"Description": "Mean lesion probability in the lesion (0-1)"},
    "volume_template_ml": {
        "Description": "Volume of the mask on the grid of the template; n/a for components",
        "Units": "mL",
    },
    "outside_brain_share": {
        "Description": "Share of volume_template_ml outside the brain of the template (0-1); n/a for "
        "components"
    },
    "hemisphere": {
        "Description": "Hemisphere, by the sign of the x coordinate in the template; voxels within "
        "0.5 mm of the midline are not counted",
        "Levels": {
            "left": "Less than 10% of the volume lies on the right",
            "right": "Less than 10% of the volume lies on the left",
            "bilateral": "At least 10% of the volume lies on each side",
        },
    },
    "super_region": {
        "Description": "Code and name of the super-region that holds most of the volume "
        "(Mohapatra et al.)"
    },
    "touches_ventricle": {
        "Description": "Whether the lesion comes within 3 mm of the template's lateral ventricles",
        "Levels": {"yes": "Within 3 mm", "no": "Farther away"},
    },
    "touches_surface": {
        "Description": "Whether the lesion comes within 3 mm of the template's brain surface",
        "Levels": {"yes": "Within 3 mm", "no": "Farther away"},
    },
}


_LOCATION_COLUMNS = (
    *("x_template_mm", "y_template_mm", "z_template_mm"),
    *("hemisphere", "super_region", "touches_ventricle", "touches_surface"),
)
_TEMPLATE_COLUMNS = ["volume_template_ml", "outside_brain_share"]


def measure(
    mask_img: nib.Nifti1Image,
    probability_img: nib.Nifti1Image | None = None,
    locations: pd.DataFrame | None = None,
    template_measures: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """Measure a lesion mask and each of its components.

    Parameters
    ----------
    mask_img : nibabel image, (x, y, z)
        Lesion mask.
    probability_img : nibabel image, optional
        Lesion probability (0-1) on the same grid.
    locations : pandas.DataFrame, optional
        Template location of each voxel of the mask, in the order of ``np.argwhere``, as returned by
        :func:`bids_stroke.atlases.location.locate`.
    template_measures : tuple of (float, float), optional
        Volume (ml) of the mask on the grid of the template, and its share outside the brain, as
        returned by :func:`bids_stroke.atlases.location.measure_normalized`.

    Returns
    -------
    pandas.DataFrame
        A row ``all``, then a row for each component in order of decreasing size, indexed by
        ``component``; columns as in :data:`bids_stroke.lesion.measurements.COLUMNS`. Unknown values
        are NaN. For an empty mask, all columns but the volumes are NaN.

    Raises
    ------
    ImageError
        If the images are on different grids.

    Examples
    --------
    >>> mask = np.array([1, 0, 1, 1], np.uint8).reshape(4, 1, 1)
    >>> table = measure(nib.Nifti1Image(mask, np.diag([2, 2, 2, 1])))  # voxels of 8 mm³
    >>> table["volume_ml"].round(3).to_dict()
    {'all': 0.024, 1: 0.016, 2: 0.008}
    """
    mask = np.asanyarray(mask_img.dataobj) > 0
    labels, count = components(mask)
    voxels = pd.DataFrame(apply_affine(mask_img.affine, np.argwhere(mask)), columns=["x", "y", "z"])
    voxels["probability"] = np.nan
    if probability_img is not None:
        voxels["probability"] = data_on_grid(probability_img, mask_img, "lesion probability")[mask]
    # Select the voxels of all components in one pass over the array.
    component_of_voxel = labels[mask]
    numbers = range(1, count + 1)
    selections = [np.ones(len(voxels), bool), *(component_of_voxel == number for number in numbers)]
    table = pd.DataFrame.from_records(
        [
            _measure(
                voxels[inside], voxel_volume(mask_img), None if locations is None else locations[inside]
            )
            for inside in selections
        ],
        index=pd.Index(["all", *numbers], name="component", dtype=object),
        columns=[name for name in COLUMNS if name != "component"],
    )
    if template_measures:
        table.loc["all", _TEMPLATE_COLUMNS] = template_measures
    return table


def add_volume_intervals(
    table: pd.DataFrame, intervals: Mapping[int, tuple[float, float]]
) -> pd.DataFrame:
    """Add volume intervals to a table from :func:`bids_stroke.lesion.measurements.measure`.

    Parameters
    ----------
    table : pandas.DataFrame
    intervals : dict of int to (float, float)
        Lower and upper limit (ml) by coverage (percent).

    Returns
    -------
    pandas.DataFrame
        A copy of the table.
    """
    table = table.copy()
    for coverage, ends in intervals.items():
        table.loc["all", [f"volume_low{coverage}_ml", f"volume_high{coverage}_ml"]] = ends
    return table


def native_or_template(native: ArrayLike, in_template: ArrayLike) -> NDArray[np.float64]:
    """Return lesion volumes (ml) on the native grid, or in the template where the native one is NaN.

    >>> native_or_template([2.0, np.nan], [3.0, 4.0])
    array([2., 4.])
    """
    native = np.asarray(native, float)
    return np.where(np.isnan(native), np.asarray(in_template, float), native)


def _measure(
    voxels: pd.DataFrame, voxel_mm3: float, locations: pd.DataFrame | None
) -> dict[str, float | str]:
    """Measure one lesion from the coordinates and probabilities of its voxels."""
    volume = len(voxels) * voxel_mm3
    return {
        "volume_mm3": volume,
        "volume_ml": volume / 1000,
        "voxels": len(voxels),
        **{f"{axis}_mm": voxels[axis].mean() for axis in "xyz"},
        **_template_location(locations),
        "max_probability": voxels["probability"].max(),
        "mean_probability": voxels["probability"].mean(),
        **dict.fromkeys(_TEMPLATE_COLUMNS, np.nan),
    }


def _template_location(locations: pd.DataFrame | None) -> dict[str, float | str]:
    """Summarize the location of a lesion in the template; NaN where it is unknown."""
    if locations is None or locations.empty:
        return dict.fromkeys(_LOCATION_COLUMNS, np.nan)
    return {
        **{f"{axis}_template_mm": locations[axis].mean() for axis in "xyz"},
        "hemisphere": hemisphere(locations["x"].to_numpy()),
        "super_region": locations["super_region"].mode().iloc[0],
        "touches_ventricle": "yes" if locations["ventricle"].any() else "no",
        "touches_surface": "yes" if locations["surface"].any() else "no",
    }


def hemisphere(x: NDArray[np.float64]) -> float | str:
    """Return the side of a lesion from the x coordinates of its voxels in the template.

    Parameters
    ----------
    x : ndarray, (voxels,)
        RAS coordinates (mm): negative on the left.

    Returns
    -------
    str or float
        ``left``, ``right`` or ``bilateral``; NaN if all voxels lie on the midline.

    Examples
    --------
    >>> hemisphere(np.array([-30.0, -29.0, 0.0])), hemisphere(np.array([-30.0, 30.0]))
    ('left', 'bilateral')
    """
    left, right = np.count_nonzero(x <= -MIDLINE_MM), np.count_nonzero(x >= MIDLINE_MM)
    if not left + right:  # no voxels, or all on the midline
        return np.nan
    if min(left, right) >= BILATERAL_SHARE * (left + right):
        return "bilateral"
    return "left" if left > right else "right"
