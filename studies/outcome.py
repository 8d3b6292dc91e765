"""Relate the lesions of acute stroke patients to the NIHSS through the whole app.

    python studies/outcome.py OUT [--participants N] [--jobs 2] [--permutations 1000] [--page FILE]

The lesion masks of 658 patients (SOOP, OpenNeuro ds004889) in template space are linked to a dataset
with their age and NIHSS, and both levels are run with ``--outcome nihss``: with the tract of the
package, and with the same map without its mirror image. The script writes the results to
docs/outcome.md, beside a plain recalculation from the masks, which uses no registration. Data are read
from ``$BIDS_STROKE_SHARED/data``.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
import yaml
from common import DATA, DOCS, run, start_dataset, write_section
from scipy import stats

from bids_stroke.atlases.load_columns import MIN_PEAK
from bids_stroke.atlases.tract_cards import load_card
from bids_stroke.atlases.tracts import probability_maps, slice_positions
from bids_stroke.cohort.measures import log_volume
from bids_stroke.data import DATA as PACKAGE_DATA
from bids_stroke.spatial import grid, image

SPACE = "MNI152NLin6Asym"
SOURCE = DATA / "lesions_acute"
#: Columns of the outcome tables in docs/outcome.md, by the end of the names of the tables.
COLUMNS = {
    "": (
        *("measure", "spearman", "spearman_low", "spearman_high", "partial_r", "r2_baseline", "r2"),
        *("cv_gain", "cv_gain_low", "cv_gain_high"),
    ),
    "_summary": (
        *("n_voxels", "critical_t", "n_significant", "peak_t", "peak_x", "peak_y", "peak_z"),
        *("cv_r2_volume", "cv_r2_map", "cv_gain", "cv_gain_low", "cv_gain_high"),
    ),
}
ASYMMETRIC = "JuelichCSTunsymmetrized"


def link_dataset(bids, number):
    """Link the masks with BIDS names, and write participants.tsv; return the table."""
    people = pd.read_csv(SOURCE / "participants.tsv", sep="\t")
    paths = {name: SOURCE / f"{name}_lesion.nii.gz" for name in people.participant_id}
    people = people[[paths[name].is_file() for name in people.participant_id]].head(number)
    for name in people.participant_id:
        link = bids / name / "anat" / f"{name}_space-{SPACE}_label-L_mask.nii.gz"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(paths[name].resolve())
    start_dataset(bids, "Acute lesions")
    people.to_csv(bids / "participants.tsv", sep="\t", index=False)
    return people


def asymmetric_card(out):
    """Write the card of the map of the corticospinal tract without its mirror image."""
    content = yaml.safe_load((PACKAGE_DATA / "tracts" / "juelich-cst.yaml").read_text())
    content |= {"symmetric": False, "atlas": ASYMMETRIC}
    path = out / "juelich-cst-unsymmetrized.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def recalculate(people, card):
    """Compute volume and loads (larger side) of each patient from the masks, without registration.

    The maps are resampled linearly to the grid of the masks in world coordinates.
    """
    rows, maps = [], None
    for name in people.participant_id:
        lesion = image.conform(image.load(SOURCE / f"{name}_lesion.nii.gz"))
        if maps is None:
            maps = [grid.resample(side, lesion).get_fdata() for side in probability_maps(card)]
            heights = slice_positions(lesion)
            inside = (heights >= card.z_mm[0]) & (heights <= card.z_mm[1])
        mask = np.asanyarray(lesion.dataobj) > 0
        ml = grid.voxel_volume(lesion) / 1000
        sides = [plain_loads(mask, side * inside, ml) for side in maps]
        loads = {key: max(side[key] for side in sides) for key in sides[0]}
        rows.append({"volume": mask.sum() * ml, **loads})
    return pd.DataFrame(rows, people.participant_id)


def plain_loads(mask, probability, ml):
    """Return the loads of one side of a tract."""
    areas = probability.sum(axis=(0, 1))
    used = areas > 0
    lesioned = (probability * mask).sum(axis=(0, 1))[used]
    shares = lesioned / areas[used]
    peaks = probability.max(axis=(0, 1))[used] >= MIN_PEAK
    return {
        "raw load": lesioned.sum() * ml,
        "weighted load": (areas.max() * shares).sum() * ml,
        "share of a cross-section": shares[peaks].max(),
        "share of a cross-section, all slices": shares.max(),
    }


def measured(table, name):
    """Return volume and loads (larger side) of the group table, with the names of the recalculation."""
    loads = {
        "raw load": "raw_load_ml",
        "weighted load": "weighted_load_ml",
        "share of a cross-section": "max_slice_load",
    }
    columns = {"volume": table["lesion_volume_mni_ml"]}
    for title, load in loads.items():
        columns[title] = table[[f"{name}_{load}_{side}" for side in ("left", "right")]].max(axis=1)
    return pd.DataFrame(columns)


def results(measures, outcome):
    """Return Spearman correlations of the measures, and R² of models with the logarithm of volume."""
    volume = log_volume(measures["volume"].to_numpy())
    row = {name: stats.spearmanr(values, outcome).statistic for name, values in measures.items()}
    for title, columns in (("R², volume", []), ("R², volume and weighted load", ["weighted load"])):
        design = sm.add_constant(np.column_stack([volume, measures[columns]]))
        row[title] = sm.OLS(outcome, design).fit().rsquared
    return row


def format_table(table, index=True):
    """Format a table in Markdown, with at most three decimals."""
    return table.round(3).astype(object).where(table.notna(), "").to_markdown(index=index)


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("out", type=Path)
    command.add_argument("--participants", type=int, metavar="N")
    command.add_argument("--jobs", type=int, default=2)
    command.add_argument("--permutations", type=int, default=1000)
    command.add_argument("--page", type=Path, default=DOCS / "outcome.md")
    arguments = command.parse_args()
    bids, out = arguments.out / "bids", arguments.out / "out"
    people = link_dataset(bids, arguments.participants)
    card = asymmetric_card(arguments.out)
    tracts = ("--tract", "juelich-cst", card)
    options = ("--nprocs", arguments.jobs, *tracts)
    run("bids_stroke", bids, out, "participant", "--lesion-derivatives", bids, *options)
    outcome = ("--outcome", "nihss", "--permutations", arguments.permutations)
    run("bids_stroke", bids, out, "group", *outcome, *options)
    table = pd.read_csv(out / "group_lesion.tsv", sep="\t", index_col="participant_id")
    nihss = people.set_index("participant_id").nihss.reindex(table.index)
    plain = recalculate(people, load_card(str(card))).reindex(table.index)
    rows = {
        "app": measured(table, "cst"),
        "app, map without its mirror image": measured(table, ASYMMETRIC.lower()),
        "recalculation without registration": plain,
    }
    columns = pd.DataFrame({name: results(part, nihss) for name, part in rows.items()})
    parts = [f"Spearman correlations with the NIHSS, and R², of {len(table)} patients:"]
    parts.append(format_table(columns))
    for name, shown in COLUMNS.items():
        values = pd.read_csv(out / f"group_outcome{name}.tsv", sep="\t")[list(shown)]
        parts += [f"`group_outcome{name}.tsv`:", format_table(values, index=False)]
    write_section("acute patients", "\n\n".join(parts), arguments.page)


if __name__ == "__main__":
    main()
