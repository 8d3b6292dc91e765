"""Sections of a recipe: merging, and filling of dataclasses."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar

from bids_stroke.errors import UsageError

from .recipe_settings import Section

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    SettingsType = TypeVar("SettingsType", bound=DataclassInstance)


def merge(base: Section, changes: Section) -> Section:
    """Merge ``changes`` into the sections of ``base`` recursively; the value None removes a key."""
    merged = {key: value for key, value in base.items() if changes.get(key, value) is not None}
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = merge(base[key], value)
        elif value is not None:
            merged[key] = value
    return merged


def fill(
    kind: "type[SettingsType]", section: Mapping[str, Any], source: str, **parsed: Any
) -> "SettingsType":
    """Fill a dataclass with the settings of a section and settings that are already parsed.

    Raises
    ------
    UsageError
        If a setting is missing, or unknown in a section without parsed settings.
    """
    if not isinstance(section, Mapping):
        raise UsageError(f"{source} has {section!r:.60} instead of a section with settings.")
    names = [field.name for field in fields(kind)]
    unknown = set(section) - set(names)
    if unknown and not parsed:
        raise UsageError(
            f"{source} has the unknown settings {', '.join(sorted(map(str, unknown)))}; use "
            f"{', '.join(names)}."
        )
    settings = {name: section[name] for name in names if name in section} | parsed
    missing = [
        field.name
        for field in fields(kind)
        if field.name not in settings and field.default is field.default_factory is MISSING
    ]
    if missing:
        raise UsageError(f"{source} lacks the settings {', '.join(missing)}.")
    return kind(**settings)
