"""Model cards: settings for inference and documentation of a model."""

import hashlib
import json
import re
from collections.abc import Collection, Hashable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bids_stroke.data import DATA
from bids_stroke.errors import ModelError
from bids_stroke.utils.cache import cache_dir

from .calibration import Calibration

CONTRASTS = ("T1w", "FLAIR", "T2w", "TRACE")
NORMALIZATIONS = ("zscore", "nnunet")
#: A name becomes part of paths.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True)
class Network:
    """A network: its family (a module of :mod:`bids_stroke.models.networks`), and the arguments of the
    family's ``build``."""

    family: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """How an nnU-Net prepares images (:mod:`bids_stroke.models.nnunet`).

    Attributes
    ----------
    transpose : tuple of int
        The network's axes among (z, y, x).
    masked : tuple of bool
        For each channel, whether it is standardized inside the brain alone.
    order : int
        Order of the splines that resample the channels.
    mirror : tuple of int
        Axes along which the images of the training were mirrored.
    """

    transpose: tuple[int, int, int]
    masked: tuple[bool, ...]
    order: int
    mirror: tuple[int, ...]


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
    url: str | list[str] | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]*", self.sha256) or self.bytes < 0:
            raise ValueError("sha256 is hexadecimal digits, bytes a number")
        if not all(isinstance(url, str) and url.startswith("https://") for url in self.urls):
            raise ValueError("weights are fetched by https:// alone")

    @property
    def urls(self) -> list[str]:
        """Where it is, in the order to try."""
        return [self.url] if isinstance(self.url, str) else list(self.url or ())


@dataclass(frozen=True)
class Card:
    """A model.

    ``spacing`` (mm) and ``tile`` (voxels) are in RAS order, and a tile of one voxel on an axis is that
    of a network that reads slices across it; ``threshold`` and
    ``min_component_mm3`` are the post-processing; ``measured`` lists results on test data.
    ``inputs`` lists the sets of contrasts that the model may be given, the best first; without it,
    the required channels and any of the others. ``trained_range`` gives, for a measure of a session
    (``brain_volume_ml``, ``lesion_volume_ml``), the lowest and the highest value in training.
    In a template's ``space``, ``window`` (voxels) is the center of its grid that the network sees;
    there is no lesion elsewhere. With ``mirror`` the network also reads each channel reflected about
    the mid-plane of the head (:mod:`bids_stroke.models.mirroring`). ``plan`` belongs to an nnU-Net, and
    ``folds`` are further weights of the same network, whose logits are averaged with those of
    ``weights``. ``calibration`` holds the calibration of each set of contrasts, by their names joined
    with ``+``.
    """

    name: str
    network: Network
    channels: tuple[Channel, ...]
    space: str
    spacing: tuple[float, float, float]
    tile: tuple[int, int, int]
    normalization: str
    threshold: float
    min_component_mm3: float
    weights: Weights
    trained_on: str
    measured: list[dict[str, Any]]
    notes: list[str]
    citation: str
    path: Path = field(repr=False)
    inputs: tuple[tuple[str, ...], ...] = ()
    trained_range: dict[str, tuple[float, float]] = field(default_factory=dict)
    window: tuple[int, int, int] | None = None
    mirror: bool = False
    calibration: dict[str, Calibration] = field(default_factory=dict)
    plan: Plan | None = None
    folds: tuple[Weights, ...] = ()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"its name {self.name!r} is not letters, digits and . _ + -")

    @property
    def leaves(self) -> tuple["Card", ...]:
        """The card itself; an ensemble has the networks of its members."""
        return (self,)

    @property
    def plane(self) -> int | None:
        """Axis across the slices that the network reads; None for one that reads volumes."""
        return self.tile.index(1) if 1 in self.tile else None

    @property
    def is_nnunet(self) -> bool:
        """Whether images are prepared and predicted as nnU-Net does."""
        return self.normalization == "nnunet"

    @property
    def preparation(self) -> tuple[Hashable, ...]:
        """What the network's input depends on."""
        return (self.channels, self.space, self.spacing, self.window, self.mirror, self.plan)

    @property
    def all_weights(self) -> tuple[Weights, ...]:
        """Weights of every fold."""
        return (self.weights, *self.folds)

    def weights_path(self, weights: Weights) -> Path:
        """Where the weights of a fold are: beside the card, embedded, or in the cache, where they are
        named by their checksum."""
        if not weights.file:
            return cache_dir() / "weights" / f"{self.name}-{weights.sha256[:16]}.safetensors"
        beside = self.path.parent / weights.file
        return beside if beside.is_file() else DATA / "weights" / weights.file

    @property
    def sha256(self) -> str:
        """Checksum of the weights; of several files, the checksum of their checksums."""
        sums = [weights.sha256 for weights in self.all_weights]
        return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()

    @property
    def licence(self) -> str:
        """Licence of the weights."""
        return self.weights.licence

    def identity(self) -> str:
        """What predictions depend on, as text."""
        described = ("trained_on", "trained_range", "measured", "notes", "citation", "path")
        content = {key: value for key, value in asdict(self).items() if key not in described}
        # Weights are the same wherever their file lies.
        content["weights"] = content["folds"] = None
        return json.dumps([content, [weights.sha256 for weights in self.all_weights]], default=str)

    def select(self, available: Collection[str]) -> tuple[str, ...]:
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

    def _select_input(self, available: Collection[str]) -> tuple[str, ...]:
        for group in self.inputs:
            if set(group) <= set(available):
                return tuple(c.contrast for c in self.channels if c.contrast in group)
        accepted = ", ".join(" with ".join(group) for group in self.inputs)
        raise ModelError(
            f"Model {self.name} takes {accepted}, but only {', '.join(available) or 'nothing'} is "
            "there; choose a model that takes it with --model."
        )

    def calibration_for(self, contrasts: Collection[str]) -> Calibration:
        """Calibration for a set of contrasts; without one, probabilities stay as they are."""
        names = [c.contrast for c in self.channels if c.contrast in contrasts]
        return self.calibration.get("+".join(names), Calibration())

    def takes(self, contrast: str) -> bool:
        """Return whether the model works on ``contrast`` alone."""
        try:
            return self.select((contrast,)) == (contrast,)
        except ModelError:
            return False
