"""Model cards: everything that inference needs to know of a model, and its users to trust it."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path

from .. import plain
from ..errors import ModelError
from ..settings import SPACES
from .ensemble import Ensemble

CONTRASTS = ("T1w", "FLAIR", "T2w", "TRACE")
NNUNET = "nnunet:"  # before the path of a results folder
NORMALIZATIONS = ("zscore", "nnunet")
_OPTIONAL = ("path", "inputs", "trained_range", "window", "plan", "folds")
#: A name becomes part of paths.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
#: What a card that is none makes go wrong.
_UNREADABLE = (OSError, AttributeError, KeyError, TypeError, ValueError, OverflowError)
_EMBEDDED = Path(str(files("bids_stroke") / "data" / "models"))


@dataclass(frozen=True)
class Channel:
    """One input channel: a contrast, and whether the model works without it (zeros then)."""

    contrast: str
    required: bool = True


@dataclass(frozen=True)
class Weights:
    """A safetensors file, beside the card or at URLs that are mirrors of each other, with its
    checksum and licence."""

    sha256: str
    bytes: int
    licence: str
    file: str | None = None
    url: str | list | None = None

    def __post_init__(self):
        if not re.fullmatch(r"[0-9a-f]*", self.sha256) or self.bytes < 0:
            raise ValueError("sha256 is hexadecimal digits, bytes a number")
        if not all(isinstance(url, str) and url.startswith("https://") for url in self.urls):
            raise ValueError("weights are fetched by https:// alone")

    @property
    def urls(self):
        """Where it is, in the order to try."""
        return [self.url] if isinstance(self.url, str) else list(self.url or ())


@dataclass(frozen=True)
class Card:
    """A model.

    ``network`` names the family (a module of ``bids_stroke.models``) and its ``arguments``;
    ``spacing`` (mm) and ``tile`` (voxels) are in RAS order, and a tile of one voxel on an axis is that
    of a network that reads slices across it; ``threshold`` and
    ``min_component_mm3`` are the post-processing; ``measured`` tells what was measured on what.
    ``inputs`` lists the sets of contrasts that the model may be given, the best first; without it,
    the required channels and any of the others. ``trained_range`` gives, for a measure of a session
    (``brain_volume_ml``, ``lesion_volume_ml``), the lowest and the highest value in training.
    In a template's ``space``, ``window`` (voxels) is the centre of its grid that the network sees;
    there is no lesion elsewhere. ``plan`` is what an nnU-Net needs besides
    (:mod:`bids_stroke.models.nnunet`), and ``folds`` are further weights of the same network, whose
    logits are averaged with those of ``weights``.
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
    window: tuple[int, int, int] | None = None
    plan: dict = field(default_factory=dict)
    folds: tuple[Weights, ...] = ()

    def __post_init__(self):
        if not NAME.fullmatch(self.name):
            raise ValueError(f"its name {self.name!r} is not letters, digits and . _ + -")

    @property
    def leaves(self):
        """The card itself; an ensemble has the networks of its members."""
        return (self,)

    @property
    def plane(self):
        """Axis across the slices that the network reads; None for one that reads volumes."""
        return self.tile.index(1) if 1 in self.tile else None

    @property
    def is_nnunet(self):
        """Whether images are prepared and predicted as nnU-Net does."""
        return self.normalization == "nnunet"

    @property
    def preparation(self):
        """What the network's input depends on."""
        return (self.channels, self.space, self.spacing, self.window, json.dumps(self.plan))

    @property
    def all_weights(self):
        """Weights of every fold."""
        return (self.weights, *self.folds)

    @property
    def sha256(self):
        """Checksum of the weights; of several files, the checksum of their checksums."""
        sums = [one.sha256 for one in self.all_weights]
        return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()

    @property
    def licence(self):
        """Licence of the weights."""
        return self.weights.licence

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

    Parameters
    ----------
    model : str or path
        ``nnunet:`` before the path of an nnU-Net v2 results folder.

    Returns
    -------
    Card or Ensemble

    Raises
    ------
    ModelError
        If there is no such model, or its card is not complete.
    """
    path = _EMBEDDED / f"{model}.yaml"
    folder = str(model).removeprefix(NNUNET)
    if folder != str(model) or (Path(folder.partition("?")[0]) / "plans.json").is_file():
        from .nnunet_folder import read

        return read(folder)
    if not path.is_file():
        path = Path(model)
    if not path.is_file():
        raise ModelError(
            f"There is no model {model}; give a card's path, {NNUNET}FOLDER, or one of: "
            f"{', '.join(names())}."
        )
    try:
        content = plain.read(path)
        for key in ("threshold", "min_component_mm3"):
            content[key] = float(content[key])  # YAML reads 1e-3 as text
        parse = _ensemble if "members" in content else _card
        card = parse(content, path.resolve())
    except _UNREADABLE as error:
        wanted = ", ".join(f.name for f in fields(Card) if f.name not in _OPTIONAL)
        reason = " ".join(str(error).split())
        raise ModelError(
            f"{path} is not a complete model card ({reason}); it needs {wanted}."
        ) from None
    return card


def _ensemble(content, path):
    try:
        members = tuple(load(path.parent / plain.inside(one)) for one in content.pop("members"))
    except RecursionError:
        raise ValueError("it is a member of itself") from None
    groups = tuple(tuple(group) for group in content.pop("regions", ()))
    ensemble = Ensemble(members=members, path=path, regions=groups, **content)
    ensemble.check()
    return ensemble


def _card(content, path):
    content["channels"] = tuple(Channel(**channel) for channel in content["channels"])
    content["weights"] = Weights(**content["weights"])
    content["folds"] = tuple(Weights(**one) for one in content.get("folds", ()))
    for one in (content["weights"], *content["folds"]):
        plain.inside(one.file or "none")
    content["spacing"] = tuple(map(float, content["spacing"]))
    content["tile"] = tuple(map(int, content["tile"]))
    content["network"] = dict(content["network"])
    content["inputs"] = tuple(tuple(group) for group in content.get("inputs", ()))
    if content.get("window"):
        content["window"] = tuple(map(int, content["window"]))
    if len(content["spacing"]) != 3 or len(content["tile"]) != 3 or not content["channels"]:
        raise ValueError("spacing and tile are three values each, channels at least one")
    if not all(0.1 <= mm <= 20 for mm in content["spacing"]):
        raise ValueError("spacing is 0.1 to 20 mm")
    if not all(1 <= voxels <= 1024 for voxels in content["tile"]):
        raise ValueError("a tile has 1 to 1024 voxels along each axis")
    if not (0 <= content["threshold"] <= 1 and content["min_component_mm3"] >= 0):
        raise ValueError("threshold is 0 to 1, min_component_mm3 positive")
    ranges = content.get("trained_range", {}).items()
    content["trained_range"] = {key: (float(low), float(high)) for key, (low, high) in ranges}
    card = Card(**content, path=path)
    unknown = {channel.contrast for channel in card.channels} - set(CONTRASTS)
    unknown |= {c for group in card.inputs for c in group} - {c.contrast for c in card.channels}
    if unknown:
        raise ModelError(f"{path} names unknown contrasts {sorted(unknown)}; use {CONTRASTS}.")
    spaces = ("native", *SPACES)
    if card.normalization not in NORMALIZATIONS or card.space not in spaces:
        raise ModelError(
            f"{path} asks for normalization {card.normalization} in space {card.space}; "
            f"this version knows {' and '.join(NORMALIZATIONS)}, in {' and '.join(spaces)}."
        )
    return card
