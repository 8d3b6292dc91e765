"""The cohort, from the participants' derivatives alone: one table, one overlap map."""

from pathlib import Path

import numpy as np
import pandas as pd

from . import image, record
from .bids import derivative, description_of
from .errors import DatasetError
from .registration import TEMPLATE

COLUMNS = {
    "participant_id": {"Description": "Participant"},
    "session_id": {"Description": "Session"},
    "reference": {"Description": "Contrast whose grid is the native space"},
    "contrasts": {"Description": "Contrasts that the model used"},
    "model": {"Description": "Model of the lesion"},
    "lesion_volume_ml": {"Description": "Lesion volume on the native grid", "Units": "mL"},
    "lesion_volume_mni_ml": {
        "Description": f"Lesion volume after normalization to {TEMPLATE}",
        "Units": "mL",
    },
    "n_components": {"Description": "Number of 26-connected lesion components"},
    "hemisphere": {"Description": "left, right or bilateral"},
    "max_probability": {"Description": "Largest lesion probability inside the mask (0-1)"},
    "brain_volume_ml": {"Description": "Volume of the brain mask", "Units": "mL"},
    "snr": {"Description": "Median signal of the brain over the standard deviation of the noise"},
    "template_brain_dice": {
        "Description": "Dice coefficient of the normalized brain mask and the template's"
    },
}
_LOADS = {
    "raw_load_ml": ("raw load (Zhu et al. 2010)", "mL"),
    "fraction": ("raw load over the tract's volume", None),
    "weighted_load_ml": ("weighted load (Feng et al. 2015)", "mL"),
    "max_slice_load": ("largest slice load", None),
}
for _measure, (_text, _units) in _LOADS.items():
    for _side in ("left", "right", "total"):
        COLUMNS[f"cst_{_measure}_{_side}"] = {
            "Description": f"Corticospinal tract, {_side}: {_text}",
            **({"Units": _units} if _units else {}),
        }
COLUMNS |= {
    "cst_category": {"Description": "Category of the affected side's weighted load"},
    "cst_category_status": {"Description": "Whether the cut-offs were derived on this tract map"},
}


def session_files(output_dir, known):
    """Paths of the tables and of the MNI mask of a session.

    Parameters
    ----------
    known : Record

    Returns
    -------
    dict of str to Path
        ``components``, ``quality``, ``loads``, ``mask``.
    """
    entities = dict(part.split("-", 1) for part in known.name.split("_"))
    folder = Path(output_dir).joinpath(*known.name.split("_")) / "anat"
    found = {"label": "L", "desc": description_of(known.contrasts)}
    loads = next(
        (path for path in known.outputs if "_atlas-" in path and path.endswith("_morph.tsv")), None
    )
    return {
        "components": folder
        / derivative(known.name, "morph", ".tsv", space=known.reference, **found),
        "quality": folder / derivative(known.name, "morph", ".tsv", desc="quality"),
        "loads": Path(output_dir) / loads if loads else None,
        "mask": folder / derivative(known.name, "mask", space=TEMPLATE, res="1", **found),
        "participant_id": f"sub-{entities['sub']}",
    }


def session_row(output_dir, known):
    """One row of the table: the measurements of a session."""
    files = session_files(output_dir, known)
    return _row(known, files, image.load(files["mask"]))


def _row(known, files, mask):
    components = pd.read_csv(files["components"], sep="\t", dtype={"component": str})
    whole = components[components["component"] == "all"].iloc[0]
    loads = pd.read_csv(files["loads"], sep="\t", index_col="side")
    session = known.name.partition("_ses-")[2]
    return {
        "participant_id": files["participant_id"],
        "session_id": f"ses-{session}" if session else np.nan,
        "reference": known.reference,
        "contrasts": "+".join(known.contrasts),
        "model": known.model,
        "lesion_volume_ml": whole["volume_ml"],
        "lesion_volume_mni_ml": np.count_nonzero(mask.dataobj) * image.voxel_volume(mask) / 1000,
        "n_components": len(components) - 1,
        "hemisphere": whole["hemisphere"],
        "max_probability": whole["max_probability"],
        **pd.read_csv(files["quality"], sep="\t").iloc[0].to_dict(),
        **{
            f"cst_{measure}_{side}": loads.loc[side, measure]
            for measure in _LOADS
            for side in ("left", "right", "total")
        },
        "cst_category": loads.loc["total", "category"],
        "cst_category_status": loads.loc["total", "category_status"],
    }


def collect(output_dir):
    """Read every session once: the table, and the number of lesions in each voxel of the template.

    Memory does not grow with the cohort.

    Returns
    -------
    tuple of (pandas.DataFrame, nib.Nifti1Image, list of Record)
        Table with columns as in :data:`COLUMNS`, int32 count, and the sessions that failed.

    Raises
    ------
    DatasetError
        If no session ended well.
    """
    rows, failed, count, grid = [], [], None, None
    for known in record.read_all(output_dir):
        if not known.complete(output_dir):
            failed.append(known)
            continue
        files = session_files(output_dir, known)
        mask = image.load(files["mask"])
        rows.append(_row(known, files, mask))
        if count is None:
            count, grid = np.zeros(mask.shape, np.int32), mask
        count += np.asanyarray(mask.dataobj) > 0
    if not rows:
        raise DatasetError(
            f"{output_dir} holds no complete session; run the participant level first."
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)), image.like(count, grid), failed


def merge_participants(table, path):
    """Add the columns of ``participants.tsv``, where there is one; clashing names are prefixed."""
    if not Path(path).is_file():
        return table
    try:
        # index_col=False: a tab too many at the end of each row shifts no column.
        people = pd.read_csv(
            path,
            sep="\t",
            dtype=str,
            keep_default_na=False,
            index_col=False,
            encoding="utf-8-sig",
        )
    except (ValueError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is not a table with tabs ({error}); mend it.") from None
    if "participant_id" not in people:
        raise DatasetError(f"{path} has no column participant_id; add it.")
    clash = {name: f"participants_{name}" for name in people if name in set(table) - {"participant_id"}}
    people = people.rename(columns=clash).drop_duplicates("participant_id")
    return table.merge(people.replace(["n/a", ""], np.nan), on="participant_id", how="left")
