"""Split into training and held-out subjects, stratified by site and lesion volume, in a TSV file."""

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
#: Subject in a split: (dataset, participant), or (participant,) if the split has no datasets.
Key: TypeAlias = tuple[str, ...]


def make(
    patients: Sequence[Patient], rules: SplitRules, seed: int, target: str | None = None
) -> pd.DataFrame:
    """Draw a random split, stratified by site and lesion volume.

    Subjects are sorted by site and lesion volume (the largest of their sessions). The sorted list is
    cut into runs, and one subject is drawn from each run for every part, so that sites and volumes
    are similar in all parts.

    Parameters
    ----------
    patients : sequence of Patient
    rules : SplitRules
        With ``folds``, ``part`` is the number of the fold in which a subject is used for validation.
    seed : int
    target : str, optional
        Dataset whose subjects are not assigned to the part ``intermediate``.

    Returns
    -------
    DataFrame
        One row per subject with the columns :data:`bids_stroke.training.patients.split.COLUMNS`.

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
            f"{len(table)} subjects are too few for the split of the recipe ({_describe(rules)}); "
            "reduce the held-out parts."
        )
    table["part"] = "training"
    for part, count in counts.items():
        table.loc[_draw_from_runs(_training(table), count, rng), "part"] = part
    candidates = [row for row in _training(table) if table.loc[row, "dataset"] != target]
    drawn = _draw_from_runs(candidates, _count(rules.intermediate, len(candidates)), rng)
    table.loc[drawn, "part"] = "intermediate"
    if rules.folds:
        _draw_folds(table, _training(table), rules.folds, rng)
    return table[list(COLUMNS)].sort_values(["dataset", "participant_id"], ignore_index=True)


def read(path: PathLike) -> pd.DataFrame:
    """Read a split from a TSV file.

    Raises
    ------
    DatasetError
        If the file cannot be read, lacks columns, or has unknown parts.
    """
    try:
        table = pd.read_csv(path, sep="\t", dtype=str)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as a split ({error}).") from None
    missing = {"participant_id", "part"} - set(table)
    if missing:
        raise DatasetError(f"{path} lacks the column {', '.join(sorted(missing))}; add it.")
    unknown = [part for part in table["part"].astype(str) if part not in PARTS and not part.isdigit()]
    if unknown:
        raise DatasetError(
            f"{path} has the unknown part {unknown[0]}; use {', '.join(PARTS)} or numbers of folds."
        )
    return table


def write(table: pd.DataFrame, path: Path) -> Path:
    """Write a split as a TSV file."""
    return write_tsv(table, path)


def divide(
    patients: Sequence[Patient],
    table: pd.DataFrame,
    fold: int | None = None,
    by_slice: bool = False,
) -> Parts:
    """Divide patients into the parts of a split; patients that it does not list are excluded.

    Parameters
    ----------
    patients : sequence of Patient
    table : DataFrame
        Split of the subjects.
    fold : int, optional
        Fold for validation; the other folds are used for training.
    by_slice : bool
        Whether all training patients are also used for validation, with other slices.

    Returns
    -------
    dict of str to list of Patient

    Raises
    ------
    DatasetError
        If a subject of the split has no scan, or training is empty.
    """
    _check_subjects(patients, table)
    divided: Parts = {part: [] for part in PARTS}
    for patient, part in assign_parts(patients, table):
        if part:
            divided[_part_in_fold(part, fold)].append(patient)
    if by_slice:
        divided["validation"] = divided["training"]
    require(divided, "training")
    return divided


def require(parts: Parts, part: str) -> None:
    """Check that a part has patients.

    Raises
    ------
    DatasetError
        If it has none.
    """
    if not parts[part]:
        raise DatasetError(f"The split has no subject for {part}; add subjects or change the split.")


def assign_parts(patients: Iterable[Patient], table: pd.DataFrame) -> list[tuple[Patient, str | None]]:
    """Return pairs of each patient and its part, which is None for patients not in the split."""
    parts = _parts(table)
    return [
        (patient, next((parts[key] for key in _keys(patient) if key in parts), None))
        for patient in patients
    ]


def _check_subjects(patients: Iterable[Patient], table: pd.DataFrame) -> None:
    """Check that every subject of a split has scans."""
    available = {key for patient in patients for key in _keys(patient)}
    missing = sorted(set(_parts(table)) - available)
    if missing:
        raise DatasetError(
            f"The split lists {' '.join(missing[0])}, which has no scan with a lesion mask; remove the "
            "row or check the dataset."
        )


def _part_in_fold(part: str, fold: int | None) -> str:
    """Return the part of a subject in the training of a fold."""
    if part in PARTS:
        return part
    return "validation" if fold is not None and int(part) == fold else "training"


def _parts(table: pd.DataFrame) -> Mapping[Key, str]:
    """Return the part of each subject of a split."""
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
    """Return the rows that are not assigned to a held-out part."""
    return [row for row, part in enumerate(table["part"]) if part == "training"]


def _describe(rules: SplitRules) -> str:
    """Format the rules as in a recipe."""
    return ", ".join(f"{key} {value}" for key, value in vars(rules).items() if value and key != "by")


def _count(share: float, total: int) -> int:
    return round(share * total) if share < 1 else int(share)


def _draw_from_runs(rows: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """Cut the rows into ``count`` runs of nearly equal length and draw one row from each."""
    return [int(rng.choice(run)) for run in np.array_split(rows, count)] if count else []


def _draw_folds(table: pd.DataFrame, rows: Sequence[int], folds: int, rng: np.random.Generator) -> None:
    """Assign the rows of each run of ``folds`` rows to different folds."""
    for start in range(0, len(rows), folds):
        run = rows[start : start + folds]
        for row, fold in zip(run, rng.permutation(folds), strict=False):
            table.loc[row, "part"] = str(fold)
