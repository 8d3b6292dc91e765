"""Contents of a results folder: plans, description of the dataset, and checkpoints."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from bids_stroke.errors import InvalidModelError

from .checkpoint import CHECKPOINTS, read_metadata

#: Content of an nnU-Net file or of one of its sections.
Section: TypeAlias = Mapping[str, Any]
PLANS, FORMER_PLANS = "plans.json", "plans.pkl"  # of nnU-Net v2 and v1


class Contents(NamedTuple):
    """Checkpoints of the folds, plans, dataset, and metadata of a checkpoint, as in nnU-Net v2."""

    files: list[Path]
    plans: Section
    dataset: Section
    checkpoint: Section


def is_results_folder(path: Path) -> bool:
    """Return whether a folder contains the plans of nnU-Net v2 or v1."""
    return any((path / name).is_file() for name in (PLANS, FORMER_PLANS))


def read(path: Path, choice: Mapping[str, str]) -> Contents:
    """Read a results folder of nnU-Net v2.

    Parameters
    ----------
    path : Path
    choice : dict of str to str
        Selected ``folds`` (``0,1``) and name of the ``checkpoint``.

    Raises
    ------
    InvalidModelError
        If a file is missing.
    ModelError
        If the checkpoint cannot be read.
    """
    plans, dataset = (read_json(path, name) for name in (PLANS, "dataset.json"))
    files = find_checkpoints(path, choice, CHECKPOINTS)
    return Contents(files, plans, dataset, read_metadata(files[0]))


def read_json(path: Path, name: str) -> Section:
    """Read a JSON file of a results folder.

    Raises
    ------
    InvalidModelError
        If it cannot be read.
    """
    try:
        return json.loads((path / name).read_text())
    except (OSError, ValueError) as error:
        raise InvalidModelError(
            f"{path} is not an nnU-Net results folder ({error}); give the folder that contains "
            f"{PLANS} or {FORMER_PLANS}."
        ) from None


def find_checkpoints(path: Path, choice: Mapping[str, str], names: tuple[str, ...]) -> list[Path]:
    """Return the checkpoint of each fold, which has the first of these names that exists.

    Raises
    ------
    InvalidModelError
        If there is none, or a selected fold has none.
    """
    folds = choice["folds"].split(",") if "folds" in choice else None
    names = (choice["checkpoint"],) if "checkpoint" in choice else names
    # nnU-Net v1 names the folder of a network that was trained on all patients "all".
    folders = sorted(path.glob("fold_*")) or [path / "all"]
    if folds:
        folders = [path / (fold if fold == "all" else f"fold_{fold}") for fold in folds]
    candidates = ([folder / name for name in names] for folder in folders)
    files = [next(filter(Path.is_file, paths), None) for paths in candidates]
    present = [file for file in files if file]
    if not present or (folds and None in files):
        raise InvalidModelError(
            f"{path} has no {' or '.join(names)} in {folds or 'any fold_* folder'}."
        )
    return present
