"""Files in the folder ``logs`` of the derivatives.

A session has a record (``sub-01_run.json``), a log (``sub-01.log``) and, after an unexpected error, a
crash file (``sub-01_crash.txt``). The log of a run is ``bids_stroke.log``, or ``sub-01_run.log`` for a
run of selected participants, of which sub-01 is the first. The file with the options of a run has the
same name, with the extension ``.toml``.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bids_stroke.utils.files import PathLike

_RECORD = "_run.json"


def folder(output_dir: PathLike) -> Path:
    """Return the folder of the logs."""
    return Path(output_dir) / "logs"


def record_path(output_dir: PathLike, session_name: str) -> Path:
    """Return the path of the record of a session."""
    return folder(output_dir) / f"{session_name}{_RECORD}"


def log_path(output_dir: PathLike, session_name: str) -> Path:
    """Return the path of the log of a session."""
    return folder(output_dir) / f"{session_name}.log"


def crash_path(output_dir: PathLike, session_name: str) -> Path:
    """Return the path of the crash file of a session."""
    return folder(output_dir) / f"{session_name}_crash.txt"


def run_log_path(output_dir: PathLike, labels: Sequence[str] = ()) -> Path:
    """Return the path of the log of a run of all participants, or of those with given labels.

    The runs of different participants have separate logs, since many such runs may share a file system.
    """
    return folder(output_dir) / (f"sub-{labels[0]}_run.log" if labels else "bids_stroke.log")


def graph_path(output_dir: PathLike, session_name: str) -> Path:
    """Return the path of the graph of the workflow of a session, in the format of Graphviz."""
    return folder(output_dir) / f"{session_name}_graph.dot"


def options_path(output_dir: PathLike, level: str, labels: Sequence[str] = ()) -> Path:
    """Return the path of the options file of a run; ``labels`` as for :func:`run_log_path`."""
    if level == "group":
        return folder(output_dir) / "group_run.toml"
    return run_log_path(output_dir, labels).with_suffix(".toml")


def report_log_path(output_dir: PathLike, participant: str) -> Path:
    """Return the path of the log of a separate task that writes the reports of ``sub-XX``."""
    return folder(output_dir) / f"{participant}_report.log"


def recorded(output_dir: PathLike, participant: str = "sub-*") -> list[str]:
    """Return the sorted names of the sessions with a record, of all participants or of ``sub-XX``."""
    logs = folder(output_dir)
    paths = [*logs.glob(participant + _RECORD), *sorted(logs.glob(f"{participant}_ses-*{_RECORD}"))]
    return list(dict.fromkeys(path.name.removesuffix(_RECORD) for path in paths))


def started(output_dir: PathLike) -> Iterator[str]:
    """Yield the names of the sessions that have a log."""
    for path in folder(output_dir).glob("sub-*.log"):
        if not path.stem.endswith(("_run", "_report")):  # logs of runs and of reports
            yield path.stem
