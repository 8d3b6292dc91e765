"""``bids_stroke``: build, run, report."""

import shutil
import signal
import sys

from ..errors import StrokeError, UsageError
from . import parser

#: What stands for the model of own lesion masks.
OWN_MASKS = "own masks"


def main(argv=None):
    """Run the command line and return the exit status: 0 if every requested output exists, 1 for
    failures, 2 for wrong usage."""
    # A cluster or `docker stop` ends a run as Ctrl-C does: the children with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        settings = parser.parse(argv)
        if settings.level == "participant":
            return participant(settings)
        from .group import group

        return group(settings)
    except UsageError as error:
        print(f"bids_stroke: error: {error}", file=sys.stderr)
        return 2
    except StrokeError as error:
        print(f"bids_stroke: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bids_stroke: stopped; run the same command again to continue.", file=sys.stderr)
        return 130


def participant(settings):
    """Process every session, then report."""
    from .. import bids, record, regions, spaces
    from ..models import card as cards
    from . import progress

    card = None if settings.lesion_derivatives else cards.load(settings.model)
    maps = regions.Maps(settings.tracts, settings.cutoffs_ml, settings.atlases)
    maps.check()
    spaces.find(settings.output_spaces)  # a missing template is told before any work
    sessions, left_out = bids.find(settings, card)
    identities = {
        session.name: record.identity(
            session,
            card,
            maps=maps.identity(),
            brain_extraction=settings.brain_extraction,
            normalization=settings.normalization,
            output_spaces=settings.output_spaces,
            mirror=settings.mirror,
        )
        for session in sessions
    }
    done, todo = [], []
    for session in sessions:
        known = record.read(settings.output_dir, session.name)
        current = known and known.identity == identities[session.name]
        ready = current and known.complete(settings.output_dir)
        (done if ready else todo).append(session)
    if settings.dry_run:
        progress.plan(todo, done, left_out)
        return 0
    if settings.reports_only:
        _report(settings, sessions)
        return 0
    logs = settings.output_dir / "logs"
    bids.write_dataset_files(settings.output_dir, settings.bids_dir)
    with progress.Progress(logs / "bids_stroke.log", len(todo), settings.verbose) as show:
        for session in sessions:
            for note in session.notes:
                show.line(f"{session.name}: {note}")
        for one in left_out:
            show.line(f"{one.name}: left out: {one.reason}")
        for session in done:
            show.line(f"{session.name}: up to date")
        failed = _process(settings, todo, card, identities, show)
        show.summary(_rows(settings, sessions, left_out, todo))
    return 1 if failed or any(one.refused for one in left_out) else 0


def _process(settings, sessions, card, identities, show):
    """Run the sessions; return how many failed or were not started."""
    from .. import record
    from . import supervise, worker

    failed = len(sessions)
    remaining = {}
    for session in sessions:
        remaining[session.subject] = remaining.get(session.subject, 0) + 1
        # Until it has ended, a session counts as failed.
        record.path_of(settings.output_dir, session.name).unlink(missing_ok=True)
    for session, result in supervise.run(settings, sessions, show.event):
        record.Record(
            name=session.name,
            identity=identities[session.name],
            model=card.name if card else OWN_MASKS,
            weights_sha256=card and card.sha256,
            reference=session.reference,
            contrasts=list(card.select(tuple(session.images))) if card else [],
            inputs=_inputs(session),
            notes=list(session.notes),
            **result,
        ).write(settings.output_dir)
        if result["status"] == "ok":
            failed -= 1
            if settings.clean_workdir:
                shutil.rmtree(worker.folder_of(settings, session), ignore_errors=True)
        show.ended(session.name, result)
        remaining[session.subject] -= 1
        if not remaining[session.subject]:
            _report(settings, [session])
    return failed


def _inputs(session):
    """What a session was made from, by contrast."""
    lesion = {"lesion mask": session.lesion.path} if session.lesion else {}
    return {what: str(path) for what, path in (session.images | lesion).items()}


def _report(settings, sessions):
    """Make the reports of the participants of ``sessions``, and the methods text of all."""
    from ..reports import assemble, methods

    methods.write(settings.output_dir)
    for subject in sorted({session.subject for session in sessions}):
        assemble.participant_report(settings.output_dir, subject)


def _rows(settings, sessions, left_out, todo):
    """Rows of the summary: name, volume (ml), seconds, status, remark."""
    from .. import cohort, record

    started = {session.name for session in todo}
    for session in sessions:
        known = record.read(settings.output_dir, session.name)
        if known is None:
            yield session.name, None, None, "not started", ""
        elif known.status == "ok":
            volume = cohort.volume_ml(cohort.session_row(settings.output_dir, known))
            status = "ok" if session.name in started else "up to date"
            yield session.name, volume, known.seconds, status, ""
        else:
            yield session.name, None, known.seconds, "failed", known.error
    for one in left_out:
        yield one.name, None, None, "refused" if one.refused else "left out", one.reason
