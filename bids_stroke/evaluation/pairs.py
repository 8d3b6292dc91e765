"""Pairs of a manual and a predicted mask, matched by session or file name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bids_stroke.bids import supplied_masks
from bids_stroke.bids.names import join_session_name, session_name, split_session_name
from bids_stroke.errors import DatasetError
from bids_stroke.spatial.grid import same_grid
from bids_stroke.spatial.image import conform, open_image
from bids_stroke.utils.files import PathLike

#: Participant and session of a scan.
Scan: TypeAlias = tuple[str, str | None]


@dataclass(frozen=True)
class Pair:
    """A true mask and the prediction of a model; ``problem`` states why they cannot be compared."""

    participant: str
    session: str | None
    model: str
    truth: Path
    prediction: Path | None
    problem: str | None = None


def pairs(
    predictions: Mapping[str, PathLike], truth: PathLike, orientation: str | None = None
) -> list[Pair]:
    """Match the masks of models with the true ones.

    Parameters
    ----------
    predictions : mapping of str to path
        Folder of each model.
    truth : path
        Folder of the true masks.
    orientation : {"RAS", "LAS"}, optional
        That of masks whose headers state none.

    Raises
    ------
    DatasetError
        If there is no true mask.
    """
    true = _masks(truth)
    if not true:
        raise DatasetError(f"{truth} holds no lesion mask; name the folder of the manual masks.")
    matched = []
    for model, folder in predictions.items():
        predicted = _masks(folder)
        for scan in sorted(true, key=lambda scan: (scan[0], scan[1] or "")):
            masks = true[scan], predicted.get(scan, [])
            matched.append(_match(scan, model, *masks, folder, orientation))
        for scan in sorted(predicted.keys() - true.keys(), key=str):
            problem = f"There is no true mask of {join_session_name(*scan)} in {truth}."
            matched.append(Pair(*scan, model, Path(truth), predicted[scan][0], problem))
    return matched


def _masks(folder: PathLike) -> dict[Scan, list[Path]]:
    """Masks of a folder by (participant, session); by file name where it is no BIDS dataset."""
    folder = Path(folder)
    in_bids = supplied_masks.find_lesion_masks(folder, leave_out=[folder / "work"])
    if in_bids:
        return {_scan(*labels): [mask.path for mask in masks] for labels, masks in in_bids.items()}
    return {(path.name.partition(".")[0], None): [path] for path in sorted(folder.glob("*.nii*"))}


def _scan(subject: str, session: str | None) -> Scan:
    participant, session_id = split_session_name(session_name(subject, session))
    return participant, session_id or None


def _match(
    scan: Scan,
    model: str,
    true: Sequence[Path],
    predicted: Sequence[Path],
    folder: PathLike,
    orientation: str | None,
) -> Pair:
    """The first prediction on the grid of a true mask."""
    if not predicted:
        problem = f"There is no predicted mask of {join_session_name(*scan)} in {folder}."
        return Pair(*scan, model, true[0], None, problem)
    for truth in true:
        for prediction in predicted:
            try:
                files = truth, prediction
                first, second = (conform(open_image(path, orientation)) for path in files)
                if same_grid(first, second):
                    return Pair(*scan, model, truth, prediction)
            except Exception:  # an unreadable file is named when it is measured
                return Pair(*scan, model, truth, prediction)
    # The measurement reports how the grids differ.
    return Pair(*scan, model, true[0], predicted[0])
