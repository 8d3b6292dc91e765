"""The participant level: sessions processed and reported."""

import shutil

from bids_stroke.errors import DatasetError

from .plan import make_plan

#: What stands for the model of own lesion masks.
SUPPLIED_MASKS = "own masks"


def run_participants(settings):
    """Process every session, then report."""
    from . import supervisor

    if not (settings.reports_only or settings.dry_run):
        supervisor.prepare()
    from bids_stroke.bids import derivatives

    from . import progress

    if settings.reports_only:
        return _reports_only(settings)
    planned = make_plan(settings)
    if settings.dry_run:
        progress.plan(planned.todo, planned.done, planned.left_out)
        return 0
    derivatives.write_dataset_files(settings.output_dir, settings.bids_dir)
    with progress.Progress(_log(settings), len(planned.todo), settings.verbose) as show:
        for session in planned.sessions:
            for note in session.notes:
                show.line(f"{session.name}: {note}")
        for one in planned.left_out:
            show.line(f"{one.name}: left out: {one.reason}")
        for session in planned.done:
            show.line(f"{session.name}: up to date")
        failed = _process(settings, planned, show)
        show.summary(rows := list(_rows(settings, planned)))
    failed = failed or any(status == "failed a gate" for *_, status, _ in rows)
    return 1 if failed or any(one.refused for one in planned.left_out) else 0


def _log(settings):
    """Log of the run: one of its own for a run of a single participant, of which there may be many
    at a time, on machines that share a file system."""
    labels = settings.participant_label
    name = f"sub-{labels[0]}_run.log" if len(labels) == 1 else "bids_stroke.log"
    return settings.output_dir / "logs" / name


def _process(settings, planned, show):
    """Run the sessions; return how many failed or were not started."""
    from bids_stroke.bids import record

    from . import session as session_process
    from . import supervisor

    card, sessions = planned.card, planned.todo
    failed = len(sessions)
    remaining = {}
    for session in sessions:
        remaining[session.subject] = remaining.get(session.subject, 0) + 1
        # Until it has ended, a session counts as failed.
        record.path_of(settings.output_dir, session.name).unlink(missing_ok=True)
    for session, result in supervisor.run(settings, sessions, show.event):
        if result["status"] == "elsewhere":
            show.ended(session.name, result)  # its record is the other run's
            continue
        known = record.Record(
            name=session.name,
            identity=planned.identities[session.name],
            model=card.name if card else SUPPLIED_MASKS,
            weights_sha256=card and card.sha256,
            reference=session.reference,
            contrasts=list(card.select(tuple(session.images))) if card else [],
            inputs=_inputs(session),
            notes=list(session.notes),
            **result,
        )
        if result["status"] == "ok":
            failed -= 1
            known.flags = _flags(settings, session, card, known)
        known.write(settings.output_dir)
        if result["status"] == "ok" and settings.clean_workdir:
            shutil.rmtree(session_process.folder_of(settings, session), ignore_errors=True)
        show.ended(session.name, result)
        for sentence in known.flags.values():
            show.line(f"{session.name}: warning: {sentence}")
        remaining[session.subject] -= 1
        if not remaining[session.subject]:
            _report(settings, {session.subject})
    return failed


def _flags(settings, session, card, known):
    """The sanity gates that a session failed."""
    from bids_stroke.cohort import table as cohort_table
    from bids_stroke.qc import checks

    images = {contrast: session.images[contrast] for contrast in session.processed(card)}
    row = cohort_table.session_row(settings.output_dir, known)
    return checks.run_checks(row, images, card and card.trained_range)


def _reports_only(settings):
    """Make the reports of the participants that the output folder holds."""
    from bids_stroke.bids import record
    from bids_stroke.bids.names import split_session_name

    records = record.read_all(settings.output_dir)
    known = {split_session_name(one)[0].removeprefix("sub-") for one in records}
    wanted = set(settings.participant_label) or known
    if not known or wanted - known:
        names = " ".join(f"sub-{label}" for label in sorted(wanted - known)) or "any participant"
        raise DatasetError(
            f"{settings.output_dir} holds no records of {names}; run without --reports-only first."
        )
    _report(settings, wanted)
    return 0


def _inputs(session):
    """What a session was made from, by contrast."""
    lesion = {"lesion mask": session.lesion.path} if session.lesion else {}
    return {what: str(path) for what, path in (session.images | lesion).items()}


def _report(settings, subjects):
    """Make the reports and viewers of participants (labels), and the methods text of all."""
    from bids_stroke.reports.participant import methods
    from bids_stroke.reports.participant import report as participant_report
    from bids_stroke.reports.viewer import session as viewer_session
    from bids_stroke.utils import files

    written = None
    # Until nothing changes: another run may end a session, and write, at the same time.
    while (path := methods.write(settings.output_dir)) and files.stamp(path) != written:
        written = files.stamp(path)
    for subject in sorted(subjects):
        viewer_session.participant(settings.output_dir, f"sub-{subject}", settings.tracts)
        participant_report.participant_report(settings.output_dir, subject, settings.report_viewer)


def _rows(settings, planned):
    """Rows of the summary: name, volume (ml), seconds, status, remark."""
    from bids_stroke.bids import record
    from bids_stroke.cohort import table as cohort_table

    started = {session.name for session in planned.todo}
    for session in planned.sessions:
        known = record.read(settings.output_dir, session.name)
        if known is None:
            yield session.name, None, None, "not started", ""
        elif known.status == "ok":
            volume = cohort_table.volume_ml(cohort_table.session_row(settings.output_dir, known))
            status = "ok" if session.name in started else "up to date"
            if known.flags:
                status = "failed a gate" if settings.strict else f"{status}, look"
            yield session.name, volume, known.seconds, status, " ".join(known.flags.values())
        else:
            yield session.name, None, known.seconds, "failed", known.error
    for one in planned.left_out:
        yield one.name, None, None, "refused" if one.refused else "left out", one.reason
