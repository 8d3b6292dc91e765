"""Calibration of a model: temperature of the probabilities and intervals of the lesion volume.

Temperature scaling divides the logits by one number, fitted on validation data (Guo et al., ICML
2017). Volume intervals are split-conformal (Lei et al., JASA 2018): quantiles of the errors on
validation data.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

_EDGE = 1e-6


@dataclass(frozen=True)
class Calibration:
    """Calibration of a model for one set of contrasts.

    Attributes
    ----------
    temperature : float
        Divisor of the logits.
    volume : dict of int to (float, float)
        Lowest and highest error (true minus predicted) of ``log(1 + volume in ml)`` for each coverage
        (percent).
    """

    temperature: float = 1.0
    volume: Mapping[int, tuple[float, float]] = field(default_factory=dict)

    def volume_interval(self, volume_ml: float, coverage: int) -> tuple[float, float]:
        """Return the interval (ml) of the true volume for a predicted volume.

        Examples
        --------
        >>> errors = {80: (-0.5, 1.0)}
        >>> low, high = Calibration(volume=errors).volume_interval(9.0, 80)
        >>> round(low, 2), round(high, 2)
        (5.07, 26.18)
        """
        low, high = (np.expm1(np.log1p(volume_ml) + error) for error in self.volume[coverage])
        return max(0.0, float(low)), float(high)


def scale(probability: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Divide the logits of probabilities by a temperature.

    Examples
    --------
    >>> print(scale(np.array([0.2, 0.5, 0.8], np.float32), 2.0).round(2))
    [0.33 0.5  0.67]
    """
    if temperature == 1:
        return probability
    odds = np.power(probability / np.clip(1 - probability, _EDGE, None), 1 / temperature)
    return (odds / (1 + odds)).astype(np.float32)


def fit_temperature(probability: ArrayLike, truth: ArrayLike) -> float:
    """Fit the temperature that minimizes the voxel-wise cross-entropy.

    Parameters
    ----------
    probability, truth : array-like, (n,)
        Uncalibrated lesion probability and true lesion label (bool) of each voxel.

    Returns
    -------
    float
    """
    clipped = np.clip(np.asarray(probability, float), _EDGE, 1 - _EDGE)
    logits, lesion = np.log(clipped / (1 - clipped)), np.asarray(truth, bool)

    def entropy(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, np.where(lesion, -scaled, scaled))))

    return float(np.exp(minimize_scalar(entropy, bounds=(-2, 2), method="bounded").x))


def fit_volume(predicted_ml: ArrayLike, true_ml: ArrayLike, coverage: int) -> tuple[float, float]:
    """Fit the interval that contains the error of a new lesion with at least the given ``coverage``.

    Parameters
    ----------
    predicted_ml, true_ml : array-like, (n,)
        Predicted and true volumes of the validation lesions.
    coverage : int
        Percent.

    Returns
    -------
    tuple of (float, float)
        Lowest and highest error of ``log(1 + volume)``. A bound is infinite if n is too small for it.
    """
    errors = np.sort(np.log1p(np.asarray(true_ml, float)) - np.log1p(np.asarray(predicted_ml, float)))
    tail = (1 - coverage / 100) / 2
    low = int(np.floor((len(errors) + 1) * tail + 1e-9))
    high = int(np.ceil((len(errors) + 1) * (1 - tail) - 1e-9))
    return (
        float(errors[low - 1]) if low >= 1 else -np.inf,
        float(errors[high - 1]) if high <= len(errors) else np.inf,
    )
