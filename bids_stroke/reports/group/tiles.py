"""Key figures at the top of the group report."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from .checks import check_statuses
from .table import ExcludedSession, session_keys


class Tile(NamedTuple):
    """Key figure at the top of the page.

    Attributes
    ----------
    label : str
    value : int or str
    section : str
        Section that the tile links to and whose color it has; empty for ordinary tiles.
    note : str
    """

    label: str
    value: int | str
    section: str = ""
    note: str = ""


def cohort_tiles(
    table: pd.DataFrame, volumes: pd.Series, failed: Sequence[ExcludedSession]
) -> list[Tile]:
    """Count participants and sessions, and summarize lesion volumes (ml)."""
    participants = {*table["participant_id"], *(session.participant_id for session in failed)}
    flagged = int(check_statuses(table).notna().sum())
    tiles = [
        Tile("Participants", len(participants)),
        Tile("Sessions measured", len(table[session_keys(table)].drop_duplicates())),
        _problem_tile("Sessions that failed QC checks", flagged, "checks"),
        Tile("Sessions without a lesion", int((volumes == 0).sum())),
        _problem_tile("Sessions failed", len(failed), "failed"),
    ]
    lesions = volumes[volumes > 0]
    if len(lesions):
        low, median, high = lesions.quantile([0.25, 0.5, 0.75])
        quartiles = (
            f"quartiles {low:.3g}\N{EN DASH}{high:.3g} ml, of {len(lesions)} sessions with a lesion"
        )
        tiles.append(Tile("Median lesion volume", f"{median:.3g} ml", note=quartiles))
    return tiles


def _problem_tile(label: str, number: int, section: str) -> Tile:
    """Create the tile of a number of problems, with a link to the section that lists them."""
    return Tile(label, number, section if number else "")
