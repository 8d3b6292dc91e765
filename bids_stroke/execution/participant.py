"""The participant level: a subprocess for each session and for the comparison of the sessions of a
participant, then the methods text."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from bids_stroke.bids import logs
from bids_stroke.bids import record as records
from bids_stroke.bids.derivatives import write_dataset_files
from bids_stroke.bids.names import split_session_name
from bids_stroke.bids.record import Record
from bids_stroke.bids.sessions import Session
from bids_stroke.compute import devices
from bids_stroke.errors import DatasetError, SessionLockedError
from bids_stroke.reports import methods
from bids_stroke.settings import Settings

from . import progress
from .locks import session_lock
from .longitudinal import compare_participant, is_due
from .messages import Message, Result, Started, Step
from .plan import Job, Plan, make_plan, source_datasets
from .session import report_participant, run_session
from .supervisor import Supervisor, Task


class SummaryRow(NamedTuple):
    """Row of a session in the table at the end of a run."""

    name: str
    volume: str
    seconds: float | None
    status: str
    remark: str


def run_participants(settings: Settings, on_start: Callable[[], object] = lambda: None) -> int:
    """Process every session; return the exit status.

    Parameters
    ----------
    settings : Settings
    on_start : callable
        Called after all checks, before the first session starts.
    """
    if settings.reports_only:
        return _write_reports(settings)
    # The networks of a plugin's jobs, and of the run that a dry run shows, may use another machine.
    if settings.device == "cuda" and not (settings.dry_run or settings.plugin_file):
        devices.require_gpu()
    plan = make_plan(settings)
    if settings.dry_run:
        progress.print_plan(plan)
        return 1 if any(item.refused for item in plan.skipped) else 0
    write_dataset_files(source_datasets(settings))
    on_start()
    log = logs.run_log_path(settings.output_dir, settings.participant_label)
    with progress.Progress(log, len(plan.jobs), settings.verbose) as show:
        _log_plan(plan, show)
        results = _process(settings, plan, show)
        methods.write(settings.output_dir)
        rows = list(_summary(settings, plan, results))
        show.summary(rows)
    statuses = {row.status for row in rows}
    return 1 if statuses & {"failed", "locked", "not started", "failed QC", "refused"} else 0


def _log_plan(plan: Plan, show: progress.Progress) -> None:
    """Log the notes on the sessions, and the sessions that do not run."""
    for session in plan.sessions:
        for note in session.notes:
            show.line(f"{session.name}: {note}")
    for notice in plan.notices:
        show.line(notice)
    for skipped in plan.skipped:
        show.line(f"{skipped.name}: {skipped.status}: {skipped.reason}")
    for name in plan.done:
        show.line(f"{name}: up to date")


def _process(settings: Settings, plan: Plan, show: progress.Progress) -> dict[str, Result]:
    """Run the jobs and compare sessions; return the results by the name of the session or task."""
    for job in plan.jobs:
        _invalidate_record(settings, job)
    jobs = {job.session.name: job for job in plan.jobs}
    comparisons = _Comparisons(settings, plan)
    tasks = [Task(name, run_session, job) for name, job in jobs.items()]
    monitor = _Monitor(show)
    results: dict[str, Result] = {}
    with Supervisor(settings, [*tasks, *comparisons.initial()], monitor.message) as supervisor:
        for task, result in supervisor.results():
            if task.name not in jobs:
                show.report_ended(task.name, result)
                if task.target is compare_participant:
                    show.line(f"{task.name}: {result.status} after {result.seconds:.0f} s")
                    results[task.name] = result
                continue
            if result.status == "failed":
                result = _record_failure(settings, jobs[task.name], result, monitor, supervisor)
            results[task.name] = result
            show.ended(task.name, result)
            if result.status != "ok" and settings.stop_on_first_crash:
                supervisor.stop()
            comparisons.add_after(jobs[task.name], supervisor)
    return results


class _Comparisons:
    """Tasks that compare the sessions of a participant, after the last of them has ended."""

    def __init__(self, settings: Settings, plan: Plan) -> None:
        self._settings = settings
        self._unfinished = Counter(job.session.participant for job in plan.jobs)
        self._done: dict[str, list[Record]] = {}
        for name, record in plan.done.items():
            self._done.setdefault(split_session_name(name)[0], []).append(record)

    def initial(self) -> Iterator[Task]:
        """Yield the tasks of participants without a session to process.

        The folder of the records is not searched, since this takes long in a large dataset. A task does
        nothing if the comparison includes sessions that are not part of this run.
        """
        for subject, sessions in self._done.items():
            if len(sessions) > 1 and not self._unfinished[subject]:
                yield from self._due(subject, sessions)

    def add_after(self, job: Job, supervisor: Supervisor) -> None:
        """Add the task of a participant if the session that has ended is its last."""
        subject = job.session.participant
        self._unfinished[subject] -= 1
        if not self._unfinished[subject]:
            for task in self._due(subject):
                supervisor.add(task)

    def _due(self, subject: str, sessions: Sequence[Record] | None = None) -> Iterator[Task]:
        """Yield the task of a participant if its comparison is missing or outdated."""
        if is_due(self._settings, subject, sessions):
            yield Task(f"comparison of the sessions of {subject}", compare_participant, subject)


class _Monitor:
    """Show the messages of the sessions and keep their records, in case a subprocess is killed."""

    def __init__(self, show: progress.Progress) -> None:
        self._show = show
        self.records: dict[str, Record] = {}

    def message(self, name: str, message: Message) -> None:
        if isinstance(message, Started):
            self.records[name] = message.record
        elif isinstance(message, Step) and name in self.records:
            message.add_to(self.records[name])
        self._show.message(name, message)


def _invalidate_record(settings: Settings, job: Job) -> None:
    """Mark the record of an earlier run as unfinished: the session counts as failed until it ends.

    The subprocess of the session removes the outputs when it starts.
    """
    if not logs.record_path(settings.output_dir, job.session.name).exists():
        return  # without a lock file for each session of a large dataset
    # If another run holds the lock, the record belongs to that run.
    with suppress(SessionLockedError), session_lock(settings.output_dir, job.session.name):
        records.invalidate(settings.output_dir, job.session.name)


def _record_failure(
    settings: Settings, job: Job, result: Result, monitor: _Monitor, supervisor: Supervisor
) -> Result:
    """Write the record of a session whose subprocess was killed, and add a task for its report.

    If the subprocess was killed after all files were written, the session has succeeded.
    """
    name = job.session.name
    record = records.read(settings.output_dir, name)
    if record and job.is_done(record):
        return Result("ok", None, record.flags, record.lesion_volume_ml, result.seconds)
    if record is None or record.status == records.UNFINISHED:
        record = monitor.records.get(name) or job.record()
        record.status, record.error, record.seconds = "failed", result.error, result.seconds
        # If the record cannot be written, the log and the summary still show the error.
        with suppress(OSError, SessionLockedError), session_lock(settings.output_dir, name):
            record.write(settings.output_dir)
        supervisor.add(Task(f"report of {name}", report_participant, job.session.participant))
    return result


def _write_reports(settings: Settings) -> int:
    """Write the reports of the participants in the output folder; return the exit status."""
    sessions = records.read_selected(settings.output_dir, settings.participant_label)
    if not sessions:
        raise DatasetError(
            f"{settings.output_dir} contains no record of a session; run without --reports-only first."
        )
    subjects = sorted({split_session_name(record.name)[0] for record in sessions})
    status = 0
    tasks = [Task(subject, report_participant, subject) for subject in subjects]
    with Supervisor(settings, tasks) as supervisor:
        for task, result in supervisor.results():
            if result.status != "ok":
                print(f"bids_stroke: error: {task.name}: {result.error}", file=sys.stderr)
                status = 1
    methods.write(settings.output_dir)
    return status


def _summary(settings: Settings, plan: Plan, results: Mapping[str, Result]) -> Iterator[SummaryRow]:
    for session in plan.sessions:
        if record := plan.done.get(session.name):
            status = _flagged(settings, "up to date", record.flags)
            remark = _remark(session, record.flags)
            volume = _volume(session, record.lesion_volume_ml)
            yield SummaryRow(session.name, volume, record.seconds, status, remark)
        elif result := results.get(session.name):
            yield _summary_of_result(settings, session, result)
        else:
            yield SummaryRow(session.name, "", None, "not started", "")
    for skipped in plan.skipped:
        yield SummaryRow(skipped.name, "", None, skipped.status, skipped.reason)
    sessions = {session.name for session in plan.sessions}
    for name in sorted(results.keys() - sessions):
        if (result := results[name]).status != "ok":
            yield _summary_of_failure(name, result)


def _summary_of_failure(name: str, result: Result) -> SummaryRow:
    return SummaryRow(name, "", result.seconds, result.status, result.error or "")


def _summary_of_result(settings: Settings, session: Session, result: Result) -> SummaryRow:
    if result.status != "ok":
        return _summary_of_failure(session.name, result)
    status = _flagged(settings, "ok", result.flags)
    remark = _remark(session, result.flags)
    volume = _volume(session, result.lesion_volume_ml)
    return SummaryRow(session.name, volume, result.seconds, status, remark)


def _volume(session: Session, volume_ml: float | None) -> str:
    """Format a lesion volume; that of a mask in template space is labeled."""
    if volume_ml is None:
        return ""
    return f"{volume_ml:.1f} (template)" if session.in_template else f"{volume_ml:.1f}"


def _remark(session: Session, flags: Mapping[str, str]) -> str:
    """List the failed QC checks of a session and the ambiguous choices of its files."""
    return " ".join([*flags.values(), *session.ambiguous])


def _flagged(settings: Settings, status: str, flags: Mapping[str, str]) -> str:
    if not flags:
        return status
    return "failed QC" if settings.strict else f"{status}, check"
