"""Model cards: everything that inference needs to know of a model, and its users to trust it."""

import json
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path

import yaml

from ..errors import ModelError

CONTRASTS = ("T1w", "FLAIR", "T2w")
_EMBEDDED = Path(str(files("bids_stroke") / "data" / "models"))


@dataclass(frozen=True)
class Channel:
    """One input channel: a contrast, and whether the model works without it (zeros then)."""

    contrast: str
    required: bool = True


@dataclass(frozen=True)
class Weights:
    """A safetensors file, beside the package or at a URL, with its checksum and licence."""

    sha256: str
    bytes: int
    licence: str
    file: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class Card:
    """A model.

    ``network`` names the family (a module of ``bids_stroke.models``) and its ``arguments``;
    ``spacing`` (mm) and ``tile`` (voxels) are in RAS order; ``threshold`` and
    ``min_component_mm3`` are the post-processing; ``measured`` tells what was measured on what.
    ``inputs`` lists the sets of contrasts that the model may be given, the best first; without it,
    the required channels and any of the others. ``trained_range`` gives, for a measure of a session
    (``brain_volume_ml``, ``lesion_volume_ml``), the lowest and the highest value in training.
    """

    name: str
    network: dict
    channels: tuple[Channel, ...]
    space: str
    spacing: tuple[float, float, float]
    tile: tuple[int, int, int]
    normalization: str
    threshold: float
    min_component_mm3: float
    weights: Weights
    trained_on: str
    measured: list
    notes: list
    citation: str
    path: Path = field(repr=False)
    inputs: tuple[tuple[str, ...], ...] = ()
    trained_range: dict = field(default_factory=dict)

    def identity(self):
        """What predictions depend on, as text."""
        described = ("trained_on", "trained_range", "measured", "notes", "citation", "path")
        return json.dumps(
            {key: value for key, value in asdict(self).items() if key not in described}, default=str
        )

    def select(self, available):
        """Choose the contrasts that the model uses of those that a session has.

        Raises
        ------
        ModelError
            If a required contrast is missing, or none is there.
        """
        if self.inputs:
            return self._select_input(available)
        chosen = [c.contrast for c in self.channels if c.contrast in available]
        missing = [c.contrast for c in self.channels if c.required and c.contrast not in available]
        if missing or not chosen:
            wanted = " and ".join(missing) or " or ".join(c.contrast for c in self.channels)
            raise ModelError(
                f"Model {self.name} needs {wanted}, but only {', '.join(available) or 'nothing'} "
                "is there; choose a model that takes it with --model."
            )
        return tuple(chosen)

    def _select_input(self, available):
        for group in self.inputs:
            if set(group) <= set(available):
                return tuple(c.contrast for c in self.channels if c.contrast in group)
        known = ", ".join(" with ".join(group) for group in self.inputs)
        raise ModelError(
            f"Model {self.name} takes {known}, but only {', '.join(available) or 'nothing'} is "
            "there; choose a model that takes it with --model."
        )

    def takes(self, contrast):
        """Tell whether the model works on ``contrast`` alone."""
        try:
            return self.select((contrast,)) == (contrast,)
        except ModelError:
            return False


def names():
    """Names of the embedded models."""
    return sorted(path.stem for path in _EMBEDDED.glob("*.yaml"))


def load(model):
    """Read a card by the name of an embedded model, or from a path.

    Raises
    ------
    ModelError
        If there is no such model, or its card is not complete.
    """
    path = _EMBEDDED / f"{model}.yaml"
    if not path.is_file():
        path = Path(model)
    if not path.is_file():
        raise ModelError(
            f"There is no model {model}; give a card's path or one of: {', '.join(names())}."
        )
    try:
        content = yaml.safe_load(path.read_text())
        content["channels"] = tuple(Channel(**channel) for channel in content["channels"])
        content["weights"] = Weights(**content["weights"])
        content["spacing"] = tuple(map(float, content["spacing"]))
        content["tile"] = tuple(map(int, content["tile"]))
        for key in ("threshold", "min_component_mm3"):
            content[key] = float(content[key])  # YAML reads 1e-3 as text
        content["network"] = dict(content["network"])
        content["inputs"] = tuple(tuple(group) for group in content.get("inputs", ()))
        if len(content["spacing"]) != 3 or len(content["tile"]) != 3 or not content["channels"]:
            raise ValueError("spacing and tile are three values each, channels at least one")
        card = Card(**content, path=path.resolve())
    except (yaml.YAMLError, KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
        optional = ("path", "inputs", "trained_range")
        wanted = ", ".join(f.name for f in fields(Card) if f.name not in optional)
        reason = " ".join(str(error).split())
        raise ModelError(
            f"{path} is not a complete model card ({reason}); it needs {wanted}."
        ) from None
    unknown = {channel.contrast for channel in card.channels} - set(CONTRASTS)
    unknown |= {c for group in card.inputs for c in group} - {c.contrast for c in card.channels}
    if unknown:
        raise ModelError(f"{path} names unknown contrasts {sorted(unknown)}; use {CONTRASTS}.")
    if card.normalization != "zscore" or card.space != "native":
        raise ModelError(
            f"{path} asks for normalization {card.normalization} in space {card.space}; "
            "this version knows zscore in native space."
        )
    return card
