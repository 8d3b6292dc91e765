"""Agreement of raters: Cohen's and Fleiss' kappa."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

RESAMPLES = 1000


@dataclass(frozen=True)
class Agreement:
    """Agreement of raters on the sessions that all of them rated.

    Attributes
    ----------
    raters : tuple of str
    sessions : int
        Number of sessions.
    identical : float
        Share of the sessions with identical ratings (0-1).
    kappa : float
        Cohen's kappa of two raters, Fleiss' kappa of more; NaN if all ratings are the same.
    low, high : float
        Limits of the 95% percentile bootstrap interval of kappa over sessions.
    """

    raters: tuple[str, ...]
    sessions: int
    identical: float
    kappa: float
    low: float
    high: float

    @property
    def name(self) -> str:
        """Name of kappa."""
        return "Cohen's kappa" if len(self.raters) == 2 else "Fleiss' kappa"


def agreement(verdicts: pd.DataFrame) -> Agreement | None:
    """Compute the agreement of raters.

    Parameters
    ----------
    verdicts : pandas.DataFrame
        Whether each rater (columns) rejects each session (rows), from
        :func:`bids_stroke.qc.ratings.verdicts`.

    Returns
    -------
    Agreement or None
        None if no session was rated by all raters, or if there is only one rater.
    """
    complete = verdicts.dropna().to_numpy(bool)
    number, raters = complete.shape
    if raters < 2 or not number:
        return None
    draws = np.random.default_rng(0).integers(number, size=(RESAMPLES, number))
    resampled = [kappa(complete[rows]) for rows in draws]
    finite = [value for value in resampled if np.isfinite(value)] or [np.nan]
    low, high = np.round(np.percentile(finite, (2.5, 97.5)), 6) + 0.0  # no negative zero
    return Agreement(
        raters=tuple(map(str, verdicts.columns)),
        sessions=number,
        identical=float((complete == complete[:, :1]).all(axis=1).mean()),
        kappa=kappa(complete),
        low=float(low),
        high=float(high),
    )


def kappa(rejects: NDArray[np.bool_]) -> float:
    """Compute the agreement of raters beyond chance.

    This is the kappa of Cohen (1960) for two raters, which estimates the agreement by chance from the
    ratings of each, and that of Fleiss (1971) for more, which estimates it from all ratings.

    Parameters
    ----------
    rejects : (sessions, raters) bool array
        Whether each rater rejects each session.

    Returns
    -------
    float
        NaN if all ratings are the same.

    Examples
    --------
    >>> kappa(np.array([[1, 1], [1, 0], [0, 0], [0, 0]], bool))
    0.5
    """
    _, raters = rejects.shape
    number = rejects.sum(axis=1)
    pairs = number * (number - 1) + (raters - number) * (raters - number - 1)
    observed = (pairs / (raters * (raters - 1))).mean()
    shares = rejects.mean(axis=0) if raters == 2 else np.full(raters, rejects.mean())
    chance = shares[0] * shares[1] + (1 - shares[0]) * (1 - shares[1])
    return float((observed - chance) / (1 - chance)) if chance < 1 else np.nan
