"""Plain YAML of users (cards, plugin files): nothing in it runs, fills memory or leads elsewhere."""

from pathlib import Path, PurePath
from typing import Any

import yaml

MOST_BYTES = 1_000_000
DEEPEST = 20


def read(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys and values.

    Raises
    ------
    ValueError
        If it is none, is large or nested deep, or has aliases, which could stand for more than any
        memory.
    OSError
        If it cannot be read.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    text = path.read_text(encoding="utf-8")
    try:
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("aliases (*) are not taken")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ValueError(f"it is nested more than {DEEPEST} deep")
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError("it is no mapping of keys to values")
    return content


class _Whole(yaml.SafeDumper):
    """Writes what comes twice twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def text(content: object) -> str:
    """YAML of ``content`` that :func:`bids_stroke.utils.safe_yaml.read` takes."""
    return yaml.dump(content, Dumper=_Whole, sort_keys=False, allow_unicode=True)


def inside(name: str) -> str:
    """Check that the name of a file, as a card gives it, leads to no folder outside of the card's.

    Raises
    ------
    ValueError
        If it does.
    """
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} is not the name of a file beside the card")
    return name
