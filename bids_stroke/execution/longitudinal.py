"""Comparison of the sessions of a participant, after the last of them has ended.

A session must not depend on the other sessions of its participant, which may run on other machines, and
the group level does not register images. The comparison is therefore a separate task of the participant
level. It reads the derivatives of the sessions only, and its record
(:mod:`bids_stroke.bids.longitudinal`) is valid until one of the sessions changes: the run that ends the
last session compares all of them.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path

from bids_stroke.bids import logs, longitudinal
from bids_stroke.bids import record as records
from bids_stroke.bids.longitudinal import record_name
from bids_stroke.bids.names import split_session_name
from bids_stroke.bids.record import Record
from bids_stroke.cohort.acquisition_times import AcquisitionTimes, read_times
from bids_stroke.cohort.longitudinal import LesionSession, in_order, read_session
from bids_stroke.cohort.longitudinal_notes import (
    notes_on_alignment,
    notes_on_order,
    notes_on_pairs,
    uncompared,
)
from bids_stroke.settings import Settings
from bids_stroke.utils.versions import package_versions

from .failures import describe_error
from .locks import longitudinal_lock, report_lock
from .messages import Result
from .plan import source_datasets
from .session import log_to, run_task

LOG = logging.getLogger("bids_stroke")
_PACKAGES = ("antspyx", "matplotlib", "nibabel", "numpy", "pandas", "scipy")
#: Methods text.
DESCRIPTION = (
    "The sessions of a participant were registered rigidly to their midpoint space [@reuter] with ANTs "
    "[@antsx], in both directions and without the lesions. Components of the lesion in consecutive "
    "sessions were matched by their overlap."
)


def is_due(settings: Settings, subject: str, sessions: Sequence[Record] | None = None) -> bool:
    """Return whether the sessions of a participant (``sub-XX``) must be compared (again).

    Parameters
    ----------
    settings : Settings
    subject : str
    sessions : sequence of Record, optional
        Records of the finished sessions; by default, they are read.
    """
    out = settings.output_dir
    if sessions is None:
        sessions = records.read_participant(out, subject)
    if len(sessions) < 2:
        return logs.record_path(out, record_name(subject)).exists()
    current = longitudinal.read_current(out, subject, sessions)
    if current is None or not current.complete(out):
        return True
    return current.contents != _acquisition_times(settings, subject, sessions).times


def compare_participant(
    settings: Settings, subject: str, channel: Connection, environment: Mapping[str, str]
) -> None:
    """Compare the sessions of a participant (``sub-XX``) and show the changes in its report.

    Parameters are as for :func:`bids_stroke.execution.session.run_session`.
    """
    from bids_stroke.reports.participant.longitudinal import update_changes

    out = settings.output_dir

    def work() -> Result:
        with longitudinal_lock(out, subject):
            if not is_due(settings, subject):  # another run has compared them
                return Result("ok")
            log_to(logs.log_path(out, record_name(subject)), settings.verbose)
            record = _compare(settings, subject)
        with report_lock(out, subject):
            update_changes(out, subject)
        return Result("failed", record.error) if record and record.error else Result("ok")

    run_task(work, channel, environment)


def _compare(settings: Settings, subject: str) -> Record | None:
    """Compare sessions and write the record, even if the comparison fails; None for one session."""
    out, start = settings.output_dir, time.monotonic()
    sessions = records.read_participant(out, subject)
    longitudinal.remove(out, subject)
    if len(sessions) < 2:
        return None
    times = _acquisition_times(settings, subject, sessions)
    record = Record(
        record_name(subject),
        longitudinal.identity(sessions),
        contents=dict(times.times),
        command=settings.command,
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
        versions=package_versions(_PACKAGES),
    )
    reasons = uncompared(out, sessions)
    record.notes = [f"{name} is not compared: {reason}." for name, reason in reasons.items()]
    try:
        usable = [session for session in sessions if session.name not in reasons]
        if len(usable) > 1:
            _write(settings, subject, record, in_order([_read(out, item, times) for item in usable]))
            record.notes += [times.problem] if times.problem else []
        record.status = "ok"
    except Exception as error:
        LOG.exception("the comparison of the sessions of %s failed", subject)
        record.status, record.error = "failed", describe_error(error)
    record.seconds = round(time.monotonic() - start, 1)
    record.write(out)
    return record


def _read(out: Path, record: Record, times: AcquisitionTimes) -> LesionSession:
    return read_session(out, record, times.times.get(split_session_name(record.name)[1]))


def _write(settings: Settings, subject: str, record: Record, sessions: Sequence[LesionSession]) -> None:
    """Write the outputs of a comparison and add them to its record."""
    from .longitudinal_outputs import Comparison  # slow import

    comparison = Comparison(source_datasets(settings), subject, sessions)
    record.outputs = comparison.outputs
    records.write_unfinished(record, settings.output_dir)
    rows = comparison.write()
    record.description = DESCRIPTION
    notes = notes_on_alignment(rows), notes_on_pairs(sessions), notes_on_order(sessions)
    record.notes += chain.from_iterable(notes)


def _acquisition_times(
    settings: Settings, subject: str, sessions: Sequence[Record]
) -> AcquisitionTimes:
    """Return the acquisition times of the sessions that succeeded."""
    names = [split_session_name(record.name)[1] for record in sessions if record.status == "ok"]
    return read_times(settings.bids_dir, subject, [name for name in names if name])
