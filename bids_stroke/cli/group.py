"""The group level: from the participants' derivatives alone."""

from tempfile import TemporaryDirectory

from .. import cohort, image
from ..bids import derivative, write_json, write_tsv
from ..registration import TEMPLATE, template


def group(settings):
    """Write the table, the overlap map and the report of the cohort; return the exit status."""
    from ..reports import figures
    from ..reports import group as report

    out = settings.output_dir
    table, count, failed = cohort.collect(out)
    table = cohort.merge_participants(table, settings.bids_dir / "participants.tsv")
    write_tsv(table, out / "group_lesion.tsv")
    described = {
        name: cohort.COLUMNS.get(name, {"Description": "From participants.tsv of the dataset"})
        for name in table
    }
    write_json(described, out / "group_lesion.json")
    overlap = derivative("group", "count", space=TEMPLATE, res="1", label="L")
    image.save(count, out / overlap)
    write_json(
        {
            "Description": f"Number of {len(table)} sessions whose lesion covers the voxel",
            "Resolution": "1 mm isotropic, the grid of the template",
            "Sources": ["bids::group_lesion.tsv"],
        },
        out / overlap.replace(".nii.gz", ".json"),
    )
    with TemporaryDirectory() as folder:
        figure = f"{folder}/overlap.svg"
        figures.overlap_map(count, template().t1w, figure)
        report.group_report(
            out,
            table,
            figure,
            [_failure(known) for known in failed],
        )
    print(f"{len(table)} sessions, {len(failed)} failed: {out / 'group.html'}")
    for known in failed:
        print(f"  {known.name}: {_failure(known)['reason']}")
    return 0


def _failure(known):
    participant, _, session = known.name.partition("_ses-")
    reason = known.error or "Outputs are missing; run the participant level again."
    return {
        "participant_id": participant,
        "session_id": f"ses-{session}" if session else "",
        "reason": reason,
    }
