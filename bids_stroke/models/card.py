"""Model cards: inference settings and documentation of a model."""

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

CONTRASTS = ("T1w", "FLAIR", "T2w", "TRACE", "ADC")
NORMALIZATIONS = ("zscore", "nnunet")
#: Pattern of model names, which are used in file names.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
#: 2D networks that contain no layers of MONAI.
_WITHOUT_MONAI = ("efficientnet_lite0_unet", "fc_densenet", "resnet50_unet", "vgg_unet")


@dataclass(frozen=True)
class Network:
    """Network architecture: a module of :mod:`bids_stroke.models.networks` (family) and the arguments
    of its ``build`` function."""

    family: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """Preprocessing of an nnU-Net (:mod:`bids_stroke.models.nnunet`).

    Attributes
    ----------
    transpose : tuple of int
        Order of the network's axes, as indices into (z, y, x).
    masked : tuple of bool
        Whether each channel is standardized within the brain only.
    order : int
        Spline order for resampling the channels.
    mirror : tuple of int
        Axes along which training images were mirrored.
    version : int
        Version of nnU-Net. Version 1 standardizes the channels after resampling, and averages
        probabilities instead of logits.
    """

    transpose: tuple[int, int, int]
    masked: tuple[bool, ...]
    order: int
    mirror: tuple[int, ...]
    version: int = 2


@dataclass(frozen=True)
class Channel:
    """Input channel: a contrast, and whether it is required; missing optional channels are zero."""

    contrast: str
    required: bool = True


@dataclass(frozen=True)
class Weights:
    """Weights file (safetensors) with its checksum and license.

    The file is next to the card (``file``) or is downloaded from one of several mirrors (``url``).
    """

    sha256: str
    bytes: int
    licence: str
    file: str | None = None
    url: str | list[str] | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]*", self.sha256) or self.bytes < 0:
            raise ValueError("sha256 must be hexadecimal and bytes a non-negative number")
        if not all(isinstance(url, str) and url.startswith("https://") for url in self.urls):
            raise ValueError("the url of weights must start with https://")

    @property
    def urls(self) -> list[str]:
        """URLs of the file, in the order in which they are tried."""
        return [self.url] if isinstance(self.url, str) else list(self.url or ())


@dataclass(frozen=True)
class Card:
    """Model card of one network.

    Attributes
    ----------
    space : str
        ``native`` or the name of a template.
    spacing : tuple of float
        Voxel size of the network input (mm), in RAS order.
    tile : tuple of int
        Tile size (voxels), in RAS order. A size of 1 along an axis marks a 2D network that reads the
        slices across this axis.
    threshold, min_component_mm3 : float
        Post-processing: probability threshold and smallest component.
    measured : list of dict
        Results on test data.
    inputs : tuple of tuple of str
        Accepted sets of contrasts, the best first. If empty, the model accepts the required channels
        with any of the others.
    trained_range : dict of str to (float, float)
        Lowest and highest value in the training data for a measure of a session
        (``brain_volume_ml``, ``lesion_volume_ml``).
    reference : str, optional
        Contrast that is the reference image of a session, if available; by default, the T1w.
    window : tuple of int, optional
        Size (voxels) of the central part of the template grid that the network receives. Outside the
        window, the lesion probability is zero.
    mirror : bool
        Whether the network also receives each channel reflected about the mid-sagittal plane
        (:mod:`bids_stroke.models.mirroring`).
    calibration : dict of str to Calibration
        Calibration for each set of contrasts; keys are the contrasts joined with ``+``.
    plan : Plan, optional
        Preprocessing of an nnU-Net.
    folds : tuple of Weights
        Further weights of the same network. Their logits are averaged with those of ``weights``.
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
    reference: str | None = None
    window: tuple[int, int, int] | None = None
    mirror: bool = False
    calibration: dict[str, Calibration] = field(default_factory=dict)
    plan: Plan | None = None
    folds: tuple[Weights, ...] = ()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"its name {self.name!r} may only contain letters, digits and . _ + -")

    @property
    def leaves(self) -> tuple["Card", ...]:
        """Cards of all networks: the card itself (for an ensemble, the networks of its members)."""
        return (self,)

    @property
    def plane(self) -> int | None:
        """Axis across the slices of a 2D network; None for a 3D network."""
        return self.tile.index(1) if 1 in self.tile else None

    @property
    def is_nnunet(self) -> bool:
        """Whether preprocessing and inference follow nnU-Net."""
        return self.normalization == "nnunet"

    @property
    def packages(self) -> tuple[str, ...]:
        """Installed packages that the network and its inference call."""
        without_monai = self.is_nnunet or self.network.arguments.get("network") in _WITHOUT_MONAI
        return ("torch",) if without_monai else ("torch", "monai")

    @property
    def preparation(self) -> tuple[Hashable, ...]:
        """Settings that determine the network's input."""
        return (self.channels, self.space, self.spacing, self.window, self.mirror, self.plan)

    @property
    def all_weights(self) -> tuple[Weights, ...]:
        """Weights of every fold."""
        return (self.weights, *self.folds)

    def weights_path(self, weights: Weights) -> Path:
        """Return the path of the weights of a fold.

        The file is next to the card, embedded in the package, or in the cache, where its name contains
        the checksum.
        """
        if not weights.file:
            return cache_dir() / "weights" / f"{self.name}-{weights.sha256[:16]}.safetensors"
        path = self.path.parent / weights.file
        return path if path.is_file() else DATA / "weights" / weights.file

    @property
    def sha256(self) -> str:
        """Checksum of the weights; for several folds, the checksum of their checksums."""
        sums = [weights.sha256 for weights in self.all_weights]
        return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()

    @property
    def licence(self) -> str:
        """License of the weights."""
        return self.weights.licence

    def identity(self) -> str:
        """Return a text that identifies everything the predictions depend on."""
        described = ("trained_on", "trained_range", "measured", "notes", "citation", "path")
        content = {key: value for key, value in asdict(self).items() if key not in described}
        if self.reference is None:  # the identity is that of cards before this field
            del content["reference"]
        if self.plan and self.plan.version == 2:  # as above
            del content["plan"]["version"]
        # The location of the weights file does not matter.
        content["weights"] = content["folds"] = None
        return json.dumps([content, [weights.sha256 for weights in self.all_weights]], default=str)

    def select(self, available: Collection[str]) -> tuple[str, ...]:
        """Select the contrasts that the model uses from those available in a session.

        Raises
        ------
        ModelError
            If a required contrast is missing, or no contrast is available.
        """
        if self.inputs:
            return self._select_input(available)
        chosen = [c.contrast for c in self.channels if c.contrast in available]
        missing = [c.contrast for c in self.channels if c.required and c.contrast not in available]
        if missing or not chosen:
            wanted = " and ".join(missing) or " or ".join(c.contrast for c in self.channels)
            raise ModelError(
                f"Model {self.name} requires {wanted}, but the session has "
                f"{_only(available)}; choose another model with --model."
            )
        return tuple(chosen)

    def _select_input(self, available: Collection[str]) -> tuple[str, ...]:
        for group in self.inputs:
            if set(group) <= set(available):
                return tuple(c.contrast for c in self.channels if c.contrast in group)
        accepted = ", ".join(" with ".join(group) for group in self.inputs)
        raise ModelError(
            f"Model {self.name} accepts {accepted}, but the session has {_only(available)}; "
            "choose another model with --model."
        )

    def calibration_for(self, contrasts: Collection[str]) -> Calibration:
        """Return the calibration for a set of contrasts; by default, one that changes nothing."""
        names = [c.contrast for c in self.channels if c.contrast in contrasts]
        return self.calibration.get("+".join(names), Calibration())

    def takes(self, contrast: str) -> bool:
        """Return whether the model accepts ``contrast`` as its only input."""
        return self.accepts((contrast,))

    def accepts(self, contrasts: Collection[str]) -> bool:
        """Return whether the model uses all of these contrasts, in the order of its channels."""
        try:
            return self.select(contrasts) == tuple(contrasts)
        except ModelError:
            return False


def _only(available: Collection[str]) -> str:
    return f"only {', '.join(available)}" if available else "none of them"
