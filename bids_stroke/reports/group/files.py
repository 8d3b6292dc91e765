"""Files of the participants that the group report links to or shows."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import pandas as pd
from markupsafe import Markup

from bids_stroke.bids.names import Name, entity, is_participant, join_prefix

#: A value of a table; missing ones are NaN or None.
Value: TypeAlias = str | float | None


def report_links(out_dir: Path, participants: Iterable[Value]) -> dict[str, str]:
    """Participants to the addresses of their reports, where these exist."""
    return {
        name: f"{name}.html"
        for name in set(map(str, participants))
        if is_participant(name) and (out_dir / f"{name}.html").is_file()
    }


def session_figures(out_dir: Path, participant: Value, session: Value, kind: str) -> list[Path]:
    """Figures of a session whose ``desc-`` entity is ``kind``; ``session`` is missing or empty for a
    participant without sessions."""
    participant = str(participant)
    if not is_participant(participant):
        return []
    session_name = join_prefix(participant, None if pd.isna(session) else str(session))
    return [
        path
        for path in sorted((out_dir / participant / "figures").glob("*.svg"))
        if Name.parse(path).session_name == session_name and entity(path, "desc") == kind
    ]


def inline_svg(path: Path) -> Markup:
    """A figure as an element of the page, without its XML declaration."""
    return Markup(re.sub(r"^<\?xml.*?\?>\s*", "", path.read_text(encoding="utf-8")))
