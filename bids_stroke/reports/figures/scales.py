"""Axes of plots: positions of values between the ends of an axis, and ticks.

Volumes have a logarithmic axis. Such an axis cannot show zero, which has a separate position at the
start of the axis, with the label "none".
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

NONE = 0.055  # position of zero, if it is separate
START = 0.22  # position of the lowest other value on such an axis
LOWEST_ML = 0.01  # lowest end of a volume axis; smaller volumes are drawn there
HIGHEST_START_ML = 0.1  # highest lower end of a volume axis
#: Position (0-1) and label of a tick.
Tick = tuple[float, str]


@dataclass(frozen=True)
class Scale:
    """Axis of a plot.

    Attributes
    ----------
    title : str
    low, high : float
        Values at the ends.
    column : str, optional
        Column of the values.
    is_log : bool
        Whether the axis is logarithmic.
    start : float
        Position of ``low``: 0, or :data:`START` if zero has a separate position.
    ticks : sequence of (float, str)
    """

    title: str
    low: float
    high: float
    column: str | None = None
    is_log: bool = False
    start: float = 0.0
    ticks: Sequence[Tick] = ()

    def position(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return the positions (0-1) of values; values beyond the ends are drawn at the ends.

        >>> Scale("", 0.1, 100, is_log=True, start=START).position([0, 0.1, 100]).round(3).tolist()
        [0.055, 0.22, 1.0]
        """
        values = np.asarray(values, float)
        clipped = np.clip(values, self.low, self.high)
        if self.is_log:
            share = np.log(clipped / self.low) / np.log(self.high / self.low)
        else:
            share = (clipped - self.low) / (self.high - self.low)
        positions = self.start + (1 - self.start) * share
        return np.where((values == 0) & (self.start > 0), NONE, positions)

    def describe(self) -> str:
        """Return the scale as JSON for the script of the page."""
        names = {"column": self.column, "low": self.low, "high": self.high, "log": self.is_log}
        return json.dumps({**names, "start": self.start, "none": NONE})


def volume_scale(title: str, column: str, values: pd.Series) -> Scale:
    """Create a logarithmic axis of volumes (ml), with ticks at powers of ten.

    The axis starts at 0.1 ml or, if there are smaller volumes, at 0.01 ml.
    """
    positive = values[values > 0]
    smallest = positive.min() if len(positive) else HIGHEST_START_ML
    low = HIGHEST_START_ML if smallest >= HIGHEST_START_ML else LOWEST_ML
    high = max(1.1 * positive.max(), 10 * HIGHEST_START_ML) if len(positive) else 10 * HIGHEST_START_ML
    powers = np.arange(round(np.log10(low)), np.floor(np.log10(high)) + 1)
    return _measure_scale(title, column, values, (low, high), (10.0**powers).tolist(), is_log=True)


def share_scale(title: str, column: str, values: pd.Series) -> Scale:
    """Create an axis of shares (0-1)."""
    return _measure_scale(title, column, values, (0.0, 1.0), [0, 0.2, 0.4, 0.6, 0.8, 1], is_log=False)


def _measure_scale(
    title: str,
    column: str,
    values: pd.Series,
    ends: tuple[float, float],
    ticks: Sequence[float],
    *,
    is_log: bool,
) -> Scale:
    """Create an axis on which zero has a separate position if there are zeros."""
    has_zeros = bool((values == 0).any())
    scale = Scale(title, *ends, column, is_log, START if has_zeros else 0.0)
    labels = _ticks(scale, [tick for tick in ticks if tick or not has_zeros])
    if ((values > 0) & (values < scale.low)).any():
        labels[0] = labels[0][0], f"≤ {labels[0][1]}"
    return replace(scale, ticks=[(NONE, "none"), *labels] if has_zeros else labels)


def number_scale(title: str, column: str, values: pd.Series) -> Scale:
    """Create a linear axis of numbers."""
    low, high = float(values.min()), float(values.max())
    margin = 0.03 * (high - low) or 1.0
    scale = Scale(title, low - margin, high + margin, column)
    return replace(scale, ticks=_ticks(scale, _round_numbers(scale.low, scale.high)))


def count_scale(title: str, maximum: int) -> Scale:
    """Create an axis of counts from 0, with integer ticks."""
    scale = Scale(title, 0.0, max(1.05 * maximum, 1.0))
    return replace(scale, ticks=_ticks(scale, _round_numbers(0, scale.high, smallest_step=1)))


def level_scale(title: str, labels: Sequence[str]) -> Scale:
    """Create an axis of categories at 0, 1, …, with their labels."""
    scale = Scale(title, -0.5, len(labels) - 0.5)
    positions = scale.position(range(len(labels))).tolist()
    return replace(scale, ticks=list(zip(positions, labels, strict=True)))


def _ticks(scale: Scale, values: Sequence[float]) -> list[Tick]:
    """Return the ticks at values, with plain numbers as labels."""
    return [(float(scale.position(value)), f"{value:.10g}") for value in values]


def _round_numbers(low: float, high: float, smallest_step: float = 0.0) -> list[float]:
    """Return about five multiples of 1, 2 or 5 times a power of ten from ``low`` to ``high``.

    >>> _round_numbers(28, 97), _round_numbers(0, 3, smallest_step=1)
    ([40.0, 60.0, 80.0], [0.0, 1.0, 2.0, 3.0])
    """
    rough = max((high - low) / 5, smallest_step)
    power = 10 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.999 * rough)
    first, last = int(np.ceil(low / step)), int(np.floor(high / step))
    return [float(step * number) for number in range(first, last + 1)]
