"""Files of the participants that the group report links to or shows."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import pandas as pd
from markupsafe import Markup

from bids_stroke.bids import record
from bids_stroke.bids.names import is_participant, join_session_name

#: End of the kind of an output that is a figure.
FIGURE = "_figure"
#: A value of a table; missing ones are NaN or None.
Value: TypeAlias = str | float | None


def report_links(out_dir: Path, participants: Iterable[Value]) -> dict[str, str]:
    """Participants to the addresses of their reports, where these exist."""
    return {
        name: f"{name}.html"
        for name in set(map(str, participants))
        if is_participant(name) and (out_dir / f"{name}.html").is_file()
    }


def session_figures(out_dir: Path, participant: Value, session: Value) -> dict[str, list[Path]]:
    """Figures that the record of a session lists, by their ``desc-`` entity; ``session`` is missing or
    empty for a participant without sessions."""
    participant = str(participant)
    if not is_participant(participant):
        return {}
    name = join_session_name(participant, None if pd.isna(session) else str(session))
    listing = record.read(out_dir, name)
    figures: dict[str, list[Path]] = {}
    for kind, path in listing.files(out_dir) if listing else ():
        if kind.endswith(FIGURE):
            figures.setdefault(kind.removesuffix(FIGURE), []).append(path)
    return {kind: sorted(paths) for kind, paths in figures.items()}


def inline_svg(path: Path) -> Markup:
    """A figure as an element of the page, without its XML declaration."""
    return Markup(re.sub(r"^<\?xml.*?\?>\s*", "", path.read_text(encoding="utf-8")))
