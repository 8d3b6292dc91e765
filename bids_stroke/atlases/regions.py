"""Atlas regions on the grid of the template, and the lesion volume in each of them."""

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
    "region": {
        "Description": "Region of the atlas; 'outside' is the part of the lesion outside all regions"
    },
    "region_volume_ml": {"Description": "Volume of the region inside the brain", "Units": "mL"},
    "lesion_volume_ml": {
        "Description": "Lesion volume in the region, after normalization",
        "Units": "mL",
    },
    "lesion_share": {"Description": "Share of the lesion in the region (0-1)"},
    "region_share": {"Description": "Share of the region, inside the brain, that is lesioned (0-1)"},
}


@dataclass(frozen=True)
class Atlas:
    """Label image of an atlas.

    ``label`` is the value of the ``atlas-`` entity. ``names`` maps the labels in ``img`` to region
    names. ``img`` is on the grid of the template (0: background).
    """

    label: str
    names: dict[int, str]
    img: nib.Nifti1Image


def measure_regions(lesion_img: nib.Nifti1Image, regions: Atlas) -> pd.DataFrame:
    """Measure the lesion volume in each region.

    Parameters
    ----------
    lesion_img : nib.Nifti1Image
        Lesion mask on the grid of the template.
    regions : Atlas

    Returns
    -------
    pandas.DataFrame
        A row for each region, and the row ``outside`` if part of the lesion is outside all regions;
        columns as in :data:`bids_stroke.atlases.regions.COLUMNS`. Shares of an empty lesion are NaN.

    Raises
    ------
    ImageError
        If lesion and atlas are on different grids.
    """
    labels = data_on_grid(regions.img, lesion_img, "atlas")
    mask = np.asanyarray(lesion_img.dataobj) > 0
    brain = np.asanyarray(template().brain.dataobj) > 0
    ml = grid.voxel_volume(lesion_img) / 1000
    is_outside = bool((labels[mask] == 0).any())
    numbers = [*regions.names, *([0] if is_outside else [])]
    volumes, overlaps, in_brain = (
        _counts(labels[inside], numbers) * ml for inside in (brain, mask, mask & brain)
    )
    volumes[len(regions.names) :] = np.nan
    names = [regions.names.get(number, "outside") for number in numbers]
    return region_table(names, volumes, overlaps, in_brain, mask.sum() * ml)


def _counts(labels: NDArray, numbers: Sequence[int]) -> NDArray[np.float64]:
    """Count the voxels with each of the ``numbers``; large labels must not be indices of an array."""
    counts = pd.Series(labels).value_counts()
    return np.asarray(counts.reindex(list(numbers), fill_value=0), np.float64)


def region_table(
    names: Sequence[str],
    volumes_ml: NDArray[np.float64],
    lesion_ml: NDArray[np.float64],
    in_brain_ml: NDArray[np.float64],
    total_ml: float,
) -> pd.DataFrame:
    """Compute the shares of regions and return them as a table.

    Parameters
    ----------
    names : sequence of str
    volumes_ml, lesion_ml, in_brain_ml : ndarray, (regions,)
        Volume of each region inside the brain, lesion volume in it, and its part inside the brain
        (ml).
    total_ml : float
        Volume of the entire lesion (ml).

    Returns
    -------
    pandas.DataFrame
        Columns as in :data:`bids_stroke.atlases.regions.COLUMNS`.

    Examples
    --------
    >>> volumes, lesion = np.array([100.0, 50.0]), np.array([30.0, 10.0])
    >>> table = region_table(["R1", "R2"], volumes, lesion, lesion, 40.0)
    >>> table["lesion_share"].tolist(), table["region_share"].tolist()
    ([0.75, 0.25], [0.3, 0.2])
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame(
            {
                "region": names,
                "region_volume_ml": volumes_ml,
                "lesion_volume_ml": lesion_ml,
                "lesion_share": lesion_ml / total_ml,
                "region_share": np.where(volumes_ml > 0, in_brain_ml / volumes_ml, np.nan),
            }
        )


def index_region(table: pd.DataFrame) -> str | float:
    """Return the region that holds most of the lesion; NaN for an empty lesion.

    ``table`` has the columns ``region`` and ``lesion_volume_ml``.

    >>> index_region(pd.DataFrame({"region": ["R1", "R2"], "lesion_volume_ml": [0.5, 2.0]}))
    'R2'
    """
    volumes = table.set_index("region")["lesion_volume_ml"]
    return str(volumes.idxmax()) if (volumes > 0).any() else np.nan
