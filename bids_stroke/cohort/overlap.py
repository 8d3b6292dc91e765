"""Lesion overlap and mean tract load in each voxel of the template."""

import numpy as np

from bids_stroke.spatial import image

from .table import output_files


def overlap(output_dir, sessions):
    """Count the lesions in each voxel of the template; memory does not grow with the cohort.

    Parameters
    ----------
    output_dir : path
    sessions : sequence of Record
        At least one.

    Returns
    -------
    nib.Nifti1Image of int32
    """
    count = None
    for known in sessions:
        mask = image.load(output_files(output_dir, known)["mask"])
        if count is None:
            count, grid = np.zeros(np.prod(mask.shape), np.int32), mask
        # Lesions are small: counting where they are is faster than adding images. Order as on disk.
        count[np.flatnonzero(np.ravel(mask.dataobj, order="F") != 0)] += 1
    return image.like(count.reshape(grid.shape, order="F"), grid)


def load_map(count, sessions, tract):
    """Map the mean load of a cohort: in each voxel, the share of the sessions whose lesion covers it
    times the tract's probability. Its sum times the voxel volume is the mean raw load.

    Parameters
    ----------
    count : nib.Nifti1Image
        Number of lesions.
    sessions : int
        Number of sessions.
    tract : dict of str to nib.Nifti1Image
        ``L`` and ``R``, on the same grid.

    Returns
    -------
    nib.Nifti1Image of float32
    """
    probability = sum(tract[side].get_fdata(dtype=np.float32) for side in "LR")
    return image.like(np.asanyarray(count.dataobj) / sessions * probability, count, np.float32)
