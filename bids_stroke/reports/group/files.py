"""Participant files and records that the group report links to or embeds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from bids_stroke.bids import record
from bids_stroke.bids.names import is_participant, join_session_name

#: Suffix of the kinds of figures in records.
FIGURE = "_figure"
#: Value of a table; missing values are NaN or None.
Value: TypeAlias = str | float | None
#: Participant and session; the session is empty for participants without sessions.
SessionKey: TypeAlias = tuple[str, str]


@dataclass(frozen=True)
class SessionFiles:
    """What the group report shows of the record of a session.

    Attributes
    ----------
    name : str
        Name of the session, ``sub-01_ses-1``; empty if the label of the participant is invalid.
    figures : mapping of str to list of Path
        Existing figures by ``desc-`` entity.
    flags : mapping of str to str
        Messages by failed QC check.
    """

    name: str = ""
    figures: Mapping[str, list[Path]] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)


def report_links(out_dir: Path, participants: Iterable[Value]) -> dict[str, str]:
    """Return the addresses of existing participant reports, by participant."""
    return {
        name: f"{name}.html"
        for name in set(map(str, participants))
        if is_participant(name) and (out_dir / f"{name}.html").is_file()
    }


def session_key(participant: Value, session: Value) -> SessionKey:
    """Return the key of a session; ``session`` is missing or empty for participants without sessions.

    >>> session_key("sub-01", float("nan")), session_key("sub-01", "ses-1")
    (('sub-01', ''), ('sub-01', 'ses-1'))
    """
    return str(participant), "" if pd.isna(session) else str(session)


def table_keys(table: pd.DataFrame) -> list[SessionKey]:
    """Return the keys of the rows of a table."""
    sessions = table.get("session_id", [None] * len(table))
    return [session_key(*key) for key in zip(table["participant_id"], sessions, strict=True)]


def read_sessions(out_dir: Path, keys: Iterable[SessionKey]) -> dict[SessionKey, SessionFiles]:
    """Read the records of sessions."""
    return {key: _read(out_dir, key) for key in keys}


def _read(out_dir: Path, key: SessionKey) -> SessionFiles:
    participant, session = key
    if not is_participant(participant):
        return SessionFiles()
    name = join_session_name(participant, session or None)
    session_record = record.read(out_dir, name)
    if session_record is None:
        return SessionFiles(name)
    figures: dict[str, list[Path]] = {}
    for role, path in session_record.files(out_dir):
        if role.endswith(FIGURE):
            figures.setdefault(role.removesuffix(FIGURE), []).append(path)
    ordered = {desc: sorted(paths) for desc, paths in figures.items()}
    return SessionFiles(name, ordered, session_record.flags)
