"""What the JSON sidecars of raw images state, by BIDS's principle of inheritance."""

import json
from collections.abc import Iterator
from pathlib import Path

from .names import Name, entity

#: What a sidecar has in the place of an agent where none was given.
_NONE = ("", "n/a", "na", "no", "none", "unknown")


def has_contrast_agent(path: Path) -> bool:
    """Whether the name or the sidecars of an image report contrast agent."""
    if entity(path, "ce"):
        return True
    agent = _first(path, "ContrastBolusIngredient")
    return bool(agent) and str(agent).strip().lower() not in _NONE


def _first(path: Path, key: str) -> object:
    """The value of a key in the nearest sidecar that has it; None without one."""
    for sidecar in _sidecars(path):
        try:
            metadata = json.loads(sidecar.read_text("utf-8-sig"))
        except (OSError, ValueError, RecursionError):  # no usable one
            continue
        if isinstance(metadata, dict) and key in metadata:
            return metadata[key]
    return None


def _sidecars(path: Path) -> Iterator[Path]:
    """The sidecars of an image: in its folder, then in those above it up to the dataset's, those whose
    names have the suffix of the image and no further entity; those with most entities first."""
    name = Name.parse(path)
    for folder in path.parents:
        found = [(Name.parse(file), file) for file in sorted(folder.glob(f"*{name.suffix}.json"))]
        applicable = [
            (len(other.entities), file)
            for other, file in found
            if other.words == name.words and other.entities.items() <= name.entities.items()
        ]
        yield from (file for _, file in sorted(applicable, reverse=True))
        if not any(part.startswith("sub-") for part in folder.parts[-3:]):
            return
