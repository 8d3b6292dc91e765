"""Split into training and held-out subjects, stratified by site and lesion volume, as a TSV."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.errors import DatasetError
from bids_stroke.training.recipe_settings import SplitRules
from bids_stroke.utils.files import PathLike

from .patient import Parts, Patient

PARTS = ("training", "intermediate", "validation", "test")
COLUMNS = ("dataset", "participant_id", "site", "lesion_volume_ml", "part")
#: A subject in a split: (dataset, participant), or (participant,) where no dataset is named.
Key: TypeAlias = tuple[str, ...]


def make(
    patients: Sequence[Patient], rules: SplitRules, seed: int, target: str | None = None
) -> pd.DataFrame:
    """Divide subjects at random.

    Subjects are put in order of site and lesion volume (the largest of their sessions), and every
    part takes one of each run of neighbors, so that all parts have like sites and volumes.

    Parameters
    ----------
    patients : sequence of Patient
    rules : SplitRules
        With ``folds``, ``part`` is the number of the fold that a subject validates.
    seed : int
    target : str, optional
        Dataset of whom no one is intermediate.

    Returns
    -------
    DataFrame
        One row per subject, :data:`bids_stroke.training.patients.split.COLUMNS`.

    Raises
    ------
    DatasetError
        If there are too few subjects.
    """
    table = _subjects(patients)
    rng = np.random.default_rng(seed)
    if rules.by_slice:
        rules = SplitRules()
    counts = {
        "test": _count(rules.test, len(table)),
        "validation": _count(rules.validation, len(table)),
    }
    if sum(counts.values()) + max(rules.folds or 1, 1) > len(table):
        raise DatasetError(
            f"{len(table)} subjects are too few for the split of the recipe ({_described(rules)}); "
            "lower it."
        )
    table["part"] = "training"
    for part, count in counts.items():
        table.loc[_one_of_each(_training(table), count, rng), "part"] = part
    able = [row for row in _training(table) if table.loc[row, "dataset"] != target]
    drawn = _one_of_each(able, _count(rules.intermediate, len(able)), rng)
    table.loc[drawn, "part"] = "intermediate"
    if rules.folds:
        _draw_folds(table, _training(table), rules.folds, rng)
    return table[list(COLUMNS)].sort_values(["dataset", "participant_id"], ignore_index=True)


def read(path: PathLike) -> pd.DataFrame:
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


def write(table: pd.DataFrame, path: Path) -> Path:
    """Write a split."""
    return write_tsv(table, path)


def divide(
    patients: Sequence[Patient],
    table: pd.DataFrame,
    fold: int | None = None,
    by_slice: bool = False,
) -> Parts:
    """Give each part of a split its patients; who is not in it is left out.

    Parameters
    ----------
    patients : sequence of Patient
    table : DataFrame
        The split.
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
    _check_subjects(patients, table)
    divided: Parts = {part: [] for part in PARTS}
    for patient, part in assign_parts(patients, table):
        if part:
            divided[_part_in_fold(part, fold)].append(patient)
    if by_slice:
        divided["validation"] = divided["training"]
    for part in ("training", "validation"):
        if not divided[part]:
            raise DatasetError(f"The split leaves no one for {part}; change it.")
    return divided


def assign_parts(patients: Iterable[Patient], table: pd.DataFrame) -> list[tuple[Patient, str | None]]:
    """Pairs of each patient and its part; None for one that is not in the split."""
    parts = _parts(table)
    return [
        (patient, next((parts[key] for key in _keys(patient) if key in parts), None))
        for patient in patients
    ]


def _check_subjects(patients: Iterable[Patient], table: pd.DataFrame) -> None:
    """Refuse a split that names a subject without scans."""
    present = {key for patient in patients for key in _keys(patient)}
    missing = sorted(set(_parts(table)) - present)
    if missing:
        raise DatasetError(
            f"The split names {' '.join(missing[0])}, of whom no scan with a lesion mask is there; "
            "take the row out, or check the dataset."
        )


def _part_in_fold(part: str, fold: int | None) -> str:
    """Part of a subject in the training of a fold."""
    if part in PARTS:
        return part
    return "validation" if fold is not None and int(part) == fold else "training"


def _parts(table: pd.DataFrame) -> Mapping[Key, str]:
    """Part of each subject of a split."""
    keys = [name for name in ("dataset", "participant_id") if name in table]
    return dict(zip(table[keys].itertuples(index=False, name=None), table["part"], strict=True))


def _keys(patient: Patient) -> tuple[Key, Key]:
    return (patient.dataset, patient.subject), (patient.subject,)


def _subjects(patients: Sequence[Patient]) -> pd.DataFrame:
    rows = [(p.dataset, p.subject, p.site, p.lesion_ml) for p in patients]
    table = pd.DataFrame(rows, columns=list(COLUMNS[:4]))
    table = table.groupby(["dataset", "participant_id"], as_index=False).agg(
        {"site": "first", "lesion_volume_ml": "max"}
    )
    return table.sort_values(["site", "lesion_volume_ml", "participant_id"], ignore_index=True)


def _training(table: pd.DataFrame) -> list[int]:
    """Rows that no part has taken yet."""
    return [row for row, part in enumerate(table["part"]) if part == "training"]


def _described(rules: SplitRules) -> str:
    """The rules as a recipe has them."""
    return ", ".join(f"{key} {value}" for key, value in vars(rules).items() if value and key != "by")


def _count(share: float, total: int) -> int:
    return round(share * total) if share < 1 else int(share)


def _one_of_each(rows: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """One of each of ``count`` runs of neighbors, of nearly equal length."""
    return [int(rng.choice(run)) for run in np.array_split(rows, count)] if count else []


def _draw_folds(table: pd.DataFrame, rows: Sequence[int], folds: int, rng: np.random.Generator) -> None:
    """Give each run of neighbors one subject per fold."""
    for start in range(0, len(rows), folds):
        run = rows[start : start + folds]
        for row, fold in zip(run, rng.permutation(folds), strict=False):
            table.loc[row, "part"] = str(fold)
