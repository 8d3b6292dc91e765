"""Metadata of raw images in JSON sidecars, by the inheritance principle of BIDS."""

import json
from collections.abc import Iterator
from pathlib import Path

from .names import Name, entity

#: Values of a sidecar that mean that no contrast agent was used.
_NO_AGENT = ("", "n/a", "na", "no", "none", "unknown")


def has_contrast_agent(path: Path) -> bool:
    """Return whether the name or the sidecars of an image report a contrast agent."""
    if entity(path, "ce"):
        return True
    agent = _metadata_value(path, "ContrastBolusIngredient")
    return bool(agent) and str(agent).strip().lower() not in _NO_AGENT


def _metadata_value(path: Path, key: str) -> object:
    """Return the value of a key in the nearest sidecar that has the key, or None."""
    for sidecar in _sidecars(path):
        try:
            metadata = json.loads(sidecar.read_text("utf-8-sig"))
        except (OSError, ValueError, RecursionError):  # unusable sidecar
            continue
        if isinstance(metadata, dict) and key in metadata:
            return metadata[key]
    return None


def _sidecars(path: Path) -> Iterator[Path]:
    """Yield the sidecars of an image, from its folder up to the root of the dataset.

    The name of a sidecar has the suffix of the image and a subset of its entities. Within a folder, the
    sidecar with most entities comes first.
    """
    name = Name.parse(path)
    for folder in path.parents:
        sidecars = [(Name.parse(file), file) for file in sorted(folder.glob(f"*{name.suffix}.json"))]
        applicable = [
            (len(other.entities), file)
            for other, file in sidecars
            if other.words == name.words and other.entities.items() <= name.entities.items()
        ]
        yield from (file for _, file in sorted(applicable, reverse=True))
        if not any(part.startswith("sub-") for part in folder.parts[-3:]):
            return
