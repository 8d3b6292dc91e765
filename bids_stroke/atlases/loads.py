"""Lesion load of a tract: raw load, weighted load, and largest share of a cross-section."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine, voxel_sizes
from numpy.typing import NDArray

from bids_stroke.lesion.measurements import hemisphere
from bids_stroke.lesion.postprocessing import threshold
from bids_stroke.spatial import grid, image
from bids_stroke.spatial.grid import data_on_grid

from .load_columns import (
    COLUMNS,
    LOADS,
    MIN_PEAK,
    REGISTRATION_ERROR_MM,
    ROWS,
    THRESHOLDS,
    error_column,
)
from .tract_cards import Cutoffs, TractCard
from .tracts import slice_positions

# Brainstem in template coordinates. Maps of the corticospinal tract that end in the pons miss its lower
# part there. A limit on z alone would flag every stroke of the temporal pole or cerebellum.
BRAINSTEM_MM = {"x": (-15, 15), "y": (-50, -8)}
_OPPOSITE = {"left": "right", "right": "left"}


def measure_loads(
    lesion_img: nib.Nifti1Image,
    tract: Mapping[str, nib.Nifti1Image],
    card: TractCard,
    probability_img: nib.Nifti1Image | None = None,
    min_component_mm3: float = 0,
) -> pd.DataFrame:
    """Measure the lesion load of a tract.

    With L the binary lesion, P the probability of one side, v the voxel volume (ml), z the position
    along the tract's axis and A(z) = sum_xy P the cross-section of the side:

    - raw load (Zhu et al. 2010, Stroke 41:910-915): v sum L P; fraction: sum L P / sum P;
    - weighted load (Feng et al. 2015, Ann Neurol 78:860-870):
      v sum_z [max A / A(z)] sum_xy L P, without the slices where A(z) = 0;
    - largest share of a cross-section: max_z sum_xy L P / A(z), over the slices in which P reaches
      :data:`bids_stroke.atlases.load_columns.MIN_PEAK`.

    Zhu and Feng counted the voxels of a tract above a threshold. Here, a cross-section is a sum of
    probabilities.

    Parameters
    ----------
    lesion_img : nib.Nifti1Image
        Lesion mask on the grid of the template, in any axis order.
    tract : dict of str to nib.Nifti1Image
        Tract probability of the sides ``L`` and ``R``, from
        :func:`bids_stroke.atlases.tracts.load_tract`.
    card : TractCard
        States the axis and the cut-offs.
    probability_img : nib.Nifti1Image, optional
        Lesion probability (0-1) on the same grid. The raw and the weighted load are also measured at
        each of :data:`bids_stroke.atlases.load_columns.THRESHOLDS`, and with the probability instead
        of L, which gives their expected value.
    min_component_mm3 : float
        Smallest volume of a lesion component at these thresholds.

    Returns
    -------
    pandas.DataFrame
        Rows ``left``, ``right``, ``ipsilesional``, ``contralesional`` and ``total``, indexed by
        ``side``; columns as in :data:`bids_stroke.atlases.load_columns.COLUMNS`.

    Raises
    ------
    ImageError
        If lesion and tract are on different grids.

    Examples
    --------
    The left tract has cross-sections of one and two voxels of 8 mm³. The lesion transects the first.

    >>> left, right, lesion = np.zeros((3, 4, 1, 2), np.float32)
    >>> left[0, 0, 0], left[0:2, 0, 1], right[2, 0], lesion[0, 0, 0] = 1, 1, 1, 1
    >>> images = [nib.Nifti1Image(array, np.diag([2, 2, 2, 1])) for array in (left, right, lesion)]
    >>> card = TractCard(name="tract", atlas="Tract", file="map.nii.gz", space="MNI152NLin6Asym")
    >>> table = measure_loads(images[2], {"L": images[0], "R": images[1]}, card)
    >>> table[list(LOADS)].loc["left"].round(3).to_dict()
    {'raw_load_ml': 0.008, 'weighted_load_ml': 0.016, 'max_slice_load': 1.0}
    """
    lesion = image.conform(lesion_img)
    voxel_ml = grid.voxel_volume(lesion) / 1000
    mask = np.asanyarray(lesion.dataobj) > 0
    sides = [_Side.of(_probability(tract, key, lesion), card.axis) for key in "LR"]
    measure = partial(_loads, sides=sides, voxel_ml=voxel_ml)
    voxels = np.argwhere(mask)
    table = measure(voxels)
    table["category"] = [_category(ml, card.cutoffs_ml) for ml in table["weighted_load_ml"]]
    table["below_tract_fraction"] = [np.nan, np.nan, _below_tract_fraction(lesion, voxels, sides)]
    table = table.join(_registration_errors(voxels, table, lesion, measure))
    if probability_img is not None:
        probability = data_on_grid(image.conform(probability_img), lesion, "lesion probability")
        table = table.join(_probability_loads(probability, min_component_mm3, 1000 * voxel_ml, measure))
    table = _with_lesion_side(table, hemisphere(apply_affine(lesion.affine, voxels)[:, 0]))
    table["category_status"] = _category_status(card)
    return table.reindex(columns=[name for name in COLUMNS if name != "side"])


def _registration_errors(
    voxels: np.ndarray,
    table: pd.DataFrame,
    lesion: nib.Nifti1Image,
    measure: Callable[[np.ndarray], pd.DataFrame],
) -> pd.DataFrame:
    """Measure the largest change of each load when the lesion is shifted by a millimeter."""
    steps = np.rint(REGISTRATION_ERROR_MM / voxel_sizes(lesion.affine)).astype(int)
    shifts = [sign * np.diag(steps)[axis] for axis in range(3) for sign in (-1, 1)]
    shifted = [measure(_inside(voxels + shift, lesion.shape))[list(LOADS)] for shift in shifts]
    largest = np.max([(other - table[list(LOADS)]).abs() for other in shifted], axis=0)
    return pd.DataFrame(largest, table.index, [error_column(load) for load in LOADS])


def _inside(voxels: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Select the voxels inside a grid."""
    return voxels[((voxels >= 0) & (voxels < shape)).all(1)]


def _probability_loads(
    probability: np.ndarray,
    min_component_mm3: float,
    voxel_mm3: float,
    measure: Callable[..., pd.DataFrame],
) -> pd.DataFrame:
    """Measure the loads of the lesion probability: at each threshold, and the expected value."""
    loads = {
        key: measure(np.argwhere(threshold(probability, value, min_component_mm3, voxel_mm3)))
        for key, value in THRESHOLDS.items()
    }
    loads["expected"] = measure(np.argwhere(probability > 0), probability[probability > 0])
    columns = {
        f"{name}_{key}_ml": loads_of_key[f"{name}_ml"]
        for name in ("raw_load", "weighted_load")
        for key, loads_of_key in loads.items()
    }
    return pd.DataFrame(columns)


def _with_lesion_side(table: pd.DataFrame, side: str | float) -> pd.DataFrame:
    """Add the lesion side, the ipsilesional and contralesional rows, and the category of the total."""
    opposite = _OPPOSITE.get(str(side))
    relative_sides = [str(side), opposite] if opposite else ["unknown", "unknown"]
    result = table.reindex(["left", "right", *relative_sides, "total"])
    result.index = pd.Index(ROWS, name="side")
    result["lesion_side"] = side
    left, right, ipsilesional, contralesional, _ = result["category"]
    total = ipsilesional
    if side == "bilateral" and result["category"].notna().any():
        total = "bilateral"
    result["category"] = [left, right, ipsilesional, contralesional, total]
    return result


def slice_profile(
    lesion_img: nib.Nifti1Image, tract: Mapping[str, nib.Nifti1Image], axis: str = "z"
) -> pd.DataFrame:
    """Measure the share of each cross-section of a tract that the lesion covers: sum_xy L P / A(z).

    See :func:`bids_stroke.atlases.loads.measure_loads`.

    Returns
    -------
    pandas.DataFrame
        ``position_mm`` along the axis, ascending, and the shares ``left`` and ``right`` (0-1), for
        the slices that count for ``max_slice_load`` on at least one side. The share of a side is 0 in
        slices that do not count for it.
    """
    lesion = image.conform(lesion_img)
    voxels = np.argwhere(np.asanyarray(lesion.dataobj) > 0)
    table = pd.DataFrame({"position_mm": slice_positions(lesion, axis)})
    counted = np.zeros(len(table), bool)
    for name, key in {"left": "L", "right": "R"}.items():
        side = _Side.of(_probability(tract, key, lesion), axis)
        table[name] = np.where(side.counts, side.shares(side.overlap(voxels)), 0)
        counted |= side.counts
    return table[counted].reset_index(drop=True)


def _probability(
    tract: Mapping[str, nib.Nifti1Image], key: str, lesion: nib.Nifti1Image
) -> NDArray[np.float32]:
    """Return the probability of one side of a tract on the grid of the lesion."""
    return data_on_grid(image.conform(tract[key]), lesion, "tract")


@dataclass(frozen=True)
class _Side:
    """One side of a tract.

    ``probability`` is its map, ``axis`` the axis along which it runs, ``area`` the area of each
    cross-section (a sum of probabilities). ``counts`` states whether a slice counts for the largest
    share.
    """

    probability: NDArray[np.float32]
    axis: str | None
    area: NDArray[np.float64]
    counts: NDArray[np.bool_]

    @classmethod
    def of(cls, probability: NDArray[np.float32], axis: str | None) -> "_Side":
        others = tuple(number for number, name in enumerate("xyz") if name != (axis or "z"))
        area = probability.sum(others, dtype=float)
        return cls(probability, axis, area, probability.max(others) >= MIN_PEAK)

    def overlap(self, voxels: np.ndarray, weights: np.ndarray | float = 1.0) -> NDArray[np.float64]:
        """Sum the tract probabilities inside a lesion for each cross-section."""
        inside = self.probability[tuple(voxels.T)] * weights
        positions = voxels[:, "xyz".index(self.axis or "z")]
        return np.bincount(positions, inside, minlength=len(self.area)).astype(np.float64)

    def shares(self, overlap: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the covered share of each cross-section."""
        return np.divide(overlap, self.area, out=np.zeros_like(self.area), where=self.area > 0)


def _loads(
    voxels: np.ndarray,
    weights: np.ndarray | float = 1.0,
    *,
    sides: Sequence[_Side],
    voxel_ml: float,
) -> pd.DataFrame:
    """Measure the loads of both sides for the voxels of a lesion and their weights."""
    rows = [_load(voxels, weights, side, voxel_ml) for side in sides]
    table = pd.DataFrame(rows, index=["left", "right"])
    total = table.sum(skipna=sides[0].axis is not None)
    covered = np.any([side.probability[tuple(voxels.T)] > 0 for side in sides], axis=0)
    total["overlap_volume_ml"] = voxel_ml * np.count_nonzero(covered)
    total["fraction"] = _ratio(total["raw_load_ml"], total["tract_volume_ml"])
    total["max_slice_load"] = table["max_slice_load"].max()
    table.loc["total"] = total
    return table


def _load(
    voxels: np.ndarray, weights: np.ndarray | float, side: _Side, voxel_ml: float
) -> dict[str, float]:
    """Measure the loads of one side of a tract."""
    overlap = side.overlap(voxels, weights)
    shares = side.shares(overlap)
    counted = shares[side.counts]
    measured = {
        "overlap_volume_ml": voxel_ml * np.count_nonzero(side.probability[tuple(voxels.T)] > 0),
        "tract_volume_ml": voxel_ml * side.area.sum(),
        "raw_load_ml": voxel_ml * overlap.sum(),
        "fraction": _ratio(overlap.sum(), side.area.sum()),
        "weighted_load_ml": voxel_ml * side.area.max() * shares.sum(),
        "max_slice_load": counted.max() if counted.size else np.nan,
    }
    if side.axis:
        return measured
    return measured | {"weighted_load_ml": np.nan, "max_slice_load": np.nan}


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else np.nan


def _category(weighted_ml: float, cutoffs: Cutoffs | None) -> str | float:
    """Return the category of a weighted load; NaN for a load of 0 or without cut-offs."""
    if cutoffs is None or not weighted_ml > 0:
        return np.nan
    if weighted_ml < cutoffs["lower"]:
        return "small"
    return "medium" if weighted_ml < cutoffs["upper"] else "large"


def _category_status(card: TractCard) -> str:
    """Return the origin of the cut-offs of a tract."""
    if card.cutoffs_ml is None:
        return "none"
    if card.own_cutoffs:
        return "own"
    return "validated" if card.validated else "unvalidated"


def _below_tract_fraction(lesion: nib.Nifti1Image, voxels: np.ndarray, sides: Sequence[_Side]) -> float:
    """Measure the share of a lesion in the brainstem below the tract; NaN for an empty mask."""
    covered = np.any([side.probability.any((0, 1)) for side in sides], axis=0)
    if not len(voxels) or not covered.any():
        return np.nan
    x, y, z = apply_affine(lesion.affine, voxels).T
    (left, right), (back, front) = BRAINSTEM_MM["x"], BRAINSTEM_MM["y"]
    inside = (x >= left) & (x <= right) & (y >= back) & (y <= front)
    return float(np.mean(inside & (z < slice_positions(lesion)[covered].min())))
