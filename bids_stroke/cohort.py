"""The cohort, from the participants' derivatives alone: one table, one overlap map, loads."""

import csv
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from . import atlas, image, quality, record, regions
from .bids import TRACE
from .errors import DatasetError, UsageError
from .registration import TEMPLATE

SIDES = ("left", "right", "total")
CATEGORIES = ("none", "small", "medium", "large")
_TEMPLATE_VOLUME = f"Lesion volume after normalization to {TEMPLATE}"

#: The first columns of the table, whatever the lesions were measured on.
COLUMNS = {
    "participant_id": {"Description": "Participant"},
    "session_id": {"Description": "Session"},
    "qc_flags": {
        "Description": "Sanity gates that the session failed, joined by +; n/a for none. What they are "
        "is told in docs/reliability.md"
    },
    "reference": {"Description": "Contrast, or template of an own mask, that is the native space"},
    "contrasts": {"Description": "Contrasts that the model used; n/a for own masks"},
    "model": {"Description": "Model of the lesion, or own masks"},
    "lesion_volume_ml": {
        "Description": "Lesion volume on the grid that the lesion was found or drawn on; n/a for own "
        "masks in a template space",
        "Units": "mL",
    },
    "lesion_volume_mni_ml": {"Description": _TEMPLATE_VOLUME, "Units": "mL"},
    "previous_session_id": {
        "Description": "The participant's session before this one, by name, with the same model"
    },
    "lesion_volume_change_ml": {
        "Description": "Lesion volume minus that of the previous session: of lesion_volume_ml, of "
        "lesion_volume_mni_ml where that is n/a",
        "Units": "mL",
    },
    "outside_brain_share": {
        "Description": "Share of the lesion that lies outside of the template's brain, after "
        "normalization (0-1)"
    },
    "n_components": {"Description": "Number of 26-connected lesion components"},
    "hemisphere": {"Description": "left, right or bilateral"},
    "index_super_region": {"Description": "Super-region with most of the lesion"},
    "mean_probability": {"Description": "Mean lesion probability inside the mask (0-1)"},
    "max_probability": {"Description": "Largest lesion probability inside the mask (0-1)"},
    **{name: quality.COLUMNS[name] for name in quality.OF_REFERENCE},
}
_NUMBERS = [name for name in atlas.COLUMNS if not name.startswith(("side", "category"))]

#: The columns of :func:`summary`.
SUMMARY_COLUMNS = {
    "tract": {"Description": "Tract: the start of its columns in group_lesion.tsv"},
    "group": {"Description": "Value of the column that sessions are grouped by; all: every session"},
    "n_sessions": {"Description": "Number of sessions"},
    **{
        f"n_{name}": {"Description": f"Number of sessions of category {name}"}
        for name in CATEGORIES[1:]
    },
    "n_none": {"Description": "Number of sessions without any load"},
    "category_status": {"Description": "Whether the cut-offs were derived on this tract map"},
}
for _name, _text in {
    "lesion_volume": "lesion volume after normalization",
    "raw_load": "raw load of the affected side, that with the larger weighted load",
    "weighted_load": "weighted load of the affected side",
}.items():
    for _statistic, _long in {
        "median": "Median",
        "q1": "First quartile",
        "q3": "Third quartile",
    }.items():
        SUMMARY_COLUMNS[f"{_name}_{_statistic}_ml"] = {
            "Description": f"{_long} of the {_text}",
            "Units": "mL",
        }


def described(table):
    """Descriptions of the columns of the table, for its JSON sidecar."""
    columns = dict(COLUMNS)
    for name in tracts(table):
        for number in _NUMBERS:
            for side in SIDES:
                columns[f"{name}_{number}_{side}"] = {
                    **atlas.COLUMNS[number],
                    "Description": f"Tract {name}, {side}: {atlas.COLUMNS[number]['Description']}",
                }
        columns |= {
            f"{name}_category": {"Description": "Category of the affected side's weighted load"},
            f"{name}_category_status": atlas.COLUMNS["category_status"],
        }
    for region, text in regions.super_regions_card()["names"].items():
        columns |= {
            f"{region.lower()}_volume_ml": {
                "Description": f"Volume of the lesion in super-region {region} ({text})",
                "Units": "mL",
            },
            f"{region.lower()}_share": {
                "Description": f"Share of the lesion in super-region {region} ({text}), 0-1"
            },
        }
    for contrast in (*quality.CONTRASTS, TRACE):
        columns |= {
            f"{contrast.lower()}_{name}": {**text, "Description": f"{contrast}: {text['Description']}"}
            for name, text in quality.COLUMNS.items()
            if name in quality.OF_OTHERS
        }
    rest = {"Description": "From participants.tsv of the dataset"}
    return {name: columns.get(name, rest) for name in table}


@lru_cache
def prefix_of(label):
    """Start of the columns of a tract, from the value of its ``atlas-`` entity: ``cst`` for the
    default one."""
    return "cst" if label == atlas.load_card().atlas else label.lower()


def tracts(table):
    """Starts of the columns of the tracts of a table."""
    end = "_category_status"
    return [name.removesuffix(end) for name in table if name.endswith(end)]


def volume_ml(row):
    """Volume of a lesion: the native one, that in the template where there is none."""
    native = row["lesion_volume_ml"]
    return row["lesion_volume_mni_ml"] if pd.isna(native) else native


def session_row(output_dir, known):
    """One row of the table: the measurements of a session."""
    files = _files(output_dir, known)
    whole, *components = _read(files["components"])
    participant, session = names_of(known)
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
        elif label == regions.super_regions_card()["atlas"]:
            row["index_super_region"] = regions.index_region(pd.DataFrame(table))
            for values in table:
                region = values["region"].lower()
                row[f"{region}_volume_ml"] = values["lesion_volume_ml"]
                row[f"{region}_share"] = values["lesion_share"]
    return row


def names_of(known):
    """Participant and session of a record; the session is empty where there are none."""
    participant, _, session = known.name.partition("_ses-")
    return participant, f"ses-{session}" if session else ""


def _files(output_dir, known):
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
    row = dict.fromkeys(quality.OF_REFERENCE, np.nan)
    if path is None:
        return row
    for values in _read(path):
        start = quality.column_start(values["contrast"], reference)
        names = quality.OF_OTHERS if start else quality.OF_REFERENCE
        row |= {f"{start}{name}": values.get(name, np.nan) for name in names}
    return row


def _loads(name, table):
    return {
        **{f"{name}_{number}_{side}": table[side][number] for number in _NUMBERS for side in SIDES},
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
        Table with columns as :func:`described`, the session of each row, and those that failed.

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


def overlap(output_dir, sessions):
    """Count the lesions in each voxel of the template; memory does not grow with the cohort.

    Parameters
    ----------
    output_dir : path
    sessions : sequence of Record
        At least one.

    Returns
    -------
    nib.Nifti1Image of int32
    """
    count = None
    for known in sessions:
        mask = image.load(_files(output_dir, known)["mask"])
        if count is None:
            count, grid = np.zeros(np.prod(mask.shape), np.int32), mask
        # Lesions are small: counting where they are is faster than adding images. Order as on disk.
        count[np.flatnonzero(np.ravel(mask.dataobj, order="F") != 0)] += 1
    return image.like(count.reshape(grid.shape, order="F"), grid)


def natural(name):
    """Sort key that puts ``sub-2`` before ``sub-10``."""
    return re.sub(r"\d+", lambda digits: digits[0].zfill(12), "" if pd.isna(name) else str(name))


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


def summary(table, group_by=None):
    """Count categories and summarize loads, of all sessions and of each group.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :func:`collect`, with the columns of ``participants.tsv``.
    group_by : str, optional
        A column of it.

    Returns
    -------
    pandas.DataFrame
        A row for each tract and group; columns as in :data:`SUMMARY_COLUMNS`.

    Raises
    ------
    UsageError
        If there is no such column.
    """
    groups = {"all": table}
    if group_by:
        if group_by not in table:
            raise UsageError(f"participants.tsv has no column {group_by}; check --group-by.")
        groups |= {str(value): rows for value, rows in table.groupby(group_by, dropna=True)}
    return pd.DataFrame(
        [_summarized(name, group, rows) for name in tracts(table) for group, rows in groups.items()],
        columns=list(SUMMARY_COLUMNS),
    )


def affected_load(table, name, measure="weighted_load"):
    """Load (ml) of the affected side, that with the larger weighted load, on the tract whose columns
    start with ``name``; a series."""
    left = table[f"{name}_weighted_load_ml_left"] >= table[f"{name}_weighted_load_ml_right"]
    return table[f"{name}_{measure}_ml_left"].where(left, table[f"{name}_{measure}_ml_right"])


def _summarized(name, group, rows):
    values = {kind: affected_load(rows, name, kind) for kind in ("raw_load", "weighted_load")}
    values["lesion_volume"] = rows["lesion_volume_mni_ml"]
    category = rows[f"{name}_category"].fillna("none")
    status = rows[f"{name}_category_status"].dropna().unique()
    quartiles = {"median": 0.5, "q1": 0.25, "q3": 0.75}
    return {
        "tract": name,
        "group": group,
        "n_sessions": len(rows),
        **{f"n_{kind}": int((category == kind).sum()) for kind in CATEGORIES},
        "category_status": "+".join(sorted(status)) or np.nan,
        **{
            f"{measure}_{key}_ml": numbers.quantile(part)
            for measure, numbers in values.items()
            for key, part in quartiles.items()
        },
    }


def load_map(count, sessions, tract):
    """Map the mean load of a cohort: in each voxel, the share of the sessions whose lesion covers it
    times the tract's probability. Its sum times the voxel volume is the mean raw load.

    Parameters
    ----------
    count : nib.Nifti1Image
        Number of lesions.
    sessions : int
        Number of sessions.
    tract : dict of str to nib.Nifti1Image
        ``L`` and ``R``, on the same grid.

    Returns
    -------
    nib.Nifti1Image of float32
    """
    probability = sum(tract[side].get_fdata(dtype=np.float32) for side in "LR")
    return image.like(np.asanyarray(count.dataobj) / sessions * probability, count, np.float32)


def people(path):
    """Read ``participants.tsv``: one row for each participant; None where there is no file.

    Raises
    ------
    DatasetError
        If it is no table with a column participant_id.
    """
    if not Path(path).is_file():
        return None
    try:
        # index_col=False: a tab too many at the end of each row shifts no column.
        table = pd.read_csv(
            path,
            sep="\t",
            dtype=str,
            keep_default_na=False,
            index_col=False,
            quoting=csv.QUOTE_NONE,  # BIDS has none: a lone quote would swallow the rows after it
            encoding="utf-8-sig",
        )
    except (ValueError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path} is not a table with tabs ({reason}); mend it.") from None
    if "participant_id" not in table:
        raise DatasetError(f"{path} has no column participant_id; add it.")
    table = table.replace(["n/a", ""], np.nan).drop_duplicates()
    twice = table["participant_id"][table["participant_id"].duplicated()]
    if len(twice):
        raise DatasetError(
            f"{path} has several rows of {twice.iloc[0]} that differ; keep one for each participant."
        )
    return table


def merge_participants(table, path):
    """Add the columns of ``participants.tsv``, where there is one; clashing names are prefixed."""
    found = people(path)
    if found is None:
        return table
    clash = {name: f"participants_{name}" for name in found if name in set(table) - {"participant_id"}}
    return table.merge(found.rename(columns=clash), on="participant_id", how="left")
