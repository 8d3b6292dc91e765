"""Robust statistics: location and spread from medians; NaN where there is nothing to measure."""

import numpy as np
import pandas as pd


def median_or_nan(values: np.ndarray) -> float:
    """Median, NaN of nothing."""
    return float(np.median(values)) if values.size else np.nan


def ratio_or_nan(part: float, whole: float) -> float:
    """Ratio of two numbers, NaN where the denominator is 0."""
    return float(part / whole) if whole else np.nan


def robust_sd(values: np.ndarray) -> float:
    """Standard deviation estimated from the median absolute deviation, NaN of nothing."""
    return 1.4826 * median_or_nan(np.abs(values - median_or_nan(values)))


def robust_z(values: pd.Series) -> pd.Series:
    """Distance of each value from the median in robust standard deviations.

    0.6745 (x - median) / MAD (Iglewicz and Hoaglin 1993); where more than half of the values are
    equal, the mean absolute deviation times 1.2533 takes the place of MAD / 0.6745.

    Parameters
    ----------
    values : pandas.Series
        NaN where there is no value.

    Returns
    -------
    pandas.Series
        NaN where there is no value, 0 where all are equal.
    """
    away = values - values.median()
    scale = away.abs().median() / 0.6745 or 1.2533 * away.abs().mean()
    return away / scale if scale else away
