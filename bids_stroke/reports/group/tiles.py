"""Key figures at the top of the group report."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from .table import ExcludedSession, session_keys


class Tile(NamedTuple):
    """Key figure at the top of the page, with its label."""

    label: str
    value: int | str


def cohort_tiles(
    table: pd.DataFrame, volumes: pd.Series, failed: Sequence[ExcludedSession]
) -> list[Tile]:
    """Count participants and sessions, and summarize lesion volumes (ml)."""
    participants = {*table["participant_id"], *(session.participant_id for session in failed)}
    tiles = [
        Tile("Participants", len(participants)),
        Tile("Sessions measured", len(table[session_keys(table)].drop_duplicates())),
        Tile("Sessions without a lesion", int((volumes == 0).sum())),
        Tile("Sessions failed", len(failed)),
    ]
    lesions = volumes[volumes > 0]
    if len(lesions):
        low, median, high = lesions.quantile([0.25, 0.5, 0.75])
        tiles += [
            Tile("Median lesion volume", f"{median:.3g} ml"),
            Tile("Quartiles of lesion volume", f"{low:.3g}\N{EN DASH}{high:.3g} ml"),
        ]
    return tiles
