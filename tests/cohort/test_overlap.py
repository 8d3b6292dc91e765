import nibabel as nib
import numpy as np
import pytest

from bids_stroke.cohort import overlap

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def test_the_load_map_sums_to_the_mean_raw_load():
    rng = np.random.default_rng(0)
    masks = rng.random((5, 4, 5, 6)) < 0.3
    left, right = rng.random((2, 4, 5, 6)).astype(np.float32) / 2
    tract = {"L": nib.Nifti1Image(left, AFFINE), "R": nib.Nifti1Image(right, AFFINE)}
    loads = [0.008 * sum(p[mask].sum() for p in (left, right)) for mask in masks]
    count = nib.Nifti1Image(masks.sum(0).astype(np.int32), AFFINE)
    load_map = overlap.load_map(count, len(masks), tract)
    assert 0.008 * load_map.get_fdata().sum() == pytest.approx(np.mean(loads), rel=1e-5)
