"""Ensembles: cards that name other cards, and how their answers become one."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bids_stroke.atlases import super_regions
from bids_stroke.spatial.grid import resample

from . import fusion

FUSIONS = ("mean", "majority", "confidence", "stacking", "agreement", "regions")
#: Those that need all answers on one grid: their window has a size, their regions a place.
_ONE_GRID = ("agreement", "regions")


@dataclass(frozen=True)
class Ensemble:
    """Several models that answer as one.

    ``members`` are their cards, networks or ensembles; ``fusion`` tells how they vote
    (:mod:`bids_stroke.models.fusion`). ``window`` (voxels of their grid) and ``overlap`` are those of
    the agreement window, ``regions`` the super-regions that each member answers for. Post-processing
    and description are as in a :class:`~bids_stroke.models.card.Card`. All members take the same
    contrasts.
    """

    name: str
    members: tuple
    fusion: str
    threshold: float
    min_component_mm3: float
    trained_on: str
    measured: list
    notes: list
    citation: str
    path: Path = field(repr=False)
    window: int | None = None
    overlap: float | None = None
    regions: tuple[tuple[str, ...], ...] = ()

    @property
    def leaves(self):
        """The networks of the members, each once."""
        found = {leaf.identity(): leaf for one in self.members for leaf in one.leaves}
        return tuple(found.values())

    @property
    def spacing(self):
        """That of the first member."""
        return self.members[0].spacing

    @property
    def channels(self):
        """Those of the members."""
        return self.members[0].channels

    @property
    def trained_range(self):
        """That of the first member."""
        return self.members[0].trained_range

    @property
    def sha256(self):
        """Checksum of the members' checksums."""
        return hashlib.sha256("".join(one.sha256 for one in self.members).encode()).hexdigest()

    @property
    def licence(self):
        """Licences of the members."""
        return ", ".join(sorted({one.licence for one in self.leaves}))

    def identity(self):
        """What predictions depend on, as text."""
        own = (self.name, self.fusion, self.threshold, self.min_component_mm3)
        own += (self.window, self.overlap, self.regions)
        return json.dumps([own, [one.identity() for one in self.members]])

    def select(self, available):
        """Choose contrasts as the members do."""
        return self.members[0].select(available)

    def takes(self, contrast):
        """Tell whether the members work on ``contrast`` alone."""
        return self.members[0].takes(contrast)

    def check(self):
        """Check that the members go together.

        Raises
        ------
        ValueError
        """
        if self.fusion not in FUSIONS:
            raise ValueError(f"fusion is one of {', '.join(FUSIONS)}")
        if len({one.channels for one in self.members}) != 1:
            raise ValueError("members take the same channels")
        if (self.fusion == "agreement") != bool(self.window and self.overlap is not None):
            raise ValueError("window and overlap go with the fusion agreement")
        if self.window and not (2 <= self.window <= 64 and 0 <= self.overlap < 1):
            raise ValueError("a window has 2 to 64 voxels, overlap is 0 to less than 1")
        if (self.fusion == "regions") != bool(self.regions):
            raise ValueError("regions go with the fusion of that name")
        if self.fusion in _ONE_GRID and len({leaf.preparation for leaf in self.leaves}) != 1:
            raise ValueError(f"the fusion {self.fusion} needs members on one grid")
        if self.regions:
            known, named = region_names(), [name for group in self.regions for name in group]
            if sorted(named) != sorted(known) or len(self.regions) != len(self.members):
                raise ValueError(f"regions name each of {', '.join(known)} once, a group per member")
            if self.leaves[0].space == "native":
                raise ValueError("the fusion regions needs members in the template's space")


def region_names():
    """Names of the super-regions, in the order of their numbers from 1."""
    return list(super_regions.super_regions_card()["names"])


def labels(grid):
    """Numbers of the super-regions on a grid in the template's space; int, (x, y, z)."""
    atlas = super_regions.super_regions().img
    return np.asanyarray(resample(atlas, grid, order=0).dataobj).astype(int)


def combine(model, answers, grid):
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
    if not isinstance(model, Ensemble):
        return answers[model.identity()]
    found = [combine(one, answers, grid) for one in model.members]
    masks = [one >= card.threshold for one, card in zip(found, model.members, strict=True)]
    match model.fusion:
        case "mean":
            return fusion.mean(found)
        case "majority":
            return fusion.majority(masks)
        case "confidence":
            return fusion.confidence(found, masks)
        case "stacking":
            return fusion.stacking(masks)
        case "agreement":
            return fusion.agreement_window(masks, model.window, model.overlap)
        case "regions":
            numbers = {name: n for n, name in enumerate(region_names(), 1)}
            groups = [[numbers[name] for name in group] for group in model.regions]
            return fusion.by_region(found, labels(grid), groups)
