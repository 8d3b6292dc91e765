"""Order and titles of table columns in reports, and formatting of values."""

import math
from numbers import Integral, Real

from bids_stroke.cohort.measures import LOADS

#: Main measures of a session.
MEASURES = (
    "lesion_volume_ml",
    "lesion_volume_mni_ml",
    "n_components",
    "hemisphere",
    "index_super_region",
    "cst_weighted_load_ml_left",
    "cst_weighted_load_ml_right",
    "cst_max_slice_load_left",
    "cst_max_slice_load_right",
    "cst_raw_load_ml_left",
    "cst_raw_load_ml_right",
)
UNITS = {"mm3": "mm³", "cm2": "cm²", "ml": "ml", "mm": "mm", "s": "s", "percent": "%"}
ACRONYMS = {
    "cnr": "CNR",
    "cst": "CST",
    "dice": "Dice",
    "dietrich": "Dietrich",
    "efc": "EFC",
    "fber": "FBER",
    "flair": "FLAIR",
    "id": "ID",
    "mni": "MNI",
    "nihss": "NIHSS",
    "qc": "QC",
    "snr": "SNR",
    "t1w": "T1w",
    "t2w": "T2w",
}


def column_title(name: object) -> str:
    """Convert a column name to a title: ``lesion_volume_ml`` to ``Lesion volume (ml)``.

    >>> column_title("cst_weighted_load_ml_left")
    'CST weighted load left (ml)'
    >>> column_title("cst_max_slice_load_left")
    'CST largest share of a cross-section left'
    """
    words, unit = split_unit(name)
    return f"{words} ({unit})" if unit else words


def split_unit(name: object) -> tuple[str, str]:
    """Split a column name into title and unit: ``('Lesion volume', 'ml')``.

    The unit is the last part of the name, or the part before the side: ``cst_raw_load_ml_left``.
    """
    parts = str(name).split("_")
    unit = next((part for part in parts[:0:-1] if part in UNITS), None)
    if unit:
        parts.remove(unit)
    if parts[0] == "n" and len(parts) > 1:
        parts[0] = "number of"
    words = " ".join(ACRONYMS.get(part, part) for part in parts)
    words = words.replace("max slice load", LOADS["max_slice_load"])
    return words[:1].upper() + words[1:], UNITS[unit] if unit else ""


def cell(value: object) -> str:
    """Format a table value with at least three significant digits; ``n/a`` if it is missing.

    >>> cell(12.3456), cell(12345.6), cell(0.0), cell(None)
    ('12.3', '12346', '0', 'n/a')
    """
    if isinstance(value, Real) and not isinstance(value, Integral):
        if not math.isfinite(value):
            return "n/a"
        return f"{value:.0f}" if abs(float(value)) >= 1000 else f"{value:.3g}"
    return "n/a" if str(value) in ("", "None", "nan", "NaT", "<NA>") else str(value)


def number(value: object) -> float | None:
    """Return a value as a number for sorting and alignment; None if it is not a finite number."""
    if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None
