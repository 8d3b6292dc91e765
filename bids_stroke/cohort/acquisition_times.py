"""Acquisition times of the sessions of a participant, from ``sub-01/sub-01_sessions.tsv``."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from bids_stroke.errors import DatasetError
from bids_stroke.utils.text import enumeration

from .participants import read_keyed_table

_COLUMN = "acq_time"


class AcquisitionTimes(NamedTuple):
    """Valid acquisition times (ISO 8601) by session (``ses-1``).

    ``problem`` is a sentence if the time of a session is missing.
    """

    times: dict[str, str]
    problem: str | None = None


def read_times(bids_dir: Path, subject: str, sessions: Sequence[str]) -> AcquisitionTimes:
    """Read the acquisition times of sessions (``ses-1``) of a participant (``sub-XX``).

    Returns
    -------
    AcquisitionTimes
        Without a time if ``sub-XX_sessions.tsv`` is missing or cannot be used.
    """
    path = bids_dir / subject / f"{subject}_sessions.tsv"
    unknown = "so the days between sessions are unknown"
    if not path.is_file():
        return AcquisitionTimes({}, f"{path.name} is missing, {unknown}.")
    try:
        table = read_keyed_table(path, ["session_id"])
    except DatasetError as error:
        return AcquisitionTimes({}, str(error))
    if _COLUMN not in table:
        return AcquisitionTimes({}, f"{path.name} has no column {_COLUMN}, {unknown}.")
    times = dict(zip(table["session_id"], table[_COLUMN].fillna(""), strict=True))
    valid = {session: times[session] for session in sessions if parse_time(times.get(session))}
    missing = [session for session in sessions if session not in valid]
    if not missing:
        return AcquisitionTimes(valid)
    return AcquisitionTimes(
        valid, f"{path.name} has no valid {_COLUMN} of {enumeration(missing)}, {unknown}."
    )


def parse_time(text: str | None) -> datetime | None:
    """Parse a date and time in ISO 8601; return None if it is missing or invalid.

    The time zone is ignored.

    >>> parse_time("2009-06-15T13:45:30.5Z"), parse_time("June 2009")
    (datetime.datetime(2009, 6, 15, 13, 45, 30, 500000), None)
    """
    try:
        return datetime.fromisoformat(text or "").replace(tzinfo=None)
    except ValueError:
        return None
