"""``bids_stroke``: build, run, report."""

import os
import shutil
import signal
import sys
from dataclasses import dataclass

from ..errors import DatasetError, StrokeError, UsageError
from . import machine, parser

#: What stands for the model of own lesion masks.
OWN_MASKS = "own masks"


def main(argv=None):
    """Run the command line and return the exit status: 0 if every requested output exists, 1 for
    failures, 2 for wrong usage."""
    # A cluster or `docker stop` ends a run as Ctrl-C does: the children with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        settings = parser.parse(argv)
        if not settings.dry_run:
            machine.find_places(settings.work_dir)
        status = _level(settings)
        sys.stdout.flush()
        return status
    except UsageError as error:
        print(f"bids_stroke: error: {error}", file=sys.stderr)
        return 2
    except StrokeError as error:
        print(f"bids_stroke: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read the output has left: Python must not write the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, MemoryError, ImportError, RuntimeError) as error:
        told = machine.shortage(error) or (isinstance(error, OSError) and _refused(error))
        if not told:
            raise
        print(f"bids_stroke: error: {told}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bids_stroke: stopped; run the same command again to continue.", file=sys.stderr)
        return 130


def _level(settings):
    if settings.level == "participant":
        return participant(settings)
    from .group import group

    return group(settings)


def _refused(error):
    """Tell in a sentence what the machine refused."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; mend it and run the same command again to continue."


@dataclass(frozen=True)
class Plan:
    """The model, the sessions of a run, which of them are to process and which complete; what was left
    out; and by each session's name what its outputs depend on."""

    card: object
    sessions: list
    todo: list
    done: list
    left_out: list
    identities: dict


def plan(settings):
    """Find what is to be done.

    Raises
    ------
    StrokeError
        If something that the run needs cannot be used.
    """
    from .. import bids, record, regions, spaces
    from ..models import card as cards
    from ..reports import niivue
    from . import worker

    worker.plugin(settings.plugin_file)
    card = None if settings.lesion_derivatives else cards.load(settings.model)
    maps = regions.Maps(settings.tracts, settings.cutoffs_ml, settings.atlases)
    maps.check()
    # What is missing is told before any work.
    spaces.find(settings.output_spaces)
    niivue.module()
    sessions, left_out = bids.find(settings, card)
    shared = {
        "card": card and card.identity(),
        "maps": maps.identity(),
        "brain_extraction": settings.brain_extraction,
        "normalization": settings.normalization,
        "output_spaces": settings.output_spaces,
        "mirror": settings.mirror,
        "deterministic": settings.deterministic,
    }
    identities = {session.name: record.identity(session, **shared) for session in sessions}
    done, todo = [], []
    for session in sessions:
        known = record.read(settings.output_dir, session.name)
        current = known and known.identity == identities[session.name]
        ready = current and known.complete(settings.output_dir)
        (done if ready else todo).append(session)
    return Plan(card, sessions, todo, done, left_out, identities)


def participant(settings):
    """Process every session, then report."""
    from . import supervise

    if not (settings.reports_only or settings.dry_run):
        supervise.prepare()
    from .. import bids
    from . import progress

    if settings.reports_only:
        return _reports_only(settings)
    planned = plan(settings)
    if settings.dry_run:
        progress.plan(planned.todo, planned.done, planned.left_out)
        return 0
    bids.write_dataset_files(settings.output_dir, settings.bids_dir)
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
    from .. import record
    from . import supervise, worker

    card, sessions = planned.card, planned.todo
    failed = len(sessions)
    remaining = {}
    for session in sessions:
        remaining[session.subject] = remaining.get(session.subject, 0) + 1
        # Until it has ended, a session counts as failed.
        record.path_of(settings.output_dir, session.name).unlink(missing_ok=True)
    for session, result in supervise.run(settings, sessions, show.event):
        if result["status"] == "elsewhere":
            show.ended(session.name, result)  # its record is the other run's
            continue
        known = record.Record(
            name=session.name,
            identity=planned.identities[session.name],
            model=card.name if card else OWN_MASKS,
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
            shutil.rmtree(worker.folder_of(settings, session), ignore_errors=True)
        show.ended(session.name, result)
        for sentence in known.flags.values():
            show.line(f"{session.name}: warning: {sentence}")
        remaining[session.subject] -= 1
        if not remaining[session.subject]:
            _report(settings, {session.subject})
    return failed


def _flags(settings, session, card, known):
    """The sanity gates that a session failed."""
    from .. import cohort, gates

    images = {contrast: session.images[contrast] for contrast in session.processed(card)}
    row = cohort.session_row(settings.output_dir, known)
    return gates.check(row, images, card and card.trained_range)


def _reports_only(settings):
    """Make the reports of the participants that the output folder holds."""
    from .. import cohort, record

    records = record.read_all(settings.output_dir)
    known = {cohort.names_of(one)[0].removeprefix("sub-") for one in records}
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
    from .. import record
    from ..reports import assemble, methods, viewer

    written = None
    # Until nothing changes: another run may end a session, and write, at the same time.
    while (path := methods.write(settings.output_dir)) and record.stamp(path) != written:
        written = record.stamp(path)
    for subject in sorted(subjects):
        viewer.participant(settings.output_dir, f"sub-{subject}", settings.tracts)
        assemble.participant_report(settings.output_dir, subject, settings.report_viewer)


def _rows(settings, planned):
    """Rows of the summary: name, volume (ml), seconds, status, remark."""
    from .. import cohort, record

    started = {session.name for session in planned.todo}
    for session in planned.sessions:
        known = record.read(settings.output_dir, session.name)
        if known is None:
            yield session.name, None, None, "not started", ""
        elif known.status == "ok":
            volume = cohort.volume_ml(cohort.session_row(settings.output_dir, known))
            status = "ok" if session.name in started else "up to date"
            if known.flags:
                status = "failed a gate" if settings.strict else f"{status}, look"
            yield session.name, volume, known.seconds, status, " ".join(known.flags.values())
        else:
            yield session.name, None, known.seconds, "failed", known.error
    for one in planned.left_out:
        yield one.name, None, None, "refused" if one.refused else "left out", one.reason
