"""Lesion-symptom maps: voxel-wise, region-wise and tract-wise tests of the relation to an outcome."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage, sparse, stats

from bids_stroke.errors import DatasetError

from .lesion_matrix import LesionMatrix
from .measures import Measure
from .permutation import TWO_SIDED, Inference, LinearModel, Regression, directed, infer

ALPHA = 0.05
#: Default smallest number of participants with a lesion in a tested voxel, and its share of all.
MIN_OVERLAP, MIN_OVERLAP_SHARE = 5, 0.05
#: Effect whose power is mapped, in residual standard deviations of the outcome.
POWER_EFFECT = 0.5
#: Number of thresholds of TFCE, from 0 to the largest t value.
TFCE_STEPS = 100
#: The columns of :func:`bids_stroke.cohort.symptom_maps.fit_measures`.
COLUMNS: dict[str, dict[str, object]] = {
    "outcome": {"Description": "Column of the outcome"},
    "family": {
        "Description": "Measures whose p values are corrected together: tracts, or the regions of the "
        "atlas with this atlas- entity"
    },
    "measure": {"Description": "Column of group_lesion.tsv, or the name of a region"},
    "n": {"Description": "Number of participants"},
    "n_nonzero": {"Description": "Number of participants with a measure above 0"},
    "effect": {
        "Description": "Regression coefficient, given the lesion volume, its logarithm and the "
        "covariates: change of the coded outcome per ml of a load, or if the whole region or "
        "cross-section is lesioned"
    },
    "t": {"Description": "t value of the effect"},
    "df": {"Description": "Residual degrees of freedom"},
    "p": {
        "Description": "p value of the t distribution, not corrected; one-sided if the worse values of "
        "the outcome are given"
    },
    "p_fwe": {
        "Description": "p value of the effect, corrected for the number of measures of the family "
        "(permutations of Freedman and Lane 1983, maximum t); one-sided with --worse"
    },
}


@dataclass(frozen=True)
class Permutations:
    """Options of permutation tests.

    Attributes
    ----------
    number : int
    direction : int
        Sign of the tested effects; 0 for both.
    min_overlap : int
        Smallest number of participants with and without a lesion in a tested voxel, and with a lesion
        in a tested region or tract.
    tfce : bool
        Whether the t values of voxels are also enhanced.
    jobs : int
        Number of processes.
    progress : callable
        Called with the number of permutations of each block.
    """

    number: int
    direction: int
    min_overlap: int
    tfce: bool = False
    jobs: int = 1
    progress: Callable[[int], object] = lambda done: None


@dataclass(frozen=True)
class SymptomMap:
    """Voxel-wise tests.

    Attributes
    ----------
    voxels : ndarray, (tested voxels,)
        Indices of the tested voxels.
    overlap : ndarray, (tested voxels,)
        Number of participants with a lesion in each voxel.
    regression : Regression
    inference : Inference
    enhanced : Inference, optional
        Inference on the TFCE scores.
    direction : int
        Sign of the tested effects; 0 for both.
    """

    voxels: NDArray[np.intp]
    overlap: NDArray[np.intp]
    regression: Regression
    inference: Inference
    enhanced: Inference | None
    direction: int

    @property
    def critical(self) -> float | None:
        """Critical t value; None for too few permutations."""
        critical = self.inference.critical(ALPHA)
        return critical if np.isfinite(critical) else None

    @property
    def power(self) -> NDArray[np.float64]:
        """Probability that an effect of :data:`POWER_EFFECT` exceeds the corrected critical t value."""
        critical = self.inference.critical(ALPHA)
        shift = POWER_EFFECT * self.regression.residual_norm
        return np.asarray(stats.nct.sf(critical, self.regression.df, shift))


def default_min_overlap(participants: int) -> int:
    """Return the default smallest number of lesions: the larger of 5 and 5% of the participants.

    >>> default_min_overlap(40), default_min_overlap(658)
    (5, 33)
    """
    return max(MIN_OVERLAP, int(np.ceil(MIN_OVERLAP_SHARE * participants)))


def fit_voxels(
    matrix: LesionMatrix,
    outcome: NDArray[np.float64],
    nuisance: NDArray[np.float64],
    options: Permutations,
) -> SymptomMap:
    """Test the relation of the lesion of each voxel to an outcome.

    Parameters
    ----------
    matrix : LesionMatrix
        Lesions of the participants.
    outcome : ndarray, (participants,)
    nuisance : ndarray, (participants, variables)
        Lesion volume and covariates.
    options : Permutations

    Raises
    ------
    DatasetError
        If no voxel can be tested.
    """
    overlap = np.diff(matrix.lesions.indptr)
    testable = (overlap >= options.min_overlap) & (len(outcome) - overlap >= options.min_overlap)
    model = LinearModel(matrix.lesions[:, testable], outcome, nuisance)
    estimable = np.isfinite(model.fit().residual_norm)
    voxels = np.flatnonzero(testable)[estimable]
    if not len(voxels):
        raise DatasetError(
            f"No voxel is lesioned in at least {options.min_overlap} of {len(outcome)} participants "
            f"and intact in at least {options.min_overlap}; use a smaller --min-overlap, or more "
            "participants."
        )
    model = LinearModel(matrix.lesions[:, voxels], outcome, nuisance)
    enhance = TFCE.of(matrix.grid, voxels, options.direction) if options.tfce else None
    inference, enhanced = infer(
        model, options.number, options.direction, enhance, options.jobs, options.progress
    )
    return SymptomMap(voxels, overlap[voxels], model.fit(), inference, enhanced, options.direction)


@dataclass(frozen=True)
class TFCE:
    """Threshold-free cluster enhancement (Smith and Nichols 2009).

    Scores of Nilearn lack the step between thresholds, a factor that depends on the largest t value: a
    stronger effect elsewhere would hide an effect.

    Attributes
    ----------
    positions : tuple of ndarray, (voxels,)
        Indices of the voxels along each axis.
    direction : int
        Sign of the tested effects; 0 for both.
    """

    positions: tuple[NDArray[np.intp], ...]
    direction: int

    @classmethod
    def of(cls, grid: nib.Nifti1Image, voxels: NDArray[np.intp], direction: int) -> Self:
        """Create the enhancement of the voxels of a grid, cropped to their bounding box."""
        axes = np.unravel_index(voxels, grid.shape)
        return cls(tuple(axis - axis.min() for axis in axes), direction)

    def __call__(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        from nilearn.mass_univariate._utils import calculate_tfce

        sign = self.direction or 1
        volume = np.zeros([axis.max() + 1 for axis in self.positions])
        volume[self.positions] = sign * t
        step = float(directed(t, self.direction).max()) / TFCE_STEPS
        if step <= 0:
            return np.zeros_like(t)
        structure = ndimage.generate_binary_structure(3, 1)
        is_two_sided = self.direction == TWO_SIDED
        scores = calculate_tfce(volume[..., None], structure, dh=step, two_sided_test=is_two_sided)
        return np.asarray(sign * step * scores[..., 0][self.positions])


def fit_measures(
    outcome: str,
    values: NDArray[np.float64],
    measures: Sequence[Measure],
    nuisance: NDArray[np.float64],
    options: Permutations,
) -> pd.DataFrame:
    """Test the relation of tract loads and region shares to an outcome, by family.

    Parameters
    ----------
    outcome : str
        Name of the outcome.
    values : ndarray, (participants,)
    measures : sequence of Measure
        Measures of the same participants. Measures with missing values, or above 0 in fewer than
        ``options.min_overlap`` participants, are not tested.
    nuisance : ndarray, (participants, variables)
        Lesion volume and covariates.
    options : Permutations

    Returns
    -------
    pandas.DataFrame
        Columns as in :data:`bids_stroke.cohort.symptom_maps.COLUMNS`.
    """
    families: dict[str | None, list[Measure]] = {}  # None: the tracts
    for measure in measures:
        if measure.kind != "volume":
            families.setdefault(measure.atlas, []).append(measure)
    rows = [
        {"outcome": outcome} | row
        for family, members in families.items()
        for row in _fit_family(family or "tracts", members, values, nuisance, options)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _fit_family(
    family: str,
    measures: Sequence[Measure],
    values: NDArray[np.float64],
    nuisance: NDArray[np.float64],
    options: Permutations,
) -> list[dict[str, object]]:
    """Test the measures that are corrected together."""
    rows: list[dict[str, object]] = [
        {
            "family": family,
            "measure": measure.name,
            "n": int(np.isfinite(measure.values).sum()),
            "n_nonzero": int((measure.values > 0).sum()),
        }
        for measure in measures
    ]
    tested = [
        position
        for position, measure in enumerate(measures)
        if np.isfinite(measure.values).all() and (measure.values > 0).sum() >= options.min_overlap
    ]
    if not tested:
        return rows
    units = np.column_stack([measures[position].values for position in tested])
    model = LinearModel(sparse.csc_array(units), values, nuisance)
    regression = model.fit()
    p = regression.p(options.direction)
    inference, _ = infer(model, options.number, options.direction)
    for column, position in enumerate(tested):
        rows[position] |= {
            "effect": regression.effect[column],
            "t": regression.t[column],
            "df": regression.df,
            "p": p[column],
            "p_fwe": inference.p[column],
        }
    return rows
