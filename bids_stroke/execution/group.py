"""The group level: from the participants' derivatives alone."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import pandas as pd

from bids_stroke.atlases import maps, tracts
from bids_stroke.bids import names
from bids_stroke.bids.derivatives import write_json, write_tsv
from bids_stroke.bids.names import derivative
from bids_stroke.bids.record import Record, read_all, read_selected
from bids_stroke.cohort import columns, long_tables, overlap, participants
from bids_stroke.cohort import summary as cohort_summary
from bids_stroke.cohort import table as cohort_table
from bids_stroke.errors import DatasetError
from bids_stroke.evaluation.run import evaluate, remarks_notice
from bids_stroke.qc import ratings
from bids_stroke.reports.evaluation import Page, write_evaluation
from bids_stroke.reports.group.table import ExcludedSession
from bids_stroke.settings import Settings
from bids_stroke.spatial import image
from bids_stroke.spatial.templates import TEMPLATE, template
from bids_stroke.utils.text import enumeration


def run_group(settings: Settings) -> int:
    """Write the table, the overlap map and the report of the cohort; return the exit status."""
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
    write_tsv(summary, out / "group_loads.tsv")
    write_json(cohort_summary.SUMMARY_COLUMNS, out / "group_loads.json")
    count = _write_maps(settings, cohort)
    with TemporaryDirectory() as folder:
        figure = f"{folder}/overlap.svg"
        draw_overlap(count, template().t1w, figure)
        write_overlap_viewer(count, template().t1w, out / viewer_name("group"))
        group_report.group_report(
            out,
            cohort.table,
            figure,
            [_failure(record) for record in cohort.failed],
            summary,
            _evaluate(settings, cohort),
            list(cohort.rejected.values()),
            cohort.groups,
            cohort.notices,
        )
    _print_summary(out, cohort)
    return 1 if settings.strict and cohort.failed else 0


def _write_further_tables(out: Path, cohort: "Cohort") -> None:
    """Write the short table, and the long ones of tracts and regions."""
    short, descriptions = long_tables.short_table(cohort.table)
    write_tsv(short, out / "group_short.tsv")
    write_json(descriptions, out / "group_short.json")
    for name, (_, descriptions) in long_tables.LONG_TABLES.items():
        write_tsv(long_tables.long_table(name, out, cohort.ended), out / f"{name}.tsv")
        write_json(descriptions, out / f"{name}.json")


@dataclass(frozen=True)
class Cohort:
    """The sessions of the group level.

    ``table`` has a row for each of the sessions ``ended``; its columns ``groups`` are those of
    ``people``, which is ``participants.tsv``; ``notices`` are sentences for the user.
    """

    table: pd.DataFrame
    ended: Sequence[Record]
    failed: Sequence[Record]
    rejected: Mapping[str, ExcludedSession]
    groups: Sequence[str]
    people: pd.DataFrame | None
    notices: Sequence[str]


def _collect(settings: Settings) -> Cohort:
    """Collect the sessions with the labels that are given, apart from those that ratings reject."""
    out = settings.output_dir
    records = read_selected(out, settings.participant_label, settings.session_label)
    rated = ratings.read_ratings(settings.qc_ratings) if settings.qc_ratings else None
    rejected = {} if rated is None else _rejected(records, rated)
    kept = [record for record in records if record.name not in rejected]
    if rejected and not kept:
        raise DatasetError(f"{settings.qc_ratings} rejects every session; check the ratings.")
    measured, ended, failed = cohort_table.collect(out, kept, settings.strict)
    path = settings.bids_dir / "participants.tsv"
    people = participants.read_participants(path)
    table = participants.merge_participants(measured, people)
    notices = [
        *_notices_of_models(measured),
        *_notices_of_labels(measured),
        *_notices_of_order(measured),
        *long_tables.unmeasured_atlases(out, ended),
        *(
            participants.unmatched_participants(measured["participant_id"], people, path)
            if people is not None
            else ()
        ),
        *(_notices_of_ratings(settings, rated) if rated is not None else ()),
    ]
    if settings.participant_label or settings.session_label:
        notices.append(
            f"Of all sessions, the {len(records)} with the labels that were given are shown."
        )
    groups = [str(name) for name in table if name not in measured]
    return Cohort(table, ended, failed, rejected, groups, people, notices)


def _notices_of_models(table: pd.DataFrame) -> Iterator[str]:
    """A sentence if the lesions of the table are of several models."""
    models = table["model"].value_counts()
    if len(models) > 1:
        listing = ", ".join(f"{model} ({number})" for model, number in models.items())
        yield f"The lesions are of several models: {listing}; do not compare their volumes."


def _notices_of_labels(table: pd.DataFrame) -> Iterator[str]:
    """A sentence if participants have outputs with and without a session, perhaps of the same scan."""
    without = table["session_id"].isna()
    both = {*table["participant_id"][without]} & {*table["participant_id"][~without]}
    if both:
        yield (
            f"Sessions with and without ses- are of one participant: {enumeration(sorted(both))}. If "
            "the dataset has one of them alone, remove the outputs and the record of the other."
        )


def _notices_of_order(table: pd.DataFrame) -> Iterator[str]:
    """A sentence if changes are between sessions whose names do not count up."""
    compared = table.dropna(subset="previous_session_id")
    labels = {*compared["session_id"], *compared["previous_session_id"]}
    if len({re.sub(r"\d+", "", label) for label in labels}) > 1:
        listing = ", ".join(sorted(labels, key=names.natural_key))
        yield (
            f"Sessions are compared in the order of their names: {listing}. If that is not their order "
            "in time, lesion_volume_change_ml has the wrong sign."
        )


def _notices_of_ratings(settings: Settings, rated: pd.DataFrame) -> Iterator[str]:
    """A sentence if the ratings reject sessions that do not exist."""
    labels = [names.split_session_name(record.name) for record in read_all(settings.output_dir)]
    if unmatched := ratings.unmatched_rejections(rated, labels):
        listing = ", ".join(unmatched)
        yield f"{settings.qc_ratings} rejects {listing}, of which there is no session."


def _rejected(records: Sequence[Record], rated: pd.DataFrame) -> dict[str, ExcludedSession]:
    """Sessions that the ratings reject, by name, with the notes of the rating."""
    excluded = {}
    for record in records:
        participant, session = names.split_session_name(record.name)
        rating = ratings.find_rejection(rated, participant, session)
        if rating is not None:
            excluded[record.name] = ExcludedSession(participant, session, rating["notes"])
    return excluded


def _write_maps(settings: Settings, cohort: Cohort) -> nib.Nifti1Image:
    """Write the maps of overlap, which is returned, and of mean load."""
    out, number = settings.output_dir, len(cohort.table)
    for path in out.glob(
        derivative("group", "load", ".*", space=TEMPLATE, atlas="*", res="1", label="L")
    ):
        path.unlink()  # of tracts that an earlier run was given
    count = overlap.overlap(out, cohort.ended)
    _map(out, count, f"Number of {number} sessions whose lesion covers the voxel", "count")
    for card in maps.Maps(settings.tracts).cards:
        if columns.tract_prefix(card.atlas) in columns.tract_prefixes(cohort.table):
            loads = overlap.load_map(count, number, tracts.load_tract(card))
            text = (
                f"Mean over {number} sessions of lesion times probability of the {card.name}; the "
                "sum times the voxel volume is their mean raw load"
            )
            _map(out, loads, text, "load", atlas=card.atlas)
    return count


def _evaluate(settings: Settings, cohort: Cohort) -> Page | None:
    """Compare the masks with manual ones, if there are any; what the group report shows of it."""
    if settings.ground_truth is None:
        return None
    left_out = {*cohort.rejected, *(record.name for record in cohort.failed if record.status == "ok")}

    def wanted(name: str) -> bool:
        labels = settings.participant_label, settings.session_label
        return name not in left_out and names.has_labels(name, *labels)

    models = {"+".join(cohort.table["model"].dropna().unique()) or "masks": settings.output_dir}
    orientation = settings.assume_orientation
    rows, lesions = evaluate(models, settings.ground_truth, settings.nprocs, wanted, orientation)
    folder = settings.output_dir / "evaluation"
    page = write_evaluation(folder, rows, lesions, cohort.people, orientation)
    compared = int(rows["tp"].notna().sum())
    print(f"{compared} of {len(rows)} masks compared with manual ones: {page.path}")
    if notice := remarks_notice(rows):
        print(notice)
    return page


def _print_summary(out: Path, cohort: Cohort) -> None:
    """Print how many sessions there are, and which of them failed or are to be looked at."""
    left_out = f", {len(cohort.rejected)} rejected" if cohort.rejected else ""
    numbers = f"{len(cohort.table)} sessions, {len(cohort.failed)} failed{left_out}"
    print(f"{numbers}: {out / 'group.html'}")
    for record in cohort.failed:
        print(f"  {record.name}: {_failure(record).reason}")
    for notice in cohort.notices:
        print(notice)
    keys = ["participant_id", "session_id", "qc_flags"]
    flagged = cohort.table[keys].dropna(subset="qc_flags")
    if len(flagged):
        print(f"{len(flagged)} sessions failed sanity gates, look at them:")
    for participant, session, flags in flagged.fillna("").itertuples(index=False):
        print(f"  {participant} {session}: {flags}".replace(" :", ":"))


def _map(out: Path, img: nib.Nifti1Image, description: str, suffix: str, **entities: str) -> None:
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
