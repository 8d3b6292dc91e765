"""The group level: from the participants' derivatives alone."""

from tempfile import TemporaryDirectory

from .. import atlas, cohort, evaluation, image, regions
from ..bids import derivative, write_json, write_tsv
from ..registration import TEMPLATE, template


def group(settings):
    """Write the table, the overlap map and the report of the cohort; return the exit status."""
    from ..reports import figures
    from ..reports import group as report

    out = settings.output_dir
    table, count, failed = cohort.collect(out)
    table = cohort.merge_participants(table, settings.bids_dir / "participants.tsv")
    summary = cohort.summary(table, settings.group_by)
    write_tsv(table, out / "group_lesion.tsv")
    write_json(cohort.described(table), out / "group_lesion.json")
    write_tsv(summary, out / "group_loads.tsv")
    write_json(cohort.SUMMARY_COLUMNS, out / "group_loads.json")
    _map(out, count, f"Number of {len(table)} sessions whose lesion covers the voxel", "count")
    for card in regions.Maps(settings.tracts).cards:
        if cohort.prefix_of(card.atlas) in cohort.tracts(table):
            loads = cohort.load_map(count, len(table), atlas.load_tract(card))
            text = (
                f"Mean over {len(table)} sessions of lesion times probability of the {card.name}; the "
                "sum times the voxel volume is their mean raw load"
            )
            _map(out, loads, text, "load", atlas=card.atlas)
    with TemporaryDirectory() as folder:
        figure = f"{folder}/overlap.svg"
        figures.overlap_map(count, template().t1w, figure)
        report.group_report(
            out,
            table,
            figure,
            [_failure(known) for known in failed],
            summary,
            settings.ground_truth and _evaluate(settings, table),
        )
    print(f"{len(table)} sessions, {len(failed)} failed: {out / 'group.html'}")
    for known in failed:
        print(f"  {known.name}: {_failure(known)['reason']}")
    return 0


def _evaluate(settings, table):
    """Compare the masks with manual ones; what the group report tells of it."""
    from ..reports import evaluation as report

    models = {"+".join(table["model"].dropna().unique()) or "masks": settings.output_dir}
    rows, lesions = evaluation.evaluate(models, settings.ground_truth, settings.nprocs)
    people = cohort.people(settings.bids_dir / "participants.tsv")
    page = report.write(settings.output_dir / "evaluation", rows, lesions, people)
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
    participant, _, session = known.name.partition("_ses-")
    reason = known.error or "Outputs are missing; run the participant level again."
    return {
        "participant_id": participant,
        "session_id": f"ses-{session}" if session else "",
        "reason": reason,
    }
