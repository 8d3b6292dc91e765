"""Participant files that the group report links to or embeds."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from bids_stroke.bids import record
from bids_stroke.bids.names import is_participant, join_session_name

#: Suffix of the roles of figures in records.
FIGURE = "_figure"
#: Value of a table; missing values are NaN or None.
Value: TypeAlias = str | float | None


def report_links(out_dir: Path, participants: Iterable[Value]) -> dict[str, str]:
    """Return the addresses of existing participant reports, by participant."""
    return {
        name: f"{name}.html"
        for name in set(map(str, participants))
        if is_participant(name) and (out_dir / f"{name}.html").is_file()
    }


def session_figures(out_dir: Path, participant: Value, session: Value) -> dict[str, list[Path]]:
    """List the figures in the record of a session by ``desc-`` entity.

    ``session`` is missing or empty for participants without sessions.
    """
    participant = str(participant)
    if not is_participant(participant):
        return {}
    name = join_session_name(participant, None if pd.isna(session) else str(session))
    session_record = record.read(out_dir, name)
    figures: dict[str, list[Path]] = {}
    for role, path in session_record.files(out_dir) if session_record else ():
        if role.endswith(FIGURE):
            figures.setdefault(role.removesuffix(FIGURE), []).append(path)
    return {desc: sorted(paths) for desc, paths in figures.items()}
