"""Model card for tests."""

from dataclasses import replace
from pathlib import Path

from bids_stroke.models.card import Card, Channel, Network, Weights

_CARD = Card(
    name="tested",
    network=Network("unet3d"),
    channels=(Channel("T1w"),),
    space="native",
    spacing=(2.0, 2.0, 2.0),
    tile=(32, 32, 32),
    normalization="zscore",
    threshold=0.5,
    min_component_mm3=10,
    weights=Weights(sha256="0", bytes=0, licence="", file="w"),
    trained_on="",
    measured=[],
    notes=[],
    citation="",
    path=Path("/card.yaml"),
)


def make(*required, optional=(), **changes):
    """A card of a model with required contrasts (by default T1w) and optional contrasts."""
    channels = [*map(Channel, required), *(Channel(c, required=False) for c in optional)]
    return replace(_CARD, **({"channels": tuple(channels)} if channels else {}), **changes)
