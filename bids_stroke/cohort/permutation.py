"""Mass-univariate regression with permutations, for many sparse predictors.

Each unit (a voxel, region or tract) is tested in the linear model

    outcome = effect * unit + nuisance variables + error.

Permutations follow Freedman and Lane (1983): the residuals of the outcome given the nuisance variables
are permuted and fitted to the full model (Winkler et al. 2014, NeuroImage 92:381-397). The t value of a
unit is a function of its partial correlation r with the outcome, t = r sqrt(df / (1 - r²)). With M the
projection onto the residuals, y the residuals of the outcome, permuted or not, and x the unit,
r = (M y)' x / (|M y| |M x|), because M is symmetric and idempotent. Only products of the predictors
with residuals are therefore computed, and sparse predictors remain sparse.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse, stats

#: Direction of the tested effects: 0 for both directions, otherwise their sign.
TWO_SIDED = 0
SEED = 0
#: Scores that differ by less, relative to scores above 1, are equal: the last digits depend on the
#: order of summation.
TOLERANCE = 1e-9
#: Smallest share of the sum of squares of a unit that the nuisance variables must not explain.
MIN_RESIDUAL = 1e-8
#: Smallest norm of a centered nuisance variable, relative to its norm; less is rounding of a constant.
MIN_VARIATION = 1e-10
#: Smallest unexplained share of the variance: the t value of a perfect correlation is finite.
MIN_UNEXPLAINED = 1e-12
#: Size of the arrays of permuted scores, in bytes.
BLOCK_BYTES = 2**26

#: Maps the t values of all units to enhanced scores, such as those of TFCE.
Enhancement = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Regression:
    """Estimates of each unit; NaN for a unit that is a combination of the nuisance variables.

    Attributes
    ----------
    t : ndarray, (units,)
    effect : ndarray, (units,)
        Regression coefficient.
    residual_norm : ndarray, (units,)
        Norm of the residuals of the unit given the nuisance variables. The standard error of the effect
        is the residual standard deviation divided by this norm.
    df : int
        Residual degrees of freedom.
    """

    t: NDArray[np.float64]
    effect: NDArray[np.float64]
    residual_norm: NDArray[np.float64]
    df: int

    def p(self, direction: int = TWO_SIDED) -> NDArray[np.float64]:
        """Return the p values of the t distribution, not corrected for the number of units.

        ``direction`` is the sign of the tested effects; 0 for both.
        """
        sides = 2 if direction == TWO_SIDED else 1
        return sides * stats.t.sf(directed(self.t, direction), self.df)


@dataclass(frozen=True)
class Inference:
    """Family-wise corrected inference from the distribution of the maximum score.

    Attributes
    ----------
    scores : ndarray, (units,)
        t values, or enhanced scores.
    p : ndarray, (units,)
        Corrected p values, (1 + number of permutations whose maximum reaches the score) / (1 + number
        of permutations) (Phipson and Smyth 2010).
    maxima : ndarray, (permutations,)
        Maximum score of each permutation; of the absolute scores for tests in both directions.
    """

    scores: NDArray[np.float64]
    p: NDArray[np.float64]
    maxima: NDArray[np.float64]

    def critical(self, alpha: float = 0.05) -> float:
        """Return the score above which corrected p values are at most ``alpha``; infinity if the number
        of permutations is too small."""
        number = len(self.maxima)
        allowed = int(np.floor(alpha * (number + 1) * (1 + TOLERANCE))) - 1
        return float(np.sort(self.maxima)[number - allowed - 1]) if allowed >= 0 else np.inf


class LinearModel:
    """Linear models of an outcome with each of many units and with nuisance variables.

    Parameters
    ----------
    units : scipy.sparse.csc_array, (participants, units)
    outcome : ndarray, (participants,)
    nuisance : ndarray, (participants, variables)
        Nuisance variables; an intercept is added.

    Raises
    ------
    ValueError
        If no residual degrees of freedom remain.

    Examples
    --------
    >>> units = sparse.csc_array(np.array([[0.0], [0], [1], [1]]))
    >>> model = LinearModel(units, np.array([1.0, 3, 4, 6]), np.empty((4, 0)))
    >>> result = model.fit()
    >>> result.effect.round(3).tolist(), result.t.round(3).tolist(), result.df
    ([3.0], [2.121], 2)
    """

    def __init__(
        self, units: sparse.csc_array, outcome: NDArray[np.float64], nuisance: NDArray[np.float64]
    ) -> None:
        self._basis = _orthonormal_basis(nuisance)
        self.df = len(outcome) - self._basis.shape[1] - 1
        if self.df < 1:
            raise ValueError("no residual degrees of freedom remain")
        self._units = units.T.tocsr()
        self._norms = _residual_norms(units, self._basis)
        self._outcome = self._residuals(outcome)

    def _residuals(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the residuals of columns given the nuisance variables."""
        return values - self._basis @ (self._basis.T @ values)

    def fit(self) -> Regression:
        """Fit all models."""
        correlations = self._correlations(self._outcome[:, None])[:, 0]
        effect = correlations * np.linalg.norm(self._outcome) / self._norms
        return Regression(self._t_values(correlations), effect, self._norms, self.df)

    def _correlations(self, residuals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Correlate the residuals of each unit with columns of residuals, (units, columns)."""
        products = self._units @ residuals
        return products / self._norms[:, None] / np.linalg.norm(residuals, axis=0)

    def _t_values(self, correlations: NDArray[np.float64]) -> NDArray[np.float64]:
        return correlations * np.sqrt(self.df / np.maximum(1 - correlations**2, MIN_UNEXPLAINED))

    def permutations(self, number: int, seed: int = SEED) -> Iterator[NDArray[np.float64]]:
        """Yield blocks of t values of permuted residuals, (units, permutations in the block)."""
        rng = np.random.default_rng(seed)
        size = max(1, BLOCK_BYTES // (8 * max(self._units.shape)))
        for start in range(0, number, size):
            columns = range(min(size, number - start))
            permuted = np.column_stack([rng.permutation(self._outcome) for _ in columns])
            yield self._t_values(self._correlations(self._residuals(permuted)))


def infer(
    model: LinearModel,
    number: int,
    direction: int = TWO_SIDED,
    enhance: Enhancement | None = None,
    jobs: int = 1,
    progress: Callable[[int], object] = lambda done: None,
) -> tuple[Inference, Inference | None]:
    """Correct the p values of all units for their number by permutations.

    Parameters
    ----------
    model : LinearModel
    number : int
        Number of permutations.
    direction : int
        Sign of the tested effects; 0 for both.
    enhance : callable, optional
        Enhancement of the scores.
    jobs : int
        Number of processes that enhance scores.
    progress : callable
        Called with the number of permutations of each block.

    Returns
    -------
    tuple of (Inference, Inference or None)
        Inference on the t values, and on the enhanced scores.
    """
    t = model.fit().t
    maxima, enhanced_maxima = list[float](), list[float]()
    for block in model.permutations(number):
        maxima += (
            directed(block, direction).max(axis=0, initial=-np.inf, where=~np.isnan(block)).tolist()
        )
        if enhance:
            scores = _enhance_columns(enhance, block, jobs)
            enhanced_maxima += [float(np.nanmax(directed(score, direction))) for score in scores]
        progress(block.shape[1])
    plain = _corrected(t, np.array(maxima), direction)
    if not enhance:
        return plain, None
    return plain, _corrected(enhance(t), np.array(enhanced_maxima), direction)


def _enhance_columns(
    enhance: Enhancement, block: NDArray[np.float64], jobs: int
) -> list[NDArray[np.float64]]:
    """Enhance the scores of each permutation of a block."""
    if jobs == 1:
        return list(map(enhance, block.T))
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        return list(pool.map(enhance, block.T))


def directed(scores: NDArray[np.float64], direction: int) -> NDArray[np.float64]:
    """Return scores whose large values are extreme in the tested direction."""
    return np.abs(scores) if direction == TWO_SIDED else direction * scores


def _corrected(scores: NDArray[np.float64], maxima: NDArray[np.float64], direction: int) -> Inference:
    """Compute the corrected p values of scores from the maxima of the permutations."""
    ordered = np.sort(maxima)
    extreme = directed(scores, direction)
    tolerance = TOLERANCE * np.maximum(np.abs(extreme), 1)
    below = np.searchsorted(ordered, extreme - tolerance, side="left")
    p = (1 + len(ordered) - below) / (1 + len(ordered))
    return Inference(scores, np.where(np.isnan(scores), np.nan, p), maxima)


def _orthonormal_basis(nuisance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an orthonormal basis of the intercept and the nuisance variables."""
    centered = nuisance - nuisance.mean(axis=0)
    norms = np.linalg.norm(centered, axis=0)
    varying = norms > MIN_VARIATION * np.linalg.norm(nuisance, axis=0)
    intercept = np.full((len(nuisance), 1), len(nuisance) ** -0.5)
    if not varying.any():
        return intercept
    basis = linalg.orth(centered[:, varying] / norms[varying], rcond=1e-10)
    return np.hstack([intercept, basis])


def _residual_norms(units: sparse.csc_array, basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the norms of the residuals of each unit; NaN without residuals."""
    squares = units.multiply(units).sum(axis=0)
    explained = np.square(units.T @ basis).sum(axis=1)
    residual = squares - explained
    return np.sqrt(np.where(residual > MIN_RESIDUAL * squares, residual, np.nan))
