"""Ensembles: model cards that combine the predictions of other cards."""

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
#: Fusions that need all predictions on one grid, because they use a window size or regions.
_SAME_GRID_FUSIONS = ("agreement", "regions")


@dataclass(frozen=True)
class Ensemble:
    """Ensemble of several models.

    All members accept the same contrasts. The attributes for post-processing and description are those
    of a :class:`~bids_stroke.models.card.Card`.

    Attributes
    ----------
    members : tuple of Card or Ensemble
        Models whose predictions are combined.
    fusion : str
        Method of combination (:mod:`bids_stroke.models.fusion`).
    window, overlap : int and float, optional
        Size (voxels of the members' grid) and threshold of the agreement window.
    regions : tuple of tuple of str
        Super-regions in which each member is used.
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
        """Cards of the distinct networks of all members."""
        leaves = {leaf.identity(): leaf for member in self.members for leaf in member.leaves}
        return tuple(leaves.values())

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Spacing (mm) of the first member."""
        return self.members[0].spacing

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Input channels of the members."""
        return self.members[0].channels

    @property
    def trained_range(self) -> dict[str, tuple[float, float]]:
        """Range of the training data of the first member."""
        return self.members[0].trained_range

    @property
    def reference(self) -> str | None:
        """Contrast of the reference image of the first member."""
        return self.members[0].reference

    @property
    def sha256(self) -> str:
        """Checksum of the checksums of the members."""
        return hashlib.sha256("".join(member.sha256 for member in self.members).encode()).hexdigest()

    @property
    def licence(self) -> str:
        """Licenses of the members, joined with commas."""
        return ", ".join(sorted({leaf.licence for leaf in self.leaves}))

    def identity(self) -> str:
        """Return a text that identifies everything the predictions depend on."""
        settings = [self.name, self.fusion, self.threshold, self.min_component_mm3]
        combination = [self.window, self.overlap, self.regions]
        members = [member.identity() for member in self.members]
        return json.dumps([settings + combination, members])

    def select(self, available: Collection[str]) -> tuple[str, ...]:
        """Select contrasts as the members do (:meth:`bids_stroke.models.card.Card.select`)."""
        return self.members[0].select(available)

    def calibration_for(self, contrasts: Collection[str]) -> Calibration:
        """Return a calibration that changes nothing: calibrations of members do not apply here."""
        return Calibration()

    def takes(self, contrast: str) -> bool:
        """Return whether the members accept ``contrast`` as their only input."""
        return self.members[0].takes(contrast)

    def accepts(self, contrasts: Collection[str]) -> bool:
        """Return whether the members use all of these contrasts, in the order of their channels."""
        return self.members[0].accepts(contrasts)

    def check(self) -> None:
        """Check that the members can be combined by the fusion.

        Raises
        ------
        ValueError
            If a setting of the ensemble is invalid or the members are incompatible.
        """
        if self.fusion not in FUSIONS:
            raise ValueError(f"fusion must be one of {', '.join(FUSIONS)}")
        if len({member.channels for member in self.members}) != 1:
            raise ValueError("all members must have the same channels")
        self._check_window()
        if (self.fusion == "regions") != bool(self.regions):
            raise ValueError("regions must be set for the fusion regions, and only for it")
        if self.fusion in _SAME_GRID_FUSIONS and len({leaf.preparation for leaf in self.leaves}) != 1:
            raise ValueError(f"the fusion {self.fusion} requires all members on one grid")
        if self.regions:
            self._check_regions()

    def _check_window(self) -> None:
        used = self.fusion == "agreement"
        if (self.window is not None) != used or (self.overlap is not None) != used:
            raise ValueError("window and overlap must be set for the fusion agreement, and only for it")
        if self.window is None or self.overlap is None:
            return
        if not (2 <= self.window <= 64 and 0 <= self.overlap < 1):
            raise ValueError("window must be 2 to 64 voxels, and overlap at least 0 and below 1")

    def _check_regions(self) -> None:
        regions, named = region_names(), [name for group in self.regions for name in group]
        if sorted(named) != sorted(regions) or len(self.regions) != len(self.members):
            raise ValueError(
                f"regions must list each of {', '.join(regions)} once, with one group per member"
            )
        if self.leaves[0].space == "native":
            raise ValueError("the fusion regions requires members in template space")


#: A network or an ensemble.
Model: TypeAlias = Card | Ensemble


def region_names() -> list[str]:
    """Return the names of the super-regions in the order of their labels, which start at 1."""
    return list(super_regions.super_regions_card().names)


def region_labels(grid: nib.Nifti1Image) -> np.ndarray:
    """Return the labels of the super-regions (int, (x, y, z)) on a grid in template space."""
    atlas = super_regions.super_regions().img
    return np.asanyarray(resample(atlas, grid, order=0).dataobj).astype(int)


def combine(model: Model, predictions: Mapping[str, np.ndarray], grid: nib.Nifti1Image) -> np.ndarray:
    """Combine the predictions of all networks of a model.

    Parameters
    ----------
    model : Card or Ensemble
    predictions : dict of str to ndarray, (x, y, z)
        Lesion probability of each network, by the identity of its card.
    grid : nib.Nifti1Image
        Grid of the predictions.

    Returns
    -------
    ndarray, (x, y, z)
        Lesion probability, or share of votes.
    """
    if isinstance(model, Card):
        return predictions[model.identity()]
    probabilities = [combine(member, predictions, grid) for member in model.members]
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
