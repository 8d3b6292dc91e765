"""Code outcomes and covariates as numbers."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bids_stroke.errors import DatasetError
from bids_stroke.utils.text import enumeration

NUMERIC, ORDINAL, BINARY = "numeric", "ordinal", "two-valued"
#: Largest difference between the values of an outcome of whole numbers that is ordinal, as that of the
#: modified Rankin Scale (0-6).
MAX_ORDINAL_RANGE = 6
#: Largest number of different texts of a covariate.
MAX_CATEGORIES = 10
#: Missing values of other programs, and numbers with a decimal comma; neither are categories.
_NO_CATEGORY = re.compile(r"n\.?/?a\.?|nan|null|[+-]?\d*,\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """Column of a table, as text.

    Attributes
    ----------
    name : str
    texts : pandas.Series
        Values, indexed by participant; NaN if missing.
    source : str
        File of the column.
    levels : tuple of str
        ``Levels`` of the column in the sidecar of the table, in order.
    has_units : bool
        Whether the sidecar states ``Units``, so that the column is numeric.
    """

    name: str
    texts: pd.Series
    source: str
    levels: tuple[str, ...] = ()
    has_units: bool = False

    def numbers(self) -> pd.Series:
        """Convert the values to numbers.

        Raises
        ------
        DatasetError
            If a value is not a finite number.
        """
        numbers = pd.to_numeric(self.texts, errors="coerce").astype(float)
        invalid = self.texts[self.texts.notna() & ~np.isfinite(numbers)]
        if len(invalid):
            rows = [f"{participant} ({text})" for participant, text in invalid.items()]
            raise DatasetError(
                f"The column {self.name} of {self.source} has text instead of a number for "
                f"{enumeration(rows)}; correct these rows, or write n/a."
            )
        return numbers

    def categories(self) -> list[str]:
        """List the different texts in alphabetical order.

        Raises
        ------
        DatasetError
            If a text stands for a missing value or a number.
        """
        present = self.texts.dropna()
        invalid = present[[_NO_CATEGORY.fullmatch(text) is not None for text in present]]
        if len(invalid):
            rows = [f"{participant} ({text})" for participant, text in invalid.items()]
            raise DatasetError(
                f"The column {self.name} of {self.source} has no category for {enumeration(rows)}; "
                "write n/a for a missing value, and numbers with a decimal point."
            )
        return sorted(present.unique())


@dataclass(frozen=True)
class Outcome:
    """Outcome of each participant.

    Attributes
    ----------
    name : str
    kind : str
        ``numeric``, ``ordinal`` or ``two-valued``.
    values : pandas.Series
        Values, indexed by participant; NaN if missing. Texts, and the values of a two-valued outcome,
        are coded as 0, 1, … in the order of ``levels``.
    levels : dict of str to float
        Values of an ordinal or two-valued outcome, from lowest to highest, and their codes.
    source : str
        File of the outcome.
    """

    name: str
    kind: str
    values: pd.Series
    levels: dict[str, float]
    source: str


def code_outcome(column: Column) -> Outcome:
    """Code an outcome as numbers, and determine its kind.

    - An outcome with two values is two-valued. They are in numeric or alphabetical order, or in the
      order of ``Levels`` in the sidecar of the table.
    - An outcome with ``Levels`` in the sidecar is ordinal; numbers are in numeric order, texts in the
      order of the sidecar. Whole numbers that differ by at most
      :data:`bids_stroke.cohort.coding.MAX_ORDINAL_RANGE` are ordinal, too, unless the sidecar
      states ``Units``.
    - Other numbers are numeric.

    Raises
    ------
    DatasetError
        If a value is not a number, or the values do not vary.

    Examples
    --------
    >>> texts = pd.Series(["good", "poor", np.nan, "good"], ["sub-1", "sub-2", "sub-3", "sub-4"])
    >>> outcome = code_outcome(Column("result", texts, "participants.tsv"))
    >>> outcome.kind, outcome.levels, outcome.values.tolist()
    ('two-valued', {'good': 0.0, 'poor': 1.0}, [0.0, 1.0, nan, 0.0])
    """
    present = column.texts.dropna()
    ordered = _ordered_levels(column, present)
    if len(ordered) < 2:
        problem = f"is {ordered[0]} for all participants with complete data" if ordered else "is empty"
        raise DatasetError(
            f"The column {column.name} of {column.source} {problem}; choose an outcome that varies."
        )
    numbers = pd.to_numeric(pd.Series(ordered), errors="coerce")
    is_scale = bool((numbers % 1 == 0).all()) and np.ptp(numbers) <= MAX_ORDINAL_RANGE
    kind = BINARY if len(ordered) == 2 else ORDINAL
    if kind == ORDINAL and not column.levels and (not is_scale or column.has_units):
        return Outcome(column.name, NUMERIC, column.numbers(), {}, column.source)
    codes = numbers if kind == ORDINAL and numbers.notna().all() else range(len(ordered))
    levels = {text: float(code) for text, code in zip(ordered, codes, strict=True)}
    values = _normalized(column.texts).map(levels).astype(float)
    return Outcome(column.name, kind, values, levels, column.source)


def _normalized(texts: pd.Series) -> pd.Series:
    """Write equal numbers equally: ``1.0`` as ``1``."""
    numbers = pd.to_numeric(texts, errors="coerce")
    return texts.where(numbers.isna(), numbers.map("{:.12g}".format))


def _ordered_levels(column: Column, present: pd.Series) -> list[str]:
    """Return the different values of an outcome in order.

    Raises
    ------
    DatasetError
        If ``Levels`` lacks a value, or if there are more than two texts without ``Levels``, or one that
        stands for a missing value or a number.
    """
    values = list(dict.fromkeys(_normalized(present)))
    numbers = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce")
    listed = list(_normalized(pd.Series(column.levels, dtype=object)))
    unlisted = [value for value in values if value not in listed]
    if listed and unlisted:
        raise DatasetError(
            f"The column {column.name} of {column.source} has the values {enumeration(unlisted)}, "
            "which are not in Levels of its sidecar; add them there, in order, or write n/a."
        )
    if numbers.notna().all():
        column.numbers()  # raises an error for infinite numbers
        return [values[position] for position in np.argsort(numbers.to_numpy())]
    if listed:
        return [level for level in listed if level in values]
    if numbers.notna().any():
        column.numbers()  # raises an error that lists the rows with text
    categories = column.categories()
    if len(categories) > 2:
        raise DatasetError(
            f"The column {column.name} of {column.source} has {len(categories)} different texts "
            f"({enumeration(values, 5)}); list them in order in Levels of its sidecar, or use numbers."
        )
    return categories


def code_covariate(column: Column) -> pd.DataFrame:
    """Code a covariate as numeric columns; texts become indicators of all categories but the first.

    Raises
    ------
    DatasetError
        If numbers and texts are mixed, a text stands for a missing value or a number, or there are more
        texts than :data:`bids_stroke.cohort.coding.MAX_CATEGORIES`.

    Examples
    --------
    >>> sex = Column("sex", pd.Series(["F", "M"], ["sub-1", "sub-2"]), "participants.tsv")
    >>> code_covariate(sex)["sex: M"].tolist()
    [0.0, 1.0]
    """
    present = column.texts.dropna()
    numbers = pd.to_numeric(present, errors="coerce")
    if not numbers.isna().all() or not len(present):
        return column.numbers().to_frame(column.name)
    categories = column.categories()
    if len(categories) > MAX_CATEGORIES:
        raise DatasetError(
            f"The covariate {column.name} of {column.source} has {len(categories)} different texts "
            f"({enumeration(categories, 5)}); use a column with numbers or with at most "
            f"{MAX_CATEGORIES} categories."
        )
    indicators = {
        f"{column.name}: {category}": (column.texts == category)
        .astype(float)
        .where(column.texts.notna())
        for category in categories[1:] or categories
    }
    return pd.DataFrame(indicators)
