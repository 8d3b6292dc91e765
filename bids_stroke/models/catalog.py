"""Lookup of models by name or path: embedded models, card files, nnU-Net results folders."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from bids_stroke.data import DATA
from bids_stroke.errors import InvalidModelError
from bids_stroke.settings import NNUNET, SPACES
from bids_stroke.utils import safe_yaml
from bids_stroke.utils.files import PathLike

from .calibration import Calibration
from .card import CONTRASTS, NORMALIZATIONS, Card, Channel, Network, Plan, Weights
from .ensembles import Ensemble, Model
from .nnunet.contents import is_results_folder

_OPTIONAL = (
    "path",
    "inputs",
    "trained_range",
    "reference",
    "window",
    "mirror",
    "plan",
    "folds",
    "calibration",
)
#: Errors that an invalid card file raises.
_UNREADABLE = (OSError, AttributeError, KeyError, TypeError, ValueError, OverflowError)
_EMBEDDED = DATA / "models"


def names() -> list[str]:
    """Return the names of the embedded models."""
    return sorted(path.stem for path in _EMBEDDED.glob("*.yaml"))


def load(model: PathLike) -> Model:
    """Load a model by the name of an embedded model or by the path of its card.

    Parameters
    ----------
    model : str or path
        Name, path of a card, or ``nnunet:`` followed by the path of an nnU-Net results folder.

    Returns
    -------
    Card or Ensemble

    Raises
    ------
    InvalidModelError
        If the model does not exist or its card is incomplete.
    """
    path = _EMBEDDED / f"{model}.yaml"
    folder = str(model).removeprefix(NNUNET)
    if folder != str(model) or is_results_folder(Path(folder.partition("?")[0])):
        from bids_stroke.models.nnunet.results_folder import read

        return read(folder)
    if not path.is_file():
        path = Path(model)
    if not path.is_file():
        raise InvalidModelError(
            f"Model {model} was not found; give the path of a card, {NNUNET}FOLDER, or one of: "
            f"{', '.join(names())}."
        )
    try:
        content = safe_yaml.read(path)
        for key in ("threshold", "min_component_mm3"):
            content[key] = float(content[key])  # YAML parses 1e-3 as text
        parse = _ensemble if "members" in content else _card
        card = parse(content, path.resolve())
    except _UNREADABLE as error:
        wanted = ", ".join(f.name for f in fields(Card) if f.name not in _OPTIONAL)
        reason = " ".join(str(error).split())
        raise InvalidModelError(
            f"{path} is not a complete model card ({reason}); it needs {wanted}."
        ) from None
    return card


def _ensemble(content: dict[str, Any], path: Path) -> Ensemble:
    try:
        members = tuple(
            load(path.parent / safe_yaml.check_file_name(file)) for file in content.pop("members")
        )
    except RecursionError:
        raise ValueError("it is a member of itself") from None
    groups = tuple(tuple(group) for group in content.pop("regions", ()))
    ensemble = Ensemble(members=members, path=path, regions=groups, **content)
    ensemble.check()
    return ensemble


def _card(content: dict[str, Any], path: Path) -> Card:
    ranges = content.get("trained_range", {}).items()
    sections = {
        "network": Network(**content["network"]),
        "channels": tuple(Channel(**channel) for channel in content["channels"]),
        "spacing": tuple(map(float, content["spacing"])),
        "tile": tuple(map(int, content["tile"])),
        "weights": Weights(**content["weights"]),
        "folds": tuple(Weights(**fold) for fold in content.get("folds", ())),
        "inputs": tuple(tuple(group) for group in content.get("inputs", ())),
        "window": tuple(map(int, content["window"])) if content.get("window") else None,
        "plan": _plan(content["plan"]) if content.get("plan") else None,
        "trained_range": {measure: (float(low), float(high)) for measure, (low, high) in ranges},
        "calibration": {
            contrasts: _calibration(section)
            for contrasts, section in content.get("calibration", {}).items()
        },
    }
    card = Card(**content | sections, path=path)
    _check_values(card)
    _check_names(card)
    return card


def _calibration(section: dict[str, Any]) -> Calibration:
    errors = section.get("volume", {}).items()
    volume = {int(coverage): (float(low), float(high)) for coverage, (low, high) in errors}
    temperature = float(section.get("temperature", 1))
    if not temperature > 0 or any(low > high for low, high in volume.values()):
        raise ValueError("temperature must be positive, and volume errors must be ascending pairs")
    return Calibration(temperature, volume)


def _plan(section: dict[str, Any]) -> Plan:
    return Plan(
        transpose=tuple(section["transpose"]),
        masked=tuple(section["masked"]),
        order=section["order"],
        mirror=tuple(section["mirror"]),
        version=section.get("version", 2),
    )


def _check_values(card: Card) -> None:
    for weights in card.all_weights:
        safe_yaml.check_file_name(weights.file or "none")
    if len(card.spacing) != 3 or len(card.tile) != 3 or not card.channels:
        raise ValueError("spacing and tile must have three values, channels at least one")
    if not all(0.1 <= mm <= 20 for mm in card.spacing):
        raise ValueError("spacing must be 0.1 to 20 mm")
    if not all(1 <= voxels <= 1024 for voxels in card.tile):
        raise ValueError("tile must be 1 to 1024 voxels along each axis")
    if not (isinstance(card.measured, list) and all(isinstance(row, dict) for row in card.measured)):
        raise ValueError("measured must be a list of results, each with keys and values")
    if not (0 <= card.threshold <= 1 and card.min_component_mm3 >= 0):
        raise ValueError("threshold must be 0 to 1 and min_component_mm3 not negative")


def _check_names(card: Card) -> None:
    contrasts = {channel.contrast for channel in card.channels}
    unknown = (contrasts - set(CONTRASTS)) | {c for group in card.inputs for c in group} - contrasts
    if unknown:
        raise InvalidModelError(
            f"{card.path} has the unknown contrasts {', '.join(sorted(unknown))}; use "
            f"{', '.join(CONTRASTS)}."
        )
    if card.reference not in (None, *contrasts):
        raise InvalidModelError(
            f"{card.path} has the reference {card.reference}, which is not a channel; use one of "
            f"{', '.join(sorted(contrasts))}."
        )
    spaces = ("native", *SPACES)
    if card.normalization not in NORMALIZATIONS or card.space not in spaces:
        raise InvalidModelError(
            f"{card.path} has normalization {card.normalization} and space {card.space}; supported "
            f"are the normalizations {', '.join(NORMALIZATIONS)} and the spaces {', '.join(spaces)}."
        )
