"""Pairs of a manual and a predicted mask, matched by session or file name."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_stroke.bids import supplied_masks
from bids_stroke.errors import DatasetError


@dataclass(frozen=True)
class Pair:
    """A true mask and the prediction of a model; ``problem`` tells why there is none to compare."""

    participant: str
    session: str | None
    model: str
    truth: Path
    prediction: Path | None
    problem: str | None = None


def pairs(predictions, truth):
    """Match the masks of models with the true ones.

    Parameters
    ----------
    predictions : dict of str to path
        Folder of each model.
    truth : path
        Folder of the true masks.

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
        found = _masks(folder)
        for key in sorted(true, key=lambda key: (key[0], key[1] or "")):
            matched.append(_match(*key, model, true[key], found.get(key, []), folder))
        for subject, session in sorted(found.keys() - true.keys(), key=str):
            problem = f"There is no true mask of {_name(subject, session)} in {truth}."
            path = found[subject, session][0]
            matched.append(Pair(subject, session, model, Path(truth), path, problem))
    return matched


def _masks(folder):
    """Masks of a folder by (participant, session); by file name where it is no BIDS dataset."""
    folder = Path(folder)
    found = {
        (f"sub-{subject}", session and f"ses-{session}"): [mask.path for mask in masks]
        for (subject, session), masks in supplied_masks.find_lesion_masks(
            folder, (folder / "work",), {}
        ).items()
    }
    if not found:
        for path in sorted(folder.glob("*.nii*")):
            found[path.name.partition(".")[0], None] = [path]
    return found


def _name(participant, session):
    return f"{participant}_{session}" if session else participant


def _match(participant, session, model, true, predicted, folder):
    """The first prediction on the grid of a true mask."""
    name = _name(participant, session)
    if not predicted:
        problem = f"There is no predicted mask of {name} in {folder}."
        return Pair(participant, session, model, true[0], None, problem)
    for truth in true:
        for prediction in predicted:
            try:
                if same_grid(nib.load(truth), nib.load(prediction)):
                    return Pair(participant, session, model, truth, prediction)
            except Exception:  # an unreadable file is named when it is measured
                return Pair(participant, session, model, truth, prediction)
    # Measuring tells the difference of the grids.
    return Pair(participant, session, model, true[0], predicted[0])


def same_grid(one, other):
    one, other = nib.as_closest_canonical(one), nib.as_closest_canonical(other)
    # A tenth of a voxel over the image is rounding, not another grid.
    far = np.array([*(np.array(one.shape[:3]) - 1), 1])
    moved = (np.linalg.inv(one.affine) @ other.affine - np.eye(4)) @ np.stack([[0, 0, 0, 1], far]).T
    return one.shape[:3] == other.shape[:3] and np.abs(moved).max() < 0.1
