"""Agreement of the mask of a model with its correction."""

import nibabel as nib
import numpy as np
import pytest

from bids_stroke.errors import ImageError
from bids_stroke.evaluation.correction import COLUMNS, measure_correction

AFFINE = np.diag([10, 10, 10, 1])  # voxels of 1 ml


def mask(*values):
    return nib.Nifti1Image(np.array(values, np.uint8).reshape(-1, 1, 1), AFFINE)


def test_volumes_and_dice():
    row = measure_correction(mask(1, 1, 1, 0, 0, 0), mask(0, 0, 1, 1, 0, 0))
    assert list(row) == list(COLUMNS)
    assert row == pytest.approx(
        {
            "dice": 0.4,
            "model_volume_ml": 3,
            "corrected_volume_ml": 2,
            "volume_difference_ml": -1,
            "added_ml": 1,
            "removed_ml": 2,
        }
    )


def test_empty_masks():
    assert measure_correction(mask(0, 0), mask(0, 0))["dice"] == 1
    assert measure_correction(mask(1, 0), mask(0, 0))["dice"] == 0


def test_masks_on_different_grids_are_refused():
    with pytest.raises(ImageError, match="mask of the model"):
        measure_correction(mask(1, 0), mask(1, 0, 0))
