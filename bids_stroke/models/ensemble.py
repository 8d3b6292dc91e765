"""Ensembles: cards that name other cards, and how their answers become one."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

FUSIONS = ("mean", "majority")


@dataclass(frozen=True)
class Ensemble:
    """Several models that answer as one.

    ``members`` are their cards, ``fusion`` how they vote; post-processing and description as in a
    :class:`~bids_stroke.models.card.Card`. All members take the same contrasts.
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
        return ", ".join(sorted({one.licence for one in self.members}))

    def identity(self):
        """What predictions depend on, as text."""
        own = (self.name, self.fusion, self.threshold, self.min_component_mm3)
        return json.dumps([own, [one.identity() for one in self.members]])

    def select(self, available):
        """Choose contrasts as the members do."""
        return self.members[0].select(available)

    def takes(self, contrast):
        """Tell whether the members work on ``contrast`` alone."""
        return self.members[0].takes(contrast)


def fuse(probabilities, fusion):
    """Make one probability map of several.

    Parameters
    ----------
    probabilities : sequence of ndarray
        One of each member, of one shape.
    fusion : {"mean", "majority"}
        The mean; or the share of members with at least one half, so that more than half of the
        votes is above one half.

    Returns
    -------
    ndarray
    """
    if fusion == "majority":
        probabilities = [one >= 0.5 for one in probabilities]
    return np.mean(probabilities, axis=0, dtype=np.float32)
