"""The group level, computed from the derivatives of the participant level only."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import pandas as pd

from bids_stroke.atlases import maps, tracts
from bids_stroke.atlases.tract_cards import TractCard
from bids_stroke.bids import logs, names
from bids_stroke.bids.derivatives import write_json, write_tsv
from bids_stroke.bids.names import derivative
from bids_stroke.bids.record import Record, read_selected
from bids_stroke.cohort import columns, long_tables, overlap, participants
from bids_stroke.cohort import summary as cohort_summary
from bids_stroke.cohort import table as cohort_table
from bids_stroke.errors import DatasetError
from bids_stroke.evaluation.mismatches import explain_mismatch
from bids_stroke.evaluation.run import evaluate, remarks_notice
from bids_stroke.qc.ratings import CohortRatings
from bids_stroke.reports import methods
from bids_stroke.reports.evaluation import Page, write_evaluation
from bids_stroke.reports.group.files import report_links
from bids_stroke.reports.group.methods import (
    describe_cohort,
    describe_evaluation,
    describe_outcomes,
)
from bids_stroke.reports.group.outcome import MapFiles, OutcomeSection, outcome_section
from bids_stroke.reports.group.table import ExcludedSession
from bids_stroke.settings import Settings
from bids_stroke.spatial import image
from bids_stroke.spatial.templates import TEMPLATE, template
from bids_stroke.utils.versions import package_versions

from .group_corrections import write_agreement
from .group_longitudinal import write_changes
from .group_notices import notices_of_maps, notices_of_ratings, notices_of_table
from .group_ratings import names_of_ratings, rate_sessions, rejected_sessions, write_ratings
from .outcome import TABLES, Outcomes, analyze_outcomes, map_name
from .reporting import update_places

#: Packages that the parts of the group level call.
_PACKAGES = {
    methods.GROUP: ("nibabel", "nilearn", "numpy", "pandas", "scipy"),
    methods.EVALUATION: ("nibabel", "numpy", "pandas", "scikit-learn", "scipy"),
    methods.OUTCOME: ("nilearn", "numpy", "pandas", "scikit-learn", "scipy", "statsmodels"),
}


def run_group(settings: Settings) -> int:
    """Write the tables, maps and report of the cohort; return the exit status."""
    from bids_stroke.reports.figures.overlap import draw_overlap
    from bids_stroke.reports.group import report as group_report
    from bids_stroke.reports.viewer.overlap import write_overlap_viewer
    from bids_stroke.reports.viewer.page import viewer_name

    out = settings.output_dir
    cohort = _collect(settings)
    summary = cohort_summary.summary(cohort.table, settings.group_by)
    write_tsv(cohort.table, out / "group_lesion.tsv")
    write_json(columns.describe_columns(cohort.table), out / "group_lesion.json")
    _write_further_tables(out, cohort)
    write_ratings(out, cohort.rated)
    agreement = write_agreement(out, cohort.finished)
    changes = write_changes(out, cohort.finished)
    write_tsv(summary, out / "group_loads.tsv")
    write_json(cohort_summary.SUMMARY_COLUMNS, out / "group_loads.json")
    mapped = _mapped_tracts(settings, cohort.table)
    lesions = _write_maps(out, cohort, mapped)
    outcomes = analyze_outcomes(settings, cohort.table, cohort.finished)
    problems = list(dict.fromkeys([*cohort.problems, *outcomes.problems, *_mismatches(settings)]))
    with TemporaryDirectory() as folder:
        figure = f"{folder}/overlap.svg"
        draw_overlap(lesions.count, template().t1w, figure)
        write_overlap_viewer(lesions.count, template().t1w, out / viewer_name("group"))
        group_report.group_report(
            out,
            cohort.table,
            figure,
            [_failure(record) for record in cohort.failed],
            summary,
            _evaluate(settings, cohort),
            list(cohort.rejected.values()),
            cohort.groups,
            [*problems, *cohort.notices, *changes, *outcomes.notices],
            _outcome_sections(out, outcomes),
            lesions.lesions,
            cohort.rated,
            agreement,
        )
    update_places(out, cohort.table)
    tract_names = [card.name for card in mapped]
    description = describe_cohort(cohort.table, tract_names, cohort.rated, agreement)
    _write_record(out, methods.GROUP, description, "group_lesion.tsv")
    _record_outcomes(settings, outcomes)
    methods.write(out)
    _print_summary(out, cohort)
    for notice in (*changes, *outcomes.notices):
        print(notice)
    for problem in problems:
        print(f"bids_stroke: error: {problem}", file=sys.stderr)
    failed = settings.strict and cohort.failed
    return 1 if failed or problems else 0


def _outcome_sections(out: Path, outcomes: Outcomes) -> list[OutcomeSection]:
    """Create the sections of the outcomes in the group report."""
    sections = []
    for label, analysis in outcomes.analyses.items():
        t, p = (out / map_name(label, "statmap", stat) for stat in "tp")
        maps = MapFiles(t, p, out / map_name(label, "count"))
        links = report_links(out, analysis.outcome.values.index)
        sections.append(outcome_section(label, analysis, maps, out, links, outcomes.flagged))
    return sections


def _record_outcomes(settings: Settings, outcomes: Outcomes) -> None:
    """Write the record of the outcomes for the methods text, or remove that of an earlier run."""
    out = settings.output_dir
    logs.record_path(out, methods.OUTCOME).unlink(missing_ok=True)
    if outcomes.analyses:
        description = describe_outcomes(list(outcomes.analyses.values()), settings)
        _write_record(out, methods.OUTCOME, description, f"{TABLES}.tsv")


def _write_further_tables(out: Path, cohort: "Cohort") -> None:
    """Write the short table and the long tables of tracts and regions."""
    short, descriptions = long_tables.short_table(cohort.table)
    write_tsv(short, out / "group_short.tsv")
    write_json(descriptions, out / "group_short.json")
    for name, (_, descriptions) in long_tables.LONG_TABLES.items():
        write_tsv(long_tables.long_table(name, out, cohort.finished), out / f"{name}.tsv")
        write_json(descriptions, out / f"{name}.json")


@dataclass(frozen=True)
class Cohort:
    """Sessions of the group level.

    ``table`` has a row for each session in ``finished``. Its columns ``groups`` come from ``people``,
    the content of ``participants.tsv``. ``notices`` are sentences for the user, and ``problems`` are
    reasons for an incomplete result. ``rated`` are the visual ratings, if there are any.
    """

    table: pd.DataFrame
    finished: Sequence[Record]
    failed: Sequence[Record]
    rejected: Mapping[str, ExcludedSession]
    groups: Sequence[str]
    people: pd.DataFrame | None
    notices: Sequence[str]
    problems: Sequence[str]
    rated: CohortRatings | None


def _collect(settings: Settings) -> Cohort:
    """Collect the sessions with the requested labels, except those rejected by QC ratings."""
    out = settings.output_dir
    records = read_selected(out, settings.participant_label, settings.session_label)
    rated = rate_sessions(settings, records)
    rejected = rejected_sessions(rated) if rated else {}
    accepted = [record for record in records if record.name not in rejected]
    if rejected and not accepted:
        raise DatasetError(f"{names_of_ratings(settings)} rejects every session; check the ratings.")
    measured, finished, failed = cohort_table.collect(out, accepted, settings.strict)
    path = settings.bids_dir / "participants.tsv"
    people, table, problems = None, measured, list[str]()
    try:
        people = participants.read_participants(path)
        table = participants.merge_participants(measured, people)
    except DatasetError as error:  # the measurements do not depend on the table
        if settings.group_by:
            raise
        people = None
        problems.append(str(error))
    notices = [
        *notices_of_table(measured),
        *long_tables.unmeasured_atlases(out, finished),
        *notices_of_maps(settings, finished),
        *(
            participants.unmatched_participants(measured["participant_id"], people, path)
            if people is not None
            else ()
        ),
        *(notices_of_ratings(settings, rated.table) if rated else ()),
    ]
    if settings.participant_label or settings.session_label:
        notices.append(f"Only the {len(records)} sessions with the requested labels are included.")
    groups = [str(name) for name in table if name not in measured]
    return Cohort(table, finished, failed, rejected, groups, people, notices, problems, rated)


def _mapped_tracts(settings: Settings, table: pd.DataFrame) -> list[TractCard]:
    """Return the cards of the tracts of this run that the table contains."""
    prefixes = columns.tract_prefixes(table)
    cards = maps.Maps(settings.tracts).cards
    return [card for card in cards if columns.tract_prefix(card.atlas) in prefixes]


def _write_maps(out: Path, cohort: Cohort, mapped: Sequence[TractCard]) -> overlap.Overlap:
    """Write the overlap map and the maps of mean load; return the overlap."""
    number = len(cohort.table)
    for path in out.glob(
        derivative("group", "load", ".*", space=TEMPLATE, atlas="*", res="1", label="L")
    ):
        path.unlink()  # may be of a tract that only an earlier run used
    lesions = overlap.overlap(out, cohort.finished)
    _write_map(
        out, lesions.count, f"Number of sessions (of {number}) with a lesion in the voxel", "count"
    )
    for card in mapped:
        loads = overlap.load_map(lesions.count, number, tracts.load_tract(card))
        text = (
            f"Lesion times probability of the {card.name}, averaged over {number} sessions; the sum "
            "over voxels times the voxel volume is the mean raw load"
        )
        _write_map(out, loads, text, "load", atlas=card.atlas)
    return lesions


def _mismatches(settings: Settings) -> Iterator[str]:
    """Yield the likely cause if no mask matches a manual mask."""
    if settings.ground_truth and (
        cause := explain_mismatch(settings.output_dir, settings.ground_truth)
    ):
        yield cause


def _evaluate(settings: Settings, cohort: Cohort) -> Page | None:
    """Compare the masks with manual masks, if given; return the evaluation for the group report."""
    if settings.ground_truth is None:
        return None
    excluded = {*cohort.rejected, *(record.name for record in cohort.failed if record.status == "ok")}

    def is_included(name: str) -> bool:
        labels = settings.participant_label, settings.session_label
        return name not in excluded and names.has_labels(name, *labels)

    models = {"+".join(cohort.table["model"].dropna().unique()) or "masks": settings.output_dir}
    orientation = settings.assume_orientation
    rows, lesions = evaluate(models, settings.ground_truth, settings.nprocs, is_included, orientation)
    folder = settings.output_dir / "evaluation"
    page = write_evaluation(folder, rows, lesions, cohort.people, orientation)
    table = f"{folder.name}/evaluation.tsv"
    _write_record(settings.output_dir, methods.EVALUATION, describe_evaluation(rows), table)
    compared = int(rows["tp"].notna().sum())
    print(f"{compared} of {len(rows)} masks compared with manual masks: {page.path}")
    if notice := remarks_notice(rows):
        print(notice)
    return page


def _write_record(out: Path, name: str, description: str, table: str) -> None:
    """Write the record of a part of the group level, for the methods text."""
    versions = package_versions(_PACKAGES[name])
    outputs = {"table": table}
    Record(name, "", "ok", description=description, versions=versions, outputs=outputs).write(out)


def _print_summary(out: Path, cohort: Cohort) -> None:
    """Print the number of sessions, the failed ones, and those that failed QC checks."""
    rejected = f", {len(cohort.rejected)} rejected" if cohort.rejected else ""
    counts = f"{len(cohort.table)} sessions, {len(cohort.failed)} failed{rejected}"
    print(f"{counts}: {out / 'group.html'}")
    for record in cohort.failed:
        print(f"  {record.name}: {_failure(record).reason}")
    for notice in cohort.notices:
        print(notice)
    keys = ["participant_id", "session_id", "qc_flags"]
    flagged = cohort.table[keys].dropna(subset="qc_flags")
    if len(flagged):
        print(f"Sessions that failed QC checks ({len(flagged)}):")
    for participant, session, flags in flagged.fillna("").itertuples(index=False):
        print(f"  {participant} {session}: {flags}".replace(" :", ":"))


def _write_map(out: Path, img: nib.Nifti1Image, description: str, suffix: str, **entities: str) -> None:
    """Write a map of the cohort and its sidecar."""
    name = derivative("group", suffix, space=TEMPLATE, res="1", label="L", **entities)
    image.save(img, out / name)
    sidecar = {
        "Description": description,
        "Resolution": "1 mm isotropic, the grid of the template",
        "Sources": ["bids::group_lesion.tsv"],
    }
    write_json(sidecar, names.sidecar_of(out / name))


def _failure(record: Record) -> ExcludedSession:
    participant, session = names.split_session_name(record.name)
    reason = record.error or " ".join(record.flags.values())
    reason = reason or "Outputs are missing; run the participant level again."
    return ExcludedSession(participant, session, reason)
