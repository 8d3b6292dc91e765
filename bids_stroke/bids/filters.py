"""Filters of ``--bids-filter-file``: the same rules for images and for lesion masks.

A value is compared as BIDS compares it (1 matches ``run-01``), a list matches any of its values, null
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

#: Names of entities in filters, which are those of PyBIDS, by the keys of file names.
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
#: Entities by which lesion masks are filtered.
_OF_MASKS = (
    *("acq", "atlas", "ce", "chunk", "desc", "dir", "echo", "flip", "hemi", "inv", "label"),
    *("mod", "part", "rec", "res", "run", "space", "stain", "trc"),
)


def for_pybids(values: Filter) -> dict[str, object]:
    """A filter in PyBIDS's terms: full names of entities, and numbers where values are numbered."""
    return {FULL_NAMES.get(key, key): _numbers(_KEYS.get(key, key), v) for key, v in values.items()}


def _numbers(key: str, value: object) -> object:
    """A value, or each of a list, as a number where the entity is numbered."""
    if key not in NUMBERED or value is None:
        return value
    if isinstance(value, list):
        return [_numbers(key, item) for item in value]
    return comparable(key, value)


def check_mask_filter(values: Filter) -> None:
    """Refuse a filter that names no entity of lesion masks.

    Raises
    ------
    UsageError
    """
    unknown = {key for key in values if _KEYS.get(key, key) not in _OF_MASKS}
    if unknown:
        raise UsageError(
            f"--bids-filter-file filters lesion masks by {', '.join(sorted(unknown))}; use "
            f"{', '.join(_OF_MASKS)}."
        )


def mismatches(path: Path, values: Filter) -> list[str]:
    """What of a name does not match a filter, as sentences say it; empty where all does.

    >>> mismatches(Path("sub-1_run-01_desc-a_mask.nii"), {"run": 2, "desc": "a", "hemi": None})
    ['run-01 is not 2']
    """
    entities = Name.parse(path).entities
    reasons = []
    for name, value in values.items():
        key = _KEYS.get(name, name)
        if not _matches(key, entities.get(key), value):
            found = f"{key}-{entities[key]}" if key in entities else f"no {key}-"
            reasons.append(f"{found} is not {_format(value)}")
    return reasons


def _matches(key: str, found: str | None, value: object) -> bool:
    """Whether a value of an entity, None without it, matches a value of a filter or one of a list."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return not value or any(_matches(key, found, item) for item in value)
    if value is None or found is None:
        return value is found
    return comparable(key, found) == comparable(key, value)


def _format(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def suggestion(contrast: str, chosen: Path, other: Path, values: Filter) -> str | None:
    """The filter that chooses another file of a contrast, as JSON; None where the names differ in no
    entity.

    >>> suggestion("T1w", Path("sub-1_run-2_T1w.nii"), Path("sub-1_run-1_acq-a_T1w.nii"), {})
    '{"t1w": {"acquisition": "a", "run": 1}}'
    """
    one, two = Name.parse(chosen).entities, Name.parse(other).entities
    keys = sorted(key for key in {*one, *two} if _differ(key, one, two))
    if not keys:
        return None
    wanted = {FULL_NAMES.get(key, key): _value(key, two) for key in keys}
    return json.dumps({contrast.lower(): {**for_pybids(values), **wanted}}, ensure_ascii=False)


def _differ(key: str, one: Mapping[str, str], two: Mapping[str, str]) -> bool:
    return _value(key, one) != _value(key, two)


def _value(key: str, entities: Mapping[str, str]) -> object:
    return comparable(key, entities[key]) if key in entities else None
