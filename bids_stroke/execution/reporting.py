"""The reports of a participant: the last step of each of its sessions."""

from bids_stroke.bids import record as records
from bids_stroke.bids.record import Record
from bids_stroke.reports.participant.report import participant_report
from bids_stroke.reports.viewer import session as viewer
from bids_stroke.settings import Settings


def write_reports(settings: Settings, subject: str, ended: Record | None = None) -> None:
    """Write the viewers and the report of a participant.

    Parameters
    ----------
    subject : str
        ``sub-XX``.
    ended : Record, optional
        Record, not written yet, of the session that has just ended: its viewer is written, and the
        viewers of other sessions if they are missing. Without it, all viewers are written again.
    """
    out = settings.output_dir
    sessions = {record.name: record for record in records.read_participant(out, subject)}
    if ended:
        sessions[ended.name] = ended
    shown = [sessions[name] for name in sorted(sessions)]
    for record in shown:
        current = ended is None or record is ended or not viewer.path_of(out, record.name).is_file()
        if current and record.complete(out):
            viewer.write_viewer(out, record, settings.tracts)
    participant_report(out, subject, settings.report_viewer, shown)
