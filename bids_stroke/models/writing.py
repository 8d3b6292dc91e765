"""Output of model cards and their weights."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bids_stroke.utils import files, safe_yaml
from bids_stroke.utils.files import PathLike, atomic

from . import catalog, weights
from .card import Card

UNCHOSEN = "not chosen yet"  # license of newly trained weights


def describe(card: Card) -> dict[str, Any]:
    """Return the content of a card, except weights, as built-in types for YAML."""
    content = {
        "name": card.name,
        "network": asdict(card.network),
        "channels": [{"contrast": c.contrast, "required": c.required} for c in card.channels],
        "inputs": [list(group) for group in card.inputs],
        "space": card.space,
        "spacing": list(card.spacing),
        "tile": list(card.tile),
        "reference": card.reference,
        "window": card.window and list(card.window),
        "mirror": card.mirror,
        "normalization": card.normalization,
        "calibration": {
            contrasts: {
                "temperature": calibration.temperature,
                "volume": {coverage: list(errors) for coverage, errors in calibration.volume.items()},
            }
            for contrasts, calibration in card.calibration.items()
        },
        "trained_range": {measure: list(limits) for measure, limits in card.trained_range.items()},
        "plan": asdict(card.plan) if card.plan else None,
        "threshold": card.threshold,
        "min_component_mm3": card.min_component_mm3,
        "trained_on": card.trained_on,
        "measured": card.measured,
        "notes": card.notes,
        "citation": card.citation,
    }
    optional = ("inputs", "reference", "window", "mirror", "calibration", "trained_range", "plan")
    return {key: value for key, value in content.items() if value or key not in optional}


def write(
    content: Mapping[str, Any],
    states: Sequence[Mapping[str, torch.Tensor]],
    out: PathLike,
    licence: str = UNCHOSEN,
) -> Path:
    """Write a card and, next to it, the weights of each fold as safetensors.

    Parameters
    ----------
    content : dict
        Content of the card except weights.
    states : sequence of dict of str to tensor
        State dictionary of each fold.
    out : Path
        Output folder for ``NAME.yaml`` and the weights.
    licence : str
        License of the weights.

    Returns
    -------
    Path
        Path of the card, which is validated after writing.
    """
    sections = []
    for number, state in enumerate(states):
        name = f"{content['name']}-fold{number}" if len(states) > 1 else content["name"]
        path = weights.save(state, Path(out) / f"{name}.safetensors")
        sections.append(
            {
                "file": path.name,
                "sha256": files.checksum(path),
                "bytes": path.stat().st_size,
                "licence": licence,
            }
        )
    folds = {"folds": sections[1:]} if len(sections) > 1 else {}
    return write_card({**content, "weights": sections[0], **folds}, out)


def write_card(content: Mapping[str, Any], out: PathLike) -> Path:
    """Write a card whose weights exist, and validate it."""
    path = Path(out) / f"{content['name']}.yaml"
    with atomic(path) as partial:
        partial.write_text(safe_yaml.dump(content))
    catalog.load(path)
    return path
