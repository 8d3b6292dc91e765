"""Regions of a label image on the template's grid, and the volume of a lesion in each."""

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_stroke.spatial import grid
from bids_stroke.spatial.grid import data_on_grid
from bids_stroke.spatial.templates import template

#: The columns of :func:`bids_stroke.atlases.regions.measure_regions`, for the JSON sidecar of the
#: table.
COLUMNS: dict[str, dict[str, object]] = {
    "region": {"Description": "Region of the atlas; 'outside' is what no region covers"},
    "region_volume_ml": {"Description": "Volume of the region in the brain", "Units": "mL"},
    "lesion_volume_ml": {
        "Description": "Volume of the lesion in the region, after normalization",
        "Units": "mL",
    },
    "lesion_share": {"Description": "Share of the lesion that lies in the region (0-1)"},
    "region_share": {"Description": "Share of the region that is lesion (0-1)"},
}


@dataclass(frozen=True)
class Atlas:
    """Regions: ``label`` is the value of the ``atlas-`` entity, ``names`` the regions' by their
    number in ``img``, which lies on the template's grid (0: none)."""

    label: str
    names: dict[int, str]
    img: nib.Nifti1Image


def measure_regions(lesion_img: nib.Nifti1Image, regions: Atlas) -> pd.DataFrame:
    """Measure a lesion region by region.

    Parameters
    ----------
    lesion_img : nib.Nifti1Image
        Lesion mask on the template's grid.
    regions : Atlas

    Returns
    -------
    pandas.DataFrame
        A row for each region, and the row ``outside``, where any of the lesion is; columns as in
        :data:`bids_stroke.atlases.regions.COLUMNS`. Shares of an empty lesion are NaN.

    Raises
    ------
    ImageError
        If lesion and atlas are not on one grid.
    """
    labels = data_on_grid(regions.img, lesion_img, "atlas").astype(np.int64)
    mask = np.asanyarray(lesion_img.dataobj) > 0
    brain = np.asanyarray(template().brain.dataobj) > 0
    ml = grid.voxel_volume(lesion_img) / 1000
    size = max(labels.max(), *regions.names) + 1
    volume = np.bincount(labels[brain], minlength=size) * ml
    hit = (np.bincount(labels[mask], minlength=size) * ml).astype(np.float64)
    numbers = [*regions.names, *([0] if hit[0] else [])]
    names = [regions.names.get(number, "outside") for number in numbers]
    inside = np.array([volume[number] if number > 0 else np.nan for number in numbers], np.float64)
    return region_table(names, inside, hit[numbers], mask.sum() * ml)


def region_table(
    names: Sequence[str],
    volumes_ml: NDArray[np.float64],
    lesion_ml: NDArray[np.float64],
    whole_ml: float,
) -> pd.DataFrame:
    """Table of regions.

    Parameters
    ----------
    names : sequence of str
    volumes_ml, lesion_ml : ndarray
        Volume of each region, and of the lesion in it.
    whole_ml : float
        Volume of the lesion.

    Returns
    -------
    pandas.DataFrame
        Columns as in :data:`bids_stroke.atlases.regions.COLUMNS`.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame({
            "region": names,
            "region_volume_ml": volumes_ml,
            "lesion_volume_ml": lesion_ml,
            "lesion_share": lesion_ml / whole_ml,
            "region_share": np.where(volumes_ml > 0, lesion_ml / volumes_ml, np.nan),
        })  # fmt: skip


def index_region(table: pd.DataFrame) -> str | float:
    """Name the region that holds most of the lesion; NaN without one."""
    volumes = table.set_index("region")["lesion_volume_ml"]
    return str(volumes.idxmax()) if (volumes > 0).any() else np.nan
