"""The group level: from the participants' derivatives alone."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import pandas as pd

from bids_stroke.atlases import maps, tracts
from bids_stroke.bids import names
from bids_stroke.bids.derivatives import write_json, write_tsv
from bids_stroke.bids.names import derivative
from bids_stroke.bids.record import Record, read_all
from bids_stroke.cohort import columns, overlap, participants
from bids_stroke.cohort import summary as cohort_summary
from bids_stroke.cohort import table as cohort_table
from bids_stroke.evaluation.run import evaluate
from bids_stroke.qc import ratings
from bids_stroke.reports.evaluation import Page, write_evaluation
from bids_stroke.reports.group.table import ExcludedSession
from bids_stroke.settings import Settings
from bids_stroke.spatial import image
from bids_stroke.spatial.templates import TEMPLATE, template


def run_group(settings: Settings) -> int:
    """Write the table, the overlap map and the report of the cohort; return the exit status."""
    from bids_stroke.reports.figures.overlap import draw_overlap
    from bids_stroke.reports.group import report as group_report
    from bids_stroke.reports.viewer.overlap import write_overlap_viewer
    from bids_stroke.reports.viewer.page import name_of

    out = settings.output_dir
    rejected = _rejected(settings)
    table, ended, failed = cohort_table.collect(out, set(rejected), settings.strict)
    measured = set(table)
    table = participants.merge_participants(table, settings.bids_dir / "participants.tsv")
    summary = cohort_summary.summary(table, settings.group_by)
    write_tsv(table, out / "group_lesion.tsv")
    write_json(columns.described(table), out / "group_lesion.json")
    write_tsv(summary, out / "group_loads.tsv")
    write_json(cohort_summary.SUMMARY_COLUMNS, out / "group_loads.json")
    count = overlap.overlap(out, ended)
    _map(out, count, f"Number of {len(table)} sessions whose lesion covers the voxel", "count")
    for card in maps.Maps(settings.tracts).cards:
        if columns.prefix_of(card.atlas) in columns.tracts(table):
            loads = overlap.load_map(count, len(table), tracts.load_tract(card))
            text = (
                f"Mean over {len(table)} sessions of lesion times probability of the {card.name}; the "
                "sum times the voxel volume is their mean raw load"
            )
            _map(out, loads, text, "load", atlas=card.atlas)
    with TemporaryDirectory() as folder:
        figure = f"{folder}/overlap.svg"
        draw_overlap(count, template().t1w, figure)
        write_overlap_viewer(count, template().t1w, out / name_of("group"))
        group_report.group_report(
            out,
            table,
            figure,
            [_failure(record) for record in failed],
            summary,
            _evaluate(settings, table, list(rejected.values())),
            list(rejected.values()),
            [str(name) for name in table if name not in measured],
        )
    left_out = f", {len(rejected)} rejected" if rejected else ""
    print(f"{len(table)} sessions, {len(failed)} failed{left_out}: {out / 'group.html'}")
    for record in failed:
        print(f"  {record.name}: {_failure(record).reason}")
    flagged = table[["participant_id", "session_id", "qc_flags"]].dropna(subset="qc_flags")
    if len(flagged):
        print(f"{len(flagged)} sessions failed sanity gates, look at them:")
    for participant, session, flags in flagged.fillna("").itertuples(index=False):
        print(f"  {participant} {session}: {flags}".replace(" :", ":"))
    return 1 if settings.strict and failed else 0


def _rejected(settings: Settings) -> dict[str, ExcludedSession]:
    """Sessions that the ratings reject, by name, with the notes of the rating."""
    if not settings.qc_ratings:
        return {}
    rated = ratings.read_ratings(settings.qc_ratings)
    excluded = {}
    for record in read_all(settings.output_dir):
        participant, session = names.split_session_name(record.name)
        rating = ratings.find_rejection(rated, participant, session)
        if rating is not None:
            excluded[record.name] = ExcludedSession(participant, session, rating["notes"])
    return excluded


def _evaluate(
    settings: Settings, table: pd.DataFrame, rejected: Sequence[ExcludedSession]
) -> Page | None:
    """Compare the masks with manual ones, if there are any; what the group report shows of it."""
    if settings.ground_truth is None:
        return None
    models = {"+".join(table["model"].dropna().unique()) or "masks": settings.output_dir}
    orientation = settings.assume_orientation
    left_out = [(session.participant_id, session.session_id) for session in rejected]
    rows, lesions = (
        part[~pd.MultiIndex.from_frame(part[ratings.KEYS].fillna("")).isin(left_out)]
        for part in evaluate(models, settings.ground_truth, settings.nprocs, orientation)
    )
    people = participants.read_participants(settings.bids_dir / "participants.tsv")
    folder = settings.output_dir / "evaluation"
    page = write_evaluation(folder, rows, lesions, people, orientation)
    compared = int(rows["tp"].notna().sum())
    print(f"{compared} of {len(rows)} masks compared with manual ones: {page.path}")
    return page


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
