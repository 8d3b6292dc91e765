"""Ensembles: cards that combine the predictions of other cards."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import nibabel as nib
import numpy as np

from bids_stroke.atlases import super_regions
from bids_stroke.spatial.grid import resample

from . import fusion
from .calibration import Calibration
from .card import Card, Channel

Fusion: TypeAlias = Literal["mean", "majority", "confidence", "stacking", "agreement", "regions"]
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)
#: Those that need all answers on one grid: their window has a size, their regions a place.
_SAME_GRID_FUSIONS = ("agreement", "regions")


@dataclass(frozen=True)
class Ensemble:
    """Several models that answer as one.

    ``members`` are their cards, networks or ensembles; ``fusion`` defines how they vote
    (:mod:`bids_stroke.models.fusion`). ``window`` (voxels of their grid) and ``overlap`` are those of
    the agreement window, ``regions`` the super-regions that each member answers for. Post-processing
    and description are as in a :class:`~bids_stroke.models.card.Card`. All members take the same
    contrasts.
    """

    name: str
    members: tuple["Model", ...]
    fusion: Fusion
    threshold: float
    min_component_mm3: float
    trained_on: str
    measured: list[dict[str, Any]]
    notes: list[str]
    citation: str
    path: Path = field(repr=False)
    window: int | None = None
    overlap: float | None = None
    regions: tuple[tuple[str, ...], ...] = ()

    @property
    def leaves(self) -> tuple[Card, ...]:
        """The networks of the members, each once."""
        leaves = {leaf.identity(): leaf for member in self.members for leaf in member.leaves}
        return tuple(leaves.values())

    @property
    def spacing(self) -> tuple[float, float, float]:
        """That of the first member."""
        return self.members[0].spacing

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Those of the members."""
        return self.members[0].channels

    @property
    def trained_range(self) -> dict[str, tuple[float, float]]:
        """That of the first member."""
        return self.members[0].trained_range

    @property
    def sha256(self) -> str:
        """Checksum of the members' checksums."""
        return hashlib.sha256("".join(member.sha256 for member in self.members).encode()).hexdigest()

    @property
    def licence(self) -> str:
        """Licences of the members."""
        return ", ".join(sorted({leaf.licence for leaf in self.leaves}))

    def identity(self) -> str:
        """What predictions depend on, as text."""
        settings = [self.name, self.fusion, self.threshold, self.min_component_mm3]
        combination = [self.window, self.overlap, self.regions]
        members = [member.identity() for member in self.members]
        return json.dumps([settings + combination, members])

    def select(self, available: Collection[str]) -> tuple[str, ...]:
        """Choose contrasts as the members do."""
        return self.members[0].select(available)

    def calibration_for(self, contrasts: Collection[str]) -> Calibration:
        """No calibration: that of the members does not hold for their combination."""
        return Calibration()

    def takes(self, contrast: str) -> bool:
        """Return whether the members work on ``contrast`` alone."""
        return self.members[0].takes(contrast)

    def check(self) -> None:
        """Check that the members go together.

        Raises
        ------
        ValueError
        """
        if self.fusion not in FUSIONS:
            raise ValueError(f"fusion is one of {', '.join(FUSIONS)}")
        if len({member.channels for member in self.members}) != 1:
            raise ValueError("members take the same channels")
        self._check_window()
        if (self.fusion == "regions") != bool(self.regions):
            raise ValueError("regions go with the fusion of that name")
        if self.fusion in _SAME_GRID_FUSIONS and len({leaf.preparation for leaf in self.leaves}) != 1:
            raise ValueError(f"the fusion {self.fusion} needs members on one grid")
        if self.regions:
            self._check_regions()

    def _check_window(self) -> None:
        used = self.fusion == "agreement"
        if (self.window is not None) != used or (self.overlap is not None) != used:
            raise ValueError("window and overlap go with the fusion agreement")
        if self.window is None or self.overlap is None:
            return
        if not (2 <= self.window <= 64 and 0 <= self.overlap < 1):
            raise ValueError("a window has 2 to 64 voxels, overlap is 0 to less than 1")

    def _check_regions(self) -> None:
        regions, named = region_names(), [name for group in self.regions for name in group]
        if sorted(named) != sorted(regions) or len(self.regions) != len(self.members):
            raise ValueError(f"regions name each of {', '.join(regions)} once, a group per member")
        if self.leaves[0].space == "native":
            raise ValueError("the fusion regions needs members in the template's space")


#: A network or an ensemble.
Model: TypeAlias = Card | Ensemble


def region_names() -> list[str]:
    """Names of the super-regions, in the order of their numbers from 1."""
    return list(super_regions.super_regions_card().names)


def region_labels(grid: nib.Nifti1Image) -> np.ndarray:
    """Numbers of the super-regions on a grid in the template's space; int, (x, y, z)."""
    atlas = super_regions.super_regions().img
    return np.asanyarray(resample(atlas, grid, order=0).dataobj).astype(int)


def combine(model: Model, answers: Mapping[str, np.ndarray], grid: nib.Nifti1Image) -> np.ndarray:
    """Make one answer of those of the networks.

    Parameters
    ----------
    model : Card or Ensemble
    answers : dict of str to ndarray, (x, y, z)
        Probabilities by the identity of each network's card.
    grid : nib.Nifti1Image
        Where they lie.

    Returns
    -------
    ndarray, (x, y, z)
    """
    if isinstance(model, Card):
        return answers[model.identity()]
    probabilities = [combine(member, answers, grid) for member in model.members]
    thresholds = [member.threshold for member in model.members]
    masks = [values >= low for values, low in zip(probabilities, thresholds, strict=True)]
    match model.fusion:
        case "mean":
            return fusion.mean(probabilities)
        case "majority":
            return fusion.majority(masks)
        case "confidence":
            return fusion.confidence(probabilities, masks)
        case "stacking":
            return fusion.stacking(masks)
        case "agreement":
            assert model.window is not None and model.overlap is not None
            return fusion.agreement_window(masks, model.window, model.overlap)
        case "regions":
            numbers = {name: n for n, name in enumerate(region_names(), 1)}
            groups = [[numbers[name] for name in group] for group in model.regions]
            return fusion.by_region(probabilities, region_labels(grid), groups)
