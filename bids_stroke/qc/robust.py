"""Robust statistics based on medians; NaN for empty input."""

import numpy as np
import pandas as pd


def median_or_nan(values: np.ndarray) -> float:
    """Return the median; NaN for an empty array."""
    return float(np.median(values)) if values.size else np.nan


def ratio_or_nan(numerator: float, denominator: float) -> float:
    """Return the ratio of two numbers; NaN if the denominator is 0."""
    return float(numerator / denominator) if denominator else np.nan


def robust_sd(values: np.ndarray) -> float:
    """Estimate the standard deviation from the median absolute deviation; NaN for an empty array.

    >>> robust_sd(np.array([9.0, 10.0, 11.0, 500.0]))
    1.4826
    """
    return 1.4826 * median_or_nan(np.abs(values - median_or_nan(values)))


def robust_z(values: pd.Series) -> pd.Series:
    """Return the distance of each value from the median in robust standard deviations.

    0.6745 (x - median) / MAD (Iglewicz and Hoaglin 1993); if more than half of the values are
    equal, the mean absolute deviation times 1.2533 replaces MAD / 0.6745.

    Parameters
    ----------
    values : pandas.Series
        Missing values are NaN.

    Returns
    -------
    pandas.Series
        NaN for missing values; 0 if all values are equal.

    Examples
    --------
    >>> robust_z(pd.Series([9.0, 10.0, 11.0, 30.0, 10.0])).round(1).tolist()
    [-0.7, 0.0, 0.7, 13.5, 0.0]
    """
    deviations = values - values.median()
    scale = deviations.abs().median() / 0.6745 or 1.2533 * deviations.abs().mean()
    return deviations / scale if scale else deviations
