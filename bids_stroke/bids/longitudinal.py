"""Record of the comparison of the sessions of a participant.

The record is a :class:`bids_stroke.bids.record.Record` whose name starts with ``longitudinal``. Its
``identity`` depends on the records of the sessions, ``contents`` contains their acquisition times, and
``notes`` the sentences on what was not compared or is not comparable.
"""

import hashlib
import json
from collections.abc import Sequence

from bids_stroke import __version__
from bids_stroke.utils.files import PathLike

from . import logs
from . import record as records
from .record import Record

#: Value of ``space-`` and ``desc-`` of the outputs.
SPACE, DESC = "midpoint", "longitudinal"
#: Roles of the outputs.
TABLE, PLOT, CONTOURS, ALIGNMENT = "table", "plot", "contours", "alignment"
_PREFIX = "longitudinal_"


def record_name(subject: str) -> str:
    """Return the name of the record of a participant (``sub-XX``)."""
    return _PREFIX + subject


def is_longitudinal(name: str) -> bool:
    """Return whether a name is that of the record of a comparison.

    >>> is_longitudinal(record_name("sub-01")), is_longitudinal("sub-01")
    (True, False)
    """
    return name.startswith(_PREFIX)


def identity(sessions: Sequence[Record]) -> str:
    """Return the checksum of everything in the output folder that a comparison depends on.

    Parameters
    ----------
    sessions : sequence of Record
        Records of the finished sessions of a participant.
    """
    states = sorted([record.name, record.identity, record.status, record.date] for record in sessions)
    return hashlib.sha256(json.dumps([__version__, states]).encode()).hexdigest()


def read_current(
    output_dir: PathLike, subject: str, sessions: Sequence[Record] | None = None
) -> Record | None:
    """Read the record of the comparison of a participant (``sub-XX``).

    Parameters
    ----------
    output_dir : path
    subject : str
    sessions : sequence of Record, optional
        Records of the finished sessions of the participant; by default, they are read.

    Returns
    -------
    Record or None
        None without a finished comparison, or if a session has changed since.
    """
    record = records.read(output_dir, record_name(subject))
    if record is None or record.status == records.UNFINISHED:
        return None
    if sessions is None:
        sessions = records.read_participant(output_dir, subject)
    return record if record.identity == identity(sessions) else None


def read_all(output_dir: PathLike) -> list[Record]:
    """Read the records of the comparisons of all participants, sorted by name."""
    names = logs.recorded(output_dir, record_name("sub-*"))
    return [record for name in names if (record := records.read(output_dir, name))]


def remove(output_dir: PathLike, subject: str) -> None:
    """Remove the outputs and the record of an earlier comparison."""
    records.remove(output_dir, record_name(subject), owner=subject)
