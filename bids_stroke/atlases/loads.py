"""Load of a lesion on a tract: raw, weighted and largest slice load."""

from collections.abc import Mapping

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine

from bids_stroke.lesion.postprocessing import threshold
from bids_stroke.spatial import grid, image
from bids_stroke.spatial.grid import data_on_grid

from .tracts import Cutoffs, TractCard, slice_heights

# Where the corticospinal tract runs on below the maps that end in the pons: the brainstem, in
# template coordinates. Height alone would flag every stroke of the temporal pole or cerebellum.
BRAINSTEM_MM = {"x": (-15, 15), "y": (-50, -8)}
#: Thresholds of the lesion probability at which the loads are measured once more.
THRESHOLDS = {"p10": 0.1, "p20": 0.2, "p50": 0.5}


def _probability_columns(load: str, text: str) -> dict[str, dict[str, object]]:
    """Columns of a load that is measured on the lesion probability."""
    return {
        **{
            f"{load}_{key}_ml": {
                "Description": f"{text} of the voxels whose lesion probability is at least {value}, "
                "without the components that are too small for a lesion; n/a without probabilities",
                "Units": "mL",
            }
            for key, value in THRESHOLDS.items()
        },
        f"{load}_expected_ml": {
            "Description": f"{text} with the lesion probability of each voxel in place of the mask: "
            "its expected value; n/a without probabilities",
            "Units": "mL",
        },
    }


#: The columns of :func:`bids_stroke.atlases.loads.measure_loads`, for the JSON sidecar of the table.
COLUMNS: dict[str, dict[str, object]] = {
    "side": {
        "Description": "Side of the tract",
        "Levels": {"left": "Left tract", "right": "Right tract", "total": "Both sides together"},
    },
    "overlap_volume_ml": {
        "Description": "Volume of the lesion where the tract's probability is above 0",
        "Units": "mL",
    },
    "tract_volume_ml": {
        "Description": "Volume of the tract: sum of its probabilities times the voxel volume",
        "Units": "mL",
    },
    "raw_load_ml": {
        "Description": "Sum of the tract's probabilities inside the lesion times the voxel volume "
        "(Zhu et al. 2010); total: sum of the sides",
        "Units": "mL",
    },
    "fraction": {"Description": "raw_load_ml / tract_volume_ml (0-1)"},
    "weighted_load_ml": {
        "Description": "Weighted lesion load (Feng et al. 2015): the raw load of each axial slice "
        "times the ratio of the largest cross-section of the tract to the slice's own; total: sum "
        "of the sides",
        "Units": "mL",
    },
    "max_slice_load": {
        "Description": "Largest share of the tract's cross-section inside the lesion over axial "
        "slices (0-1); total: larger of the sides",
    },
    "category": {
        "Description": "Size of weighted_load_ml by the cut-offs of the tract's card, n/a for a "
        "load of 0; total: category of the affected side, that with the larger weighted_load_ml",
        "Levels": {
            "small": "Below the lower cut-off",
            "medium": "At least the lower, below the upper cut-off",
            "large": "At least the upper cut-off",
        },
    },
    "category_status": {
        "Description": "Whether the cut-offs were derived on this very tract map",
        "Levels": {
            "validated": "They were",
            "unvalidated": "They were not: read with caution",
            "own": "They were given by the user",
        },
    },
    "below_tract_fraction": {
        "Description": "Share of the lesion in the brainstem below the lowest slice of the tract, "
        "where the loads are blind to it (0-1); above 0, the loads may be too small",
    },
    **_probability_columns("raw_load", "Raw load"),
    **_probability_columns("weighted_load", "Weighted lesion load"),
}


def measure_loads(
    lesion_img: nib.Nifti1Image,
    tract: Mapping[str, nib.Nifti1Image],
    card: TractCard,
    probability_img: nib.Nifti1Image | None = None,
    min_component_mm3: float = 0,
) -> pd.DataFrame:
    """Measure the load of a lesion on a tract.

    With L the binary lesion, P the probability of one side, v the voxel volume (ml) and
    A(z) = sum_xy P the cross-section of the side:

    - raw load (Zhu et al. 2010, Stroke 41:910-915): v sum L P; fraction: sum L P / sum P;
    - weighted load (Feng et al. 2015, Ann Neurol 78:860-870):
      v sum_z [max A / A(z)] sum_xy L P, without the slices where A(z) = 0;
    - largest slice load: max_z sum_xy L P / A(z).

    Parameters
    ----------
    lesion_img : nib.Nifti1Image
        Lesion mask on the grid of the template, in any axis order.
    tract : dict of str to nib.Nifti1Image
        ``L`` and ``R``, as :func:`bids_stroke.atlases.tracts.load_tract` gives them.
    card : TractCard
        The cut-offs.
    probability_img : nib.Nifti1Image, optional
        Lesion probability (0-1) on the same grid: raw and weighted load are measured at each of
        :data:`bids_stroke.atlases.loads.THRESHOLDS` as well, and with the probability in the place of
        L, which is their expected value.
    min_component_mm3 : float
        Smaller components are no lesion at a threshold either.

    Returns
    -------
    pandas.DataFrame
        Rows ``left``, ``right``, ``total``, indexed by ``side``; columns as in
        :data:`bids_stroke.atlases.loads.COLUMNS`.

    Raises
    ------
    ImageError
        If lesion and tract are not on one grid.
    """
    lesion = image.conform(lesion_img)
    voxel_ml = grid.voxel_volume(lesion) / 1000
    mask = np.asanyarray(lesion.dataobj) > 0
    left, right = (_side(tract, side, lesion) for side in "LR")
    table = _loads(mask, left, right, voxel_ml)
    of_sides = table.loc[["left", "right"], "weighted_load_ml"]
    categories = [_category(ml, card.cutoffs_ml) for ml in of_sides]
    table["category"] = [*categories, categories[int(of_sides.argmax())]]
    validated = "validated" if card.validated else "unvalidated"
    table["category_status"] = "own" if card.own_cutoffs else validated
    table["below_tract_fraction"] = [np.nan, np.nan, _below(lesion, left + right)]
    if probability_img is None:
        return table.reindex(columns=[name for name in COLUMNS if name != "side"])
    probability = data_on_grid(image.conform(probability_img), lesion, "lesion probability")
    lesions = {
        key: threshold(probability, value, min_component_mm3, 1000 * voxel_ml) > 0
        for key, value in THRESHOLDS.items()
    }
    loads = {
        key: _loads(weights, left, right, voxel_ml)
        for key, weights in (lesions | {"expected": probability}).items()
    }
    for name in ("raw_load", "weighted_load"):
        for key, of_key in loads.items():
            table[f"{name}_{key}_ml"] = of_key[f"{name}_ml"]
    return table


def slice_profile(lesion_img: nib.Nifti1Image, tract: Mapping[str, nib.Nifti1Image]) -> pd.DataFrame:
    """Share of each axial slice of a tract that is lesion: sum_xy L P / A(z).

    See :func:`bids_stroke.atlases.loads.measure_loads`.

    Returns
    -------
    pandas.DataFrame
        ``z_mm``, ascending, and ``left`` and ``right`` (0-1; 0 where a side has no tract); the
        slices that hold any of the tract.
    """
    lesion = image.conform(lesion_img)
    mask = np.asanyarray(lesion.dataobj) > 0
    table = pd.DataFrame({"z_mm": slice_heights(lesion)})
    covered = np.zeros(len(table), bool)
    for side, key in {"left": "L", "right": "R"}.items():
        probability = _side(tract, key, lesion)
        area = probability.sum((0, 1), dtype=float)
        hit = (mask * probability).sum((0, 1), dtype=float)
        table[side] = np.divide(hit, area, out=np.zeros_like(area), where=area > 0)
        covered |= area > 0
    return table[covered].reset_index(drop=True)


def _side(tract: Mapping[str, nib.Nifti1Image], key: str, lesion: nib.Nifti1Image) -> np.ndarray:
    """Probability of one side of a tract, on the grid of the lesion."""
    return data_on_grid(image.conform(tract[key]), lesion, "tract")


def _loads(lesion: np.ndarray, left: np.ndarray, right: np.ndarray, voxel_ml: float) -> pd.DataFrame:
    """Measure the load of a lesion mask, or of its probability, on both sides of a tract."""
    rows = {"left": _load(lesion, left, voxel_ml), "right": _load(lesion, right, voxel_ml)}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("side")
    total = table.sum()
    total["overlap_volume_ml"] = voxel_ml * np.count_nonzero(lesion * ((left > 0) | (right > 0)))
    total["fraction"] = _ratio(total["raw_load_ml"], total["tract_volume_ml"])
    total["max_slice_load"] = table["max_slice_load"].max()
    table.loc["total"] = total
    return table


def _load(lesion: np.ndarray, probability: np.ndarray, voxel_ml: float) -> dict[str, float]:
    """Measure the load of a lesion mask, or of its probability, on one side of a tract."""
    hit = lesion * probability
    area = probability.sum((0, 1), dtype=float)
    load = hit.sum((0, 1), dtype=float)
    share = load[area > 0] / area[area > 0]
    return {
        "overlap_volume_ml": voxel_ml * np.count_nonzero(hit),
        "tract_volume_ml": voxel_ml * area.sum(),
        "raw_load_ml": voxel_ml * load.sum(),
        "fraction": _ratio(load.sum(), area.sum()),
        "weighted_load_ml": voxel_ml * area.max() * share.sum(),
        "max_slice_load": share.max() if share.size else np.nan,
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else np.nan


def _category(weighted_ml: float, cutoffs: Cutoffs) -> str | float:
    """Name the size of a weighted load; NaN without a load."""
    if weighted_ml == 0:
        return np.nan
    if weighted_ml < cutoffs["lower"]:
        return "small"
    return "medium" if weighted_ml < cutoffs["upper"] else "large"


def _below(lesion: nib.Nifti1Image, probability: np.ndarray) -> float:
    """Share of a lesion in the brainstem below the lowest slice of the tract; NaN without a lesion."""
    voxels = np.argwhere(np.asanyarray(lesion.dataobj) > 0)
    covered = slice_heights(lesion)[probability.any((0, 1))]
    if not len(voxels) or not covered.size:
        return np.nan
    x, y, z = apply_affine(lesion.affine, voxels).T
    (left, right), (back, front) = BRAINSTEM_MM["x"], BRAINSTEM_MM["y"]
    inside = (x >= left) & (x <= right) & (y >= back) & (y <= front)
    return float(np.mean(inside & (z < covered.min())))
