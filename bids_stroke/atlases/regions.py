"""Regions: atlases on the template's grid, and the volume of a lesion in each region."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_stroke.bids.names import label_of, space_of
from bids_stroke.errors import ImageError, ResourceError
from bids_stroke.spatial import grid, image, masks, template_transforms, templates
from bids_stroke.spatial.grid import data_on_grid
from bids_stroke.spatial.templates import TEMPLATE, template
from bids_stroke.utils.files import PathLike

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


def load_atlas(path: PathLike, labels: PathLike) -> Atlas:
    """Load an atlas of the user.

    Parameters
    ----------
    path : path
        Labels (whole numbers, 0 for none), 3D, in the template space of the ``space-`` in its name.
    labels : path
        Table with the columns ``index`` and ``name``, as BIDS has it (``_dseg.tsv``).

    Returns
    -------
    Atlas

    Raises
    ------
    ImageError, ResourceError
        If the file is not a label image, the table is not that of the file, or its space has no
        transform to the template.
    """
    img = image.load_supplied(path)
    data = masks.whole_numbers(np.asanyarray(img.dataobj))
    if data is None or data.min() < 0:
        raise ImageError(f"{path} holds values that are no labels (0, 1, 2, …); check --atlas.")
    img = image.like(data, img, np.int32)
    reference = templates.template_grid()
    field = template_transforms.load_transform(space_of(path), TEMPLATE)
    moved = template_transforms.warp([img], reference, field, order=0)[0]
    if not moved.any():
        raise ImageError(
            f"{path} has no label in the template; check its header and space- in its name."
        )
    names = _names(labels, np.unique(data[data > 0]).astype(int))
    return Atlas(label_of(path), names, image.like(moved, reference, np.int32))


def _names(path: PathLike, numbers: NDArray[np.int_]) -> dict[int, str]:
    """Names of the regions by their number, from a table; all of ``numbers`` must be named."""
    try:
        table = pd.read_csv(path, sep="\t", encoding="utf-8-sig")
        names = dict(zip(table["index"].astype(int), table["name"].astype(str), strict=True))
    except (OSError, ValueError, KeyError) as error:
        raise ResourceError(
            f"{path} is not a table with the columns index and name ({error}); mend it."
        ) from None
    missing = sorted(set(numbers.tolist()) - names.keys())
    if missing:
        raise ResourceError(
            f"{path} does not name the labels {', '.join(map(str, missing[:10]))} of its atlas; add "
            "them."
        )
    return {number: name for number, name in names.items() if number > 0}


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
    hit = np.bincount(labels[mask], minlength=size) * ml
    numbers = [*regions.names, *([0] if hit[0] else [])]
    inside = np.array([0.0 if number == 0 else volume[number] for number in numbers])
    lesion = hit[numbers]
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame({
            "region": [regions.names.get(number, "outside") for number in numbers],
            "region_volume_ml": np.where(np.array(numbers) > 0, inside, np.nan),
            "lesion_volume_ml": lesion,
            "lesion_share": lesion / (mask.sum() * ml),
            "region_share": np.where(inside > 0, lesion / inside, np.nan),
        })  # fmt: skip


def index_region(table: pd.DataFrame) -> str | float:
    """Name the region that holds most of the lesion; NaN without one."""
    volumes = table.set_index("region")["lesion_volume_ml"]
    return str(volumes.idxmax()) if (volumes > 0).any() else np.nan
