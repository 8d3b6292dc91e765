"""Who trains and who is held out: by subject, stratified by site and lesion volume, as a TSV."""

import numpy as np
import pandas as pd

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.errors import DatasetError

PARTS = ("training", "intermediate", "validation", "test")
COLUMNS = ("dataset", "participant_id", "site", "lesion_volume_ml", "part")


def make(patients, rules, seed, target=None):
    """Divide subjects at random.

    Subjects are put in order of site and lesion volume (the largest of their sessions), and every
    part takes one of each run of neighbours, so that all parts have like sites and volumes.

    Parameters
    ----------
    patients : sequence of Patient
    rules : dict
        ``validation`` and ``test``: counts, or shares below one; the rest trains. With ``folds``
        instead of ``validation``, ``part`` is the number of the fold that a subject validates.
        ``intermediate``: the count or share of those who train that is kept for a stage of its own.
        With ``by: slice``, the shares are those of the slices of each scan, and all subjects train.
    seed : int
    target : str, optional
        Dataset of whom no one is intermediate.

    Returns
    -------
    DataFrame
        One row per subject, :data:`COLUMNS`.

    Raises
    ------
    DatasetError
        If there are too few subjects.
    """
    table = _subjects(patients)
    rng = np.random.default_rng(seed)
    if rules.get("by") == "slice":
        rules = {}
    counts = {part: _count(rules.get(part, 0), len(table)) for part in ("test", "validation")}
    left = list(table.index)
    if sum(counts.values()) + max(rules.get("folds", 1), 1) > len(left):
        wanted = ", ".join(f"{key} {value}" for key, value in rules.items())
        raise DatasetError(
            f"{len(left)} subjects are too few for the split of the recipe ({wanted}); lower it."
        )
    table["part"] = "training"
    for part, count in counts.items():
        drawn = _one_of_each(left, count, rng)
        table.loc[drawn, "part"] = part
        left = [row for row in left if row not in drawn]
    if "intermediate" in rules:
        able = [row for row in left if table.loc[row, "dataset"] != target]
        drawn = _one_of_each(able, _count(rules["intermediate"], len(able)), rng)
        table.loc[drawn, "part"] = "intermediate"
    if "folds" in rules:
        runs = [left[start : start + rules["folds"]] for start in range(0, len(left), rules["folds"])]
        for run in runs:
            for row, fold in zip(run, rng.permutation(rules["folds"]), strict=False):
                table.loc[row, "part"] = str(fold)
    return table[list(COLUMNS)].sort_values(["dataset", "participant_id"], ignore_index=True)


def read(path):
    """Read a split.

    Raises
    ------
    DatasetError
        If it lacks columns, or names unknown parts.
    """
    try:
        table = pd.read_csv(path, sep="\t", dtype=str)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as a split ({error}).") from None
    missing = {"participant_id", "part"} - set(table)
    if missing:
        raise DatasetError(f"{path} lacks the column {', '.join(sorted(missing))}.")
    unknown = [part for part in table["part"].astype(str) if part not in PARTS and not part.isdigit()]
    if unknown:
        raise DatasetError(
            f"{path} has the part {unknown[0]}; use {', '.join(PARTS)}, or numbers of folds."
        )
    return table


def write(table, path):
    """Write a split."""
    return write_tsv(table, path)


def divide(patients, table, fold=None, by_slice=False):
    """Give each part of a split its patients; who is not in it is left out.

    Parameters
    ----------
    fold : int, optional
        The fold that validates; the others train.
    by_slice : bool
        Whether all who train validate too, with other slices.

    Returns
    -------
    dict of str to list of Patient

    Raises
    ------
    DatasetError
        If a subject of the split has no scan, or no one trains or validates.
    """
    parts = _parts(table)
    divided = {part: [] for part in PARTS}
    for one, part in part_of(patients, table):
        if part is not None and part not in PARTS:
            part = "validation" if fold is not None and int(part) == fold else "training"
        if part:
            divided[part].append(one)
    there = {key for one in patients for key in _keys(one)}
    missing = sorted(set(parts) - there)
    if missing:
        raise DatasetError(
            f"The split names {' '.join(missing[0])}, of whom no scan with a lesion mask is there; "
            "take the row out, or check the dataset."
        )
    if by_slice:
        divided["validation"] = divided["training"]
    for part in ("training", "validation"):
        if not divided[part]:
            raise DatasetError(f"The split leaves no one for {part}; change it.")
    return divided


def part_of(patients, table):
    """Pairs of each patient and its part; None for one that is not in the split."""
    parts = _parts(table)
    return [(one, next((parts[k] for k in _keys(one) if k in parts), None)) for one in patients]


def _parts(table):
    """Part of each (dataset, participant), or (participant,) where no dataset is named."""
    keys = [name for name in ("dataset", "participant_id") if name in table]
    return dict(zip(table[keys].itertuples(index=False, name=None), table["part"], strict=True))


def _keys(patient):
    return (patient.dataset, patient.subject), (patient.subject,)


def _subjects(patients):
    rows = [(p.dataset, p.subject, p.site, p.lesion_ml) for p in patients]
    table = pd.DataFrame(rows, columns=list(COLUMNS[:4]))
    table = table.groupby(["dataset", "participant_id"], as_index=False).agg(
        {"site": "first", "lesion_volume_ml": "max"}
    )
    return table.sort_values(["site", "lesion_volume_ml", "participant_id"], ignore_index=True)


def _count(share, total):
    return round(share * total) if share < 1 else share


def _one_of_each(rows, count, rng):
    """One of each of ``count`` runs of neighbours, of nearly equal length."""
    return [int(rng.choice(run)) for run in np.array_split(rows, count)] if count else []
