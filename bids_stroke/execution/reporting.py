"""Write the reports of a participant: the last step of each of its sessions."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd

from bids_stroke.bids import logs
from bids_stroke.bids import record as records
from bids_stroke.bids.record import Record
from bids_stroke.errors import DatasetError
from bids_stroke.reports.participant import cohort, neighbors
from bids_stroke.reports.participant.report import UnshownSessionsError, participant_report
from bids_stroke.reports.participant.updates import page_names
from bids_stroke.reports.viewer import drawing
from bids_stroke.reports.viewer import session as viewer
from bids_stroke.settings import Settings

from .locks import report_lock

LOG = logging.getLogger("bids_stroke")


def write_reports(settings: Settings, subject: str, ended: Record | None = None) -> None:
    """Write the viewers, the drawing pages and the report of a participant.

    If a session cannot be shown, the error is logged and the report is written without the session.

    Parameters
    ----------
    settings : Settings
    subject : str
        ``sub-XX``.
    ended : Record, optional
        Record, not yet written, of the session that has just ended. Its viewer is written, and those of
        other sessions if they are missing. Without ``ended``, all viewers are written again.

    Raises
    ------
    Exception
        If ``ended`` cannot be shown; without ``ended``, if any session cannot be shown.
    DatasetError
        Without ``ended``, if a record cannot be read.
    """
    out = settings.output_dir
    sessions = {record.name: record for record in records.read_participant(out, subject)}
    if ended:
        sessions[ended.name] = ended
    else:
        _refuse_unreadable(settings, subject)
    shown = [sessions[name] for name in sorted(sessions)]
    errors = _write_viewers(settings, shown, ended)
    try:
        participant_report(out, subject, settings.report_viewer, shown)
    except UnshownSessionsError as unshown:
        errors |= unshown.errors
    for name, problem in errors.items():
        LOG.error("%s cannot be shown in the report of %s", name, subject, exc_info=problem)
        if ended is None or name == ended.name:
            raise problem


def update_neighbors(settings: Settings, subject: str) -> None:
    """Update the links in the pages before and after that of a participant (``sub-XX``).

    Call this without a lock: two processes that hold the locks of their own reports would wait for each
    other.
    """
    out = settings.output_dir
    for name in filter(None, neighbors.find_neighbors(out, subject)):
        # A missing link is not an error: the disk may be full, or the page may have been removed.
        with suppress(OSError), report_lock(out, name):
            neighbors.update_links(out, name)


def update_places(output_dir: Path, table: pd.DataFrame) -> None:
    """Update the percentiles of each session in its cohort, in the existing pages.

    Parameters
    ----------
    output_dir : Path
    table : pandas.DataFrame
        Group table; sessions that are not in it have no percentiles.
    """
    texts = cohort.page_texts(table)
    for name in sorted(page_names(output_dir)):
        with suppress(OSError), report_lock(output_dir, name):
            cohort.update_places(output_dir, name, texts.get(name, {}))


def _write_viewers(
    settings: Settings, shown: Sequence[Record], ended: Record | None
) -> dict[str, Exception]:
    """Write the outdated or missing viewers and drawing pages; return the errors by session."""
    out, errors = settings.output_dir, dict[str, Exception]()
    pages = (
        (viewer.viewer_path, viewer.write_viewer),
        (drawing.drawing_path, drawing.write_drawing),
    )
    for record in shown:
        for path_of, write in pages if record.complete(out) else ():
            if ended is not None and record is not ended and path_of(out, record.name).is_file():
                continue
            try:
                write(out, record, settings.tracts)
            except Exception as error:  # other sessions still get viewers
                errors[record.name] = error
    return errors


def _refuse_unreadable(settings: Settings, subject: str) -> None:
    """Raise an error for an unreadable record, since the report would lack the session."""
    for name in logs.recorded(settings.output_dir, subject):
        if records.read(settings.output_dir, name) is None:
            path = logs.record_path(settings.output_dir, name)
            raise DatasetError(
                f"{path} is damaged or of another version; run the participant level again."
            )
