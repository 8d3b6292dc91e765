"""What the JSON sidecars of raw images state."""

import json
from pathlib import Path

from .names import entity, sidecar_of


def has_contrast_agent(path: Path) -> bool:
    """Whether the name or the sidecar of an image reports contrast agent."""
    if entity(path, "ce"):
        return True
    try:
        metadata = json.loads(sidecar_of(path).read_text("utf-8-sig"))
        return bool(metadata.get("ContrastBolusIngredient"))
    except (OSError, ValueError, AttributeError, RecursionError):  # no sidecar, or no usable one
        return False
