"""The group level: from the participants' derivatives alone."""

from tempfile import TemporaryDirectory

import pandas as pd

from bids_stroke.atlases import maps, tracts
from bids_stroke.bids import names, record
from bids_stroke.bids.derivatives import write_json, write_tsv
from bids_stroke.bids.names import derivative
from bids_stroke.cohort import columns, overlap, participants
from bids_stroke.cohort import summary as cohort_summary
from bids_stroke.cohort import table as cohort_table
from bids_stroke.evaluation import evaluation
from bids_stroke.qc import ratings
from bids_stroke.spatial import image
from bids_stroke.spatial.templates import TEMPLATE, template


def run_group(settings):
    """Write the table, the overlap map and the report of the cohort; return the exit status."""
    from bids_stroke.reports.figures import figures
    from bids_stroke.reports.group import report as group_report
    from bids_stroke.reports.viewer import page as viewer_page

    out = settings.output_dir
    rejected = _rejected(settings)
    table, ended, failed = cohort_table.collect(
        out, {item["name"] for item in rejected}, settings.strict
    )
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
        figures.overlap_map(count, template().t1w, figure)
        viewer_page.overlap(count, template().t1w, out / viewer_page.name_of("group"))
        group_report.group_report(
            out,
            table,
            figure,
            [_failure(known) for known in failed],
            summary,
            settings.ground_truth and _evaluate(settings, table, rejected),
            rejected,
            [name for name in table if name not in measured],
        )
    left_out = f", {len(rejected)} rejected" if rejected else ""
    print(f"{len(table)} sessions, {len(failed)} failed{left_out}: {out / 'group.html'}")
    for known in failed:
        print(f"  {known.name}: {_failure(known)['reason']}")
    flagged = table[["participant_id", "session_id", "qc_flags"]].dropna(subset="qc_flags")
    if len(flagged):
        print(f"{len(flagged)} sessions failed sanity gates, look at them:")
    for participant, session, flags in flagged.fillna("").itertuples(index=False):
        print(f"  {participant} {session}: {flags}".replace(" :", ":"))
    return 1 if settings.strict and failed else 0


def _rejected(settings):
    """Sessions that the ratings reject: name, participant, session and notes of each."""
    if not settings.qc_ratings:
        return []
    rated, found = ratings.ratings(settings.qc_ratings), []
    for known in record.read_all(settings.output_dir):
        participant, session = names.split_session_name(known)
        rating = ratings.rejected(rated, participant, session)
        if rating is not None:
            keys = {"participant_id": participant, "session_id": session}
            found.append({"name": known.name, **keys, "reason": rating["notes"]})
    return found


def _evaluate(settings, table, rejected):
    """Compare the masks with manual ones; what the group report tells of it."""
    from bids_stroke.reports import evaluation as evaluation_report

    models = {"+".join(table["model"].dropna().unique()) or "masks": settings.output_dir}
    left_out = [(item["participant_id"], item["session_id"]) for item in rejected]
    rows, lesions = (
        found[~pd.MultiIndex.from_frame(found[ratings.KEYS].fillna("")).isin(left_out)]
        for found in evaluation.evaluate(models, settings.ground_truth, settings.nprocs)
    )
    people = participants.read_participants(settings.bids_dir / "participants.tsv")
    page = evaluation_report.write_evaluation(settings.output_dir / "evaluation", rows, lesions, people)
    compared = int(rows["tp"].notna().sum())
    print(f"{compared} of {len(rows)} masks compared with manual ones: {page.path}")
    return page


def _map(out, img, description, suffix, **entities):
    """Write a map of the cohort and its sidecar."""
    name = derivative("group", suffix, space=TEMPLATE, res="1", label="L", **entities)
    image.save(img, out / name)
    sidecar = {
        "Description": description,
        "Resolution": "1 mm isotropic, the grid of the template",
        "Sources": ["bids::group_lesion.tsv"],
    }
    write_json(sidecar, out / name.replace(".nii.gz", ".json"))


def _failure(known):
    participant, session = names.split_session_name(known)
    reason = known.error or " ".join(known.flags.values())
    reason = reason or "Outputs are missing; run the participant level again."
    return {"participant_id": participant, "session_id": session, "reason": reason}
