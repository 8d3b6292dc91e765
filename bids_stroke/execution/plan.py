"""Plan of a run: sessions to process, complete sessions, and skipped sessions."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from bids_stroke.atlases.maps import Maps
from bids_stroke.bids import record as records
from bids_stroke.bids.candidates import Key
from bids_stroke.bids.corrected_sessions import apply_corrections
from bids_stroke.bids.corrections import Correction, find_corrections
from bids_stroke.bids.discovery import find
from bids_stroke.bids.names import has_labels, session_name
from bids_stroke.bids.record import Record
from bids_stroke.bids.reusable import Segmentation, find_segmentation
from bids_stroke.bids.sessions import Session, SkippedSession
from bids_stroke.bids.source_datasets import SourceDatasets
from bids_stroke.models import brain_extraction, catalog
from bids_stroke.models.card import Card
from bids_stroke.models.ensembles import Ensemble
from bids_stroke.settings import Settings
from bids_stroke.spatial import template_spaces

from .plugins import read_plugin

#: Options that affect the brain mask and the lesion probability.
_SEGMENTATION_OPTIONS = ("card", "brain_extraction", "mirror", "deterministic", "assume_orientation")


@dataclass(frozen=True)
class Job:
    """A session to process.

    ``card`` is None for user-supplied lesion masks. ``options`` are those that affect the outputs.
    ``command`` is the command line. ``earlier`` is the segmentation of an earlier run that is used
    again.
    """

    session: Session
    card: Card | Ensemble | None
    sources: SourceDatasets
    options: Mapping[str, Any]
    command: str = ""
    earlier: Segmentation | None = None

    def segmentation_identity(self, record: Record) -> str:
        """Return the checksum of everything that the segmentation depends on, unlike corrections.

        Inputs that have not been modified since ``record`` are not read again.
        """
        session = replace(self.session, lesion=None, correction=None)
        contents = records.read_inputs(session, self.sources, record)
        return records.identity(
            contents, **{name: self.options[name] for name in _SEGMENTATION_OPTIONS}
        )

    def with_earlier_segmentation(self, record: Record) -> Self:
        """Return this job with the segmentation of an earlier run, if only the correction changed."""
        if self.card is None or not (self.session.correction or record.corrected_by):
            return self
        identity = self.segmentation_identity(record)
        return replace(self, earlier=find_segmentation(record, self.sources.output_dir, identity))

    def is_done(self, record: Record) -> bool:
        """Return whether a record of an earlier run matches this job and is complete."""
        if not record.complete(self.sources.output_dir):
            return False
        contents = records.read_inputs(self.session, self.sources, record)
        return record.identity == records.identity(contents, **self.options)

    def record(self) -> Record:
        """Create the record of the session before it runs."""
        session, card = self.session, self.card
        correction = session.correction
        name = records.CORRECTED_MASK if correction else records.LESION_MASK
        lesion = {name: session.lesion.path} if session.lesion else {}
        contents = records.read_inputs(session, self.sources)
        return Record(
            name=session.name,
            identity=records.identity(contents, **self.options),
            model=card.name if card else records.SUPPLIED_MASKS,
            weights_sha256=card.sha256 if card else None,
            reference=session.reference,
            contrasts=list(card.select(tuple(session.images))) if card else [],
            inputs={name: str(path) for name, path in (session.images | lesion).items()},
            contents=contents.keys,
            status_of_inputs=contents.status,
            notes=list(session.notes),
            ambiguous=list(session.ambiguous),
            command=self.command,
            date=datetime.now().astimezone().isoformat(timespec="seconds"),
            corrected_by=correction.rater if correction else None,
            corrected_on=correction.date if correction else None,
        )


@dataclass(frozen=True)
class Plan:
    """Sessions of a run.

    ``sessions`` are all usable sessions, ``jobs`` those to process, ``done`` the records of those
    that are complete, and ``skipped`` the unusable ones. ``card`` is None for user-supplied lesion
    masks. ``notices`` are sentences on the labels of an nnU-Net for brain extraction, and on
    corrected masks that are not used.
    """

    card: Card | Ensemble | None
    sessions: list[Session]
    jobs: list[Job]
    done: dict[str, Record]
    skipped: list[SkippedSession]
    notices: list[str] = field(default_factory=list)


def check_options(settings: Settings) -> tuple[Card | Ensemble | None, Maps]:
    """Check the options that do not depend on the dataset.

    Returns
    -------
    tuple of (Card or Ensemble or None, Maps)
        Model, or None for user-supplied lesion masks; tracts and atlases.

    Raises
    ------
    StrokeError
        If an option or a resource of the run cannot be used.
    """
    read_plugin(settings.plugin_file)
    card = None if settings.lesion_derivatives else catalog.load(settings.model)
    maps = Maps(settings.tracts, settings.cutoffs_ml, settings.atlases)
    maps.check()
    template_spaces.find_spaces(settings.output_spaces)
    brain_extraction.find_network(settings.brain_extraction)
    return card, maps


def make_plan(settings: Settings) -> Plan:
    """Find the sessions to process.

    Raises
    ------
    StrokeError
        If an input or a resource of the run cannot be used.
    """
    card, maps = check_options(settings)
    sessions, skipped = find(
        settings.bids_dir,
        card=card,
        lesion_derivatives=settings.lesion_derivatives,
        participant_label=settings.participant_label,
        session_label=settings.session_label,
        filters=settings.bids_filters,
        database_dir=settings.bids_database_dir,
        derivatives=settings.derivatives,
        exclude=(settings.output_dir, settings.work_dir),
        orientation=settings.assume_orientation,
    )
    corrections = _find_corrections(settings)
    sessions, refused = apply_corrections(sessions, corrections)
    skipped = [_with_outputs(settings.output_dir, item) for item in (*skipped, *refused)]
    sources = source_datasets(settings)
    options = {
        "card": card and card.identity(),
        "maps": maps.identity(),
        "brain_extraction": brain_extraction.identity(settings.brain_extraction),
        "normalization": settings.normalization,
        "output_spaces": settings.output_spaces,
        "mirror": settings.mirror,
        "deterministic": settings.deterministic,
        "assume_orientation": settings.assume_orientation,
    }
    jobs, done = list[Job](), dict[str, Record]()
    names = {session.name for session in sessions} | {item.name for item in refused}
    notices = [
        *_brain_labels(settings.brain_extraction),
        *_unused_corrections(settings, corrections, names),
    ]
    for session in sessions:
        job = Job(session, card, sources, options, settings.command)
        record = records.read(settings.output_dir, session.name)
        if record and record.corrected_by and not session.correction:
            notices.append(_no_longer_corrected(record, settings))
        if record and job.is_done(record):
            done[session.name] = record
        else:
            jobs.append(job.with_earlier_segmentation(record) if record else job)
    return Plan(card, sessions, jobs, done, skipped, notices)


def source_datasets(settings: Settings) -> SourceDatasets:
    """Return the source datasets of a run."""
    return SourceDatasets(
        settings.bids_dir, settings.output_dir, settings.lesion_derivatives, settings.corrections
    )


def _find_corrections(settings: Settings) -> dict[Key, Correction]:
    """Find the corrected masks of a run."""
    if settings.corrections is None:
        return {}
    return find_corrections(settings.corrections, (settings.output_dir, settings.work_dir))


def _brain_labels(method: str) -> Iterator[str]:
    """Yield a sentence on the labels of an nnU-Net for brain extraction, if it has several."""
    network = brain_extraction.find_network(method)
    if network and len(network.labels) > 1:
        labels = ", ".join(network.labels)
        yield f"The brain masks are the union of the labels of {network.card.name}: {labels}."


def _unused_corrections(
    settings: Settings, corrections: Mapping[Key, Correction], names: Container[str]
) -> list[str]:
    """Return a sentence for each corrected mask of a session that is not in the dataset."""
    labels = settings.participant_label, settings.session_label
    return [
        f"{correction.mask.path} is not used: the dataset has no session {session_name(*key)} that can "
        "be processed."
        for key, correction in corrections.items()
        if has_labels(session_name(*key), *labels) and session_name(*key) not in names
    ]


def _no_longer_corrected(record: Record, settings: Settings) -> str:
    """Return the sentence on a session whose corrected mask of an earlier run is not used."""
    reason = "--corrections is not given"
    if settings.corrections:
        reason = f"{settings.corrections} no longer contains it"
    return (
        f"{record.name}: the mask of the model is used instead of that corrected by "
        f"{record.corrected_by}, because {reason}."
    )


def _with_outputs(output_dir: Path, item: SkippedSession) -> SkippedSession:
    """Extend the reason of a skipped session if outputs of an earlier run remain."""
    record = records.read(output_dir, item.name)
    if record is None or not record.complete(output_dir):
        return item
    reason = item.reason.removesuffix(".")
    return item._replace(
        reason=f"{reason}; its outputs of an earlier run remain and are used at the group level."
    )
