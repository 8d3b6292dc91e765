"""Agreement of the lesion mask of a model with its correction by a rater."""

import nibabel as nib
import numpy as np

from bids_stroke.spatial.grid import data_on_grid, voxel_volume

from .metrics import confusion

#: Columns of the agreement, for the JSON sidecar of its table.
COLUMNS: dict[str, dict[str, object]] = {
    "dice": {"Description": "Dice coefficient of the mask of the model and the corrected mask"},
    "model_volume_ml": {"Description": "Lesion volume in the mask of the model", "Units": "mL"},
    "corrected_volume_ml": {"Description": "Lesion volume in the corrected mask", "Units": "mL"},
    "volume_difference_ml": {
        "Description": "Volume of the corrected mask minus that of the mask of the model",
        "Units": "mL",
    },
    "added_ml": {"Description": "Volume that the correction added", "Units": "mL"},
    "removed_ml": {"Description": "Volume that the correction removed", "Units": "mL"},
}


def measure_correction(model: nib.Nifti1Image, corrected: nib.Nifti1Image) -> dict[str, float]:
    """Compare the mask of a model with its correction.

    Parameters
    ----------
    model, corrected : nib.Nifti1Image
        Masks on the same grid.

    Returns
    -------
    dict
        Values of :data:`bids_stroke.evaluation.correction.COLUMNS`.

    Raises
    ------
    ImageError
        If the grids differ.

    Examples
    --------
    >>> masks = ([1, 1, 0], [0, 1, 1])
    >>> images = (nib.Nifti1Image(np.uint8(m).reshape(3, 1, 1), 10 * np.eye(4)) for m in masks)
    >>> round(measure_correction(*images)["added_ml"], 6)
    1.0
    """
    data = data_on_grid(model, corrected, "mask of the model")
    counts = confusion(data, np.asanyarray(corrected.dataobj))
    ml = voxel_volume(corrected) / 1000
    return {
        "dice": counts.dice,
        "model_volume_ml": ml * (counts.tp + counts.fp),
        "corrected_volume_ml": ml * (counts.tp + counts.fn),
        "volume_difference_ml": ml * (counts.fn - counts.fp),
        "added_ml": ml * counts.fn,
        "removed_ml": ml * counts.fp,
    }
