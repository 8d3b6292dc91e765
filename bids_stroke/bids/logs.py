"""Files in the folder ``logs`` of the derivatives.

A session has a record (``sub-01_run.json``), a log (``sub-01.log``) and, after an unexpected error, a
crash file (``sub-01_crash.txt``). A run has a log: ``bids_stroke.log``, or ``sub-01_run.log`` if of one
participant.
"""

from collections.abc import Iterator
from pathlib import Path

from bids_stroke.utils.files import PathLike

_RECORD = "_run.json"


def folder(output_dir: PathLike) -> Path:
    """Folder of the logs."""
    return Path(output_dir) / "logs"


def record_path(output_dir: PathLike, session_name: str) -> Path:
    """Path of the record of a session."""
    return folder(output_dir) / f"{session_name}{_RECORD}"


def log_path(output_dir: PathLike, session_name: str) -> Path:
    """Path of the log of a session."""
    return folder(output_dir) / f"{session_name}.log"


def crash_path(output_dir: PathLike, session_name: str) -> Path:
    """Path of the crash file of a session."""
    return folder(output_dir) / f"{session_name}_crash.txt"


def run_log_path(output_dir: PathLike, participant: str | None = None) -> Path:
    """Path of the log of a run, of all participants or of one (``sub-XX``)."""
    return folder(output_dir) / (f"{participant}_run.log" if participant else "bids_stroke.log")


def report_log_path(output_dir: PathLike, participant: str) -> Path:
    """Path of the log of the reports of a participant (``sub-XX``), if they are written again."""
    return folder(output_dir) / f"{participant}_report.log"


def recorded(output_dir: PathLike, participant: str = "sub-*") -> list[str]:
    """Names of the sessions with a record, of all participants or of one (``sub-XX``), in order."""
    logs = folder(output_dir)
    paths = [*logs.glob(participant + _RECORD), *sorted(logs.glob(f"{participant}_ses-*{_RECORD}"))]
    return list(dict.fromkeys(path.name.removesuffix(_RECORD) for path in paths))


def started(output_dir: PathLike) -> Iterator[str]:
    """Names of the sessions that have a log."""
    for path in folder(output_dir).glob("sub-*.log"):
        if not path.stem.endswith(("_run", "_report")):  # logs of runs, and of reports
            yield path.stem
