"""Cells of published tables: means, intervals, and models with scores."""

import numpy as np
import pandas as pd

from . import statistics

MISSING = "–"


def models_with_scores(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """List the models with scores, and their rows."""
    return [
        (str(model), part) for model, part in rows.dropna(subset="dice").groupby("model", sort=False)
    ]


def decimals(name: str, other: int = 2) -> int:
    """Return the number of decimals of a score."""
    return 1 if "(mm)" in name else other


def mean(values: pd.Series, digits: int) -> str:
    """Format the mean of the finite values."""
    result = values.mean()
    return f"{result:.{digits}f}" if np.isfinite(result) else MISSING


def interval(part: pd.DataFrame, score: str) -> str:
    """Format the mean of a score with its interval."""
    summary = statistics.summarize(part[score], part["unit"])
    if not summary.n:
        return MISSING
    digits = decimals(score.replace("_mm", "(mm)"))
    return f"{summary.mean:.{digits}f} ({summary.low:.{digits}f}–{summary.high:.{digits}f})"
