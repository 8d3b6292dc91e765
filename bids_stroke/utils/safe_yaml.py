"""Safe reading of user-supplied YAML files (cards, plugin files): no code, limited size, safe paths."""

from pathlib import Path, PurePath
from typing import Any

import yaml

MAX_BYTES = 1_000_000
MAX_DEPTH = 20


def read(path: Path) -> dict[str, Any]:
    """Read a YAML file with a mapping of keys to values.

    Raises
    ------
    ValueError
        If the file is not such a mapping, is too large or too deeply nested, or has aliases, which
        could expand beyond the memory.
    OSError
        If the file cannot be read.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    text = path.read_text(encoding="utf-8")
    try:
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("aliases (*) are not allowed")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise ValueError(f"it has more than {MAX_DEPTH} levels of nesting")
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError("it is not a mapping of keys to values")
    return content


class _NoAliasDumper(yaml.SafeDumper):
    """Dumper that writes repeated objects in full, without aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def dump(content: object) -> str:
    """Return ``content`` as YAML text that :func:`bids_stroke.utils.safe_yaml.read` accepts."""
    return yaml.dump(content, Dumper=_NoAliasDumper, sort_keys=False, allow_unicode=True)


def check_file_name(name: str) -> str:
    """Check that a file name in a card stays within the folder of the card.

    Raises
    ------
    ValueError
        If the name leads outside the folder.

    Examples
    --------
    >>> check_file_name("weights/model.safetensors")
    'weights/model.safetensors'
    """
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} is not a file in the folder of the card")
    return name
