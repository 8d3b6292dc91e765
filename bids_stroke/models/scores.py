"""Allowed inputs of a model, and its expected accuracy by lesion size, from the model card."""

import re
from itertools import combinations
from typing import NamedTuple

from .ensembles import Model

#: End of the description of test data that states the size of lesions (ml).
_SIZE = re.compile(
    r"(?:^|, )(?P<size>(?P<sign>[<>]) (?P<limit>\d+\.?\d*) ml"
    r"|(?P<low>\d+\.?\d*)-(?P<high>\d+\.?\d*) ml)$"
)
#: Column of scores of lesions of any size.
_ANY_SIZE = "any size"


class _Size(NamedTuple):
    """Range of lesion sizes (ml), which sort by their limits."""

    low: float
    high: float
    text: str

    def contains(self, other: "_Size") -> bool:
        """Return whether another, smaller range is part of this one."""
        limits, others = (self.low, self.high), (other.low, other.high)
        return limits != others and self.low <= other.low and other.high <= self.high


class ExpectedDice(NamedTuple):
    """Mean Dice on test data.

    ``sizes`` are the ranges of lesion sizes in ascending order, without those that contain others of
    the same row.
    ``rows`` maps the description of lesions and the input contrasts to the Dice by size, and the
    number of lesions.
    """

    sizes: list[str]
    rows: dict[tuple[str, str], dict[str, tuple[float, int | None]]]


def allowed_inputs(model: Model) -> list[str]:
    """Return the sets of contrasts that a model accepts, such as ``T1w+FLAIR``, the largest first."""
    contrasts = [channel.contrast for channel in model.channels]
    groups = (g for number in range(len(contrasts), 0, -1) for g in combinations(contrasts, number))
    return ["+".join(group) for group in groups if model.accepts(group)]


def expected_dice(model: Model) -> ExpectedDice:
    """Return the mean Dice of the model card by lesion size, for the allowed inputs."""
    allowed = {frozenset(name.split("+")): name for name in allowed_inputs(model)}
    rows: dict[tuple[str, str], dict[_Size, tuple[float, int | None]]] = {}
    for row in model.measured:
        contrasts = allowed.get(frozenset(str(row.get("input")).split("+")))
        if not isinstance(row.get("dice"), int | float) or contrasts is None:
            continue
        description, size = _split(str(row.get("what", "")))
        scores = rows.setdefault((description, contrasts), {})
        scores[size] = float(row["dice"]), row.get("n")
    smallest = {
        size
        for scores in rows.values()
        for size in scores
        if not any(size.contains(other) for other in scores)
    }
    texts = {key: {size.text: score for size, score in scores.items()} for key, scores in rows.items()}
    ordered = sorted(smallest, key=lambda size: (size.text == _ANY_SIZE, size))
    return ExpectedDice([size.text for size in ordered], texts)


def _split(what: str) -> tuple[str, _Size]:
    """Split a description of test data into the kind and the size of the lesions."""
    match = _SIZE.search(what)
    if not match:
        return what, _Size(0, float("inf"), _ANY_SIZE)
    limit, sign = match["limit"], match["sign"]
    low = float(match["low"] or (limit if sign == ">" else 0))
    high = float(match["high"] or (limit if sign == "<" else "inf"))
    return what[: match.start()], _Size(low, high, match["size"])
