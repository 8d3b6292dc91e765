"""Filters of ``--bids-filter-file``, with the same rules for images and for lesion masks.

Values are compared by the rules of BIDS (1 matches ``run-01``). A list matches any of its values, null
matches names without the entity, and an empty list matches everything.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bids_stroke.errors import UsageError

from .names import NUMBERED, Name, comparable

#: Values of entities.
Filter = Mapping[str, object]
#: Filters by contrast in lower case, or ``lesion`` for lesion masks.
Filters = Mapping[str, Filter]

#: PyBIDS names of entities, which filters use, by their keys in file names.
FULL_NAMES = {
    "acq": "acquisition",
    "ce": "ceagent",
    "dir": "direction",
    "mod": "modality",
    "rec": "reconstruction",
    "stain": "staining",
    "sub": "subject",
    "ses": "session",
    "trc": "tracer",
}
_KEYS = {full: key for key, full in FULL_NAMES.items()}
#: Entities that can filter lesion masks.
_MASK_ENTITIES = (
    *("acq", "atlas", "ce", "chunk", "desc", "dir", "echo", "flip", "hemi", "inv", "label"),
    *("mod", "part", "rec", "res", "run", "space", "stain", "trc"),
)


def for_pybids(values: Filter) -> dict[str, object]:
    """Convert a filter to PyBIDS names of entities, with integers for numbered entities.

    >>> for_pybids({"run": "01", "acq": "mprage"})
    {'run': 1, 'acquisition': 'mprage'}
    """
    return {FULL_NAMES.get(key, key): _to_numbers(_KEYS.get(key, key), v) for key, v in values.items()}


def _to_numbers(key: str, value: object) -> object:
    """Convert a value, or each value of a list, to a number if the entity is numbered."""
    if key not in NUMBERED or value is None:
        return value
    if isinstance(value, list):
        return [_to_numbers(key, item) for item in value]
    return comparable(key, value)


def check_mask_filter(values: Filter) -> None:
    """Raise an error for a filter with an entity that lesion masks do not have.

    Raises
    ------
    UsageError
    """
    unknown = {key for key in values if _KEYS.get(key, key) not in _MASK_ENTITIES}
    if unknown:
        raise UsageError(
            f"--bids-filter-file filters lesion masks by {', '.join(sorted(unknown))}; use any of "
            f"{', '.join(_MASK_ENTITIES)}."
        )


def mismatches(path: Path, values: Filter) -> list[str]:
    """List the entities of a file name that do not match a filter, as phrases for a message.

    >>> mismatches(Path("sub-1_run-01_desc-a_mask.nii"), {"run": 2, "desc": "a", "hemi": None})
    ['run-01 is not 2']
    """
    entities = Name.parse(path).entities
    reasons = []
    for name, value in values.items():
        key = _KEYS.get(name, name)
        if not _matches(key, entities.get(key), value):
            text = f"{key}-{entities[key]}" if key in entities else f"no {key}-"
            reasons.append(f"{text} is not {_format(value)}")
    return reasons


def _matches(key: str, actual: str | None, value: object) -> bool:
    """Return whether the value of an entity (None without it) matches a filter value or list."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return not value or any(_matches(key, actual, item) for item in value)
    if value is None or actual is None:
        return value is actual
    return comparable(key, actual) == comparable(key, value)


def _format(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def suggestion(contrast: str, chosen: Path, other: Path, values: Filter) -> str | None:
    """Return the JSON filter that chooses another file of a contrast.

    The result is None if the names of the two files do not differ in any entity.

    >>> suggestion("T1w", Path("sub-1_run-2_T1w.nii"), Path("sub-1_run-1_acq-a_T1w.nii"), {})
    '{"t1w": {"acquisition": "a", "run": 1}}'
    """
    entities, others = Name.parse(chosen).entities, Name.parse(other).entities
    keys = sorted(key for key in {*entities, *others} if _differ(key, entities, others))
    if not keys:
        return None
    changes = {FULL_NAMES.get(key, key): _value(key, others) for key in keys}
    return json.dumps({contrast.lower(): {**for_pybids(values), **changes}}, ensure_ascii=False)


def _differ(key: str, first: Mapping[str, str], second: Mapping[str, str]) -> bool:
    return _value(key, first) != _value(key, second)


def _value(key: str, entities: Mapping[str, str]) -> object:
    return comparable(key, entities[key]) if key in entities else None
