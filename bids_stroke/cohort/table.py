"""The cohort, from the participants' derivatives alone: one table, one overlap map, loads."""

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd

from bids_stroke.atlases import regions, super_regions
from bids_stroke.bids import record
from bids_stroke.bids.names import natural, split_session_name
from bids_stroke.errors import DatasetError
from bids_stroke.qc import image_quality
from bids_stroke.spatial.templates import TEMPLATE

from .columns import LOAD_COLUMNS, SIDES, prefix_of


def volume_ml(row):
    """Volume of a lesion: the native one, that in the template where there is none."""
    native = row["lesion_volume_ml"]
    return row["lesion_volume_mni_ml"] if pd.isna(native) else native


def session_row(output_dir, known):
    """One row of the table: the measurements of a session."""
    files = output_files(output_dir, known)
    whole, *components = _read(files["components"])
    participant, session = split_session_name(known)
    native = f"_space-{TEMPLATE}_" not in files["components"].name
    row = {
        "participant_id": participant,
        "session_id": session or np.nan,
        "qc_flags": "+".join(known.flags) or np.nan,
        "reference": known.reference,
        "contrasts": "+".join(known.contrasts) or np.nan,
        "model": known.model,
        "lesion_volume_ml": whole["volume_ml"] if native else np.nan,
        "lesion_volume_mni_ml": whole["volume_template_ml"],
        "previous_session_id": np.nan,
        "lesion_volume_change_ml": np.nan,
        "outside_brain_share": whole["outside_brain_share"],
        "n_components": len(components),
        "hemisphere": whole["hemisphere"],
        "index_super_region": np.nan,
        "mean_probability": whole["mean_probability"],
        "max_probability": whole["max_probability"],
        **_quality(files.get("quality"), known.reference),
    }
    for label, path in files["atlases"].items():
        table = _read(path)
        if "side" in table[0]:
            row |= _loads(prefix_of(label), {values["side"]: values for values in table})
        elif label == super_regions.super_regions_card()["atlas"]:
            row["index_super_region"] = regions.index_region(pd.DataFrame(table))
            for values in table:
                region = values["region"].lower()
                row[f"{region}_volume_ml"] = values["lesion_volume_ml"]
                row[f"{region}_share"] = values["lesion_share"]
    return row


def output_files(output_dir, known):
    """Paths of the tables and of the MNI mask among the outputs of a session."""
    files = {"atlases": {}}
    for path in map(Path(output_dir).joinpath, known.outputs):
        label = re.search(r"_atlas-([^_]+)_label-L_.*_morph\.tsv$", path.name)
        if label:
            files["atlases"][label[1]] = path
        elif path.name.endswith("_desc-quality_morph.tsv"):
            files["quality"] = path
        elif path.name.endswith("_morph.tsv"):
            files["components"] = path
        elif f"_space-{TEMPLATE}_res-1_label-L_" in path.name and path.name.endswith("_mask.nii.gz"):
            files["mask"] = path
    return files


def _read(path):
    """Rows of a table of a session; a hundred times faster than a data frame, on so small a one."""
    with path.open(newline="") as file:
        names, *rows = csv.reader(file, delimiter="\t")
    return [dict(zip(names, map(_value, row), strict=True)) for row in rows]


def _value(text):
    try:
        return float(text)
    except ValueError:
        return np.nan if text == "n/a" else text


def _quality(path, reference):
    """Columns of the quality of a session's images; those of the reference image always."""
    row = dict.fromkeys(image_quality.OF_REFERENCE, np.nan)
    if path is None:
        return row
    for values in _read(path):
        start = image_quality.column_start(values["contrast"], reference)
        names = image_quality.OF_OTHERS if start else image_quality.OF_REFERENCE
        row |= {f"{start}{name}": values.get(name, np.nan) for name in names}
    return row


def _loads(name, table):
    return {
        **{f"{name}_{number}_{side}": table[side][number] for number in LOAD_COLUMNS for side in SIDES},
        f"{name}_category": table["total"]["category"],
        f"{name}_category_status": table["total"]["category_status"],
    }


def collect(output_dir, skip=(), strict=False):
    """Read the tables of every session.

    Parameters
    ----------
    output_dir : path
    skip : container of str
        Names of sessions to leave out.
    strict : bool
        Whether sessions that failed a sanity gate count as failed.

    Returns
    -------
    tuple of (pandas.DataFrame, list of Record, list of Record)
        Table with columns as :func:`bids_stroke.cohort.columns.described`, the
        session of each row, and those that failed.

    Raises
    ------
    DatasetError
        If no session ended well.
    """
    ended, failed = [], []
    for known in record.read_all(output_dir):
        if known.name not in skip:
            good = known.complete(output_dir) and not (strict and known.flags)
            (ended if good else failed).append(known)
    if not ended:
        raise DatasetError(
            f"{output_dir} holds no complete session{' that is not rejected' if skip else ''}"
            f"{' that passes the sanity gates' if strict else ''}; run the participant level first."
        )
    table = pd.DataFrame([session_row(output_dir, known) for known in ended])
    return _with_changes(table), ended, failed


def _with_changes(table):
    """Fill in the change of volume since the session before, of the same participant and model."""
    kinds = ("lesion_volume_ml", "lesion_volume_mni_ml")
    ordered = table.loc[table["session_id"].map(natural).sort_values(kind="stable").index]
    before = ordered.groupby(["participant_id", "model"])[["session_id", *kinds]].shift()
    change = ordered[kinds[0]] - before[kinds[0]]
    template_only = ordered[kinds[0]].isna() & before[kinds[0]].isna()
    change = change.mask(template_only, ordered[kinds[1]] - before[kinds[1]])
    before = before["session_id"].where(change.notna())
    return table.assign(previous_session_id=before, lesion_volume_change_ml=change)
